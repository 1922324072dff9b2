//! proptest strategies for the types of this crate, and the small world that they draw from.
//!
//! Everything comes from small sets, so that rows meet each other: cycles, groups that are not
//! there, ended episodes, internal groups with outsiders in them and grants of no action are all
//! among them, as stored data may hold what the rules would refuse.

use core::ops::Range;

use guestlist_types::{GrantId, GroupId, GroupName, Key, Member, OrgId, Timestamp, UserId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::{
    AccessBook, AccessChange, AccessCommand, AccessHead, Action, ActionSet, Audience, Episode,
    Episodes, Giver, Grant, Grantee, Group, GroupMember, MemberPrincipal, Pattern, PresetGrant,
    Principal, Sharing, Subject,
};

/// The time that worlds are looked at; what is drawn ends before, at or after it.
pub const NOW: Timestamp = Timestamp::from_micros(5);

/// Every key of the small world: up to three of two segments that begin alike.
#[must_use]
pub fn universe() -> Vec<Key> {
    let mut keys = Vec::new();
    let mut longest = vec![String::new()];
    for _ in 0..3 {
        longest = longest
            .iter()
            .flat_map(|stem| ["a", "ab"].map(|segment| format!("{stem}{segment}/")))
            .collect();
        keys.extend(
            longest
                .iter()
                .map(|text| key_of(text.trim_end_matches('/'))),
        );
    }
    keys
}

fn key_of(text: &str) -> Key {
    Key::parse(text).expect("plain segments make a key")
}

fn prefix_of(key: &Key) -> Pattern {
    Pattern::parse(&format!("{key}/")).expect("a short key has room below")
}

/// One of [`universe`].
pub fn arb_key() -> impl Strategy<Value = Key> {
    select(universe())
}

/// Patterns around the keys of [`universe`], every key among them.
pub fn arb_pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        1 => Just(Pattern::all()),
        4 => arb_key().prop_map(|key| prefix_of(&key)),
        3 => arb_key().prop_map(Pattern::from),
    ]
}

/// Any action.
pub fn arb_action() -> impl Strategy<Value = Action> {
    select(Action::ALL.to_vec())
}

/// Any set of actions, the empty one among them.
pub fn arb_action_set() -> impl Strategy<Value = ActionSet> {
    subsequence(Action::ALL.to_vec(), 0..=Action::ALL.len()).prop_map(ActionSet::from_iter)
}

/// One of three users and two organizations.
pub fn arb_member() -> impl Strategy<Value = Member> {
    prop_oneof![(0_u8..3).prop_map(user_of), (0_u8..2).prop_map(org_of)]
}

fn user_of(number: u8) -> Member {
    Member::User(UserId::parse(&format!("user_{number}")).expect("a plain id is valid"))
}

fn org_of(number: u8) -> Member {
    Member::Org(OrgId::parse(&format!("org_{number}")).expect("a plain id is valid"))
}

/// One of the first three episodes, or none.
pub fn arb_episode() -> impl Strategy<Value = Episode> {
    (0_u32..4).prop_map(Episode::new)
}

/// Mostly one episode, sometimes several.
pub fn arb_episodes() -> impl Strategy<Value = Episodes> {
    (arb_episode(), arb_episode()).prop_map(|(one, other)| Episodes {
        since: one.min(other),
        current: one.max(other),
    })
}

/// A time around [`NOW`].
pub fn arb_time() -> impl Strategy<Value = Timestamp> {
    (0_i64..10).prop_map(Timestamp::from_micros)
}

/// One of five groups.
pub fn arb_group_id() -> impl Strategy<Value = GroupId> {
    group_numbers().prop_map(|n| GroupId::from_bytes([n; 16]))
}

fn group_numbers() -> Range<u8> {
    1..6
}

/// A grant's id, from a small set.
pub fn arb_grant_id() -> impl Strategy<Value = GrantId> {
    (0_u8..30).prop_map(|n| GrantId::from_bytes([n; 16]))
}

/// A group's name, from a small set.
pub fn arb_group_name() -> impl Strategy<Value = GroupName> {
    group_numbers().prop_map(name_of)
}

fn name_of(number: u8) -> GroupName {
    GroupName::parse(&format!("group {number}")).expect("a plain name")
}

/// A group; its name is its id's, so that names are unique.
pub fn arb_group() -> impl Strategy<Value = Group> {
    (group_numbers(), proptest::bool::weighted(0.2), arb_time()).prop_map(
        |(number, internal, created_at)| Group {
            id: GroupId::from_bytes([number; 16]),
            name: name_of(number),
            internal,
            created_at,
        },
    )
}

/// Who is in a group.
pub fn arb_group_member() -> impl Strategy<Value = GroupMember> {
    prop_oneof![
        arb_group_id().prop_map(GroupMember::Group),
        (arb_member(), arb_episode())
            .prop_map(|(member, episode)| GroupMember::Member { member, episode }),
    ]
}

/// One of the two audiences.
pub fn arb_audience() -> impl Strategy<Value = Audience> {
    select(vec![Audience::Everyone, Audience::InternalUsers])
}

/// Whom a grant is for.
pub fn arb_subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        1 => arb_audience().prop_map(Subject::Organization),
        3 => arb_group_id().prop_map(Subject::Group),
        2 => (arb_member(), arb_episode())
            .prop_map(|(member, episode)| Subject::Member { member, episode }),
    ]
}

/// A grant.
pub fn arb_grant() -> impl Strategy<Value = Grant> {
    (
        arb_grant_id(),
        arb_time(),
        option::weighted(0.4, arb_time()),
        arb_subject(),
        arb_action_set(),
        arb_pattern(),
    )
        .prop_map(|(id, at, expires_at, subject, actions, pattern)| Grant {
            id,
            giver: Giver::System,
            at,
            expires_at,
            subject,
            actions,
            pattern,
        })
}

