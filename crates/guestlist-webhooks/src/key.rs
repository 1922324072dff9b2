//! The master keys that secrets are derived from.

use core::fmt;

use guestlist_types::OrgId;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::secret::WebhookSecret;

/// The shortest master key, in bytes.
pub const MIN_KEY_BYTES: usize = 32;

/// HMAC-SHA-256 turns every key into this many bytes.
const BLOCK_BYTES: usize = 64;

/// Separates these secrets from whatever else the host application makes with the same key.
const DOMAIN: &[u8; 27] = b"guestlist/webhook-secret/v1";

/// Why a master key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookKeyError {
    /// Fewer than 32 bytes.
    #[error("a webhook master key has at least 32 bytes")]
    TooShort,
    /// The ring has a key with this id already.
    #[error("this ring has a webhook master key with the id {} already", id.get())]
    DuplicateId {
        /// The id that was given twice.
        id: WebhookKeyId,
    },
    /// The ring has the same key under another id.
    #[error("this ring has the same webhook master key under the id {} already", id.get())]
    DuplicateSecret {
        /// The id that has the same key.
        id: WebhookKeyId,
    },
}

impl WebhookKeyError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooShort => "webhook-key-too-short",
            Self::DuplicateId { .. } => "webhook-key-duplicate-id",
            Self::DuplicateSecret { .. } => "webhook-key-duplicate-secret",
        }
    }
}

/// Which master key a secret is derived from. Ids are never used again for another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebhookKeyId(u16);

impl WebhookKeyId {
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

impl fmt::Display for WebhookKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A master key that secrets are derived from. It belongs outside of the store.
///
/// It is wiped from memory when dropped, and can't be read back.
pub struct WebhookKey {
    // The key as HMAC uses it: padded with zeros, or hashed when it is longer than a block.
    block: Box<[u8; BLOCK_BYTES]>,
}

impl WebhookKey {
    /// The key with these bytes, which should be random. The caller wipes its own copy.
    ///
    /// # Errors
    ///
    /// [`WebhookKeyError::TooShort`] below 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WebhookKeyError> {
        if bytes.len() < MIN_KEY_BYTES {
            return Err(WebhookKeyError::TooShort);
        }
        let mut block = Box::new([0; BLOCK_BYTES]);
        if let Some(start) = block.get_mut(..bytes.len()) {
            start.copy_from_slice(bytes);
        } else {
            let mut digest: [u8; 32] = Sha256::digest(bytes).into();
            block[..32].copy_from_slice(&digest);
            digest.zeroize();
        }
        Ok(Self { block })
    }

    /// Domain, length of the organization's id, that id, endpoint, generation: every part but the
    /// id has a fixed length, so no two inputs are the same.
    fn derive(&self, endpoint: &EndpointKey<'_>, generation: u32) -> WebhookSecret {
        let organization = endpoint.organization.as_str().as_bytes();
        let mut mac = Hmac::<Sha256>::new((&*self.block).into());
        mac.update(DOMAIN);
        mac.update(&(organization.len() as u64).to_be_bytes());
        mac.update(organization);
        mac.update(&endpoint.endpoint);
        mac.update(&generation.to_be_bytes());
        let bytes = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        WebhookSecret::from_bytes(&*bytes).expect("32 bytes are a secret")
    }

    fn is_same(&self, other: &Self) -> bool {
        self.block.ct_eq(&*other.block).into()
    }

    fn wipe(&mut self) {
        self.block.zeroize();
    }
}

impl Drop for WebhookKey {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(..)")
    }
}

/// Whose secret it is: no two endpoints share one, and a row moved to another organization has
/// another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a further thing to bind must break every place that derives a secret"
)]
pub struct EndpointKey<'a> {
    /// The organization that the endpoint belongs to.
    pub organization: &'a OrgId,
    /// The bytes of the endpoint's id.
    pub endpoint: [u8; 16],
}

/// Which of an endpoint's secrets: all that a store keeps of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretVersion {
    key: WebhookKeyId,
    generation: u32,
}

impl SecretVersion {
    /// The version that was stored as these two parts.
    #[must_use]
    pub const fn new(key: WebhookKeyId, generation: u32) -> Self {
        Self { key, generation }
    }

    /// The master key that it is derived from.
    #[must_use]
    pub const fn key(self) -> WebhookKeyId {
        self.key
    }

