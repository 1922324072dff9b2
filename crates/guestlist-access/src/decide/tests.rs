use std::collections::BTreeSet;

use guestlist_types::{GroupName, OrgId, UserId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::AccessIndex;
use crate::book::{AccessChange, AccessHead, Episode, Giver, Group, GroupMember};
use crate::pattern::PatternKind;
use crate::principal::Episodes;
use crate::testing::{
    NOW, arb_action, arb_book, arb_grant, arb_group_id, arb_group_member, arb_key,
    arb_member_principal, arb_pattern, arb_principal, arb_rows, book_of, universe,
};

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn user(id: &str) -> Member {
    Member::User(UserId::parse(id).unwrap())
}

fn org(id: &str) -> Member {
    Member::Org(OrgId::parse(id).unwrap())
}

fn group_id(number: u8) -> GroupId {
    GroupId::from_bytes([number; 16])
}

fn group(number: u8, internal: bool) -> AccessChange {
    AccessChange::PutGroup(Group {
        id: group_id(number),
        name: GroupName::parse(&format!("group {number}")).unwrap(),
        internal,
        created_at: NOW,
    })
}

fn nested(outer: u8, inner: u8) -> AccessChange {
    AccessChange::PutGroupMember {
        group: group_id(outer),
        member: GroupMember::Group(group_id(inner)),
    }
}

fn inside(group: u8, member: &Member, episode: u32) -> AccessChange {
    AccessChange::PutGroupMember {
        group: group_id(group),
        member: GroupMember::Member {
            member: member.clone(),
            episode: Episode::new(episode),
        },
    }
}

fn grant_row(number: u8, subject: Subject, actions: &[Action], pattern: &str) -> Grant {
    Grant {
        id: GrantId::from_bytes([number; 16]),
        giver: Giver::System,
        at: NOW,
        expires_at: None,
        subject,
        actions: ActionSet::of(actions),
        pattern: Pattern::parse(pattern).unwrap(),
    }
}

fn grant(number: u8, subject: Subject, actions: &[Action], pattern: &str) -> AccessChange {
    AccessChange::PutGrant(grant_row(number, subject, actions, pattern))
}

fn to(member: &Member, episode: u32) -> Subject {
    Subject::Member {
        member: member.clone(),
        episode: Episode::new(episode),
    }
}

fn principal(member: &Member, episode: u32) -> Principal {
    let episodes = Episodes::only(Episode::new(episode));
    Principal::Member(MemberPrincipal::new(member.clone(), episodes))
}

fn reads(book: &AccessBook, principal: &Principal, text: &str) -> bool {
    decide(book, principal, Action::Read, &key(text), NOW).is_allowed()
}

#[test]
fn codes_are_pinned() {
    for (denial, code) in [
        (Denial::NoGrant, "no-grant"),
        (Denial::Anonymous, "anonymous"),
        (Denial::OutsiderCeiling, "outsider-ceiling"),
    ] {
        assert_eq!(denial.code(), code);
        assert_eq!(serde_json::to_value(denial).unwrap(), code);
    }
    for (miss, name) in [
        (Miss::OtherAction, "other-action"),
        (Miss::OtherKey, "other-key"),
        (Miss::OtherSubject, "other-subject"),
        (Miss::Expired, "expired"),
    ] {
        assert_eq!(serde_json::to_value(miss).unwrap(), name);
    }
}

#[test]
fn groups_of_a_principal_are_those_it_is_directly_in() {
    let (ada, acme) = (user("ada"), org("acme"));
    let external = AccessHead {
        external_group: Some(group_id(5)),
        ..AccessHead::default()
    };
    let mut rows = vec![AccessChange::Head(external), nested(4, 2)];
    rows.extend((1..=6).map(|number| group(number, number == 6)));
    for member in [&ada, &acme] {
        rows.extend([inside(2, member, 1), inside(3, member, 2)]);
        rows.extend([inside(6, member, 1), inside(9, member, 1)]);
    }
    let book = book_of(&rows);
    // 4 is not direct, 3 of another episode, 9 not there; 6 is internal, 5 for proxy users.
    for (member, numbers) in [(&ada, &[1, 2, 6][..]), (&acme, &[1, 2, 5])] {
        let episodes = Episodes::only(Episode::new(1));
        let mut principal = MemberPrincipal::new(member.clone(), episodes);
        principal.groups = vec![group_id(2), group_id(1)];
        let found = crate::groups_of(&book, &principal);
        let found: Vec<GroupId> = found.iter().map(|group| group.id).collect();
        let expected: Vec<GroupId> = numbers.iter().copied().map(group_id).collect();
        assert_eq!(found, expected, "{member}");
    }
}

/// CVE-2026-71433: `starts_with` without a boundary leaked siblings.
#[test]
fn a_grant_on_a_prefix_leaks_no_sibling() {
    let ada = user("ada");
    let book = book_of(&[grant(1, to(&ada, 1), &[Action::Read], "shared/")]);
    for text in ["shared/x", "shared/x/y"] {
        assert!(reads(&book, &principal(&ada, 1), text), "{text}");
    }
    for text in [
        "shared",
        "sharedx/y",
        "shared-evil/x",
        "share/d",
        "x/shared/y",
        "SHARED/x",
    ] {
        assert!(!reads(&book, &principal(&ada, 1), text), "{text}");
    }
}

/// The fix of the above turned the empty prefix into nothing elsewhere: here it has no spelling,
/// and every key is said with its own constructor, which covers every key.
#[test]
fn every_key_is_said_and_means_every_key() {
    let ada = user("ada");
    assert!(Pattern::parse("").is_err());
    let row = Grant {
        pattern: Pattern::all(),
        ..grant_row(1, to(&ada, 1), &[Action::Read], "x")
    };
    let book = book_of(&[AccessChange::PutGrant(row)]);
    assert!(
        universe()
            .iter()
            .all(|key| reads(&book, &principal(&ada, 1), key.as_str()))
    );
    let coverage = readable(&book, &principal(&ada, 1), Action::Read, NOW);
    assert_eq!(coverage.as_patterns(), [Pattern::all()]);
}

#[test]
fn no_action_implies_another() {
    let ada = user("ada");
    for given in Action::ALL {
        let book = book_of(&[grant(1, to(&ada, 1), &[given], "k")]);
        let held = actions(&book, &principal(&ada, 1), &key("k"), NOW);
        assert_eq!(held, ActionSet::from(given));
    }
}

#[test]
fn what_is_cited_has_the_action_itself() {
    let ada = user("ada");
    let update = grant(1, to(&ada, 1), &[Action::Update], "k");
    let read = grant(2, to(&ada, 1), &[Action::Read], "k");
    let ada = principal(&ada, 1);
    for rows in [[&update, &read], [&read, &update]] {
        let book = book_of(rows);
        let mut index = AccessIndex::new();
        for row in rows {
            index.apply(row);
        }
        for (action, number) in [(Action::Update, 1), (Action::Read, 2)] {
            let expected = Decision::Allow(Witness {
                source: WitnessGrant::Grant(GrantId::from_bytes([number; 16])),
                groups: Vec::new(),
            });
            let decision = decide(&book, &ada, action, &key("k"), NOW);
            assert_eq!(decision, expected, "{action}");
            let by_index = index.principal(&ada).decide(action, &key("k"), NOW);
            assert_eq!(by_index, expected, "{action}");
        }
    }
}

#[test]
fn what_is_public_may_be_told_to_whoever_is_signed_in() {
    let everyone = Subject::Organization(Audience::Everyone);
    let internal = Subject::Organization(Audience::InternalUsers);
    let public = [Action::PublicRead];
    let ada = principal(&user("ada"), 0);
    let proxy = principal(&org("acme"), 1);
    let book = book_of(&[grant(1, everyone, &public, "public/")]);
    let may =
        |book: &AccessBook, principal: &Principal| actions(book, principal, &key("public/x"), NOW);
    let told = ActionSet::of(&[Action::Read, Action::PublicRead]);
    assert_eq!(may(&book, &Principal::Anonymous), ActionSet::of(&public));
    assert_eq!(may(&book, &ada), told);
    assert_eq!(may(&book, &proxy), told);

    // To hold public_read oneself publishes nothing.
    for subject in [internal, to(&user("ada"), 0)] {
        let book = book_of(&[grant(1, subject, &public, "public/")]);
        assert_eq!(may(&book, &Principal::Anonymous), ActionSet::EMPTY);
        assert_eq!(may(&book, &ada), ActionSet::of(&public));
        assert_eq!(may(&book, &proxy), ActionSet::EMPTY);
    }
}

#[test]
fn people_who_are_not_signed_in_only_read_what_is_public() {
    let everyone = Subject::Organization(Audience::Everyone);
    let row = Grant {
        actions: ActionSet::ALL,
        pattern: Pattern::all(),
        ..grant_row(1, everyone, &[], "x")
    };
    let book = book_of(&[AccessChange::PutGrant(row)]);
    for action in Action::ALL {
        let decision = decide(&book, &Principal::Anonymous, action, &key("k"), NOW);
        match action {
            Action::PublicRead => assert!(decision.is_allowed()),
            Action::Read | Action::Create | Action::Update | Action::Delete | Action::Share => {
                assert_eq!(decision, Decision::Deny(Denial::Anonymous));
            }
        }
    }
}

#[test]
fn audiences_are_told_apart() {
    let (ada, acme) = (principal(&user("ada"), 0), principal(&org("acme"), 1));
    let book = book_of(&[
        grant(
            1,
            Subject::Organization(Audience::Everyone),
            &[Action::Read],
            "all/",
        ),
        grant(
            2,
            Subject::Organization(Audience::InternalUsers),
            &[Action::Read],
            "in/",
        ),
    ]);
    assert!(reads(&book, &ada, "all/k") && reads(&book, &ada, "in/k"));
    assert!(reads(&book, &acme, "all/k") && !reads(&book, &acme, "in/k"));
}

#[test]
fn a_grant_ends_with_its_last_microsecond() {
    let ada = user("ada");
    let row = Grant {
        expires_at: Some(Timestamp::from_micros(10)),
        ..grant_row(1, to(&ada, 1), &[Action::Read], "k")
    };
    let book = book_of(&[AccessChange::PutGrant(row)]);
    for (micros, allowed) in [(9, true), (10, false), (11, false)] {
        let now = Timestamp::from_micros(micros);
        let decision = decide(&book, &principal(&ada, 1), Action::Read, &key("k"), now);
        assert_eq!(decision.is_allowed(), allowed, "{micros}");
    }
}

#[test]
fn groups_reach_what_contains_them_and_not_what_they_contain() {
    let ada = user("ada");
    let book = book_of(&[
        group(1, false),
        group(2, false),
        group(3, false),
        nested(2, 1),
        nested(3, 2),
        inside(2, &ada, 1),
        grant(1, Subject::Group(group_id(1)), &[Action::Read], "inner"),
        grant(3, Subject::Group(group_id(3)), &[Action::Read], "outer"),
    ]);
    assert!(!reads(&book, &principal(&ada, 1), "inner"));
    assert_eq!(
        decide(&book, &principal(&ada, 1), Action::Read, &key("outer"), NOW),
        Decision::Allow(Witness {
            source: WitnessGrant::Grant(GrantId::from_bytes([3; 16])),
            groups: vec![group_id(2), group_id(3)],
        })
    );
}

/// thunder-id#4679, LabAPI#439, opensearch security#887: cycles in stored data.
#[test]
fn a_cycle_in_stored_rows_is_harmless() {
    let ada = user("ada");
    let book = book_of(&[
        group(1, false),
        group(2, false),
        group(3, false),
        nested(1, 1),
        nested(1, 2),
        nested(2, 3),
        nested(3, 1),
        inside(1, &ada, 1),
        grant(1, Subject::Group(group_id(2)), &[Action::Read], "k"),
    ]);
    assert!(reads(&book, &principal(&ada, 1), "k"));
    assert!(!reads(&book, &principal(&user("bob"), 1), "k"));
}

#[test]
fn groups_nest_as_deep_as_they_like() {
    let ada = user("ada");
    let id = |n: u32| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        GroupId::from_bytes(bytes)
    };
    // Miri takes a thousand times as long.
    let deep: u32 = if cfg!(miri) { 100 } else { 10_000 };
    let mut book = AccessBook::new();
    for n in 0..deep {
        book.apply(&AccessChange::PutGroup(Group {
            id: id(n),
            name: GroupName::parse(&format!("group {n}")).unwrap(),
            internal: false,
            created_at: NOW,
        }));
        book.apply(&AccessChange::PutGroupMember {
            group: id(n + 1),
            member: GroupMember::Group(id(n)),
        });
    }
    book.apply(&AccessChange::PutGroupMember {
        group: id(0),
        member: GroupMember::Member {
            member: ada.clone(),
            episode: Episode::NONE,
        },
    });
    book.apply(&grant(
        1,
        Subject::Group(id(deep - 1)),
        &[Action::Read],
        "k",
    ));
    let decision = decide(&book, &principal(&ada, 0), Action::Read, &key("k"), NOW);
    assert_eq!(
        decision.witness().map(|w| w.groups.len()),
        Some(deep as usize)
    );
}

