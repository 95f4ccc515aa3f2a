//! A histogram of durations with 32 buckets per power of two (bounds 3 % apart, so a quantile is
//! within 1.6 %), written by one thread in about 2 ns and read by any.

use std::time::Duration;

use crate::telemetry::cell::Counter;

/// Nanoseconds of one unit. 250, so that powers of two are round numbers of microseconds.
const UNIT_NANOS: u64 = 250;
/// Buckets per power of two, as a power of two.
const SUB_BITS: u32 = 5;
const SUB: usize = 1 << SUB_BITS;
/// 2^OCTAVES_MAX units are about 134 s; what is longer falls into the last bucket.
const OCTAVES_MAX: u32 = 29;
const BUCKETS: usize = (OCTAVES_MAX - SUB_BITS + 1) as usize * SUB + 1;

/// Bounds that a scrape shows, as powers of two of a unit: 16 µs to 67 s, with one step between.
const SHOWN_OCTAVES: std::ops::Range<u32> = 6..28;

/// Durations, counted. Owner writes, any thread reads.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[Counter]>,
    sum_nanos: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Counter::default()).collect(), sum_nanos: Counter::default() }
    }
}

impl Histogram {
    /// Counts `elapsed`. Owner only.
    #[inline]
    pub fn record(&self, elapsed: Duration) {
        let nanos = nanos(elapsed);
        self.buckets[bucket(nanos / UNIT_NANOS)].increment();
        self.sum_nanos.add(nanos);
    }

    /// Adds what this histogram holds to `sum`.
    pub fn add_to(&self, sum: &mut HistogramSum) {
        for (total, cell) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += cell.get();
        }
        sum.sum_nanos = sum.sum_nanos.wrapping_add(self.sum_nanos.get());
    }
}

/// Several histograms together, at one moment.
#[derive(Clone, Debug)]
pub struct HistogramSum {
    buckets: Vec<u64>,
    sum_nanos: u64,
}

impl Default for HistogramSum {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], sum_nanos: 0 }
    }
}

impl HistogramSum {
    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All durations together, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.sum_nanos as f64 / 1e9
    }

    /// The duration that the share `q` (0 to 1) of the counted ones does not exceed, within 1.6 %;
    /// nothing if nothing was counted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let index = self.buckets.iter().position(|n| {
            seen += n;
            seen >= rank
        })?;
        let middle = u64::midpoint(lower_bound(index), lower_bound(index + 1));
        Some(Duration::from_nanos(middle * UNIT_NANOS))
    }

    /// Upper bounds in seconds, each with the number of durations between it and the bound before;
    /// the last bound is infinite.
    #[must_use]
    pub fn shown(&self) -> Vec<(f64, u64)> {
        let mut shown = Vec::with_capacity(SHOWN_OCTAVES.len() * 2 + 1);
        let mut from = 0;
        for bound in SHOWN_OCTAVES.flat_map(|octave| [1 << octave, 3 << (octave - 1)]) {
            let until = bucket(bound);
            let seconds = (bound * UNIT_NANOS) as f64 / 1e9;
            shown.push((seconds, self.buckets[from..until].iter().sum()));
            from = until;
        }
        shown.push((f64::INFINITY, self.buckets[from..].iter().sum()));
        shown
    }
}

/// `elapsed` in nanoseconds; 584 years at most.
#[inline]
pub(super) fn nanos(elapsed: Duration) -> u64 {
    elapsed.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(elapsed.subsec_nanos()))
}

/// The bucket of a duration of `units`.
#[inline]
fn bucket(units: u64) -> usize {
    if units < SUB as u64 {
        return units as usize;
    }
    let octave = u64::BITS - 1 - units.leading_zeros();
    if octave >= OCTAVES_MAX {
        return BUCKETS - 1;
    }
    let step = (units >> (octave - SUB_BITS)) as usize & (SUB - 1);
    (octave - SUB_BITS + 1) as usize * SUB + step
}

/// The smallest number of units in bucket `index`.
fn lower_bound(index: usize) -> u64 {
    if index < SUB {
        return index as u64;
    }
    let octave = (index / SUB) as u32 + SUB_BITS - 1;
    (SUB as u64 + (index % SUB) as u64) << (octave - SUB_BITS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_are_where_buckets_change() {
        for index in 0..BUCKETS {
            assert_eq!(bucket(lower_bound(index)), index);
            if index > 0 {
                assert_eq!(bucket(lower_bound(index) - 1), index - 1);
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn every_duration_is_shown_once_and_below_its_bound() {
        let histogram = Histogram::default();
        for micros in [0, 5, 20, 1_000, 1_500, 2_000_000, 500_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut sum = HistogramSum::default();
        histogram.add_to(&mut sum);
        let shown = sum.shown();
        assert_eq!(shown.iter().map(|(_, n)| n).sum::<u64>(), sum.count());
        assert_eq!(sum.count(), 7);
        assert_eq!(shown[0], (16e-6, 2));
        assert_eq!(shown.last(), Some(&(f64::INFINITY, 1)));
        assert!((sum.seconds() - 502.002_525).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_quantile_of_equal_durations_is_that_duration(micros in 10u64..100_000_000) {
            let histogram = Histogram::default();
            histogram.record(Duration::from_micros(micros));
            let mut sum = HistogramSum::default();
            histogram.add_to(&mut sum);
            let median = sum.quantile(0.5).unwrap().as_secs_f64() * 1e6;
            prop_assert!((median / micros as f64 - 1.0).abs() < 0.017, "{median} for {micros}");
        }
    }
}
