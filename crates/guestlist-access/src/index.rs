//! The compiled form of the rules: what answers many questions a second.

mod ask;
mod blocks;
mod entries;
mod groups;
mod holders;
mod text;

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use guestlist_types::{GrantId, Timestamp};
use hashbrown::HashTable;

pub use ask::{Compiled, Resolved};
use blocks::{append, number};
use entries::{ENDS, Entries, Entry, List};
use groups::Groups;
use holders::Holders;
use text::{Hasher, Patterns};

use crate::book::{AccessBook, AccessChange, AccessHead, Audience, Grant, GroupMember, Subject};

/// One host's groups and grants, at one revision, compiled for decisions.
///
/// It is kept by the same [`AccessChange`]s as an [`AccessBook`], in place, each at the cost of what
/// it touches, and gives the same answers to the letter; the book's functions are the definition.
/// What it leaves out is what no decision needs: names of groups, who gave a grant and when. So
/// commands are decided over a book, and keys over an index.
///
/// Look up a principal once, then ask about as many keys as you like:
///
/// ```
/// # use guestlist_access::*;
/// # use guestlist_types::*;
/// # let now = Timestamp::from_micros(0);
/// let ada = Member::User(UserId::parse("ada").unwrap());
/// let mut index = AccessIndex::new();
/// index.apply(&AccessChange::PutGrant(Grant {
///     id: GrantId::from_bytes([1; 16]),
///     giver: Giver::System,
///     at: now,
///     expires_at: None,
///     subject: Subject::Member { member: ada.clone(), episode: Episode::NONE },
///     actions: ActionSet::of(&[Action::Read]),
///     pattern: Pattern::parse("shared/").unwrap(),
/// }));
/// let ada = Principal::from(MemberPrincipal::new(ada, Episodes::none()));
/// let ada = index.principal(&ada);
/// let key = Key::parse("shared/plan").unwrap();
/// assert!(ada.allows(Action::Read, &key, now));
/// assert!(ada.decide(Action::Read, &key, now).witness().is_some());
/// assert!(!ada.allows(Action::Update, &key, now));
/// ```
#[derive(Clone, Default)]
pub struct AccessIndex {
    revision: u64,
    external_group: Option<u32>,
    hasher: Hasher,
    rows: Rows,
    entries: Entries,
    patterns: Patterns,
    groups: Groups,
    holders: Holders,
    twins: Twins,
}

/// Whom something is granted to: a group (or an audience) or a member in an episode, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SubjectNumber(u32);

enum SubjectKind {
    Group(u32),
    Holder(u32),
}

impl SubjectNumber {
    const HOLDER: u32 = 1 << 31;

    const fn group(number: u32) -> Self {
        Self(number)
    }

    const fn holder(number: u32) -> Self {
        Self(number | Self::HOLDER)
    }

    const fn audience(audience: Audience) -> Self {
        Self(match audience {
            Audience::Everyone => 0,
            Audience::InternalUsers => 1,
        })
    }

    const fn kind(self) -> SubjectKind {
        if self.0 & Self::HOLDER == 0 {
            SubjectKind::Group(self.0)
        } else {
            SubjectKind::Holder(self.0 & !Self::HOLDER)
        }
    }
}

/// A grant, but for its actions, which are in its entry.
#[derive(Debug, Clone, Copy)]
struct Row {
    id: GrantId,
    subject: SubjectNumber,
    pattern: u32,
}

/// All grants, by id.
#[derive(Debug, Clone, Default)]
struct Rows {
    all: Vec<Row>,
    free: Vec<u32>,
    table: HashTable<u32>,
    /// When those end that do.
    ends: HashTable<(u32, Timestamp)>,
}

impl Rows {
    fn get(&self, row: u32) -> &Row {
        &self.all[row as usize]
    }

    fn ends_at(&self, hasher: Hasher, row: u32) -> Option<Timestamp> {
        let hash = hasher.number(u64::from(row));
        let found = self.ends.find(hash, |(found, _)| *found == row);
        found.map(|(_, end)| *end)
    }

    fn add(&mut self, hasher: Hasher, row: Row, end: Option<Timestamp>) -> u32 {
        let added = self.free.pop().unwrap_or_else(|| {
            append(&mut self.all, row);
            number(self.all.len() - 1)
        });
        self.all[added as usize] = row;
        let all = &self.all;
        let hash = |row: &u32| hasher.id(all[*row as usize].id.as_bytes());
        self.table.insert_unique(hash(&added), added, hash);
        if let Some(end) = end {
            let hash = |(row, _): &(u32, Timestamp)| hasher.number(u64::from(*row));
            let value = (added, end);
            self.ends.insert_unique(hash(&value), value, hash);
        }
        added
    }

    fn find(&self, hasher: Hasher, id: GrantId) -> Option<u32> {
        let same = |row: &u32| self.all[*row as usize].id == id;
        self.table.find(hasher.id(id.as_bytes()), same).copied()
    }

