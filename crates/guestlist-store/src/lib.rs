//! The storage port of guestlist.
//!
//! A command names the facts it needs ([`Scope`](guestlist_membership::Scope)); a [`Store`] reads
//! exactly these at one instant ([`Snapshot`]); the core decides; and a [`Commit`] carries the
//! result back: preconditions, row writes and events of one organization, all or nothing. A store
//! holds no rule of the domain. Every fact that a decision was made on is a precondition of its
//! commit, so a decision that is no longer true is refused and made again.
//!
//! To keep guestlist's rows in a database of your own there are two doors: implement [`Store`], or,
//! for an ordered key-value engine, the three methods of [`Kv`] and wrap it in a [`KvStore`].
//! Either way the public conformance suite (feature `conformance`) tells whether it is right.
//! [`MemoryStore`] is a [`KvStore`] over the simplest possible engine.

mod changes;
#[cfg(feature = "sql")]
pub mod columns;
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cursor;
mod error;
mod event;
mod kv;
mod kv_keys;
mod kv_store;
mod memory;
mod query;
mod snapshot;
mod store;
mod sync;
mod together;

pub use changes::AccessChanges;
pub use commit::{Check, CommandDigest, Commit, Committed, Draft, Receipt, TokenSecret, Write};
pub use cursor::{Cursor, CursorError, Position};
pub use error::StoreError;
pub use event::{EventFilter, EventPage, Recorded, Sequence};
pub use kv::{Kv, KvCheck, KvCommitted, KvOp, KvRange};
pub use kv_store::KvStore;
pub use memory::{MemoryKv, MemoryStore};
pub use query::{InviteFilter, Listed, MemberFilter, Page, PageError, Query};
pub use snapshot::{FoundBook, KnownBooks, Load, Revision, Snapshot};
pub use store::{Capabilities, Store};
pub use together::{Flush, Together, Worker};
