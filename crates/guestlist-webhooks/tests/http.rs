//! The HTTP transport against real sockets on this machine.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use guestlist_types::Timestamp;
use guestlist_webhooks::{
    EndpointUrl, HttpTransport, MAX_REPLY_BYTES, Outcome, ReceivedHeaders, Reply, SignedHeaders,
    TOLERANCE, TransportError, WebhookSecret, WebhookTransport, sign, verify,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};

const BODY: &[u8] = br#"{"type": "member.approved", "data": {"name": "Zo\u00eb"}}  "#;

/// A root whose key is gone, and a certificate of it for `localhost`; both end in 2126.
const ROOT: &[u8] = include_bytes!("tls/root.der");
const LEAF: &[u8] = include_bytes!("tls/leaf.der");
const LEAF_KEY: &[u8] = include_bytes!("tls/leaf.key.der");

fn secret() -> WebhookSecret {
    WebhookSecret::from_bytes(&[7; 32]).unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T09:30:00Z".parse().unwrap()
}

fn headers() -> SignedHeaders {
    sign(&[&secret()], "msg_1", now(), BODY).unwrap()
}

fn post(transport: &HttpTransport, url: &str) -> Result<Reply, TransportError> {
    let url = EndpointUrl::parse_insecure(url).unwrap();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(transport.post(&url, &headers(), BODY))
}

fn transport() -> HttpTransport {
    HttpTransport::new().allow_private_addresses()
}

fn impatient(millis: u64) -> HttpTransport {
    transport().with_timeout(Duration::from_millis(millis))
}

fn code(attempt: Result<Reply, TransportError>) -> &'static str {
    attempt.unwrap_err().code()
}

/// A request as it arrived.
struct Hit {
    head: String,
    body: Vec<u8>,
}

