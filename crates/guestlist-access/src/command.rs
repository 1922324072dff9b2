//! What can be asked to change.

use guestlist_types::{GrantId, GroupId, GroupName, Member, Timestamp};
use serde::{Deserialize, Serialize};

use crate::action::ActionSet;
use crate::book::{Audience, Sharing};
use crate::pattern::Pattern;

/// A change of one host's groups and grants that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new command must break every match"
)]
pub enum AccessCommand {
    /// Make a group.
    CreateGroup {
        /// Its id, which no group ever had.
        id: GroupId,
        /// Its name, which no other group has now.
        name: GroupName,
        /// Whether it keeps outsiders out.
        internal: bool,
    },
    /// Give a group another name.
    RenameGroup {
        /// Which group.
        group: GroupId,
        /// Its new name.
        name: GroupName,
    },
    /// End a group with its grants and memberships.
    DeleteGroup {
        /// Which group.
        group: GroupId,
    },
    /// Say whether a group keeps outsiders out.
    MarkInternal {
        /// Which group.
        group: GroupId,
        /// Whether it does from now on.
        internal: bool,
    },
    /// Put a member into a group.
    AddToGroup {
        /// Which group.
        group: GroupId,
        /// Who, with a live standing in the host.
        member: Member,
    },
    /// Take a member out of a group.
    RemoveFromGroup {
        /// Which group.
        group: GroupId,
        /// Who.
        member: Member,
    },
    /// Put everybody of one group into another.
    NestGroup {
        /// The group that contains.
        outer: GroupId,
        /// The group that is contained.
        inner: GroupId,
    },
    /// Take one group out of another.
    UnnestGroup {
        /// The group that contains.
        outer: GroupId,
        /// The group that is contained.
        inner: GroupId,
    },
    /// Name the group that every proxy user is in, or none.
    SetExternalGroup(Option<GroupId>),
    /// Say what somebody must hold to give something.
    SetSharing(Sharing),
    /// Give actions on the keys of a pattern.
    Grant {
        /// The grant's id, which no grant ever had.
        id: GrantId,
        /// To whom.
        to: Grantee,
        /// What they may do then.
        actions: ActionSet,
        /// To which keys.
        pattern: Pattern,
        /// Until when; for good if `None`.
        expires_at: Option<Timestamp>,
    },
    /// End a grant.
    Revoke {
        /// Which grant.
        grant: GrantId,
    },
}

/// Whom something is granted to; which episode of a member it is, is found out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a fourth kind of grantee must break every match"
)]
pub enum Grantee {
    /// Whoever belongs to the audience.
    Organization(Audience),
    /// Whoever is in the group.
    Group(GroupId),
    /// One member.
    Member(Member),
}

impl AccessCommand {
    /// The member that this command puts in a group, takes out of one, or gives a grant to: its
    /// membership is a fact of the decision.
    #[must_use]
    pub const fn member(&self) -> Option<&Member> {
        match self {
            Self::AddToGroup { member, .. }
            | Self::RemoveFromGroup { member, .. }
            | Self::Grant {
                to: Grantee::Member(member),
                ..
            } => Some(member),
            Self::CreateGroup { .. }
            | Self::RenameGroup { .. }
            | Self::DeleteGroup { .. }
            | Self::MarkInternal { .. }
            | Self::NestGroup { .. }
            | Self::UnnestGroup { .. }
            | Self::SetExternalGroup(_)
            | Self::SetSharing(_)
            | Self::Grant { .. }
            | Self::Revoke { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::action::Action;
    use crate::testing::arb_command;

    #[test]
    fn names_are_pinned() {
        let group = GroupId::from_bytes([1; 16]);
        let member = Member::User(guestlist_types::UserId::parse("ada").unwrap());
        let name = GroupName::parse("Design").unwrap();
        let (outer, inner) = (group, group);
        for (command, tag) in [
            (
                AccessCommand::CreateGroup {
                    id: group,
                    name: name.clone(),
                    internal: false,
                },
                "create-group",
            ),
            (AccessCommand::RenameGroup { group, name }, "rename-group"),
            (AccessCommand::DeleteGroup { group }, "delete-group"),
            (
                AccessCommand::MarkInternal {
                    group,
                    internal: true,
                },
                "mark-internal",
            ),
            (
                AccessCommand::AddToGroup {
                    group,
                    member: member.clone(),
                },
                "add-to-group",
            ),
            (
                AccessCommand::RemoveFromGroup { group, member },
                "remove-from-group",
            ),
            (AccessCommand::NestGroup { outer, inner }, "nest-group"),
            (AccessCommand::UnnestGroup { outer, inner }, "unnest-group"),
            (AccessCommand::SetExternalGroup(None), "set-external-group"),
            (AccessCommand::SetSharing(Sharing::WithinOwn), "set-sharing"),
            (
                AccessCommand::Grant {
                    id: GrantId::from_bytes([2; 16]),
                    to: Grantee::Organization(Audience::Everyone),
                    actions: ActionSet::of(&[Action::Read]),
                    pattern: Pattern::all(),
                    expires_at: None,
                },
                "grant",
            ),
            (
                AccessCommand::Revoke {
                    grant: GrantId::from_bytes([2; 16]),
                },
                "revoke",
            ),
        ] {
            let json = serde_json::to_string(&command).unwrap();
            assert!(json.starts_with(&format!("{{\"{tag}\":")), "{json}");
        }
    }

    #[test]
    fn the_member_of_a_command_is_whom_it_puts_takes_or_gives_to() {
        let group = GroupId::from_bytes([1; 16]);
        let ada = Member::User(guestlist_types::UserId::parse("ada").unwrap());
        let member = ada.clone();
        let add = AccessCommand::AddToGroup { group, member };
        let member = ada.clone();
        let remove = AccessCommand::RemoveFromGroup { group, member };
        let grant = |to| AccessCommand::Grant {
            id: GrantId::from_bytes([2; 16]),
            to,
            actions: ActionSet::ALL,
            pattern: Pattern::all(),
            expires_at: None,
        };
        for (command, member) in [
            (&add, Some(&ada)),
            (&remove, Some(&ada)),
            (&grant(Grantee::Member(ada.clone())), Some(&ada)),
            (&grant(Grantee::Group(group)), None),
            (&grant(Grantee::Organization(Audience::Everyone)), None),
            (&AccessCommand::SetExternalGroup(Some(group)), None),
        ] {
            assert_eq!(command.member(), member, "{command:?}");
        }
    }

    proptest! {
        #[test]
        fn stored_commands_come_back(command in arb_command()) {
            let json = serde_json::to_string(&command).unwrap();
            prop_assert_eq!(&serde_json::from_str::<AccessCommand>(&json).unwrap(), &command);
            let bytes = postcard::to_allocvec(&command).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<AccessCommand>(&bytes).unwrap(), &command);
        }
    }
}
