//! What is stored of a token, and what it is bound to.

use core::fmt;

use guestlist_types::OrgId;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::pepper::PepperId;
use crate::token::InviteToken;

/// Separates these tags from whatever else the host application makes with the same key.
const DOMAIN: &[u8; 24] = b"guestlist/token-tag/v1\0\0";

/// Host ids are padded to this length, so that the cost of a tag tells next to nothing about its
/// host, and a dummy tag costs what a real one does.
const HOST_BYTES: usize = 64;

/// What a token is bound to: its tag verifies for this host and this subject and for no others, so
/// a row that was tampered with or restored elsewhere opens nothing.
///
/// The kind of the token is bound too, by its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a further thing to bind must break every place that makes or checks a tag"
)]
pub struct Binding<'a> {
    /// The organization that lets somebody in.
    pub host: &'a OrgId,
    /// The bytes of the id of what the token opens: a link's, or an e-mail invite's.
    pub subject: [u8; 16],
}

/// What is stored of a token: a keyed digest, and which key made it.
///
/// It opens nothing, and can't be checked against a token without the key. In JSON the digest is
/// 64 lower-case hexadecimal digits, in binary formats 32 bytes. Tags are compared in constant
/// time.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct TokenTag {
    pepper: PepperId,
    #[serde(with = "mac_form")]
    mac: [u8; 32],
}

impl TokenTag {
    /// The tag that was stored as these two parts.
    #[must_use]
    pub const fn new(pepper: PepperId, mac: [u8; 32]) -> Self {
        Self { pepper, mac }
    }

    /// Which pepper made this tag.
    #[must_use]
    pub const fn pepper(&self) -> PepperId {
        self.pepper
    }

    /// The digest.
    #[must_use]
    pub const fn mac(&self) -> &[u8; 32] {
        &self.mac
    }

    pub(crate) fn same_mac(&self, mac: &[u8; 32]) -> Choice {
        self.mac.ct_eq(mac)
    }
}

impl PartialEq for TokenTag {
    fn eq(&self, other: &Self) -> bool {
        self.pepper == other.pepper && bool::from(self.same_mac(&other.mac))
    }
}

impl Eq for TokenTag {}

impl fmt::Debug for TokenTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenTag")
            .field("pepper", &self.pepper)
            .finish_non_exhaustive()
    }
}

/// The digest of a token: domain, prefix, length of the host, host padded to 64 bytes, subject,
/// selector, verifier. Every part but the host has a fixed length, so no two inputs are the same.
pub(crate) fn mac_of(
    key: &[u8; 64],
    token: &InviteToken,
    host: &[u8],
    subject: &[u8; 16],
) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new(key.into());
    mac.update(DOMAIN);
    mac.update(token.kind().prefix().as_bytes());
    mac.update(&(host.len() as u64).to_be_bytes());
    mac.update(host);
    mac.update(&[0; HOST_BYTES][host.len().min(HOST_BYTES)..]);
    mac.update(subject);
    mac.update(token.code());
    mac.finalize().into_bytes().into()
}

/// The digest as hexadecimal text or as bytes.
mod mac_form {
    use serde::{Deserializer, Serializer};

    use crate::form;
    use crate::hex::{self, Hex};

    pub(super) fn serialize<S: Serializer>(mac: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        form::serialize(&Hex(mac), mac, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        form::deserialize(from, hex::Visitor, Some::<[u8; 32]>)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::arb_tag;

    #[test]
    fn wire_forms_are_pinned() {
        let mut mac = [0; 32];
        mac[0] = 0xab;
        mac[31] = 0x01;
        let tag = TokenTag::new(PepperId::new(3), mac);
        let json = format!(r#"{{"pepper":3,"mac":"ab{}01"}}"#, "0".repeat(60));
        assert_eq!(serde_json::to_string(&tag).unwrap(), json);
        let bytes = postcard::to_stdvec(&tag).unwrap();
        assert_eq!(bytes[0], 3);
        assert_eq!(bytes[1..], mac);
        assert_eq!(format!("{tag:?}"), "TokenTag { pepper: PepperId(3), .. }");
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        for mac in ["ab", &"A".repeat(64), &"g".repeat(64), &"0".repeat(65)] {
            let json = format!(r#"{{"pepper":3,"mac":"{mac}"}}"#);
            let refused = serde_json::from_str::<TokenTag>(&json).unwrap_err();
            assert!(!refused.to_string().contains(mac));
        }
        assert!(serde_json::from_str::<TokenTag>(r#"{"pepper":3,"mac":""}"#).is_err());
        assert!(serde_json::from_str::<TokenTag>(r#"{"pepper":3}"#).is_err());
        let refused = serde_json::from_str::<TokenTag>(r#"{"pepper":3,"mac":7}"#).unwrap_err();
        let expected = "expected 64 lower-case hexadecimal digits";
        assert!(refused.to_string().contains(expected), "{refused}");
        assert!(postcard::from_bytes::<TokenTag>(&[3; 32]).is_err());
    }

    proptest! {
        #[test]
        fn both_forms_survive(tag in arb_tag()) {
            let json = serde_json::to_string(&tag).unwrap();
            prop_assert_eq!(serde_json::from_str::<TokenTag>(&json).unwrap(), tag);
            let value = serde_json::to_value(tag).unwrap();
            prop_assert_eq!(serde_json::from_value::<TokenTag>(value).unwrap(), tag);
            let bytes = postcard::to_stdvec(&tag).unwrap();
            prop_assert_eq!(postcard::from_bytes::<TokenTag>(&bytes).unwrap(), tag);
        }

        #[test]
        fn tags_differ_by_any_part(tag in arb_tag(), at in 0_usize..32, bit in 0_u32..8) {
            let mut mac = *tag.mac();
            mac[at] ^= 1 << bit;
            prop_assert_ne!(TokenTag::new(tag.pepper(), mac), tag);
            let other = PepperId::new(tag.pepper().get() + 1);
            prop_assert_ne!(TokenTag::new(other, *tag.mac()), tag);
        }
    }
}
