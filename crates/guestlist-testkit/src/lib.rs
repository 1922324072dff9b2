//! What the tests of guestlist need beside the crates themselves.
//!
//! * [`postgres`]: a private PostgreSQL server, which can be killed and started again.
//! * [`proxy`]: a TCP proxy that counts bytes and cuts connections at exactly one of them.
//!
//! It is for tests and benchmarks: only dev-dependencies point here. It holds no rule of the
//! domain, and it never talks to a server that it didn't start.

#[cfg(unix)]
pub mod postgres;
pub mod proxy;
