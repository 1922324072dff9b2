//! guestlist's rows in SQLite, over rusqlite.
//!
//! [`SqliteStore`] keeps them in a file: one connection writes, on a thread of its own, and
//! commits together what waits at the same time; others read beside it. What was answered as
//! applied is on the disk (`synchronous=FULL`).
//!
//! [`enlist`] runs commands inside a transaction of the host application instead, so that its own
//! rows and guestlist's change together or not at all.
//!
//! The tables can live in the application's own database: all of their names begin with
//! `guestlist_`, and [`migrate`] touches nothing else.
//!
//! Not here: any rule (`guestlist-membership`), retries of conflicts (`guestlist`).
//!
//! ```
//! use guestlist_membership::{Fact, Scope};
//! use guestlist_sqlite::SqliteStore;
//! use guestlist_store::{Load, Store as _};
//! use guestlist_types::OrgId;
//!
//! # fn block_on<T>(future: impl Future<Output = T>) -> T {
//! #     let mut future = std::pin::pin!(future);
//! #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
//! #     loop {
//! #         if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
//! #             return value;
//! #         }
//! #     }
//! # }
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("app.db");
//! let store = SqliteStore::open(path)?;
//! let scope = Scope::of(OrgId::parse("org_1")?, vec![Fact::Organization]);
//! let snapshot = block_on(store.load(&Load::of(&scope)))?;
//! assert!(snapshot.records().iter().next().is_none());
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod apply;
mod enlist;
mod error;
mod events;
mod list;
mod plan;
mod pool;
mod read;
mod rows;
mod schema;
mod store;
mod value;
mod writer;

pub use enlist::{Enlisted, enlist};
pub use schema::{SCHEMA_VERSION, migrate};
pub use store::{SqliteBuilder, SqliteStore};
