//! A limit of concurrency that finds the knee by itself: where more statements at once only wait for each other.
//!
//! The signal is the stretch: how much longer statements take than the same digests take at their best. A
//! window of statements is judged as a whole, so a mix of fast and slow digests needs no tuning. Source of
//! the rule: the gradient of Netflix's `concurrency-limits`, here over digests instead of one latency.

use std::time::Duration;

use tokio::time::Instant;

/// Statements that take up to this many times their best are not held to wait for each other.
const TOLERANCE: f64 = 2.0;
/// A window is judged when it has this many statements and lasted this long.
const WINDOW_SAMPLES: u32 = 32;
const WINDOW: Duration = Duration::from_millis(50);
/// How much of the way to the new limit one window goes.
const SMOOTHING: f64 = 0.2;
/// Best times are forgotten after one to two of these: tables grow, caches warm.
const MEMORY: Duration = Duration::from_secs(30);
/// Under load that never ends, the best time of a digest is not seen any more. Every so often the limit is
/// halved for one window to look: at most 0.5 % of the throughput.
const PROBE: Duration = Duration::from_secs(10);
/// Digests whose best time is known, by the low bits of their hash.
const DIGESTS: usize = 512;

/// The best time of one digest, in nanoseconds; 0: none.
#[derive(Clone, Copy, Debug, Default)]
struct Best {
    hash: u64,
    now: u64,
    before: u64,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Adaptive {
    min: f64,
    max: f64,
    limit: f64,
    best: Box<[Best]>,
    /// Since when the best times of now are gathered.
    memory: Instant,
    window: Window,
    next_probe: Instant,
    probing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    samples: u32,
    took: f64,
    best: f64,
    running_max: u32,
}

impl Window {
    const fn new(now: Instant) -> Self {
        Self { since: now, samples: 0, took: 0.0, best: 0.0, running_max: 0 }
    }
}

impl Adaptive {
    /// A limit between `min` and `max`; it starts at `min` and learns upwards.
    #[must_use]
    pub fn new(min: u32, max: u32, now: Instant) -> Self {
        let min = f64::from(min.max(1));
        let max = f64::from(max).max(min);
        Self {
            min,
            max,
            limit: (4.0 * min).min(max),
            best: vec![Best::default(); DIGESTS].into(),
            memory: now,
            window: Window::new(now),
            next_probe: now + PROBE,
            probing: false,
        }
    }

    /// Other bounds; what was learnt stays.
    pub fn bound(&mut self, min: u32, max: u32) {
        self.min = f64::from(min.max(1));
        self.max = f64::from(max).max(self.min);
        self.limit = self.limit.clamp(self.min, self.max);
    }

    /// Statements at once.
    #[must_use]
    pub fn limit(&self) -> u32 {
        let limit = if self.probing { (self.limit / 2.0).max(self.min) } else { self.limit };
        limit as u32
    }

    /// A statement of `digest` was answered after `took` by the server; `running` ran beside it, itself included.
    pub fn sample(&mut self, now: Instant, digest: u64, took: Duration, running: u32) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        if now.saturating_duration_since(self.memory) >= MEMORY {
            self.memory = now;
            for best in &mut self.best {
                (best.before, best.now) = (best.now, 0);
            }
        }
        let best = self.best_of(digest, took);
        let window = &mut self.window;
        window.samples += 1;
        window.took += took as f64;
        window.best += best as f64;
        window.running_max = window.running_max.max(running);
        if window.samples >= WINDOW_SAMPLES && now.saturating_duration_since(window.since) >= WINDOW {
            self.judge(now);
        }
    }

    /// The best time of `digest`, which just took `took`.
    fn best_of(&mut self, digest: u64, took: u64) -> u64 {
        let slot = &mut self.best[digest as usize % DIGESTS];
        if slot.hash != digest {
            // The place is taken by a digest that still comes: this one is judged by itself.
            if slot.now != 0 {
                return took;
            }
            *slot = Best { hash: digest, now: took, before: 0 };
        }
        slot.now = if slot.now == 0 { took } else { slot.now.min(took) };
        if slot.before == 0 { slot.now } else { slot.now.min(slot.before) }
    }

    fn judge(&mut self, now: Instant) {
        let window = std::mem::replace(&mut self.window, Window::new(now));
        if self.probing {
            // What this window was for are the best times that it showed.
            self.probing = false;
            return;
        }
        let stretch = window.took / window.best.max(1.0);
        let gradient = (TOLERANCE / stretch).clamp(0.5, 1.0);
        let room = self.limit.sqrt();
        let wanted = self.limit * gradient + room;
        let idle = f64::from(window.running_max) < self.limit / 2.0;
        // Few statements at once say nothing about many.
        if !(idle && wanted > self.limit) {
            let next = self.limit + (wanted - self.limit) * SMOOTHING;
            self.limit = next.clamp(self.min, self.max);
        }
        if now >= self.next_probe {
            self.next_probe = now + PROBE;
            self.probing = !idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that runs `knee` statements at once at full speed and shares itself among more, asked by
    /// `clients` who never pause. Returns the limit after `seconds`.
    fn run(adaptive: &mut Adaptive, clients: u32, knee: f64, took: [u64; 2], seconds: u64) -> u32 {
        let mut now = adaptive.window.since;
        let end = now + Duration::from_secs(seconds);
        let mut n = 0u64;
        while now < end {
            let running = clients.min(adaptive.limit());
            let stretch = (f64::from(running) / knee).max(1.0);
            n += 1;
            let digest = n % 2;
            // Some are luckier than others, as on a real server.
            let luck = 1.0 + (n * 7919 % 100) as f64 / 200.0;
            let micros = took[digest as usize] as f64 * stretch * luck;
            now += Duration::from_secs_f64(micros / 1e6 / f64::from(running));
            adaptive.sample(now, digest + 1, Duration::from_secs_f64(micros / 1e6), running);
        }
        adaptive.limit()
    }

    #[test]
    fn the_knee_is_found_from_below_and_kept() {
        for knee in [4.0, 16.0, 40.0] {
            let mut adaptive = Adaptive::new(2, 500, Instant::now());
            let found = f64::from(run(&mut adaptive, 1_000, knee, [200, 5_000], 60));
            assert!((knee..=4.0 * knee + 4.0).contains(&found), "knee {knee}: {found}");
            let later = f64::from(run(&mut adaptive, 1_000, knee, [200, 5_000], 300));
            assert!((knee..=4.0 * knee + 4.0).contains(&later), "knee {knee}, minutes later: {later}");
        }
    }

    #[test]
    fn a_server_that_slows_down_is_asked_for_less() {
        let mut adaptive = Adaptive::new(2, 500, Instant::now());
        let before = run(&mut adaptive, 1_000, 40.0, [200, 300], 30);
        let after = run(&mut adaptive, 1_000, 5.0, [200, 300], 5);
        assert!(after < before / 2, "from {before} to {after}");
    }

    #[test]
    fn few_clients_do_not_raise_the_limit() {
        let mut adaptive = Adaptive::new(8, 500, Instant::now());
        let before = adaptive.limit();
        assert_eq!(run(&mut adaptive, 3, 100.0, [200, 300], 30), before);
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let mut adaptive = Adaptive::new(3, 7, Instant::now());
        assert!(run(&mut adaptive, 1_000, 1_000.0, [200, 300], 30) == 7);
        assert!(run(&mut adaptive, 1_000, 0.1, [200, 300], 30) >= 3);
        adaptive.bound(10, 20);
        assert!((10..=20).contains(&adaptive.limit()));
    }
}
