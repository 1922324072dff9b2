//! Histories of calls that overlap, and whether some order explains them.
//!
//! A service is linearizable if everything that was seen of it could have been seen if each call
//! had happened at one instant between its beginning and its answer. A [`Recorder`] writes down
//! what was asked and answered, and [`linearize`] looks for such an order under a
//! [`Specification`] of how the service behaves when one call comes after the other.
//!
//! A call that was never answered, because a connection was cut or a future was dropped, may have
//! happened at any time after its beginning, or never.
//!
//! ```
//! use guestlist_testkit::history::{Recorder, Specification, linearize};
//!
//! /// A counter with a limit: `true` for who got past it.
//! struct AtMost(u32);
//!
//! impl Specification for AtMost {
//!     type State = u32;
//!     type Operation = ();
//!     type Answer = bool;
//!
//!     fn apply(&self, taken: &u32, (): &()) -> (u32, bool) {
//!         if *taken < self.0 { (taken + 1, true) } else { (*taken, false) }
//!     }
//! }
//!
//! let recorder = Recorder::new();
//! // Two calls that overlap; both got past.
//! let (first, second) = (recorder.begin(()), recorder.begin(()));
//! recorder.answer(first, true);
//! recorder.answer(second, true);
//! let history = recorder.into_history();
//! assert!(linearize(&AtMost(2), 0, &history).is_ok());
//! assert!(linearize(&AtMost(1), 0, &history).is_err(), "one too many");
//! ```

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// How a service behaves when one call comes after the other.
pub trait Specification {
    /// All that answers depend on.
    type State: Clone + Ord;
    /// What is asked.
    type Operation;
    /// What is answered.
    type Answer: PartialEq;

    /// What an operation answers in a state, and the state after it.
    fn apply(
        &self,
        state: &Self::State,
        operation: &Self::Operation,
    ) -> (Self::State, Self::Answer);

    /// Whether a history may have ended in this state. For what was looked at when all was quiet,
    /// as a log of events; anything, unless it is said otherwise.
    fn may_end_in(&self, state: &Self::State) -> bool {
        let _ = state;
        true
    }
}

/// One call, as it was seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<O, A> {
    /// What was asked.
    pub operation: O,
    /// When it was asked, in ticks of the recorder.
    pub begun: u64,
    /// When it was answered, and what; `None` if it never was.
    pub answered: Option<(u64, A)>,
}

/// Writes down calls as they begin and as they are answered, from many threads.
#[derive(Debug)]
pub struct Recorder<O, A> {
    ticks: AtomicU64,
    calls: Mutex<Vec<Call<O, A>>>,
}

/// A call that has begun, to be handed back with its answer.
#[derive(Debug)]
#[must_use = "a call without an answer may have happened at any time"]
pub struct Begun(usize);

impl<O, A> Default for Recorder<O, A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O, A> Recorder<O, A> {
    /// Nothing so far.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ticks: AtomicU64::new(0),
            calls: Mutex::new(Vec::new()),
        }
    }

    /// Notes that a call begins. To be called right before it is made.
    pub fn begin(&self, operation: O) -> Begun {
        // The tick is drawn before the call is made, and that of the answer behind it: an overlap
        // that was not there would explain too much, one that is missed too little.
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(Call {
            operation,
            begun: self.ticks.fetch_add(1, Ordering::SeqCst),
            answered: None,
        });
        Begun(calls.len() - 1)
    }

    /// Notes an answer. To be called right behind the call.
    pub fn answer(&self, Begun(place): Begun, answer: A) {
        let at = self.ticks.fetch_add(1, Ordering::SeqCst);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = calls.get_mut(place) {
            found.answered = Some((at, answer));
        }
    }

    /// All calls, in the order that they began in.
    #[must_use]
    pub fn into_history(self) -> Vec<Call<O, A>> {
        self.calls
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// No order explains a history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotLinearizable {
    /// The most calls that some order explains, by their places in the history.
    pub explained: Vec<usize>,
}

impl fmt::Display for NotLinearizable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no order explains the history; {:?} is the most that is explained",
            self.explained
        )
    }
}

impl core::error::Error for NotLinearizable {}

/// Which calls have happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Happened(Vec<u64>);

impl Happened {
    fn none_of(calls: usize) -> Self {
        Self(vec![0; calls.div_ceil(64)])
    }

    fn has(&self, call: usize) -> bool {
        self.0
            .get(call / 64)
            .is_some_and(|word| word >> (call % 64) & 1 == 1)
    }

    fn with(&self, call: usize) -> Self {
        let mut after = self.clone();
        if let Some(word) = after.0.get_mut(call / 64) {
            *word |= 1 << (call % 64);
        }
        after
    }
}

/// Finds an order of the calls that explains all answers: each call between its beginning and its
/// answer. It gives the places of the calls in the history; calls without an answer that did not
/// happen are left out.
///
/// The search is that of Wing and Gong: whatever begins before the first answer that is still to
/// come may be next. What led to the same calls and the same state before is not tried again.
///
/// # Errors
///
/// [`NotLinearizable`] if there is no such order.
pub fn linearize<S: Specification>(
    specification: &S,
    initial: S::State,
    history: &[Call<S::Operation, S::Answer>],
) -> Result<Vec<usize>, NotLinearizable> {
    struct Step<S> {
        state: S,
        happened: Happened,
        /// The next call to try.
        next: usize,
    }

    let answered = |call: &Call<S::Operation, S::Answer>| call.answered.as_ref().map(|(at, _)| *at);
    let mut tried = BTreeSet::new();
    let mut order: Vec<usize> = Vec::new();
    let mut longest: Vec<usize> = Vec::new();
    let mut steps = vec![Step {
        state: initial,
        happened: Happened::none_of(history.len()),
        next: 0,
    }];
    while let Some(step) = steps.last_mut() {
        let to_come = || {
            let calls = history.iter().enumerate();
            calls.filter(|(place, _)| !step.happened.has(*place))
        };
        let first_answer = to_come().filter_map(|(_, call)| answered(call)).min();
        if first_answer.is_none() && specification.may_end_in(&step.state) {
            return Ok(order);
        }
        let next = to_come().find(|(place, call)| {
            *place >= step.next && first_answer.is_none_or(|first| call.begun < first)
        });
        let Some((place, call)) = next else {
            steps.pop();
            order.pop();
            continue;
        };
        step.next = place + 1;
        let (state, answer) = specification.apply(&step.state, &call.operation);
        let explains = call
            .answered
            .as_ref()
            .is_none_or(|(_, seen)| *seen == answer);
        let happened = step.happened.with(place);
        if explains && tried.insert((happened.clone(), state.clone())) {
            order.push(place);
            if order.len() > longest.len() {
                longest.clone_from(&order);
            }
            steps.push(Step {
                state,
                happened,
                next: 0,
            });
        }
    }
    Err(NotLinearizable { explained: longest })
}