    fn remove(&mut self, hasher: Hasher, row: u32) {
        let hash = hasher.id(self.get(row).id.as_bytes());
        if let Ok(entry) = self.table.find_entry(hash, |found| *found == row) {
            entry.remove();
        }
        let hash = hasher.number(u64::from(row));
        if let Ok(entry) = self.ends.find_entry(hash, |(found, _)| *found == row) {
            entry.remove();
        }
        self.free.push(row);
    }

    fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<Row>()
            + 4 * self.free.capacity()
            + self.table.allocation_size()
            + self.ends.allocation_size()
    }
}

/// Grants of the same actions on the same pattern to the same subject, but for the one that lasts
/// longest, which has the entry: however many there are, a check sees one. The last is the best.
type Twins = BTreeMap<(SubjectNumber, u32, u8), BTreeSet<(Lasts, u32)>>;

/// How long a grant lasts; for good sorts last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lasts {
    Until(Timestamp),
    ForGood,
}

impl From<Option<Timestamp>> for Lasts {
    fn from(end: Option<Timestamp>) -> Self {
        end.map_or(Self::ForGood, Self::Until)
    }
}

impl AccessIndex {
    /// A host without groups and grants, at revision 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The revision that these rules were read at.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Says which revision these rules are; the store counts them.
    pub const fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// How many grants there are.
    #[must_use]
    pub fn grants(&self) -> usize {
        self.rows.table.len()
    }

