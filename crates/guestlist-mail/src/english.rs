//! The wording that comes with this crate.

use guestlist::{DisplayName, InviteMail, Member, Notice, NoticeKind, OrgName, Timestamp};
use zeroize::Zeroizing;

use crate::template::{Content, Template};
use crate::text::{escape, isolate, line};

/// How much of a name gets into a subject, in characters.
const SUBJECT_NAME: usize = 60;

/// How much of a name gets into a text, in characters.
const NAME: usize = 120;

/// How much of what somebody said gets into a text, in characters.
const QUOTE: usize = 500;

/// Plain English, friendly and short.
#[derive(Debug, Clone, Copy, Default)]
pub struct English;

impl Template for English {
    fn invite(&self, mail: &InviteMail<'_>, product: Option<&DisplayName>) -> Content {
        let host = host_name(mail.host_display_name, mail.host);
        let mut opening = match mail.inviter {
            Some(inviter) => vec![
                Span::name(inviter.as_str()),
                Span::Text(" invites you to join "),
            ],
            None => vec![Span::Text("You are invited to join ")],
        };
        opening.push(Span::name(host));
        let subject = subject(&opening);
        if mail.host_display_name.is_some() {
            opening.extend(handle(mail.host));
        }
        if let Some(product) = product {
            opening.extend([Span::Text(" on "), Span::name(product.as_str())]);
        }
        opening.push(Span::Text("."));

        let mut facts = Vec::new();
        if let Some(role) = mail.role {
            facts.push(vec![Span::Text("Role: "), Span::name(role.as_str())]);
        }
        if let Some(end) = mail.expires_at {
            facts.push(vec![Span::Text("Valid until: "), Span::Name(moment(end))]);
        }
        Letter {
            subject,
            opening,
            quote: mail
                .message
                .map(|message| ("Message:", line(message.as_str(), QUOTE))),
            facts,
            key: Some(match mail.url {
                Some(url) => Key::Url(url.expose_secret()),
                None => Key::Token(mail.token.expose_secret()),
            }),
            closing: vec![
                vec![
                    Span::Text("This invite is for "),
                    Span::name(mail.to.as_str()),
                    Span::Text(" alone: don't pass it on."),
                ],
                vec![Span::Text(
                    "If you didn't expect it, ignore this mail. Nothing happens then.",
                )],
            ],
        }
        .render()
    }

    fn notice(&self, notice: &Notice, product: Option<&DisplayName>) -> Content {
        let host = || Span::name(host_name(notice.host_display_name.as_ref(), &notice.host));
        let member = || {
            let name = notice
                .member_name
                .as_ref()
                .map(|name| line(name.as_str(), NAME));
            Span::Name(name.unwrap_or_else(|| line(notice.member.id(), NAME)))
        };
        let request = || match &notice.member {
            Member::User(_) => vec![Span::Text("Your request to join "), host()],
            Member::Org(_) => vec![
                Span::Text("The request of "),
                member(),
                Span::Text(" to join "),
                host(),
            ],
        };
        let whose = |what_of_user, what_of_org| match &notice.member {
            Member::User(_) => vec![Span::Text(what_of_user)],
            Member::Org(_) => vec![Span::Text(what_of_org), member()],
        };
        let mut quoted = "Reason:";
        let mut closing = Vec::new();
        let mut opening = match notice.kind {
            NoticeKind::RequestReceived => {
                quoted = "Message:";
                closing.push(vec![Span::Text(
                    "The request waits until somebody approves or rejects it.",
                )]);
                vec![member(), Span::Text(" asks to join "), host()]
            }
            NoticeKind::RequestApproved => {
                let mut spans = request();
                spans.push(Span::Text(" was approved"));
                spans
            }
            NoticeKind::RequestRejected => {
                let mut spans = request();
                spans.push(Span::Text(" was rejected"));
                spans
            }
            NoticeKind::MembershipRemoved => {
                let mut spans = vec![host(), Span::Text(" has ended ")];
                spans.extend(whose("your membership", "the membership of "));
                spans
            }
            NoticeKind::MembershipExpired => {
                let mut spans = whose("Your access", "The access of ");
                spans.extend([Span::Text(" to "), host(), Span::Text(" has expired")]);
                spans
            }
            // A kind that is newer than this wording.
            _ => {
                let mut spans = whose("Your membership", "The membership of ");
                spans.extend([Span::Text(" in "), host(), Span::Text(" has changed")]);
                spans
            }
        };
        let subject = subject(&opening);
        opening.push(Span::Text("."));
        let mut organization = vec![Span::Text("Organization: "), host()];
        if notice.host_display_name.is_some() {
            organization.extend(handle(&notice.host));
        }
        closing.push(match product {
            Some(product) => vec![
                Span::Text("This mail was sent automatically by "),
                Span::name(product.as_str()),
                Span::Text("."),
            ],
            None => vec![Span::Text("This mail was sent automatically.")],
        });
        Letter {
            subject,
            opening,
            quote: notice
                .reason
                .as_ref()
                .map(|reason| (quoted, line(reason.as_str(), QUOTE))),
            facts: vec![
                organization,
                vec![Span::Text("Date: "), Span::Name(moment(notice.at))],
            ],
            key: None,
            closing,
        }
        .render()
    }
}

