//! What can be done with a link.

use core::time::Duration;

use guestlist_token::{Selector, TokenTag};
use guestlist_types::LinkId;
use serde::{Deserialize, Serialize};

use super::state::LinkDraft;

/// A token that the shell has drawn: what the core may know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// Where it is found.
    pub selector: Selector,
    /// Its keyed digest.
    pub tag: TokenTag,
}

/// A command about one link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new command must be placed in every rule"
)]
pub enum LinkCommand {
    /// Creates a link.
    Create {
        /// Its id.
        link: LinkId,
        /// What it is to be.
        draft: Box<LinkDraft>,
        /// Its first token.
        token: NewToken,
        /// Whether it becomes the organization's persistent link. If there is one already,
        /// nothing is created.
        as_default: bool,
    },
    /// Replaces the token. The link, its configuration and its counters stay.
    Refresh {
        /// The link.
        link: LinkId,
        /// The new token.
        token: NewToken,
        /// How long the old token stays valid; zero: not at all.
        overlap: Duration,
    },
    /// Takes no more claims.
    Disable {
        /// The link.
        link: LinkId,
    },
    /// Takes claims again, with a new token.
    Enable {
        /// The link.
        link: LinkId,
        /// The new token.
        token: NewToken,
    },
    /// Changes the configuration, never the token.
    Edit {
        /// The link.
        link: LinkId,
        /// What is to change.
        draft: Box<LinkDraft>,
    },
    /// Deletes the link; its attribution and history stay.
    Delete {
        /// The link.
        link: LinkId,
    },
    /// Shows the current token again.
    Reveal {
        /// The link.
        link: LinkId,
    },
    /// Writes down that the link's time is over.
    Expire {
        /// The link.
        link: LinkId,
    },
}

impl LinkCommand {
    /// The token that this command issues, if it issues one.
    #[must_use]
    pub const fn new_token(&self) -> Option<&NewToken> {
        match self {
            Self::Create { token, .. }
            | Self::Refresh { token, .. }
            | Self::Enable { token, .. } => Some(token),
            Self::Disable { .. }
            | Self::Edit { .. }
            | Self::Delete { .. }
            | Self::Reveal { .. }
            | Self::Expire { .. } => None,
        }
    }

    /// The link that this command is about.
    #[must_use]
    pub const fn link(&self) -> LinkId {
        match self {
            Self::Create { link, .. }
            | Self::Refresh { link, .. }
            | Self::Disable { link }
            | Self::Enable { link, .. }
            | Self::Edit { link, .. }
            | Self::Delete { link }
            | Self::Reveal { link }
            | Self::Expire { link } => *link,
        }
    }
}
