//! The store contract.

use std::sync::Arc;

use async_trait::async_trait;
use core::time::Duration;
use guestlist_types::Timestamp;

use crate::commit::{Commit, Committed};
use crate::cursor::Cursor;
use crate::error::StoreError;
use crate::event::{EventFilter, EventPage};
use crate::query::{Listed, Page, Query};
use crate::snapshot::{Load, Snapshot};

/// Where guestlist keeps its records.
///
/// A store reads and writes; it knows no rule. Everything that must be exact under concurrency
/// comes to it as a precondition of a [`Commit`].
///
/// Implementations may borrow (there is no `'static` bound) and are used as `Arc<dyn Store>`, as
/// `&S` and by value. All methods may be called at the same time from many tasks. Dropping a
/// future leaves either everything or nothing of what it was doing; a commit that was dropped can
/// be sent again and is applied once, if a receipt is kept of it.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads the facts of a scope, all at one instant.
    ///
    /// A row that is not there is entered as absent. Rows are asked for until
    /// [`Scope::missing`](guestlist_membership::Scope::missing) names none. A snapshot includes
    /// everything that was committed, by anybody, before the call began.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed.
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError>;

    /// Applies commits: each all or nothing, each on its own, in any order.
    ///
    /// A commit of which a receipt is kept is not applied again, whatever its preconditions; the
    /// receipt is answered. Otherwise, and always if it brings no receipt, it is applied if every
    /// check holds and every [`Take`](crate::Write::Take) finds its counter below its bound; if
    /// not, it is a conflict and nothing of it is applied. An applied commit is durable when this
    /// returns, and is seen by every load that begins afterwards.
    ///
    /// # Errors
    ///
    /// [`StoreError::Malformed`] for a consumer's commit with events or a receipt. Any
    /// [`StoreError`] is about all of `commits`: [`StoreError::Unknown`] if some may have been
    /// applied, anything else if none was. The answer has one entry per commit, in order.
    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError>;

    /// One page of a list, as it is at `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Malformed`] for a cursor of another list.
    async fn list(&self, query: &Query, page: &Page, now: Timestamp) -> Result<Listed, StoreError>;

    /// The log behind `after`, oldest first, at most `limit` events that match the filter.
    ///
    /// Reading to the end again and again misses nothing and repeats nothing, also while commits
    /// overlap.
    ///
    /// # Errors
    ///
    /// [`StoreError::Malformed`] for a cursor of another list.
    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError>;

    /// What this store can and can't do.
    fn capabilities(&self) -> Capabilities;
}

/// What a store can and can't do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether what was committed survives the end of the process.
    pub durable: bool,
    /// Whether several processes can use the same records at the same time.
    pub shared: bool,
    /// How late an event may become visible in the feed after its commit.
    pub feed_lag: Duration,
    /// How late the list of a member's memberships may be after a commit.
    pub memberships_lag: Duration,
}

impl Capabilities {
    /// A store with lists and a feed that are never late.
    #[must_use]
    pub const fn immediate(durable: bool, shared: bool) -> Self {
        Self {
            durable,
            shared,
            feed_lag: Duration::ZERO,
            memberships_lag: Duration::ZERO,
        }
    }
}

/// A store behind a pointer is a store.
macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[async_trait]
        impl<S: Store + ?Sized> Store for $pointer {
            async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
                (**self).load(load).await
            }
            async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
                (**self).commit(commits).await
            }
            async fn list(
                &self,
                query: &Query,
                page: &Page,
                now: Timestamp,
            ) -> Result<Listed, StoreError> {
                (**self).list(query, page, now).await
            }
            async fn events(
                &self,
                filter: &EventFilter,
                after: Option<&Cursor>,
                limit: u32,
            ) -> Result<EventPage, StoreError> {
                (**self).events(filter, after, limit).await
            }
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }
        }
    )*};
}

forward!(&S, Box<S>, Arc<S>);
