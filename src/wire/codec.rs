//! The protocol's basic types: fixed and length-encoded integers and strings, read from a payload or
//! appended to one.

/// A payload that does not hold what its type demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed packet: {0}")]
pub struct Malformed(pub &'static str);

/// Reads basic types from the front of a payload; every method checks its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the first byte of `payload`.
    #[must_use]
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Malformed("unexpected end"))?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed("unexpected end"))?;
        self.rest = tail;
        Ok(*head)
    }

    /// `int<1>`
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// `int<2>`
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// `int<3>`
    pub fn u24(&mut self) -> Result<u32, Malformed> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    /// `int<4>`
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// `int<8>`
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// `int<lenenc>`; 0xFB (NULL) and 0xFF (error) are not integers.
    pub fn lenenc(&mut self) -> Result<u64, Malformed> {
        match self.u8()? {
            n @ 0..=0xFA => Ok(u64::from(n)),
            0xFC => Ok(u64::from(self.u16()?)),
            0xFD => Ok(u64::from(self.u24()?)),
            0xFE => self.u64(),
            _ => Err(Malformed("not a length-encoded integer")),
        }
    }

    /// `string<lenenc>`
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let n = usize::try_from(self.lenenc()?).map_err(|_| Malformed("length overflows"))?;
        self.bytes(n)
    }

    /// `string<NUL>`, without its NUL.
    pub fn nul_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let end = memchr::memchr(0, self.rest).ok_or(Malformed("no terminating NUL"))?;
        let text = self.bytes(end)?;
        self.rest = &self.rest[1..];
        Ok(text)
    }

    /// `string<EOF>`
    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}

/// Appends basic types to a payload.
pub trait Writer {
    /// `int<2>`
    fn put_u16(&mut self, n: u16);
    /// `int<3>`
    fn put_u24(&mut self, n: u32);
    /// `int<4>`
    fn put_u32(&mut self, n: u32);
    /// `int<8>`
    fn put_u64(&mut self, n: u64);
    /// `int<lenenc>`
    fn put_lenenc(&mut self, n: u64);
    /// `string<lenenc>`
    fn put_lenenc_bytes(&mut self, text: &[u8]);
    /// `string<NUL>`
    fn put_nul_bytes(&mut self, text: &[u8]);
}

impl Writer for Vec<u8> {
    fn put_u16(&mut self, n: u16) {
        self.extend_from_slice(&n.to_le_bytes());
    }

    fn put_u24(&mut self, n: u32) {
        self.extend_from_slice(&n.to_le_bytes()[..3]);
    }

    fn put_u32(&mut self, n: u32) {
        self.extend_from_slice(&n.to_le_bytes());
    }

    fn put_u64(&mut self, n: u64) {
        self.extend_from_slice(&n.to_le_bytes());
    }

    fn put_lenenc(&mut self, n: u64) {
        match n {
            0..=0xFA => self.push(n as u8),
            0xFB..=0xFFFF => {
                self.push(0xFC);
                self.put_u16(n as u16);
            }
            0x1_0000..=0xFF_FFFF => {
                self.push(0xFD);
                self.put_u24(n as u32);
            }
            _ => {
                self.push(0xFE);
                self.put_u64(n);
            }
        }
    }

    fn put_lenenc_bytes(&mut self, text: &[u8]) {
        self.put_lenenc(text.len() as u64);
        self.extend_from_slice(text);
    }

    fn put_nul_bytes(&mut self, text: &[u8]) {
        self.extend_from_slice(text);
        self.push(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn length_encoded_integers_survive_a_round_trip() {
        for n in [0, 250, 251, 0xFFFF, 0x1_0000, 0xFF_FFFF, 0x100_0000, u64::MAX] {
            let mut payload = Vec::new();
            payload.put_lenenc(n);
            let mut reader = Reader::new(&payload);
            assert_eq!(reader.lenenc(), Ok(n));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn a_truncated_payload_is_an_error() {
        assert!(Reader::new(&[0xFC, 1]).lenenc().is_err());
        assert!(Reader::new(&[5, b'a']).lenenc_bytes().is_err());
        assert!(Reader::new(b"no end").nul_bytes().is_err());
    }

    proptest! {
        #[test]
        fn any_reading_of_random_bytes_ends(bytes in proptest::collection::vec(any::<u8>(), 0..64), ops: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            for op in ops {
                let before = reader.rest().len();
                let read = match op % 10 {
                    0 => reader.u8().map(drop),
                    1 => reader.u16().map(drop),
                    2 => reader.u24().map(drop),
                    3 => reader.u32().map(drop),
                    4 => reader.u64().map(drop),
                    5 => reader.lenenc().map(drop),
                    6 => reader.lenenc_bytes().map(drop),
                    7 => reader.nul_bytes().map(drop),
                    8 => reader.bytes(usize::MAX - usize::from(op)).map(drop),
                    _ => reader.bytes(usize::from(op)).map(drop),
                };
                prop_assert!(reader.rest().len() <= before);
                prop_assert!(read.is_err() || reader.rest().len() < before);
            }
        }
    }
}
