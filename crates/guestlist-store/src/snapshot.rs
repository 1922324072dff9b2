//! What a store reads for a decision.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

use guestlist_access::{AccessBook, AccessEvent};
use guestlist_membership::{Loaded, Records, Row, RowKey, Scope};
use guestlist_types::{CommitId, OrgId};
use serde::{Deserialize, Serialize};

use crate::commit::Receipt;

/// How often a row has been written, beginning with 1. Zero is the revision of no row.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Revision(u64);

impl Revision {
    /// Of a row that is not there.
    pub const ABSENT: Self = Self(0);

    /// The revision with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after the next write.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Which access rules the caller has in memory already, so that the store need not read them again
/// if they have not changed, and may tell what has changed if they have.
pub trait KnownBooks: fmt::Debug + Send + Sync {
    /// At which revision of their head the caller has the access rules of this organization;
    /// `None` if it doesn't have them.
    fn revision(&self, organization: &OrgId) -> Option<Revision>;
}

/// What a load says of an organization's access rules.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a caller must make the current rules of every kind"
)]
pub enum FoundBook {
    /// The caller has them already, at this revision.
    Known,
    /// They are those that the caller has, and what has happened to them since: all of it, in
    /// order. The last of it made the revision that the snapshot has of their head. A store that
    /// can't tell gives them whole.
    Changed {
        /// The revision that the caller has.
        since: Revision,
        /// What happened behind it.
        events: Vec<AccessEvent>,
    },
    /// All of them.
    Whole(Arc<AccessBook>),
}

impl FoundBook {
    /// The rules, if they have been read whole.
    #[must_use]
    pub const fn whole(&self) -> Option<&Arc<AccessBook>> {
        match self {
            Self::Whole(book) => Some(book),
            Self::Known | Self::Changed { .. } => None,
        }
    }
}

impl KnownBooks for BTreeMap<OrgId, Revision> {
    fn revision(&self, organization: &OrgId) -> Option<Revision> {
        self.get(organization).copied()
    }
}

/// What is to be loaded.
#[derive(Debug, Clone)]
pub struct Load<'a> {
    /// The facts.
    pub scope: &'a Scope,
    /// A commit whose receipt is to be looked for in the scope's organization.
    pub receipt: Option<CommitId>,
    /// Access rules that are known already; `None`: none are.
    pub known_books: Option<&'a Arc<dyn KnownBooks>>,
}

impl<'a> Load<'a> {
    /// Just the facts of a scope.
    #[must_use]
    pub const fn of(scope: &'a Scope) -> Self {
        Self {
            scope,
            receipt: None,
            known_books: None,
        }
    }

    /// At which revision the caller has the access rules of this organization, if it has them.
    #[must_use]
    pub fn known(&self, organization: &OrgId) -> Option<Revision> {
        self.known_books?.revision(organization)
    }
}

/// The facts of a scope, as they were at one instant, with the revision of each.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    records: Records,
    revisions: BTreeMap<RowKey, Revision>,
    books: BTreeMap<OrgId, FoundBook>,
    receipt: Option<Receipt>,
}

impl Snapshot {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a row that was looked for. For stores.
    pub fn insert(&mut self, key: RowKey, found: Option<(Revision, Row)>) {
        match found {
            Some((revision, row)) => {
                self.revisions.insert(key.clone(), revision);
                self.records.insert(key, row);
            }
            None => {
                self.revisions.insert(key, Revision::ABSENT);
            }
        }
    }

    /// Enters what was found of an organization's access rules. For stores.
    pub fn insert_book(&mut self, organization: OrgId, book: FoundBook) {
        self.books.insert(organization, book);
    }

    /// Hands in the access rules of the scope's organization, where the records are decided on.
    pub fn set_book(&mut self, book: Arc<AccessBook>) {
        self.records.set_book(book);
    }

    /// Enters the receipt that was asked for. For stores.
    pub fn set_receipt(&mut self, receipt: Option<Receipt>) {
        self.receipt = receipt;
    }

    /// Enters the organization of the scope, once it is known. For stores.
    pub fn set_host(&mut self, host: OrgId) {
        self.records.set_host(host);
    }

    /// The rows.
    #[must_use]
    pub const fn records(&self) -> &Records {
        &self.records
    }

    /// The rows, to be decided on and folded into.
    #[must_use]
    pub fn to_records(&self) -> Records {
        self.records.clone()
    }

    /// The rows, without their revisions.
    #[must_use]
    pub fn into_records(self) -> Records {
        self.records
    }

    /// The rows that were looked for, with their revisions.
    pub fn revisions(&self) -> impl Iterator<Item = (&RowKey, Revision)> {
        self.revisions
            .iter()
            .map(|(key, revision)| (key, *revision))
    }

    /// The revision of one row; `None` if it was not looked for.
    #[must_use]
    pub fn revision(&self, key: &RowKey) -> Option<Revision> {
        self.revisions.get(key).copied()
    }

    /// The access rules that were asked for.
    pub fn books(&self) -> impl Iterator<Item = (&OrgId, &FoundBook)> {
        self.books.iter()
    }

    /// The receipt that was asked for, if that commit has been applied.
    #[must_use]
    pub const fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }
}

impl Loaded for Snapshot {
    fn knows(&self, key: &RowKey) -> bool {
        self.revisions.contains_key(key)
    }

    fn records(&self) -> &Records {
        &self.records
    }
}
