//! The transport over HTTP/1.1 and TLS.

use core::fmt;
use core::future::{Future, poll_fn};
use core::net::{IpAddr, SocketAddr};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use guestlist_types::Timestamp;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderName, RETRY_AFTER, USER_AGENT,
};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::address::is_public_address;
use crate::sign::SignedHeaders;
use crate::transport::{Reply, TransportError, WebhookTransport};
use guestlist_types::EndpointUrl;

/// How long an endpoint has to reply, unless [`HttpTransport::with_timeout`] says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// How much of the body of a reply is read, in bytes, before the connection is closed. No more of
/// its head is accepted either.
pub const MAX_REPLY_BYTES: usize = 64 * 1024;

const AGENT: &str = concat!("guestlist-webhooks/", env!("CARGO_PKG_VERSION"));

/// Sends webhooks over HTTP/1.1, to `https` with the root certificates of Mozilla.
///
/// Whoever names an endpoint makes this machine connect to it. So a name is resolved once, only
/// public addresses ([`is_public_address`]) are kept, and one of these is connected to: what the
/// name resolves to later doesn't matter, and no redirect leads elsewhere. An address in a URL is
/// treated alike. Every webhook has a connection of its own, and no proxy is used.
///
/// It runs on tokio, with its network and time drivers.
///
/// ```no_run
/// # use guestlist_webhooks::HttpTransport;
/// use core::time::Duration;
/// let transport = HttpTransport::new().with_timeout(Duration::from_secs(20));
/// ```
#[derive(Clone)]
pub struct HttpTransport {
    roots: RootCertStore,
    tls: TlsConnector,
    timeout: Duration,
    private_addresses: bool,
}

impl HttpTransport {
    /// A transport with a timeout of 15 seconds, to public addresses only.
    #[must_use]
    pub fn new() -> Self {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        Self {
            tls: connector(&roots),
            roots,
            timeout: DEFAULT_TIMEOUT,
            private_addresses: false,
        }
    }

    /// With another time for the whole attempt: resolve, connect, send and receive.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects to every address, also to this machine and its network: for tests, and where all
    /// who name endpoints may reach these anyway.
    #[must_use]
    pub const fn allow_private_addresses(mut self) -> Self {
        self.private_addresses = true;
        self
    }

    /// Trusts one more root certificate, in DER: that of a company's own authority.
    ///
    /// # Errors
    ///
    /// [`TransportError::Tls`] if it is no certificate; the transport is gone then.
    pub fn with_root_certificate(mut self, der: &[u8]) -> Result<Self, TransportError> {
        self.roots
            .add(CertificateDer::from_slice(der).into_owned())
            .map_err(|error| TransportError::Tls(error.into()))?;
        self.tls = connector(&self.roots);
        Ok(self)
    }

    /// Sends the webhook, and waits for the head of the reply.
    async fn ask(
        &self,
        url: &EndpointUrl,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Connection), TransportError> {
        let tcp = self.connect(url).await?;
        if !url.is_https() {
            return exchange(tcp, request).await;
        }
        let name = ServerName::try_from(url.host().to_owned())
            .map_err(|error| TransportError::Tls(error.into()))?;
        let tls = self
            .tls
            .connect(name, tcp)
            .await
            .map_err(|error| TransportError::Tls(error.into()))?;
        exchange(tls, request).await
    }

    /// Connects to the first of the checked addresses that answers. Each one has its share of the
    /// time, so that one which swallows packets leaves some to the next.
    async fn connect(&self, url: &EndpointUrl) -> Result<TcpStream, TransportError> {
        let addresses = self.resolve(url).await?;
        let share = self.timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let mut last = TransportError::Timeout;
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = TransportError::Connect(error.into()),
                Err(_) => last = TransportError::Timeout,
            }
        }
        Err(last)
    }

    /// The addresses of the host that may be connected to, at least one.
    async fn resolve(&self, url: &EndpointUrl) -> Result<Vec<SocketAddr>, TransportError> {
        let all: Vec<SocketAddr> = match url.address() {
            Some(address) => vec![SocketAddr::new(address, url.port())],
            None => lookup_host((url.host(), url.port()))
                .await
                .map_err(|error| TransportError::Connect(error.into()))?
                .collect(),
        };
        if all.is_empty() {
            let none = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            return Err(TransportError::Connect(none.into()));
        }
        let allowed: Vec<SocketAddr> = all
            .into_iter()
            .filter(|address| self.is_allowed(address.ip()))
            .collect();
        if allowed.is_empty() {
            return Err(TransportError::AddressNotAllowed);
        }
        Ok(allowed)
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        self.private_addresses || is_public_address(address)
    }
}

