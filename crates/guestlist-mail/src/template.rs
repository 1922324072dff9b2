//! What a mail says: made by a template.

use core::fmt;

use guestlist::{DisplayName, InviteMail, Notice};
use zeroize::Zeroize;

/// Words every mail. [`English`](crate::English) is the one that comes with this crate.
///
/// Names and texts in a mail are people's own words: escape them in HTML. The subject is made one
/// line and cut at 200 characters afterwards; nothing else is changed or checked.
///
/// ```
/// use guestlist::{DisplayName, InviteMail, Notice};
/// use guestlist_mail::{Content, English, Template};
///
/// /// Other invites, the same notices.
/// struct Terse;
///
/// impl Template for Terse {
///     fn invite(&self, mail: &InviteMail<'_>, _: Option<&DisplayName>) -> Content {
///         let secret = mail.url.map_or(mail.token.expose_secret(), |url| url.expose_secret());
///         let html = format!("<p>Join: <a href=\"{}\">here</a></p>", secret.replace('&', "&amp;"));
///         Content::new(format!("Join @{}", mail.host), format!("Join: {secret}\n"), html)
///     }
///
///     fn notice(&self, notice: &Notice, product: Option<&DisplayName>) -> Content {
///         English.notice(notice, product)
///     }
/// }
/// ```
pub trait Template: Send + Sync {
    /// Words an invite. It has to hold the URL or the token, but not in the subject: a mail with
    /// the token there is not sent, because mail servers log subjects.
    fn invite(&self, mail: &InviteMail<'_>, product: Option<&DisplayName>) -> Content;

    /// Words a notice.
    fn notice(&self, notice: &Notice, product: Option<&DisplayName>) -> Content;
}

/// What one mail says. Wiped from memory when dropped.
pub struct Content {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Content {
    /// A subject, a plain text, and a whole HTML document that says the same.
    #[must_use]
    pub fn new(
        subject: impl Into<String>,
        text: impl Into<String>,
        html: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            text: text.into(),
            html: html.into(),
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.subject.zeroize();
        self.text.zeroize();
        self.html.zeroize();
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}
