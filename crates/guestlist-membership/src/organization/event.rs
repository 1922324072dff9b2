//! What happened to an organization.

use guestlist_types::{DisplayName, OrgId, OrgName, UserId};
use serde::{Deserialize, Serialize};

use super::state::{Organization, Pause, Settings};

/// Something that happened to an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new event must be folded everywhere"
)]
pub enum OrganizationEvent {
    /// A name was given to it.
    NameReserved {
        /// The name.
        name: OrgName,
        /// The organization.
        organization: OrgId,
    },
    /// It became known.
    Registered(Box<Organization>),
    /// It got another name.
    Renamed {
        /// The new name.
        name: OrgName,
    },
    /// It is shown differently.
    DisplayNameChanged {
        /// The new display name.
        display_name: Option<DisplayName>,
    },
    /// It takes part no more, for now.
    Suspended,
    /// It takes part again.
    Resumed,
    /// It is gone for good.
    Deleted,
    /// Its settings changed.
    SettingsChanged {
        /// The new settings, whole.
        settings: Box<Settings>,
        /// How many seats are taken, where counting them begins.
        seats_taken: Option<u64>,
    },
    /// All its links rest.
    LinksPaused {
        /// Until when.
        until: Pause,
    },
    /// Its links rest no more.
    LinksResumed,
    /// A member became an owner.
    OwnerAdded {
        /// Who.
        user: UserId,
    },
    /// A member is no owner any more.
    OwnerRemoved {
        /// Who.
        user: UserId,
    },
}

impl OrganizationEvent {
    /// The stable name of this event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NameReserved { .. } => "name-reserved",
            Self::Registered(_) => "organization-registered",
            Self::Renamed { .. } => "organization-renamed",
            Self::DisplayNameChanged { .. } => "organization-display-name-changed",
            Self::Suspended => "organization-suspended",
            Self::Resumed => "organization-resumed",
            Self::Deleted => "organization-deleted",
            Self::SettingsChanged { .. } => "settings-changed",
            Self::LinksPaused { .. } => "links-paused",
            Self::LinksResumed => "links-resumed",
            Self::OwnerAdded { .. } => "owner-added",
            Self::OwnerRemoved { .. } => "owner-removed",
        }
    }
}
