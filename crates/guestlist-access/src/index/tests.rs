use std::collections::{BTreeMap, BTreeSet};

use guestlist_types::{GroupId, GroupName, Key, Member, OrgId, Timestamp, UserId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::groups::Described;
use super::*;
use crate::action::{Action, ActionSet};
use crate::book::{Episode, Giver, Group, PresetGrant};
use crate::decide::{WitnessGrant, actions, decide, explain, readable, who};
use crate::pattern::Pattern;
use crate::principal::{Episodes, MemberPrincipal, Principal};
use crate::testing::{
    NOW, arb_change, arb_member_principal, arb_principal, arb_rows, book_of, universe,
};

/// Everything that an index holds, told without numbers.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    grants: BTreeMap<GrantId, (String, String, u8, Lasts)>,
    members: BTreeMap<(String, Episode), BTreeSet<GroupId>>,
    groups: BTreeMap<GroupId, Described>,
    external: Option<GroupId>,
    patterns: usize,
    twins: usize,
}

impl AccessIndex {
    fn contents(&self) -> Contents {
        let name = |subject: SubjectNumber| match subject.kind() {
            SubjectKind::Group(group) => format!("{group:?} {:?}", self.groups.id(group))
                .trim_start_matches(|c: char| group > 1 && c.is_ascii_digit())
                .to_owned(),
            SubjectKind::Holder(holder) => {
                let holder = self.holders.get(holder);
                format!("{} {:?}", self.holders.name(holder), holder.episode())
            }
        };
        let mut grants = BTreeMap::new();
        let audiences = [0, 1].map(SubjectNumber);
        let groups = self.groups.numbers().map(SubjectNumber::group);
        let holders = self.holders.numbers().map(SubjectNumber::holder);
        for subject in audiences.into_iter().chain(groups).chain(holders) {
            let mut entries = BTreeSet::new();
            for place in self.entries.all(self.list(subject)) {
                let pattern = self.entries.pattern(place);
                let actions = self.entries.bits(place) & !ENDS;
                assert!(entries.insert((pattern, actions)), "one entry of a kind");
                let longest = self.lasts(self.entries.row(place));
                assert_eq!(
                    self.entries.bits(place) & ENDS != 0,
                    longest != Lasts::ForGood
                );
                for row in self.rows_of(subject, place) {
                    let found = self.rows.get(row);
                    assert_eq!((found.subject, found.pattern), (subject, pattern));
                    assert!(self.lasts(row) <= longest);
                    let text = self.patterns.texts().str(pattern).to_owned();
                    let told = (name(subject), text, actions, self.lasts(row));
                    assert!(grants.insert(found.id, told).is_none());
                    assert_eq!(self.rows.find(self.hasher, found.id), Some(row));
                }
            }
            assert_eq!(self.entries.len(self.list(subject)), entries.len());
            if let SubjectKind::Group(group) = subject.kind() {
                let sieve = self.entries.sieve(self.list(subject));
                assert_eq!(self.groups.sieve(group), sieve);
            }
        }
        assert_eq!(grants.len(), self.grants());
        let members = self.holders.numbers().map(|number| {
            let holder = self.holders.get(number);
            let groups = self.holders.groups(holder).iter();
            let groups = groups.map(|group| self.groups.id(*group));
            let name = (self.holders.name(holder), holder.episode());
            (name, groups.collect())
        });
        let groups = self.groups.numbers();
        let contents = Contents {
            grants,
            members: members.collect(),
            groups: groups
                .map(|group| (self.groups.id(group), self.groups.describe(group)))
                .collect(),
            external: self.external_group.map(|group| self.groups.id(group)),
            patterns: self.patterns.len(),
            twins: self.twins.values().map(BTreeSet::len).sum(),
        };
        assert!(self.twins.values().all(|twins| !twins.is_empty()));
        assert_eq!(contents.members.len(), self.holders.len());
        contents
    }
}

/// Whether every answer of the index is that of the definition, to the letter.
fn compare(
    book: &AccessBook,
    index: &AccessIndex,
    principal: &Principal,
    keys: &[Key],
    now: Timestamp,
) {
    let resolved = index.principal(principal);
    let compiled = resolved.compile();
    for action in Action::ALL {
        let coverage = readable(book, principal, action, now);
        assert_eq!(resolved.readable(action, now), coverage, "{action}");
    }
    for key in keys {
        let held = actions(book, principal, key, now);
        assert_eq!(resolved.actions(key, now), held, "{key}");
        for action in Action::ALL {
            let decision = decide(book, principal, action, key, now);
            assert_eq!(resolved.allows(action, key, now), decision.is_allowed());
            assert_eq!(compiled.allows(action, key, now), decision.is_allowed());
            let again = compiled.resolved();
            assert_eq!(again.allows(action, key, now), decision.is_allowed());
            assert_eq!(
                resolved.decide(action, key, now),
                decision,
                "{action} {key}"
            );
            let explanation = explain(book, principal, action, key, now);
            assert_eq!(resolved.explain(action, key, now), explanation);
        }
    }
}

