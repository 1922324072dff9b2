//! What happened to a webhook endpoint.

use std::collections::BTreeSet;

use guestlist_types::{EndpointId, EndpointUrl, Label, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::{DisabledFor, Endpoint, SecretVersion};

/// Something that happened to an endpoint. No event holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new event must be folded everywhere"
)]
pub enum WebhookEvent {
    /// It was created.
    Created(Box<Endpoint>),
    /// It changed.
    Edited {
        /// The endpoint.
        endpoint: EndpointId,
        /// Where messages are sent.
        url: EndpointUrl,
        /// What it is called.
        label: Option<Label>,
        /// Which events it gets.
        events: BTreeSet<String>,
    },
    /// Another secret signs.
    SecretRotated {
        /// The endpoint.
        endpoint: EndpointId,
        /// The new secret.
        secret: SecretVersion,
        /// Until when the one before signs, too.
        until: Timestamp,
    },
    /// It gets messages again.
    Enabled {
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// It gets no messages.
    Disabled {
        /// The endpoint.
        endpoint: EndpointId,
        /// Why.
        reason: DisabledFor,
    },
    /// It was deleted.
    Deleted {
        /// The endpoint.
        endpoint: EndpointId,
    },
}

impl WebhookEvent {
    /// The stable name of this event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created(_) => "endpoint-created",
            Self::Edited { .. } => "endpoint-edited",
            Self::SecretRotated { .. } => "endpoint-secret-rotated",
            Self::Enabled { .. } => "endpoint-enabled",
            Self::Disabled { .. } => "endpoint-disabled",
            Self::Deleted { .. } => "endpoint-deleted",
        }
    }
}
