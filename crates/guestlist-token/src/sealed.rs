//! A token that was encrypted so that it can be shown again, as it is stored.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::form;
use crate::hex::{self, Hex};
use crate::token::VERIFIER_BYTES;

/// How many bytes a sealed token has.
pub const SEALED_BYTES: usize = KEY_ID_BYTES + NONCE_BYTES + VERIFIER_BYTES + MAC_BYTES;

pub(crate) const KEY_ID_BYTES: usize = 2;
pub(crate) const NONCE_BYTES: usize = 24;
pub(crate) const MAC_BYTES: usize = 16;

/// Which key a token was sealed under. Ids are never used again for another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealKeyId(u16);

impl SealKeyId {
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

impl fmt::Display for SealKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A token that was encrypted so that it can be shown again: 64 bytes that may be stored, and that
/// nobody can open without the key.
///
/// They are the key's id (big-endian), the nonce (24 bytes), the encrypted verifier (22) and its
/// authentication code (16). In JSON they are 128 lower-case hexadecimal digits. Sealing and
/// opening need the feature `seal`; this type does not, so that records have one shape.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SealedToken {
    bytes: [u8; SEALED_BYTES],
}

impl SealedToken {
    /// The sealed token that was stored as these bytes. Whether it opens is known when it is opened.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SEALED_BYTES]) -> Self {
        Self { bytes }
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SEALED_BYTES] {
        &self.bytes
    }

    /// Which key this token was sealed under. If that isn't the ring's current one, seal it anew.
    #[must_use]
    pub const fn key(&self) -> SealKeyId {
        SealKeyId(u16::from_be_bytes([self.bytes[0], self.bytes[1]]))
    }
}

impl fmt::Debug for SealedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedToken")
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}

impl Serialize for SealedToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut halves = [[0; SEALED_BYTES / 2]; 2];
        halves.as_flattened_mut().copy_from_slice(&self.bytes);
        form::serialize(&Hex(&self.bytes), &halves, serializer)
    }
}

impl<'de> Deserialize<'de> for SealedToken {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flatten = |halves: [[u8; SEALED_BYTES / 2]; 2]| {
            let mut bytes = [0; SEALED_BYTES];
            bytes.copy_from_slice(halves.as_flattened());
            Some(bytes)
        };
        form::deserialize(deserializer, hex::Visitor, flatten).map(Self::from_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::arb_sealed;

    #[test]
    fn wire_forms_are_pinned() {
        let mut bytes = [0; SEALED_BYTES];
        (bytes[0], bytes[1], bytes[63]) = (1, 3, 0xab);
        let sealed = SealedToken::from_bytes(bytes);
        assert_eq!(sealed.key(), SealKeyId::new(0x0103));
        let json = format!(r#""0103{}ab""#, "0".repeat(122));
        assert_eq!(serde_json::to_string(&sealed).unwrap(), json);
        assert_eq!(postcard::to_stdvec(&sealed).unwrap(), bytes);
        let debug = format!("{sealed:?}");
        assert_eq!(debug, "SealedToken { key: SealKeyId(259), .. }");
        assert_eq!(serde_json::to_string(&sealed.key()).unwrap(), "259");
        assert_eq!(format!("{:>4}", sealed.key()), " 259");
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        let token = "glj_p0ELSZgnu07ELSZgnu18FMTahov29GNU11E88C";
        for text in [
            "ab",
            token,
            &"A".repeat(128),
            &"0".repeat(127),
            &"0".repeat(130),
        ] {
            let json = format!(r#""{text}""#);
            let refused = serde_json::from_str::<SealedToken>(&json).unwrap_err();
            assert!(!refused.to_string().contains(text));
        }
        assert!(serde_json::from_str::<SealedToken>("\"\"").is_err());
        let refused = serde_json::from_str::<SealedToken>("[0]").unwrap_err();
        let expected = "expected 128 lower-case hexadecimal digits";
        assert!(refused.to_string().contains(expected), "{refused}");
        assert!(postcard::from_bytes::<SealedToken>(&[0; SEALED_BYTES - 1]).is_err());
    }

    proptest! {
        #[test]
        fn every_form_survives(sealed in arb_sealed()) {
            prop_assert_eq!(SealedToken::from_bytes(*sealed.as_bytes()), sealed);
            let json = serde_json::to_string(&sealed).unwrap();
            prop_assert_eq!(serde_json::from_str::<SealedToken>(&json).unwrap(), sealed);
            let value = serde_json::to_value(sealed).unwrap();
            prop_assert_eq!(serde_json::from_value::<SealedToken>(value).unwrap(), sealed);
            let bytes = postcard::to_stdvec(&sealed).unwrap();
            prop_assert_eq!(postcard::from_bytes::<SealedToken>(&bytes).unwrap(), sealed);
        }
    }
}
