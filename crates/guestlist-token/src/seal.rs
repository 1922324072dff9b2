//! The keys that tokens are sealed under, and what opens them again.

use core::fmt;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use rand_core::TryCryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::kind::TokenKind;
use crate::sealed::{KEY_ID_BYTES, MAC_BYTES, NONCE_BYTES, SEALED_BYTES, SealKeyId, SealedToken};
use crate::selector::Selector;
use crate::tag::Binding;
use crate::token::{InviteToken, VERIFIER_BYTES};

/// How many bytes a sealing key has.
pub const SEAL_KEY_BYTES: usize = 32;

/// Separates these seals from whatever else the host application makes with the same key.
const DOMAIN: &[u8; 32] = b"guestlist/sealed-token/v1\0\0\0\0\0\0\0";

const TEXT_AT: usize = KEY_ID_BYTES + NONCE_BYTES;
const MAC_AT: usize = TEXT_AT + VERIFIER_BYTES;

/// Why a sealing key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Not 32 bytes.
    #[error("a sealing key has exactly 32 bytes")]
    KeyLength,
    /// The ring has a key with this id already.
    #[error("this ring has a sealing key with the id {} already", id.get())]
    DuplicateId {
        /// The id that was given twice.
        id: SealKeyId,
    },
    /// The ring has the same key under another id, so it was not replaced.
    #[error("this ring has the same sealing key under the id {} already", id.get())]
    DuplicateKey {
        /// The id that has the same key.
        id: SealKeyId,
    },
}

impl SealError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::KeyLength => "seal-key-length",
            Self::DuplicateId { .. } => "seal-key-duplicate-id",
            Self::DuplicateKey { .. } => "seal-key-duplicate",
        }
    }
}

/// Why a sealed token was not opened. What people are told never depends on the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this sealed token can't be opened")]
#[non_exhaustive]
pub enum OpenError {
    /// The ring has no key with the id that it was sealed under.
    UnknownKey,
    /// It was sealed under another key, for another token, host or subject, or was changed since.
    Broken,
}

impl OpenError {
    /// The stable code of this error, for logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownKey => "seal-key-unknown",
            Self::Broken => "seal-broken",
        }
    }
}

/// A secret key that tokens are sealed under. It belongs outside of the store.
///
/// It is wiped from memory when dropped, and can't be read back.
pub struct SealKey {
    bytes: Box<Zeroizing<[u8; SEAL_KEY_BYTES]>>,
}

impl SealKey {
    /// The key with these bytes, which must be random. The caller wipes its own copy.
    ///
    /// # Errors
    ///
    /// [`SealError::KeyLength`] for anything but 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        if bytes.len() != SEAL_KEY_BYTES {
            return Err(SealError::KeyLength);
        }
        let mut key = Box::new(Zeroizing::new([0; SEAL_KEY_BYTES]));
        key.copy_from_slice(bytes);
        Ok(Self { bytes: key })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&**self.bytes).into())
    }

    fn is_same(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&**other.bytes).into()
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// The key that tokens are sealed under, and the older ones that still open what they sealed.
///
/// A seal is XChaCha20-Poly1305 with a random nonce. It opens for the host, the subject, the kind
/// and the selector that it was made for and for no others, so a row that was tampered with shows
/// nobody's token.
///
/// ```
/// # use chacha20::{ChaCha20Rng, rand_core::SeedableRng};
/// # use guestlist_token::{Binding, InviteToken, SealKey, SealKeyId, SealRing};
/// # use guestlist_types::OrgId;
/// # let mut rng = ChaCha20Rng::from_seed([1; 32]); // not a secret: an application uses `SysRng`
/// # let (this_year, last_year) = ([2; 32], [1; 32]);
/// let ring = SealRing::new(SealKeyId::new(2), SealKey::from_bytes(&this_year)?)
///     .with_older(SealKeyId::new(1), SealKey::from_bytes(&last_year)?)?;
/// let host = OrgId::parse("org_2f9c")?;
/// let binding = Binding { host: &host, subject: [3; 16] };
///
/// let token = InviteToken::parse("glj_0100000000abcdefghijklmnopqrstuv34hM8J")?;
/// let sealed = ring.seal(&token, &binding, &mut rng)?; // what is stored
/// let opened = ring.open(&sealed, token.kind(), token.selector(), &binding)?;
/// assert_eq!(opened.expose_secret(), token.expose_secret());
/// assert_eq!(sealed.key(), ring.current_id());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct SealRing {
    current: (SealKeyId, SealKey),
    older: Vec<(SealKeyId, SealKey)>,
}

impl SealRing {
    /// A ring with one key.
    #[must_use]
    pub const fn new(id: SealKeyId, key: SealKey) -> Self {
        Self {
            current: (id, key),
            older: Vec::new(),
        }
    }