impl Hit {
    fn read(stream: &mut impl Read) -> Self {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        let mut hit = Self {
            head: String::from_utf8(bytes).unwrap(),
            body: Vec::new(),
        };
        let length = hit.header("content-length").unwrap().parse().unwrap();
        hit.body.resize(length, 0);
        stream.read_exact(&mut hit.body).unwrap();
        hit
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A server for one connection; the listener stays open, so that a second one would be noticed.
struct Server<T> {
    listener: TcpListener,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Server<T> {
    fn start(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let accepting = listener.try_clone().unwrap();
        let thread = spawn(move || serve(accepting.accept().unwrap().0));
        Self { listener, thread }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks?a=b", self.port())
    }

    /// What the one connection came to; there was no other.
    fn end(self) -> T {
        let came_to = self.thread.join().unwrap();
        assert_untouched(&self.listener);
        came_to
    }
}

fn assert_untouched(listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// Replies with this text.
fn replying(reply: impl Into<String>) -> Server<Hit> {
    let reply = reply.into();
    Server::start(move |mut stream| {
        let hit = Hit::read(&mut stream);
        stream.write_all(reply.as_bytes()).unwrap();
        hit
    })
}

/// Says this much and then nothing more, until the sender is dropped.
fn hanging(reply: &'static str) -> (Server<()>, Sender<()>) {
    let (release, held): (Sender<()>, Receiver<()>) = channel();
    let server = Server::start(move |mut stream| {
        Hit::read(&mut stream);
        // Fails where the transport has given up already.
        let _ = stream.write_all(reply.as_bytes());
        held.recv().unwrap_err();
    });
    (server, release)
}

#[test]
fn statuses_come_back() {
    for (status, text, retry_after, outcome) in [
        (
            200,
            "200 OK\r\ncontent-length: 2\r\n\r\nok",
            None,
            Outcome::Delivered,
        ),
        (
            200,
            "200 OK\r\n\r\nuntil the connection closes",
            None,
            Outcome::Delivered,
        ),
        (204, "204 No Content\r\n\r\n", None, Outcome::Delivered),
        (
            500,
            "500 Internal Server Error\r\ntransfer-encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n",
            None,
            Outcome::Failed { retry_after: None },
        ),
        (
            429,
            "429 Too Many Requests\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n",
            Some(Duration::from_secs(120)),
            Outcome::Failed {
                retry_after: Some(Duration::from_secs(120)),
            },
        ),
        (
            410,
            "410 Gone\r\ncontent-length: 0\r\n\r\n",
            None,
            Outcome::Gone,
        ),
    ] {
        let server = replying(format!("HTTP/1.1 {text}"));
        let attempt = post(&transport(), &server.url());
        assert_eq!(Outcome::of(&attempt), outcome, "{text:?}");
        let expected = Reply {
            status,
            retry_after,
        };
        assert_eq!(attempt.unwrap(), expected, "{text:?}");
        server.end();
    }
}

#[test]
fn the_body_arrives_unchanged_and_verifies() {
    let server = replying("HTTP/1.1 204 No Content\r\n\r\n");
    post(&transport(), &server.url()).unwrap();
    let host = format!("127.0.0.1:{}", server.port());
    let hit = server.end();
    assert_eq!(hit.body, BODY);
    assert!(hit.head.starts_with("POST /hooks?a=b HTTP/1.1\r\n"));
    let agent = format!("guestlist-webhooks/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(hit.header("host"), Some(&*host));
    assert_eq!(hit.header("user-agent"), Some(&*agent));
    assert_eq!(hit.header("content-type"), Some("application/json"));
    let received = ReceivedHeaders::find(|name| hit.header(name));
    assert_eq!(received, ReceivedHeaders::from(&headers()));
    let verified = verify(&[&secret()], received, &hit.body, now(), TOLERANCE);
    assert_eq!(verified, Ok(()));
}

#[test]
fn a_url_without_a_path_asks_for_the_root() {
    for (path, line) in [
        ("", "POST / HTTP/1.1\r\n"),
        ("?x=y", "POST /?x=y HTTP/1.1\r\n"),
    ] {
        let server = replying("HTTP/1.1 204 No Content\r\n\r\n");
        let url = format!("http://127.0.0.1:{}{path}", server.port());
        post(&transport(), &url).unwrap();
        assert!(server.end().head.starts_with(line));
    }
}

#[test]
fn redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        for location in [format!("http://127.0.0.1:{port}/"), "/another".to_owned()] {
            let server = replying(format!(
                "HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
            ));
            let attempt = post(&transport(), &server.url());
            assert_eq!(Outcome::of(&attempt), Outcome::Failed { retry_after: None });
            assert_eq!(attempt.unwrap().status, status);
            server.end();
        }
        assert_untouched(&other);
    }
}

#[test]
fn an_endpoint_that_hangs_times_out() {
    for reply in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let (server, release) = hanging(reply);
        assert_eq!(
            code(post(&impatient(200), &server.url())),
            "webhook-timeout"
        );
        drop(release);
        server.end();
    }
}

#[test]
fn a_reply_counts_though_its_body_never_ends() {
    let (server, release) = hanging("HTTP/1.1 202 Accepted\r\ncontent-length: 9\r\n\r\nwait");
    assert_eq!(post(&impatient(2_000), &server.url()).unwrap().status, 202);
    drop(release);
    server.end();
}

#[test]
fn an_endless_body_is_cut_off() {
    let server = Server::start(|mut stream| {
        Hit::read(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut sent = 0;
        while stream.write_all(&[b'x'; 1024]).is_ok() {
            sent += 1024;
        }
        sent
    });
    assert_eq!(post(&transport(), &server.url()).unwrap().status, 200);
    // The thread ends only because the connection was closed: long before the timeout, in which
    // far more would come than sockets hold.
    let sent = server.end();
    assert!((MAX_REPLY_BYTES..64 << 20).contains(&sent), "{sent}");
}

#[test]
fn an_endless_head_is_cut_off() {
    let server = Server::start(|mut stream| {
        Hit::read(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
        while stream.write_all(b"x: y\r\n").is_ok() {}
    });
    assert_eq!(code(post(&transport(), &server.url())), "webhook-transport");
    server.end();
}

#[test]
fn what_is_no_reply_is_an_error() {
    let silent = Server::start(|mut stream| drop(Hit::read(&mut stream)));
    assert_eq!(code(post(&transport(), &silent.url())), "webhook-transport");
    silent.end();
    let garbage = replying("SMTP ready\r\n\r\n");
    assert_eq!(
        code(post(&transport(), &garbage.url())),
        "webhook-transport"
    );
    garbage.end();
}

#[test]
fn a_closed_port_can_not_be_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The other end of a connection: nobody listens there, and nobody else can begin to.
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let url = format!("http://127.0.0.1:{}/", client.local_addr().unwrap().port());
    assert_eq!(code(post(&transport(), &url)), "webhook-connect");
}

#[test]
fn only_public_addresses_are_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "169.254.169.254",
        "10.0.0.1",
    ] {
        for scheme in ["http", "https"] {
            let attempt = post(&HttpTransport::new(), &format!("{scheme}://{host}:{port}/"));
            assert_eq!(
                code(attempt),
                "webhook-address-not-allowed",
                "{scheme} {host}"
            );
        }
    }
    assert_untouched(&listener);
}

#[test]
fn a_name_is_resolved_and_each_address_tried() {
    let server = replying("HTTP/1.1 204 No Content\r\n\r\n");
    let url = format!("http://localhost:{}/", server.port());
    assert_eq!(post(&transport(), &url).unwrap().status, 204);
    let host = format!("localhost:{}", server.port());
    assert_eq!(server.end().header("host"), Some(&*host));
}

/// Replies over TLS, with a certificate for `localhost`; no request if there was no handshake.
fn secure() -> Server<Option<Hit>> {
    Server::start(|stream| {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_slice(LEAF)],
                PrivateKeyDer::try_from(LEAF_KEY).unwrap(),
            )
            .unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut tcp = stream;
        if connection.complete_io(&mut tcp).is_err() {
            return None;
        }
        let mut tls = StreamOwned::new(connection, tcp);
        let hit = Hit::read(&mut tls);
        tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .unwrap();
        Some(hit)
    })
}

#[test]
fn https_needs_a_certificate_that_holds() {
    let trusting = transport().with_root_certificate(ROOT).unwrap();
    for (transport, host, status) in [
        (&trusting, "localhost", Some(200)),
        // The certificate of an unknown authority.
        (&transport(), "localhost", None),
        // The certificate of another host.
        (&trusting, "127.0.0.1", None),
    ] {
        let server = secure();
        let attempt = post(transport, &format!("https://{host}:{}/", server.port()));
        let hit = server.end();
        if let Some(status) = status {
            assert_eq!(attempt.unwrap().status, status);
            assert_eq!(hit.unwrap().body, BODY);
        } else {
            assert_eq!(code(attempt), "webhook-tls");
            assert!(hit.is_none());
        }
    }
}

#[test]
fn https_to_a_plain_server_sends_nothing() {
    let server = Server::start(|mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen);
        seen
    });
    let url = format!("https://127.0.0.1:{}/", server.port());
    assert_eq!(code(post(&transport(), &url)), "webhook-tls");
    let seen = server.end();
    assert!(!seen.windows(5).any(|window| window == b"msg_1"));
}
