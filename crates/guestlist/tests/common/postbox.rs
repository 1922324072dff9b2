//! A mailer that keeps what it is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use guestlist::{InviteMail, InviteToken, MailError, Mailer, Notice, NoticeKind};

/// An invite as it was mailed. The token is in the mail, because nobody could use it otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Mailed {
    pub(crate) to: String,
    pub(crate) secret: String,
    pub(crate) url: Option<String>,
    pub(crate) inviter: Option<String>,
    pub(crate) host_display_name: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) role: Option<String>,
    /// The mail as it is shown in logs.
    pub(crate) debug: String,
}

impl Mailed {
    pub(crate) fn token(&self) -> InviteToken {
        InviteToken::parse(&self.secret).unwrap()
    }
}

#[derive(Debug, Clone, Copy)]
enum Trouble {
    ForNow,
    ForGood,
}

#[derive(Default)]
struct Kept {
    notices: Vec<Notice>,
    invites: Vec<Mailed>,
    trouble: BTreeMap<String, Trouble>,
    /// Everybody, also those who come later.
    down: bool,
    tried: usize,
}

/// Keeps the mails that it is given, and refuses or fails for some addresses.
#[derive(Clone, Default)]
pub(crate) struct Postbox(Arc<Mutex<Kept>>);

impl Postbox {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }

    /// The notices since the last call, as kind and recipient.
    pub(crate) fn take(&self) -> Vec<(NoticeKind, String)> {
        self.notices()
            .into_iter()
            .map(|notice| (notice.kind, notice.to.to_string()))
            .collect()
    }

    /// The notices since the last call.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        core::mem::take(&mut self.kept().notices)
    }

    /// The invites that were mailed since the last call.
    pub(crate) fn invites(&self) -> Vec<Mailed> {
        core::mem::take(&mut self.kept().invites)
    }

    /// How often somebody tried to mail an invite.
    pub(crate) fn tried(&self) -> usize {
        self.kept().tried
    }

    pub(crate) fn close_for(&self, address: &str) {
        let address = address.to_owned();
        self.kept().trouble.insert(address, Trouble::ForNow);
    }

    pub(crate) fn refuse(&self, address: &str) {
        let address = address.to_owned();
        self.kept().trouble.insert(address, Trouble::ForGood);
    }

    pub(crate) fn close(&self) {
        self.kept().down = true;
    }

    pub(crate) fn open(&self) {
        let mut kept = self.kept();
        kept.trouble.clear();
        kept.down = false;
    }
}

impl Kept {
    fn check(&self, address: &str) -> Result<(), MailError> {
        match self.trouble.get(address) {
            Some(Trouble::ForNow) => Err(MailError::Unavailable("the server is down".into())),
            Some(Trouble::ForGood) => Err(MailError::Refused("no such mailbox".into())),
            None if self.down => Err(MailError::Unavailable("the server is down".into())),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Mailer for Postbox {
    async fn invite(&self, mail: &InviteMail<'_>) -> Result<(), MailError> {
        let mut kept = self.kept();
        kept.tried += 1;
        kept.check(mail.to.as_str())?;
        kept.invites.push(Mailed {
            to: mail.to.to_string(),
            secret: mail.token.expose_secret().to_owned(),
            url: mail.url.map(|url| url.expose_secret().to_owned()),
            inviter: mail.inviter.map(ToString::to_string),
            host_display_name: mail.host_display_name.map(ToString::to_string),
            message: mail.message.map(ToString::to_string),
            role: mail.role.map(ToString::to_string),
            debug: format!("{mail:?}"),
        });
        Ok(())
    }

    async fn notify(&self, notice: &Notice) -> Result<(), MailError> {
        let mut kept = self.kept();
        kept.check(notice.to.as_str())?;
        kept.notices.push(notice.clone());
        Ok(())
    }
}
