//! Memberships.

use core::time::Duration;
use std::collections::BTreeSet;

use guestlist_access::{Episode, Episodes, MemberPrincipal, PresetGrant, RoleCatalog};
use guestlist_types::{
    DisplayName, EmailAddress, GroupId, InviteId, LinkId, Member, Message, OrgId, OrgName,
    ProxyUserId, Reason, RoleName, Timestamp, UserId,
};
use serde::{Deserialize, Serialize};

use crate::actor::By;
use crate::link::Generation;
use crate::metadata::Metadata;

/// The states of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new state must be placed in every rule"
)]
pub enum Status {
    /// The request waits for review.
    Pending,
    /// The member is in.
    Approved,
    /// The host denied the request.
    Rejected,
    /// The host ended the membership.
    Removed,
    /// The member ended it or withdrew, or it expired.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::Removed,
        Self::Cancelled,
    ];

    /// The name of this status on the wire and in stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Removed => "removed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl core::fmt::Display for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a membership ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new cause must be placed in every rule"
)]
pub enum Cause {
    /// The member withdrew its pending request.
    Withdrew,
    /// The member left.
    Left,
    /// The host rejected the request.
    Rejected,
    /// The host removed the member.
    Removed,
    /// Time ran out, for the request or for the membership.
    Expired,
}

impl Cause {
    /// The name of this cause on the wire and in stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Withdrew => "withdrew",
            Self::Left => "left",
            Self::Rejected => "rejected",
            Self::Removed => "removed",
            Self::Expired => "expired",
        }
    }

    /// The status that a membership ended for this cause has.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Withdrew | Self::Left | Self::Expired => Status::Cancelled,
            Self::Rejected => Status::Rejected,
            Self::Removed => Status::Removed,
        }
    }
}

/// How an episode began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new door must be placed in every rule"
)]
pub enum Door {
    /// By presenting a link's token.
    Link {
        /// The link.
        link: LinkId,
        /// Which of its tokens.
        generation: Generation,
    },
    /// By accepting an e-mail invite.
    Invite {
        /// The invite.
        invite: InviteId,
        /// Which of its tokens; the current one where a request took its place.
        generation: Generation,
    },
    /// By asking without any invite.
    Request,
    /// An administrator added the member directly.
    Added,
    /// It founded the organization.
    Founded,
}

impl Door {
    /// The link that this door is, if it is one.
    #[must_use]
    pub const fn link(&self) -> Option<LinkId> {
        match self {
            Self::Link { link, .. } => Some(*link),
            Self::Invite { .. } | Self::Request | Self::Added | Self::Founded => None,
        }
    }

    /// The e-mail invite that this door is, if it is one.
    #[must_use]
    pub const fn invite(&self) -> Option<InviteId> {
        match self {
            Self::Invite { invite, .. } => Some(*invite),
            Self::Link { .. } | Self::Request | Self::Added | Self::Founded => None,
        }
    }

    /// The name of this door on the wire and in stores.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Link { .. } => "link",
            Self::Invite { .. } => "invite",
            Self::Request => "request",
            Self::Added => "added",
            Self::Founded => "founded",
        }
    }
}

/// How an ended episode ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub cause: Cause,
    /// Who ended it.
    pub by: By,
    /// When.
    pub at: Timestamp,
    /// What they said about it.
    pub reason: Option<Reason>,
}

/// What people are shown for a member, as it was when the episode began.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Profile {
    /// The handle of a member organization.
    pub name: Option<OrgName>,
    /// A display name.
    pub display_name: Option<DisplayName>,
    /// A verified address of a joining user.
    pub email: Option<EmailAddress>,
}

/// The user inside the host that stands for a member organization. It is active iff the
/// membership is approved, and is kept when the member comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyUser {
    /// Its id.
    pub id: ProxyUserId,
    /// Its user name: the handle that the organization had when it was first approved. Unique in
    /// the host, because handles are never given away again.
    pub user_name: OrgName,
}

/// That a host lets a member in by no door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Who blocked the member.
    pub by: By,
    /// When.
    pub at: Timestamp,
    /// What they said about it.
    pub reason: Option<Reason>,
}

/// The record between a host and a member: one, for ever, through all episodes.
///
/// Rules about coming back (removal, rejections, block) live here and not on a link, so that
/// another link doesn't get around them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The organization that lets the member in.
    pub host: OrgId,
    /// Who is let in.
    pub member: Member,
    /// The stored status of the current episode; `None` before the first one (a member can be
    /// blocked before it ever came). Use [`Membership::phase`], which knows the time.
    pub status: Option<Status>,
    /// Which episode this is; counts up from 1.
    pub episode: Episode,
    /// From which episode on grants and groups given to this member count: the current one,
    /// unless it was approved with its earlier access reinstated.
    pub access_since: Episode,
    /// How the episode began.
    pub door: Door,
    /// What people are shown for the member.
    pub profile: Profile,
    /// The role of a joining user. Proxy users have none.
    pub role: Option<RoleName>,
    /// The groups that the preset put it in; those given later are the host's access rules.
    pub groups: BTreeSet<GroupId>,
    /// The direct grants of the preset.
    pub grants: Vec<PresetGrant>,
    /// When the episode began.
    pub opened_at: Timestamp,
    /// When it was approved.
    pub approved_at: Option<Timestamp>,
    /// Who approved it.
    pub approved_by: Option<By>,
    /// When the request (while pending) or the membership (while approved) ends by itself.
    pub expires_at: Option<Timestamp>,
    /// How long the membership lasts once it is approved.
    pub ttl: Option<Duration>,
    /// The answers to the questions of the link or the host, in their order.
    pub answers: Vec<String>,
    /// What the member said when it asked.
    #[serde(default)]
    pub message: Option<Message>,
    /// The data that travelled here from the link or the invite.
    pub metadata: Metadata,
    /// How the episode ended.
    pub ended: Option<Ended>,
    /// The proxy user of a member organization, from its first approval on.
    pub proxy: Option<ProxyUser>,
    /// When the member was last removed: tokens issued until then are dead for it.
    pub removed_at: Option<Timestamp>,
    /// Whether it was removed and has not been let in by a person since.
    pub review_required: bool,
    /// When it was last rejected.
    pub rejected_at: Option<Timestamp>,
    /// The links that it was rejected through.
    pub rejected_links: BTreeSet<LinkId>,
    /// Whether the host lets it in by no door.
    pub block: Option<Block>,
    /// When this record last changed.
    pub updated_at: Timestamp,
}