/// pgEdge#51, galaxy#15350: a deleted group's rights came back with its name.
#[test]
fn a_new_group_of_the_same_name_inherits_nothing() {
    let ada = user("ada");
    let mut rows = vec![
        group(1, false),
        inside(1, &ada, 1),
        grant(1, Subject::Group(group_id(1)), &[Action::Read], "k"),
    ];
    let mut book = book_of(&rows);
    assert!(reads(&book, &principal(&ada, 1), "k"));
    // Even if only the group's own row went and the others stayed behind.
    rows.push(AccessChange::DeleteGroup(group_id(1)));
    rows.push(AccessChange::PutGroup(Group {
        id: group_id(9),
        name: GroupName::parse("group 1").unwrap(),
        internal: false,
        created_at: NOW,
    }));
    rows.push(inside(9, &user("bob"), 1));
    for row in &rows {
        book.apply(row);
    }
    assert!(!reads(&book, &principal(&ada, 1), "k"), "the group is gone");
    assert!(!reads(&book, &principal(&user("bob"), 1), "k"));
    let named = book.group_named(&GroupName::parse("group 1").unwrap());
    assert_eq!(named.map(|group| group.id), Some(group_id(9)));
}

#[test]
fn an_outsider_never_shares_whatever_is_granted() {
    let acme = org("acme");
    let mut proxy = MemberPrincipal::new(acme.clone(), Episodes::only(Episode::new(1)));
    proxy.grants.push(PresetGrant {
        actions: ActionSet::ALL,
        pattern: Pattern::all(),
    });
    proxy.groups.push(group_id(1));
    proxy.role_is_owner = true;
    let all = [Action::Share, Action::Read];
    let book = book_of(&[
        group(1, false),
        grant(1, to(&acme, 1), &all, "k"),
        grant(2, Subject::Group(group_id(1)), &all, "k"),
        grant(3, Subject::Organization(Audience::Everyone), &all, "k"),
    ]);
    let ada = MemberPrincipal::new(user("ada"), Episodes::none());
    let listed = who(&book, [&proxy, &ada], Action::Share, &key("k"), NOW);
    assert_eq!((listed.everyone, listed.anonymous), (None, None));
    assert!(listed.internal_users.is_some());
    assert_eq!(listed.members.len(), 1);

    let proxy = Principal::Member(proxy);
    assert_eq!(
        decide(&book, &proxy, Action::Share, &key("k"), NOW),
        Decision::Deny(Denial::OutsiderCeiling)
    );
    assert!(readable(&book, &proxy, Action::Share, NOW).is_empty());
    let explanation = explain(&book, &proxy, Action::Share, &key("k"), NOW);
    assert!(explanation.matching.is_empty() && explanation.near_misses.is_empty());
    assert!(reads(&book, &proxy, "k"));
}

