//! E-mail invites as they are kept.

use core::time::Duration;
use std::collections::BTreeSet;

use guestlist_access::PresetGrant;
use guestlist_token::Selector;
use guestlist_types::{
    EmailAddress, GroupId, InviteId, Member, Message, OrgId, RoleName, Timestamp, UserId,
};
use serde::{Deserialize, Deserializer, Serialize};

use super::event::Closing;
use crate::actor::By;
use crate::link::{Approval, Expiry, Generation, JoinedBy, Lasting, Preset};
use crate::metadata::Metadata;

/// The statuses of an e-mail invite. Expired is computed, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new status must be placed in every rule"
)]
pub enum InviteStatus {
    /// It waits for an answer.
    Pending,
    /// It was accepted, and opens nothing more.
    Accepted,
    /// It was declined.
    Declined,
    /// The host took it back, or another invite or membership took its place.
    Revoked,
}

impl InviteStatus {
    /// The name of this status on the wire and in stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Revoked => "revoked",
        }
    }
}

/// Where an invite is at some time: its status with what the clock adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new phase must be placed in every rule"
)]
pub enum InvitePhase {
    /// It waits for an answer.
    Pending,
    /// Nobody answered in time.
    Expired,
    /// It was accepted.
    Accepted,
    /// It was declined.
    Declined,
    /// The host took it back, or another invite or membership took its place.
    Revoked,
}

impl InvitePhase {
    /// The name of this phase on the wire and in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Expired => "expired",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Revoked => "revoked",
        }
    }
}

/// What became of the mail with an invite's current token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a mail was sent, was not sent, or nobody said yet"
)]
pub enum Delivery {
    /// Nobody has said yet. It stays like this where the caller delivers tokens itself.
    Unknown,
    /// It was handed over to the mail system.
    Sent,
    /// It could not be sent: resend the invite.
    Undelivered,
}

impl Delivery {
    /// The name of this delivery on the wire and in stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Sent => "sent",
            Self::Undelivered => "undelivered",
        }
    }
}

/// How the invited person is to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new way must be shown everywhere"
)]
pub enum SignOn {
    /// As the host application has it.
    #[default]
    Usual,
    /// By the host's own single sign-on.
    Single,
    /// Single sign-on was asked for, but this address belongs to another organization's identity
    /// provider, so it is invited without.
    Elsewhere,
}

/// What an invite offers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InviteConfig {
    /// Who may accept it: a person for itself, or for the organization that they act for.
    pub joined_by: JoinedBy,
    /// What it gives.
    pub preset: Preset,
    /// Whether its sender could let somebody in without review when it was sent. It counts under
    /// [`Standing::Keep`](crate::Standing::Keep); otherwise what they may do now counts.
    pub approval: Approval,
    /// How long it is valid from its sending or resending on; `None`: for ever.
    pub lasts: Option<Duration>,
    /// How long the membership lasts; `None`: until it is ended.
    pub membership_ttl: Option<Duration>,
    /// What the inviter says.
    pub message: Option<Message>,
    /// The host application's own data, which travels to the membership.
    pub metadata: Metadata,
    /// How the invited person is to sign in.
    pub sign_on: SignOn,
}

/// What is asked for when an invite is sent. What is left out comes from the host's settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InviteDraft {
    /// See [`InviteConfig::joined_by`]; a person, unless it says otherwise.
    pub joined_by: Option<JoinedBy>,
    /// See [`InviteConfig::preset`].
    pub preset: Option<Preset>,
    /// When the invite stops working.
    pub expiry: Option<Expiry>,
    /// See [`InviteConfig::membership_ttl`].
    pub membership_ttl: Option<Lasting>,
    /// See [`InviteConfig::message`].
    pub message: Option<Message>,
    /// See [`InviteConfig::metadata`].
    pub metadata: Option<Metadata>,
}

impl InviteDraft {
    /// An invite with what the host's settings say.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers this role.
    #[must_use]
    pub fn role(mut self, role: RoleName) -> Self {
        self.preset.get_or_insert_default().role = Some(role);
        self
    }

