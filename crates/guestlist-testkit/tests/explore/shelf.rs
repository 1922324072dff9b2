//! The rows of a state, and how a commit is applied to them.
//!
//! Rows are decoded here, where a store would keep bytes, so that a state is copied and told apart
//! cheaply. What a commit needs and does is the contract of [`guestlist_store::Store`]; that it is
//! followed is held against `MemoryStore` by a test of its own.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use guestlist_membership::link::{Link, TokenRecord};
use guestlist_membership::member::Membership;
use guestlist_membership::{Records, Row, RowKey, Scope};
use guestlist_store::{Check, Commit, Revision, Snapshot, Write};
use guestlist_types::Member;

/// What can be wrong with a store. Each is found by the model, or the model proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Nothing is.
    None,
    /// Rows of links and tokens may have changed since the decision.
    LinksUnchecked,
    /// Memberships may have changed since the decision.
    MembershipsUnchecked,
    /// A counter is added to without a bound.
    Unbounded,
    /// A receipt that is there doesn't keep a commit from being applied.
    ReceiptsUnread,
    /// A commit that is refused leaves its counters added to.
    HalfApplied,
}

impl Defect {
    fn overlooks(self, key: &RowKey) -> bool {
        match self {
            Self::LinksUnchecked => matches!(key, RowKey::Link(..) | RowKey::Token(_)),
            Self::MembershipsUnchecked => matches!(key, RowKey::Membership(..)),
            Self::Unbounded => key.is_counter(),
            Self::None | Self::ReceiptsUnread | Self::HalfApplied => false,
        }
    }
}

/// One version of one row.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) key: RowKey,
    pub(crate) row: Row,
    pub(crate) revision: u64,
    /// Of key and row, without the revision.
    pub(crate) digest: u64,
}

/// Each version of a row is in memory once, whatever number of states it is part of.
#[derive(Debug, Default)]
pub(crate) struct Press {
    versions: Mutex<BTreeMap<(u64, u64), Arc<Kept>>>,
}

impl Press {
    pub(crate) fn keep(&self, key: RowKey, row: Row, revision: u64) -> Arc<Kept> {
        let digest = digest(&(&key, postcard::to_stdvec(&row).expect("a row is encoded")));
        // The revision of a counter is its count.
        let revision = match row {
            Row::Tally(count) => count,
            _ => revision,
        };
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let version = versions.entry((digest, revision)).or_insert_with(|| {
            Arc::new(Kept {
                key,
                row,
                revision,
                digest,
            })
        });
        Arc::clone(version)
    }
}

pub(crate) fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// All rows, in the order of their keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf {
    rows: Vec<Arc<Kept>>,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    AlreadyApplied,
    Conflict,
}

impl Shelf {
    pub(crate) fn get(&self, key: &RowKey) -> Option<&Arc<Kept>> {
        let found = self.rows.binary_search_by(|kept| kept.key.cmp(key));
        found.ok().map(|index| &self.rows[index])
    }

    pub(crate) fn put(&mut self, kept: Arc<Kept>) {
        match self.rows.binary_search_by(|other| other.key.cmp(&kept.key)) {
            Ok(index) => self.rows[index] = kept,
            Err(index) => self.rows.insert(index, kept),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.rows.iter()
    }

    pub(crate) fn memberships(&self) -> impl Iterator<Item = (&Member, &Membership)> {
        self.rows
            .iter()
            .filter_map(|kept| match (&kept.key, &kept.row) {
                (RowKey::Membership(_, member), Row::Membership(row)) => Some((member, &**row)),
                _ => None,
            })
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        self.rows.iter().filter_map(|kept| match &kept.row {
            Row::Link(link) => Some(&**link),
            _ => None,
        })
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = &TokenRecord> {
        self.rows.iter().filter_map(|kept| match &kept.row {
            Row::Token(token) => Some(token),
            _ => None,
        })
    }

    pub(crate) fn count(&self, key: &RowKey) -> u64 {
        self.get(key).map_or(0, |kept| kept.revision)
    }

    /// The rows of a scope, as a store loads them.
    pub(crate) fn load(&self, scope: &Scope) -> Snapshot {
        let mut snapshot = Snapshot::new();
        loop {
            let missing = scope.missing(&snapshot);
            if missing.is_empty() {
                break;
            }
            for key in missing {
                let found = self.get(&key);
                let found = found.map(|kept| (Revision::new(kept.revision), kept.row.clone()));
                snapshot.insert(key, found);
            }
        }
        let books = scope.books(snapshot.records());
        assert_eq!(books, [], "no link here gives keys");
        if let Some(host) = scope.host(snapshot.records()) {
            snapshot.set_host(host);
        }
        snapshot
    }

    /// Everything, to fold events into.
    pub(crate) fn to_records(&self) -> Records {
        let mut records = Records::new();
        for kept in &self.rows {
            records.insert(kept.key.clone(), kept.row.clone());
        }
        records
    }

    /// Whether what a commit relies on is as it was, one bit for each check, and the counts that
    /// it looks at.
    pub(crate) fn standing(&self, commit: &Commit, into: &mut impl Hasher) {
        for check in &commit.checks {
            if check.key().is_counter() {
                self.count(check.key()).hash(into);
            } else {
                self.holds(check).hash(into);
            }
        }
        for write in &commit.writes {
            if let Write::Take { key, .. } = write {
                self.count(key).hash(into);
            }
        }
    }

    fn holds(&self, check: &Check) -> bool {
        match check {
            Check::Revision { key, revision } => self.count(key) == revision.get(),
            Check::UseCount { .. } | Check::SeatCount { .. } => {
                panic!("nothing here begins to count")
            }
        }
    }

    /// Applies a commit, unless something that it relies on holds no more. `had` says whether
    /// there is a receipt of it.
    pub(crate) fn apply(
        &mut self,
        commit: &Commit,
        had: bool,
        defect: Defect,
        press: &Press,
    ) -> Outcome {
        if had && defect != Defect::ReceiptsUnread {
            return Outcome::AlreadyApplied;
        }
        let mut next = self.clone();
        let holds = commit
            .checks
            .iter()
            .all(|check| defect.overlooks(check.key()) || self.holds(check));
        let fits = commit
            .writes
            .iter()
            .all(|write| next.write(write, defect, press));
        if holds && fits {
            *self = next;
            return Outcome::Applied;
        }
        if defect == Defect::HalfApplied {
            for write in &commit.writes {
                if matches!(write, Write::Take { .. }) {
                    self.write(write, defect, press);
                }
            }
        }
        Outcome::Conflict
    }

    /// Applies one write; false if it would pass its bound.
    fn write(&mut self, write: &Write, defect: Defect, press: &Press) -> bool {
        match write {
            Write::Put {
                key, row, revision, ..
            } => self.put(press.keep(key.clone(), row.clone(), revision.get())),
            Write::Take { key, below } => {
                let count = self.count(key);
                if count >= *below && !defect.overlooks(key) {
                    return false;
                }
                self.put(press.keep(key.clone(), Row::Tally(count + 1), 0));
            }
            Write::Give { key } => {
                let count = self.count(key).saturating_sub(1);
                self.put(press.keep(key.clone(), Row::Tally(count), 0));
            }
            // A row that is deleted and comes back begins at its first revision again. Nothing
            // here does that, and states are told apart as if nothing did.
            Write::Delete { .. } | Write::Erase { .. } => panic!("nothing here is deleted"),
        }
        true
    }
}
