//! What has changed.

use guestlist_types::{GrantId, GroupId};
use serde::{Deserialize, Serialize};

use crate::book::{AccessBook, AccessChange, AccessHead, Grant, Group, GroupMember, Sharing};

/// A change of one host's groups and grants that has happened.
///
/// Each event says everything about itself: the log replayed gives the book, without looking
/// anything up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new event must break every match"
)]
pub enum AccessEvent {
    /// This group was made.
    GroupCreated(Group),
    /// This group, told as it is now, has another name.
    GroupRenamed(Group),
    /// A group was deleted, and with it all that is listed.
    GroupDeleted {
        /// The group.
        group: GroupId,
        /// Who was in it.
        members: Vec<GroupMember>,
        /// The groups that it was in.
        outer: Vec<GroupId>,
        /// The grants that it had.
        grants: Vec<GrantId>,
        /// Whether it was the external group; there is none now.
        was_external: bool,
    },
    /// This group, told as it is now, was marked internal or is no longer.
    GroupMarkedInternal(Group),
    /// Somebody, or a group, came into a group.
    AddedToGroup {
        /// The outer group.
        group: GroupId,
        /// Who is in it now.
        member: GroupMember,
    },
    /// Somebody, or a group, was taken out of a group.
    RemovedFromGroup {
        /// The outer group.
        group: GroupId,
        /// Who is no longer in it.
        member: GroupMember,
    },
    /// The group of all proxy users is this one, or there is none.
    ExternalGroupSet(Option<GroupId>),
    /// What somebody must hold to give something is this.
    SharingSet(Sharing),
    /// This grant was made.
    GrantMade(Grant),
    /// This grant was ended.
    GrantRevoked {
        /// Which grant.
        grant: GrantId,
    },
}

impl AccessEvent {
    /// The stable name of this event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::GroupCreated(_) => "group-created",
            Self::GroupRenamed(_) => "group-renamed",
            Self::GroupDeleted { .. } => "group-deleted",
            Self::GroupMarkedInternal(_) => "group-marked-internal",
            Self::AddedToGroup { .. } => "added-to-group",
            Self::RemovedFromGroup { .. } => "removed-from-group",
            Self::ExternalGroupSet(_) => "external-group-set",
            Self::SharingSet(_) => "sharing-set",
            Self::GrantMade(_) => "grant-made",
            Self::GrantRevoked { .. } => "grant-revoked",
        }
    }

    /// The rows that this event changes; `head` is the head before it.
    #[must_use]
    pub fn changes(&self, head: &AccessHead) -> Vec<AccessChange> {
        match self {
            Self::GroupCreated(group)
            | Self::GroupRenamed(group)
            | Self::GroupMarkedInternal(group) => vec![AccessChange::PutGroup(group.clone())],
            Self::GroupDeleted {
                group,
                members,
                outer,
                grants,
                was_external,
            } => {
                let inside = members
                    .iter()
                    .map(|member| AccessChange::DeleteGroupMember {
                        group: *group,
                        member: member.clone(),
                    });
                let around = outer.iter().map(|outer| AccessChange::DeleteGroupMember {
                    group: *outer,
                    member: GroupMember::Group(*group),
                });
                let head = was_external.then_some(AccessChange::Head(AccessHead {
                    external_group: None,
                    ..*head
                }));
                inside
                    .chain(around)
                    .chain(grants.iter().copied().map(AccessChange::DeleteGrant))
                    .chain(head)
                    .chain([AccessChange::DeleteGroup(*group)])
                    .collect()
            }
            Self::AddedToGroup { group, member } => vec![AccessChange::PutGroupMember {
                group: *group,
                member: member.clone(),
            }],
            Self::RemovedFromGroup { group, member } => vec![AccessChange::DeleteGroupMember {
                group: *group,
                member: member.clone(),
            }],
            Self::ExternalGroupSet(group) => vec![AccessChange::Head(AccessHead {
                external_group: *group,
                ..*head
            })],
            Self::SharingSet(sharing) => vec![AccessChange::Head(AccessHead {
                sharing: *sharing,
                ..*head
            })],
            Self::GrantMade(grant) => vec![AccessChange::PutGrant(grant.clone())],
            Self::GrantRevoked { grant } => vec![AccessChange::DeleteGrant(*grant)],
        }
    }
}