    /// Puts the member in this group, too.
    #[must_use]
    pub fn group(mut self, group: GroupId) -> Self {
        self.preset.get_or_insert_default().groups.insert(group);
        self
    }

    /// Gives the member this grant, too.
    #[must_use]
    pub fn grant(mut self, grant: PresetGrant) -> Self {
        self.preset.get_or_insert_default().grants.push(grant);
        self
    }

    /// For these kinds of members.
    #[must_use]
    pub const fn joined_by(mut self, kinds: JoinedBy) -> Self {
        self.joined_by = Some(kinds);
        self
    }

    /// Stops working then.
    #[must_use]
    pub const fn expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = Some(expiry);
        self
    }

    /// The membership lasts this long.
    #[must_use]
    pub const fn membership_ttl(mut self, lasting: Lasting) -> Self {
        self.membership_ttl = Some(lasting);
        self
    }

    /// Says this in the mail.
    #[must_use]
    pub fn message(mut self, message: Message) -> Self {
        self.message = Some(message);
        self
    }

    /// Carries this data to the membership.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(metadata);
        self
    }
}

/// How an invite came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// What closed it.
    pub closing: Closing,
    /// Who did.
    pub by: By,
    /// When.
    pub at: Timestamp,
    /// Who joined by it, if it was accepted.
    pub member: Option<Member>,
}

/// An invite for one e-mail address, usable once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailInvite {
    /// Its id. It opens nothing.
    pub id: InviteId,
    /// The organization that it lets somebody into.
    pub host: OrgId,
    /// The address, in the form that addresses are compared in.
    pub address: EmailAddress,
    /// What it offers.
    pub config: InviteConfig,
    /// Its stored status. Use [`EmailInvite::phase`], which knows the time.
    pub status: InviteStatus,
    /// Which generation of token it is at: every resend makes the next one.
    pub generation: Generation,
    /// The selector of its token; `None` once it is closed.
    pub token: Option<Selector>,
    /// Who sent it; `None`: the host application itself.
    pub creator: Option<UserId>,
    /// What became of the mail.
    pub delivery: Delivery,
    /// When it stops working; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When its expiry was written down; it is over from `expires_at` on without that.
    pub expired_at: Option<Timestamp>,
    /// How it came to its end.
    pub closed: Option<Closed>,
    /// When it was first sent.
    pub created_at: Timestamp,
    /// When it was last sent.
    pub sent_at: Timestamp,
    /// When this record last changed.
    pub updated_at: Timestamp,
}

impl EmailInvite {
    /// Where this invite is now. Expiry is computed here, so that no job has to run for an invite
    /// to stop working.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> InvitePhase {
        match self.status {
            InviteStatus::Pending if now.is_before_end(self.expires_at) => InvitePhase::Pending,
            InviteStatus::Pending => InvitePhase::Expired,
            InviteStatus::Accepted => InvitePhase::Accepted,
            InviteStatus::Declined => InvitePhase::Declined,
            InviteStatus::Revoked => InvitePhase::Revoked,
        }
    }
}

/// What a host knows of one e-mail address: the one live invite for it, and the users who are
/// members with it. One row for each address, so that there are never two live invites for one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AddressRecord {
    /// The invite that waits for an answer; it may have expired without anybody having written
    /// that.
    pub invite: Option<InviteId>,
    /// The users who joined with this verified address: one, unless a host application lets
    /// accounts share addresses. A membership that is over stays until that is written down.
    #[serde(alias = "member", deserialize_with = "one_or_many")]
    pub members: BTreeSet<UserId>,
}

/// Rows that were written when there was one member at most name it alone. In binary form that
/// reads as a set of one.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<UserId>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Members {
        One(Option<UserId>),
        Many(BTreeSet<UserId>),
    }
    if !deserializer.is_human_readable() {
        return BTreeSet::deserialize(deserializer);
    }
    Ok(match Members::deserialize(deserializer)? {
        Members::One(member) => member.into_iter().collect(),
        Members::Many(members) => members,
    })
}