proptest! {
    #[test]
    fn the_index_answers_what_the_definition_answers(
        changes in vec(arb_change(), 0..80), principal in arb_principal(),
    ) {
        let (mut book, mut index) = (AccessBook::new(), AccessIndex::new());
        for change in &changes {
            book.apply(change);
            index.apply(change);
        }
        compare(&book, &index, &principal, &universe(), NOW);
    }

    #[test]
    fn who_is_what_the_definition_says(
        rows in arb_rows(), members in vec(arb_member_principal(), 0..6),
    ) {
        let (book, index) = (book_of(&rows), AccessIndex::from_iter(&rows));
        for key in universe() {
            for action in Action::ALL {
                prop_assert_eq!(
                    index.who(&members, action, &key, NOW),
                    who(&book, &members, action, &key, NOW)
                );
            }
        }
    }

    #[test]
    fn order_and_repeats_make_no_difference(
        rows in arb_rows().prop_map(|rows| book_of(&rows).rows().collect::<Vec<_>>())
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let (rows, shuffled) = rows;
        let index = AccessIndex::from_iter(&rows);
        let other: AccessIndex = shuffled.iter().chain(&rows).collect();
        prop_assert_eq!(index.contents(), other.contents());
        prop_assert_eq!(AccessIndex::from(&book_of(&rows)).contents(), index.contents());
    }

    #[test]
    fn more_never_takes_away(
        rows in arb_rows(), principal in arb_principal(), more in vec(arb_change(), 0..20),
    ) {
        let mut index = AccessIndex::from_iter(&rows);
        let held = |index: &AccessIndex| {
            let resolved = index.principal(&principal);
            universe().iter().map(|key| resolved.actions(key, NOW)).collect::<Vec<_>>()
        };
        let mut before = held(&index);
        for (number, change) in (100_u8..).zip(&more) {
            match change {
                AccessChange::PutGrant(grant) => {
                    // With an id of its own: with one that is in use it would replace that grant.
                    let id = GrantId::from_bytes([number; 16]);
                    index.apply(&AccessChange::PutGrant(Grant { id, ..grant.clone() }));
                }
                AccessChange::PutGroupMember { .. } => index.apply(change),
                AccessChange::Head(_)
                | AccessChange::PutGroup(_)
                | AccessChange::DeleteGroup(_)
                | AccessChange::DeleteGroupMember { .. }
                | AccessChange::DeleteGrant(_) => continue,
            }
            let after = held(&index);
            prop_assert!(before.iter().zip(&after).all(|(before, after)| before.is_subset(*after)));
            before = after;
        }
    }

    #[test]
    fn a_witness_is_needed_where_it_is_the_only_one(
        rows in arb_rows(), principal in arb_principal(),
    ) {
        let index = AccessIndex::from_iter(&rows);
        let resolved = index.principal(&principal);
        for key in universe() {
            for action in Action::ALL {
                let explanation = resolved.explain(action, &key, NOW);
                let [only] = &explanation.matching[..] else {
                    prop_assert_eq!(
                        explanation.matching.is_empty(),
                        !explanation.decision.is_allowed()
                    );
                    continue;
                };
                let WitnessGrant::Grant(id) = only.source else { continue };
                let mut without = index.clone();
                without.apply(&AccessChange::DeleteGrant(id));
                let decision = without.principal(&principal).decide(action, &key, NOW);
                prop_assert!(!decision.is_allowed());
            }
        }
    }

    #[test]
    fn what_is_readable_is_told_alike_in_every_form(
        rows in arb_rows(), principal in arb_principal(),
    ) {
        let index = AccessIndex::from_iter(&rows);
        let resolved = index.principal(&principal);
        for action in Action::ALL {
            let coverage = resolved.readable(action, NOW);
            let ranges = coverage.byte_ranges();
            for key in universe() {
                let allowed = resolved.allows(action, &key, NOW);
                prop_assert_eq!(coverage.contains(&key), allowed);
                let bytes = key.as_str().as_bytes();
                let inside = ranges.iter().filter(|(start, end)| {
                    &start[..] <= bytes && end.as_deref().is_none_or(|end| bytes < end)
                });
                prop_assert_eq!(inside.count(), usize::from(allowed));
            }
            let kept = coverage.as_patterns();
            for one in kept {
                prop_assert_eq!(kept.iter().filter(|other| other.includes(one)).count(), 1);
            }
        }
    }
}

