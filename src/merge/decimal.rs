//! DECIMAL sums and averages as the servers compute them: exact to 65 digits.
//!
//! A sum is an integer of 256 bits at the column's scale. Numbers that are only compared stay texts.

use std::cmp::Ordering;

use crate::merge::error::MergeError;
use crate::wire::Malformed;

/// Digits of a DECIMAL at most. Source: MySQL manual, "Precision Math".
const DIGITS_MAX: usize = 65;

/// The server divides in words of this many decimal digits. Source: `decimal.c` of both servers.
const WORD_DIGITS: usize = 9;

/// Digits that fit one step of reading or writing.
const CHUNK_DIGITS: usize = 18;

const NOT_DECIMAL: MergeError = MergeError::Malformed(Malformed("decimal that is none"));

/// A decimal without its scale, which is that of its column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// Least significant first.
    limbs: [u64; 4],
}

impl Decimal {
    /// Reads a decimal of at most `scale` digits behind the point.
    pub(crate) fn parse(text: &[u8], scale: usize) -> Result<Self, MergeError> {
        let (negative, whole, fraction) = parts(text)?;
        if fraction.len() > scale {
            return Err(NOT_DECIMAL);
        }
        let zeros = std::iter::repeat_n(b'0', scale - fraction.len());
        let digits = whole.iter().chain(fraction).copied().chain(zeros);
        let mut number = Self { negative, limbs: [0; 4] };
        let (mut chunk, mut length) = (0_u64, 0);
        for digit in digits {
            chunk = chunk * 10 + u64::from(digit - b'0');
            length += 1;
            if length == CHUNK_DIGITS {
                number.push(chunk, length)?;
                (chunk, length) = (0, 0);
            }
        }
        number.push(chunk, length)?;
        Ok(number)
    }

    /// Appends `length` decimal digits.
    fn push(&mut self, chunk: u64, length: usize) -> Result<(), MergeError> {
        let mut carry = u128::from(chunk);
        for limb in &mut self.limbs {
            carry += u128::from(*limb) * u128::from(10_u64.pow(length as u32));
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry == 0 { Ok(()) } else { Err(MergeError::Overflow) }
    }

    /// Adds another of the same scale.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), MergeError> {
        if self.negative == other.negative {
            let mut carry = false;
            for (limb, more) in self.limbs.iter_mut().zip(other.limbs) {
                let (sum, over) = limb.overflowing_add(more);
                let (sum, over_again) = sum.overflowing_add(u64::from(carry));
                (*limb, carry) = (sum, over || over_again);
            }
            return if carry { Err(MergeError::Overflow) } else { Ok(()) };
        }
        let (mut large, small) = if self.limbs.iter().rev().ge(other.limbs.iter().rev()) {
            (*self, other)
        } else {
            (*other, &*self)
        };
        let mut borrow = false;
        for (limb, less) in large.limbs.iter_mut().zip(small.limbs) {
            let (rest, under) = limb.overflowing_sub(less);
            let (rest, under_again) = rest.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (rest, under || under_again);
        }
        *self = large;
        Ok(())
    }

    /// Its digits, without sign and leading zeros.
    fn digits(&self) -> String {
        let mut limbs = self.limbs;
        let mut chunks = Vec::new();
        while limbs != [0; 4] {
            let mut rest = 0_u128;
            for limb in limbs.iter_mut().rev() {
                rest = (rest << 64) | u128::from(*limb);
                let divisor = u128::from(10_u64.pow(CHUNK_DIGITS as u32));
                *limb = (rest / divisor) as u64;
                rest %= divisor;
            }
            chunks.push(rest as u64);
        }
        let mut digits = chunks.pop().map(|first| first.to_string()).unwrap_or_default();
        for chunk in chunks.iter().rev() {
            digits.push_str(&format!("{chunk:018}"));
        }
        digits
    }

    /// As a server writes it.
    pub(crate) fn to_text(self, scale: usize) -> Result<String, MergeError> {
        written(self.negative, &self.digits(), scale)
    }

    /// The quotient by a count, with `decimals` digits behind the point: as a server's AVG has it. It cuts
    /// the quotient off at a whole word and rounds that half up.
    pub(crate) fn average(self, scale: usize, count: u64, decimals: usize) -> Result<String, MergeError> {
        let kept = decimals.max(scale).div_ceil(WORD_DIGITS) * WORD_DIGITS;
        let mut dividend = self.digits();
        dividend.extend(std::iter::repeat_n('0', kept - scale));
        let (mut quotient, mut rest) = (String::new(), 0_u128);
        for digit in dividend.bytes() {
            rest = rest * 10 + u128::from(digit - b'0');
            quotient.push(char::from(b'0' + (rest / u128::from(count.max(1))) as u8));
            rest %= u128::from(count.max(1));
        }
        let cut = quotient.len().saturating_sub(kept - decimals);
        let up = kept > decimals && quotient.as_bytes().get(cut).is_some_and(|digit| *digit >= b'5');
        quotient.truncate(cut);
        let mut rounded = Self::parse(if quotient.is_empty() { b"0" } else { quotient.as_bytes() }, 0)?;
        if up {
            rounded.add(&Self { negative: false, limbs: [1, 0, 0, 0] })?;
        }
        written(self.negative, &rounded.digits(), decimals)
    }
}

