//! The port that webhooks leave through.

use core::error::Error;
use core::time::Duration;

use async_trait::async_trait;

use crate::sign::SignedHeaders;
use guestlist_types::EndpointUrl;

/// Sends webhooks. With the feature `http` there is one that does, `HttpTransport`.
#[async_trait]
pub trait WebhookTransport: Send + Sync {
    /// Posts `body`, as it is, with these headers. One attempt: it follows no redirect and tries
    /// nothing again.
    ///
    /// # Errors
    ///
    /// [`TransportError`] if no reply came; the endpoint may have seen the webhook all the same.
    /// Every reply is `Ok`, whatever its status.
    async fn post(
        &self,
        url: &EndpointUrl,
        headers: &SignedHeaders,
        body: &[u8],
    ) -> Result<Reply, TransportError>;
}

/// What an endpoint replied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "transports outside of this crate make it"
)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// How long the endpoint asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Why no reply came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Not in time.
    #[error("the endpoint did not reply in time")]
    Timeout,
    /// The host has no address, or can't be connected to.
    #[error("the endpoint can't be reached")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// No encrypted connection: mostly a certificate that doesn't hold.
    #[error("there is no secure connection to the endpoint")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// The host has only addresses that webhooks are not sent to. Nothing was sent.
    #[error("webhooks are not sent to the address of this endpoint")]
    AddressNotAllowed,
    /// Anything else, such as a connection that broke or a reply that is none.
    #[error("the endpoint did not reply properly")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

impl TransportError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Timeout => "webhook-timeout",
            Self::Connect(_) => "webhook-connect",
            Self::Tls(_) => "webhook-tls",
            Self::AddressNotAllowed => "webhook-address-not-allowed",
            Self::Other(_) => "webhook-transport",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_pinned() {
        let source = || Box::from("broken");
        for (error, code) in [
            (TransportError::Timeout, "webhook-timeout"),
            (TransportError::Connect(source()), "webhook-connect"),
            (TransportError::Tls(source()), "webhook-tls"),
            (
                TransportError::AddressNotAllowed,
                "webhook-address-not-allowed",
            ),
            (TransportError::Other(source()), "webhook-transport"),
        ] {
            assert_eq!(error.code(), code);
        }
    }

    #[test]
    fn transports_can_be_shared() {
        const fn check<T: Send + Sync + ?Sized>() {}
        check::<dyn WebhookTransport>();
    }
}
