//! The keys that tags are made with, and what verifies a token.

use core::fmt;
use core::hint::black_box;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::tag::{Binding, TokenTag, mac_of};
use crate::token::InviteToken;

/// The shortest pepper, in bytes.
pub const MIN_PEPPER_BYTES: usize = 32;

/// HMAC-SHA-256 turns every key into this many bytes.
const BLOCK_BYTES: usize = 64;

/// Why a pepper was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PepperError {
    /// Fewer than 32 bytes.
    #[error("a pepper has at least 32 bytes")]
    TooShort,
    /// The ring has a pepper with this id already.
    #[error("this ring has a pepper with the id {} already", id.get())]
    DuplicateId {
        /// The id that was given twice.
        id: PepperId,
    },
    /// The ring has the same secret under another id, so a tag would not tell which one made it.
    #[error("this ring has the same pepper under the id {} already", id.get())]
    DuplicateSecret {
        /// The id that has the same secret.
        id: PepperId,
    },
}

impl PepperError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooShort => "pepper-too-short",
            Self::DuplicateId { .. } => "pepper-duplicate-id",
            Self::DuplicateSecret { .. } => "pepper-duplicate-secret",
        }
    }
}

/// Which pepper a tag was made with. Ids are never used again for another secret.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct PepperId(u16);

impl PepperId {
    /// The id with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number of this id.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PepperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A secret key that tags are made with. It belongs outside of the store.
///
/// It is wiped from memory when dropped, and can't be read back.
pub struct Pepper {
    // The key as HMAC uses it: padded with zeros, or hashed when it is longer than a block.
    block: Box<Zeroizing<[u8; BLOCK_BYTES]>>,
}

impl Pepper {
    /// The pepper with these bytes, which should be random. The caller wipes its own copy.
    ///
    /// # Errors
    ///
    /// [`PepperError::TooShort`] below 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PepperError> {
        if bytes.len() < MIN_PEPPER_BYTES {
            return Err(PepperError::TooShort);
        }
        let mut block = Box::new(Zeroizing::new([0; BLOCK_BYTES]));
        if let Some(start) = block.get_mut(..bytes.len()) {
            start.copy_from_slice(bytes);
        } else {
            let mut digest: [u8; 32] = Sha256::digest(bytes).into();
            block[..32].copy_from_slice(&digest);
            digest.zeroize();
        }
        Ok(Self { block })
    }

    fn mac(&self, token: &InviteToken, host: &[u8], subject: &[u8; 16]) -> [u8; 32] {
        mac_of(&self.block, token, host, subject)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.block.ct_eq(&**other.block).into()
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

/// Where there is no host to be bound to: as long as many an id.
const NOBODY: &[u8] = b"00000000-0000-0000-0000-000000000000";

/// Whether a token and a stored tag belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
#[expect(
    clippy::exhaustive_enums,
    reason = "a further answer must break every match"
)]
pub enum Verification {
    /// They do.
    Valid,
    /// They do, and the tag was made with an older pepper: replace it by
    /// [`PepperRing::tag`] in the same commit.
    ValidOlder,
    /// They don't, or the pepper is unknown.
    Invalid,
}

impl Verification {
    /// Whether the token may be used.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        match self {
            Self::Valid | Self::ValidOlder => true,
            Self::Invalid => false,
        }
    }
}

/// The pepper that new tags are made with, and the older ones that are still accepted.
///
/// ```
/// # use guestlist_token::{Pepper, PepperId, PepperRing};
/// # let (this_year, last_year) = ([2; 32], [1; 32]);
/// let ring = PepperRing::new(PepperId::new(2), Pepper::from_bytes(&this_year)?)
///     .with_older(PepperId::new(1), Pepper::from_bytes(&last_year)?)?;
/// assert_eq!(ring.current_id(), PepperId::new(2));
/// # Ok::<(), guestlist_token::PepperError>(())
/// ```
pub struct PepperRing {
    current: (PepperId, Pepper),
    older: Vec<(PepperId, Pepper)>,
}

impl PepperRing {
    /// A ring with one pepper.
    #[must_use]
    pub const fn new(id: PepperId, pepper: Pepper) -> Self {
        Self {
            current: (id, pepper),
            older: Vec::new(),
        }
    }

    /// The ring with one more pepper, whose tags still verify. Leave it out once no stored tag has
    /// its id: from then on such a tag is [`Verification::Invalid`].
    ///
    /// # Errors
    ///
    /// [`PepperError::DuplicateId`] and [`PepperError::DuplicateSecret`]; the ring is gone then.
    pub fn with_older(mut self, id: PepperId, pepper: Pepper) -> Result<Self, PepperError> {
        if self.find(id).is_some() {
            return Err(PepperError::DuplicateId { id });
        }
        if let Some((id, _)) = self.all().find(|(_, known)| known.is_same(&pepper)) {
            return Err(PepperError::DuplicateSecret { id: *id });
        }
        self.older.push((id, pepper));
        Ok(self)
    }

    /// The id of the pepper that new tags are made with.
    #[must_use]
    pub const fn current_id(&self) -> PepperId {
        self.current.0
    }

    /// The ids of all peppers, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = PepperId> {
        self.all().map(|(id, _)| *id)
    }

    /// Makes the tag of a token, with the current pepper.
    #[must_use]
    pub fn tag(&self, token: &InviteToken, binding: &Binding<'_>) -> TokenTag {
        let (id, pepper) = &self.current;
        let host = binding.host.as_str().as_bytes();
        TokenTag::new(*id, pepper.mac(token, host, &binding.subject))
    }

    /// Says whether this is the token, and these the host and the subject, that `tag` was made for.
    ///
    /// The answer costs one digest, whatever it is; a tag whose pepper is unknown is invalid.
    pub fn verify(
        &self,
        token: &InviteToken,
        binding: &Binding<'_>,
        tag: &TokenTag,
    ) -> Verification {
        let host = binding.host.as_str().as_bytes();
        self.compare(token, host, &binding.subject, tag)
    }

    /// Does for a selector without a row what [`verify`](Self::verify) does for one with a row: one
    /// digest. So an unknown token takes as long as a wrong one.
    pub fn verify_absent(&self, token: &InviteToken) -> Verification {
        let tag = TokenTag::new(self.current.0, [0; 32]);
        let _ = black_box(self.compare(token, NOBODY, &[0; 16], &tag));
        Verification::Invalid
    }

    // Never inlined: whoever presents a token waits for the same code, whatever is known of it.
    #[inline(never)]
    fn compare(
        &self,
        token: &InviteToken,
        host: &[u8],
        subject: &[u8; 16],
        tag: &TokenTag,
    ) -> Verification {
        let pepper = self.find(tag.pepper());
        let key = pepper.unwrap_or(&self.current.1);
        // Without `black_box` the digest of an unknown pepper could be left out as unused.
        let mac = black_box(key.mac(token, host, subject));
        let same = bool::from(tag.same_mac(&mac));
        if pepper.is_none() || !same {
            Verification::Invalid
        } else if tag.pepper() == self.current.0 {
            Verification::Valid
        } else {
            Verification::ValidOlder
        }
    }

    fn find(&self, id: PepperId) -> Option<&Pepper> {
        self.all()
            .find_map(|(known, pepper)| (*known == id).then_some(pepper))
    }

    fn all(&self) -> impl Iterator<Item = &(PepperId, Pepper)> {
        core::iter::once(&self.current).chain(&self.older)
    }
}

impl fmt::Debug for PepperRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PepperRing(")?;
        f.debug_list().entries(self.ids()).finish()?;
        write!(f, ")")
    }
}

#[cfg(test)]
mod tests;
