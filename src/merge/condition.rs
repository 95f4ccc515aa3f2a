//! HAVING: three-valued logic over the numeric cells of a row.

use std::cmp::Ordering;

use crate::merge::error::MergeError;
use crate::merge::plan::{Condition, Operand, Operator};
use crate::merge::row::{Layout, Row};
use crate::merge::value::{Numeric, column, decimal_text};

/// Whether the row meets the condition; `None` is unknown, which does not.
pub(crate) fn holds(condition: &Condition, row: &Row, layout: &Layout) -> Result<Option<bool>, MergeError> {
    match condition {
        Condition::Compare { left, operator, right } => {
            let (Some(left), Some(right)) = (number(left, row, layout)?, number(right, row, layout)?) else {
                return Ok(None);
            };
            Ok(Some(met(*operator, left.compare(&right)?)))
        }
        Condition::IsNull(column) => Ok(Some(row.cell(*column).is_none())),
        Condition::Not(condition) => Ok(holds(condition, row, layout)?.map(|met| !met)),
        Condition::And(conditions) => all(conditions, false, row, layout),
        Condition::Or(conditions) => all(conditions, true, row, layout),
    }
}

/// AND is decided by a false operand, OR by a true one; otherwise an unknown one makes it unknown.
fn all(
    conditions: &[Condition],
    decisive: bool,
    row: &Row,
    layout: &Layout,
) -> Result<Option<bool>, MergeError> {
    let mut result = Some(!decisive);
    for condition in conditions {
        match holds(condition, row, layout)? {
            Some(met) if met == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(result)
}

fn number(operand: &Operand, row: &Row, layout: &Layout) -> Result<Option<Numeric>, MergeError> {
    match operand {
        Operand::Number(text) => Ok(Some(Numeric::Exact(text.clone().into_bytes()))),
        Operand::Column(index) => {
            let definition = column(&layout.columns, *index)?;
            row.cell(*index).map(|value| decimal_text(value, definition, layout.format)).transpose()
        }
    }
}

const fn met(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
    }
}
