//! Where time comes from.

use core::sync::atomic::{AtomicI64, Ordering};
use core::time::Duration;

use guestlist_types::Timestamp;

/// Tells the time. Everything below the facade takes it as an argument.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        use std::time::{SystemTime, UNIX_EPOCH};
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(0) + since
    }
}

/// A clock that stands still until it is moved. For tests.
///
/// ```
/// # use guestlist::{Clock, ManualClock, Timestamp};
/// # use core::time::Duration;
/// let clock = ManualClock::at(Timestamp::from_micros(0));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), Timestamp::from_micros(1_000_000));
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at this time.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_micros()))
    }

    /// Moves the clock to this time, also backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_micros(), Ordering::SeqCst);
    }

    /// Moves the clock forwards.
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// Tells two commands of one process apart that happen within one tick of its clock, so that "a
/// token issued after the removal" means something. A clock that steps back is followed: the core
/// keeps it from reviving anything.
#[derive(Debug, Default)]
pub(crate) struct Ticks(AtomicI64);

impl Ticks {
    pub(crate) fn now(&self, clock: &dyn Clock) -> Timestamp {
        const TICK: i64 = 1_000_000;
        let now = clock.now().as_micros();
        let last = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| {
                let ahead = last.saturating_sub(now);
                Some(if (0..TICK).contains(&ahead) {
                    last.saturating_add(1)
                } else {
                    now
                })
            })
            .unwrap_or(now);
        let ahead = last.saturating_sub(now);
        Timestamp::from_micros(if (0..TICK).contains(&ahead) {
            last.saturating_add(1)
        } else {
            now
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_told_apart_and_steps_back_are_followed() {
        let clock = ManualClock::at(Timestamp::from_micros(10_000_000));
        let ticks = Ticks::default();
        let first = ticks.now(&clock);
        assert!(ticks.now(&clock).is_after(first));
        clock.set(Timestamp::from_micros(1_000));
        assert_eq!(ticks.now(&clock), Timestamp::from_micros(1_000));
    }
}
