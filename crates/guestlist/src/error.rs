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
    /// No randomness could be had.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The host application's directory can't answer. Never taken for a yes.
    #[error("the directory of people could not be asked")]
    Directory(#[source] Box<dyn StdError + Send + Sync>),
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
            Self::Entropy(error) => error.code(),
            Self::Directory(_) => "directory-unavailable",
            Self::Page(error) => error.code(),
            Self::Cursor => "cursor-invalid",
        }
    }

    /// Whether nothing was changed and the same call may work if it is made again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Contended => true,
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
