//! DATE and DATETIME keys: moments on the calendar, without a time zone.
//!
//! A TIMESTAMP is no key: what it shows depends on the session's time zone.

use std::fmt;

use crate::sharding::key::KeyValue;
use crate::sharding::key::literal::{Bounded, KeyLiteral, Match, Side};

const DAY: i64 = 86_400_000_000;

/// A moment of the years 1 to 9999, to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Microseconds since the beginning of 1970-01-01.
    micros: i64,
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// 1 to 9999.
    pub year: i32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
}

impl Moment {
    /// The moment, if the calendar and the clock have it: no zero dates, no 30th of February.
    #[must_use]
    pub fn new([year, month, day]: [u32; 3], [hour, minute, second]: [u32; 3], micros: u32) -> Option<Self> {
        let date = Date::new(i32::try_from(year).ok()?, month, day)?;
        if hour > 23 || minute > 59 || second > 59 || micros > 999_999 {
            return None;
        }
        let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
        Some(Self { micros: date.days() * DAY + seconds * 1_000_000 + i64::from(micros) })
    }

    /// The beginning of a day, counted from 1970-01-01.
    pub(crate) const fn of_day(days: i64) -> Self {
        Self { micros: days * DAY }
    }

    /// Microseconds since the beginning of 1970-01-01.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.micros
    }

    /// The day, counted from 1970-01-01.
    #[must_use]
    pub const fn days(self) -> i64 {
        self.micros.div_euclid(DAY)
    }

    /// Its day.
    #[must_use]
    pub fn date(self) -> Date {
        Date::of_days(self.days())
    }

    /// Reads what MySQL reads without a warning: `2016-03-04`, `2016-3-4 10:00`, `2016/03/04`,
    /// `2016-03-04T10:00:00.5`, `20160304`, `20160304100000`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim_matches(' ');
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::of_digits(text.parse().ok()?, text.len());
        }
        let (date, time) = match text.find([' ', 'T']) {
            Some(end) => (&text[..end], Some(&text[end + 1..])),
            None => (text, None),
        };
        let separator = date.chars().find(|c| !c.is_ascii_digit()).filter(|c| "-/.".contains(*c))?;
        let date = numbers::<3>(date, separator)?;
        if date[0] < 100 {
            return None;
        }
        let Some(time) = time else { return Self::new(date, [0; 3], 0) };
        let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
        let time = match time.matches(':').count() {
            1 => numbers::<2>(time, ':').map(|[hour, minute]| [hour, minute, 0])?,
            _ => numbers::<3>(time, ':')?,
        };
        if fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let micros = format!("{fraction:0<6}").parse().ok()?;
        Self::new(date, time, micros)
    }

    /// `20160304` or `20160304100000`.
    fn of_digits(number: u64, digits: usize) -> Option<Self> {
        let part = |below: u64, size: u64| (number / below % size) as u32;
        match digits {
            8 => Self::new([part(10_000, 10_000), part(100, 100), part(1, 100)], [0; 3], 0),
            14 => Self::new(
                [part(10_000_000_000, 10_000), part(100_000_000, 100), part(1_000_000, 100)],
                [part(10_000, 100), part(100, 100), part(1, 100)],
                0,
            ),
            _ => None,
        }
    }
}

/// As MySQL writes it.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)?;
        let micros = self.micros.rem_euclid(DAY);
        if micros == 0 {
            return Ok(());
        }
        let seconds = micros / 1_000_000;
        write!(f, " {:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)?;
        match micros % 1_000_000 {
            0 => Ok(()),
            fraction => write!(f, ".{fraction:06}"),
        }
    }
}

impl Date {
    /// The day, if the calendar has it.
    #[must_use]
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        let real = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && day >= 1
            && day <= days_of_month(year, month);
        real.then_some(Self { year, month, day })
    }

    /// Days since 1970-01-01 of the proleptic Gregorian calendar, which is MySQL's.
    #[must_use]
    pub fn days(self) -> i64 {
        // Years that begin in March end with the leap day.
        let (year, month) =
            if self.month > 2 { (self.year, self.month - 3) } else { (self.year - 1, self.month + 9) };
        let year = i64::from(year);
        let day_of_year = i64::from((153 * month + 2) / 5 + self.day - 1);
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
    }

    /// The day that is so many after 1970-01-01.
    #[must_use]
    pub fn of_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Self { year: (era * 400 + year_of_era + carry) as i32, month: month as u32, day: day as u32 }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn days_of_month(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// `N` numbers of at most four digits between `separator`s.
fn numbers<const N: usize>(text: &str, separator: char) -> Option<[u32; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for number in &mut numbers {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 4 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn value(literal: &KeyLiteral<'_>) -> Option<Moment> {
    match literal {
        KeyLiteral::Moment(moment) => Some(*moment),
        KeyLiteral::Text(text) => Moment::parse(text),
        KeyLiteral::Integer(number) => {
            let number = u64::try_from(*number).ok()?;
            Moment::of_digits(number, number.checked_ilog10()? as usize + 1)
        }
        KeyLiteral::Null
        | KeyLiteral::Decimal(_)
        | KeyLiteral::Double(_)
        | KeyLiteral::Binary(_)
        | KeyLiteral::Opaque => None,
    }
}

/// What a column keeps of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    Day,
    Time,
}

/// What a column is compared with. Of a DATE and a number with a time, MySQL leaves the time out and MariaDB
/// does not.
fn compared(precision: Precision, literal: &KeyLiteral<'_>) -> Option<Moment> {
    let moment = value(literal)?;
    let timed = moment.micros.rem_euclid(DAY) != 0;
    let unsure = precision == Precision::Day && timed && matches!(literal, KeyLiteral::Integer(_));
    (!unsure).then_some(moment)
}

/// A literal of finer time than the column is equal to nothing in it; asking the slot of its day is enough.
pub(super) fn equal_to<'a>(precision: Precision, literal: &KeyLiteral<'a>) -> Match<'a> {
    compared(precision, literal).map_or(Match::Unknown, |moment| Match::Exactly(KeyValue::Moment(moment)))
}

pub(super) fn bounded_by<'a>(precision: Precision, literal: &KeyLiteral<'a>, side: Side) -> Bounded<'a> {
    let Some(moment) = compared(precision, literal) else { return Bounded::Unknown };
    match side {
        Side::Below | Side::Above => Bounded::Exclusive(KeyValue::Moment(moment)),
        Side::AtMost | Side::AtLeast => Bounded::Inclusive(KeyValue::Moment(moment)),
    }
}

/// `digits` of a second's fraction are stored; None stores the day alone. More are rounded, or cut off
/// (TIME_TRUNCATE_FRACTIONAL): the result is on the same day unless it is its last second.
pub(super) fn stored<'a>(literal: &KeyLiteral<'a>, digits: Option<u8>) -> Option<KeyValue<'a>> {
    let moment = value(literal)?;
    let Some(digits) = digits else {
        return (moment.micros.rem_euclid(DAY) == 0).then_some(KeyValue::Moment(moment));
    };
    let unit = 10_i64.pow(6 - u32::from(digits.min(6)));
    let cut = moment.micros - moment.micros.rem_euclid(unit);
    let same_day = (cut + unit).div_euclid(DAY) == cut.div_euclid(DAY);
    (cut == moment.micros || same_day).then_some(KeyValue::Moment(Moment { micros: cut }))
}
