//! Access rules in memory: those of many organizations, within a budget.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use guestlist_access::{AccessBook, AccessIndex, Action, ActionSet, Coverage, Decision, Principal};
use guestlist_store::{KnownBooks, Revision};
use guestlist_types::{Key, OrgId, Timestamp};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// What a row of access rules is counted as, in a book and in its index; not measured.
const BYTES_A_ROW: usize = 600;
/// What is kept without being told otherwise.
pub(crate) const DEFAULT_BUDGET: u64 = 256 << 20;
/// How many rows are compiled in the time of one decision by the plain definition, or fewer.
const ROWS_A_DECISION: usize = 8;
/// From so many rows on, whoever asks doesn't wait until they are compiled.
const MANY_ROWS: usize = 10_000;

/// The access rules of one organization at one revision.
///
/// They are decided on by their plain definition until as much time has gone into that as
/// compiling them takes; from then on by the index. So nobody pays more than twice for guessing
/// wrong, whether rules change all the time or never. The answers are the same.
pub(crate) struct Rules {
    revision: Revision,
    book: Arc<AccessBook>,
    rows: usize,
    asked: AtomicUsize,
    compiling: AtomicBool,
    index: OnceLock<AccessIndex>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("revision", &self.revision)
            .field("rows", &self.rows)
            .field("compiled", &self.index.get().is_some())
            .finish_non_exhaustive()
    }
}

fn rows(book: &AccessBook) -> usize {
    let in_groups = book
        .groups()
        .map(|group| 1 + book.members_of(group.id).count());
    book.grants().count() + in_groups.sum::<usize>()
}

impl Rules {
    fn new(revision: Revision, book: Arc<AccessBook>) -> Self {
        Self {
            revision,
            rows: rows(&book),
            book,
            asked: AtomicUsize::new(0),
            compiling: AtomicBool::new(false),
            index: OnceLock::new(),
        }
    }

    /// As what commands are decided on.
    pub(crate) const fn book(&self) -> &Arc<AccessBook> {
        &self.book
    }

    /// Their index, if there is one by now; asking often enough makes it.
    fn index(self: &Arc<Self>) -> Option<&AccessIndex> {
        if let Some(index) = self.index.get() {
            return Some(index);
        }
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked.saturating_mul(ROWS_A_DECISION) < self.rows
            || self.compiling.swap(true, Ordering::Relaxed)
        {
            return None;
        }
        if self.rows < MANY_ROWS {
            return Some(self.compile());
        }
        let rules = Arc::clone(self);
        let spawned = thread::Builder::new()
            .name("guestlist-compile".into())
            .spawn(move || {
                rules.compile();
            });
        // Without a thread to spare it is tried again later.
        if spawned.is_err() {
            self.compiling.store(false, Ordering::Relaxed);
        }
        None
    }

    fn compile(&self) -> &AccessIndex {
        self.index.get_or_init(|| AccessIndex::from(&*self.book))
    }

    pub(crate) fn decide(
        self: &Arc<Self>,
        principal: &Principal,
        action: Action,
        key: &Key,
        now: Timestamp,
    ) -> Decision {
        match self.index() {
            Some(index) => index.principal(principal).decide(action, key, now),
            None => guestlist_access::decide(&self.book, principal, action, key, now),
        }
    }

    pub(crate) fn allows(
        self: &Arc<Self>,
        principal: &Principal,
        action: Action,
        key: &Key,
        now: Timestamp,
    ) -> bool {
        match self.index() {
            Some(index) => index.principal(principal).allows(action, key, now),
            None => guestlist_access::decide(&self.book, principal, action, key, now).is_allowed(),
        }
    }

    pub(crate) fn actions(
        self: &Arc<Self>,
        principal: &Principal,
        key: &Key,
        now: Timestamp,
    ) -> ActionSet {
        match self.index() {
            Some(index) => index.principal(principal).actions(key, now),
            None => guestlist_access::actions(&self.book, principal, key, now),
        }
    }

    pub(crate) fn readable(
        self: &Arc<Self>,
        principal: &Principal,
        action: Action,
        now: Timestamp,
    ) -> Coverage {
        match self.index() {
            Some(index) => index.principal(principal).readable(action, now),
            None => guestlist_access::readable(&self.book, principal, action, now),
        }
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<OrgId, Arc<Rules>> for Bytes {
    fn weight(&self, _: &OrgId, rules: &Arc<Rules>) -> u64 {
        u64::try_from((rules.rows + 1).saturating_mul(BYTES_A_ROW)).unwrap_or(u64::MAX)
    }
}

/// The rules of those organizations that are asked about most, each with the revision that it was
/// read at. A decision reads the current revision first, so none is ever used beyond it.
pub(crate) struct Shelf(Cache<OrgId, Arc<Rules>, Bytes>);

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("organizations", &self.0.len())
            .field("bytes", &self.0.weight())
            .finish_non_exhaustive()
    }
}

