//! "did you mean `x`": the known word nearest to a mistyped one.

/// `; did you mean `x`?` for the nearest of `known`, or nothing if none is near.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The known word at the smallest edit distance, if that is at most a third of the word's length; else
/// one of the same parts in another order (`max_size` → `size_max`); else the only one that contains `word` as a part (`user` → `server_user`).
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    let known: Vec<&str> = known.into_iter().collect();
    let limit = (word.chars().count() / 3).max(1);
    let by_distance = known
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
        .min()
        .filter(|(far, _)| *far <= limit);
    if let Some((_, near)) = by_distance {
        return Some(near);
    }
    let sorted = |word: &str| {
        let mut parts: Vec<String> = word.split('_').map(str::to_owned).collect();
        parts.sort_unstable();
        parts
    };
    if let Some(same) = known.iter().find(|candidate| sorted(candidate) == sorted(&word)) {
        return Some(same);
    }
    let mut parts = known
        .iter()
        .filter(|candidate| word.len() > 2 && (candidate.contains(&word) || word.contains(**candidate)));
    match (parts.next(), parts.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`
/// (optimal string alignment). Words are short: bounded to 64 characters each.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_word_is_suggested_and_far_ones_are_not() {
        let known = ["size_min", "size_max", "server_user", "idle_timeout", "lifetime", "tls"];
        let check = |word, expected: Option<&str>| assert_eq!(nearest(word, known), expected, "{word}");
        check("size_mx", Some("size_max"));
        check("size-max", Some("size_max"));
        check("sizemax", Some("size_max"));
        check("lifetmie", Some("lifetime"));
        check("LIFETIME", Some("lifetime"));
        check("max_size", Some("size_max"));
        check("user", Some("server_user"));
        check("max_idle_timeout", Some("idle_timeout"));
        check("size", None);
        check("frobnicate", None);
        check("", None);
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(distance("abcd", "abdc"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
