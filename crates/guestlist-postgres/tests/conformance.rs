//! The public conformance suite: together, one by one, on partitions, and inside transactions.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use async_trait::async_trait;
use common::lent::Lender;
use common::settle;
use guestlist_postgres::{Dialect, PgOptions, PgStore};
use guestlist_store::conformance::{CaseFuture, Fixture};
use guestlist_store::{
    Capabilities, Commit, Committed, Cursor, EventFilter, EventPage, Listed, Load, Page, Query,
    Snapshot, Store, StoreError,
};
use guestlist_types::Timestamp;

struct Schemas(Lender);

impl Schemas {
    fn new(options: PgOptions) -> Self {
        Self(Lender::new(options))
    }
}

#[async_trait]
impl Fixture for Schemas {
    type Store = PgStore;

    async fn store(&self) -> PgStore {
        self.0.store().await
    }

    async fn reopen(&self, store: PgStore) -> Option<PgStore> {
        Some(self.0.reopen(store).await)
    }

    async fn settle(&self, store: &PgStore) {
        settle(store.pool()).await;
    }

    fn block_on(&self, future: CaseFuture<'_>) {
        common::block_on(future);
    }
}

/// Every call in a transaction of its own, begun and committed as an application does it.
struct InTransactions(PgStore);

impl InTransactions {
    async fn begin(&self) -> sqlx::Transaction<'static, sqlx::Postgres> {
        self.0.pool().begin().await.unwrap()
    }
}

#[async_trait]
impl Store for InTransactions {
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
        let mut transaction = self.begin().await;
        let loaded = self.0.transaction(&mut transaction).load(load).await;
        transaction.commit().await.unwrap();
        loaded
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        let mut transaction = self.begin().await;
        let committed = self.0.transaction(&mut transaction).commit(commits).await;
        if committed.is_ok() {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        committed
    }

    async fn list(&self, query: &Query, page: &Page, now: Timestamp) -> Result<Listed, StoreError> {
        let mut transaction = self.begin().await;
        let listed = self
            .0
            .transaction(&mut transaction)
            .list(query, page, now)
            .await;
        transaction.commit().await.unwrap();
        listed
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let mut transaction = self.begin().await;
        let events = self
            .0
            .transaction(&mut transaction)
            .events(filter, after, limit)
            .await;
        transaction.commit().await.unwrap();
        events
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
}

struct Transactions(Lender);

#[async_trait]
impl Fixture for Transactions {
    type Store = InTransactions;

    async fn store(&self) -> InTransactions {
        InTransactions(self.0.store().await)
    }

    async fn reopen(&self, store: InTransactions) -> Option<InTransactions> {
        Some(InTransactions(self.0.reopen(store.0).await))
    }

    async fn settle(&self, store: &InTransactions) {
        settle(store.0.pool()).await;
        store.0.place().await.unwrap();
    }

    fn block_on(&self, future: CaseFuture<'_>) {
        common::block_on(future);
    }
}

mod together {
    use super::*;
    guestlist_store::conformance_tests!(Schemas::new(PgOptions::new()));
}

mod one_by_one {
    use super::*;
    guestlist_store::conformance_tests!(Schemas::new(PgOptions::new().flush_together(false)));
}

// With partitions, statements keep to one bucket.
mod partitioned {
    use super::*;
    guestlist_store::conformance_tests!(Schemas::new(PgOptions::new().partitions(4)));
}

/// The list of a member's memberships comes from the log, as often as it is waited for.
struct Mirroring(Lender);

#[async_trait]
impl Fixture for Mirroring {
    type Store = PgStore;

    async fn store(&self) -> PgStore {
        self.0.store().await
    }

    async fn reopen(&self, store: PgStore) -> Option<PgStore> {
        Some(self.0.reopen(store).await)
    }

    async fn settle(&self, store: &PgStore) {
        settle(store.pool()).await;
        common::mirror(store, None, 100).await;
    }

    fn block_on(&self, future: CaseFuture<'_>) {
        common::block_on(future);
    }
}

mod mirroring {
    use super::*;
    guestlist_store::conformance_tests!(Mirroring(Lender::new(
        PgOptions::new().mirror_from_log(true)
    )));
}

mod transactions {
    use super::*;
    guestlist_store::conformance_tests!(Transactions(Lender::new(PgOptions::new())));
}

// What is sent to engines that are not here, as far as PostgreSQL takes it, too.
mod cockroachdb {
    use super::*;
    guestlist_store::conformance_tests!(Schemas::new(
        PgOptions::new().dialect(Dialect::CockroachDb)
    ));
}

mod yugabytedb_one_by_one {
    use super::*;
    guestlist_store::conformance_tests!(Schemas::new(
        PgOptions::new()
            .dialect(Dialect::YugabyteDb)
            .flush_together(false)
    ));
}

// Committed by the function that Citus would run where the bucket is.
mod citus {
    use super::*;
    guestlist_store::conformance_tests!(Mirroring(Lender::on_citus()));
}

/// The same inside the application's transactions.
struct TransactionsOnCitus(Transactions);

#[async_trait]
impl Fixture for TransactionsOnCitus {
    type Store = InTransactions;

    async fn store(&self) -> InTransactions {
        self.0.store().await
    }

    async fn reopen(&self, store: InTransactions) -> Option<InTransactions> {
        self.0.reopen(store).await
    }

    async fn settle(&self, store: &InTransactions) {
        settle(store.0.pool()).await;
        common::mirror(&store.0, None, 100).await;
    }

    fn block_on(&self, future: CaseFuture<'_>) {
        common::block_on(future);
    }
}

mod transactions_on_citus {
    use super::*;
    guestlist_store::conformance_tests!(TransactionsOnCitus(Transactions(Lender::on_citus())));
}