#[test]
fn an_internal_group_gives_an_outsider_nothing_by_any_path() {
    let (ada, acme) = (user("ada"), org("acme"));
    let rows = [
        group(1, false),
        group(2, true),
        group(3, false),
        nested(2, 1),
        nested(3, 2),
        inside(1, &ada, 1),
        inside(1, &acme, 1),
        grant(1, Subject::Group(group_id(1)), &[Action::Read], "one"),
        grant(2, Subject::Group(group_id(2)), &[Action::Read], "two"),
        grant(3, Subject::Group(group_id(3)), &[Action::Read], "three"),
    ];
    let book = book_of(&rows);
    let may =
        |principal: &Principal| ["one", "two", "three"].map(|text| reads(&book, principal, text));
    assert_eq!(may(&principal(&ada, 1)), [true, true, true]);
    assert_eq!(may(&principal(&acme, 1)), [true, false, false]);
    // Also when the membership carries the internal group, which the book can't see.
    let mut carrying = MemberPrincipal::new(org("other"), Episodes::only(Episode::new(1)));
    carrying.groups = vec![group_id(2)];
    assert_eq!(may(&Principal::Member(carrying)), [false, false, false]);
}

#[test]
fn the_external_group_is_live_and_for_outsiders_only() {
    let mut book = book_of(&[
        group(1, false),
        group(2, false),
        grant(1, Subject::Group(group_id(1)), &[Action::Read], "k"),
    ]);
    let (ada, acme) = (principal(&user("ada"), 1), principal(&org("acme"), 1));
    assert!(!reads(&book, &acme, "k"));
    let head = |number: Option<u8>| {
        AccessChange::Head(AccessHead {
            external_group: number.map(group_id),
            ..AccessHead::default()
        })
    };
    book.apply(&head(Some(1)));
    assert!(reads(&book, &acme, "k") && !reads(&book, &ada, "k"));
    book.apply(&head(Some(2)));
    assert!(!reads(&book, &acme, "k"));
    book.apply(&nested(1, 2));
    assert!(reads(&book, &acme, "k"));
    book.apply(&head(None));
    assert!(!reads(&book, &acme, "k"));
    book.apply(&head(Some(7)));
    assert!(!reads(&book, &acme, "k"), "no such group");
}

