//! The parameters of an execution as the planner reads them, and an execution of some of them.

use std::sync::Arc;

use crate::engine::error::EngineError;
use crate::engine::parameters::{ParameterLayout, skip_value};
use crate::sharding::{Bind, KeyLiteral, Moment};
use crate::wire::{Malformed, Reader, Writer, code, column_type};

/// The high bit of a parameter's type.
const UNSIGNED: u16 = 0x8000;

/// One bound parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bound<'a> {
    /// As the client sent it: type and UNSIGNED.
    kind: u16,
    /// Encoded; `None` for NULL.
    value: Option<&'a [u8]>,
}

/// All parameters of one execution.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters<'a> {
    bound: Vec<Bound<'a>>,
    types: Option<&'a [u8]>,
}

impl<'a> Parameters<'a> {
    /// Reads the payload of an execution. `known`: the types of an earlier one; `attributes`: query
    /// attributes were agreed on.
    pub(crate) fn read(
        payload: &'a [u8],
        declared: u16,
        known: Option<&'a [u8]>,
        attributes: bool,
    ) -> Result<Self, Malformed> {
        let (head, parameters) = payload.split_at_checked(10).ok_or(Malformed("unexpected end"))?;
        let counted = head[5] & 0x08 != 0;
        let Some(layout) = ParameterLayout::find(parameters, declared, attributes, counted)? else {
            return Ok(Self { bound: Vec::new(), types: None });
        };
        let sent = layout.types.clone().map(|types| &parameters[types]);
        let types = sent.or(known).ok_or(Malformed("execution without types"))?;
        let values = layout.types.map_or(layout.flag + 1, |types| types.end);
        let nulls = &parameters[layout.flag - layout.count.div_ceil(8)..layout.flag];
        let mut types = Reader::new(types);
        let mut reader = Reader::new(parameters.get(values..).ok_or(Malformed("unexpected end"))?);
        let mut bound = Vec::with_capacity(layout.count);
        for n in 0..layout.count {
            let kind = types.u16()?;
            if attributes {
                types.lenenc_bytes()?;
            }
            let null = nulls[n / 8] & (1 << (n % 8)) != 0;
            let before = reader.rest();
            if !null {
                skip_value(&mut reader, kind as u8)?;
            }
            let value = &before[..before.len() - reader.rest().len()];
            bound.push(Bound { kind, value: (!null).then_some(value) });
        }
        // What follows them are query attributes.
        bound.truncate(usize::from(declared));
        Ok(Self { bound, types: sent })
    }

    /// The types that came along, if any did.
    pub(crate) const fn types(&self) -> Option<&'a [u8]> {
        self.types
    }

    /// The types of all, one after the other: a statement that was executed with others may compare
    /// otherwise.
    pub(crate) fn kinds(&self) -> Arc<[u8]> {
        self.bound.iter().flat_map(|bound| bound.kind.to_le_bytes()).collect()
    }

    /// As the planner reads them.
    pub(crate) fn literals(&self) -> Vec<KeyLiteral<'a>> {
        self.bound.iter().map(Bound::literal).collect()
    }

    /// The same with ids between them. `ids`: the encoded ones among `binds`, in their order.
    pub(crate) fn with_ids<'b>(&self, binds: &[Bind], ids: &'b [[u8; 8]]) -> Parameters<'b>
    where
        'a: 'b,
    {
        let mut ids = ids.iter();
        let bind = |bind: &Bind| match bind {
            Bind::Sent(number) => self.bound.get(*number as usize).copied(),
            Bind::Id(_) => {
                let kind = u16::from(column_type::LONGLONG) | UNSIGNED;
                Some(Bound { kind, value: Some(&ids.next()?[..]) })
            }
        };
        Parameters { bound: binds.iter().filter_map(bind).collect(), types: None }
    }

    /// The payload of an execution of a server's statement with these parameters but those `left_out`.
    pub(crate) fn execution(&self, statement: u32, left_out: &[u32], attributes: bool) -> Vec<u8> {
        let kept = (0_u32..).zip(&self.bound).filter(|(n, _)| !left_out.contains(n));
        let kept: Vec<&Bound<'_>> = kept.map(|(_, bound)| bound).collect();
        let mut payload = vec![code::STMT_EXECUTE];
        payload.put_u32(statement);
        payload.push(0);
        payload.put_u32(1);
        if kept.is_empty() {
            return payload;
        }
        if attributes {
            payload.put_lenenc(kept.len() as u64);
        }
        let mut nulls = vec![0_u8; kept.len().div_ceil(8)];
        for (n, bound) in kept.iter().enumerate().filter(|(_, bound)| bound.value.is_none()) {
            nulls[n / 8] |= u8::from(bound.value.is_none()) << (n % 8);
        }
        payload.extend_from_slice(&nulls);
        payload.push(1);
        for bound in &kept {
            payload.put_u16(bound.kind);
            if attributes {
                payload.put_lenenc_bytes(b"");
            }
        }
        kept.iter().filter_map(|bound| bound.value).for_each(|value| payload.extend_from_slice(value));
        payload
    }
}

