//! Idempotency keys.

use core::fmt;
use core::str::FromStr;

use guestlist_membership::Actor;
use guestlist_store::CommandDigest;
use guestlist_types::CommitId;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Names one attempt of an actor to do something: the same key with the same arguments gives the
/// same result again, after a restart too; with other arguments it is an error.
///
/// A command that was refused is not remembered: it changed nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey {
    text: Box<str>,
    /// Which commit of a call that makes several.
    part: u32,
}

/// A key is 1 to 255 printable ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 255 printable ASCII characters")]
pub struct IdempotencyKeyError;

impl IdempotencyKeyError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "idempotency-key-malformed"
    }
}

impl IdempotencyKey {
    /// Takes a client's key.
    ///
    /// # Errors
    ///
    /// [`IdempotencyKeyError`] if it is too long or not printable.
    pub fn parse(text: &str) -> Result<Self, IdempotencyKeyError> {
        let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        if (1..=255).contains(&text.len()) && text.bytes().all(printable) {
            Ok(Self {
                text: text.into(),
                part: 0,
            })
        } else {
            Err(IdempotencyKeyError)
        }
    }

    /// The key of one of the commits that a call with this key makes.
    pub(crate) fn part(&self, part: u32) -> Self {
        Self {
            text: self.text.clone(),
            part,
        }
    }

    /// The commit that this attempt of this actor makes: an actor's keys are its own.
    pub(crate) fn commit_id(&self, actor: &Actor) -> CommitId {
        let author = serde_json::to_string(&actor.by()).unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(b"guestlist/idempotency/v1\0");
        hash.update((author.len() as u64).to_be_bytes());
        hash.update(author.as_bytes());
        hash.update(self.text.as_bytes());
        if self.part > 0 {
            // No text has a zero byte.
            hash.update([0]);
            hash.update(self.part.to_be_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        CommitId::from_bytes(id)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({:?})", &*self.text)
    }
}

impl FromStr for IdempotencyKey {
    type Err = IdempotencyKeyError;
    fn from_str(text: &str) -> Result<Self, IdempotencyKeyError> {
        Self::parse(text)
    }
}

/// What was asked for, as far as the caller chose it: drawn ids and secrets are left out.
pub(crate) fn digest(operation: &str, arguments: &impl Serialize) -> CommandDigest {
    let mut hash = Sha256::new();
    hash.update(operation.as_bytes());
    hash.update([0]);
    hash.update(serde_json::to_vec(arguments).unwrap_or_default());
    CommandDigest(hash.finalize().into())
}
