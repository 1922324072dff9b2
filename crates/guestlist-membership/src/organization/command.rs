//! What can be done with an organization.

use guestlist_access::Grant;
use guestlist_types::{DisplayName, OrgName, UserId};
use serde::{Deserialize, Serialize};

use super::state::{Pause, Settings};

/// A command about an organization itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new command must be placed in every rule"
)]
pub enum OrganizationCommand {
    /// Takes a name for this organization, for ever. A commit of its own, because a name is found
    /// without knowing the organization.
    ReserveName {
        /// The name.
        name: OrgName,
    },
    /// Makes the organization known. Its name has been reserved before.
    Register {
        /// Its name.
        name: OrgName,
        /// What people are shown.
        display_name: Option<DisplayName>,
        /// Its first owner, unless the host application keeps the members of organizations itself.
        founder: Option<UserId>,
        /// The grant that the founder starts with: every action on every key.
        founder_grant: Option<Box<Grant>>,
        /// What it decided so far.
        settings: Box<Settings>,
    },
    /// Gives it another name, which has been reserved before. The old one stays taken.
    Rename {
        /// The new name.
        name: OrgName,
    },
    /// Changes what people are shown.
    SetDisplayName {
        /// The new display name.
        display_name: Option<DisplayName>,
    },
    /// Refuses every door from now on, and ends access through memberships until it is resumed.
    Suspend,
    /// Takes part again.
    Resume,
    /// Ends the organization for good.
    Delete,
    /// Changes the settings.
    ChangeSettings {
        /// The new settings, whole.
        settings: Box<Settings>,
    },
    /// Lets every link rest.
    PauseLinks {
        /// Until when.
        until: Pause,
    },
    /// Ends the rest of every link.
    ResumeLinks,
}
