//! Why a mailer can't be made, and why a mail was not sent.

use core::error::Error;
use core::fmt;

use guestlist::MailError;

type Source = Box<dyn Error + Send + Sync>;

/// Why no mailer was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The sender has an address that mail servers don't take.
    #[error("the sender's address can't send mail")]
    Sender,
    /// [`Security::Plain`](crate::Security::Plain) with a server that is not on this machine.
    #[error("mail to another machine is sent encrypted")]
    Plain,
    /// A password for a server that is not on this machine, without encryption.
    #[error("a password is not sent to another machine without encryption")]
    PlainPassword,
    /// A root certificate that can't be read.
    #[error("the encryption can't be set up")]
    Encryption(#[source] Source),
}

impl BuildError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Sender => "mailer-sender",
            Self::Plain => "mailer-plain",
            Self::PlainPassword => "mailer-plain-password",
            Self::Encryption(_) => "mailer-encryption",
        }
    }
}

/// How far a conversation with a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Greetings and encryption.
    Connecting,
    /// User and password.
    LoggingIn,
    /// Sender, recipient and the mail itself.
    Sending,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::LoggingIn => "logging in",
            Self::Sending => "sending",
        })
    }
}

/// Why a mail was not sent: the source of every [`MailError`] of this crate.
///
/// It never holds anything of the mail, so it may be logged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The recipient has an address that mail servers don't take, such as `a..b@example.com`.
    #[error("mail can't be sent to addresses of this form")]
    Recipient,
    /// A notice whose id is no id: empty, longer than 200 bytes, or with other characters than
    /// letters, digits, `-`, and `.` between them.
    #[error("the id of a notice has letters, digits, `-`, and `.` between them")]
    NoticeId,
    /// A [`Template`](crate::Template) put the token into the subject, which mail servers log.
    #[error("a subject must not hold the token")]
    SecretInSubject,
    /// The server doesn't take addresses beyond ASCII, and one of these is.
    #[error("the server takes no addresses beyond ascii")]
    NotAscii,
    /// The server said no.
    #[error("the server replied {code} while {stage}")]
    Reply {
        /// When it did.
        stage: Stage,
        /// The three digits, such as 550.
        code: u16,
        /// The enhanced status, such as `5.1.1`, if it sent one.
        status: Option<String>,
    },
    /// The server offers no encryption.
    #[error("the server offers no encryption")]
    NoEncryption,
    /// The server offers no way to log in that is spoken here.
    #[error("the server takes no user and password")]
    NoLogin,
    /// The server can't be reached, is not who it should be, or hung up.
    #[error("no connection to the server while {stage}")]
    Connection {
        /// When it was lost.
        stage: Stage,
        /// What the system or the encryption says.
        #[source]
        source: Source,
    },
    /// The server says something that is not SMTP, or hung up in the middle of it.
    #[error("the server broke off or speaks no smtp while {stage}")]
    Protocol {
        /// When it did.
        stage: Stage,
    },
    /// The server took too long. If it had everything by then, it may send the mail all the same.
    #[error("the server took too long")]
    Timeout,
    /// The folder for mails can't be written to.
    #[error("the folder for mails can't be written to")]
    Folder(#[source] std::io::Error),
}

impl SendError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Recipient => "send-recipient",
            Self::NoticeId => "send-notice-id",
            Self::SecretInSubject => "send-secret-in-subject",
            Self::NotAscii => "send-not-ascii",
            Self::Reply { .. } => "send-reply",
            Self::NoEncryption => "send-no-encryption",
            Self::NoLogin => "send-no-login",
            Self::Connection { .. } => "send-connection",
            Self::Protocol { .. } => "send-protocol",
            Self::Timeout => "send-timeout",
            Self::Folder(_) => "send-folder",
        }
    }

    /// Whether the same mail may be sent later. Not if the server replied 5xx to the mail itself;
    /// where it greets or lets nobody log in, or asks for a login (530), it speaks of us and not of
    /// this mail.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Recipient | Self::NoticeId | Self::SecretInSubject | Self::NotAscii => false,
            Self::Reply { stage, code, .. } => {
                *code < 500 || *code == 530 || !matches!(stage, Stage::Sending)
            }
            Self::NoEncryption
            | Self::NoLogin
            | Self::Connection { .. }
            | Self::Protocol { .. }
            | Self::Timeout
            | Self::Folder(_) => true,
        }
    }

    /// What the SMTP client reports, without the server's words.
    pub(crate) fn from_smtp(stage: Stage, error: lettre::transport::smtp::Error) -> Self {
        if let Some(code) = error.status() {
            return Self::Reply {
                stage,
                code: code.into(),
                status: error.source().and_then(|text| status(&text.to_string())),
            };
        }
        if error.is_client() {
            return match stage {
                Stage::Connecting => Self::NoEncryption,
                Stage::LoggingIn => Self::NoLogin,
                Stage::Sending => Self::NotAscii,
            };
        }
        if error.is_response() {
            return Self::Protocol { stage };
        }
        Self::Connection {
            stage,
            source: error.into(),
        }
    }
}

impl From<SendError> for MailError {
    fn from(error: SendError) -> Self {
        if error.is_transient() {
            Self::Unavailable(error.into())
        } else {
            Self::Refused(error.into())
        }
    }
}

/// The enhanced status that a reply's text begins with (RFC 3463): a digit and two numbers.
fn status(text: &str) -> Option<String> {
    let word = text.split_ascii_whitespace().next()?;
    let mut parts = word.split('.');
    let class = parts.next().filter(|part| matches!(*part, "2" | "4" | "5"));
    let is_number =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let numbers = parts.clone().count() == 2 && parts.all(is_number);
    (class.is_some() && numbers).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable() {
        let source = || Source::from("x");
        let stage = Stage::Sending;
        let build = [
            BuildError::Sender,
            BuildError::Plain,
            BuildError::PlainPassword,
            BuildError::Encryption(source()),
        ];
        assert_eq!(
            build.map(|error| error.code()),
            [
                "mailer-sender",
                "mailer-plain",
                "mailer-plain-password",
                "mailer-encryption",
            ]
        );
        let reply = |code| SendError::Reply {
            stage,
            code,
            status: None,
        };
        let send = [
            SendError::Recipient,
            SendError::NoticeId,
            SendError::SecretInSubject,
            SendError::NotAscii,
            reply(550),
            reply(451),
            SendError::NoEncryption,
            SendError::NoLogin,
            SendError::Connection {
                stage,
                source: source(),
            },
            SendError::Protocol { stage },
            SendError::Timeout,
            SendError::Folder(std::io::Error::other("x")),
        ];
        assert_eq!(
            send.map(|error| (error.code(), error.is_transient())),
            [
                ("send-recipient", false),
                ("send-notice-id", false),
                ("send-secret-in-subject", false),
                ("send-not-ascii", false),
                ("send-reply", false),
                ("send-reply", true),
                ("send-no-encryption", true),
                ("send-no-login", true),
                ("send-connection", true),
                ("send-protocol", true),
                ("send-timeout", true),
                ("send-folder", true),
            ]
        );
    }

    #[test]
    fn only_a_status_is_read_out_of_a_reply() {
        for (text, expected) in [
            ("5.1.1 no such user", Some("5.1.1")),
            ("4.7.100 later", Some("4.7.100")),
            ("https://app.example/join?token=x is listed", None),
            ("5.1.gle_0100000000 no", None),
            ("5.1.1.1 no", None),
            ("5.1 no", None),
            ("3.1.1 no", None),
            ("", None),
        ] {
            assert_eq!(status(text).as_deref(), expected, "{text:?}");
        }
    }
}
