//! Connection attributes: what a client tells about itself at login (`program_name`, `_pid` …).

use crate::wire::Malformed;
use crate::wire::Reader;
use crate::wire::Writer;

/// Names and values in the order they came, kept in their wire form: one allocation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectAttributes {
    /// A sequence of `string<lenenc>` pairs, checked on the way in.
    pairs: Box<[u8]>,
}

impl ConnectAttributes {
    /// Bytes of all pairs together at most: MySQL refuses the login beyond ("artificial length limit
    /// of 64k" in `read_client_connect_attrs`).
    pub const BYTES_MAX: usize = 65_535;

    /// No attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one pair; one that would exceed [`Self::BYTES_MAX`] is left out.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let mut pairs = std::mem::take(&mut self.pairs).into_vec();
        let before = pairs.len();
        pairs.put_lenenc_bytes(name);
        pairs.put_lenenc_bytes(value);
        if pairs.len() > Self::BYTES_MAX {
            pairs.truncate(before);
        }
        self.pairs = pairs.into();
    }

    /// The pairs in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut reader = Reader::new(&self.pairs);
        std::iter::from_fn(move || Some((reader.lenenc_bytes().ok()?, reader.lenenc_bytes().ok()?)))
    }

    /// The value of the first pair called `name`.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Reads `int<lenenc>` and that many bytes of pairs; nothing left to read means no attributes.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        if reader.is_empty() {
            return Ok(Self::default());
        }
        let pairs = reader.lenenc_bytes()?;
        if pairs.len() > Self::BYTES_MAX {
            return Err(Malformed("connection attributes exceed 64 KiB"));
        }
        let mut check = Reader::new(pairs);
        while !check.is_empty() {
            check.lenenc_bytes()?;
            check.lenenc_bytes()?;
        }
        Ok(Self { pairs: pairs.into() })
    }

    /// Appends them as [`Self::read`] reads them.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_lenenc_bytes(&self.pairs);
    }
}

impl std::fmt::Debug for ConnectAttributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes);
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_by_name_in_their_order() {
        let mut attributes = ConnectAttributes::new();
        attributes.push(b"_os", b"Linux");
        attributes.push(b"program_name", b"");
        assert_eq!(attributes.get(b"program_name"), Some(&b""[..]));
        assert_eq!(attributes.get(b"absent"), None);
        assert_eq!(attributes.iter().count(), 2);
    }

    #[test]
    fn attributes_beyond_64_kib_are_refused() {
        let mut payload = Vec::new();
        let mut pairs = Vec::new();
        pairs.put_lenenc_bytes(b"big");
        pairs.put_lenenc_bytes(&vec![b'x'; ConnectAttributes::BYTES_MAX]);
        payload.put_lenenc_bytes(&pairs);
        assert!(ConnectAttributes::read(&mut Reader::new(&payload)).is_err());

        let mut attributes = ConnectAttributes::new();
        attributes.push(b"big", &vec![b'x'; ConnectAttributes::BYTES_MAX]);
        assert!(attributes.is_empty());
    }

    #[test]
    fn a_pair_that_lies_about_its_length_is_refused() {
        assert!(ConnectAttributes::read(&mut Reader::new(&[3, 9, b'a', b'b'])).is_err());
        assert!(ConnectAttributes::read(&mut Reader::new(&[9, 1, b'a', 0])).is_err());
        assert!(ConnectAttributes::read(&mut Reader::new(&[2, 1, b'a'])).is_err());
    }
}