    /// The memory that it takes, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        // Twins are rare, and the nodes of their trees are not ours to count: this is about right.
        let twins: usize = self.twins.values().map(|set| 300 + 48 * set.len()).sum();
        size_of::<Self>()
            + self.rows.bytes()
            + self.entries.bytes()
            + self.patterns.bytes()
            + self.groups.bytes()
            + self.holders.bytes()
            + twins
    }

    /// Applies one change, at the cost of what it touches; the revision stays as it is.
    ///
    /// Rows come in any order, as with [`AccessBook::apply`], and applying one again changes
    /// nothing.
    pub fn apply(&mut self, change: &AccessChange) {
        match change {
            AccessChange::Head(head) => self.set_head(head),
            AccessChange::PutGroup(group) => {
                self.groups.put(self.hasher, group.id, group.internal);
            }
            AccessChange::DeleteGroup(group) => self.groups.delete(self.hasher, *group),
            AccessChange::PutGroupMember { group, member } => match member {
                GroupMember::Group(inner) => self.groups.nest(self.hasher, *group, *inner),
                GroupMember::Member { member, episode } => {
                    let holder = self.holders.intern(self.hasher, member, *episode);
                    let group = self.groups.add_use(self.hasher, *group);
                    if !self.holders.join(holder, group) {
                        self.groups.end_use(self.hasher, group);
                    }
                }
            },
            AccessChange::DeleteGroupMember { group, member } => match member {
                GroupMember::Group(inner) => self.groups.unnest(self.hasher, *group, *inner),
                GroupMember::Member { member, episode } => {
                    let holder = self.holders.find(self.hasher, member, *episode);
                    let group = self.groups.find(self.hasher, *group);
                    if let (Some(holder), Some(group)) = (holder, group)
                        && self.holders.leave(holder, group)
                    {
                        self.groups.end_use(self.hasher, group);
                        self.drop_unused_holder(holder);
                    }
                }
            },
            AccessChange::PutGrant(grant) => self.put_grant(grant),
            AccessChange::DeleteGrant(grant) => self.delete_grant(*grant),
        }
    }

    fn set_head(&mut self, head: &AccessHead) {
        let group = head
            .external_group
            .map(|group| self.groups.add_use(self.hasher, group));
        if let Some(before) = core::mem::replace(&mut self.external_group, group) {
            self.groups.end_use(self.hasher, before);
        }
    }

    fn put_grant(&mut self, grant: &Grant) {
        self.delete_grant(grant.id);
        let subject = match &grant.subject {
            Subject::Organization(audience) => SubjectNumber::audience(*audience),
            Subject::Group(group) => SubjectNumber::group(self.groups.add_use(self.hasher, *group)),
            Subject::Member { member, episode } => {
                SubjectNumber::holder(self.holders.intern(self.hasher, member, *episode))
            }
        };
        let text = grant.pattern.as_str().as_bytes();
        let pattern = self.patterns.intern(self.hasher, text);
        let row = Row {
            id: grant.id,
            subject,
            pattern,
        };
        let row = self.rows.add(self.hasher, row, grant.expires_at);
        let actions = grant.actions.bits();
        let hash = self.hasher.text(text);
        let list = self.list(subject);
        if let Some(place) = self.entries.find(list, hash, pattern, actions) {
            let other = self.entries.row(place);
            let (lasts, other_lasts) = (Lasts::from(grant.expires_at), self.lasts(other));
            let twin = if lasts > other_lasts {
                let ends = grant.expires_at.is_some();
                self.entries.set_row(place, row, ends);
                (other_lasts, other)
            } else {
                (lasts, row)
            };
            let twins = self.twins.entry((subject, pattern, actions)).or_default();
            twins.insert(twin);
            return;
        }
        let ends = if grant.expires_at.is_some() { ENDS } else { 0 };
        let entry = Entry {
            hash,
            pattern,
            bits: actions | ends,
            row,
        };
        let list = match subject.kind() {
            SubjectKind::Group(group) => self.groups.list_mut(group),
            SubjectKind::Holder(holder) => self.holders.list_mut(holder),
        };
        let (hasher, texts) = (self.hasher, self.patterns.texts());
        self.entries
            .push(list, entry, |pattern| hasher.text(texts.get(pattern)));
        self.write_sieve(subject);
    }

    fn write_sieve(&mut self, subject: SubjectNumber) {
        match subject.kind() {
            SubjectKind::Group(group) => {
                let sieve = self.entries.sieve(self.groups.list(group));
                self.groups.set_sieve(group, sieve);
            }
            SubjectKind::Holder(_) => {}
        }
    }

    fn delete_grant(&mut self, id: GrantId) {
        let Some(row) = self.rows.find(self.hasher, id) else {
            return;
        };
        let Row {
            subject, pattern, ..
        } = *self.rows.get(row);
        let hash = self.hasher.text(self.patterns.texts().get(pattern));
        let places = self.entries.places_of(self.list(subject), hash);
        for place in places {
            if self.entries.pattern(place) != pattern {
                continue;
            }
            let key = (subject, pattern, self.entries.bits(place) & !ENDS);
            if self.entries.row(place) == row {
                match self.pop_twin(key) {
                    Some((lasts, twin)) => {
                        let ends = lasts != Lasts::ForGood;
                        self.entries.set_row(place, twin, ends);
                    }
                    None => self.remove_entry(subject, hash, place),
                }
                break;
            }
            let lasts = self.lasts(row);
            if let Some(twins) = self.twins.get_mut(&key)
                && twins.remove(&(lasts, row))
            {
                if twins.is_empty() {
                    self.twins.remove(&key);
                }
                break;
            }
        }
        self.rows.remove(self.hasher, row);
        self.patterns.release(self.hasher, pattern);
        match subject.kind() {
            SubjectKind::Group(group) => self.groups.end_use(self.hasher, group),
            SubjectKind::Holder(holder) => self.drop_unused_holder(holder),
        }
    }

    fn pop_twin(&mut self, key: (SubjectNumber, u32, u8)) -> Option<(Lasts, u32)> {
        let twins = self.twins.get_mut(&key)?;
        let best = twins.pop_last();
        if twins.is_empty() {
            self.twins.remove(&key);
        }
        best
    }

    fn remove_entry(&mut self, subject: SubjectNumber, hash: u64, place: usize) {
        let list = match subject.kind() {
            SubjectKind::Group(group) => self.groups.list_mut(group),
            SubjectKind::Holder(holder) => self.holders.list_mut(holder),
        };
        self.entries.remove(list, hash, place);
        self.write_sieve(subject);
    }

    fn drop_unused_holder(&mut self, holder: u32) {
        let granted = self.entries.len(self.holders.get(holder).list);
        self.holders.drop_unused(self.hasher, holder, granted);
    }

    fn list(&self, subject: SubjectNumber) -> List {
        match subject.kind() {
            SubjectKind::Group(group) => self.groups.list(group),
            SubjectKind::Holder(holder) => self.holders.get(holder).list,
        }
    }

    fn lasts(&self, row: u32) -> Lasts {
        self.rows.ends_at(self.hasher, row).into()
    }

    /// The rows behind an entry: its own and its twins.
    fn rows_of(&self, subject: SubjectNumber, place: usize) -> impl Iterator<Item = u32> + '_ {
        let key = (
            subject,
            self.entries.pattern(place),
            self.entries.bits(place) & !ENDS,
        );
        // Most have none, which costs nothing to see where nobody has one.
        let twins = self.twins.get(&key).into_iter().flatten();
        core::iter::once(self.entries.row(place)).chain(twins.map(|(_, row)| *row))
    }
}

impl<'a> Extend<&'a AccessChange> for AccessIndex {
    fn extend<I: IntoIterator<Item = &'a AccessChange>>(&mut self, changes: I) {
        changes.into_iter().for_each(|change| self.apply(change));
    }
}

impl<'a> FromIterator<&'a AccessChange> for AccessIndex {
    fn from_iter<I: IntoIterator<Item = &'a AccessChange>>(changes: I) -> Self {
        let mut index = Self::new();
        index.extend(changes);
        index
    }
}

impl From<&AccessBook> for AccessIndex {
    /// The index of this book, at its revision.
    fn from(book: &AccessBook) -> Self {
        let mut index = Self::new();
        book.rows().for_each(|row| index.apply(&row));
        index.set_revision(book.revision());
        index
    }
}

impl fmt::Debug for AccessIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessIndex")
            .field("revision", &self.revision)
            .field("grants", &self.grants())
            .field("patterns", &self.patterns.len())
            .field("groups", &self.groups.len())
            .field("members", &self.holders.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
