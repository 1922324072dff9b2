//! guestlist's rows in PostgreSQL, over sqlx.
//!
//! [`PgStore`] keeps them in a database that the application has anyway, over its own pool. A load
//! is one statement and a commit is one statement; commits that wait at the same time in one
//! process go together into one, and so do loads. [`PgTransaction`] runs commands inside a
//! transaction of the application, so that its own rows and guestlist's change together or not at
//! all.
//!
//! The tables can live beside the application's own: all of their names begin with `guestlist_`,
//! they can be in a schema of their own, and [`migrate`] touches nothing else. They need no
//! extension, no sequence and no trigger.
//!
//! Not here: any rule (`guestlist-membership`), retries of conflicts (`guestlist`).
//!
//! ```no_run
//! use guestlist_postgres::{PgOptions, PgStore};
//! use sqlx::PgPool;
//!
//! # async fn open() -> Result<(), Box<dyn core::error::Error>> {
//! let pool = PgPool::connect("postgres://app@localhost/app").await?;
//! let store = PgStore::open(pool.clone(), PgOptions::new().schema("guestlist")).await?;
//!
//! let mut tx = pool.begin().await?;
//! // The application's own statements on `&mut *tx`, and guestlist's:
//! let inside = store.transaction(&mut tx);
//! # drop(inside);
//! // Here: `guestlist.on(inside)`, and a command on it. Then both or nothing:
//! tx.commit().await?;
//! # Ok(())
//! # }
//! ```

mod citus;
mod cockroachdb;
mod delegated;
mod error;
mod events;
mod flush;
mod list;
mod lone;
mod looking;
mod lookup;
mod mirror;
mod options;
mod place;
mod plan;
mod read;
mod rows;
mod schema;
mod sql;
mod statement;
mod store;
mod table;
mod transaction;
mod value;

pub use citus::citus_statements;
pub use mirror::Mirrored;
pub use options::{Dialect, MAX_PARTITIONS, PgOptions};
pub use schema::{SCHEMA_VERSION, migrate};
pub use store::PgStore;
pub use transaction::PgTransaction;
