//! Signing webhooks, and verifying them where they arrive.

use core::time::Duration;

use data_encoding::BASE64;
use guestlist_types::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::secret::WebhookSecret;

/// The header with the message's id, which is the same at every attempt.
pub const ID_HEADER: &str = "webhook-id";

/// The header with the time of the attempt, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";

/// The header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// How old a webhook may be, or how far ahead of the receiver's clock, as the specification has it.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The longest id of a message, in bytes.
pub const MAX_MESSAGE_ID_BYTES: usize = 256;

/// Names HMAC-SHA-256, the symmetric scheme of the specification.
const SCHEME: &str = "v1,";

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Why a webhook can't be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// No secret was given, so nobody could verify it.
    #[error("a webhook is signed with at least one secret")]
    NoSecret,
    /// Not 1 to 256 bytes of printable ASCII without `.`, which would end the id early.
    #[error("the id of a webhook is 1 to 256 printable ASCII characters without spaces and `.`")]
    MessageId,
    /// A time before 1970.
    #[error("a webhook can't be sent before 1970")]
    Time,
}

impl SignError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoSecret => "webhook-no-secret",
            Self::MessageId => "webhook-message-id",
            Self::Time => "webhook-time",
        }
    }
}

/// Why a webhook is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A header is missing, or is no text.
    #[error("the header `{header}` is missing")]
    Missing {
        /// Its name.
        header: &'static str,
    },
    /// A header that no sender makes.
    #[error("the header `{header}` is malformed")]
    Malformed {
        /// Its name.
        header: &'static str,
    },
    /// No secret makes any of the signatures: another sender, or something was changed.
    #[error("the signature is not one of this webhook")]
    Mismatch,
    /// Sent too long ago: perhaps somebody sends it again.
    #[error("the webhook is too old")]
    TooOld,
    /// Sent too far in the future: one of the clocks is wrong.
    #[error("the webhook is from the future")]
    TooNew,
}

impl VerifyError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing { .. } => "webhook-signature-missing",
            Self::Malformed { .. } => "webhook-signature-malformed",
            Self::Mismatch => "webhook-signature-mismatch",
            Self::TooOld => "webhook-timestamp-too-old",
            Self::TooNew => "webhook-timestamp-too-new",
        }
    }
}

/// The headers that a webhook is sent with. They hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    id: Box<str>,
    timestamp: Box<str>,
    signature: Box<str>,
}

impl SignedHeaders {
    /// The value of `webhook-id`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The value of `webhook-timestamp`.
    #[must_use]
    pub fn timestamp(&self) -> &str {
        &self.timestamp
    }

    /// The value of `webhook-signature`.
    #[must_use]
    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// The three headers, names in lower case; the values are visible ASCII and spaces.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, &str); 3] {
        [
            (ID_HEADER, &*self.id),
            (TIMESTAMP_HEADER, &*self.timestamp),
            (SIGNATURE_HEADER, &*self.signature),
        ]
    }
}

/// The headers that a webhook arrived with. `None` is a header that is missing or is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a further header must break every receiver"
)]
pub struct ReceivedHeaders<'a> {
    /// The value of `webhook-id`.
    pub id: Option<&'a str>,
    /// The value of `webhook-timestamp`.
    pub timestamp: Option<&'a str>,
    /// The value of `webhook-signature`.
    pub signature: Option<&'a str>,
}

impl<'a> ReceivedHeaders<'a> {
    /// The headers that `find` finds by their names, which it is given in lower case.
    pub fn find(mut find: impl FnMut(&'static str) -> Option<&'a str>) -> Self {
        Self {
            id: find(ID_HEADER),
            timestamp: find(TIMESTAMP_HEADER),
            signature: find(SIGNATURE_HEADER),
        }
    }
}

impl<'a> From<&'a SignedHeaders> for ReceivedHeaders<'a> {
    fn from(headers: &'a SignedHeaders) -> Self {
        Self {
            id: Some(&headers.id),
            timestamp: Some(&headers.timestamp),
            signature: Some(&headers.signature),
        }
    }
}

