//! Where products differ, as data: settings of a host that rules consult.

use core::num::NonZeroU64;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Who decides whether a claim needs review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new policy must be placed in every rule"
)]
pub enum Joins {
    /// The link that is claimed.
    #[default]
    LinkDecides,
    /// Every claim is reviewed, whatever its link says.
    AlwaysReview,
    /// No claim is reviewed, whatever its link says; stricter rules win over it.
    AlwaysAuto,
}

/// How a rejected member may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new policy must be placed in every rule"
)]
pub enum AfterRejection {
    /// With a new claim, at once.
    #[default]
    Again,
    /// With a new claim, once this much time has passed since the rejection.
    CoolDown(Duration),
    /// By any link but those that it was rejected through.
    NotThisLink,
    /// Only when the host invites or adds it.
    InviteOnly,
}

/// What a link needs of its creator to keep working, evaluated at claim and at approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new policy must be placed in every rule"
)]
pub enum Standing {
    /// Nothing: the link goes on when its creator leaves.
    Keep,
    /// The creator is still a member of the host.
    MustBeMember,
    /// The creator is still a member and could still create this link.
    #[default]
    MustHoldRight,
}

/// A limit on the members of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seats {
    /// How many members there may be at a time.
    pub limit: NonZeroU64,
    /// Whether requests that wait for review hold a seat already.
    pub count_pending: bool,
}
