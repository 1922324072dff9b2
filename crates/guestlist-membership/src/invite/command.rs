//! What can be done with an e-mail invite. Accepting one is a door of the membership machine.

use guestlist_types::{EmailAddress, InviteId};
use serde::{Deserialize, Serialize};

use super::state::{InviteDraft, SignOn};
use crate::link::{Generation, NewToken};
use crate::member::Presented;

/// What happens to the others when one of several invites is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "the others are sent or they are not"
)]
pub enum Mode {
    /// They are sent.
    #[default]
    EachOnItsOwn,
    /// None is sent.
    AllOrNothing,
}

/// An invite about to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInvite {
    /// Its id.
    pub id: InviteId,
    /// Where it goes.
    pub address: EmailAddress,
    /// What it is to be.
    pub draft: InviteDraft,
    /// How the invited person is to sign in.
    pub sign_on: SignOn,
    /// Whether the host application says that a member of the host has this address.
    pub is_member: bool,
    /// Its first token.
    pub token: NewToken,
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// The invite.
    pub invite: InviteId,
    /// Which of its tokens the mail held.
    pub generation: Generation,
    /// Whether it was handed over to the mail system.
    pub sent: bool,
}

/// A command about e-mail invites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new command must be placed in every rule"
)]
pub enum InviteCommand {
    /// Sends invites, one or many. What came of each is in
    /// [`Decided::items`](crate::Decided::items).
    Send {
        /// The invites; no address twice.
        invites: Vec<NewInvite>,
        /// What happens to the others when one is refused.
        mode: Mode,
    },
    /// Makes a new token, kills the old one and restarts the expiry. Changes nothing else.
    Resend {
        /// The invite.
        invite: InviteId,
        /// The new token.
        token: NewToken,
    },
    /// Takes an invite back.
    Revoke {
        /// The invite.
        invite: InviteId,
    },
    /// The invited person doesn't want to join.
    Decline {
        /// The token.
        token: Presented,
    },
    /// Writes down what became of mails.
    ReportDelivery {
        /// What became of each.
        reports: Vec<DeliveryReport>,
    },
    /// Writes down that the time of an invite is over.
    Expire {
        /// The invite.
        invite: InviteId,
    },
}

impl InviteCommand {
    /// The tokens that this command issues.
    pub fn new_tokens(&self) -> impl Iterator<Item = &NewToken> {
        let (one, many) = match self {
            Self::Send { invites, .. } => (None, invites.as_slice()),
            Self::Resend { token, .. } => (Some(token), [].as_slice()),
            Self::Revoke { .. }
            | Self::Decline { .. }
            | Self::ReportDelivery { .. }
            | Self::Expire { .. } => (None, [].as_slice()),
        };
        one.into_iter().chain(many.iter().map(|new| &new.token))
    }

    /// The name of this command in messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Send { .. } => "send",
            Self::Resend { .. } => "resend",
            Self::Revoke { .. } => "revoke",
            Self::Decline { .. } => "decline",
            Self::ReportDelivery { .. } => "report delivery",
            Self::Expire { .. } => "expire",
        }
    }
}
