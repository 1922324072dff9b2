//! Every command, and what a command is decided against.

use guestlist_access::{AccessCommand, RoleCatalog};
use guestlist_types::{RoleName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::invite::InviteCommand;
use crate::link::{LinkCommand, NewToken};
use crate::member::{MemberCommand, Presented};
use crate::organization::OrganizationCommand;
use crate::webhook::WebhookCommand;

/// Everything that can be asked of one organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new command must be placed in every rule"
)]
pub enum Command {
    /// About the organization itself.
    Organization(OrganizationCommand),
    /// About a link.
    Link(LinkCommand),
    /// About e-mail invites.
    Invite(InviteCommand),
    /// About a membership.
    Member(MemberCommand),
    /// About groups and grants.
    Access(AccessCommand),
    /// About a webhook endpoint.
    Webhook(WebhookCommand),
}

impl Command {
    /// The token that this command presents, if it presents one.
    #[must_use]
    pub const fn presented(&self) -> Option<&Presented> {
        match self {
            Self::Member(
                MemberCommand::Claim { token, .. } | MemberCommand::Accept { token, .. },
            )
            | Self::Invite(InviteCommand::Decline { token }) => Some(token),
            Self::Organization(_)
            | Self::Link(_)
            | Self::Invite(_)
            | Self::Member(_)
            | Self::Access(_)
            | Self::Webhook(_) => None,
        }
    }

    /// The same, for the shell to say whether it is genuine.
    pub const fn presented_mut(&mut self) -> Option<&mut Presented> {
        match self {
            Self::Member(
                MemberCommand::Claim { token, .. } | MemberCommand::Accept { token, .. },
            )
            | Self::Invite(InviteCommand::Decline { token }) => Some(token),
            Self::Organization(_)
            | Self::Link(_)
            | Self::Invite(_)
            | Self::Member(_)
            | Self::Access(_)
            | Self::Webhook(_) => None,
        }
    }

    /// The tokens that this command issues.
    #[must_use]
    pub fn new_tokens(&self) -> Box<dyn Iterator<Item = &NewToken> + '_> {
        match self {
            Self::Link(command) => Box::new(command.new_token().into_iter()),
            Self::Invite(command) => Box::new(command.new_tokens()),
            Self::Organization(_) | Self::Member(_) | Self::Access(_) | Self::Webhook(_) => {
                Box::new(core::iter::empty())
            }
        }
    }
}

/// What a decision needs besides the records: time, the catalog of roles, and what the host
/// application says of people that guestlist keeps no membership of.
#[derive(Debug, Clone, Copy)]
pub struct Env<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// The host application's roles.
    pub roles: &'a RoleCatalog,
    /// What the host application says of the creator of the link or invite concerned, as
    /// [`Command::creator`] names it. Where guestlist keeps a membership of the creator, that one
    /// counts instead.
    pub creator: &'a Stated,
}

/// What the host application says of a person's standing in an organization.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stated {
    /// Whether the person belongs to it.
    pub is_member: bool,
    /// The person's role there.
    pub role: Option<RoleName>,
}

impl Stated {
    /// Of somebody who does not belong to the organization.
    pub const NOBODY: Self = Self {
        is_member: false,
        role: None,
    };
}
