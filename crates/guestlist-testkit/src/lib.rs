//! For property tests over guestlist, of embedders and of guestlist itself.
//!
//! * [`invariants`]: what must hold of every state, checked over rows and their log.
//! * [`postgres`]: a private PostgreSQL server, which can be killed and started again.
//! * [`proxy`]: a TCP proxy that counts bytes and cuts connections at exactly one of them.
//!
//! It is for tests and benchmarks: only dev-dependencies point here. It decides nothing, and it
//! never talks to a server that it didn't start.

pub mod invariants;
#[cfg(unix)]
pub mod postgres;
pub mod proxy;
