//! Every event, and how it is kept.

use guestlist_access::AccessEvent;
use guestlist_types::{InviteId, LinkId, Member, Timestamp};
use serde::{Deserialize, Serialize};

use crate::actor::By;
use crate::invite::InviteEvent;
use crate::link::LinkEvent;
use crate::member::MemberEvent;
use crate::organization::OrganizationEvent;
use crate::webhook::WebhookEvent;

/// Something that happened in one organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new event must be folded everywhere"
)]
pub enum Event {
    /// To the organization itself.
    Organization(OrganizationEvent),
    /// To a link.
    Link(LinkEvent),
    /// To an e-mail invite.
    Invite(InviteEvent),
    /// To a membership.
    Member(MemberEvent),
    /// To groups and grants.
    Access(AccessEvent),
    /// To a webhook endpoint.
    Webhook(WebhookEvent),
}

impl Event {
    /// The stable name of this event, unique over all kinds.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Organization(event) => event.name(),
            Self::Link(event) => event.name(),
            Self::Invite(event) => event.name(),
            Self::Member(event) => event.name(),
            Self::Access(event) => event.name(),
            Self::Webhook(event) => event.name(),
        }
    }

    /// The member that this event is about, if it is about one.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        match self {
            Self::Member(event) => event.member(),
            Self::Invite(event) => event.member(),
            Self::Organization(_) | Self::Link(_) | Self::Access(_) | Self::Webhook(_) => None,
        }
    }

    /// The link that this event is about, if it is about one.
    #[must_use]
    pub fn link(&self) -> Option<LinkId> {
        match self {
            Self::Link(event) => Some(event.link()),
            Self::Member(event) => event.link(),
            Self::Organization(_) | Self::Invite(_) | Self::Access(_) | Self::Webhook(_) => None,
        }
    }

    /// The e-mail invite that this event is about, if it is about one.
    #[must_use]
    pub fn invite(&self) -> Option<InviteId> {
        match self {
            Self::Invite(event) => Some(event.invite()),
            Self::Member(event) => event.invite(),
            Self::Organization(_) | Self::Link(_) | Self::Access(_) | Self::Webhook(_) => None,
        }
    }
}

/// Who did what is being recorded, and when. All events of one command share one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// When. Never earlier than what the records concerned hold already, also when a clock steps
    /// back.
    pub at: Timestamp,
    /// Who.
    pub by: By,
}
