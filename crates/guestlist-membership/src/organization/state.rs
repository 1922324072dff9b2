//! One organization as guestlist knows it.

use core::time::Duration;

use guestlist_types::{DisplayName, LinkId, OrgId, OrgName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::link::{Lasting, LinkDraft};
use crate::policy::{AddressCheck, AfterRejection, Joins, Requests, Seats, SecondInvite, Standing};

/// Whether an organization takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new status must be placed in every rule"
)]
pub enum OrgStatus {
    /// It does.
    Active,
    /// Not now: every door is refused and nobody gets in through its memberships.
    Suspended,
    /// Never again. Its name stays taken.
    Deleted,
}

impl OrgStatus {
    /// The name of this status on the wire and in stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

/// Since when or until when all links of an organization rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "a pause has an end or it has none")]
pub enum Pause {
    /// Until somebody resumes them.
    UntilResumed,
    /// Until this time, or until somebody resumes them before.
    Until(Timestamp),
}

impl Pause {
    /// Whether this pause still holds.
    #[must_use]
    pub fn holds(self, now: Timestamp) -> bool {
        match self {
            Self::UntilResumed => true,
            Self::Until(end) => now.is_before_end(Some(end)),
        }
    }
}

/// What a host decides for all of its links and members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Who decides whether a claim needs review.
    pub joins: Joins,
    /// How a rejected member may come back.
    pub after_rejection: AfterRejection,
    /// What a link needs of its creator to keep working.
    pub standing: Standing,
    /// How long a request waits for review before it expires; `None`: for ever.
    pub request_ttl: Option<Duration>,
    /// How many members there may be; `None`: any number.
    pub seats: Option<Seats>,
    /// What a new link has where its draft says nothing.
    pub link_defaults: LinkDraft,
    /// The longest time that a link may be valid for; `None`: any, also for ever.
    pub max_link_lifetime: Option<Duration>,
    /// How long an e-mail invite is valid where nothing else is said: 14 days by default.
    pub invites_last: Lasting,
    /// What accepting an e-mail invite needs of the accepting person's addresses.
    pub address_check: AddressCheck,
    /// What a second invite to an address does whose first one waits for an answer.
    pub second_invite: SecondInvite,
    /// Whether the organization can be found by those who don't belong to it. Links and invites
    /// work either way.
    pub discoverable: bool,
    /// Whether and how it can be asked without any invite.
    pub requests: Requests,
}

/// How long an e-mail invite is valid where a host says nothing.
const INVITES_LAST: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl Default for Settings {
    fn default() -> Self {
        Self {
            joins: Joins::default(),
            after_rejection: AfterRejection::default(),
            standing: Standing::default(),
            request_ttl: None,
            seats: None,
            link_defaults: LinkDraft::default(),
            max_link_lifetime: None,
            invites_last: Lasting::For(INVITES_LAST),
            address_check: AddressCheck::default(),
            second_invite: SecondInvite::default(),
            discoverable: false,
            requests: Requests::default(),
        }
    }
}

/// One organization: a tenant of the host application, as a host and as a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// The host application's id of it.
    pub id: OrgId,
    /// Its handle, as in `@name/key`.
    pub name: OrgName,
    /// What people are shown.
    pub display_name: Option<DisplayName>,
    /// Whether it takes part.
    pub status: OrgStatus,
    /// What it decided for all of its links and members.
    pub settings: Settings,
    /// Whether all of its links rest.
    pub pause: Option<Pause>,
    /// Its persistent link, once there is one.
    pub default_link: Option<LinkId>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When this record last changed.
    pub updated_at: Timestamp,
}

/// Which organization a name was given to. A name is never given to another one again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord {
    /// The organization that holds the name or held it once.
    pub organization: OrgId,
}
