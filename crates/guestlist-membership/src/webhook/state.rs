//! Webhook endpoints as they are kept.

use std::collections::BTreeSet;

use guestlist_types::{EndpointId, EndpointUrl, Label, OrgId, Timestamp};
use serde::{Deserialize, Serialize};

/// Which secret an endpoint's messages are signed with: all that is kept of it. The secret itself
/// is derived from a master key that the host application holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretVersion {
    /// The id of the master key.
    pub key: u16,
    /// How often the secret was rotated.
    pub generation: u32,
}

/// Why an endpoint gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new reason must be shown everywhere"
)]
pub enum DisabledFor {
    /// Somebody switched it off.
    Asked,
    /// It answered that it is gone (410).
    Gone,
}

/// Whether an endpoint gets messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new status must be placed in every rule"
)]
pub enum EndpointStatus {
    /// It does.
    Enabled,
    /// It doesn't, for this reason.
    Disabled(DisabledFor),
}

/// Where an organization wants its events sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// The organization whose events it gets.
    pub organization: OrgId,
    /// Where they are sent.
    pub url: EndpointUrl,
    /// What it is called in lists.
    pub label: Option<Label>,
    /// The names of the events that it gets; empty: all of them.
    pub events: BTreeSet<String>,
    /// Which secret signs.
    pub secret: SecretVersion,
    /// The secret before, which signs beside it until then.
    pub older_secret: Option<(SecretVersion, Timestamp)>,
    /// Whether it gets messages.
    pub status: EndpointStatus,
    /// When it was created. It gets what happened from then on.
    pub created_at: Timestamp,
    /// When this record last changed.
    pub updated_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

impl Endpoint {
    /// The secrets that sign now, the newest first.
    pub fn secrets(&self, now: Timestamp) -> impl Iterator<Item = SecretVersion> {
        let older = self
            .older_secret
            .filter(|(_, until)| now.is_before_end(Some(*until)))
            .map(|(version, _)| version);
        [Some(self.secret), older].into_iter().flatten()
    }

    /// Whether it wants an event of this name.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.events.is_empty() || self.events.contains(name)
    }
}
