//! What happened to a membership.

use core::time::Duration;

use guestlist_types::{InviteId, LinkId, Member, Message, OrgId, Reason, RoleName, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::{ActingRule, Cause, Door, Profile, ProxyUser};
use crate::link::{Generation, Preset, UseState};
use crate::metadata::Metadata;

/// What an event does to the member's use of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseChange {
    /// The link.
    pub link: LinkId,
    /// Which of its tokens was presented.
    pub generation: Generation,
    /// The state that the use gets.
    pub state: UseState,
    /// What that does to the number of uses: 1, 0 or -1.
    pub counted: i8,
}

/// What an event does to the number of taken seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a seat is taken, kept or given back"
)]
pub enum Seat {
    /// Nothing.
    Kept,
    /// One more is taken.
    Taken,
    /// One is free again.
    Freed,
}

/// An episode as it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Who.
    pub member: Member,
    /// By which door.
    pub door: Door,
    /// What people are shown.
    pub profile: Profile,
    /// What the member gets, now or once it is approved.
    pub gift: Preset,
    /// When the request or the membership ends by itself.
    pub expires_at: Option<Timestamp>,
    /// How long the membership lasts once it is approved.
    pub ttl: Option<Duration>,
    /// Answers to the questions of the link or the host.
    pub answers: Vec<String>,
    /// What the member said.
    #[serde(default)]
    pub message: Option<Message>,
    /// The metadata of the link or the invite.
    pub metadata: Metadata,
    /// The member's use of the link.
    pub link_use: Option<UseChange>,
    /// The seat.
    pub seat: Seat,
}

/// Something that happened to a membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new event must be folded everywhere"
)]
pub enum MemberEvent {
    /// A request came in and waits for review.
    Requested(Box<Opening>),
    /// A member came in without review.
    Joined {
        /// The episode.
        opening: Box<Opening>,
        /// The proxy user that stands for a member organization.
        proxy: Option<ProxyUser>,
    },
    /// A waiting request was approved.
    Approved {
        /// Who.
        member: Member,
        /// The door that let it in, if it was another one than the request came through.
        door: Option<Door>,
        /// What the member gets.
        gift: Box<Preset>,
        /// When the membership ends by itself.
        expires_at: Option<Timestamp>,
        /// Whether grants and groups of earlier episodes count again.
        reinstated: bool,
        /// The proxy user that stands for a member organization.
        proxy: Option<ProxyUser>,
        /// The uses of links that change with it.
        link_uses: Vec<UseChange>,
        /// The seat.
        seat: Seat,
    },
    /// The episode ended.
    Ended {
        /// Who.
        member: Member,
        /// Why.
        cause: Cause,
        /// What was said about it.
        reason: Option<Reason>,
        /// The use that is given back.
        link_use: Option<UseChange>,
        /// The seat.
        seat: Seat,
    },
    /// A joined user got another role.
    RoleChanged {
        /// Who.
        member: Member,
        /// The new role.
        role: RoleName,
    },
    /// A member got more: groups, grants or a higher role.
    GiftAdded {
        /// Who.
        member: Member,
        /// All that the member has from presets now.
        gift: Box<Preset>,
    },
    /// The host lets the member in by no door.
    Blocked {
        /// Who.
        member: Member,
        /// Why.
        reason: Option<Reason>,
    },
    /// The host took the block back.
    Unblocked {
        /// Who.
        member: Member,
    },
    /// The host forgot that it removed the member.
    RemovalLifted {
        /// Who.
        member: Member,
    },
    /// Its personal data was erased.
    Erased {
        /// Who.
        member: Member,
    },
    /// A member organization said who may act through its proxy user.
    ActingRestricted {
        /// The organization that the proxy user is in.
        host: OrgId,
        /// Who may act; `None`: everybody.
        rule: Option<ActingRule>,
    },
}

impl MemberEvent {
    /// The stable name of this event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Requested(_) => "membership-requested",
            Self::Joined { .. } => "membership-joined",
            Self::Approved { .. } => "membership-approved",
            Self::Ended { cause, .. } => match cause {
                Cause::Withdrew => "membership-withdrawn",
                Cause::Left => "membership-left",
                Cause::Rejected => "membership-rejected",
                Cause::Removed => "membership-removed",
                Cause::Expired => "membership-expired",
            },
            Self::RoleChanged { .. } => "membership-role-changed",
            Self::GiftAdded { .. } => "membership-gift-added",
            Self::Blocked { .. } => "member-blocked",
            Self::Unblocked { .. } => "member-unblocked",
            Self::RemovalLifted { .. } => "member-removal-lifted",
            Self::Erased { .. } => "member-erased",
            Self::ActingRestricted { .. } => "acting-restricted",
        }
    }

    /// The link that this event is about: the one that the member came through, or whose use
    /// changes with it.
    #[must_use]
    pub fn link(&self) -> Option<LinkId> {
        match self {
            Self::Requested(opening) | Self::Joined { opening, .. } => opening.door.link(),
            Self::Approved {
                door, link_uses, ..
            } => match door {
                Some(door) => door.link(),
                None => link_uses.first().map(|change| change.link),
            },
            Self::Ended { link_use, .. } => link_use.map(|change| change.link),
            Self::RoleChanged { .. }
            | Self::GiftAdded { .. }
            | Self::Blocked { .. }
            | Self::Unblocked { .. }
            | Self::RemovalLifted { .. }
            | Self::Erased { .. }
            | Self::ActingRestricted { .. } => None,
        }
    }

    /// The e-mail invite that the member came through with this event.
    #[must_use]
    pub const fn invite(&self) -> Option<InviteId> {
        match self {
            Self::Requested(opening) | Self::Joined { opening, .. } => opening.door.invite(),
            Self::Approved {
                door: Some(door), ..
            } => door.invite(),
            Self::Approved { door: None, .. }
            | Self::Ended { .. }
            | Self::RoleChanged { .. }
            | Self::GiftAdded { .. }
            | Self::Blocked { .. }
            | Self::Unblocked { .. }
            | Self::RemovalLifted { .. }
            | Self::Erased { .. }
            | Self::ActingRestricted { .. } => None,
        }
    }

    /// The member that this event is about.
    #[must_use]
    pub const fn member(&self) -> Option<&Member> {
        match self {
            Self::Requested(opening) | Self::Joined { opening, .. } => Some(&opening.member),
            Self::Approved { member, .. }
            | Self::Ended { member, .. }
            | Self::RoleChanged { member, .. }
            | Self::GiftAdded { member, .. }
            | Self::Blocked { member, .. }
            | Self::Unblocked { member }
            | Self::RemovalLifted { member }
            | Self::Erased { member } => Some(member),
            Self::ActingRestricted { .. } => None,
        }
    }
}