impl Default for HttpTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("timeout", &self.timeout)
            .field("private_addresses", &self.private_addresses)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl WebhookTransport for HttpTransport {
    /// A reply counts from its head on: what its body does afterwards is not looked at.
    async fn post(
        &self,
        url: &EndpointUrl,
        headers: &SignedHeaders,
        body: &[u8],
    ) -> Result<Reply, TransportError> {
        let request = request(url, headers, body)?;
        let mut end = pin!(sleep(self.timeout));
        let (response, connection) = before(end.as_mut(), self.ask(url, request))
            .await
            .unwrap_or(Err(TransportError::Timeout))?;
        let reply = Reply {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers()),
        };
        // An endpoint that is cut off while it replies may take that for a failure of its own.
        before(end, drain(response.into_body(), connection)).await;
        Ok(reply)
    }
}

/// What moves the bytes of one connection, until they have all been moved.
struct Connection(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Connection {
    /// Does some work that needs the connection to be moved meanwhile. The work ends when the
    /// connection does.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            if let Some(connection) = &mut self.0
                && connection.as_mut().poll(context).is_ready()
            {
                self.0 = None;
            }
            Poll::Pending
        })
        .await
    }

    /// Closes the connection properly.
    async fn close(self) {
        if let Some(connection) = self.0 {
            connection.await;
        }
    }
}

/// Sends a request over a new connection, and waits for the head of the reply.
async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, Connection), TransportError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_REPLY_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| TransportError::Other(error.into()))?;
    let connection = Box::pin(async move {
        // What breaks a connection reaches the request or the body that is waited for.
        let _ = connection.await;
    });
    let mut connection = Connection(Some(connection));
    let response = connection
        .drive(sender.send_request(request))
        .await
        .map_err(|error| TransportError::Other(error.into()))?;
    Ok((response, connection))
}

/// Reads a body and drops it, up to the limit.
async fn drain(mut body: Incoming, mut connection: Connection) {
    let mut left = MAX_REPLY_BYTES;
    while let Some(frame) = connection.drive(body.frame()).await {
        let length = match frame {
            Ok(frame) => frame.data_ref().map_or(0, Bytes::len),
            Err(_) => return,
        };
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
    connection.close().await;
}

/// The result of some work, unless the time ends first.
async fn before<T>(mut end: Pin<&mut Sleep>, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => end.as_mut().poll(context).map(|()| None),
    })
    .await
}

fn request(
    url: &EndpointUrl,
    headers: &SignedHeaders,
    body: &[u8],
) -> Result<Request<Full<Bytes>>, TransportError> {
    let target = url.path_and_query();
    let slash = if target.starts_with('/') { "" } else { "/" };
    let mut request = Request::post(format!("{slash}{target}"))
        .header(HOST, url.authority())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close");
    for (name, value) in headers.pairs() {
        request = request.header(name, value);
    }
    request
        .body(Full::new(Bytes::copy_from_slice(body)))
        .map_err(|error| TransportError::Other(error.into()))
}

/// How long the endpoint asks to be left alone: a number of seconds, or a date, which is measured
/// against the reply's own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let value = text(RETRY_AFTER)?;
    if let Some(until) = parse_date(value) {
        return Some(until.since(parse_date(text(DATE)?)?));
    }
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        .then(|| value.parse().ok())?
        .map(Duration::from_secs)
}

/// A date in the form that HTTP wants sent, such as `Sun, 06 Nov 1994 08:49:37 GMT`. The name of
/// the day is not looked at.
fn parse_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let mut part = || parts.next();
    let (day, month, year, time) = (part()?, part()?, part()?, part()?);
    if (part(), part()) != (Some("GMT"), None) {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

fn connector(roots: &RootCertStore) -> TlsConnector {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn asked(retry_after_value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(
            RETRY_AFTER,
            HeaderValue::from_str(retry_after_value).unwrap(),
        );
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, date, seconds) in [
            ("0", None, Some(0)),
            ("120", None, Some(120)),
            ("18446744073709551615", None, Some(u64::MAX)),
            ("18446744073709551616", None, None),
            ("-1", None, None),
            ("+1", None, None),
            ("1.5", None, None),
            ("", None, None),
            ("soon", date, None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", date, Some(60)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", date, Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", date, Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some("yesterday"), None),
            ("Sun, 31 Feb 1994 08:50:37 GMT", date, None),
            ("Sun, 06 Nov 1994 08:50:37 CET", date, None),
            ("Sun, 06 Nov 1994 08:50:37 GMT GMT", date, None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", date, None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(asked(value, date), expected, "{value:?} {date:?}");
        }
    }

    #[test]
    fn debug_shows_the_options() {
        let shown = format!("{:?}", HttpTransport::new().allow_private_addresses());
        let options = "HttpTransport { timeout: 15s, private_addresses: true, .. }";
        assert_eq!(shown, options);
    }

    #[test]
    fn a_root_certificate_is_a_certificate() {
        let refused = HttpTransport::new()
            .with_root_certificate(b"none")
            .unwrap_err();
        assert_eq!(refused.code(), "webhook-tls");
    }
}
