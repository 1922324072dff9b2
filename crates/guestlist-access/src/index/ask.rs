//! Questions to the index.

use std::collections::BTreeSet;

use guestlist_types::{GrantId, GroupId, Key, Timestamp};

use super::blocks::number;
use super::entries::{ENDS, List, Wanted};
use super::groups::Walk;
use super::holders::Holder;
use super::{AccessIndex, SubjectNumber};
use crate::action::{Action, ActionSet};
use crate::book::Audience;
use crate::coverage::Coverage;
use crate::decide::{
    Decision, Denial, Explanation, MAX_NEAR_MISSES, Miss, NearMiss, Who, Witness, WitnessGrant,
    ceiling,
};
use crate::pattern::Pattern;
use crate::principal::{MemberPrincipal, Principal};

const EVERYONE: u32 = SubjectNumber::audience(Audience::Everyone).0;
const INTERNAL_USERS: u32 = SubjectNumber::audience(Audience::InternalUsers).0;

/// A principal that was looked up in an [`AccessIndex`].
///
/// It borrows the index, so it is never older than what it answers from. What it says is what the
/// functions of the same names say about an [`AccessBook`](crate::AccessBook) of the same rows:
/// [`decide`](crate::decide), [`explain`](crate::explain), [`readable`](crate::readable),
/// [`actions`](crate::actions).
#[derive(Debug, Clone, Copy)]
pub struct Resolved<'a> {
    index: &'a AccessIndex,
    member: Option<&'a MemberPrincipal>,
    /// The first episode that counts, copied, for there is mostly one.
    first: Option<(u32, Holder)>,
    /// Whether later ones may count as well.
    more: bool,
}

impl AccessIndex {
    /// Looks a principal up, to ask about it. Somebody of whom the index has never heard is
    /// answered too: there are grants for whole audiences, and memberships carry their own.
    #[must_use]
    pub fn principal<'a>(&'a self, principal: &'a Principal) -> Resolved<'a> {
        self.resolve(principal.member())
    }

    fn resolve<'a>(&'a self, member: Option<&'a MemberPrincipal>) -> Resolved<'a> {
        let first = member.and_then(|member| {
            let first = self.holders.first_of(self.hasher, &member.member);
            let counts = |holder: &Holder| member.episodes.contains(holder.episode());
            self.holders
                .chain(first)
                .find(|(_, holder)| counts(holder))
                .map(|(number, holder)| (number, *holder))
        });
        Resolved {
            index: self,
            member,
            first,
            more: member.is_some_and(|member| member.episodes.since < member.episodes.current),
        }
    }

