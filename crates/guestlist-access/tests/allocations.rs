//! A check allocates nothing, and neither does a pattern that is refused.

#![cfg(test)]

use guestlist_access::{
    AccessChange, AccessIndex, Action, ActionSet, Audience, Episode, Episodes, Giver, Grant, Group,
    GroupMember, MemberPrincipal, Pattern, PresetGrant, Principal, Subject,
};
use guestlist_types::{GrantId, GroupId, GroupName, Key, Member, OrgId, Timestamp, UserId};

const NOW: Timestamp = Timestamp::from_micros(5);

fn group(number: u8) -> GroupId {
    GroupId::from_bytes([number; 16])
}

#[test]
fn a_check_allocates_nothing() {
    let members = [
        Member::User(UserId::parse("ada").unwrap()),
        Member::Org(OrgId::parse("acme").unwrap()),
    ];
    let mut index = AccessIndex::new();
    for number in 0..20 {
        index.apply(&AccessChange::PutGroup(Group {
            id: group(number),
            name: GroupName::parse(&format!("group {number}")).unwrap(),
            internal: false,
            created_at: NOW,
        }));
        index.apply(&AccessChange::PutGroupMember {
            group: group(number + 1),
            member: GroupMember::Group(group(number)),
        });
    }
    let mut subjects = vec![
        Subject::Organization(Audience::Everyone),
        Subject::Organization(Audience::InternalUsers),
        Subject::Group(group(3)),
        Subject::Group(group(19)),
    ];
    for member in &members {
        let (member, episode) = (member.clone(), Episode::new(1));
        let inside = GroupMember::Member {
            member: member.clone(),
            episode,
        };
        index.apply(&AccessChange::PutGroupMember {
            group: group(0),
            member: inside,
        });
        subjects.push(Subject::Member { member, episode });
    }
    for (number, subject) in (0..).zip(subjects) {
        // One of them has so many that they are spread over buckets.
        for copy in 0..if number == 2 { 200 } else { 2 } {
            index.apply(&AccessChange::PutGrant(Grant {
                id: GrantId::from_bytes([[number; 8], [copy; 8]].concat().try_into().unwrap()),
                giver: Giver::System,
                at: NOW,
                expires_at: (copy % 2 == 0).then(|| Timestamp::from_micros(9)),
                subject: subject.clone(),
                actions: ActionSet::of(&[Action::Read]),
                pattern: Pattern::parse(&format!("s{number}/{copy}/")).unwrap(),
            }));
        }
    }
    let keys: Vec<Key> = (0..7)
        .flat_map(|number| [0, 1, 199].map(|copy| format!("s{number}/{copy}/key/of/some/length")))
        .chain(["x".repeat(1000)])
        .map(|text| Key::parse(&text).unwrap())
        .collect();
    for member in members {
        let mut principal = MemberPrincipal::new(member, Episodes::only(Episode::new(1)));
        principal.groups = vec![group(5)];
        principal.grants = vec![PresetGrant {
            actions: ActionSet::of(&[Action::Update]),
            pattern: Pattern::all(),
        }];
        let principal = Principal::Member(principal);
        let compiled = index.principal(&principal).compile();
        let mut allowed = 0;
        let counted = allocation_counter::measure(|| {
            let resolved = index.principal(&principal);
            for key in &keys {
                for action in Action::ALL {
                    let by_index = resolved.allows(action, key, NOW);
                    assert_eq!(compiled.allows(action, key, NOW), by_index);
                    assert_eq!(resolved.actions(key, NOW).contains(action), by_index);
                    allowed += usize::from(by_index);
                }
            }
        });
        assert_eq!(counted.count_total, 0);
        assert!(allowed > 20, "{allowed}");
    }
}

fn user(number: u8) -> Member {
    Member::User(UserId::parse(&format!("user_{number}")).unwrap())
}

fn nested(outer: u8, inner: u8) -> AccessChange {
    AccessChange::PutGroupMember {
        group: group(outer),
        member: GroupMember::Group(group(inner)),
    }
}

fn inside(outer: u8, member: u8) -> AccessChange {
    let member = GroupMember::Member {
        member: user(member),
        episode: Episode::NONE,
    };
    AccessChange::PutGroupMember {
        group: group(outer),
        member,
    }
}

fn to(member: u8) -> Subject {
    Subject::Member {
        member: user(member),
        episode: Episode::NONE,
    }
}

