//! A check allocates nothing.

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
