//! Where products differ, as data: settings of a host that rules consult.

use core::num::NonZeroU64;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::link::{JoinedBy, Preset};

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
    /// Nobody who comes by a link, an e-mail invite or a request is reviewed, whoever made it: the
    /// host itself has approved. Stricter rules win over it: a removal, standing, domains, and
    /// what the maker of a link may give.
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

/// What accepting an e-mail invite needs of the accepting person's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new policy must be placed in every rule"
)]
pub enum AddressCheck {
    /// The invited address is among the verified ones.
    #[default]
    Exact,
    /// Some address is verified.
    AnyVerified,
    /// Nothing: whoever holds the token may accept.
    Bearer,
}

/// What a second invite to an address does whose first one waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new policy must be placed in every rule"
)]
pub enum SecondInvite {
    /// Nothing: the address is invited already.
    #[default]
    Refuse,
    /// It takes the place of the first, whose token is dead then.
    Replace,
}

/// Whether and how a host can be asked without any invite.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Requests {
    /// Whether anybody may ask. The host must be discoverable, too.
    pub open: bool,
    /// Who may ask: organizations, users, or both.
    pub joined_by: JoinedBy,
    /// What is asked of whoever asks.
    pub questions: Vec<String>,
    /// What an approval gives, unless the reviewer says otherwise.
    pub preset: Preset,
}

/// A limit on the members of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seats {
    /// How many members there may be at a time.
    pub limit: NonZeroU64,
    /// Whether requests that wait for review hold a seat already.
    pub count_pending: bool,
}