fn host_name<'a>(name: Option<&'a DisplayName>, handle: &'a OrgName) -> &'a str {
    name.map_or(handle.as_str(), DisplayName::as_str)
}

/// Display names are not unique: the handle says which organization it is.
fn handle(host: &OrgName) -> [Span; 3] {
    [
        Span::Text(" (@"),
        Span::name(host.as_str()),
        Span::Text(")"),
    ]
}

/// `2026-11-22 09:30 UTC`.
fn moment(time: Timestamp) -> String {
    let text = time.to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{date} {} UTC", time.get(..5).unwrap_or_default())
}

fn subject(spans: &[Span]) -> String {
    let mut subject = String::new();
    for span in spans {
        match span {
            Span::Text(text) => subject.push_str(text),
            Span::Name(name) => isolate(&line(name, SUBJECT_NAME), &mut subject),
        }
    }
    subject
}

/// A piece of a sentence.
enum Span {
    /// Ours.
    Text(&'static str),
    /// Theirs.
    Name(String),
}

impl Span {
    fn name(name: &str) -> Self {
        Self::Name(line(name, NAME))
    }
}

/// What an invite is accepted with.
#[derive(Clone, Copy)]
enum Key<'a> {
    Url(&'a str),
    Token(&'a str),
}

/// What a mail says, before it is text or HTML: both are made of the same, so they say the same.
struct Letter<'a> {
    subject: String,
    opening: Vec<Span>,
    /// What somebody said, and how that is announced.
    quote: Option<(&'static str, String)>,
    facts: Vec<Vec<Span>>,
    key: Option<Key<'a>>,
    closing: Vec<Vec<Span>>,
}

impl Letter<'_> {
    fn render(self) -> Content {
        let (text, html) = (self.text(), self.html());
        Content::new(self.subject, text.as_str(), html.as_str())
    }

    fn text(&self) -> Zeroizing<String> {
        let mut out = room();
        spans_as_text(&self.opening, &mut out);
        out.push_str("\n\n");
        if let Some((announced, quote)) = &self.quote {
            out.push_str(announced);
            out.push_str("\n> ");
            isolate(quote, &mut out);
            out.push_str("\n\n");
        }
        for fact in &self.facts {
            spans_as_text(fact, &mut out);
            out.push('\n');
        }
        if !self.facts.is_empty() {
            out.push('\n');
        }
        if let Some(key) = self.key {
            let (announced, secret) = match key {
                Key::Url(url) => ("To accept, open this link:\n", url),
                Key::Token(token) => ("To accept, enter this code:\n", token),
            };
            out.push_str(announced);
            out.push_str(secret);
            out.push_str("\n\n");
        }
        for (position, sentence) in self.closing.iter().enumerate() {
            if position > 0 {
                out.push('\n');
            }
            spans_as_text(sentence, &mut out);
        }
        out.push('\n');
        out
    }

    fn html(&self) -> Zeroizing<String> {
        let mut out = room();
        out.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>");
        escape(&self.subject, &mut out);
        out.push_str("</title></head>\n<body>\n<p>");
        spans_as_html(&self.opening, &mut out);
        out.push_str("</p>\n");
        if let Some((announced, quote)) = &self.quote {
            out.push_str("<p>");
            out.push_str(announced);
            out.push_str("</p>\n<blockquote dir=\"auto\">");
            escape(quote, &mut out);
            out.push_str("</blockquote>\n");
        }
        paragraph(&self.facts, &mut out);
        match self.key {
            Some(Key::Url(url)) => {
                out.push_str("<p><a href=\"");
                escape(url, &mut out);
                out.push_str("\">Accept the invite</a></p>\n");
            }
            Some(Key::Token(token)) => {
                out.push_str("<p>To accept, enter this code: <code>");
                escape(token, &mut out);
                out.push_str("</code></p>\n");
            }
            None => {}
        }
        paragraph(&self.closing, &mut out);
        out.push_str("</body>\n</html>\n");
        out
    }
}

/// With room for every mail, so that growing leaves no copy of a secret behind.
fn room() -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(32 * 1024))
}

fn spans_as_text(spans: &[Span], out: &mut String) {
    for span in spans {
        match span {
            Span::Text(text) => out.push_str(text),
            Span::Name(name) => isolate(name, out),
        }
    }
}

fn spans_as_html(spans: &[Span], out: &mut String) {
    for span in spans {
        match span {
            Span::Text(text) => escape(text, out),
            Span::Name(name) => {
                out.push_str("<bdi>");
                escape(name, out);
                out.push_str("</bdi>");
            }
        }
    }
}

fn paragraph(lines: &[Vec<Span>], out: &mut String) {
    if lines.is_empty() {
        return;
    }
    out.push_str("<p>");
    for (position, spans) in lines.iter().enumerate() {
        if position > 0 {
            out.push_str("<br>\n");
        }
        spans_as_html(spans, out);
    }
    out.push_str("</p>\n");
}

#[cfg(test)]
mod tests;
