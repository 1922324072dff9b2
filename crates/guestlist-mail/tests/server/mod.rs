//! A mail server on loopback that does what it is told, and writes down what it hears.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The authority that vouches for the server; its own key is gone. The certificates end in a hundred
/// years, and the server's key guards nothing but these tests.
pub(crate) const AUTHORITY: &str = include_str!("../certificates/ca.pem");

/// The user `app` with the password `sesame`, as AUTH PLAIN has it.
pub(crate) const LOGIN: &str = "AGFwcABzZXNhbWU=";

/// What the server does when it is its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Say(&'static str),
    HangUp,
    /// Says nothing any more, while the clock of the test runs to the end of every wait.
    Hang,
}

/// Whether the server encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Never,
    AtOnce,
    Offered,
    /// It says so, and then goes on in plain text.
    Pretended,
}

/// What the server does at each turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    pub(crate) tls: Tls,
    pub(crate) greeting: Turn,
    pub(crate) asks_for_login: bool,
    /// Whether it takes mailboxes beyond ASCII.
    pub(crate) takes_utf8: bool,
    pub(crate) sender: Turn,
    pub(crate) recipient: Turn,
    pub(crate) data: Turn,
    pub(crate) stored: Turn,
    pub(crate) quit: Turn,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            tls: Tls::Never,
            greeting: Turn::Say("220 test.example ready"),
            asks_for_login: false,
            takes_utf8: false,
            sender: Turn::Say("250 2.1.0 fine"),
            recipient: Turn::Say("250 2.1.5 fine"),
            data: Turn::Say("354 go on"),
            stored: Turn::Say("250 2.0.0 taken"),
            quit: Turn::Say("221 2.0.0 bye"),
        }
    }
}

/// What was heard over one connection.
#[derive(Debug, Default, Clone)]
pub(crate) struct Session {
    /// The commands, without what was sent as mail.
    pub(crate) commands: Vec<String>,
    /// The mails, as they were sent, without the final dot.
    pub(crate) mails: Vec<String>,
    pub(crate) encrypted: bool,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    sessions: Arc<Mutex<Vec<Session>>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sessions = Arc::new(Mutex::new(Vec::new()));
        let (stop, mut stopped) = oneshot::channel();
        let heard = Arc::clone(&sessions);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = tokio::select! {
                    biased;
                    accepted = listener.accept() => accepted.unwrap(),
                    _ = &mut stopped => return,
                };
                let mut session = Session::default();
                // What goes wrong on the way to the client is the client's to tell.
                let _ = serve(stream, script, &mut session).await;
                heard.lock().unwrap().push(session);
            }
        });
        Self {
            port,
            sessions,
            stop,
            task,
        }
    }

    /// What was heard, once every client has hung up.
    pub(crate) async fn sessions(self) -> Vec<Session> {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        let sessions = self.sessions.lock().unwrap();
        sessions.clone()
    }
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../certificates/server.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../certificates/server.key"));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.unwrap()], key.unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve<S>(stream: S, script: Script, session: &mut Session) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if script.tls == Tls::AtOnce {
        let stream = acceptor().accept(stream).await?;
        session.encrypted = true;
        return talk(stream, script, true, session).await.map(|_| ());
    }
    let Some(stream) = talk(stream, script, true, session).await? else {
        return Ok(());
    };
    let stream = acceptor().accept(stream).await?;
    session.encrypted = true;
    talk(stream, script, false, session).await.map(|_| ())
}

/// Talks until the client or the server hangs up, or until encryption begins: then the stream is
/// given back.
async fn talk<S>(
    stream: S,
    script: Script,
    greet: bool,
    session: &mut Session,
) -> std::io::Result<Option<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    if greet && !take_turn(&mut stream, script.greeting).await? {
        return Ok(None);
    }
    loop {
        let mut command = Vec::new();
        if stream.read_until(b'\n', &mut command).await? == 0 {
            return Ok(None);
        }
        let command = String::from_utf8_lossy(&command).trim_end().to_owned();
        session.commands.push(command.clone());
        let turn = match command.split(' ').next().unwrap_or_default() {
            "EHLO" if script.tls == Tls::Offered || script.tls == Tls::Pretended => {
                match (session.encrypted, script.asks_for_login) {
                    (false, _) => Turn::Say("250-test.example\r\n250 STARTTLS"),
                    (true, true) => Turn::Say("250-test.example\r\n250 AUTH PLAIN"),
                    (true, false) => Turn::Say("250 test.example"),
                }
            }
            "EHLO" if script.asks_for_login => {
                Turn::Say("250-test.example\r\n250 AUTH PLAIN LOGIN")
            }
            "EHLO" if script.takes_utf8 => {
                Turn::Say("250-test.example\r\n250-8BITMIME\r\n250 SMTPUTF8")
            }
            "EHLO" => Turn::Say("250-test.example\r\n250 PIPELINING"),
            "STARTTLS" if script.tls == Tls::Offered => {
                take_turn(&mut stream, Turn::Say("220 2.0.0 go on")).await?;
                return Ok(Some(stream.into_inner()));
            }
            "STARTTLS" => Turn::Say("220 2.0.0 go on"),
            "AUTH" if command == format!("AUTH PLAIN {LOGIN}") => Turn::Say("235 2.7.0 welcome"),
            "AUTH" => Turn::Say("535 5.7.8 wrong"),
            "MAIL" => script.sender,
            "RCPT" => script.recipient,
            "DATA" => {
                if !take_turn(&mut stream, script.data).await? {
                    return Ok(None);
                }
                if !matches!(script.data, Turn::Say(reply) if reply.starts_with('3')) {
                    continue;
                }
                let mut mail = Vec::new();
                while !mail.ends_with(b"\r\n.\r\n") {
                    if stream.read_until(b'\n', &mut mail).await? == 0 {
                        return Ok(None);
                    }
                }
                mail.truncate(mail.len() - b".\r\n".len());
                session.mails.push(String::from_utf8(mail).unwrap());
                script.stored
            }
            "QUIT" => {
                take_turn(&mut stream, script.quit).await?;
                return Ok(None);
            }
            _ => Turn::Say("500 5.5.1 what?"),
        };
        if !take_turn(&mut stream, turn).await? {
            return Ok(None);
        }
    }
}

/// Whether the server has said something, and so goes on.
async fn take_turn<S>(stream: &mut BufReader<S>, turn: Turn) -> std::io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match turn {
        Turn::Say(reply) => {
            stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
            stream.flush().await?;
            Ok(true)
        }
        Turn::HangUp => Ok(false),
        Turn::Hang => {
            tokio::time::pause();
            // Until the client hangs up.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await?;
            tokio::time::resume();
            Ok(false)
        }
    }
}
