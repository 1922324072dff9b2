//! When a webhook that was not delivered is tried again.

use core::time::Duration;

use guestlist_types::Timestamp;

use crate::transport::{Reply, TransportError};

/// The longest that an endpoint can ask to be left alone.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What part of a delay is added at most, so that webhooks that failed together don't come back
/// together.
const JITTER_PART: u32 = 10;

/// The example of the specification: ten attempts in a little more than three days.
const DEFAULT: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(5 * 60 * 60),
    Duration::from_secs(10 * 60 * 60),
    Duration::from_secs(14 * 60 * 60),
    Duration::from_secs(20 * 60 * 60),
    Duration::from_secs(24 * 60 * 60),
];

/// What became of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a further outcome must break every match"
)]
pub enum Outcome {
    /// The endpoint has it: 200 to 299.
    Delivered,
    /// The endpoint wants no more webhooks: 410.
    Gone,
    /// Anything else. Also 300 to 399: a redirect is not followed, its owner changes the URL.
    Failed {
        /// How long the endpoint asks to be left alone.
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// What an attempt came to.
    #[must_use]
    pub const fn of(attempt: &Result<Reply, TransportError>) -> Self {
        match attempt {
            Ok(reply) => match reply.status {
                200..=299 => Self::Delivered,
                410 => Self::Gone,
                _ => Self::Failed {
                    retry_after: reply.retry_after,
                },
            },
            Err(_) => Self::Failed { retry_after: None },
        }
    }
}

/// What is to be done after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(
    clippy::exhaustive_enums,
    reason = "a further answer must break every match"
)]
pub enum Next {
    /// Nothing: the webhook is delivered.
    Done,
    /// Try again, not before this time.
    At(Timestamp),
    /// Nothing more: every attempt was made. Tell the endpoint's owner in another way.
    Dead,
    /// Nothing more, and disable the endpoint: it wants no more webhooks.
    Disable,
}

/// How long to wait before each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule {
    delays: Vec<Duration>,
}

impl RetrySchedule {
    /// A schedule of as many attempts as there are delays; each delay is that before its attempt,
    /// the first one mostly zero.
    ///
    /// ```
    /// # use guestlist_webhooks::RetrySchedule;
    /// # use core::time::Duration;
    /// let twice = RetrySchedule::new([Duration::ZERO, Duration::from_secs(60)]);
    /// assert_eq!(twice.attempts(), 2);
    /// ```
    pub fn new(delays: impl IntoIterator<Item = Duration>) -> Self {
        Self {
            delays: delays.into_iter().collect(),
        }
    }

    /// How many attempts are made at most.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.delays.len()
    }

    /// When the first attempt is made, for a webhook that is to be sent now: at once, with the
    /// default schedule.
    pub fn first(&self, now: Timestamp, jitter: u64) -> Next {
        self.after(0, None, now, jitter)
    }

    /// What is to be done now that `attempts_made` attempts were made, the last one with this
    /// outcome.
    ///
    /// The next attempt is never earlier than the schedule says, nor than the endpoint asks for,
    /// which counts for 24 hours at most; up to a tenth is added. `jitter` says how much of that:
    /// a random number, or a digest of the message's id.
    pub fn next(&self, attempts_made: u32, outcome: Outcome, now: Timestamp, jitter: u64) -> Next {
        match outcome {
            Outcome::Delivered => Next::Done,
            Outcome::Gone => Next::Disable,
            Outcome::Failed { retry_after } => self.after(attempts_made, retry_after, now, jitter),
        }
    }

    fn after(
        &self,
        attempts_made: u32,
        retry_after: Option<Duration>,
        now: Timestamp,
        jitter: u64,
    ) -> Next {
        let delay = usize::try_from(attempts_made)
            .ok()
            .and_then(|made| self.delays.get(made));
        let Some(delay) = delay else {
            return Next::Dead;
        };
        let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        let delay = asked.max(*delay);
        Next::At(now + delay.saturating_add(share(delay / JITTER_PART, jitter)))
    }
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self::new(DEFAULT)
    }
}