#[test]
fn an_ended_episode_gives_nothing_unless_it_is_reinstated() {
    let acme = org("acme");
    let book = book_of(&[
        group(1, false),
        inside(1, &acme, 1),
        grant(1, Subject::Group(group_id(1)), &[Action::Read], "group"),
        grant(2, to(&acme, 1), &[Action::Read], "direct"),
        grant(3, to(&acme, 3), &[Action::Read], "later"),
    ]);
    let may = |since, current| {
        let mut member = MemberPrincipal::new(acme.clone(), Episodes::none());
        member.episodes = Episodes {
            since: Episode::new(since),
            current: Episode::new(current),
        };
        let principal = Principal::Member(member);
        ["group", "direct", "later"].map(|text| reads(&book, &principal, text))
    };
    assert_eq!(may(1, 1), [true, true, false]);
    assert_eq!(may(2, 2), [false, false, false]);
    assert_eq!(may(1, 2), [true, true, false], "reinstated");
    assert_eq!(may(3, 1), [false, false, false], "a range that is none");
}

#[test]
fn an_explanation_names_every_reason_and_the_near_misses() {
    let ada = user("ada");
    let expired = Grant {
        expires_at: Some(NOW),
        ..grant_row(6, to(&ada, 1), &[Action::Read], "k")
    };
    let book = book_of(&[
        group(1, false),
        inside(1, &ada, 1),
        grant(1, to(&ada, 1), &[Action::Read], "k"),
        grant(2, Subject::Group(group_id(1)), &[Action::Read], "k"),
        grant(3, to(&ada, 1), &[Action::Update], "k"),
        grant(4, to(&ada, 1), &[Action::Read], "k/"),
        grant(5, to(&user("bob"), 1), &[Action::Read], "k"),
        AccessChange::PutGrant(expired),
        grant(7, to(&user("bob"), 1), &[Action::Update], "k"),
    ]);
    let explanation = explain(&book, &principal(&ada, 1), Action::Read, &key("k"), NOW);
    let source = |number| WitnessGrant::Grant(GrantId::from_bytes([number; 16]));
    assert!(explanation.decision.is_allowed());
    assert_eq!(explanation.groups, [(group_id(1), vec![group_id(1)])]);
    let matching: Vec<_> = explanation.matching.iter().map(|w| w.source).collect();
    assert_eq!(matching, [source(1), source(2)]);
    let mut misses = explanation.near_misses.clone();
    misses.sort_by_key(|miss| miss.grant);
    let expected = [
        (3, Miss::OtherAction),
        (4, Miss::OtherKey),
        (5, Miss::OtherSubject),
        (6, Miss::Expired),
    ];
    assert_eq!(
        misses,
        expected.map(|(number, why)| NearMiss {
            grant: source(number),
            why
        })
    );
}