/// Applies an event to the book; the revision stays as it is.
pub fn evolve(book: &mut AccessBook, event: &AccessEvent) {
    for change in event.changes(book.head()) {
        book.apply(&change);
    }
}

#[cfg(test)]
mod tests {
    use guestlist_types::{GroupName, Timestamp};

    use super::*;
    use crate::action::{Action, ActionSet};
    use crate::book::{Audience, Giver, Subject};
    use crate::pattern::Pattern;

    fn samples() -> Vec<(AccessEvent, &'static str)> {
        let id = GroupId::from_bytes([1; 16]);
        let grant = GrantId::from_bytes([2; 16]);
        let group = Group {
            id,
            name: GroupName::parse("Design").unwrap(),
            internal: false,
            created_at: Timestamp::from_micros(0),
        };
        let member = GroupMember::Group(GroupId::from_bytes([3; 16]));
        vec![
            (AccessEvent::GroupCreated(group.clone()), "group-created"),
            (AccessEvent::GroupRenamed(group.clone()), "group-renamed"),
            (
                AccessEvent::GroupDeleted {
                    group: id,
                    members: vec![member.clone()],
                    outer: vec![GroupId::from_bytes([4; 16])],
                    grants: vec![grant],
                    was_external: true,
                },
                "group-deleted",
            ),
            (
                AccessEvent::GroupMarkedInternal(group),
                "group-marked-internal",
            ),
            (
                AccessEvent::AddedToGroup {
                    group: id,
                    member: member.clone(),
                },
                "added-to-group",
            ),
            (
                AccessEvent::RemovedFromGroup { group: id, member },
                "removed-from-group",
            ),
            (
                AccessEvent::ExternalGroupSet(Some(id)),
                "external-group-set",
            ),
            (AccessEvent::SharingSet(Sharing::OwnersOnly), "sharing-set"),
            (
                AccessEvent::GrantMade(Grant {
                    id: grant,
                    giver: Giver::System,
                    at: Timestamp::from_micros(0),
                    expires_at: None,
                    subject: Subject::Organization(Audience::Everyone),
                    actions: ActionSet::of(&[Action::Read]),
                    pattern: Pattern::all(),
                }),
                "grant-made",
            ),
            (AccessEvent::GrantRevoked { grant }, "grant-revoked"),
        ]
    }

    #[test]
    fn names_are_pinned_and_stored() {
        for (event, name) in samples() {
            assert_eq!(event.name(), name);
            let json = serde_json::to_string(&event).unwrap();
            assert!(json.starts_with(&format!("{{\"{name}\":")), "{json}");
            assert_eq!(serde_json::from_str::<AccessEvent>(&json).unwrap(), event);
            let bytes = postcard::to_allocvec(&event).unwrap();
            assert_eq!(postcard::from_bytes::<AccessEvent>(&bytes).unwrap(), event);
        }
    }

    #[test]
    fn the_fields_of_a_deletion_are_pinned() {
        let deleted = samples().swap_remove(2).0;
        assert_eq!(
            serde_json::to_string(&deleted).unwrap(),
            concat!(
                r#"{"group-deleted":{"group":"01010101-0101-0101-0101-010101010101","#,
                r#""members":[{"group":"03030303-0303-0303-0303-030303030303"}],"#,
                r#""outer":["04040404-0404-0404-0404-040404040404"],"#,
                r#""grants":["02020202-0202-0202-0202-020202020202"],"was_external":true}}"#,
            )
        );
    }

    #[test]
    fn changes_keep_the_rest_of_the_head() {
        let head = AccessHead {
            external_group: Some(GroupId::from_bytes([1; 16])),
            sharing: Sharing::OwnersOnly,
        };
        let changes = AccessEvent::ExternalGroupSet(None).changes(&head);
        let sharing = AccessHead {
            external_group: None,
            ..head
        };
        assert_eq!(changes, [AccessChange::Head(sharing)]);
        let changes = AccessEvent::SharingSet(Sharing::WithinOwn).changes(&head);
        let group = AccessHead {
            sharing: Sharing::WithinOwn,
            ..head
        };
        assert_eq!(changes, [AccessChange::Head(group)]);
    }
}
