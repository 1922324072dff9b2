//! What can be done with a membership.

use guestlist_token::Selector;
use guestlist_types::{InviteId, Member, Message, OrgId, ProxyUserId, Reason, RoleName, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::{ActingRule, Profile};
use crate::link::Preset;

/// A token as it was presented: the shell has compared its digest with the stored one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presented {
    /// Where the token is found.
    pub selector: Selector,
    /// Whether the digest matched.
    pub genuine: bool,
}

/// A reviewer's own gift, in place of what the link gives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Another gift than the link's. Given on the reviewer's own authority.
    pub gift: Option<Preset>,
    /// When the membership ends; `None`: as the link says.
    pub expires_at: Option<Timestamp>,
    /// Whether grants and groups given in earlier episodes count again.
    pub reinstate: bool,
}

/// A command about one membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new command must be placed in every rule"
)]
pub enum MemberCommand {
    /// Presents a link's token.
    Claim {
        /// The token.
        token: Presented,
        /// Who joins.
        member: Member,
        /// What the host is shown of a joining user; an organization's is read from its record.
        profile: Profile,
        /// Answers to the link's questions, in their order.
        answers: Vec<String>,
        /// The proxy user's id, should one be created.
        proxy: ProxyUserId,
    },
    /// Accepts an e-mail invite.
    Accept {
        /// The token.
        token: Presented,
        /// Who joins.
        member: Member,
        /// What the host is shown of a joining user; an organization's is read from its record.
        profile: Profile,
        /// The proxy user's id, should one be created.
        proxy: ProxyUserId,
    },
    /// Asks to join without any invite.
    Request {
        /// Who asks.
        member: Member,
        /// What the host is shown of a user; an organization's is read from its record.
        profile: Profile,
        /// What it says.
        message: Option<Message>,
        /// Answers to the host's questions, in their order.
        answers: Vec<String>,
        /// The proxy user's id, should one be created.
        proxy: ProxyUserId,
    },
    /// An administrator adds somebody directly.
    Add {
        /// Who.
        member: Member,
        /// What the host is shown of a user.
        profile: Profile,
        /// What the member gets.
        gift: Box<Preset>,
        /// When the membership ends.
        expires_at: Option<Timestamp>,
        /// The proxy user's id, should one be created.
        proxy: ProxyUserId,
    },
    /// The host lets a pending member in.
    Approve {
        /// Who.
        member: Member,
        /// The reviewer's own gift, if any.
        changes: Box<Changes>,
        /// The proxy user's id, should one be created.
        proxy: ProxyUserId,
    },
    /// The host denies a pending request.
    Reject {
        /// Who.
        member: Member,
        /// Why.
        reason: Option<Reason>,
    },
    /// The host ends an approved membership.
    Remove {
        /// Who.
        member: Member,
        /// Why.
        reason: Option<Reason>,
    },
    /// The member withdraws its pending request.
    Cancel {
        /// Who.
        member: Member,
    },
    /// The member leaves, or withdraws.
    Leave {
        /// Who.
        member: Member,
    },
    /// The host gives a joined user another role.
    ChangeRole {
        /// Who.
        member: Member,
        /// The new role.
        role: RoleName,
    },
    /// The host lets this member in by no door any more.
    Block {
        /// Who.
        member: Member,
        /// Why.
        reason: Option<Reason>,
    },
    /// The host takes a block back.
    Unblock {
        /// Who.
        member: Member,
    },
    /// The host forgets that it removed this member: older tokens work for it again.
    LiftRemoval {
        /// Who.
        member: Member,
    },
    /// Erases a member's personal data; what happened stays.
    Erase {
        /// Who.
        member: Member,
        /// The e-mail invites that this member accepted.
        invites: Vec<InviteId>,
        /// Whether the log still holds some, so that there is something to do.
        logged: bool,
    },
    /// Writes the ending of an episode that has run out.
    Expire {
        /// Who.
        member: Member,
    },
    /// A member organization says which of its people may act through its proxy user in `host`.
    /// Performed on the member organization's own records.
    RestrictActing {
        /// The organization that the proxy user is in.
        host: OrgId,
        /// Who may act; `None`: everybody of the member organization.
        rule: Option<ActingRule>,
    },
}

impl MemberCommand {
    /// The name of this command in messages, as in "approve is not possible here".
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "claim",
            Self::Accept { .. } => "accept",
            Self::Request { .. } => "request",
            Self::Add { .. } => "add",
            Self::Approve { .. } => "approve",
            Self::Reject { .. } => "reject",
            Self::Remove { .. } => "remove",
            Self::Cancel { .. } => "cancel",
            Self::Leave { .. } => "leave",
            Self::ChangeRole { .. } => "change role",
            Self::Block { .. } => "block",
            Self::Unblock { .. } => "unblock",
            Self::LiftRemoval { .. } => "lift removal",
            Self::Erase { .. } => "erase",
            Self::Expire { .. } => "expire",
            Self::RestrictActing { .. } => "restrict acting",
        }
    }

    /// The member that this command is about; `None` for one about acting through a proxy user.
    #[must_use]
    pub const fn member(&self) -> Option<&Member> {
        match self {
            Self::Claim { member, .. }
            | Self::Accept { member, .. }
            | Self::Request { member, .. }
            | Self::Add { member, .. }
            | Self::Approve { member, .. }
            | Self::Reject { member, .. }
            | Self::Remove { member, .. }
            | Self::Cancel { member }
            | Self::Leave { member }
            | Self::ChangeRole { member, .. }
            | Self::Block { member, .. }
            | Self::Unblock { member }
            | Self::LiftRemoval { member }
            | Self::Erase { member, .. }
            | Self::Expire { member } => Some(member),
            Self::RestrictActing { .. } => None,
        }
    }
}