    /// Which of `principals` may do `action` to `key` now, and whether a whole audience may; as
    /// [`who`](crate::who) says.
    #[must_use]
    pub fn who<'a>(
        &self,
        principals: impl IntoIterator<Item = &'a MemberPrincipal>,
        action: Action,
        key: &Key,
        now: Timestamp,
    ) -> Who {
        let granted_to = |audience| {
            let subject = SubjectNumber::audience(audience);
            self.first_grant(subject, action, key, now)
        };
        let members = principals.into_iter().filter_map(|principal| {
            match self.resolve(Some(principal)).decide(action, key, now) {
                Decision::Allow(witness) => Some((principal.member.clone(), witness)),
                Decision::Deny(_) => None,
            }
        });
        Who::of(
            action,
            granted_to(Audience::Everyone),
            granted_to(Audience::InternalUsers),
            members.collect(),
        )
    }

    /// The first live grant by id that allows it, of those to one subject.
    fn first_grant(
        &self,
        subject: SubjectNumber,
        action: Action,
        key: &Key,
        now: Timestamp,
    ) -> Option<GrantId> {
        let mask = mask(subject, action);
        let list = self.list(subject);
        let mut first = None;
        self.each_batch(key, &mut |wanted| {
            self.entries.scan(list, wanted, &mut |place, which| {
                if self.entries.bits(place) & mask != 0
                    && self.is_pattern(place, key, wanted.end(which))
                {
                    let ids = self
                        .rows_of(subject, place)
                        .filter(|row| now.is_before_end(self.rows.ends_at(self.hasher, *row)))
                        .map(|row| self.rows.get(row).id);
                    first = first.into_iter().chain(ids).min();
                }
                false
            })
        });
        first
    }

    /// Hands out the prefixes of a key that patterns may have, up to eight at a time, until `ask`
    /// says to stop.
    #[inline]
    fn each_batch(&self, key: &Key, ask: &mut impl FnMut(&Wanted) -> bool) -> bool {
        let mut wanted = Wanted::new();
        if self.patterns.have_everything() {
            wanted.push(self.hasher.text(b""), 0);
        }
        let stopped = self.hasher.prefixes(key.as_str().as_bytes(), |hash, end| {
            if !self.patterns.may_have(hash) {
                return false;
            }
            wanted.push(hash, end);
            wanted.is_full() && {
                let stop = ask(&wanted);
                wanted.clear();
                stop
            }
        });
        stopped || (!wanted.is_empty() && ask(&wanted))
    }

    /// Whether the pattern of an entry is that part of the key.
    #[inline]
    fn is_pattern(&self, place: usize, key: &Key, end: usize) -> bool {
        let bytes = key.as_str().as_bytes();
        let part = bytes.get(..end).unwrap_or(bytes);
        self.patterns.texts().is(self.entries.pattern(place), part)
    }

    #[inline]
    fn is_live(&self, place: usize, now: Timestamp) -> bool {
        self.entries.bits(place) & ENDS == 0
            || now.is_before_end(self.rows.ends_at(self.hasher, self.entries.row(place)))
    }
}

/// Some of what is granted to a principal.
enum Held<'a> {
    /// What is granted to groups, or audiences.
    Groups(&'a [u32]),
    /// What is granted to a member itself.
    Member(List),
}

/// The actions that answer for `action` where a subject has them: what everybody may be told may
/// be read.
const fn mask(subject: SubjectNumber, action: Action) -> u8 {
    let told = subject.0 == EVERYONE && matches!(action, Action::Read);
    let other = if told { Action::PublicRead } else { action };
    ActionSet::of(&[action, other]).bits()
}

impl<'a> Resolved<'a> {
    /// Whether the principal may do this to the key now. It allocates nothing, unless groups are
    /// nested more than 64 deep.
    #[must_use]
    pub fn allows(&self, action: Action, key: &Key, now: Timestamp) -> bool {
        if ceiling(self.member, action).is_some() {
            return false;
        }
        let look = Look::new(self.index, action, key, now);
        let granted = self.index.each_batch(key, &mut |wanted| {
            self.each_held(wanted, &mut |is_everyone, place, which| {
                look.allows(is_everyone, place, wanted.end(which))
            })
        });
        granted || self.preset(action, key).is_some()
    }

