//! Expressions of merged aggregates: one of the servers computes them, on the connection that it was asked on.

use crate::engine::error::EngineError;
use crate::engine::session::Session;
use crate::engine::sharded::scatter::{Sending, refused, too_many_rows};
use crate::engine::sharded::source::{Next, Source};
use crate::merge::{Computing, MergeError, Merger, Step};
use crate::protection::Allowance;

impl Session {
    /// Reads all rows of the merge, has their expressions computed, and puts the result into `sending`.
    pub(crate) async fn compute(
        &mut self,
        (mut merger, mut computing): (Merger, Computing),
        sources: &mut [Source],
        allowance: &Allowance,
        sending: &mut Sending,
    ) -> Result<(), EngineError> {
        let mut row = Vec::new();
        while self.step(&mut merger, sources, &mut row, &mut sending.left).await? == Step::Row {
            computing.push(&row).map_err(refused)?;
            row.clear();
        }
        // Behind a LIMIT a slot may still have rows.
        let Some(first) = sources.first_mut() else { return Ok(()) };
        while !first.ended {
            sending.left = sending.left.checked_sub(1).ok_or_else(too_many_rows)?;
            match first.next(&mut self.client).await? {
                Next::Row(length) => first.taken(length),
                Next::Large => drop(first.large(&mut self.client, u64::MAX).await?),
                Next::End => {}
            }
        }
        let mut questions = 0;
        while let Some(question) = computing.question().map_err(refused)? {
            let (answer, warnings) = first.lease.ask_bytes(&question).await?;
            if warnings > 0 && (first.warnings > 0 || questions > 0) {
                // SHOW WARNINGS could tell of the last ones only.
                return Err(refused(MergeError::Uncomputed));
            }
            first.warnings = first.warnings.max(warnings);
            questions += 1;
            computing.answered(&answer.columns, &answer.rows).map_err(refused)?;
        }
        let finished = computing.finish().map_err(refused)?;
        sending.skipped = merger.skipped() + finished.skipped;
        self.put_columns(&finished.columns, sending);
        for row in finished.rows {
            self.put_row(&row, allowance, sending).await?;
        }
        Ok(())
    }
}
