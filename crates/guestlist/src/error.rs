//! What a caller of the facade can meet.

use core::error::Error as StdError;

use guestlist_membership::CommandError;
use guestlist_store::{PageError, StoreError};
use guestlist_token::TokenError;

use crate::entropy::EntropyError;

/// Why a call did not do what it was asked for. Nothing was changed then, unless
/// [`Error::is_unknown`] says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The rules say no.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The text is no token of this kind.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The store can't answer. Never a deny.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others kept changing the same records. Try again.
    #[error("others kept changing the same records; try again")]
    Contended,
    /// The idempotency key was used for something else before.
    #[error("this idempotency key was used for another command before")]
    KeyReused,
    /// The command was applied under this idempotency key, and its outcome was erased since
    /// together with a member's personal data.
    #[error("the outcome that was kept for this idempotency key has been erased")]
    OutcomeErased,
    /// No webhooks are sent from here: [`Builder::webhooks`](crate::Builder::webhooks) was not set.
    #[error("no webhooks are sent from here")]
    NoWebhooks,
    /// The master key of an endpoint's secret is not in the ring.
    #[error("the master key of this endpoint's secret is not at hand")]
    WebhookKeyMissing,
    /// No audit key was handed in.
    #[error("there is no audit key")]
    NoAuditKey,
    /// Somebody else took this consumer over meanwhile.
    #[error("another reader has taken this consumer over")]
    ConsumerTaken,
    /// The token was not sealed, or can't be opened with the keys at hand.
    #[error("this token can't be revealed")]
    NotSealed,
    /// No randomness could be had.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The host application's directory can't answer. Never taken for a yes.
    #[error("the directory of people could not be asked")]
    Directory(#[source] Box<dyn StdError + Send + Sync>),
    /// Too many attempts in too short a time. Nothing was looked up.
    #[error("too many attempts: wait {} seconds", wait.as_secs() + u64::from(wait.subsec_nanos() > 0))]
    RateLimited {
        /// How long to wait.
        wait: core::time::Duration,
    },
    /// The rate limit can't be asked. Never taken for a yes.
    #[error("the rate limit could not be asked")]
    RateLimit(#[source] Box<dyn StdError + Send + Sync>),
    /// A page of that size can't be had.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The cursor belongs to another list.
    #[error("this cursor does not belong to this list")]
    Cursor,
}

impl Error {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Command(error) => error.code(),
            Self::Token(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Contended => "contended",
            Self::KeyReused => "idempotency-key-reused",
            Self::OutcomeErased => "outcome-erased",
            Self::NoWebhooks => "no-webhooks",
            Self::WebhookKeyMissing => "webhook-key-missing",
            Self::NoAuditKey => "no-audit-key",
            Self::ConsumerTaken => "consumer-taken",
            Self::NotSealed => "token-not-sealed",
            Self::Entropy(error) => error.code(),
            Self::Directory(_) => "directory-unavailable",
            Self::RateLimited { .. } => "rate-limited",
            Self::RateLimit(_) => "rate-limit-unavailable",
            Self::Page(error) => error.code(),
            Self::Cursor => "cursor-invalid",
        }
    }

    /// Whether nothing was changed and the same call may work if it is made again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Contended | Self::RateLimited { .. } => true,
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Whether the command may have been applied all the same. Make the call again with the same
    /// idempotency key to find out.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unknown(),
            _ => false,
        }
    }
}
