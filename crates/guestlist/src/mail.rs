//! The mail port: what guestlist wants people to be written, and to whom.

use core::error::Error;

use async_trait::async_trait;
use guestlist_token::{InviteToken, SecretUrl};
use guestlist_types::{
    DisplayName, EmailAddress, Member, Message, OrgName, Reason, RoleName, Timestamp,
};

/// Writes to people. guestlist says what; how it looks is the mailer's.
///
/// Names and texts in a mail are bounded in length and free of control characters, but they are
/// people's own words and may hold markup: escape them where they are shown.
///
/// The crate `guestlist-mail` has one over SMTP.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Sends an e-mail invite. Called after the invite is stored, once for each token: a mail that
    /// could not be sent leaves a pending invite that is marked undelivered and can be resent.
    ///
    /// # Errors
    ///
    /// [`MailError`] if it is not known to be sent.
    async fn invite(&self, mail: &InviteMail<'_>) -> Result<(), MailError>;

    /// Tells somebody what became of a request or a membership. May be called again for the same
    /// [`Notice::id`] if it is not known whether the first call came through.
    ///
    /// # Errors
    ///
    /// [`MailError`] if it is not known to be sent.
    async fn notify(&self, notice: &Notice) -> Result<(), MailError>;
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// This recipient or this mail is refused; trying again doesn't help.
    #[error("the mail was refused")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// Mail can't be sent now; the same may work later.
    #[error("mail can't be sent now")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl MailError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "mail-refused",
            Self::Unavailable(_) => "mail-unavailable",
        }
    }

    /// Whether the same mail may be sent later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// An e-mail invite on its way to its address. Holds the secret that opens it: don't log the text.
#[derive(Debug)]
#[non_exhaustive]
pub struct InviteMail<'a> {
    /// Where it goes.
    pub to: &'a EmailAddress,
    /// The handle of the organization that invites.
    pub host: &'a OrgName,
    /// What people are shown for it.
    pub host_display_name: Option<&'a DisplayName>,
    /// Who invites, as people are shown.
    pub inviter: Option<&'a DisplayName>,
    /// The role that is offered to a joining user; `None`: the lowest.
    pub role: Option<&'a RoleName>,
    /// What the inviter says.
    pub message: Option<&'a Message>,
    /// The token.
    pub token: &'a InviteToken,
    /// The token as a link, if [`Builder::join_url`](crate::Builder::join_url) was set.
    pub url: Option<&'a SecretUrl>,
    /// When the invite expires.
    pub expires_at: Option<Timestamp>,
}

impl<'a> InviteMail<'a> {
    /// A mail with what every one has. The fields are public: set the others.
    #[must_use]
    pub const fn new(to: &'a EmailAddress, host: &'a OrgName, token: &'a InviteToken) -> Self {
        Self {
            to,
            host,
            host_display_name: None,
            inviter: None,
            role: None,
            message: None,
            token,
            url: None,
            expires_at: None,
        }
    }
}

/// What a [`Notice`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NoticeKind {
    /// To a reviewer: somebody asks to join.
    RequestReceived,
    /// To the member: the request was approved.
    RequestApproved,
    /// To the member: the request was rejected.
    RequestRejected,
    /// To the member: the membership was ended by the host.
    MembershipRemoved,
    /// To the member: the request or the membership has expired.
    MembershipExpired,
}

impl NoticeKind {
    /// The stable name of this kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "request-received",
            Self::RequestApproved => "request-approved",
            Self::RequestRejected => "request-rejected",
            Self::MembershipRemoved => "membership-removed",
            Self::MembershipExpired => "membership-expired",
        }
    }
}

/// Tells one person what became of a request or a membership. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// Names this notice: the same one, sent again, has the same id. Letters, digits, `.` and `-`.
    pub id: String,
    /// What it is about.
    pub kind: NoticeKind,
    /// Where it goes.
    pub to: EmailAddress,
    /// The handle of the host.
    pub host: OrgName,
    /// What people are shown for it.
    pub host_display_name: Option<DisplayName>,
    /// Whose request or membership it is.
    pub member: Member,
    /// What people are shown for the member.
    pub member_name: Option<DisplayName>,
    /// What was said about it.
    pub reason: Option<Reason>,
    /// When it happened.
    pub at: Timestamp,
}

impl Notice {
    /// A notice with what every one has. The fields are public: set the others.
    #[must_use]
    pub const fn new(
        id: String,
        kind: NoticeKind,
        to: EmailAddress,
        host: OrgName,
        member: Member,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            kind,
            to,
            host,
            host_display_name: None,
            member,
            member_name: None,
            reason: None,
            at,
        }
    }
}
