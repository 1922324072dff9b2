//! Sends the mail of guestlist: a [`Mailer`](guestlist::Mailer) over SMTP, and one that writes
//! files while you develop.
//!
//! ```
//! use guestlist::{DisplayName, EmailAddress};
//! use guestlist_mail::{Credentials, FileMailer, Letterhead, Security, SmtpMailer};
//!
//! let letterhead = Letterhead::new(EmailAddress::parse("invites@app.example")?)
//!     .from_name(DisplayName::parse("Example")?)
//!     .product(DisplayName::parse("Example")?);
//!
//! let mailer = SmtpMailer::builder("smtp.app.example", letterhead.clone())
//!     .security(Security::StartTls)
//!     .credentials(Credentials::new("app", "the password"))
//!     .build()?;
//!
//! // While you develop: one `.eml` file for each mail, to be opened with any mail program.
//! let mailer = FileMailer::new("target/mails", letterhead);
//! # let _ = mailer;
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Every mail is text with an HTML alternative, without images, scripts, styles or anything else
//! that is loaded from somewhere. The wording is [`English`]; with a [`Template`] it is yours.
//!
//! | header | value |
//! |---|---|
//! | `From` | the [`Letterhead`]'s address and name |
//! | `To` | the one recipient; there is no `Cc` and no `Bcc` |
//! | `Message-ID` | `notice-` and the notice's id, so that the same notice sent twice can be told from two; `invite-` and the token's selector, which opens nothing |
//! | `Auto-Submitted` | `auto-generated`, so that nobody's vacation answers |
//! | `Date` | the [`Letterhead`]'s clock |
//!
//! What people wrote is escaped in HTML, and cut in subjects. Line breaks can't get into a header:
//! the types of guestlist have none, and what is not such a type is cleaned.
//!
//! An invite's mail holds its token, and so do copies of it in memory for as long as it is sent.
//! Nothing else does: no error, no `Debug` form, no file name, no header. The text of a server's
//! refusal is dropped as well, because servers like to quote the link that they dislike; its codes
//! are kept in [`SendError::Reply`]. Nothing is logged here. The feature `tracing` of `lettre`,
//! which this crate doesn't switch on, logs whole mails and passwords: don't switch it on either.
//!
//! Both mailers need a tokio runtime with time and, for SMTP, I/O switched on.
//!
//! Not here: when a mail is sent and what happens if it can't be (`guestlist`); queues, bounces,
//! DKIM signatures (your mail server).

#![warn(clippy::wildcard_enum_match_arm)]

mod compose;
mod english;
mod error;
mod file;
mod letterhead;
mod smtp;
mod template;
mod text;

pub use english::English;
pub use error::{BuildError, SendError, Stage};
pub use file::FileMailer;
pub use letterhead::Letterhead;
pub use smtp::{Credentials, Security, SmtpBuilder, SmtpMailer};
pub use template::{Content, Template};

/// The code in the guide is compiled and run like that in these docs.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../docs/guide/email-invites.md")]
    struct EmailInvites;
}
