//! What the slots of a write said, and what is made of it for the client.

/// How the answers of several slots become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// Every slot has its own rows.
    Rows,
    /// The same, of an INSERT of several rows: its text counts them.
    Inserted,
    /// Every slot has the same rows: one of them counts.
    Copies {
        /// Rows are added: those that the first slot gives ids get the same everywhere.
        inserted: bool,
    },
}

/// What one slot, or all of them, said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(super) affected_rows: u64,
    pub(super) last_insert_id: u64,
    pub(super) warnings: u16,
    pub(super) info: Vec<u8>,
}

/// One answer of several: rows add up, the first generated id counts, and the numbers of the texts add up.
pub(super) fn summed(all: &[Told], sum: Sum) -> Told {
    let Some(first) = all.first() else { return Told::default() };
    if matches!(sum, Sum::Copies { .. }) || all.len() == 1 {
        return first.clone();
    }
    Told {
        affected_rows: all.iter().map(|told| told.affected_rows).sum(),
        last_insert_id: all.iter().map(|told| told.last_insert_id).find(|id| *id != 0).unwrap_or_default(),
        warnings: all.iter().fold(0, |sum: u16, told| sum.saturating_add(told.warnings)),
        info: if sum == Sum::Inserted || !first.info.is_empty() { summed_info(all) } else { Vec::new() },
    }
}

/// `Records: 3  Duplicates: 0  Warnings: 0`, `Rows matched: 1  Changed: 1  Warnings: 0`: the same text with
/// the sums. A single row of an INSERT has no text: it is one record.
fn summed_info(all: &[Told]) -> Vec<u8> {
    const WITHOUT: &[u8] = b"Records: 1  Duplicates: 0  Warnings: 0";
    let texts: Vec<&[u8]> =
        all.iter().map(|told| if told.info.is_empty() { WITHOUT } else { &told.info[..] }).collect();
    let numbers = |text: &[u8]| -> Vec<u64> {
        text.split(|byte| !byte.is_ascii_digit())
            .filter(|digits| !digits.is_empty())
            .filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
            .collect()
    };
    let mut sums: Vec<u64> = Vec::new();
    for text in &texts {
        for (n, number) in numbers(text).into_iter().enumerate() {
            match sums.get_mut(n) {
                Some(sum) => *sum += number,
                None => sums.push(number),
            }
        }
    }
    let mut sums = sums.into_iter();
    let mut info = Vec::new();
    let mut digits = false;
    for byte in texts.first().copied().unwrap_or_default() {
        if !byte.is_ascii_digit() {
            info.push(*byte);
        } else if !digits {
            info.extend_from_slice(sums.next().unwrap_or_default().to_string().as_bytes());
        }
        digits = byte.is_ascii_digit();
    }
    info
}

#[cfg(test)]
mod tests {
    use super::{Sum, Told, summed};

    fn told(affected_rows: u64, last_insert_id: u64, info: &str) -> Told {
        Told { affected_rows, last_insert_id, warnings: 1, info: info.as_bytes().to_vec() }
    }

    #[test]
    fn several_answers_are_one() {
        let all = [told(2, 0, "Records: 2  Duplicates: 0  Warnings: 1"), told(1, 7, "")];
        let one = summed(&all, Sum::Inserted);
        assert_eq!((one.affected_rows, one.last_insert_id, one.warnings), (3, 7, 2));
        assert_eq!(one.info, b"Records: 3  Duplicates: 0  Warnings: 1");
        assert_eq!(summed(&all, Sum::Copies { inserted: true }), all[0]);
        let update = "Rows matched: 1  Changed: 1  Warnings: 0";
        let one = summed(&[told(1, 0, update), told(1, 0, update)], Sum::Rows);
        assert_eq!(one.info, b"Rows matched: 2  Changed: 2  Warnings: 0");
    }
}