    /// Lays out all that the principal holds, for questions about many keys: about six bytes for
    /// each pattern that reaches it, and as long as some ten checks.
    #[must_use]
    pub fn compile(&self) -> Compiled<'a> {
        let index = self.index;
        let mut compiled = Compiled {
            resolved: *self,
            everyone: 0,
            tags: Vec::new(),
            places: Vec::new(),
            spread: Vec::new(),
        };
        let mut seen = BTreeSet::new();
        self.each_list(&mut |held| {
            match held {
                Held::Member(list) => compiled.add(index, list),
                Held::Groups(groups) => {
                    for group in groups.iter().filter(|group| seen.insert(**group)) {
                        // What everybody has comes first, which is how it is told from the rest.
                        compiled.add(index, index.groups.list(*group));
                        if *group == EVERYONE {
                            compiled.everyone = compiled.places.len();
                        }
                    }
                }
            }
            false
        });
        let lanes = compiled.tags.len().next_multiple_of(8);
        compiled.tags.resize(lanes, 0);
        compiled
    }

    /// The decision, with its witness or its reason. What [`Resolved::allows`] is told apart by is
    /// found in the order of the definition, which takes about as long as all of that once more.
    pub fn decide(&self, action: Action, key: &Key, now: Timestamp) -> Decision {
        if let Some(denial) = ceiling(self.member, action) {
            return Decision::Deny(denial);
        }
        if !self.allows(action, key, now) {
            return Decision::Deny(Denial::NoGrant);
        }
        self.witness(action, key, now)
            .map_or(Decision::Deny(Denial::NoGrant), Decision::Allow)
    }

    fn witness(&self, action: Action, key: &Key, now: Timestamp) -> Option<Witness> {
        let first = |subject| self.index.first_grant(subject, action, key, now);
        let alone = |source| Witness {
            source,
            groups: Vec::new(),
        };
        if let Some(grant) = self.own_subjects().find_map(first) {
            return Some(alone(WitnessGrant::Grant(grant)));
        }
        if let Some(index) = self.preset(action, key) {
            return Some(alone(WitnessGrant::Preset(index)));
        }
        let walk = self.walk();
        walk.groups().iter().find_map(|group| {
            let grant = first(SubjectNumber::group(*group))?;
            Some(Witness {
                source: WitnessGrant::Grant(grant),
                groups: self.path(&walk, *group),
            })
        })
    }

    /// All that the principal may do to the key now.
    #[must_use]
    pub fn actions(&self, key: &Key, now: Timestamp) -> ActionSet {
        let index = self.index;
        let mut found = ActionSet::EMPTY;
        index.each_batch(key, &mut |wanted| {
            self.each_held(wanted, &mut |is_everyone, place, which| {
                let mut held = ActionSet::from_bits(index.entries.bits(place));
                if is_everyone && held.contains(Action::PublicRead) {
                    held = held.union(Action::Read.into());
                }
                if !held.is_subset(found)
                    && index.is_pattern(place, key, wanted.end(which))
                    && index.is_live(place, now)
                {
                    found = found.union(held);
                }
                false
            })
        });
        let carried = self
            .presets()
            .filter(|(_, _, pattern)| pattern.covers(key))
            .map(|(_, actions, _)| actions);
        carried
            .fold(found, ActionSet::union)
            .iter()
            .filter(|action| ceiling(self.member, *action).is_none())
            .collect()
    }

    /// The keys for which [`Resolved::allows`] says yes, as the unique smallest set of patterns:
    /// as a list, as ranges of bytes, as an SQL filter, and as a matcher.
    #[must_use]
    pub fn readable(&self, action: Action, now: Timestamp) -> Coverage {
        if ceiling(self.member, action).is_some() {
            return Coverage::default();
        }
        let index = self.index;
        let mut texts: Vec<&str> = Vec::new();
        let mut take = |subject: SubjectNumber, list: List| {
            let mask = mask(subject, action);
            for place in index.entries.all(list) {
                if index.entries.bits(place) & mask != 0 && index.is_live(place, now) {
                    texts.push(index.patterns.texts().str(index.entries.pattern(place)));
                }
            }
        };
        self.each_list(&mut |held| {
            match held {
                Held::Member(list) => take(SubjectNumber::holder(0), list),
                Held::Groups(groups) => {
                    for group in groups {
                        take(SubjectNumber::group(*group), index.groups.list(*group));
                    }
                }
            }
            false
        });
        let carried = self
            .presets()
            .filter(|(_, actions, _)| actions.contains(action))
            .map(|(_, _, pattern)| pattern.as_str());
        texts.extend(carried);
        Coverage::of_texts(texts)
    }

    /// The decision with every reason for it and the near misses. It looks at every grant of the
    /// host.
    #[must_use]
    pub fn explain(&self, action: Action, key: &Key, now: Timestamp) -> Explanation {
        let walk = self.walk();
        let path = |group: &u32| (self.index.groups.id(*group), self.path(&walk, *group));
        let mut explanation = Explanation {
            decision: self.decide(action, key, now),
            groups: walk.groups().iter().map(path).collect(),
            matching: Vec::new(),
            near_misses: Vec::new(),
        };
        if ceiling(self.member, action).is_some() {
            return explanation;
        }
        let own: Vec<SubjectNumber> = self.own_subjects().collect();
        let of_groups = walk.groups().iter().copied().map(SubjectNumber::group);
        let reached: BTreeSet<SubjectNumber> = own.iter().copied().chain(of_groups).collect();
        let look = |subject: SubjectNumber| {
            let mut found = self.look(subject, reached.contains(&subject), action, key, now);
            found.sort_unstable_by_key(|(grant, _)| *grant);
            found
        };
        let mut tell = |source, groups: Vec<GroupId>, why| match why {
            Ok(()) => explanation.matching.push(Witness { source, groups }),
            Err(why) => {
                if explanation.near_misses.len() < MAX_NEAR_MISSES {
                    let grant = source;
                    explanation.near_misses.push(NearMiss { grant, why });
                }
            }
        };
        for subject in own {
            for (grant, why) in look(subject) {
                tell(WitnessGrant::Grant(grant), Vec::new(), why);
            }
        }
        for (index, actions, pattern) in self.presets() {
            let misses = [
                (actions.contains(action), Miss::OtherAction),
                (pattern.covers(key), Miss::OtherKey),
            ];
            if let Some(why) = at_most_one(misses) {
                tell(WitnessGrant::Preset(index), Vec::new(), why);
            }
        }
        for group in walk.groups() {
            for (grant, why) in look(SubjectNumber::group(*group)) {
                let groups = why.map_or_else(|_| Vec::new(), |()| self.path(&walk, *group));
                tell(WitnessGrant::Grant(grant), groups, why);
            }
        }
        let mut others: Vec<(GrantId, Result<(), Miss>)> = self
            .index
            .subjects()
            .filter(|subject| !reached.contains(subject))
            .flat_map(look)
            .collect();
        others.sort_unstable_by_key(|(grant, _)| *grant);
        for (grant, why) in others {
            tell(WitnessGrant::Grant(grant), Vec::new(), why);
        }
        explanation
    }

    /// The grants to a subject that fail in one respect or in none.
    fn look(
        &self,
        subject: SubjectNumber,
        is_reached: bool,
        action: Action,
        key: &Key,
        now: Timestamp,
    ) -> Vec<(GrantId, Result<(), Miss>)> {
        let index = self.index;
        let mask = mask(subject, action);
        let mut found = Vec::new();
        for place in index.entries.all(index.list(subject)) {
            let text = index.patterns.texts().str(index.entries.pattern(place));
            let has = index.entries.bits(place) & mask != 0;
            let covers = Pattern::covers_text(text, key.as_str());
            for row in index.rows_of(subject, place) {
                let live = now.is_before_end(index.rows.ends_at(index.hasher, row));
                let respects = [
                    (has, Miss::OtherAction),
                    (covers, Miss::OtherKey),
                    (is_reached, Miss::OtherSubject),
                    (live, Miss::Expired),
                ];
                if let Some(why) = at_most_one(respects) {
                    found.push((index.rows.get(row).id, why));
                }
            }
        }
        found
    }

    /// The audiences that the principal belongs to and itself, in the order of the definition.
    fn own_subjects(&self) -> impl Iterator<Item = SubjectNumber> + use<'a> {
        let audiences = [EVERYONE]
            .into_iter()
            .chain(self.is_internal().then_some(INTERNAL_USERS));
        let holders = self.holders();
        audiences
            .map(SubjectNumber)
            .chain(holders.map(|(number, _)| SubjectNumber::holder(number)))
    }

    fn is_internal(&self) -> bool {
        self.member.is_some_and(|member| !member.is_outsider())
    }

    fn is_outsider(&self) -> bool {
        self.member.is_some_and(MemberPrincipal::is_outsider)
    }

    /// The member in the episodes that count.
    fn holders(&self) -> impl Iterator<Item = (u32, Holder)> + use<'a> {
        let member = self.member;
        let counts = move |holder: &Holder| {
            member.is_some_and(|member| member.episodes.contains(holder.episode()))
        };
        let first = self.first.map(|(number, _)| number);
        self.index
            .holders
            .chain(first)
            .map(|(number, holder)| (number, *holder))
            .take_while(move |(_, holder)| counts(holder))
    }

    /// The first of the grants that the membership carries which allows it.
    #[inline]
    fn preset(&self, action: Action, key: &Key) -> Option<usize> {
        self.presets()
            .find(|(_, actions, pattern)| actions.contains(action) && pattern.covers(key))
            .map(|(index, ..)| index)
    }

    fn presets(&self) -> impl Iterator<Item = (usize, ActionSet, &'a Pattern)> + use<'a> {
        self.member.into_iter().flat_map(|member| {
            let all = member.grants.iter().enumerate();
            all.map(|(index, grant)| (index, grant.actions, &grant.pattern))
        })
    }

    /// The groups that the principal holds directly by anything but rows for itself.
    fn carried(&self) -> impl Iterator<Item = u32> + use<'a> {
        let index = self.index;
        let external = index.external_group.filter(|_| self.is_outsider());
        let carried = self.member.into_iter().flat_map(|member| &member.groups);
        carried
            .filter_map(|group| index.groups.find(index.hasher, *group))
            .chain(external)
    }

    fn walk(&self) -> Walk {
        let groups = &self.index.holders;
        let own = self
            .holders()
            .flat_map(|(_, holder)| groups.groups(&holder).to_vec());
        self.index
            .groups
            .walk(own.chain(self.carried()), self.is_outsider())
    }

    fn path(&self, walk: &Walk, group: u32) -> Vec<GroupId> {
        let ids = walk.path(group).into_iter();
        ids.map(|group| self.index.groups.id(group)).collect()
    }

    /// Calls `found` with each entry that may be one of those wanted, until it says to stop:
    /// whether everybody has it, its place, and which one it may be.
    #[inline]
    fn each_held(
        &self,
        wanted: &Wanted,
        found: &mut impl FnMut(bool, usize, usize) -> bool,
    ) -> bool {
        let index = self.index;
        self.each_list(&mut |held| match held {
            Held::Member(list) => {
                let mut found = |place, which| found(false, place, which);
                index.entries.scan(list, wanted, &mut found)
            }
            Held::Groups(groups) => groups.iter().any(|group| {
                if !wanted.passes(index.groups.sieve(*group)) {
                    return false;
                }
                let mut found = |place, which| found(*group == EVERYONE, place, which);
                index
                    .entries
                    .scan(index.groups.list(*group), wanted, &mut found)
            }),
        })
    }

    /// Hands out what is granted to the principal until `ask` says to stop. A group that is
    /// reached by several paths may come several times.
    #[inline]
    fn each_list(&self, ask: &mut impl FnMut(Held<'_>) -> bool) -> bool {
        let audiences: &[u32] = if self.is_internal() {
            &[EVERYONE, INTERNAL_USERS]
        } else {
            &[EVERYONE]
        };
        if ask(Held::Groups(audiences)) {
            return true;
        }
        let Some(member) = self.member else {
            return false;
        };
        let (index, outsider) = (self.index, member.is_outsider());
        let mut too_deep = false;
        let mut holder = self.first;
        while let Some((_, found)) = holder {
            if ask(Held::Member(found.list)) {
                return true;
            }
            for group in index.holders.groups(&found) {
                match index.groups.reach(*group, outsider) {
                    Some(reach) => {
                        if ask(Held::Groups(reach)) {
                            return true;
                        }
                    }
                    None => too_deep = true,
                }
            }
            let next = index.holders.next(&found).filter(|_| self.more);
            holder = next.filter(|(_, next)| member.episodes.contains(next.episode()));
        }
        if outsider || !member.groups.is_empty() {
            for group in self.carried() {
                match index.groups.reach(group, outsider) {
                    Some(reach) => {
                        if ask(Held::Groups(reach)) {
                            return true;
                        }
                    }
                    None => too_deep = true,
                }
            }
        }
        too_deep && ask(Held::Groups(self.walk().groups()))
    }
}