#[test]
fn near_misses_are_bounded() {
    let rows: Vec<AccessChange> = (0..=u8::MAX)
        .map(|n| grant(n, to(&user("bob"), 1), &[Action::Read], "k"))
        .collect();
    let book = book_of(&rows);
    let explanation = explain(
        &book,
        &principal(&user("ada"), 1),
        Action::Read,
        &key("k"),
        NOW,
    );
    assert_eq!(explanation.near_misses.len(), MAX_NEAR_MISSES);
    let (index, ada) = (AccessIndex::from(&book), principal(&user("ada"), 1));
    let by_index = index.principal(&ada).explain(Action::Read, &key("k"), NOW);
    assert_eq!(by_index, explanation);
}

/// The definition once more, from rows alone: no index, no order, a fixpoint instead of a search,
/// and keys compared segment by segment.
fn brute_force(
    rows: &[AccessChange],
    principal: &Principal,
    action: Action,
    key: &Key,
    now: Timestamp,
) -> bool {
    let member = match principal {
        Principal::Anonymous => None,
        Principal::Member(member) => Some(member),
    };
    let outsider = member.is_some_and(|m| matches!(m.member, Member::Org(_)));
    let counts = |episode: &Episode| {
        member.is_some_and(|m| {
            (m.episodes.since.get()..=m.episodes.current.get()).contains(&episode.get())
        })
    };
    let is_me = |other: &Member| member.is_some_and(|m| m.member == *other);
    let mut internal = BTreeSet::new();
    let mut known = BTreeSet::new();
    let mut external = None;
    for row in rows {
        if let AccessChange::PutGroup(group) = row {
            known.insert(group.id);
            if group.internal {
                internal.insert(group.id);
            }
        }
        if let AccessChange::Head(head) = row {
            external = head.external_group;
        }
    }
    let open = |group: &GroupId| known.contains(group) && !(outsider && internal.contains(group));
    let mut mine: BTreeSet<GroupId> = member
        .map(|m| m.groups.iter().copied().collect())
        .unwrap_or_default();
    if outsider {
        mine.extend(external);
    }
    mine.retain(open);
    loop {
        let before = mine.len();
        for row in rows {
            let AccessChange::PutGroupMember { group, member } = row else {
                continue;
            };
            let within = match member {
                GroupMember::Group(inner) => mine.contains(inner),
                GroupMember::Member { member, episode } => is_me(member) && counts(episode),
            };
            if within && open(group) {
                mine.insert(*group);
            }
        }
        if mine.len() == before {
            break;
        }
    }
    let covers = |pattern: &Pattern| {
        let own: Vec<&str> = pattern.as_str().trim_end_matches('/').split('/').collect();
        let segments: Vec<&str> = key.as_str().split('/').collect();
        match pattern.kind() {
            PatternKind::All => true,
            PatternKind::Prefix => segments.len() > own.len() && segments.starts_with(&own),
            PatternKind::Exact => segments == own,
        }
    };
    let mut held = false;
    let mut published = false;
    for row in rows {
        let AccessChange::PutGrant(grant) = row else {
            continue;
        };
        if grant.expires_at.is_some_and(|end| end <= now) || !covers(&grant.pattern) {
            continue;
        }
        let everyone = grant.subject == Subject::Organization(Audience::Everyone);
        published |= everyone && grant.actions.contains(Action::PublicRead);
        let for_me = match &grant.subject {
            Subject::Organization(Audience::Everyone) => member.is_some(),
            Subject::Organization(Audience::InternalUsers) => member.is_some() && !outsider,
            Subject::Group(group) => mine.contains(group),
            Subject::Member { member, episode } => is_me(member) && counts(episode),
        };
        held |= for_me && grant.actions.contains(action);
    }
    for preset in member.into_iter().flat_map(|m| &m.grants) {
        held |= preset.actions.contains(action) && covers(&preset.pattern);
    }
    match action {
        Action::Share => held && !outsider,
        Action::PublicRead => held || published,
        Action::Read => held || (published && member.is_some()),
        Action::Create | Action::Update | Action::Delete => held,
    }
}