impl<'a> Bound<'a> {
    fn literal(&self) -> KeyLiteral<'a> {
        let Some(value) = self.value else { return KeyLiteral::Null };
        self.read(value).unwrap_or(KeyLiteral::Opaque)
    }

    fn read(&self, value: &'a [u8]) -> Result<KeyLiteral<'a>, Malformed> {
        use column_type as is;
        let mut reader = Reader::new(value);
        let unsigned = self.kind & UNSIGNED != 0;
        let kind = self.kind as u8;
        Ok(match kind {
            is::NULL => KeyLiteral::Null,
            is::TINY | is::SHORT | is::YEAR | is::LONG | is::INT24 | is::LONGLONG => {
                let negative = !unsigned && value.last().is_some_and(|byte| *byte >= 0x80);
                let mut wide = [if negative { 0xFF } else { 0 }; 16];
                let low = wide.get_mut(..value.len()).ok_or(Malformed("integer"))?;
                low.copy_from_slice(value);
                KeyLiteral::Integer(i128::from_le_bytes(wide))
            }
            is::FLOAT => KeyLiteral::Double(f64::from(f32::from_bits(reader.u32()?))),
            is::DOUBLE => KeyLiteral::Double(f64::from_bits(reader.u64()?)),
            is::DECIMAL | is::NEWDECIMAL => KeyLiteral::Decimal(reader.lenenc_bytes()?),
            is::VARCHAR | is::VAR_STRING | is::STRING => KeyLiteral::Text(reader.lenenc_bytes()?),
            is::TINY_BLOB..=is::BLOB => KeyLiteral::Binary(reader.lenenc_bytes()?),
            is::DATE | is::DATETIME | is::TIMESTAMP => {
                moment(value).map_or(KeyLiteral::Opaque, KeyLiteral::Moment)
            }
            _ => KeyLiteral::Opaque,
        })
    }
}

/// A point in time of the binary protocol, its length first.
fn moment(value: &[u8]) -> Option<Moment> {
    let mut parts = [0_u8; 11];
    let fields = value.get(1..)?;
    parts.get_mut(..fields.len())?.copy_from_slice(fields);
    let [y, z, month, day, hour, minute, second, micros @ ..] = parts;
    let date = [u32::from(u16::from_le_bytes([y, z])), u32::from(month), u32::from(day)];
    let time = [u32::from(hour), u32::from(minute), u32::from(second)];
    Moment::new(date, time, u32::from_le_bytes(micros))
}

/// An execution that is not well formed.
pub(crate) fn malformed(_: Malformed) -> EngineError {
    EngineError::refused(1835, "HY000", "Malformed communication packet.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::Parameters;
    use crate::sharding::KeyLiteral;

    #[test]
    fn parameters_are_read_by_their_types_and_sent_on_without_those_that_are_gone() {
        // NULL, BIGINT -2, TINYINT UNSIGNED 255, VARCHAR '7'.
        let mut sent = vec![0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0b0001, 1, 6, 0, 8, 0, 1, 0x80, 253, 0];
        sent.extend_from_slice(&(-2_i64).to_le_bytes());
        sent.extend_from_slice(&[255, 1, b'7']);
        let parameters = Parameters::read(&sent, 4, None, false).unwrap();
        let literals = parameters.literals();
        assert_eq!(
            literals,
            [KeyLiteral::Null, KeyLiteral::Integer(-2), KeyLiteral::Integer(255), KeyLiteral::Text(b"7")]
        );
        for attributes in [false, true] {
            let execution = parameters.execution(9, &[1], attributes);
            let again = Parameters::read(&execution, 3, None, attributes).unwrap();
            assert_eq!(again.literals(), [literals[0], literals[2], literals[3]]);
        }
        let untyped = [0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 5, 0, 0, 0];
        let again = Parameters::read(&untyped, 1, Some(&[3, 0]), false).unwrap();
        assert_eq!(again.literals(), [KeyLiteral::Integer(5)], "by the types of an execution before");
    }

    proptest! {
        #[test]
        fn random_parameters_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), declared in 0_u16..12) {
            if let Ok(parameters) = Parameters::read(&bytes, declared, Some(&[8, 0, 8, 0]), declared % 2 == 1) {
                let _ = parameters.literals();
            }
        }
    }
}
