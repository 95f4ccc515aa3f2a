//! How the weights of a collation are compared. Whoever knows a server measures it there; see
//! [`Collations`].

use std::cmp::Ordering;
use std::collections::HashMap;

/// The collations whose weights can be compared byte by byte, by name, with what the comparison does at
/// the end of the shorter text.
///
/// A collation belongs in here if `WEIGHT_STRING` of a text is the weights of its characters one after
/// the other, or if its comparison does not pad.
#[derive(Clone, Debug, Default)]
pub struct Collations {
    pads: HashMap<Box<[u8]>, Pad>,
}

/// The end of a text in a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pad {
    /// The weights of a space, with which the shorter text is continued for ever; empty under NO PAD, where
    /// the shorter text is the smaller one.
    pub weights: Box<[u8]>,
}

impl Collations {
    /// What is known of a server's collations: name and pad.
    pub fn new(known: impl IntoIterator<Item = (Vec<u8>, Pad)>) -> Self {
        Self { pads: known.into_iter().map(|(name, pad)| (name.into_boxed_slice(), pad)).collect() }
    }

    /// The pad of a collation that can be merged.
    #[must_use]
    pub fn pad(&self, name: &[u8]) -> Option<&Pad> {
        self.pads.get(name)
    }
}

impl Pad {
    /// Compares two weight strings.
    #[must_use]
    pub fn compare(&self, left: &[u8], right: &[u8]) -> Ordering {
        let common = left.len().min(right.len());
        let (head, other) = (&left[..common], &right[..common]);
        head.cmp(other).then_with(|| match left.len().cmp(&right.len()) {
            Ordering::Equal => Ordering::Equal,
            Ordering::Less => self.against_spaces(&right[common..]).reverse(),
            Ordering::Greater => self.against_spaces(&left[common..]),
        })
    }

    /// The weights without those of spaces at the end that the comparison does not look at.
    #[must_use]
    pub fn stripped<'a>(&self, mut weights: &'a [u8]) -> &'a [u8] {
        while let Some(less) = weights.strip_suffix(&*self.weights).filter(|less| less.len() < weights.len())
        {
            weights = less;
        }
        weights
    }

    /// Compares what one text has more than the other with spaces without end.
    fn against_spaces(&self, more: &[u8]) -> Ordering {
        if self.weights.is_empty() {
            return Ordering::Greater;
        }
        let spaces = self.weights.iter().cycle();
        more.iter()
            .zip(spaces)
            .map(|(byte, space)| byte.cmp(space))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::Pad;

    #[test]
    fn the_shorter_text_goes_on_in_spaces_or_is_smaller() {
        let weights =
            |text: &str| text.bytes().flat_map(|byte| [0, byte.to_ascii_uppercase()]).collect::<Vec<u8>>();
        let padded = Pad { weights: Box::new([0, b' ']) };
        let check = |pad: &Pad, left: &str, right: &str, expected: Ordering| {
            assert_eq!(pad.compare(&weights(left), &weights(right)), expected, "{left:?} {right:?}");
            assert_eq!(
                pad.compare(&weights(right), &weights(left)),
                expected.reverse(),
                "{right:?} {left:?}"
            );
            let (left, right) = (weights(left), weights(right));
            assert_eq!(pad.stripped(&left) == pad.stripped(&right), expected == Ordering::Equal);
        };
        check(&padded, "a", "A  ", Ordering::Equal);
        check(&padded, "a", "a\t", Ordering::Greater);
        check(&padded, "a", "ab", Ordering::Less);
        check(&padded, "a", "a \t", Ordering::Greater);
        check(&padded, "", "   ", Ordering::Equal);
        check(&Pad::default(), "a", "a ", Ordering::Less);
        check(&Pad::default(), "a", "a\t", Ordering::Less);
    }
}