/// The same book with one grant only, and the same principal with one preset or none.
fn with_only(
    book: &AccessBook,
    member: Option<&MemberPrincipal>,
    source: WitnessGrant,
) -> (AccessBook, Principal) {
    let mut alone = book.clone();
    let kept = match source {
        WitnessGrant::Grant(kept) => Some(kept),
        WitnessGrant::Preset(_) => None,
    };
    for grant in book.grants().filter(|grant| Some(grant.id) != kept) {
        alone.apply(&AccessChange::DeleteGrant(grant.id));
    }
    let Some(member) = member else {
        return (alone, Principal::Anonymous);
    };
    let mut member = member.clone();
    member.grants = match source {
        WitnessGrant::Grant(_) => Vec::new(),
        WitnessGrant::Preset(index) => vec![member.grants[index].clone()],
    };
    (alone, Principal::Member(member))
}

proptest! {
    #[test]
    fn decide_is_the_brute_force_union(book in arb_book(), principal in arb_principal()) {
        let rows: Vec<AccessChange> = book.rows().collect();
        for key in universe() {
            for action in Action::ALL {
                let decision = decide(&book, &principal, action, &key, NOW);
                let expected = brute_force(&rows, &principal, action, &key, NOW);
                prop_assert_eq!(decision.is_allowed(), expected, "{} {}", action, key);
            }
        }
    }

    #[test]
    fn more_grants_and_groups_never_take_away(
        book in arb_book(), principal in arb_principal(),
        grant in arb_grant(), group in arb_group_id(), member in arb_group_member(),
    ) {
        // A grant of its own: one with an id that is in use would replace that one.
        let grant = Grant { id: GrantId::from_bytes([0xee; 16]), ..grant };
        for row in [AccessChange::PutGrant(grant), AccessChange::PutGroupMember { group, member }] {
            let mut more = book.clone();
            more.apply(&row);
            for key in universe() {
                let before = actions(&book, &principal, &key, NOW);
                prop_assert!(before.is_subset(actions(&more, &principal, &key, NOW)));
            }
        }
        if let Principal::Member(member) = &principal {
            let mut member = member.clone();
            member.groups.push(group);
            let member = Principal::Member(member);
            for key in universe() {
                let before = actions(&book, &principal, &key, NOW);
                prop_assert!(before.is_subset(actions(&book, &member, &key, NOW)));
            }
        }
    }

    #[test]
    fn order_and_duplicates_make_no_difference(
        rows in arb_rows().prop_map(|rows| book_of(&rows).rows().collect::<Vec<_>>())
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        member in arb_member_principal(),
    ) {
        let (rows, shuffled) = rows;
        let book = book_of(&rows);
        let other_book = book_of(shuffled.iter().chain(&rows));
        let mut other = member.clone();
        other.groups.reverse();
        other.groups.extend(member.groups.iter().copied());
        other.grants.reverse();
        other.grants.extend(member.grants.iter().cloned());
        let (principal, other) = (Principal::Member(member), Principal::Member(other));
        for key in universe() {
            prop_assert_eq!(
                actions(&book, &principal, &key, NOW),
                actions(&other_book, &other, &key, NOW)
            );
        }
        for action in Action::ALL {
            prop_assert_eq!(
                readable(&book, &principal, action, NOW),
                readable(&other_book, &other, action, NOW)
            );
        }
    }

    #[test]
    fn readable_agrees_with_decide(
        book in arb_book(), principal in arb_principal(), pattern in arb_pattern(),
    ) {
        for action in Action::ALL {
            let coverage = readable(&book, &principal, action, NOW);
            for key in universe() {
                let allowed = decide(&book, &principal, action, &key, NOW).is_allowed();
                prop_assert_eq!(coverage.contains(&key), allowed, "{} {}", action, key);
            }
            let covered = coverage.as_patterns();
            for one in covered {
                prop_assert_eq!(covered.iter().filter(|other| other.includes(one)).count(), 1);
            }
            if coverage.includes(&pattern) {
                for key in universe().iter().filter(|key| pattern.covers(key)) {
                    prop_assert!(coverage.contains(key));
                }
            }
        }
    }

    #[test]
    fn what_is_held_whole_is_included_in_what_is_readable(
        book in arb_book(), principal in arb_principal(), pattern in arb_pattern(),
    ) {
        for action in Action::ALL {
            let coverage = readable(&book, &principal, action, NOW);
            let whole = includes(&book, &principal, action, &pattern, NOW);
            prop_assert_eq!(whole, coverage.includes(&pattern), "{}", action);
        }
    }

    #[test]
    fn every_witness_exists_and_would_do_alone(
        book in arb_book(), principal in arb_principal(), action in arb_action(), key in arb_key(),
    ) {
        let explanation = explain(&book, &principal, action, &key, NOW);
        let member = principal.member();
        let witnesses = explanation.matching.iter().chain(explanation.decision.witness());
        for witness in witnesses {
            let (alone, only) = with_only(&book, member, witness.source);
            prop_assert!(decide(&alone, &only, action, &key, NOW).is_allowed());
            let subject = match witness.source {
                WitnessGrant::Grant(id) => {
                    let grant = book.grant(id).expect("a witness is in the book");
                    prop_assert!(NOW.is_before_end(grant.expires_at));
                    Some(&grant.subject)
                }
                WitnessGrant::Preset(_) => None,
            };
            match subject {
                Some(Subject::Group(group)) => {
                    prop_assert_eq!(witness.groups.last(), Some(group));
                    for pair in witness.groups.windows(2) {
                        prop_assert!(book.outer_groups(pair[0]).any(|outer| outer == pair[1]));
                    }
                    let first = witness.groups[0];
                    let member = member.expect("only members are in groups");
                    let external = member.is_outsider().then_some(book.head().external_group);
                    let stored = book.groups_of(&member.member).any(|(episode, group)| {
                        group == first && member.episodes.contains(episode)
                    });
                    let external = external.flatten() == Some(first);
                    prop_assert!(member.groups.contains(&first) || external || stored);
                }
                Some(Subject::Organization(_) | Subject::Member { .. }) | None => {
                    prop_assert!(witness.groups.is_empty());
                }
            }
        }
    }

    #[test]
    fn explanations_agree_with_decide(
        book in arb_book(), principal in arb_principal(), action in arb_action(), key in arb_key(),
    ) {
        let explanation = explain(&book, &principal, action, &key, NOW);
        let decision = decide(&book, &principal, action, &key, NOW);
        prop_assert_eq!(explanation.matching.is_empty(), !decision.is_allowed());
        prop_assert_eq!(
            explanation.matching.iter().any(|witness| Some(witness) == decision.witness()),
            decision.is_allowed()
        );
        prop_assert_eq!(&explanation.decision, &decision);
        for miss in &explanation.near_misses {
            let (alone, only) = with_only(&book, principal.member(), miss.grant);
            prop_assert!(!decide(&alone, &only, action, &key, NOW).is_allowed());
        }
    }

    #[test]
    fn who_agrees_with_decide(
        book in arb_book(), members in vec(arb_member_principal(), 0..6),
        action in arb_action(), key in arb_key(),
    ) {
        let who = who(&book, &members, action, &key, NOW);
        let expected: Vec<(Member, Witness)> = members
            .iter()
            .filter_map(|member| {
                let decision = decide(&book, &member.clone().into(), action, &key, NOW);
                Some((member.member.clone(), decision.witness()?.clone()))
            })
            .collect();
        prop_assert_eq!(who.members, expected);
        let anonymous = decide(&book, &Principal::Anonymous, action, &key, NOW);
        prop_assert_eq!(who.anonymous.is_some(), anonymous.is_allowed());
        // Somebody who holds nothing is allowed iff the audience is.
        let nobody = |member| decide(&book, &principal(&member, 9), action, &key, NOW).is_allowed();
        prop_assert_eq!(
            nobody(user("nobody")),
            who.everyone.is_some() || who.internal_users.is_some()
        );
        if who.everyone.is_some() {
            prop_assert!(nobody(org("nobody")));
        }
    }

    #[test]
    fn actions_agree_with_decide(
        book in arb_book(), principal in arb_principal(), key in arb_key(),
    ) {
        let held = actions(&book, &principal, &key, NOW);
        for action in Action::ALL {
            let allowed = decide(&book, &principal, action, &key, NOW).is_allowed();
            prop_assert_eq!(held.contains(action), allowed);
        }
    }

    #[test]
    fn stored_answers_come_back(
        book in arb_book(), principal in arb_principal(), action in arb_action(), key in arb_key(),
    ) {
        let explanation = explain(&book, &principal, action, &key, NOW);
        let json = serde_json::to_string(&explanation).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Explanation>(&json).unwrap(), &explanation);
        let bytes = postcard::to_allocvec(&explanation).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<Explanation>(&bytes).unwrap(), &explanation);
    }
}