fn grant(id: [u8; 2], subject: Subject, ends: bool, text: &str) -> AccessChange {
    AccessChange::PutGrant(Grant {
        id: grant_id(id),
        giver: Giver::System,
        at: NOW,
        expires_at: ends.then(|| Timestamp::from_micros(9)),
        subject,
        actions: ActionSet::of(&[Action::Read]),
        pattern: Pattern::parse(text).unwrap(),
    })
}

fn grant_id([high, low]: [u8; 2]) -> GrantId {
    GrantId::from_bytes([[high; 8], [low; 8]].concat().try_into().unwrap())
}

/// What an index says of its memory is what the allocator says, and room that is given back is used
/// again.
#[test]
fn memory_is_told_to_the_byte() {
    let puts = (0..100).flat_map(|number| {
        let text = format!("area/{number}/{}", "x".repeat(number.into()));
        // So many for one that they are spread over buckets.
        let many = (2..6).map({
            let text = text.clone();
            move |high| grant([high, number], to(7), high == 2, &format!("{high}/{text}"))
        });
        let others = [
            nested(number + 1, number),
            inside(number, number / 2),
            grant([0, number], Subject::Group(group(number)), true, &text),
            grant([1, number], to(number), false, &text),
        ];
        others.into_iter().chain(many)
    });
    let changes: Vec<AccessChange> = puts.collect();
    let taken = changes.iter().map(|change| match change {
        AccessChange::PutGrant(grant) => AccessChange::DeleteGrant(grant.id),
        AccessChange::PutGroupMember { group, member } => AccessChange::DeleteGroupMember {
            group: *group,
            member: member.clone(),
        },
        other => panic!("{other:?} is not put"),
    });
    let changes: Vec<AccessChange> = changes.iter().cloned().chain(taken).collect();
    let mut index = None;
    let new = allocation_counter::measure(|| index = Some(AccessIndex::new()));
    let (mut index, mut held) = (index.unwrap(), new.bytes_current);
    let mut most = [0; 3];
    for most in &mut most {
        for change in &changes {
            held += allocation_counter::measure(|| index.apply(change)).bytes_current;
            let told = index.memory() - size_of::<AccessIndex>();
            assert_eq!(i64::try_from(told), Ok(held), "{change:?}");
            *most = told.max(*most);
        }
    }
    assert!(most[0] > 100_000 && most[2] < most[0] * 9 / 8, "{most:?}");
}

/// So is what a compiled principal says of its own.
#[test]
fn memory_of_what_is_compiled_is_told_to_the_byte() {
    let mut index = AccessIndex::new();
    for number in 0..200 {
        for (high, subject) in [(0, to(1)), (1, Subject::Group(group(1))), (2, to(2))] {
            if high < 2 || number < 5 {
                index.apply(&grant(
                    [high, number],
                    subject,
                    false,
                    &format!("s/{number}/"),
                ));
            }
        }
        index.apply(&nested(number + 1, number));
    }
    for (member, groups) in [(1, vec![]), (2, vec![]), (2, vec![group(1)]), (3, vec![])] {
        let mut principal = MemberPrincipal::new(user(member), Episodes::none());
        principal.groups = groups;
        let principal = Principal::Member(principal);
        let resolved = index.principal(&principal);
        let mut compiled = None;
        let held = allocation_counter::measure(|| compiled = Some(resolved.compile()));
        let told = compiled.as_ref().unwrap().memory() - size_of_val(compiled.as_ref().unwrap());
        assert_eq!(i64::try_from(told), Ok(held.bytes_current), "{member}");
    }
}

/// Grants alike are kept in trees, whose memory is told about.
#[test]
fn memory_of_grants_alike_is_told_about() {
    for (subjects, copies) in [(100, 2), (1, 200)] {
        let mut index = AccessIndex::new();
        let mut held = 0;
        for subject in 0..subjects {
            for copy in 0..copies {
                let change = grant([subject, copy], to(subject), true, "alike");
                held += allocation_counter::measure(|| index.apply(&change)).bytes_current;
            }
        }
        let told = i64::try_from(index.memory()).unwrap();
        assert!(
            (held * 3 / 4..held * 5 / 4).contains(&told),
            "{told} for {held}"
        );
    }
}

#[test]
fn a_pattern_that_is_far_too_long_is_refused_without_a_copy() {
    let zeros = "0".repeat(64 << 20);
    for ending in ["", "/", "//"] {
        let text = [zeros.as_str(), ending].concat();
        let mut is_refused = false;
        let counted = allocation_counter::measure(|| {
            is_refused = Pattern::parse(&text).is_err();
        });
        assert!(is_refused);
        assert_eq!(counted.count_total, 0);
    }
}