/// What a check looks for in an entry.
struct Look<'a> {
    index: &'a AccessIndex,
    own: u8,
    everyone: u8,
    key: &'a Key,
    now: Timestamp,
}

impl<'a> Look<'a> {
    fn new(index: &'a AccessIndex, action: Action, key: &'a Key, now: Timestamp) -> Self {
        Self {
            index,
            own: ActionSet::from(action).bits(),
            everyone: mask(SubjectNumber(EVERYONE), action),
            key,
            now,
        }
    }

    fn allows(&self, is_everyone: bool, place: usize, end: usize) -> bool {
        let mask = if is_everyone { self.everyone } else { self.own };
        self.index.entries.bits(place) & mask != 0
            && self.index.is_pattern(place, self.key, end)
            && self.index.is_live(place, self.now)
    }
}

/// A principal with all that it holds laid out, to be asked about many keys.
///
/// It borrows the index as [`Resolved`] does, answers the same, and is memory of whoever asked for
/// it: drop it with the request that it was made for.
#[derive(Debug, Clone)]
pub struct Compiled<'a> {
    resolved: Resolved<'a>,
    everyone: usize,
    tags: Vec<u16>,
    places: Vec<u32>,
    /// Lists that are too long to lay out; whether everybody has it.
    spread: Vec<(bool, List)>,
}