/// One pattern with one set of actions after the other, until they are spread over buckets.
#[test]
fn a_pattern_has_many_sets_of_actions() {
    let ada = Member::User(UserId::parse("ada").unwrap());
    let principal = MemberPrincipal::new(ada.clone(), Episodes::none()).into();
    let key = Key::parse("k").unwrap();
    let (mut book, mut index) = (AccessBook::new(), AccessIndex::new());
    for number in (0..64).rev() {
        let change = AccessChange::PutGrant(Grant {
            id: GrantId::from_bytes([number; 16]),
            giver: Giver::System,
            at: NOW,
            expires_at: None,
            subject: Subject::Member {
                member: ada.clone(),
                episode: Episode::NONE,
            },
            actions: ActionSet::from_bits(number),
            pattern: Pattern::from(key.clone()),
        });
        book.apply(&change);
        index.apply(&change);
        // Miri takes a thousand times as long.
        if !cfg!(miri) || number % 16 == 0 {
            compare(&book, &index, &principal, core::slice::from_ref(&key), NOW);
        }
    }
    assert_eq!(index.contents().grants.len(), 64);
}

#[test]
fn an_index_says_what_is_in_it() {
    let mut life = Life {
        numbers: Numbers(3),
        recent: Vec::new(),
    };
    let mut book = AccessBook::new();
    for _ in 0..300 {
        book.apply(&life.change());
    }
    book.set_revision(7);
    let mut index = AccessIndex::from(&book);
    assert_eq!(index.revision(), 7);
    assert_eq!(index.grants(), book.grants().count());
    let contents = index.contents();
    let texts: BTreeSet<&str> = book.grants().map(|grant| grant.pattern.as_str()).collect();
    assert_eq!(
        format!("{index:?}"),
        format!(
            "AccessIndex {{ revision: 7, grants: {}, patterns: {}, groups: {}, members: {}, .. }}",
            book.grants().count(),
            texts.len(),
            contents.groups.len(),
            contents.members.len(),
        )
    );
    assert!(
        [contents.groups.len(), contents.members.len()]
            .iter()
            .all(|n| *n > 1)
    );
    index.set_revision(8);
    assert_eq!(index.revision(), 8);
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn byte(&mut self, bound: u64) -> u8 {
        u8::try_from(self.below(bound)).unwrap()
    }

    fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// A life of changes in a world that is small enough for things to meet: groups come and go under
/// rows that name them, members have episodes, grants are replaced, repeated and end.
struct Life {
    numbers: Numbers,
    /// Grants to be made once more, with another id and another end.
    recent: Vec<Grant>,
}

impl Life {
    fn group(&mut self) -> GroupId {
        GroupId::from_bytes([self.numbers.byte(9); 16])
    }

    fn member(&mut self) -> Member {
        let id = format!("m{}", self.numbers.below(5));
        if self.numbers.chance(3) {
            Member::Org(OrgId::parse(&id).unwrap())
        } else {
            Member::User(UserId::parse(&id).unwrap())
        }
    }

    fn episode(&mut self) -> Episode {
        Episode::new(u32::from(self.numbers.byte(4)))
    }

    fn text(&mut self) -> String {
        let most = if self.numbers.chance(9) { 14 } else { 3 };
        let segments = 1 + self.numbers.below(most);
        let names = ["a", "ab", "area00", "\u{e9}", "...", "eight-by"];
        let pick = |_| names[usize::from(self.numbers.byte(6))];
        (0..segments).map(pick).collect::<Vec<_>>().join("/")
    }

    fn pattern(&mut self) -> Pattern {
        let text = self.text();
        match self.numbers.below(8) {
            0 => Pattern::all(),
            1..=4 => Pattern::parse(&format!("{text}/")).unwrap(),
            _ => Pattern::parse(&text).unwrap(),
        }
    }

    fn key(&mut self) -> Key {
        Key::parse(&self.text()).unwrap()
    }

    fn actions(&mut self) -> ActionSet {
        let chosen = Action::ALL.into_iter().filter(|_| self.numbers.chance(3));
        chosen.collect()
    }

    fn time(&mut self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.numbers.byte(10)))
    }

    fn group_member(&mut self) -> GroupMember {
        if self.numbers.chance(2) {
            GroupMember::Group(self.group())
        } else {
            GroupMember::Member {
                member: self.member(),
                episode: self.episode(),
            }
        }
    }

    fn grant(&mut self, ids: u8) -> Grant {
        let subject = match self.numbers.below(8) {
            0 => Subject::Organization(Audience::Everyone),
            1 => Subject::Organization(Audience::InternalUsers),
            2..=4 => Subject::Group(self.group()),
            _ => Subject::Member {
                member: self.member(),
                episode: self.episode(),
            },
        };
        let grant = Grant {
            id: GrantId::from_bytes([self.numbers.byte(ids.into()); 16]),
            giver: Giver::System,
            at: NOW,
            expires_at: (!self.numbers.chance(3)).then(|| self.time()),
            subject,
            actions: self.actions(),
            pattern: self.pattern(),
        };
        if self.recent.len() < 12 {
            self.recent.push(grant.clone());
            return grant;
        }
        let at = usize::from(self.numbers.byte(12));
        if self.numbers.chance(2) {
            let (id, expires_at) = (grant.id, grant.expires_at);
            return Grant {
                id,
                expires_at,
                ..self.recent[at].clone()
            };
        }
        self.recent[at] = grant.clone();
        grant
    }

    fn change(&mut self) -> AccessChange {
        match self.numbers.below(20) {
            0 => AccessChange::Head(AccessHead {
                external_group: (!self.numbers.chance(3)).then(|| self.group()),
                ..AccessHead::default()
            }),
            1..=2 => {
                let id = self.group();
                AccessChange::PutGroup(Group {
                    id,
                    name: GroupName::parse(&format!("group {}", id.as_bytes()[0])).unwrap(),
                    internal: self.numbers.chance(5),
                    created_at: NOW,
                })
            }
            3 => AccessChange::DeleteGroup(self.group()),
            4..=8 => AccessChange::PutGroupMember {
                group: self.group(),
                member: self.group_member(),
            },
            9..=11 => AccessChange::DeleteGroupMember {
                group: self.group(),
                member: self.group_member(),
            },
            12..=16 => AccessChange::PutGrant(self.grant(120)),
            _ => AccessChange::DeleteGrant(self.grant(120).id),
        }
    }

    fn principal(&mut self) -> Principal {
        if self.numbers.chance(9) {
            return Principal::Anonymous;
        }
        let (one, other) = (self.episode(), self.episode());
        let mut member = MemberPrincipal::new(self.member(), Episodes::only(one));
        if self.numbers.chance(3) {
            member.episodes.since = one.min(other);
            member.episodes.current = one.max(other);
        }
        if self.numbers.chance(3) {
            member.groups = vec![self.group(), self.group()];
            member.grants = vec![PresetGrant {
                actions: self.actions(),
                pattern: self.pattern(),
            }];
        }
        Principal::Member(member)
    }
}

