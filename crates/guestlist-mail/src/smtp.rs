//! The mailer that talks to a mail server.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use async_trait::async_trait;
use guestlist::types::EmailDomain;
use guestlist::{InviteMail, MailError, Mailer, Notice};
use lettre::Message;
use lettre::transport::smtp::authentication::{Credentials as Login, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::compose;
use crate::error::{BuildError, SendError, Stage};
use crate::letterhead::Letterhead;

const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a server is waited for to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a certificate in PEM begins with: a file without one would be taken as trust in nobody.
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// How the way to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Security {
    /// Encrypted from the first byte; port 465 if nothing is said.
    #[default]
    Tls,
    /// Encrypted after a greeting, or nothing is sent; port 587 if nothing is said.
    StartTls,
    /// Not encrypted, and only to this machine (`localhost`, `127.0.0.1`, `[::1]`); port 25 if
    /// nothing is said.
    Plain,
    /// Not encrypted, to any machine: whoever is on the way can read every mail and use every
    /// invite. For networks of your own. Port 25 if nothing is said.
    PlainAcrossNetwork,
}

/// The user and the password that a server knows us by. Wiped from memory when dropped; the copies
/// that are made for each connection are not.
#[derive(Clone)]
pub struct Credentials {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl Credentials {
    /// This user with this password.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: Zeroizing::new(user.into()),
            password: Zeroizing::new(password.into()),
        }
    }

    /// A copy that nobody wipes: the SMTP client has no other form.
    fn login(&self) -> Login {
        Login::new(self.user.to_string(), self.password.to_string())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Sends each mail to a mail server, over a connection of its own.
///
/// A mail is sent once the server has taken it; whatever happens after that is no error. Nothing is
/// tried twice. If the connection is lost or the time is up while the server holds a whole mail and
/// has not answered, the call fails and the mail may arrive all the same: a second one has the same
/// `Message-ID`.
///
/// A mailbox beyond ASCII (`\u{fc}` before the `@`) needs a server that offers `SMTPUTF8`; another
/// one gets nothing ([`NotAscii`](SendError::NotAscii)). Domains are sent in ASCII.
///
/// | what happens | [`MailError`] |
/// |---|---|
/// | the server replies 5xx to the mail; the address is none that mail servers take | [`Refused`](MailError::Refused) |
/// | it replies 4xx, greets or answers the login with 5xx, asks for a login (530), can't be reached, hangs up, takes too long, offers no encryption or not with a certificate that is trusted | [`Unavailable`](MailError::Unavailable) |
///
/// The source of either is a [`SendError`].
#[derive(Debug)]
pub struct SmtpMailer {
    host: String,
    port: u16,
    hello: ClientId,
    encryption: Encryption,
    credentials: Option<Credentials>,
    timeout: Duration,
    letterhead: Letterhead,
}

enum Encryption {
    None,
    AtOnce(TlsParameters),
    AfterGreeting(TlsParameters),
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::AtOnce(_) => "AtOnce",
            Self::AfterGreeting(_) => "AfterGreeting",
        })
    }
}

/// How an [`SmtpMailer`] talks to its server.
#[derive(Debug, Clone)]
#[must_use = "no mailer is made until `build`"]
pub struct SmtpBuilder {
    host: String,
    port: Option<u16>,
    security: Security,
    hello: Option<EmailDomain>,
    root_certificates: Vec<Vec<u8>>,
    credentials: Option<Credentials>,
    timeout: Duration,
    letterhead: Letterhead,
}

impl SmtpMailer {
    /// A mailer that sends through the server of this name or IP address.
    pub fn builder(host: impl Into<String>, letterhead: Letterhead) -> SmtpBuilder {
        SmtpBuilder {
            host: host.into(),
            port: None,
            security: Security::Tls,
            hello: None,
            root_certificates: Vec::new(),
            credentials: None,
            timeout: TIMEOUT,
            letterhead,
        }
    }

    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let mut connection = timeout(self.timeout, self.converse(message))
            .await
            .map_err(|_| SendError::Timeout)??;
        goodbye(&mut connection).await;
        Ok(())
    }

    async fn converse(&self, message: &Message) -> Result<AsyncSmtpConnection, SendError> {
        let failed = |stage| move |error| SendError::from_smtp(stage, error);
        let at_once = match &self.encryption {
            Encryption::AtOnce(parameters) => Some(parameters.clone()),
            Encryption::None | Encryption::AfterGreeting(_) => None,
        };
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (self.host.as_str(), self.port),
            None,
            &self.hello,
            at_once,
            None,
        )
        .await
        .map_err(failed(Stage::Connecting))?;
        if let Encryption::AfterGreeting(parameters) = &self.encryption {
            if !connection.can_starttls() {
                goodbye(&mut connection).await;
                return Err(SendError::NoEncryption);
            }
            connection
                .starttls(parameters.clone(), &self.hello)
                .await
                .map_err(failed(Stage::Connecting))?;
        }
        if let Some(credentials) = &self.credentials {
            let login = credentials.login();
            if let Err(error) = connection.auth(DEFAULT_MECHANISMS, &login).await {
                goodbye(&mut connection).await;
                return Err(SendError::from_smtp(Stage::LoggingIn, error));
            }
        }
        connection
            .send(message.envelope(), &message.formatted())
            .await
            .map_err(failed(Stage::Sending))?;
        Ok(connection)
    }
}

