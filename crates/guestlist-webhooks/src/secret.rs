//! The secret that an endpoint's webhooks are signed with.

use core::fmt;
use core::str::FromStr;

use data_encoding::BASE64;
use zeroize::{Zeroize, Zeroizing};

/// The shortest secret, in bytes.
pub const MIN_SECRET_BYTES: usize = 24;

/// The longest secret, in bytes.
pub const MAX_SECRET_BYTES: usize = 64;

/// What the text of every secret begins with.
const PREFIX: &str = "whsec_";

/// The longest base64 text of a secret.
const MAX_ENCODED_BYTES: usize = MAX_SECRET_BYTES.div_ceil(3) * 4;

/// Why something is no webhook secret. What was given is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Begins otherwise than with `whsec_`.
    #[error("a webhook secret begins with `whsec_`")]
    Prefix,
    /// Not the one base64 spelling of some bytes, with its padding.
    #[error("a webhook secret is `whsec_` and base64 with padding")]
    Encoding,
    /// Fewer than 24 bytes.
    #[error("a webhook secret has at least 24 bytes")]
    TooShort,
    /// More than 64 bytes.
    #[error("a webhook secret has at most 64 bytes")]
    TooLong,
}

impl SecretError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Prefix => "webhook-secret-prefix",
            Self::Encoding => "webhook-secret-encoding",
            Self::TooShort => "webhook-secret-too-short",
            Self::TooLong => "webhook-secret-too-long",
        }
    }
}

/// The secret that an endpoint's webhooks are signed with, and that its owner verifies them with.
///
/// It is wiped from memory when dropped, and [`expose_secret`](Self::expose_secret) is the one way
/// to read it: `Debug` shows nothing, and nothing else that could copy, print or compare it exists.
///
/// ```
/// # use guestlist_webhooks::WebhookSecret;
/// let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// assert_eq!(format!("{secret:?}"), "WebhookSecret(..)");
/// assert_eq!(&*secret.expose_secret(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
/// # Ok::<(), guestlist_webhooks::SecretError>(())
/// ```
///
/// ```compile_fail,E0599
/// fn copy(secret: guestlist_webhooks::WebhookSecret) -> guestlist_webhooks::WebhookSecret {
///     secret.clone()
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn print(secret: &guestlist_webhooks::WebhookSecret) -> String { format!("{secret}") }
/// ```
pub struct WebhookSecret {
    // On the heap, so that moving the secret leaves no copy behind. Padded with zeros, which is
    // the key as HMAC-SHA-256 uses it.
    block: Box<[u8; MAX_SECRET_BYTES]>,
    length: usize,
}

impl WebhookSecret {
    /// The secret with these bytes, which should be random. The caller wipes its own copy.
    ///
    /// # Errors
    ///
    /// [`SecretError::TooShort`] below 24 bytes, [`SecretError::TooLong`] above 64.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SecretError> {
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(SecretError::TooShort);
        }
        let mut block = Box::new([0; MAX_SECRET_BYTES]);
        block
            .get_mut(..bytes.len())
            .ok_or(SecretError::TooLong)?
            .copy_from_slice(bytes);
        Ok(Self {
            block,
            length: bytes.len(),
        })
    }

    /// Parses the one spelling of a secret: `whsec_` and its bytes in base64.
    ///
    /// # Errors
    ///
    /// Says which rule the text breaks; it does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text
            .strip_prefix(PREFIX)
            .ok_or(SecretError::Prefix)?
            .as_bytes();
        if encoded.len() > MAX_ENCODED_BYTES {
            return Err(SecretError::TooLong);
        }
        let room = BASE64
            .decode_len(encoded.len())
            .map_err(|_| SecretError::Encoding)?;
        let mut bytes = Zeroizing::new([0; MAX_ENCODED_BYTES / 4 * 3]);
        let length = BASE64
            .decode_mut(encoded, &mut bytes[..room])
            .map_err(|_| SecretError::Encoding)?;
        Self::from_bytes(&bytes[..length])
    }

    /// The whole secret, `whsec_` and base64. Whoever reads it can sign webhooks: show it to the
    /// endpoint's owner, and log it never.
    #[must_use]
    pub fn expose_secret(&self) -> Zeroizing<String> {
        let bytes = &self.block[..self.length];
        // With room for everything, so that no reallocation leaves a copy of the secret behind.
        let room = PREFIX.len() + BASE64.encode_len(bytes.len());
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str(PREFIX);
        BASE64.encode_append(bytes, &mut text);
        text
    }

    /// The key that signatures are made with.
    pub(crate) const fn key(&self) -> &[u8; MAX_SECRET_BYTES] {
        &self.block
    }

    fn wipe(&mut self) {
        self.block.zeroize();
    }
}

impl Drop for WebhookSecret {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

impl FromStr for WebhookSecret {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, SecretError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> SecretError {
        WebhookSecret::parse(text).unwrap_err()
    }

    #[test]
    fn only_one_spelling_is_a_secret() {
        for (text, error) in [
            ("", SecretError::Prefix),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Prefix),
            (
                "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                SecretError::Prefix,
            ),
            ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Prefix),
            ("whsec_", SecretError::TooShort),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS=",
                SecretError::Encoding,
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa0=",
                SecretError::TooShort,
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
                SecretError::Encoding,
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ",
                SecretError::Encoding,
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS-",
                SecretError::Encoding,
            ),
        ] {
            assert_eq!(refused(text), error, "{text:?}");
        }
        assert_eq!(
            refused(&format!("whsec_{}", "A".repeat(88))),
            SecretError::TooLong
        );
        assert_eq!(
            refused(&format!("whsec_{}", "A".repeat(1 << 20))),
            SecretError::TooLong
        );
    }

    #[test]
    fn lengths_are_bounded() {
        for length in 0..100 {
            let bytes = vec![7; length];
            let expected = match length {
                0..24 => Some(SecretError::TooShort),
                24..=64 => None,
                _ => Some(SecretError::TooLong),
            };
            assert_eq!(
                WebhookSecret::from_bytes(&bytes).err(),
                expected,
                "{length}"
            );
            let text = format!("whsec_{}", BASE64.encode(&bytes));
            assert_eq!(WebhookSecret::parse(&text).err(), expected, "{length}");
        }
    }

    #[test]
    fn wiping_leaves_nothing() {
        let mut secret = WebhookSecret::from_bytes(&[7; 64]).unwrap();
        secret.wipe();
        assert_eq!(*secret.block, [0; 64]);
    }

    #[test]
    fn codes_are_pinned() {
        for (error, code) in [
            (SecretError::Prefix, "webhook-secret-prefix"),
            (SecretError::Encoding, "webhook-secret-encoding"),
            (SecretError::TooShort, "webhook-secret-too-short"),
            (SecretError::TooLong, "webhook-secret-too-long"),
        ] {
            assert_eq!(error.code(), code);
        }
    }

    proptest! {
        #[test]
        fn every_secret_prints_and_parses(bytes in proptest::collection::vec(any::<u8>(), 24..=64)) {
            let text = WebhookSecret::from_bytes(&bytes).unwrap().expose_secret();
            let again = WebhookSecret::parse(&text).unwrap();
            prop_assert_eq!(&again.block[..again.length], &bytes[..]);
            prop_assert_eq!(again.expose_secret(), text);
        }

        #[test]
        fn no_text_panics(text in "(whsec_)?[A-Za-z0-9+/= é]{0,100}") {
            let _ = WebhookSecret::parse(&text);
        }
    }
}
