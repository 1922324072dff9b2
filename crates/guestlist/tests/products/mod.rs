//! What the walks through the documents of products start from.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

pub(crate) mod table;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use guestlist::membership::presets::ProductPreset;
use guestlist::token::token_from_url;
use guestlist::{
    Actor, Builder, Changed, Claim, Error, Guestlist, InviteMail, InviteToken, MailError, Mailer,
    ManualClock, Notice, Store,
};

use crate::common::{builder, register_with, user};

/// Every walk, on both stores, and in the table.
macro_rules! on_both_stores {
    ($($walk:ident),+ $(,)?) => {
        #[test]
        fn the_table_names_every_walk() {
            crate::products::table::check(file!(), &[$(stringify!($walk)),+]);
        }

        crate::common::on_every_store!($($walk),+);
    };
}
pub(crate) use on_both_stores;

/// A guestlist as a product has it, with one organization, `acme`.
pub(crate) async fn product<S: Store>(
    store: S,
    clock: &Arc<ManualClock>,
    preset: ProductPreset,
    mailbox: &Mailbox,
    more: impl FnOnce(Builder<S>) -> Builder<S>,
) -> Guestlist<S> {
    let plain = builder(store, clock, 11)
        .roles(preset.roles)
        .mailer(mailbox.clone());
    let guestlist = more(plain).build();
    register_with(&guestlist, "acme", preset.settings).await;
    guestlist
}

/// Somebody with a verified address.
pub(crate) fn person(name: &str) -> Actor {
    user(name)
        .with_display_name(name.parse().unwrap())
        .with_verified_email(format!("{name}@acme.example").parse().unwrap())
}

/// Comes by a link.
pub(crate) async fn join<S: Store>(
    guestlist: &Guestlist<S>,
    name: &str,
    token: &InviteToken,
) -> Result<Changed, Error> {
    let claim = Claim::for_myself();
    guestlist.claim(&person(name), token, claim).await
}

pub(crate) fn code<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

/// The other side of the mail port: what people find in their mail.
#[derive(Clone, Default)]
pub(crate) struct Mailbox(Arc<Mutex<Vec<Mail>>>);

/// One mail as it is read.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) text: String,
}

impl Mail {
    /// The invite in it: whoever opens the link at its end presents this.
    pub(crate) fn token(&self) -> InviteToken {
        token_from_url(self.text.rsplit(' ').next().unwrap()).unwrap()
    }
}

impl Mailbox {
    /// What has come since the last look.
    pub(crate) fn take(&self) -> Vec<Mail> {
        core::mem::take(&mut self.0.lock().unwrap())
    }

    fn put(&self, to: &impl ToString, text: String) {
        let to = to.to_string();
        self.0.lock().unwrap().push(Mail { to, text });
    }
}

#[async_trait]
impl Mailer for Mailbox {
    async fn invite(&self, mail: &InviteMail<'_>) -> Result<(), MailError> {
        let inviter = mail.inviter.map_or("somebody", AsRef::as_ref);
        let role = mail.role.map_or("the lowest role", AsRef::as_ref);
        let message = mail.message.map_or("", AsRef::as_ref);
        let (host, url) = (mail.host, mail.url.unwrap().expose_secret());
        let text = format!("{inviter} invites you to {host} with {role}: {message} {url}");
        self.put(mail.to, text);
        Ok(())
    }

    async fn notify(&self, notice: &Notice) -> Result<(), MailError> {
        let reason = notice.reason.as_ref().map_or("", AsRef::as_ref);
        let (kind, host, member) = (notice.kind.as_str(), &notice.host, notice.member.id());
        self.put(&notice.to, format!("{kind} {member} {host} {reason}"));
        Ok(())
    }
}