    /// The ring with one more key, which still opens what it sealed. Leave it out once no stored
    /// token has its id: from then on such a token is [`OpenError::UnknownKey`].
    ///
    /// # Errors
    ///
    /// [`SealError::DuplicateId`] and [`SealError::DuplicateKey`]; the ring is gone then.
    pub fn with_older(mut self, id: SealKeyId, key: SealKey) -> Result<Self, SealError> {
        if self.find(id).is_some() {
            return Err(SealError::DuplicateId { id });
        }
        if let Some((id, _)) = self.all().find(|(_, known)| known.is_same(&key)) {
            return Err(SealError::DuplicateKey { id: *id });
        }
        self.older.push((id, key));
        Ok(self)
    }

    /// The id of the key that tokens are sealed under.
    #[must_use]
    pub const fn current_id(&self) -> SealKeyId {
        self.current.0
    }

    /// The ids of all keys, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = SealKeyId> {
        self.all().map(|(id, _)| *id)
    }

    /// Seals a token under the current key, for this host and subject.
    ///
    /// # Errors
    ///
    /// Passes on what the generator reports; nothing is made then.
    pub fn seal<R: TryCryptoRng + ?Sized>(
        &self,
        token: &InviteToken,
        binding: &Binding<'_>,
        rng: &mut R,
    ) -> Result<SealedToken, R::Error> {
        let mut nonce = [0; NONCE_BYTES];
        rng.try_fill_bytes(&mut nonce)?;
        Ok(self.seal_with(token, binding, nonce))
    }

    /// Opens the sealed token of this kind, selector, host and subject: the token that was sealed.
    ///
    /// # Errors
    ///
    /// [`OpenError::UnknownKey`] and [`OpenError::Broken`].
    pub fn open(
        &self,
        sealed: &SealedToken,
        kind: TokenKind,
        selector: Selector,
        binding: &Binding<'_>,
    ) -> Result<InviteToken, OpenError> {
        let key = self.find(sealed.key()).ok_or(OpenError::UnknownKey)?;
        let (head, mac) = sealed
            .as_bytes()
            .split_last_chunk::<MAC_BYTES>()
            .ok_or(OpenError::Broken)?;
        let (head, text) = head
            .split_last_chunk::<VERIFIER_BYTES>()
            .ok_or(OpenError::Broken)?;
        let nonce = head.last_chunk::<NONCE_BYTES>().ok_or(OpenError::Broken)?;
        let mut verifier = Zeroizing::new(*text);
        key.cipher()
            .decrypt_inout_detached(
                nonce.into(),
                &associated_data(sealed.key(), kind, selector, binding),
                verifier.as_mut_slice().into(),
                mac.into(),
            )
            .map_err(|_| OpenError::Broken)?;
        InviteToken::from_parts(kind, selector, &verifier).ok_or(OpenError::Broken)
    }

    fn seal_with(
        &self,
        token: &InviteToken,
        binding: &Binding<'_>,
        nonce: [u8; NONCE_BYTES],
    ) -> SealedToken {
        let (id, key) = &self.current;
        let mut bytes = Zeroizing::new([0; SEALED_BYTES]);
        bytes[..KEY_ID_BYTES].copy_from_slice(&id.get().to_be_bytes());
        bytes[KEY_ID_BYTES..TEXT_AT].copy_from_slice(&nonce);
        bytes[TEXT_AT..MAC_AT].copy_from_slice(token.verifier());
        let mac = key
            .cipher()
            .encrypt_inout_detached(
                (&nonce).into(),
                &associated_data(*id, token.kind(), token.selector(), binding),
                (&mut bytes[TEXT_AT..MAC_AT]).into(),
            )
            .expect("22 bytes are not too long for the cipher");
        bytes[MAC_AT..].copy_from_slice(&mac);
        SealedToken::from_bytes(*bytes)
    }

    fn find(&self, id: SealKeyId) -> Option<&SealKey> {
        self.all()
            .find_map(|(known, key)| (*known == id).then_some(key))
    }

    fn all(&self) -> impl Iterator<Item = &(SealKeyId, SealKey)> {
        core::iter::once(&self.current).chain(&self.older)
    }
}

impl fmt::Debug for SealRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealRing(")?;
        f.debug_list().entries(self.ids()).finish()?;
        write!(f, ")")
    }
}

/// What a seal is for: domain, prefix, length of the host, host, subject, selector, key id. Every
/// part but the host has a fixed length, so no two inputs are the same.
fn associated_data(
    key: SealKeyId,
    kind: TokenKind,
    selector: Selector,
    binding: &Binding<'_>,
) -> Vec<u8> {
    let host = binding.host.as_str().as_bytes();
    [
        DOMAIN,
        kind.prefix().as_bytes(),
        &(host.len() as u64).to_be_bytes(),
        host,
        &binding.subject,
        &selector.as_u64().to_be_bytes(),
        &key.get().to_be_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests;
