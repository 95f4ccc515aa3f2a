//! A place in a server's binary log.

use std::cmp::Ordering;

use crate::wire::codec::Malformed;

/// See the module's text. Places of one server's log are in order; those of two servers mean nothing to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPosition {
    file: Box<str>,
    /// The number that its files are counted with.
    number: u64,
    /// Bytes from the file's beginning.
    pub at: u64,
}

impl LogPosition {
    /// In a file, whose name ends in a number.
    pub fn new(file: &str, at: u64) -> Result<Self, Malformed> {
        let number = file.rsplit_once('.').and_then(|(_, number)| number.parse().ok());
        Ok(Self { file: file.into(), number: number.ok_or(Malformed("not a file of a binary log"))?, at })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether `other` is in the same file.
    #[must_use]
    pub const fn is_in_file_of(&self, other: &Self) -> bool {
        self.number == other.number
    }

    /// Goes on to where an event says that the next one is: its lower 32 bits; files can be longer. It never goes back.
    pub fn advance(&mut self, next: u32) {
        let high = self.at & !u64::from(u32::MAX);
        let at = high | u64::from(next);
        let wrapped = self.at.saturating_sub(at) > 1 << 31;
        self.at = self.at.max(if wrapped { at + (1 << 32) } else { at });
    }
}

impl Ord for LogPosition {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.number, self.at).cmp(&(other.number, other.at))
    }
}

impl PartialOrd for LogPosition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(file: &str, at: u64) -> LogPosition {
        LogPosition::new(file, at).expect("a log file")
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        assert!(position("bin.999999", 9) < position("bin.1000000", 4));
        assert!(position("bin.000002", 4) < position("bin.000002", 5));
        assert!(position("a.b.000002", 900) < position("a.b.000010", 4));
        assert!(LogPosition::new("bin", 4).is_err() && LogPosition::new("bin.x", 4).is_err());
    }

    #[test]
    fn places_beyond_four_gigabytes_are_followed() {
        let mut place = position("bin.000001", u64::from(u32::MAX) - 10);
        place.advance(20);
        assert_eq!(place.at, (1 << 32) + 20);
        place.advance(30);
        assert_eq!(place.at, (1 << 32) + 30);
        place.advance(25);
        assert_eq!(place.at, (1 << 32) + 30, "what was made for the stream has places of its own");
    }
}
