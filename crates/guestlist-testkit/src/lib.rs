//! For property tests and fuzzing over guestlist, of embedders and of guestlist itself.
//!
//! * [`model`]: a naive model of the whole system, to hold a real one against.
//! * [`world`]: a small world of real decisions, and strategies of what is done in it.
//! * [`differential`]: the real decisions beside the model, command by command.
//! * [`invariants`]: what must hold of every state, checked over rows and their log.
//! * `fuzzing`: steps and settings out of any bytes, for fuzzers (feature `arbitrary`).
//! * [`history`]: records calls that overlap, and looks for an order that explains them.
//! * `guestlist::store::conformance`: the contract of stores as tests, with failures in the middle
//!   of a commit, for stores of your own (feature `conformance` of `guestlist`).
//! * [`corpora`]: texts that come in place of tokens, and texts that pass for others.
//! * [`postgres`]: a private PostgreSQL server, which can be killed and started again.
//! * [`proxy`]: a TCP proxy that counts bytes and cuts connections at exactly one of them.
//!
//! It is for tests and benchmarks: only dev-dependencies point here. The only rules in it are those
//! of the model, which are nobody's but its own, and it never talks to a server that it didn't
//! start.

pub mod corpora;
pub mod differential;
#[cfg(feature = "arbitrary")]
pub mod fuzzing;
pub mod history;
pub mod invariants;
pub mod model;
#[cfg(unix)]
pub mod postgres;
pub mod proxy;

use std::sync::Mutex;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;

use guestlist::Entropy;
pub use guestlist::ManualClock;
pub use guestlist_membership::testing as world;

/// Entropy that is the same in every run: for [`Builder::entropy`](guestlist::Builder::entropy),
/// beside a [`ManualClock`].
///
/// ```
/// use guestlist::Entropy;
/// use guestlist_testkit::seeded_entropy;
///
/// let drawn = |seed| {
///     let mut bytes = [0; 8];
///     seeded_entropy(seed).fill(&mut bytes).map(|()| bytes)
/// };
/// assert_eq!(drawn(1), drawn(1));
/// assert_ne!(drawn(1), drawn(2));
/// ```
#[must_use]
pub fn seeded_entropy(seed: u64) -> impl Entropy {
    Mutex::new(ChaCha20Rng::seed_from_u64(seed))
}

/// The code in the guide is compiled and run like that in these docs.
#[cfg(all(doctest, feature = "arbitrary"))]
mod guides {
    #[doc = include_str!("../../../docs/guide/testing.md")]
    struct Testing;
}
