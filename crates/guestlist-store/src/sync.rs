//! The locks of what threads share: the standard library's, or loom's, which has threads take them in
//! every order that there is (`cargo xtask loom`).

#[cfg(guestlist_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(guestlist_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};