fn from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

/// After every change: the index is the one that is built from the rows anew, and answers as the
/// definition. `GUESTLIST_ROUNDS` and `GUESTLIST_SEED` say how many and which.
#[test]
fn incremental_is_rebuilt_after_every_change() {
    let changes = from_env("GUESTLIST_ROUNDS", if cfg!(miri) { 60 } else { 4_000 });
    let seed = from_env("GUESTLIST_SEED", 1);
    let mut life = Life {
        numbers: Numbers(seed),
        recent: Vec::new(),
    };
    let (mut book, mut index) = (AccessBook::new(), AccessIndex::new());
    let (mut allowed, mut twins) = (0, 0);
    for number in 0..changes {
        let change = life.change();
        book.apply(&change);
        index.apply(&change);
        let rebuilt = AccessIndex::from(&book);
        assert_eq!(
            index.contents(),
            rebuilt.contents(),
            "seed {seed}, change {number}: {change:?}"
        );
        twins += u64::from(!index.twins.is_empty());
        let (principal, now) = (life.principal(), life.time());
        let keys = [life.key()];
        compare(&book, &index, &principal, &keys, now);
        let decision = index
            .principal(&principal)
            .decide(Action::Read, &keys[0], now);
        allowed += u64::from(decision.is_allowed());
    }
    println!("{changes} changes, seed {seed}, {allowed} questions allowed");
    assert!(twins >= changes / 2, "grants meet: {twins}");
    assert!(cfg!(miri) || (changes / 20..changes * 19 / 20).contains(&allowed));
    for row in book.rows() {
        match row {
            AccessChange::PutGroup(group) => index.apply(&AccessChange::DeleteGroup(group.id)),
            AccessChange::PutGroupMember { group, member } => {
                index.apply(&AccessChange::DeleteGroupMember { group, member });
            }
            AccessChange::PutGrant(grant) => index.apply(&AccessChange::DeleteGrant(grant.id)),
            AccessChange::Head(_) => index.apply(&AccessChange::Head(AccessHead::default())),
            AccessChange::DeleteGroup(_)
            | AccessChange::DeleteGroupMember { .. }
            | AccessChange::DeleteGrant(_) => {}
        }
    }
    assert_eq!(
        index.contents(),
        AccessIndex::new().contents(),
        "nothing is left behind"
    );
}