impl Shelf {
    /// For so many bytes, roughly.
    pub(crate) fn new(budget: u64) -> Self {
        Self(Cache::with_weighter(1024, budget, Bytes))
    }

    /// Those of an organization at a revision, if they are here.
    pub(crate) fn get(&self, organization: &OrgId, revision: Revision) -> Option<Arc<Rules>> {
        self.0
            .get(organization)
            .filter(|rules| rules.revision == revision)
    }

    /// Keeps what was read, unless something newer is here already.
    pub(crate) fn put(
        &self,
        organization: &OrgId,
        revision: Revision,
        book: &Arc<AccessBook>,
    ) -> Arc<Rules> {
        let rules = Arc::new(Rules::new(revision, Arc::clone(book)));
        let newer = self
            .0
            .peek(organization)
            .is_some_and(|held| held.revision > revision);
        if !newer {
            self.0.insert(organization.clone(), Arc::clone(&rules));
        }
        rules
    }
}

impl KnownBooks for Shelf {
    fn revision(&self, organization: &OrgId) -> Option<Revision> {
        self.0.get(organization).map(|rules| rules.revision)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use guestlist_access::{AccessChange, Audience, Giver, Grant, Pattern, Subject};
    use guestlist_types::GrantId;

    use super::*;

    fn book(grants: u64) -> Arc<AccessBook> {
        let mut book = AccessBook::new();
        for number in 0..grants {
            let mut id = [0; 16];
            id[8..].copy_from_slice(&number.to_be_bytes());
            book.apply(&AccessChange::PutGrant(Grant {
                id: GrantId::from_bytes(id),
                giver: Giver::System,
                at: Timestamp::from_micros(0),
                expires_at: None,
                subject: Subject::Organization(Audience::Everyone),
                actions: Action::PublicRead.into(),
                pattern: Pattern::parse(&format!("k{number}/")).unwrap(),
            }));
        }
        Arc::new(book)
    }

    fn asked(rules: &Arc<Rules>, key: &str) -> bool {
        let key = Key::parse(key).unwrap();
        let now = Timestamp::from_micros(1);
        rules.allows(&Principal::Anonymous, Action::PublicRead, &key, now)
    }

    #[test]
    fn rules_are_compiled_once_that_has_paid_off() {
        let rules = Arc::new(Rules::new(Revision::new(1), book(80)));
        for _ in 0..5 {
            assert!(rules.index.get().is_none());
            assert!(asked(&rules, "k7/x") && !asked(&rules, "k80/x"));
        }
        assert!(asked(&rules, "k7/x") && !asked(&rules, "k80/x"));
        assert!(rules.index.get().is_some());
    }

    #[test]
    fn many_rules_are_compiled_beside_the_decisions() {
        let rows = MANY_ROWS as u64;
        let rules = Arc::new(Rules::new(Revision::new(1), book(rows)));
        rules.asked.store(MANY_ROWS, Ordering::Relaxed);
        for _ in 0..60_000 {
            assert!(asked(&rules, "k7/x") && !asked(&rules, "nothing"));
            if rules.index.get().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        assert!(rules.index.get().is_some());
        assert!(asked(&rules, "k7/x") && !asked(&rules, "nothing"));
    }

    #[test]
    fn the_shelf_keeps_to_its_budget_and_never_goes_back() {
        let organization = |number: u32| OrgId::parse(&format!("org-{number}")).unwrap();
        let shelf = Shelf::new(100 * BYTES_A_ROW as u64);
        let rules = book(9);
        for number in 0..100 {
            shelf.put(&organization(number), Revision::new(1), &rules);
        }
        let held = (0..100)
            .filter(|number| shelf.revision(&organization(*number)).is_some())
            .count();
        assert!((1..=10).contains(&held), "{held}");

        let shelf = Shelf::new(DEFAULT_BUDGET);
        shelf.put(&organization(7), Revision::new(5), &rules);
        shelf.put(&organization(7), Revision::new(4), &rules);
        let now = shelf.revision(&organization(7));
        assert_eq!(now, Some(Revision::new(5)));
        assert!(shelf.get(&organization(7), Revision::new(4)).is_none());
    }
}