    /// How often the endpoint's secret was rotated.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// The master key that new secrets are derived from, and the older ones that secrets in use still
/// come from.
///
/// A secret is derived whenever it is needed: a store keeps its [`SecretVersion`] and no secret.
///
/// ```
/// # use guestlist_types::OrgId;
/// # use guestlist_webhooks::{EndpointKey, WebhookKey, WebhookKeyId, WebhookKeyRing};
/// # let (this_year, last_year) = ([2; 32], [1; 32]);
/// let ring = WebhookKeyRing::new(WebhookKeyId::new(2), WebhookKey::from_bytes(&this_year)?)
///     .with_older(WebhookKeyId::new(1), WebhookKey::from_bytes(&last_year)?)?;
/// let organization = OrgId::parse("org_2f9c")?;
/// let endpoint = EndpointKey { organization: &organization, endpoint: [3; 16] };
///
/// let version = ring.first_version(); // what is stored
/// let secret = ring.secret(&endpoint, version).ok_or("this key is gone")?;
/// assert!(secret.expose_secret().starts_with("whsec_")); // what the endpoint's owner is shown
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct WebhookKeyRing {
    current: (WebhookKeyId, WebhookKey),
    older: Vec<(WebhookKeyId, WebhookKey)>,
}

impl WebhookKeyRing {
    /// A ring with one key.
    #[must_use]
    pub const fn new(id: WebhookKeyId, key: WebhookKey) -> Self {
        Self {
            current: (id, key),
            older: Vec::new(),
        }
    }

    /// The ring with one more key, whose secrets can still be derived. Leave it out once no stored
    /// version has its id: from then on such a version has no secret.
    ///
    /// # Errors
    ///
    /// [`WebhookKeyError::DuplicateId`] and [`WebhookKeyError::DuplicateSecret`]; the ring is gone
    /// then.
    pub fn with_older(
        mut self,
        id: WebhookKeyId,
        key: WebhookKey,
    ) -> Result<Self, WebhookKeyError> {
        if self.find(id).is_some() {
            return Err(WebhookKeyError::DuplicateId { id });
        }
        if let Some((id, _)) = self.all().find(|(_, known)| known.is_same(&key)) {
            return Err(WebhookKeyError::DuplicateSecret { id: *id });
        }
        self.older.push((id, key));
        Ok(self)
    }

    /// The id of the key that new secrets are derived from.
    #[must_use]
    pub const fn current_id(&self) -> WebhookKeyId {
        self.current.0
    }

    /// The ids of all keys, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = WebhookKeyId> {
        self.all().map(|(id, _)| *id)
    }

    /// The version that a new endpoint begins with.
    #[must_use]
    pub const fn first_version(&self) -> SecretVersion {
        SecretVersion::new(self.current.0, 0)
    }

    /// The version that an endpoint's secret is rotated to, with the current key. While its owner
    /// changes over, sign with the secrets of both.
    ///
    /// `None` after the last of 2^32 generations.
    #[must_use]
    pub fn next_version(&self, version: SecretVersion) -> Option<SecretVersion> {
        let generation = version.generation.checked_add(1)?;
        Some(SecretVersion::new(self.current.0, generation))
    }

    /// Derives an endpoint's secret; the same one for the same endpoint and version, always.
    ///
    /// `None` if the ring doesn't have the key of this version.
    #[must_use]
    pub fn secret(
        &self,
        endpoint: &EndpointKey<'_>,
        version: SecretVersion,
    ) -> Option<WebhookSecret> {
        let key = self.find(version.key)?;
        Some(key.derive(endpoint, version.generation))
    }

    fn find(&self, id: WebhookKeyId) -> Option<&WebhookKey> {
        self.all()
            .find_map(|(known, key)| (*known == id).then_some(key))
    }

    fn all(&self) -> impl Iterator<Item = &(WebhookKeyId, WebhookKey)> {
        core::iter::once(&self.current).chain(&self.older)
    }
}

