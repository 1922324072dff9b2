//! Every command, and what a command is decided against.

use guestlist_access::{AccessCommand, RoleCatalog};
use guestlist_types::{RoleName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::link::LinkCommand;
use crate::member::MemberCommand;
use crate::organization::OrganizationCommand;

/// Everything that can be asked of one organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new command must be placed in every rule"
)]
pub enum Command {
    /// About the organization itself.
    Organization(OrganizationCommand),
    /// About a link.
    Link(LinkCommand),
    /// About a membership.
    Member(MemberCommand),
    /// About groups and grants.
    Access(AccessCommand),
}

/// What a decision needs besides the records: time, the catalog of roles, and what the host
/// application says of people that guestlist keeps no membership of.
#[derive(Debug, Clone, Copy)]
pub struct Env<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// The host application's roles.
    pub roles: &'a RoleCatalog,
    /// What the host application says of the creator of the link concerned. Where guestlist keeps
    /// a membership of the creator, that one counts instead.
    pub creator: &'a Stated,
}

/// What the host application says of a person's standing in an organization.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stated {
    /// Whether the person belongs to it.
    pub is_member: bool,
    /// The person's role there.
    pub role: Option<RoleName>,
}

impl Stated {
    /// Of somebody who does not belong to the organization.
    pub const NOBODY: Self = Self {
        is_member: false,
        role: None,
    };
}
