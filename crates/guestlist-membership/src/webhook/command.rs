//! What can be done with a webhook endpoint.

use core::time::Duration;
use std::collections::BTreeSet;

use guestlist_types::{EndpointId, EndpointUrl, Label};
use serde::{Deserialize, Serialize};

use super::state::{DisabledFor, SecretVersion};

/// A command about one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new command must be placed in every rule"
)]
pub enum WebhookCommand {
    /// Creates an endpoint.
    Create {
        /// Its id.
        endpoint: EndpointId,
        /// Where messages are sent.
        url: EndpointUrl,
        /// What it is called.
        label: Option<Label>,
        /// Which events it gets; empty: all.
        events: BTreeSet<String>,
        /// Which secret signs.
        secret: SecretVersion,
    },
    /// Changes where messages are sent, what it is called, and which events it gets.
    Edit {
        /// The endpoint.
        endpoint: EndpointId,
        /// Where messages are sent.
        url: EndpointUrl,
        /// What it is called.
        label: Option<Label>,
        /// Which events it gets; empty: all.
        events: BTreeSet<String>,
    },
    /// Signs with another secret from now on, and with the old one beside it for a while.
    Rotate {
        /// The endpoint.
        endpoint: EndpointId,
        /// The new secret.
        secret: SecretVersion,
        /// How long the old one signs, too.
        overlap: Duration,
    },
    /// Sends messages again.
    Enable {
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// Sends no messages.
    Disable {
        /// The endpoint.
        endpoint: EndpointId,
        /// Why.
        reason: DisabledFor,
    },
    /// Deletes the endpoint.
    Delete {
        /// The endpoint.
        endpoint: EndpointId,
    },
}

impl WebhookCommand {
    /// The endpoint that this command is about.
    #[must_use]
    pub const fn endpoint(&self) -> EndpointId {
        match self {
            Self::Create { endpoint, .. }
            | Self::Edit { endpoint, .. }
            | Self::Rotate { endpoint, .. }
            | Self::Enable { endpoint }
            | Self::Disable { endpoint, .. }
            | Self::Delete { endpoint } => *endpoint,
        }
    }
}
