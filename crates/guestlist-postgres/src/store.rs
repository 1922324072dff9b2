//! The store that owns a pool of connections.

use core::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use core::time::Duration;
use guestlist_store::{
    Capabilities, Commit, Committed, Cursor, EventFilter, EventPage, Flush, Listed, Load, Page,
    Query, Snapshot, Store, StoreError, Together, Worker,
};
use guestlist_types::Timestamp;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use tokio::runtime::Handle;

use crate::error::connect_error;
use crate::flush::Engine;
use crate::looking::{Looking, WithOthers};
use crate::mirror::Mirrored;
use crate::options::{Dialect, PgOptions};
use crate::plan::{Outcome, Plan};
use crate::sql::Names;
use crate::transaction::PgTransaction;
use crate::{delegated, events, list, mirror, place, read, schema};

/// How many commits go into one statement at most.
const BATCH: usize = 128;

/// A [`Store`] in PostgreSQL, over a pool of connections. Clones share it.
///
/// A load is one statement and a commit is one statement, which is a transaction of its own: what
/// was answered as applied is durable as `synchronous_commit` says. Commits that wait at the same
/// time in one process go together into one statement; each has its own outcome, and one that is
/// refused takes no other down. So do loads, on a connection of their own. Several processes can
/// use the same database.
///
/// Dropping the future of a call drops only its answer: a commit is applied all the same, once it
/// was sent.
///
/// Needs a tokio runtime, as sqlx does.
#[derive(Clone)]
pub struct PgStore {
    engine: Arc<Engine>,
    together: Together<Flushing>,
    /// Unless each load is a statement of its own.
    looking: Option<Together<Looking>>,
    options: Arc<PgOptions>,
}

struct Flushing(Arc<Engine>);

fn spawn(worker: Worker) -> Result<(), Box<dyn core::error::Error + Send + Sync>> {
    Handle::try_current()?.spawn(worker);
    Ok(())
}

impl Flush for Flushing {
    type Item = Plan;
    type Outcome = Outcome;

    async fn flush(&self, batch: Vec<Vec<Plan>>) -> Vec<Result<Vec<Outcome>, StoreError>> {
        self.0.flush(batch).await
    }
}

