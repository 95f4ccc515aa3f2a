//! The parameters of COM_STMT_EXECUTE, as far as a multiplexer must know them: where the types are, and
//! how long a value is.

use crate::wire::{Malformed, Reader};

/// Where the interesting parts of an execution's parameters are: byte offsets into the payload after
/// the iteration count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterLayout {
    /// The new-params-bound flag.
    pub flag: usize,
    /// The types (and, with query attributes, names), if the flag is set.
    pub types: Option<std::ops::Range<usize>>,
    /// Parameters in this execution: those of the statement and, with query attributes, the attributes.
    pub count: usize,
}

impl ParameterLayout {
    /// Finds the parts. `parameters` is what follows the iteration count; `declared` the number of
    /// parameters of the statement; `attributes`: query attributes were negotiated, `counted`: and the
    /// client sent a parameter count. `None` if there are no parameters at all.
    /// Source: MySQL "COM_STMT_EXECUTE".
    pub fn find(
        parameters: &[u8],
        declared: u16,
        attributes: bool,
        counted: bool,
    ) -> Result<Option<Self>, Malformed> {
        let mut count = usize::from(declared);
        let mut reader = Reader::new(parameters);
        if attributes && (count > 0 || counted) {
            count = usize::try_from(reader.lenenc()?).map_err(|_| Malformed("parameter count"))?;
        }
        if count == 0 {
            return Ok(None);
        }
        if count > 0xFFFF + 0xFFFF {
            return Err(Malformed("too many parameters"));
        }
        reader.bytes(count.div_ceil(8))?;
        let flag = parameters.len() - reader.rest().len();
        if reader.u8()? == 0 {
            return Ok(Some(Self { flag, types: None, count }));
        }
        let start = flag + 1;
        for _ in 0..count {
            reader.u16()?;
            if attributes {
                reader.lenenc_bytes()?;
            }
        }
        let end = parameters.len() - reader.rest().len();
        Ok(Some(Self { flag, types: Some(start..end), count }))
    }
}

/// Bytes of a COM_STMT_BULK_EXECUTE before its types or rows: the command, the statement's id, flags.
pub(crate) const BULK_HEAD_BYTES: usize = 7;

/// Types of the parameters stand before the rows.
const BULK_SENDS_TYPES: u8 = 0x80;

/// Where the types are in the payload of a COM_STMT_BULK_EXECUTE of a statement with so many parameters; `None` if they
/// are those of the execution before. Source: MariaDB "COM_STMT_BULK_EXECUTE".
pub(crate) fn bulk_types(payload: &[u8], declared: u16) -> Result<Option<std::ops::Range<usize>>, Malformed> {
    let flags = payload.get(5).ok_or(Malformed("bulk execution without flags"))?;
    if flags & BULK_SENDS_TYPES == 0 {
        return Ok(None);
    }
    let end = BULK_HEAD_BYTES + 2 * usize::from(declared);
    if payload.len() < end {
        Err(Malformed("bulk execution without its types"))
    } else {
        Ok(Some(BULK_HEAD_BYTES..end))
    }
}

/// A COM_STMT_BULK_EXECUTE with its types.
pub(crate) fn with_bulk_types(payload: &[u8], types: &[u8]) -> Vec<u8> {
    let (head, rows) = payload.split_at(payload.len().min(BULK_HEAD_BYTES));
    let mut whole = [head, types, rows].concat();
    whole[5] |= BULK_SENDS_TYPES;
    whole
}

/// Steps over one binary value. Source: MySQL "Binary Protocol Value".
pub fn skip_value(reader: &mut Reader<'_>, kind: u8) -> Result<(), Malformed> {
    let fixed = match kind {
        0x06 => 0,
        0x01 => 1,
        0x02 | 0x0D => 2,
        0x03 | 0x04 | 0x09 => 4,
        0x05 | 0x08 => 8,
        0x07 | 0x0A | 0x0B | 0x0C | 0x11 | 0x12 | 0x13 => usize::from(reader.u8()?),
        _ => {
            reader.lenenc_bytes()?;
            0
        }
    };
    reader.bytes(fixed)?;
    Ok(())
}

/// The text behind the query attributes of a COM_QUERY. Source: MySQL "COM_QUERY", the part for
/// CLIENT_QUERY_ATTRIBUTES.
pub(crate) fn skip_attributes(payload: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(payload);
    let count = usize::try_from(reader.lenenc().ok()?).ok()?;
    reader.lenenc().ok()?;
    if count == 0 {
        return Some(reader.rest());
    }
    let nulls = reader.bytes(count.div_ceil(8)).ok()?.to_vec();
    reader.u8().ok()?;
    let mut types = Vec::new();
    for _ in 0..count {
        types.push(reader.u16().ok()?);
        reader.lenenc_bytes().ok()?;
    }
    for (n, kind) in types.into_iter().enumerate() {
        if nulls[n / 8] & (1 << (n % 8)) == 0 {
            skip_value(&mut reader, kind as u8).ok()?;
        }
    }
    Some(reader.rest())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_types_are_found() {
        let check = |parameters: &[u8], declared, attributes, expected| {
            assert_eq!(ParameterLayout::find(parameters, declared, attributes, attributes), Ok(expected));
        };
        check(&[], 0, false, None);
        check(&[0, 0], 1, false, Some(ParameterLayout { flag: 1, types: None, count: 1 }));
        check(
            &[0, 1, 8, 0, 253, 0, 1, 2],
            2,
            false,
            Some(ParameterLayout { flag: 1, types: Some(2..6), count: 2 }),
        );
        check(
            &[2, 0, 1, 8, 0, 0, 253, 0, 1, b'x', 9],
            1,
            true,
            Some(ParameterLayout { flag: 2, types: Some(3..10), count: 2 }),
        );
    }

    proptest! {
        #[test]
        fn random_query_attributes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(skip_attributes(&payload).is_none_or(|text| text.len() <= payload.len()));
        }

        #[test]
        fn types_of_a_bulk_execution_lie_within_it(
            payload in proptest::collection::vec(any::<u8>(), 0..40),
            declared in prop_oneof![0_u16..20, any::<u16>()],
        ) {
            let Ok(found) = bulk_types(&payload, declared) else { return Ok(()) };
            let Some(types) = found else {
                // What was left out can be put in, and is then found.
                let types = vec![8; 2 * usize::from(declared)];
                let whole = with_bulk_types(&payload, &types);
                prop_assert_eq!(whole.len(), payload.len() + types.len());
                if payload.len() >= BULK_HEAD_BYTES {
                    prop_assert_eq!(bulk_types(&whole, declared).map(|range| whole[range.unwrap()].to_vec()), Ok(types));
                }
                return Ok(());
            };
            prop_assert_eq!(payload[types].len(), 2 * usize::from(declared));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), declared: u16) {
            for attributes in [false, true] {
                let _ = ParameterLayout::find(&bytes, declared % 20, attributes, attributes);
            }
            let _ = skip_value(&mut Reader::new(&bytes), declared as u8);
        }
    }
}
