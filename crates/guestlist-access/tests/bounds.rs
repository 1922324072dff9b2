//! The index at its bounds: what is huge or deep costs time and memory in proportion, and nothing
//! overflows.

#![cfg(test)]

use guestlist_access::{
    AccessBook, AccessChange, AccessIndex, Action, ActionSet, Decision, Episode, Episodes, Giver,
    Grant, Group, GroupMember, MemberPrincipal, Pattern, Principal, Subject, WitnessGrant, decide,
    readable,
};
use guestlist_types::{GrantId, GroupId, GroupName, Key, MAX_KEY_BYTES, Member, Timestamp, UserId};

const NOW: Timestamp = Timestamp::from_micros(5);

/// A tenth of the full size in a build for debugging, a thousandth under an interpreter.
fn size(full: u32) -> u32 {
    if cfg!(miri) {
        full / 1000
    } else if cfg!(debug_assertions) {
        full / 10
    } else {
        full
    }
}

fn id(number: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn group(number: u32) -> GroupId {
    GroupId::from_bytes(id(number))
}

fn put_group(number: u32) -> AccessChange {
    AccessChange::PutGroup(Group {
        id: group(number),
        name: GroupName::parse(&format!("group {number}")).unwrap(),
        internal: false,
        created_at: NOW,
    })
}

fn nested(outer: u32, inner: u32) -> AccessChange {
    AccessChange::PutGroupMember {
        group: group(outer),
        member: GroupMember::Group(group(inner)),
    }
}

fn user(number: u32) -> Member {
    Member::User(UserId::parse(&format!("user_{number}")).unwrap())
}

fn inside(outer: u32, member: u32) -> AccessChange {
    AccessChange::PutGroupMember {
        group: group(outer),
        member: GroupMember::Member {
            member: user(member),
            episode: Episode::NONE,
        },
    }
}

fn to_user(number: u32) -> Subject {
    Subject::Member {
        member: user(number),
        episode: Episode::NONE,
    }
}

fn grant(number: u32, subject: Subject, action: Action, pattern: &str) -> AccessChange {
    AccessChange::PutGrant(Grant {
        id: GrantId::from_bytes(id(number)),
        giver: Giver::System,
        at: NOW,
        expires_at: None,
        subject,
        actions: ActionSet::of(&[action]),
        pattern: Pattern::parse(pattern).unwrap(),
    })
}

fn principal(number: u32) -> Principal {
    MemberPrincipal::new(user(number), Episodes::none()).into()
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn reads(index: &AccessIndex, member: u32, text: &str) -> bool {
    let principal = principal(member);
    let resolved = index.principal(&principal);
    let allowed = resolved.allows(Action::Read, &key(text), NOW);
    let compiled = resolved.compile();
    assert_eq!(compiled.allows(Action::Read, &key(text), NOW), allowed);
    allowed
}

/// Groups 10,000 deep, made from the inside out and from the outside in, and cut in the middle.
#[test]
fn groups_nest_as_deep_as_they_like() {
    let deep = if cfg!(miri) { 100 } else { 10_000 };
    let mut links: Vec<AccessChange> = (0..deep).map(|n| nested(n + 1, n)).collect();
    for _ in 0..2 {
        let mut index: AccessIndex = (0..=deep)
            .map(put_group)
            .collect::<Vec<_>>()
            .iter()
            .collect();
        index.extend(&links);
        index.apply(&inside(0, 1));
        index.apply(&grant(1, Subject::Group(group(deep)), Action::Read, "k"));
        assert!(reads(&index, 1, "k") && !reads(&index, 2, "k"));
        let ada = principal(1);
        let decision = index.principal(&ada).decide(Action::Read, &key("k"), NOW);
        let path = decision.witness().map(|witness| witness.groups.len());
        assert_eq!(path, Some(deep as usize + 1));
        let cut = AccessChange::DeleteGroupMember {
            group: group(deep / 2 + 1),
            member: GroupMember::Group(group(deep / 2)),
        };
        index.apply(&cut);
        assert!(!reads(&index, 1, "k"));
        index.apply(&nested(deep / 2 + 1, deep / 2));
        assert!(reads(&index, 1, "k"));
        // The whole chain as a ring.
        index.apply(&nested(0, deep));
        assert!(reads(&index, 1, "k"));
        for number in (0..deep).rev() {
            index.apply(&AccessChange::DeleteGroup(group(number)));
        }
        assert!(!reads(&index, 1, "k"));
        links.reverse();
    }
}

/// A group with a million members: each is a row, and what the group is granted is one more.
#[test]
fn a_group_has_as_many_members_as_it_likes() {
    let many = size(1_000_000);
    let mut index = AccessIndex::new();
    index.apply(&put_group(1));
    index.apply(&put_group(2));
    for number in 0..many {
        index.apply(&inside(1, number));
    }
    let before = index.memory();
    index.apply(&grant(1, Subject::Group(group(1)), Action::Read, "a/"));
    index.apply(&nested(2, 1));
    index.apply(&grant(2, Subject::Group(group(2)), Action::Read, "b/"));
    assert!(index.memory() - before < 4096, "not a bit for each member");
    assert!(
        before / many as usize <= 110,
        "{} B a member",
        before / many as usize
    );
    for number in [0, 1, many / 2, many - 1] {
        assert!(reads(&index, number, "a/k") && reads(&index, number, "b/k"));
    }
    assert!(!reads(&index, many, "a/k"));
    index.apply(&AccessChange::DeleteGroup(group(1)));
    assert!(!reads(&index, 1, "a/k") && !reads(&index, 1, "b/k"));
}

/// A million grants on one subject, on as many patterns: a check looks at a few of them.
#[test]
fn a_subject_has_as_many_grants_as_it_likes() {
    let many = size(1_000_000);
    let mut index = AccessIndex::new();
    for number in 0..many {
        let text = format!("area{:02}/item{number}/", number % 32);
        index.apply(&grant(number, to_user(1), Action::Read, &text));
    }
    assert_eq!(index.grants(), many as usize);
    for number in [0, 1, many / 3, many - 1] {
        let area = number % 32;
        assert!(reads(&index, 1, &format!("area{area:02}/item{number}/k")));
        assert!(!reads(&index, 1, &format!("area{area:02}/item{number}")));
    }
    assert!(!reads(&index, 1, &format!("area00/item{many}/k")));
    let ada = principal(1);
    let coverage = index.principal(&ada).readable(Action::Read, NOW);
    assert_eq!(coverage.as_patterns().len(), many as usize);
    for number in 0..many {
        index.apply(&AccessChange::DeleteGrant(GrantId::from_bytes(id(number))));
    }
    assert!(!reads(&index, 1, "area00/item0/k"));
}

/// From one grant to more than are kept in a row, and back: each is found, and nothing else.
#[test]
fn lists_of_every_length_are_looked_through() {
    let texts: Vec<String> = (0..150).map(|number| format!("k{number}")).collect();
    let keys: Vec<Key> = texts.iter().map(|text| key(text)).collect();
    let mut index = AccessIndex::new();
    let more = (0..150).map(|number| (number, true));
    let less = (0..150).rev().map(|number| (number, false));
    for (number, put) in more.chain(less) {
        let change = if put {
            grant(number, to_user(1), Action::Read, &texts[number as usize])
        } else {
            AccessChange::DeleteGrant(GrantId::from_bytes(id(number)))
        };
        index.apply(&change);
        let ada = principal(1);
        let resolved = index.principal(&ada);
        let compiled = resolved.compile();
        for (at, key) in (0..).zip(&keys) {
            let expected = at < number + u32::from(put);
            assert_eq!(resolved.allows(Action::Read, key, NOW), expected, "{key}");
            assert_eq!(compiled.allows(Action::Read, key, NOW), expected, "{key}");
        }
    }
}

/// Hashes say where to look, and no more: among so many some collide.
#[test]
fn hashes_that_collide_decide_nothing() {
    let mut index = AccessIndex::new();
    for number in 0..128 {
        let text = format!("own/{number}");
        index.apply(&grant(number, to_user(1), Action::Read, &text));
    }
    let keys: Vec<Key> = (0..20_000)
        .map(|number| key(&format!("k{number}")))
        .collect();
    for (number, key) in (1000..).zip(&keys) {
        index.apply(&grant(number, to_user(2), Action::Read, key.as_str()));
    }
    let (ada, bob) = (principal(1), principal(2));
    let (ada, bob) = (index.principal(&ada), index.principal(&bob));
    for key in &keys {
        assert!(!ada.allows(Action::Read, key, NOW), "{key}");
        assert!(ada.actions(key, NOW).is_empty(), "{key}");
        assert!(bob.allows(Action::Read, key, NOW), "{key}");
    }
}

/// The same pattern a million times: a check looks at it once, and the last one to end counts.
#[test]
fn a_million_grants_alike_are_looked_at_once() {
    let many = size(1_000_000);
    let mut index = AccessIndex::new();
    let ends = |number: u32, end: Option<i64>| match grant(number, to_user(1), Action::Read, "k") {
        AccessChange::PutGrant(row) => AccessChange::PutGrant(Grant {
            expires_at: end.map(Timestamp::from_micros),
            ..row
        }),
        other => other,
    };
    for number in 0..many {
        index.apply(&ends(number, Some(i64::from(number % 5))));
    }
    assert!(!reads(&index, 1, "k"), "all have ended");
    index.apply(&ends(many, Some(6)));
    assert!(reads(&index, 1, "k"));
    index.apply(&ends(many + 1, None));
    index.apply(&AccessChange::DeleteGrant(GrantId::from_bytes(id(many))));
    let ada = principal(1);
    let resolved = index.principal(&ada);
    let Decision::Allow(witness) = resolved.decide(Action::Read, &key("k"), NOW) else {
        panic!("one of them is live");
    };
    let expected = WitnessGrant::Grant(GrantId::from_bytes(id(many + 1)));
    assert_eq!(witness.source, expected);
    index.apply(&AccessChange::DeleteGrant(GrantId::from_bytes(
        id(many + 1),
    )));
    assert!(!reads(&index, 1, "k"));
    assert_eq!(index.grants(), many as usize);
}

/// One user in 10,000 groups, which all lead to the same ones.
#[test]
fn a_user_is_in_as_many_groups_as_it_likes() {
    let many = size(100_000);
    let mut index = AccessIndex::new();
    for number in 0..many {
        index.apply(&put_group(number));
        index.apply(&inside(number, 1));
        index.apply(&nested(many, number));
    }
    index.apply(&put_group(many));
    index.apply(&grant(1, Subject::Group(group(many)), Action::Read, "k"));
    assert!(reads(&index, 1, "k"));
    for number in 0..many {
        let member = GroupMember::Member {
            member: user(1),
            episode: Episode::NONE,
        };
        let group = group(number);
        index.apply(&AccessChange::DeleteGroupMember { group, member });
    }
    assert!(!reads(&index, 1, "k"));
}

/// Keys and patterns as long as they get, with as many segments as fit, all of them granted.
#[test]
fn keys_and_patterns_at_their_bounds() {
    let longest = "k".repeat(MAX_KEY_BYTES);
    let segments = vec!["k"; MAX_KEY_BYTES / 2].join("/");
    let mut rows: Vec<AccessChange> = segments
        .match_indices('/')
        .zip(10..)
        .map(|((at, _), number)| grant(number, to_user(1), Action::Update, &segments[..=at]))
        .collect();
    rows.push(grant(1, to_user(1), Action::Read, &longest));
    rows.push(grant(2, to_user(1), Action::Read, &segments));
    let innermost = segments.rfind('/').unwrap();
    rows.push(grant(3, to_user(1), Action::Read, &segments[..=innermost]));
    let (mut book, mut index) = (AccessBook::new(), AccessIndex::new());
    for row in &rows {
        book.apply(row);
        index.apply(row);
    }
    let ada = principal(1);
    let resolved = index.principal(&ada);
    for text in [&*longest, &segments, &segments[..innermost], "k", "kk/k"] {
        for action in Action::ALL {
            let expected = decide(&book, &ada, action, &key(text), NOW);
            assert_eq!(resolved.decide(action, &key(text), NOW), expected);
        }
    }
    for action in Action::ALL {
        let expected = readable(&book, &ada, action, NOW);
        assert_eq!(resolved.readable(action, NOW), expected);
    }
}