/// The part of `span` that `jitter` is of 2^64, in whole microseconds.
fn share(span: Duration, jitter: u64) -> Duration {
    let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let share = (u128::from(span) * u128::from(jitter)) >> u64::BITS;
    Duration::from_micros(u64::try_from(share).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Outcome = Outcome::Failed { retry_after: None };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0) + Duration::from_secs(seconds)
    }

    fn asking(seconds: u64) -> Outcome {
        Outcome::Failed {
            retry_after: Some(Duration::from_secs(seconds)),
        }
    }

    fn reply(status: u16) -> Reply {
        Reply {
            status,
            retry_after: None,
        }
    }

    #[test]
    fn the_default_schedule_is_that_of_the_specification() {
        let schedule = RetrySchedule::default();
        let (mut now, mut made) = (at(0), 0);
        let mut starts = Vec::new();
        while let Next::At(time) = schedule.next(made, FAILED, now, 0) {
            starts.push(time.since(at(0)).as_secs());
            (now, made) = (time, made + 1);
        }
        let hms = |hours: u64, minutes: u64, seconds: u64| hours * 3600 + minutes * 60 + seconds;
        assert_eq!(
            starts,
            [
                0,
                5,
                hms(0, 5, 5),
                hms(0, 35, 5),
                hms(2, 35, 5),
                hms(7, 35, 5),
                hms(17, 35, 5),
                hms(31, 35, 5),
                hms(51, 35, 5),
                hms(75, 35, 5),
            ]
        );
        assert_eq!(schedule.first(at(7), u64::MAX), Next::At(at(7)));
        assert_eq!(schedule.next(10, FAILED, at(0), 0), Next::Dead);
        assert_eq!(schedule.next(u32::MAX, FAILED, at(0), 0), Next::Dead);
    }

    #[test]
    fn statuses_are_told_apart() {
        for status in 0..=u16::MAX {
            let expected = match status {
                200..=299 => Outcome::Delivered,
                410 => Outcome::Gone,
                _ => FAILED,
            };
            assert_eq!(Outcome::of(&Ok(reply(status))), expected, "{status}");
        }
        assert_eq!(Outcome::of(&Err(TransportError::Timeout)), FAILED);
        assert_eq!(Outcome::of(&Err(TransportError::AddressNotAllowed)), FAILED);
        let busy = Ok(Reply {
            status: 429,
            retry_after: Some(Duration::from_secs(7)),
        });
        assert_eq!(Outcome::of(&busy), asking(7));
    }

    #[test]
    fn outcomes_lead_on() {
        let schedule = RetrySchedule::default();
        for (made, outcome, jitter, next) in [
            (1, Outcome::Delivered, 0, Next::Done),
            (99, Outcome::Delivered, 0, Next::Done),
            (1, Outcome::Gone, 0, Next::Disable),
            (99, Outcome::Gone, 0, Next::Disable),
            (1, FAILED, 0, Next::At(at(1005))),
            (3, FAILED, 1 << 63, Next::At(at(1000 + 1800 + 90))),
            // What the endpoint asks for counts where it is longer than the delay.
            (1, asking(60), 0, Next::At(at(1060))),
            (2, asking(60), 0, Next::At(at(1300))),
            (1, asking(60), 1 << 63, Next::At(at(1063))),
            // For a day at most.
            (1, asking(86_400), 0, Next::At(at(1000 + 86_400))),
            (1, asking(86_401), 0, Next::At(at(1000 + 86_400))),
            (1, asking(u64::MAX), 0, Next::At(at(1000 + 86_400))),
            // It buys no further attempt.
            (10, asking(60), 0, Next::Dead),
        ] {
            let found = schedule.next(made, outcome, at(1000), jitter);
            assert_eq!(found, next, "{made} {outcome:?} {jitter}");
        }
    }

    #[test]
    fn extremes_stop_at_the_end_of_time() {
        let endless = RetrySchedule::new([Duration::MAX]);
        assert_eq!(endless.first(at(0), u64::MAX), Next::At(Timestamp::MAX));
        assert_eq!(RetrySchedule::new([]).first(at(0), 0), Next::Dead);
    }

    proptest! {
        #[test]
        fn jitter_adds_up_to_a_tenth(made in 0_u32..10, asked: Option<u32>, jitter: u64) {
            let schedule = RetrySchedule::default();
            let retry_after = asked.map(|seconds| Duration::from_secs(seconds.into()));
            let outcome = Outcome::Failed { retry_after };
            let now = at(1000);
            let delay = |jitter| match schedule.next(made, outcome, now, jitter) {
                Next::At(time) => time.since(now),
                Next::Done | Next::Dead | Next::Disable => unreachable!("attempts are left"),
            };
            let plain = delay(0);
            prop_assert!(delay(jitter) >= plain && delay(jitter) <= plain + plain / 10);
            prop_assert!(plain >= retry_after.unwrap_or_default().min(MAX_RETRY_AFTER));
            prop_assert_eq!(
                schedule.next(made, outcome, now, jitter),
                schedule.next(made, outcome, now, jitter)
            );
        }

        #[test]
        fn nothing_panics(delays: Vec<Duration>, made: u32, asked: Option<Duration>, now: i64, jitter: u64) {
            let outcome = Outcome::Failed { retry_after: asked };
            let now = Timestamp::from_micros(now);
            if let Next::At(time) = RetrySchedule::new(delays).next(made, outcome, now, jitter) {
                prop_assert!(time >= now);
            }
        }
    }
}