/// A grant that a membership carries.
pub fn arb_preset_grant() -> impl Strategy<Value = PresetGrant> {
    (arb_action_set(), arb_pattern())
        .prop_map(|(actions, pattern)| PresetGrant { actions, pattern })
}

/// One of the three sharing rules.
pub fn arb_sharing() -> impl Strategy<Value = Sharing> {
    select(vec![
        Sharing::WithinOwn,
        Sharing::WithinNamespace,
        Sharing::OwnersOnly,
    ])
}

/// A head.
pub fn arb_head() -> impl Strategy<Value = AccessHead> {
    (option::of(arb_group_id()), arb_sharing()).prop_map(|(external_group, sharing)| AccessHead {
        external_group,
        sharing,
    })
}

/// One row put or taken away.
pub fn arb_change() -> impl Strategy<Value = AccessChange> {
    prop_oneof![
        1 => arb_head().prop_map(AccessChange::Head),
        2 => (arb_group(), arb_group_name())
            .prop_map(|(group, name)| AccessChange::PutGroup(Group { name, ..group })),
        1 => arb_group_id().prop_map(AccessChange::DeleteGroup),
        4 => (arb_group_id(), arb_group_member())
            .prop_map(|(group, member)| AccessChange::PutGroupMember { group, member }),
        2 => (arb_group_id(), arb_group_member())
            .prop_map(|(group, member)| AccessChange::DeleteGroupMember { group, member }),
        4 => arb_grant().prop_map(AccessChange::PutGrant),
        2 => arb_grant_id().prop_map(AccessChange::DeleteGrant),
    ]
}

/// The rows of a host, in any order.
pub fn arb_rows() -> impl Strategy<Value = Vec<AccessChange>> {
    let rows = (
        arb_head(),
        vec(arb_group(), 0..7),
        vec((arb_group_id(), arb_group_member()), 0..12),
        vec(arb_grant(), 0..10),
    );
    rows.prop_map(|(head, groups, members, grants)| {
        let members = members
            .into_iter()
            .map(|(group, member)| AccessChange::PutGroupMember { group, member });
        core::iter::once(AccessChange::Head(head))
            .chain(groups.into_iter().map(AccessChange::PutGroup))
            .chain(members)
            .chain(grants.into_iter().map(AccessChange::PutGrant))
            .collect()
    })
}

/// The book of these rows.
#[must_use]
pub fn book_of<'a>(rows: impl IntoIterator<Item = &'a AccessChange>) -> AccessBook {
    let mut book = AccessBook::new();
    rows.into_iter().for_each(|row| book.apply(row));
    book
}

/// A host's groups and grants.
pub fn arb_book() -> impl Strategy<Value = AccessBook> {
    arb_rows().prop_map(|rows| book_of(&rows))
}

/// Somebody with a live standing.
pub fn arb_member_principal() -> impl Strategy<Value = MemberPrincipal> {
    (
        arb_member(),
        arb_episodes(),
        vec(arb_group_id(), 0..3),
        vec(arb_preset_grant(), 0..3),
        any::<bool>(),
    )
        .prop_map(
            |(member, episodes, groups, grants, role_is_owner)| MemberPrincipal {
                member,
                episodes,
                groups,
                grants,
                role_is_owner,
            },
        )
}

/// Anybody.
pub fn arb_principal() -> impl Strategy<Value = Principal> {
    prop_oneof![
        1 => Just(Principal::Anonymous),
        9 => arb_member_principal().prop_map(Principal::Member),
    ]
}

/// Any command.
pub fn arb_command() -> impl Strategy<Value = AccessCommand> {
    let grantee = prop_oneof![
        arb_audience().prop_map(Grantee::Organization),
        arb_group_id().prop_map(Grantee::Group),
        arb_member().prop_map(Grantee::Member),
    ];
    prop_oneof![
        (arb_group_id(), arb_group_name(), any::<bool>())
            .prop_map(|(id, name, internal)| AccessCommand::CreateGroup { id, name, internal }),
        (arb_group_id(), arb_group_name())
            .prop_map(|(group, name)| AccessCommand::RenameGroup { group, name }),
        arb_group_id().prop_map(|group| AccessCommand::DeleteGroup { group }),
        (arb_group_id(), any::<bool>())
            .prop_map(|(group, internal)| AccessCommand::MarkInternal { group, internal }),
        (arb_group_id(), arb_member())
            .prop_map(|(group, member)| AccessCommand::AddToGroup { group, member }),
        (arb_group_id(), arb_member())
            .prop_map(|(group, member)| AccessCommand::RemoveFromGroup { group, member }),
        (arb_group_id(), arb_group_id())
            .prop_map(|(outer, inner)| AccessCommand::NestGroup { outer, inner }),
        (arb_group_id(), arb_group_id())
            .prop_map(|(outer, inner)| AccessCommand::UnnestGroup { outer, inner }),
        option::of(arb_group_id()).prop_map(AccessCommand::SetExternalGroup),
        arb_sharing().prop_map(AccessCommand::SetSharing),
        (
            arb_grant_id(),
            grantee,
            arb_action_set(),
            arb_pattern(),
            option::of(arb_time()),
        )
            .prop_map(
                |(id, to, actions, pattern, expires_at)| AccessCommand::Grant {
                    id,
                    to,
                    actions,
                    pattern,
                    expires_at,
                }
            ),
        arb_grant_id().prop_map(|grant| AccessCommand::Revoke { grant }),
    ]
}
