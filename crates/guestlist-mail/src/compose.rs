//! Makes a mail out of what is to be said. Pure: time is an argument, and only the boundary
//! between text and HTML is drawn at random.

use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use guestlist::{EmailAddress, InviteMail, Notice, Timestamp};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use crate::error::SendError;
use crate::letterhead::Letterhead;
use crate::template::Content;
use crate::text::{header, lines};

/// The longest subject, in characters.
const SUBJECT: usize = 200;

/// The longest id of a notice, in bytes: a message id has to fit into a line.
const NOTICE_ID: usize = 200;

/// The last second of the year 9999, which is the last that a mail can have.
const LAST_MICROS: u64 = 253_402_300_799_999_999;

/// A mail, and what it is called in its message id and as a file.
pub(crate) struct Composed {
    pub(crate) name: String,
    pub(crate) message: Message,
}

pub(crate) fn invite(
    letterhead: &Letterhead,
    mail: &InviteMail<'_>,
    now: Timestamp,
) -> Result<Composed, SendError> {
    let content = letterhead
        .template
        .invite(mail, letterhead.product.as_ref());
    if content.subject.contains(mail.token.expose_secret()) {
        return Err(SendError::SecretInSubject);
    }
    let name = format!("invite-{}", mail.token.selector());
    compose(letterhead, mail.to, &content, name, now)
}

pub(crate) fn notice(
    letterhead: &Letterhead,
    notice: &Notice,
    now: Timestamp,
) -> Result<Composed, SendError> {
    let is_atom = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if notice.id.len() > NOTICE_ID || !notice.id.split('.').all(is_atom) {
        return Err(SendError::NoticeId);
    }
    let content = letterhead
        .template
        .notice(notice, letterhead.product.as_ref());
    let name = format!("notice-{}", notice.id);
    compose(letterhead, &notice.to, &content, name, now)
}

/// The address, if mail can be sent to it: an e-mail address may have dots where a mailbox can't.
pub(crate) fn address(address: &EmailAddress) -> Option<Address> {
    address.as_str().parse().ok()
}

fn compose(
    letterhead: &Letterhead,
    to: &EmailAddress,
    content: &Content,
    name: String,
    now: Timestamp,
) -> Result<Composed, SendError> {
    let to = address(to).ok_or(SendError::Recipient)?;
    let from = address(&letterhead.from).ok_or(SendError::Recipient)?;
    let from_name = letterhead.from_name.as_ref().map(ToString::to_string);
    let message_id = format!("<{name}@{}>", from.domain());
    let message = Message::builder()
        .from(Mailbox::new(from_name, from))
        .to(Mailbox::new(None, to))
        .date(date(now))
        .message_id(Some(message_id))
        .subject(header(&content.subject, SUBJECT))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(MultiPart::alternative_plain_html(
            lines(&content.text),
            lines(&content.html),
        ))
        // The builder misses a sender or a recipient only if none is given.
        .map_err(|_| SendError::Recipient)?;
    Ok(Composed { name, message })
}

fn date(now: Timestamp) -> SystemTime {
    let micros = u64::try_from(now.as_micros()).unwrap_or(0);
    UNIX_EPOCH + Duration::from_micros(micros.min(LAST_MICROS))
}

#[cfg(test)]
mod tests;