impl SmtpBuilder {
    /// The port, if it is not the usual one.
    pub const fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// How the way to the server is protected; [`Security::Tls`] if nothing is said.
    pub const fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Trusts the servers that this certificate authority vouches for, besides those that browsers
    /// trust. In PEM.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// Logs in before sending.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// What this machine calls itself when it greets the server; the domain of the sender if
    /// nothing is said.
    pub fn hello(mut self, domain: EmailDomain) -> Self {
        self.hello = Some(domain);
        self
    }

    /// How long one mail may take; 20 seconds if nothing is said.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the mailer. Connects to nothing.
    ///
    /// # Errors
    ///
    /// [`BuildError`] says which of the settings don't go together.
    pub fn build(self) -> Result<SmtpMailer, BuildError> {
        let sender = compose::address(&self.letterhead.from).ok_or(BuildError::Sender)?;
        let is_local = is_loopback(&self.host);
        let encryption = match self.security {
            Security::Tls => Encryption::AtOnce(self.tls()?),
            Security::StartTls => Encryption::AfterGreeting(self.tls()?),
            Security::Plain if !is_local => return Err(BuildError::Plain),
            Security::PlainAcrossNetwork if !is_local && self.credentials.is_some() => {
                return Err(BuildError::PlainPassword);
            }
            Security::Plain | Security::PlainAcrossNetwork => Encryption::None,
        };
        let usual_port = match self.security {
            Security::Tls => 465,
            Security::StartTls => 587,
            Security::Plain | Security::PlainAcrossNetwork => 25,
        };
        let hello = self
            .hello
            .map_or_else(|| sender.domain().to_owned(), |domain| domain.to_string());
        Ok(SmtpMailer {
            host: self.host,
            port: self.port.unwrap_or(usual_port),
            hello: ClientId::Domain(hello),
            encryption,
            credentials: self.credentials,
            timeout: self.timeout,
            letterhead: self.letterhead,
        })
    }

    fn tls(&self) -> Result<TlsParameters, BuildError> {
        let failed = |error: lettre::transport::smtp::Error| BuildError::Encryption(error.into());
        let mut builder = TlsParameters::builder(self.host.clone());
        for pem in &self.root_certificates {
            if !pem.windows(PEM.len()).any(|window| window == PEM) {
                return Err(BuildError::Encryption("no certificate in pem".into()));
            }
            builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(failed)?);
        }
        builder.build_rustls().map_err(failed)
    }
}

/// Hangs up. What was said before stands, however the server takes it.
async fn goodbye(connection: &mut AsyncSmtpConnection) {
    let _ = timeout(GOODBYE, connection.abort()).await;
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn invite(&self, mail: &InviteMail<'_>) -> Result<(), MailError> {
        let mail = compose::invite(&self.letterhead, mail, self.letterhead.clock.now())?;
        Ok(self.send(&mail.message).await?)
    }

    async fn notify(&self, notice: &Notice) -> Result<(), MailError> {
        let mail = compose::notice(&self.letterhead, notice, self.letterhead.clock.now())?;
        Ok(self.send(&mail.message).await?)
    }
}

#[cfg(test)]
mod tests {
    use guestlist::EmailAddress;

    use super::*;

    fn builder(host: &str) -> SmtpBuilder {
        let from = EmailAddress::parse("invites@app.example").unwrap();
        SmtpMailer::builder(host, Letterhead::new(from))
    }

    fn refused(builder: SmtpBuilder) -> &'static str {
        builder.build().unwrap_err().code()
    }

    #[test]
    fn nothing_leaves_the_machine_unencrypted_by_mistake() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "::1"] {
            assert!(builder(host).security(Security::Plain).build().is_ok());
        }
        for host in ["smtp.example", "10.0.0.1", "localhost.example", "0.0.0.0"] {
            let plain = builder(host).security(Security::Plain);
            assert_eq!(refused(plain), "mailer-plain", "{host}");
            let explicit = builder(host).security(Security::PlainAcrossNetwork);
            assert!(explicit.clone().build().is_ok());
            let login = explicit.credentials(Credentials::new("app", "sesame"));
            assert_eq!(refused(login), "mailer-plain-password", "{host}");
        }
    }

    #[test]
    fn ports_are_the_usual_ones() {
        for (security, port) in [
            (Security::Tls, 465),
            (Security::StartTls, 587),
            (Security::Plain, 25),
            (Security::PlainAcrossNetwork, 25),
        ] {
            let mailer = builder("localhost").security(security).build().unwrap();
            assert_eq!(mailer.port, port);
        }
        assert_eq!(builder("smtp.example").build().unwrap().timeout, TIMEOUT);
    }

    #[test]
    fn settings_that_can_not_work_are_refused() {
        let marks = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
        for pem in [
            "",
            "no certificate",
            marks,
            &marks.replace("-\n-", "-\n?\n-"),
        ] {
            let certificate = builder("smtp.example").root_certificate(pem);
            assert_eq!(refused(certificate), "mailer-encryption", "{pem:?}");
        }
        let from = EmailAddress::parse("a..b@app.example").unwrap();
        let sender = SmtpMailer::builder("smtp.example", Letterhead::new(from));
        assert_eq!(refused(sender), "mailer-sender");
    }

    #[test]
    fn passwords_are_not_shown() {
        let mailer = builder("smtp.example")
            .credentials(Credentials::new("app", "sesame"))
            .build()
            .unwrap();
        let shown = format!("{mailer:?}");
        assert!(shown.contains("smtp.example") && !shown.contains("sesame"));
    }
}