/// Signs one attempt to deliver a message, with every one of these secrets.
///
/// `id` is the message's, the same at every attempt; `at` is the time of this attempt. Send
/// `payload` exactly as it is here: another space is another signature.
///
/// # Errors
///
/// [`SignError`] says what can't be signed; no receiver would accept it.
pub fn sign(
    secrets: &[&WebhookSecret],
    id: &str,
    at: Timestamp,
    payload: &[u8],
) -> Result<SignedHeaders, SignError> {
    if secrets.is_empty() {
        return Err(SignError::NoSecret);
    }
    if !is_message_id(id) {
        return Err(SignError::MessageId);
    }
    if at.as_micros() < 0 {
        return Err(SignError::Time);
    }
    let timestamp = (at.as_micros() / MICROS_PER_SECOND).to_string();
    let mut signature = String::new();
    for secret in secrets {
        if !signature.is_empty() {
            signature.push(' ');
        }
        signature.push_str(SCHEME);
        BASE64.encode_append(&mac_of(secret, id, &timestamp, payload), &mut signature);
    }
    Ok(SignedHeaders {
        id: id.into(),
        timestamp: timestamp.into(),
        signature: signature.into(),
    })
}

/// Says whether a webhook was signed with one of these secrets, less than `tolerance` ago
/// ([`TOLERANCE`] unless there is a reason).
///
/// `payload` is the body as it arrived, before anything parsed it. Within the tolerance the same
/// webhook can arrive again: keep the ids that were seen for that long. Signatures of other
/// schemes are passed over, and signatures are compared in constant time.
///
/// # Errors
///
/// [`VerifyError`] says why it is not to be believed. Tell the sender no more than its code.
pub fn verify<'a>(
    secrets: &[&WebhookSecret],
    headers: impl Into<ReceivedHeaders<'a>>,
    payload: &[u8],
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let headers = headers.into();
    let id = present(headers.id, ID_HEADER)?;
    let timestamp = present(headers.timestamp, TIMESTAMP_HEADER)?;
    let signature = present(headers.signature, SIGNATURE_HEADER)?;

    // A full stop would let the end of an id be read as a timestamp.
    if !is_message_id(id) {
        return Err(VerifyError::Malformed { header: ID_HEADER });
    }
    let sent = parse_seconds(timestamp).ok_or(VerifyError::Malformed {
        header: TIMESTAMP_HEADER,
    })?;
    let mut signatures = signature.split(' ').filter_map(parse_signature).peekable();
    if signatures.peek().is_none() {
        return Err(VerifyError::Malformed {
            header: SIGNATURE_HEADER,
        });
    }

    if !now.is_before_end(Some(sent + tolerance)) {
        return Err(VerifyError::TooOld);
    }
    if sent.is_after(now + tolerance) {
        return Err(VerifyError::TooNew);
    }

    let macs: Vec<[u8; 32]> = secrets
        .iter()
        .map(|secret| mac_of(secret, id, timestamp, payload))
        .collect();
    let mut found = Choice::from(0);
    for signature in signatures {
        for mac in &macs {
            found |= signature.ct_eq(mac);
        }
    }
    if found.into() {
        Ok(())
    } else {
        Err(VerifyError::Mismatch)
    }
}

fn present<'a>(value: Option<&'a str>, header: &'static str) -> Result<&'a str, VerifyError> {
    value
        .filter(|value| !value.is_empty())
        .ok_or(VerifyError::Missing { header })
}

fn is_message_id(id: &str) -> bool {
    (1..=MAX_MESSAGE_ID_BYTES).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// Whole seconds since 1970, in the one spelling that [`sign`] makes.
fn parse_seconds(text: &str) -> Option<Timestamp> {
    let canonical = text == "0" || !text.starts_with('0');
    if !canonical || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = text.parse().ok()?;
    seconds
        .checked_mul(MICROS_PER_SECOND)
        .map(Timestamp::from_micros)
}

/// A signature of the scheme that is verified here, in its one spelling.
fn parse_signature(text: &str) -> Option<[u8; 32]> {
    let encoded = text.strip_prefix(SCHEME)?.as_bytes();
    if encoded.len() != BASE64.encode_len(32) {
        return None;
    }
    BASE64.decode(encoded).ok()?.try_into().ok()
}

fn mac_of(secret: &WebhookSecret, id: &str, timestamp: &str, payload: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new(secret.key().into());
    mac.update(id.as_bytes());
    mac.update(b".");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(payload);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
