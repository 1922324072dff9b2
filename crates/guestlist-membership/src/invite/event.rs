//! What happened to an e-mail invite.

use guestlist_token::Selector;
use guestlist_types::{InviteId, Member, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::{EmailInvite, InviteStatus};
use crate::link::{Generation, TokenEnd};

/// What closed an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new closing must be placed in every rule"
)]
pub enum Closing {
    /// Somebody joined by it.
    Accepted,
    /// The invited person declined it.
    Declined,
    /// The host took it back.
    Revoked,
    /// The host sent another invite to the same address.
    Replaced,
    /// The same person accepted another invite of the same host.
    Joined,
}

impl Closing {
    /// The status that an invite closed like this has.
    #[must_use]
    pub const fn status(self) -> InviteStatus {
        match self {
            Self::Accepted => InviteStatus::Accepted,
            Self::Declined => InviteStatus::Declined,
            Self::Revoked | Self::Replaced | Self::Joined => InviteStatus::Revoked,
        }
    }
}

/// Something that happened to an e-mail invite. No event holds a token or a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new event must be folded everywhere"
)]
pub enum InviteEvent {
    /// It was made, with its first token.
    Sent(Box<EmailInvite>),
    /// It got a new token and a new expiry.
    Resent {
        /// The invite.
        invite: InviteId,
        /// The new token's generation.
        generation: Generation,
        /// Where the new token is found.
        selector: Selector,
        /// The tokens that stopped being valid.
        ended: Vec<TokenEnd>,
        /// When it stops working now.
        expires_at: Option<Timestamp>,
    },
    /// It came to its end.
    Closed {
        /// The invite.
        invite: InviteId,
        /// What closed it.
        closing: Closing,
        /// The tokens that stopped being valid.
        ended: Vec<TokenEnd>,
        /// Who joined by it.
        member: Option<Member>,
    },
    /// Its time is over.
    Expired {
        /// The invite.
        invite: InviteId,
    },
    /// The personal data of whoever accepted it was erased.
    Erased {
        /// The invite.
        invite: InviteId,
    },
    /// Its mail was handed over to the mail system, or could not be.
    DeliveryReported {
        /// The invite.
        invite: InviteId,
        /// Whether it was.
        sent: bool,
    },
}

impl InviteEvent {
    /// The stable name of this event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sent(_) => "invite-sent",
            Self::Resent { .. } => "invite-resent",
            Self::Closed { closing, .. } => match closing {
                Closing::Accepted => "invite-accepted",
                Closing::Declined => "invite-declined",
                Closing::Revoked => "invite-revoked",
                Closing::Replaced => "invite-replaced",
                Closing::Joined => "invite-joined-otherwise",
            },
            Self::Expired { .. } => "invite-expired",
            Self::Erased { .. } => "invite-erased",
            Self::DeliveryReported { sent: true, .. } => "invite-delivered",
            Self::DeliveryReported { sent: false, .. } => "invite-undelivered",
        }
    }

    /// The invite that this event is about.
    #[must_use]
    pub fn invite(&self) -> InviteId {
        match self {
            Self::Sent(invite) => invite.id,
            Self::Resent { invite, .. }
            | Self::Closed { invite, .. }
            | Self::Expired { invite }
            | Self::Erased { invite }
            | Self::DeliveryReported { invite, .. } => *invite,
        }
    }

    /// The member that this event is about.
    #[must_use]
    pub const fn member(&self) -> Option<&Member> {
        match self {
            Self::Closed { member, .. } => member.as_ref(),
            Self::Sent(_)
            | Self::Resent { .. }
            | Self::Expired { .. }
            | Self::Erased { .. }
            | Self::DeliveryReported { .. } => None,
        }
    }
}
