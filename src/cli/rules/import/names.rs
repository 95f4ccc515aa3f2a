//! Several names written as one.

/// `db_[0-3]` is four names; what holds no such range is itself.
pub(super) fn bracketed(name: &str) -> Vec<String> {
    let range = name.split_once('[').and_then(|(head, rest)| {
        let (range, tail) = rest.split_once(']')?;
        let (first, last) = range.split_once('-')?;
        Some((head, first.parse::<u32>().ok()?, last.parse::<u32>().ok()?, tail))
    });
    match range {
        Some((head, first, last, tail)) => {
            (first..=last).map(|number| format!("{head}{number}{tail}")).collect()
        }
        None => vec![name.to_owned()],
    }
}