impl<'a> Compiled<'a> {
    /// For the other questions.
    #[must_use]
    pub const fn resolved(&self) -> &Resolved<'a> {
        &self.resolved
    }

    /// What [`Resolved::allows`] says. It allocates nothing.
    #[must_use]
    pub fn allows(&self, action: Action, key: &Key, now: Timestamp) -> bool {
        let resolved = &self.resolved;
        if ceiling(resolved.member, action).is_some() {
            return false;
        }
        let index = resolved.index;
        let look = Look::new(index, action, key, now);
        let granted = index.each_batch(key, &mut |wanted| {
            let mut found = |at, which| {
                let place = self.places[at] as usize;
                look.allows(at < self.everyone, place, wanted.end(which))
            };
            wanted.scan(&self.tags, 0, &mut found)
                || self.spread.iter().any(|(is_everyone, list)| {
                    let mut found =
                        |place, which| look.allows(*is_everyone, place, wanted.end(which));
                    index.entries.scan(*list, wanted, &mut found)
                })
        });
        granted || resolved.preset(action, key).is_some()
    }

    fn add(&mut self, index: &AccessIndex, list: List) {
        if list.is_spread() {
            self.spread
                .push((list == index.groups.list(EVERYONE), list));
            return;
        }
        for place in index.entries.all(list) {
            self.tags.push(index.entries.tag(place));
            self.places.push(number(place));
        }
    }

    /// The memory that it takes, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + 2 * self.tags.capacity()
            + 4 * self.places.capacity()
            + self.spread.capacity() * size_of::<(bool, List)>()
    }
}

impl AccessIndex {
    fn subjects(&self) -> impl Iterator<Item = SubjectNumber> + '_ {
        let groups = self.groups.numbers().map(SubjectNumber::group);
        let holders = self.holders.numbers().map(SubjectNumber::holder);
        [EVERYONE, INTERNAL_USERS]
            .into_iter()
            .map(SubjectNumber)
            .chain(groups)
            .chain(holders)
    }
}

/// The one respect in which something fails, or none; nothing if it fails in several.
fn at_most_one<const N: usize>(respects: [(bool, Miss); N]) -> Option<Result<(), Miss>> {
    let mut missed = respects.into_iter().filter(|(holds, _)| !holds);
    match (missed.next(), missed.next()) {
        (None, _) => Some(Ok(())),
        (Some((_, why)), None) => Some(Err(why)),
        (Some(_), Some(_)) => None,
    }
}
