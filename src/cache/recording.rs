//! A reply as its client is sent it, copied as it passes by.

/// See the module's text. Beyond its bound it keeps nothing.
#[derive(Debug)]
pub struct Recording {
    bytes: Vec<u8>,
    bytes_max: usize,
    whole: bool,
}

impl Recording {
    /// Of at most so many bytes.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max, whole: true }
    }

    /// These bytes are sent.
    pub fn push(&mut self, bytes: &[u8]) {
        self.whole &= self.bytes.len() + bytes.len() <= self.bytes_max;
        if self.whole {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.bytes = Vec::new();
        }
    }

    /// The reply, if it was recorded whole and answers a command: its first packet has number 1.
    #[must_use]
    pub fn finish(self) -> Option<Box<[u8]>> {
        (self.whole && self.bytes.get(3) == Some(&1)).then(|| self.bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_not_kept() {
        let check = |pieces: &[&[u8]], expected: Option<&[u8]>| {
            let mut recording = Recording::new(8);
            pieces.iter().for_each(|piece| recording.push(piece));
            assert_eq!(recording.finish().as_deref(), expected);
        };
        check(&[b"\x01\0\0\x01", b"abcd"], Some(b"\x01\0\0\x01abcd"));
        check(&[b"\x01\0\0\x01", b"abcde", b"f"], None);
        check(&[b"\x01\0\0\x02abc"], None);
        check(&[], None);
    }
}