/// Sign, whole part and fraction of a decimal.
fn parts(text: &[u8]) -> Result<(bool, &[u8], &[u8]), MergeError> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    let is_number = whole.len() + fraction.len() > 0 && whole.iter().chain(fraction).all(u8::is_ascii_digit);
    if is_number { Ok((negative, whole, fraction)) } else { Err(NOT_DECIMAL) }
}

fn written(negative: bool, digits: &str, scale: usize) -> Result<String, MergeError> {
    let whole = digits.len().saturating_sub(scale);
    if digits.len() > DIGITS_MAX && whole > 0 {
        return Err(MergeError::Overflow);
    }
    let mut text = String::with_capacity(digits.len() + 3);
    if negative && !digits.is_empty() {
        text.push('-');
    }
    text.push_str(if whole == 0 { "0" } else { &digits[..whole] });
    if scale > 0 {
        text.push('.');
        text.extend(std::iter::repeat_n('0', scale - (digits.len() - whole)));
        text.push_str(&digits[whole..]);
    }
    Ok(text)
}

/// Compares two decimals by value; they may have different scales.
pub(crate) fn compare(left: &[u8], right: &[u8]) -> Result<Ordering, MergeError> {
    let (left, right) = (Sized::of(left)?, Sized::of(right)?);
    Ok(match (left.sign, right.sign) {
        (a, b) if a != b => a.cmp(&b),
        (0, _) => Ordering::Equal,
        (1, _) => left.magnitude(&right),
        _ => right.magnitude(&left),
    })
}

/// The one text of all decimals of a value.
pub(crate) fn canonical(text: &[u8]) -> Result<Vec<u8>, MergeError> {
    let number = Sized::of(text)?;
    let sign: &[u8] = if number.sign < 0 { b"-" } else { b"" };
    Ok([sign, number.whole, b".", number.fraction].concat())
}

/// A decimal without meaningless zeros.
struct Sized<'a> {
    sign: i8,
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Sized<'a> {
    fn of(text: &'a [u8]) -> Result<Self, MergeError> {
        let (negative, whole, fraction) = parts(text)?;
        let first = whole.iter().position(|digit| *digit != b'0').unwrap_or(whole.len());
        let last = fraction.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        let (whole, fraction) = (&whole[first..], &fraction[..last]);
        let sign = match (whole.is_empty() && fraction.is_empty(), negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        Ok(Self { sign, whole, fraction })
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        let length = self.whole.len().cmp(&other.whole.len());
        length.then_with(|| self.whole.cmp(other.whole)).then_with(|| self.fraction.cmp(other.fraction))
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

    use super::{Decimal, canonical, compare};

    fn sum(texts: &[&str], scale: usize) -> String {
        let mut sum = Decimal::default();
        for text in texts {
            sum.add(&Decimal::parse(text.as_bytes(), scale).unwrap()).unwrap();
        }
        sum.to_text(scale).unwrap()
    }

    #[test]
    fn sums_are_exact() {
        assert_eq!(sum(&["0.10", "0.20"], 2), "0.30");
        assert_eq!(sum(&["-0.10", "0.10"], 2), "0.00");
        assert_eq!(sum(&["1", "-2.5"], 1), "-1.5");
        assert_eq!(sum(&["-0.05"], 2), "-0.05");
        let nines = "9".repeat(64);
        assert_eq!(sum(&[&nines, "1"], 0), format!("1{}", "0".repeat(64)));
        let many = Decimal::parse("9".repeat(65).as_bytes(), 0).unwrap();
        let mut over = many;
        over.add(&many).unwrap();
        assert!(over.to_text(0).is_err(), "66 digits");
        assert!(Decimal::parse(b"12x", 0).is_err());
        assert!(Decimal::parse(b"", 0).is_err());
    }

    #[test]
    fn averages_are_cut_at_a_word_and_then_rounded() {
        let average = |text: &str, scale, count, decimals| {
            Decimal::parse(text.as_bytes(), scale).unwrap().average(scale, count, decimals).unwrap()
        };
        assert_eq!(average("2", 0, 3, 4), "0.6667");
        assert_eq!(average("-2", 0, 3, 4), "-0.6667");
        assert_eq!(average("6.00002", 5, 3, 9), "2.000006666", "nine digits are one word: nothing to round");
        assert_eq!(average("0.00", 2, 7, 6), "0.000000");
        assert_eq!(average("1", 0, 2, 0), "0", "no digits behind the point: cut off");
    }

    proptest! {
        #[test]
        fn small_numbers_add_and_compare_like_integers(a in any::<i64>(), b in any::<i64>(), scale in 0_usize..18) {
            let text = |n: i128| {
                let digits = format!("{:0width$}", n.unsigned_abs(), width = scale + 1);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                let sign = if n < 0 { "-" } else { "" };
                if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
            };
            let (left, right) = (text(a.into()), text(b.into()));
            prop_assert_eq!(sum(&[&left, &right], scale), text(i128::from(a) + i128::from(b)));
            prop_assert_eq!(compare(left.as_bytes(), right.as_bytes()).unwrap(), a.cmp(&b));
        }

        #[test]
        fn trailing_zeros_do_not_matter(n in "-?[0-9]{1,40}\\.[0-9]{1,20}".prop_map(|n| n), zeros in 0_usize..9) {
            let longer = format!("{n}{}", "0".repeat(zeros));
            prop_assert_eq!(compare(n.as_bytes(), longer.as_bytes()).unwrap(), Ordering::Equal);
            prop_assert_eq!(canonical(n.as_bytes()).unwrap(), canonical(longer.as_bytes()).unwrap());
        }
    }
}
