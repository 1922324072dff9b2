//! What happened to a link.

use guestlist_token::Selector;
use guestlist_types::{LinkId, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::{Generation, Link, LinkConfig};

/// Something that happened to a link. No event holds a token or a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new event must be folded everywhere"
)]
pub enum LinkEvent {
    /// It was created, with its first token.
    Created(Box<Link>),
    /// It became its organization's persistent link.
    MadeDefault {
        /// The link.
        link: LinkId,
    },
    /// Its token was replaced.
    Refreshed {
        /// The link.
        link: LinkId,
        /// The new token's generation.
        generation: Generation,
        /// Where the new token is found.
        selector: Selector,
        /// The tokens that stopped or will stop being valid, and when.
        ended: Vec<TokenEnd>,
    },
    /// It takes no more claims.
    Disabled {
        /// The link.
        link: LinkId,
        /// The tokens that stopped being valid.
        ended: Vec<TokenEnd>,
    },
    /// It takes claims again, with a new token.
    Enabled {
        /// The link.
        link: LinkId,
        /// The new token's generation.
        generation: Generation,
        /// Where the new token is found.
        selector: Selector,
    },
    /// Its configuration changed.
    Edited {
        /// The link.
        link: LinkId,
        /// The new configuration, whole.
        config: Box<LinkConfig>,
        /// How many uses it has had, where counting them begins.
        uses: Option<u64>,
    },
    /// It was deleted.
    Deleted {
        /// The link.
        link: LinkId,
        /// The tokens that stopped being valid.
        ended: Vec<TokenEnd>,
    },
    /// Its current token was shown again.
    Revealed {
        /// The link.
        link: LinkId,
        /// Which generation.
        generation: Generation,
    },
    /// Its time is over.
    Expired {
        /// The link.
        link: LinkId,
    },
    /// Its last use was taken.
    Exhausted {
        /// The link.
        link: LinkId,
    },
}

/// When a token stops being valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEnd {
    /// The token.
    pub selector: Selector,
    /// From then on it is dead.
    pub at: Timestamp,
}

impl LinkEvent {
    /// The stable name of this event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created(_) => "link-created",
            Self::MadeDefault { .. } => "link-made-default",
            Self::Refreshed { .. } => "link-refreshed",
            Self::Disabled { .. } => "link-disabled",
            Self::Enabled { .. } => "link-enabled",
            Self::Edited { .. } => "link-edited",
            Self::Deleted { .. } => "link-deleted",
            Self::Revealed { .. } => "link-revealed",
            Self::Expired { .. } => "link-expired",
            Self::Exhausted { .. } => "link-exhausted",
        }
    }

    /// The link that this event is about.
    #[must_use]
    pub fn link(&self) -> LinkId {
        match self {
            Self::Created(link) => link.id,
            Self::MadeDefault { link }
            | Self::Refreshed { link, .. }
            | Self::Disabled { link, .. }
            | Self::Enabled { link, .. }
            | Self::Edited { link, .. }
            | Self::Deleted { link, .. }
            | Self::Revealed { link, .. }
            | Self::Expired { link }
            | Self::Exhausted { link } => *link,
        }
    }
}