impl PgStore {
    /// Connects to the database at this address, `postgres://user:password@host/database`, and
    /// makes guestlist's tables if they are not there. Where the application has a pool of its own,
    /// [`PgStore::open`] uses that.
    ///
    /// # Errors
    ///
    /// Those of [`PgStore::open`]; [`StoreError::Unavailable`] also for an address that is none.
    pub async fn connect(address: &str) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(Duration::from_secs(5))
            // A connection that has gone is told by its first use, and the call is repeated.
            .test_before_acquire(false)
            .connect(address)
            .await
            .map_err(connect_error)?;
        Self::open(pool, PgOptions::new()).await
    }

    /// A store over the application's own pool. Makes or updates the tables, unless
    /// [told not to](PgOptions::migrate).
    ///
    /// # Errors
    ///
    /// Those of [`migrate`](crate::migrate); without migrating, [`StoreError::Misuse`] if the tables
    /// are missing or old. On [Citus](Dialect::Citus) also if what
    /// [`citus_statements`](crate::citus_statements) gives was not run, or that of an older version.
    pub async fn open(pool: PgPool, options: PgOptions) -> Result<Self, StoreError> {
        let names = options.names(false)?;
        let mut connection = pool.acquire().await.map_err(connect_error)?;
        if options.migrate {
            schema::migrate(&mut connection, &options).await?;
        } else {
            schema::check_current(&mut connection, &names, &options).await?;
        }
        let one_bucket =
            options.one_bucket || schema::is_partitioned(&mut connection, &names).await?;
        let is_delegated = options.dialect == Dialect::Citus;
        if is_delegated {
            delegated::check(&mut connection, &names).await?;
        }
        drop(connection);
        // Calls go to many machines, and none has to wait for those before it; and a call that is
        // planned once for all buckets is sent to none of them.
        let together = options.together && !is_delegated;
        let keeps = if together { options.flushes } else { 0 };
        let names = Names {
            one_bucket,
            planned_once: keeps > 0,
            ..names
        };
        let looking = (options.loads && !one_bucket).then(|| {
            let looking = Looking::new(pool.clone(), names.clone(), 1);
            Together::new(looking, 1, BATCH, spawn)
        });
        let engine = Arc::new(Engine::new(pool, names, keeps));
        let together = Together::new(
            Flushing(Arc::clone(&engine)),
            if together {
                options.flushes
            } else {
                usize::MAX
            },
            if together { BATCH } else { 1 },
            spawn,
        );
        Ok(Self {
            engine,
            together,
            looking,
            options: Arc::new(options),
        })
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.engine.pool
    }

    /// What the store was opened with.
    pub fn options(&self) -> &PgOptions {
        &self.options
    }

    /// The same tables inside the application's own transaction: see [`PgTransaction`].
    pub fn transaction<'c>(&self, connection: &'c mut PgConnection) -> PgTransaction<'c> {
        let names = Names {
            planned_once: false,
            ..self.engine.names.clone()
        };
        PgTransaction::of(connection, names, self.options.mirrored)
    }

    /// Brings the lists of members' memberships up to what the log says behind `after`, at most
    /// `limit` events of it: for stores that [don't write them](PgOptions::mirror_from_log) with
    /// the memberships.
    ///
    /// Begin with `None`, keep the cursor that is given back, and call this again and again, from a
    /// task of its own; it is at the end when no events were read. Each row is written as its
    /// membership is by now, unless the list has a newer one: events that are late, repeated or
    /// skipped in favour of later ones of the same member do no harm, and a cursor that was lost
    /// costs nothing but reading the log again. If it is interrupted, begin behind the last cursor
    /// that was kept.
    ///
    /// No command deletes a membership. Where an application deletes some by a
    /// [`Write::Delete`](guestlist_store::Write::Delete) of its own, only one task should do this
    /// at a time: of two, one may write a row that it had read before.
    ///
    /// ```no_run
    /// # use guestlist_postgres::PgStore;
    /// # use guestlist_store::{Cursor, StoreError};
    /// # async fn catch_up(store: &PgStore, mut kept: Option<Cursor>) -> Result<(), StoreError> {
    /// loop {
    ///     let done = store.mirror(kept.as_ref(), 500).await?;
    ///     kept = done.next;
    ///     if done.events == 0 {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`]; part of it may have been written, which does no harm.
    pub async fn mirror(&self, after: Option<&Cursor>, limit: u32) -> Result<Mirrored, StoreError> {
        let mut connection = self.connection().await?;
        if self.engine.names.places_later() {
            place::place(&mut connection, &self.engine.names).await?;
        }
        mirror::mirror(&mut connection, &self.engine.names, after, limit).await
    }

    /// Gives the events of commits that wait for it a place in the log. How many commits there were.
    ///
    /// On an engine of [several machines](crate::Dialect) a commit can't know where its events stand,
    /// and so they are in no page of [`events`](Store::events) before this was done. The store does
    /// it by itself before it reads the log; call it where the log is only read inside of
    /// [transactions](PgStore::transaction), which don't. One at a time gives places, and the others
    /// wait for it. On PostgreSQL itself there is nothing to do.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; some may have been given a place.
    pub async fn place(&self) -> Result<usize, StoreError> {
        if !self.engine.names.places_later() {
            return Ok(0);
        }
        let mut connection = self.connection().await?;
        place::place(&mut connection, &self.engine.names).await
    }

    async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.engine.pool.acquire().await.map_err(connect_error)
    }
}

#[async_trait]
impl Store for PgStore {
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
        let Some(looking) = &self.looking else {
            let mut connection = self.connection().await?;
            return read::load(&mut connection, &self.engine.names, load).await;
        };
        if let Some(snapshot) = read::look_up(&mut WithOthers(looking), load).await? {
            return Ok(snapshot);
        }
        let mut connection = self.connection().await?;
        read::load_lists(&mut connection, &self.engine.names, load).await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        let plans = Plan::all(commits, &self.engine.names, self.options.mirrored)?;
        let outcomes = self.together.commit(plans).await?;
        Ok(outcomes
            .into_iter()
            .zip(commits)
            .map(|(outcome, commit)| outcome.committed(commit))
            .collect())
    }

    async fn list(&self, query: &Query, page: &Page, now: Timestamp) -> Result<Listed, StoreError> {
        let mut connection = self.connection().await?;
        list::list(&mut connection, &self.engine.names, query, page, now).await
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let mut connection = self.connection().await?;
        if self.engine.names.places_later() {
            place::place(&mut connection, &self.engine.names).await?;
        }
        events::events(&mut connection, &self.engine.names, filter, after, limit).await
    }

    /// The feed shows an event once every transaction has ended that was under way when it was
    /// committed, those of the application among them. How long that takes is not guestlist's to
    /// say; a second stands for it.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::immediate(true, true);
        capabilities.feed_lag = Duration::from_secs(1);
        if self.options.mirrored {
            capabilities.memberships_lag = Duration::from_secs(1);
        }
        capabilities
    }
}

impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgStore")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