/// Where a membership is at some time: its status with what the clock adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new phase must be placed in every rule"
)]
pub enum Phase {
    /// There was never an episode.
    Never,
    /// A request waits for review.
    Pending,
    /// The member is in.
    Approved,
    /// The host denied the request.
    Rejected,
    /// The host ended the membership.
    Removed,
    /// The member withdrew or left, or an ending by time has been written.
    Cancelled,
    /// The request has expired; nothing has been written about it yet.
    RequestExpired,
    /// The membership has expired; nothing has been written about it yet.
    Expired,
}

impl Phase {
    /// The name of this phase in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never joined",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Removed => "removed",
            Self::Cancelled => "cancelled",
            Self::RequestExpired => "request expired",
            Self::Expired => "expired",
        }
    }
}

impl core::fmt::Display for Phase {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Membership {
    /// A record without an episode.
    #[must_use]
    pub fn blank(host: OrgId, member: Member, now: Timestamp) -> Self {
        Self {
            host,
            member,
            status: None,
            episode: Episode::NONE,
            access_since: Episode::NONE,
            door: Door::Added,
            profile: Profile::default(),
            role: None,
            groups: BTreeSet::new(),
            grants: Vec::new(),
            opened_at: now,
            approved_at: None,
            approved_by: None,
            expires_at: None,
            ttl: None,
            answers: Vec::new(),
            message: None,
            metadata: Metadata::EMPTY,
            ended: None,
            proxy: None,
            removed_at: None,
            review_required: false,
            rejected_at: None,
            rejected_links: BTreeSet::new(),
            block: None,
            updated_at: now,
        }
    }

    /// Where this membership is now. Expiry is computed here and nowhere else, so that no job has
    /// to run for a request or for access to end.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        let live = now.is_before_end(self.expires_at);
        match self.status {
            None => Phase::Never,
            Some(Status::Pending) if live => Phase::Pending,
            Some(Status::Pending) => Phase::RequestExpired,
            Some(Status::Approved) if live => Phase::Approved,
            Some(Status::Approved) => Phase::Expired,
            Some(Status::Rejected) => Phase::Rejected,
            Some(Status::Removed) => Phase::Removed,
            Some(Status::Cancelled) => Phase::Cancelled,
        }
    }

    /// The status as it is now, with an episode that has run out shown as cancelled; `None` if
    /// there never was an episode.
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> Option<Status> {
        match self.phase(now) {
            Phase::Never => None,
            Phase::Pending => Some(Status::Pending),
            Phase::Approved => Some(Status::Approved),
            Phase::Rejected => Some(Status::Rejected),
            Phase::Removed => Some(Status::Removed),
            Phase::Cancelled | Phase::RequestExpired | Phase::Expired => Some(Status::Cancelled),
        }
    }

    /// Why the episode ended, with an ending by time that nobody has written yet.
    #[must_use]
    pub fn cause_at(&self, now: Timestamp) -> Option<Cause> {
        match self.phase(now) {
            Phase::Never | Phase::Pending | Phase::Approved => None,
            Phase::RequestExpired | Phase::Expired => Some(Cause::Expired),
            Phase::Rejected | Phase::Removed | Phase::Cancelled => {
                self.ended.as_ref().map(|ended| ended.cause)
            }
        }
    }

    /// How many whole days a pending request has waited.
    #[must_use]
    pub fn days_waiting(&self, now: Timestamp) -> u64 {
        now.since(self.opened_at).as_secs() / 86_400
    }

    /// What this member holds in the host now; `None` unless it is in. Access is derived from the
    /// membership here, so that removal, leaving and expiry end it by themselves.
    #[must_use]
    pub fn principal(&self, roles: &RoleCatalog, now: Timestamp) -> Option<MemberPrincipal> {
        (self.phase(now) == Phase::Approved).then(|| MemberPrincipal {
            member: self.member.clone(),
            episodes: Episodes {
                since: self.access_since,
                current: self.episode,
            },
            groups: self.groups.iter().copied().collect(),
            grants: self.grants.clone(),
            role_is_owner: self.role.as_ref().is_some_and(|role| roles.is_owner(role)),
        })
    }
}

/// Which of a member organization's people may act through its proxy user in one host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ActingRule {
    /// These users.
    pub users: BTreeSet<UserId>,
    /// The members of these groups of the member organization.
    pub groups: BTreeSet<GroupId>,
}
