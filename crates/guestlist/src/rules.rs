//! Access rules in memory: those of many organizations, within a budget.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::{mem, thread};

use guestlist_access::{
    AccessBook, AccessEvent, AccessIndex, Action, ActionSet, Coverage, Decision, Principal,
};
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

/// How many rows an event adds, or takes away.
fn growth(event: &AccessEvent) -> isize {
    match event {
        AccessEvent::GroupCreated(_)
        | AccessEvent::AddedToGroup { .. }
        | AccessEvent::GrantMade(_) => 1,
        AccessEvent::RemovedFromGroup { .. } | AccessEvent::GrantRevoked { .. } => -1,
        AccessEvent::GroupDeleted {
            members,
            outer,
            grants,
            ..
        } => {
            let gone = 1 + members.len() + outer.len() + grants.len();
            -isize::try_from(gone).unwrap_or(isize::MAX)
        }
        _ => 0,
    }
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

    /// The same once more.
    fn copied(&self) -> Self {
        Self {
            revision: self.revision,
            book: Arc::new((*self.book).clone()),
            rows: self.rows,
            asked: AtomicUsize::new(self.asked.load(Ordering::Relaxed)),
            compiling: AtomicBool::new(false),
            index: self.index.clone(),
        }
    }

    /// Brings them up to date: costs what has changed, unless a command still decides on them.
    fn catch_up<'a>(
        &mut self,
        revision: Revision,
        events: impl IntoIterator<Item = &'a AccessEvent>,
    ) {
        let book = Arc::make_mut(&mut self.book);
        let mut index = self.index.get_mut();
        for event in events {
            for change in event.changes(book.head()) {
                if let Some(index) = &mut index {
                    index.apply(&change);
                }
                book.apply(&change);
            }
            self.rows = self.rows.saturating_add_signed(growth(event));
        }
        book.set_revision(revision.get());
        if let Some(index) = index {
            index.set_revision(revision.get());
        }
        self.revision = revision;
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

/// The rules of one organization as they are, and as they were before the last change.
///
/// When they change, the older ones are brought up to date and take the place of the others, which
/// are then the older ones. So a change costs what it touches, however many rules there are, and
/// whoever reads goes on reading what it has; only changes wait for each other. Rules that never
/// change are there once.
struct Held {
    copies: Mutex<Copies>,
    /// One change after the other; whoever reads doesn't ask for it.
    changing: Mutex<()>,
}

struct Copies {
    current: Arc<Rules>,
    before: Option<Before>,
}

struct Before {
    rules: Arc<Rules>,
    /// What has happened since.
    events: Vec<AccessEvent>,
}

impl Held {
    fn new(rules: Arc<Rules>) -> Self {
        Self {
            copies: Mutex::new(Copies {
                current: rules,
                before: None,
            }),
            changing: Mutex::new(()),
        }
    }

    fn copies(&self) -> MutexGuard<'_, Copies> {
        // Whatever panicked, it was not while the copies change places.
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Arc<Rules> {
        Arc::clone(&self.copies().current)
    }

    /// Brings the rules from one revision to another. `None` if they are neither at the one nor at
    /// the other.
    fn change(
        &self,
        since: Revision,
        revision: Revision,
        events: &[AccessEvent],
    ) -> Option<Arc<Rules>> {
        let changing = self.changing.lock();
        let _changing = changing.unwrap_or_else(PoisonError::into_inner);
        let (current, before) = {
            let mut copies = self.copies();
            let current = Arc::clone(&copies.current);
            if current.revision == revision {
                return Some(current);
            }
            if current.revision != since {
                return None;
            }
            (current, copies.before.take())
        };
        // Whoever still reads the older ones keeps them, and there is another copy.
        let (mut rules, behind) = before
            .and_then(|before| Some((Arc::try_unwrap(before.rules).ok()?, before.events)))
            .unwrap_or_else(|| (current.copied(), Vec::new()));
        rules.catch_up(revision, behind.iter().chain(events));
        *rules.asked.get_mut() = current.asked.load(Ordering::Relaxed);
        let rules = Arc::new(rules);
        let mut copies = self.copies();
        let before = mem::replace(&mut copies.current, Arc::clone(&rules));
        copies.before = Some(Before {
            rules: before,
            events: events.to_vec(),
        });
        Some(rules)
    }

    fn rows(&self) -> usize {
        let copies = self.copies();
        let before = copies.before.as_ref().map(|before| before.rules.rows);
        copies.current.rows + before.unwrap_or_default() + 1
    }
}

/// With as many rows as there were when it was put there: what weighs something in the cache
/// may not change in place.
#[derive(Clone)]
struct Shelved {
    held: Arc<Held>,
    rows: usize,
}

impl From<Arc<Held>> for Shelved {
    fn from(held: Arc<Held>) -> Self {
        let rows = held.rows();
        Self { held, rows }
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<OrgId, Shelved> for Bytes {
    fn weight(&self, _: &OrgId, shelved: &Shelved) -> u64 {
        u64::try_from(shelved.rows.saturating_mul(BYTES_A_ROW)).unwrap_or(u64::MAX)
    }
}

/// The rules of those organizations that are asked about most, each with the revision that it was
/// read at. A decision reads the current revision first, so none is ever used beyond it.
pub(crate) struct Shelf(Cache<OrgId, Shelved, Bytes>);

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
        let rules = self.0.get(organization)?.held.current();
        (rules.revision == revision).then_some(rules)
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
            .is_some_and(|shelved| shelved.held.current().revision > revision);
        if !newer {
            let held = Held::new(Arc::clone(&rules));
            self.0.insert(organization.clone(), Arc::new(held).into());
        }
        rules
    }

    /// Brings those that are here from one revision to another. `None` if they are neither at the
    /// one nor at the other.
    pub(crate) fn change(
        &self,
        organization: &OrgId,
        since: Revision,
        revision: Revision,
        events: &[AccessEvent],
    ) -> Option<Arc<Rules>> {
        let Shelved {
            held,
            rows: weighed,
        } = self.0.get(organization)?;
        let rules = held.change(since, revision, events)?;
        // Weighed anew when that makes a difference.
        if held.rows().abs_diff(weighed) > weighed / 8 {
            self.0.insert(organization.clone(), held.into());
        }
        Some(rules)
    }
}

impl KnownBooks for Shelf {
    fn revision(&self, organization: &OrgId) -> Option<Revision> {
        Some(self.0.get(organization)?.held.current().revision)
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

    fn grant(number: u64) -> AccessEvent {
        let book = book(number + 1);
        AccessEvent::GrantMade(book.grants().last().unwrap().clone())
    }

    fn revoke(number: u64) -> AccessEvent {
        let AccessEvent::GrantMade(grant) = grant(number) else {
            panic!("a grant");
        };
        AccessEvent::GrantRevoked { grant: grant.id }
    }

    #[test]
    fn changes_are_made_to_the_copy_that_nobody_reads() {
        let organization = OrgId::parse("org-1").unwrap();
        let shelf = Shelf::new(DEFAULT_BUDGET);
        let first = shelf.put(&organization, Revision::new(3), &book(3));
        first.compile();
        let change = |revision: u64, events: &[AccessEvent]| {
            let since = Revision::new(revision - 1);
            shelf.change(&organization, since, Revision::new(revision), events)
        };
        let second = change(4, &[grant(3)]).unwrap();
        assert!(asked(&second, "k3/x") && second.index.get().is_some());
        assert!(!asked(&first, "k3/x"), "who reads keeps what it has");
        let (one, other) = (Arc::as_ptr(&first), Arc::as_ptr(&second));

        // Still read, it is left alone, and there is a third copy.
        let third = change(5, &[grant(4), grant(5)]).unwrap();
        assert!(![one, other].contains(&Arc::as_ptr(&third)));
        drop((first, second));
        for revision in 6..40 {
            let (new, old) = (revision, revision - 6);
            let rules = change(revision, &[grant(new), revoke(old)]).unwrap();
            assert_eq!(rules.rows, rows(rules.book()));
            let mut fresh = (*book(new + 1)).clone();
            for number in 0..=old {
                guestlist_access::evolve(&mut fresh, &revoke(number));
            }
            fresh.set_revision(revision);
            assert_eq!(**rules.book(), fresh);
            let index = rules.index.get().unwrap();
            assert_eq!(index.revision(), revision);
            for number in 0..=new {
                let key = Key::parse(&format!("k{number}/x")).unwrap();
                let now = Timestamp::from_micros(1);
                let by_index = index.principal(&Principal::Anonymous);
                assert_eq!(
                    by_index.allows(Action::PublicRead, &key, now),
                    number > old,
                    "{key} at {revision}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_copied_but_the_first_time() {
        let held = Held::new(Arc::new(Rules::new(Revision::new(1), book(100))));
        let change = |revision: u64| {
            let since = Revision::new(revision - 1);
            let rules = held.change(since, Revision::new(revision), &[grant(200 + revision)]);
            let rules = rules.unwrap();
            (Arc::as_ptr(&rules), Arc::as_ptr(rules.book()))
        };
        let (one, other) = (change(2), change(3));
        for revision in 4..20 {
            let wanted = if revision % 2 == 0 { one.1 } else { other.1 };
            assert_eq!(change(revision).1, wanted, "at {revision}");
        }
    }

    #[test]
    fn changes_of_other_rules_are_not_made() {
        let organization = OrgId::parse("org-1").unwrap();
        let shelf = Shelf::new(DEFAULT_BUDGET);
        let change = |since, revision| {
            let (since, revision) = (Revision::new(since), Revision::new(revision));
            shelf.change(&organization, since, revision, &[grant(7)])
        };
        assert!(change(1, 2).is_none(), "there are none");
        shelf.put(&organization, Revision::new(5), &book(1));
        assert!(change(4, 6).is_none() && change(6, 7).is_none());
        let made = change(5, 6).unwrap();
        let again = change(5, 6).unwrap();
        assert!(Arc::ptr_eq(&made, &again), "made by somebody else");
        assert!(change(5, 7).is_none());
    }

    #[test]
    fn whoever_reads_meets_whole_rules() {
        let mut first = (*book(1)).clone();
        first.set_revision(1);
        let first = Rules::new(Revision::new(1), Arc::new(first));
        let held = Arc::new(Held::new(Arc::new(first)));
        let last = 300;
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for revision in 2..=last {
                        let (since, revision) =
                            (Revision::new(revision - 1), Revision::new(revision));
                        while held.current().revision < revision {
                            held.change(since, revision, &[grant(revision.get())]);
                        }
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut seen = 0;
                    while seen < last {
                        let rules = held.current();
                        let revision = rules.revision.get();
                        assert!(revision >= seen, "rules never go back");
                        seen = revision;
                        assert_eq!(rules.book().revision(), revision);
                        assert_eq!(rules.book().grants().count() as u64, revision);
                        assert!(asked(
                            &rules,
                            &format!("k{}/x", if revision == 1 { 0 } else { revision })
                        ));
                        assert!(!asked(&rules, &format!("k{}/x", revision + 1)));
                    }
                });
            }
        });
    }
}
