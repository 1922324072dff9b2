//! Commands inside a transaction of the host application.

use core::fmt;

use async_trait::async_trait;
use guestlist_store::{
    Capabilities, Commit, Committed, Cursor, EventFilter, EventPage, Listed, Load, Page, Query,
    Snapshot, Store, StoreError,
};
use guestlist_types::Timestamp;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, MutexGuard};

use crate::flush::apply_borrowed;
use crate::options::{Dialect, PgOptions};
use crate::plan::Plan;
use crate::sql::Names;
use crate::{events, list, read};

/// A [`Store`] inside the transaction that is open on a connection of the host application.
///
/// What is done on it is committed or rolled back with that transaction, together with everything
/// else in it. It never begins, commits or retries. A commit that is refused writes nothing, and
/// one that fails is undone up to a savepoint, so that the transaction stays as usable as it was.
///
/// The transaction should be `read committed`, as transactions are if nothing is said. In a
/// `repeatable read` or `serializable` one a change by others is a [`StoreError::Retryable`]: roll
/// back and begin again. What is counted rather than read (the uses of a link that gets a limit,
/// the members of an organization that gets one) is refused there with [`StoreError::Misuse`],
/// because it would be counted as it was when the transaction began.
///
/// Where the future of a call is dropped before its end, what the transaction has come to is not
/// known, and of a commit that erases it may be a part: roll back.
///
/// Rows that a command relies on stay locked until the transaction ends: keep it short.
///
/// The log, read in here, shows neither what the transaction itself has written nor what began
/// after it; reading on after it has ended misses nothing.
pub struct PgTransaction<'c> {
    connection: Mutex<&'c mut PgConnection>,
    names: Names,
    mirrored: bool,
}

impl<'c> PgTransaction<'c> {
    /// Over an open transaction, `&mut *tx`, with tables where the search path finds them. Where
    /// they are elsewhere, or there is a store anyway, use
    /// [`PgStore::transaction`](crate::PgStore::transaction).
    pub fn new(connection: &'c mut PgConnection) -> Self {
        let names = Names {
            prefix: String::new(),
            migrations: String::new(),
            one_bucket: false,
            planned_once: false,
            dialect: Dialect::PostgreSql,
        };
        Self::of(connection, names, false)
    }

    /// The same with tables where `options` say. If they have [partitions](PgOptions::partitions),
    /// say so, with any number: statements then keep to one of them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Misuse`] for a name that PostgreSQL doesn't take.
    pub fn with_options(
        connection: &'c mut PgConnection,
        options: &PgOptions,
    ) -> Result<Self, StoreError> {
        Ok(Self::of(
            connection,
            // It can't be looked up in here.
            options.names(options.one_bucket || options.partitions > 0)?,
            options.mirrored,
        ))
    }

    pub(crate) fn of(connection: &'c mut PgConnection, names: Names, mirrored: bool) -> Self {
        Self {
            connection: Mutex::new(connection),
            names,
            mirrored,
        }
    }

    async fn connection(&self) -> Result<MutexGuard<'_, &'c mut PgConnection>, StoreError> {
        let connection = self.connection.lock().await;
        if connection.is_in_transaction() {
            Ok(connection)
        } else {
            Err(StoreError::Misuse {
                what: "no transaction is open on the connection",
            })
        }
    }
}

#[async_trait]
impl Store for PgTransaction<'_> {
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
        let mut connection = self.connection().await?;
        read::load(&mut connection, &self.names, load).await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        let plans = Plan::all(commits, &self.names, self.mirrored)?;
        let mut connection = self.connection().await?;
        let outcomes = apply_borrowed(&mut connection, &self.names, &plans).await?;
        Ok(outcomes
            .into_iter()
            .zip(commits)
            .map(|(outcome, commit)| outcome.committed(commit))
            .collect())
    }

    async fn list(&self, query: &Query, page: &Page, now: Timestamp) -> Result<Listed, StoreError> {
        let mut connection = self.connection().await?;
        list::list(&mut connection, &self.names, query, page, now).await
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let mut connection = self.connection().await?;
        events::events(&mut connection, &self.names, filter, after, limit).await
    }

    /// Nothing is durable, or there for anybody else, until the host application commits.
    fn capabilities(&self) -> Capabilities {
        Capabilities::immediate(false, false)
    }
}

impl fmt::Debug for PgTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgTransaction").finish_non_exhaustive()
    }
}
