//! For property tests and fuzzing over guestlist, of embedders and of guestlist itself.
//!
//! * [`model`]: a naive model of the whole system, to hold a real one against.
//! * [`differential`]: the real decisions beside the model, command by command.
//! * [`invariants`]: what must hold of every state, checked over rows and their log.
//! * `fuzzing`: steps and settings out of any bytes, for fuzzers (feature `arbitrary`).
//! * [`history`]: records calls that overlap, and looks for an order that explains them.
//! * [`postgres`]: a private PostgreSQL server, which can be killed and started again.
//! * [`proxy`]: a TCP proxy that counts bytes and cuts connections at exactly one of them.
//!
//! It is for tests and benchmarks: only dev-dependencies point here. The only rules in it are those
//! of the model, which are nobody's but its own, and it never talks to a server that it didn't
//! start.

pub mod differential;
#[cfg(feature = "arbitrary")]
pub mod fuzzing;
pub mod history;
pub mod invariants;
pub mod model;
#[cfg(unix)]
pub mod postgres;
pub mod proxy;