impl fmt::Debug for WebhookKeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookKeyRing(")?;
        f.debug_list().entries(self.ids()).finish()?;
        write!(f, ")")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> WebhookKey {
        WebhookKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn org(text: &str) -> OrgId {
        OrgId::parse(text).unwrap()
    }

    fn ring() -> WebhookKeyRing {
        WebhookKeyRing::new(WebhookKeyId::new(2), key(2))
            .with_older(WebhookKeyId::new(1), key(1))
            .unwrap()
    }

    fn counting<const N: usize>() -> [u8; N] {
        core::array::from_fn(|at| u8::try_from(at).unwrap())
    }

    fn text(
        ring: &WebhookKeyRing,
        org: &OrgId,
        endpoint: [u8; 16],
        version: SecretVersion,
    ) -> String {
        let endpoint = EndpointKey {
            organization: org,
            endpoint,
        };
        ring.secret(&endpoint, version)
            .unwrap()
            .expose_secret()
            .to_string()
    }

    #[test]
    fn secrets_are_pinned() {
        // Computed apart from this crate. Every endpoint in use depends on these bytes for ever.
        for (key, organization, endpoint, generation, secret) in [
            (
                &counting::<32>()[..],
                "org_1",
                [3; 16],
                0,
                "whsec_WeWsztlKzPA8Y16BUYwBZDWmzrKU60ocYAaMqtaEGCk=",
            ),
            (
                &counting::<64>(),
                "org_1",
                [3; 16],
                1,
                "whsec_aioQSDUW4ptMqvZyG2yhvktSPEm8haP57mN4lpC5Xwk=",
            ),
            (
                &counting::<65>(),
                &"o".repeat(64),
                counting(),
                u32::MAX,
                "whsec_OxKpWKU7NC7jznuarAVsqj5X2FpPaONdQpA3WvbeBo8=",
            ),
        ] {
            let id = WebhookKeyId::new(9);
            let ring = WebhookKeyRing::new(id, WebhookKey::from_bytes(key).unwrap());
            let version = SecretVersion::new(id, generation);
            assert_eq!(text(&ring, &org(organization), endpoint, version), secret);
        }
    }

    #[test]
    fn secrets_differ_by_every_part() {
        let (ring, version) = (ring(), SecretVersion::new(WebhookKeyId::new(2), 1));
        let mut found = BTreeSet::new();
        for organization in ["a", "b", "aa"] {
            for endpoint in [[0; 16], [1; 16], counting()] {
                for key in [1, 2] {
                    for generation in [0, 1, u32::MAX] {
                        let version = SecretVersion::new(WebhookKeyId::new(key), generation);
                        found.insert(text(&ring, &org(organization), endpoint, version));
                    }
                }
            }
        }
        assert_eq!(found.len(), 3 * 3 * 2 * 3);
        assert!(found.contains(&text(&ring, &org("a"), [0; 16], version)));
    }

    #[test]
    fn a_rotation_takes_the_current_key() {
        let ring = ring();
        let old = SecretVersion::new(WebhookKeyId::new(1), 4);
        let new = ring.next_version(old).unwrap();
        assert_eq!(new, SecretVersion::new(WebhookKeyId::new(2), 5));
        assert_eq!(
            ring.first_version(),
            SecretVersion::new(WebhookKeyId::new(2), 0)
        );
        let last = SecretVersion::new(WebhookKeyId::new(2), u32::MAX);
        assert_eq!(ring.next_version(last), None);
    }

    #[test]
    fn a_key_that_is_gone_has_no_secrets() {
        let organization = org("org_1");
        let endpoint = EndpointKey {
            organization: &organization,
            endpoint: [3; 16],
        };
        let gone = SecretVersion::new(WebhookKeyId::new(3), 0);
        assert!(ring().secret(&endpoint, gone).is_none());
    }

    #[test]
    fn short_keys_are_refused() {
        for length in 0..MIN_KEY_BYTES {
            let refused = WebhookKey::from_bytes(&vec![1; length]).unwrap_err();
            assert_eq!(refused, WebhookKeyError::TooShort);
        }
        for length in [32, 63, 64, 65, 1 << 20] {
            assert!(WebhookKey::from_bytes(&vec![1; length]).is_ok(), "{length}");
        }
    }

    #[test]
    fn a_ring_has_every_id_and_every_key_once() {
        let id = WebhookKeyId::new;
        for (number, secret, error) in [
            (1, 3, WebhookKeyError::DuplicateId { id: id(1) }),
            (2, 3, WebhookKeyError::DuplicateId { id: id(2) }),
            (3, 1, WebhookKeyError::DuplicateSecret { id: id(1) }),
            (3, 2, WebhookKeyError::DuplicateSecret { id: id(2) }),
        ] {
            assert_eq!(
                ring().with_older(id(number), key(secret)).unwrap_err(),
                error
            );
        }
        assert_eq!(ring().ids().collect::<Vec<_>>(), [id(2), id(1)]);
    }

    #[test]
    fn debug_shows_ids_only() {
        assert_eq!(format!("{:?}", key(1)), "WebhookKey(..)");
        assert_eq!(
            format!("{:?}", ring()),
            "WebhookKeyRing([WebhookKeyId(2), WebhookKeyId(1)])"
        );
    }

    #[test]
    fn wiping_leaves_nothing() {
        let mut key = key(7);
        key.wipe();
        assert_eq!(*key.block, [0; 64]);
    }

    #[test]
    fn the_stored_form_is_pinned() {
        let version = SecretVersion::new(WebhookKeyId::new(2), 5);
        let json = r#"{"key":2,"generation":5}"#;
        assert_eq!(serde_json::to_string(&version).unwrap(), json);
        assert_eq!(
            serde_json::from_str::<SecretVersion>(json).unwrap(),
            version
        );
    }

    #[test]
    fn codes_are_pinned() {
        let id = WebhookKeyId::new(1);
        for (error, code) in [
            (WebhookKeyError::TooShort, "webhook-key-too-short"),
            (
                WebhookKeyError::DuplicateId { id },
                "webhook-key-duplicate-id",
            ),
            (
                WebhookKeyError::DuplicateSecret { id },
                "webhook-key-duplicate-secret",
            ),
        ] {
            assert_eq!(error.code(), code);
        }
    }

    proptest! {
        #[test]
        fn deriving_is_deterministic(
            organization in "[!-~]{1,64}", endpoint: [u8; 16], generation: u32, number in 1_u16..=2
        ) {
            let version = SecretVersion::new(WebhookKeyId::new(number), generation);
            let organization = org(&organization);
            prop_assert_eq!(
                text(&ring(), &organization, endpoint, version),
                text(&ring(), &organization, endpoint, version)
            );
        }
    }
}
