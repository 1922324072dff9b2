//! Webhooks signed to the [Standard Webhooks] specification, for the sender and for the receiver.
//!
//! ```text
//! webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek                             the same at every attempt
//! webhook-timestamp: 1614265330                                        seconds, of this attempt
//! webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=   one for each secret
//!                    HMAC-SHA-256 of "{id}.{timestamp}.{payload}"
//! ```
//!
//! A store holds no webhook secret: every endpoint's is derived from a master key
//! ([`WebhookKeyRing`]), and what is stored is its [`SecretVersion`]. A rotation takes the next
//! version; while the endpoint's owner changes over, both secrets sign.
//!
//! | value | may be stored | may be logged |
//! |---|---|---|
//! | [`WebhookKey`] | outside the store only | its `Debug` form, which shows nothing |
//! | [`WebhookSecret`] | by the receiver only | its `Debug` form, which shows nothing |
//! | [`SecretVersion`], [`EndpointUrl`], [`SignedHeaders`] | yes | yes |
//!
//! # Sending
//!
//! ```
//! use guestlist_types::{OrgId, Timestamp};
//! use guestlist_webhooks::{
//!     EndpointKey, EndpointUrl, Next, Outcome, RetrySchedule, SecretVersion, WebhookKeyRing,
//!     WebhookTransport, sign,
//! };
//!
//! /// What the application stores of an endpoint.
//! struct Endpoint {
//!     organization: OrgId,
//!     id: [u8; 16],
//!     url: EndpointUrl,
//!     secret: SecretVersion,
//! }
//!
//! /// One attempt; `transport` is mostly an `HttpTransport`, and `jitter` a random number.
//! async fn attempt(
//!     ring: &WebhookKeyRing,
//!     transport: &dyn WebhookTransport,
//!     endpoint: &Endpoint,
//!     (message, payload): (&str, &[u8]),
//!     (attempts_made, now, jitter): (u32, Timestamp, u64),
//! ) -> Result<Next, Box<dyn core::error::Error>> {
//!     let key = EndpointKey { organization: &endpoint.organization, endpoint: endpoint.id };
//!     let secret = ring.secret(&key, endpoint.secret).ok_or("the ring has this key no more")?;
//!     let headers = sign(&[&secret], message, now, payload)?;
//!     let outcome = Outcome::of(&transport.post(&endpoint.url, &headers, payload).await);
//!     Ok(RetrySchedule::default().next(attempts_made + 1, outcome, now, jitter))
//! }
//! ```
//!
//! # Receiving
//!
//! ```
//! use guestlist_types::Timestamp;
//! use guestlist_webhooks::{ReceivedHeaders, TOLERANCE, VerifyError, WebhookSecret, verify};
//!
//! /// `find_header` finds a header by its name; `body` is what arrived, before anything parsed it.
//! fn is_ours<'a>(
//!     secret: &WebhookSecret,
//!     find_header: impl FnMut(&'static str) -> Option<&'a str>,
//!     body: &[u8],
//!     now: Timestamp,
//! ) -> Result<(), VerifyError> {
//!     verify(&[secret], ReceivedHeaders::find(find_header), body, now, TOLERANCE)
//! }
//!
//! let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
//! let header = |name| match name {
//!     "webhook-id" => Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
//!     "webhook-timestamp" => Some("1614265330"),
//!     "webhook-signature" => Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
//!     _ => None,
//! };
//! let now = "2021-02-25T15:02:11Z".parse()?;
//! is_ours(&secret, header, br#"{"test": 2432232314}"#, now)?;
//! let refused = is_ours(&secret, header, br#"{"test": 0}"#, now).unwrap_err();
//! assert_eq!(refused.code(), "webhook-signature-mismatch");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Delivery
//!
//! With the feature `http` there is `HttpTransport`: one connection for each webhook, to public
//! addresses only, without redirects, within 15 seconds. Without it this crate does no input or
//! output; implement [`WebhookTransport`] over a client of your own, and hold it to
//! [`is_public_address`].
//!
//! Not here: which events are sent to whom, what their payloads say, and the list of what is still
//! to be delivered (the application's); asymmetric signatures (`v1a`), which a receiver passes over.
//!
//! [Standard Webhooks]: https://www.standardwebhooks.com/

#![warn(clippy::wildcard_enum_match_arm)]

mod address;
#[cfg(feature = "http")]
mod http;
mod key;
mod retry;
mod secret;
mod sign;
mod transport;

pub use address::is_public_address;
pub use guestlist_types::{EndpointUrl, EndpointUrlError, MAX_ENDPOINT_URL_BYTES};
#[cfg(feature = "http")]
pub use http::{DEFAULT_TIMEOUT, HttpTransport, MAX_REPLY_BYTES};
pub use key::{
    EndpointKey, MIN_KEY_BYTES, SecretVersion, WebhookKey, WebhookKeyError, WebhookKeyId,
    WebhookKeyRing,
};
pub use retry::{MAX_RETRY_AFTER, Next, Outcome, RetrySchedule};
pub use secret::{MAX_SECRET_BYTES, MIN_SECRET_BYTES, SecretError, WebhookSecret};
pub use sign::{
    ID_HEADER, MAX_MESSAGE_ID_BYTES, ReceivedHeaders, SIGNATURE_HEADER, SignError, SignedHeaders,
    TIMESTAMP_HEADER, TOLERANCE, VerifyError, sign, verify,
};
pub use transport::{Reply, TransportError, WebhookTransport};

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not compile when the type has the trait: then `_` has two solutions.
    macro_rules! assert_lacks {
        ($type:ty: $($bound:path),+) => {$(
            const _: fn() = || {
                trait Ambiguous<A> {
                    fn item() {}
                }
                struct Has;
                impl<T: ?Sized> Ambiguous<()> for T {}
                impl<T: ?Sized + $bound> Ambiguous<Has> for T {}
                <$type as Ambiguous<_>>::item();
            };
        )+};
    }

    macro_rules! assert_secret {
        ($($type:ty),+) => {$(
            assert_lacks!(
                $type: Clone, core::fmt::Display, serde::Serialize, PartialEq, core::hash::Hash,
                AsRef<str>, AsRef<[u8]>, core::borrow::Borrow<str>, core::ops::Deref, Into<String>
            );
        )+};
    }

    assert_secret!(WebhookSecret, WebhookKey, WebhookKeyRing);

    #[test]
    fn secrets_can_be_shared_between_threads() {
        const fn check<T: Send + Sync>() {}
        check::<WebhookSecret>();
        check::<WebhookKeyRing>();
    }
}
