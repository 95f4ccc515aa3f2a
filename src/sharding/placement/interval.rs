//! Intervals: one slot for each day, week, month or year, from a first one to a last one.

use std::ops::Bound;

use crate::sharding::key::{Date, KeyValue, Moment};
use crate::sharding::placement::Outcomes;

/// How long one slot lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// A day.
    Day,
    /// Seven days from Monday.
    Week,
    /// A month of the calendar.
    Month,
    /// A year.
    Year,
}

impl Every {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 4] =
        [("day", Self::Day), ("week", Self::Week), ("month", Self::Month), ("year", Self::Year)];

    /// The number of the period that a day is in: such that the next period has the next number.
    #[must_use]
    pub fn period(self, date: Date) -> i64 {
        match self {
            Self::Day => date.days(),
            // 1970-01-01 was a Thursday.
            Self::Week => (date.days() + 3).div_euclid(7),
            Self::Month => i64::from(date.year) * 12 + i64::from(date.month) - 1,
            Self::Year => i64::from(date.year),
        }
    }

    /// The first day of a period.
    #[must_use]
    pub fn first_day(self, period: i64) -> Date {
        match self {
            Self::Day => Date::of_days(period),
            Self::Week => Date::of_days(period * 7 - 3),
            Self::Month => {
                Date { year: period.div_euclid(12) as i32, month: period.rem_euclid(12) as u32 + 1, day: 1 }
            }
            Self::Year => Date { year: period as i32, month: 1, day: 1 },
        }
    }
}

/// Consecutive periods, the outcomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    every: Every,
    first: i64,
    count: u32,
}

impl Interval {
    /// `count` periods from the one that `from` is in.
    #[must_use]
    pub fn new(every: Every, from: Date, count: u32) -> Self {
        Self { every, first: every.period(from), count }
    }

    /// How many periods there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// How long each is.
    #[must_use]
    pub const fn every(&self) -> Every {
        self.every
    }

    /// The number of the period that a day is in, which is an outcome if it is from 0 to below the count.
    #[must_use]
    pub fn number(&self, date: Date) -> i64 {
        self.every.period(date) - self.first
    }

    /// The first day of the period with this outcome.
    #[must_use]
    pub fn first_day(&self, outcome: u32) -> Date {
        self.every.first_day(self.first + i64::from(outcome))
    }

    pub(super) fn outcome(&self, value: &KeyValue<'_>) -> Option<u32> {
        let KeyValue::Moment(moment) = value else { return None };
        let period = self.every.period(moment.date()) - self.first;
        u32::try_from(period).ok().filter(|outcome| *outcome < self.count)
    }

    pub(super) fn between(&self, lower: Bound<&KeyValue<'_>>, upper: Bound<&KeyValue<'_>>) -> Outcomes {
        let period = |moment: &Moment| self.every.period(moment.date()) - self.first;
        let first = match lower {
            Bound::Included(KeyValue::Moment(moment)) | Bound::Excluded(KeyValue::Moment(moment)) => {
                period(moment)
            }
            Bound::Unbounded => 0,
            Bound::Included(_) | Bound::Excluded(_) => return Outcomes::All,
        };
        let last = match upper {
            Bound::Included(KeyValue::Moment(moment)) => period(moment),
            // Up to, but not including, the first moment of a period leaves that period out.
            Bound::Excluded(KeyValue::Moment(moment)) => {
                let period = period(moment);
                let starts = Moment::of_day(self.every.first_day(period + self.first).days());
                if starts == *moment { period - 1 } else { period }
            }
            Bound::Unbounded => i64::MAX,
            Bound::Included(_) | Bound::Excluded(_) => return Outcomes::All,
        };
        let (first, last) = (first.max(0), last.min(i64::from(self.count) - 1));
        Outcomes::Some((first..=last).map(|period| period as u32).collect())
    }
}
