use guestlist::{
    DisplayName, InviteToken, JoinUrl, Member, NoticeKind, OrgName, Reason, UrlStyle, UserId,
};
use mail_parser::{HeaderValue as Parsed, MessageParser, MimeHeaders};

use super::*;
use crate::template::Template;

const CODE: &str = "0100000000abcdefghijklmnopqrstuv";
const NOW: Timestamp = Timestamp::from_micros(1_795_339_800_000_000);

fn token() -> InviteToken {
    InviteToken::parse_code(guestlist::token::TokenKind::EmailInvite, CODE).unwrap()
}

fn name(text: &str) -> DisplayName {
    DisplayName::parse(text).unwrap()
}

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn letterhead() -> Letterhead {
    Letterhead::new(email("invites@app.example")).from_name(name("Example"))
}

fn a_notice(id: &str) -> Notice {
    Notice::new(
        id.to_owned(),
        NoticeKind::RequestApproved,
        email("ada@example.com"),
        OrgName::parse("widgets-inc").unwrap(),
        Member::User(UserId::parse("user_1").unwrap()),
        NOW,
    )
}

fn send_notice(letterhead: &Letterhead, it: &Notice) -> String {
    let mail = notice(letterhead, it, NOW).ok().unwrap();
    String::from_utf8(mail.message.formatted()).unwrap()
}

fn send_invite(letterhead: &Letterhead, it: &InviteMail<'_>) -> String {
    let mail = invite(letterhead, it, NOW).ok().unwrap();
    String::from_utf8(mail.message.formatted()).unwrap()
}

/// The names of the headers, in order.
fn headers(raw: &str) -> Vec<&str> {
    let (head, _) = raw.split_once("\r\n\r\n").unwrap();
    head.split("\r\n")
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_once(':').unwrap().0)
        .collect()
}

const HEADERS: [&str; 8] = [
    "From",
    "To",
    "Date",
    "Message-ID",
    "Subject",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
];

#[test]
fn a_notice_has_its_headers_and_no_others() {
    let raw = send_notice(&letterhead(), &a_notice("n-1.approved"));
    assert_eq!(headers(&raw), HEADERS);
    let mail = MessageParser::default().parse(raw.as_bytes()).unwrap();
    assert_eq!(mail.message_id(), Some("notice-n-1.approved@app.example"));
    assert_eq!(
        mail.header_raw("Auto-Submitted").map(str::trim),
        Some("auto-generated")
    );
    assert_eq!(
        mail.header_raw("Date").map(str::trim),
        Some("Sun, 22 Nov 2026 09:30:00 +0000")
    );
    let sender = mail.from().unwrap().first().unwrap();
    assert_eq!(sender.name(), Some("Example"));
    assert_eq!(sender.address(), Some("invites@app.example"));
    assert_eq!(
        mail.to().unwrap().first().unwrap().address(),
        Some("ada@example.com")
    );
    assert!(mail.content_type().unwrap().is_attachment().eq(&false));
    assert_eq!((mail.text_body_count(), mail.html_body_count()), (1, 1));
    assert_eq!(mail.attachment_count(), 0);
}

#[test]
fn the_same_notice_is_the_same_mail() {
    let boundary_aside = |raw: String| {
        raw.lines()
            .filter(|line| !line.contains("boundary=") && !line.starts_with("--"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let send = || boundary_aside(send_notice(&letterhead(), &a_notice("n-1")));
    assert_eq!(send(), send());
}

#[test]
fn ids_that_are_no_ids_are_refused() {
    let long = "a".repeat(201);
    for id in [
        "",
        ".a",
        "a.",
        "a..b",
        "a b",
        "a@b",
        "a>\r\nBcc: x",
        "ä",
        &long,
    ] {
        let code = notice(&letterhead(), &a_notice(id), NOW)
            .err()
            .unwrap()
            .code();
        assert_eq!(code, "send-notice-id", "{id:?}");
    }
    assert!(notice(&letterhead(), &a_notice(&"a".repeat(200)), NOW).is_ok());
}

#[test]
fn addresses_that_no_mailbox_has_are_refused() {
    for text in [".a@example.com", "a.@example.com", "a..b@example.com"] {
        let mut mail = a_notice("n-1");
        mail.to = email(text);
        let code = notice(&letterhead(), &mail, NOW).err().unwrap().code();
        assert_eq!(code, "send-recipient", "{text}");
    }
    assert!(EmailAddress::parse("a@example.com\r\nBcc: b@example.com").is_err());
}

#[test]
fn addresses_beyond_ascii_are_sent_to_as_they_are_compared() {
    let mut mail = a_notice("n-1");
    mail.to = email("J\u{fc}rgen@b\u{fc}cher.example");
    let sent = notice(&letterhead(), &mail, NOW).unwrap();
    let [to] = sent.message.envelope().to() else {
        panic!("one recipient");
    };
    assert_eq!(to.to_string(), "j\u{fc}rgen@xn--bcher-kva.example");
}

#[test]
fn an_invite_is_named_by_its_selector_and_never_by_its_secret() {
    let (to, host, token) = (
        email("ada@example.com"),
        OrgName::parse("widgets-inc").unwrap(),
        token(),
    );
    let raw = send_invite(&letterhead(), &InviteMail::new(&to, &host, &token));
    assert_eq!(headers(&raw), HEADERS);
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Message-ID: <invite-0100000000@app.example>\r\n"));
    assert!(!head.contains("abcdefghijklmnopqrstuv") && body.contains("abcdefghijklmnopqrstuv"));
}

#[test]
fn line_breaks_never_reach_a_header() {
    // Names can't have them.
    for text in ["a\r\nBcc: b@example.com", "a\nb", "a\rb", "a\u{2028}b"] {
        assert!(DisplayName::parse(text).is_err() && Reason::parse(text).is_err());
    }
}

/// Puts into a mail whatever should not be there.
struct Rogue;

impl Template for Rogue {
    fn invite(&self, mail: &InviteMail<'_>, _: Option<&DisplayName>) -> Content {
        Content::new(mail.token.expose_secret(), "", "")
    }

    fn notice(&self, _: &Notice, _: Option<&DisplayName>) -> Content {
        let subject = format!("Hello\r\nBcc: eve@example.com{}", "x".repeat(300));
        Content::new(subject, "a\rb\r\n.\r\n\0c\n.\n", "<p>a</p>")
    }
}

#[test]
fn templates_can_not_break_a_mail() {
    let letterhead = letterhead().template(Rogue);
    let raw = send_notice(&letterhead, &a_notice("n-1"));
    assert_eq!(headers(&raw), HEADERS);
    assert_eq!(raw.matches('\r').count(), raw.matches("\r\n").count());
    assert_eq!(raw.matches('\n').count(), raw.matches("\r\n").count());
    let parsed = MessageParser::default().parse(raw.as_bytes()).unwrap();
    assert_eq!(parsed.subject().unwrap().chars().count(), 200);
    assert_eq!(parsed.body_text(0).unwrap(), "a\r\nb\r\n.\r\nc\r\n.\r\n");
    assert!(matches!(parsed.header("Bcc"), None | Some(Parsed::Empty)));

    let (to, host, token) = (
        email("ada@example.com"),
        OrgName::parse("widgets-inc").unwrap(),
        token(),
    );
    let refused = invite(&letterhead, &InviteMail::new(&to, &host, &token), NOW);
    assert_eq!(refused.err().unwrap().code(), "send-secret-in-subject");
}

#[test]
fn names_beyond_ascii_and_very_long_urls_arrive() {
    let (to, host, token) = (
        email("ada@example.com"),
        OrgName::parse("widgets-inc").unwrap(),
        token(),
    );
    let base = format!("https://app.example/{}?a=1&b=2", "x".repeat(950));
    let url = JoinUrl::parse(&base)
        .unwrap()
        .with_token(&token, UrlStyle::Query);
    let long = name(&"\u{6771}".repeat(120));
    let hebrew = name("\u{5e9}\u{5dc}\u{5d5}\u{5dd}");
    let mut mail = InviteMail::new(&to, &host, &token);
    mail.host_display_name = Some(&long);
    mail.inviter = Some(&hebrew);
    mail.url = Some(&url);
    let raw = send_invite(&letterhead().from_name(name("Caf\u{e9} \"<b>\"")), &mail);
    assert!(raw.is_ascii() && raw.lines().all(|line| line.len() <= 998));
    let parsed = MessageParser::default().parse(raw.as_bytes()).unwrap();
    assert_eq!(
        parsed.from().unwrap().first().unwrap().name(),
        Some("Caf\u{e9} \"<b>\"")
    );
    let cut = "\u{6771}".repeat(59);
    assert_eq!(
        parsed.subject().unwrap(),
        format!("\u{2068}{hebrew}\u{2069} invites you to join {cut}\u{2026}")
    );
    let text = parsed.body_text(0).unwrap();
    assert_eq!(text.matches(url.expose_secret()).count(), 1);
    assert_eq!(text.matches(token.expose_secret()).count(), 1);
    let html = parsed.body_html(0).unwrap();
    let link = format!("href=\"{}\"", url.expose_secret().replace('&', "&amp;"));
    assert_eq!(html.matches(&link).count(), 1);
    assert_eq!(html.matches(token.expose_secret()).count(), 1);
}

#[test]
fn dates_stay_within_the_calendar_of_mail() {
    for (now, expected) in [
        (Timestamp::MIN, "Thu, 01 Jan 1970 00:00:00 +0000"),
        (Timestamp::MAX, "Fri, 31 Dec 9999 23:59:59 +0000"),
    ] {
        let mail = notice(&letterhead(), &a_notice("n-1"), now).ok().unwrap();
        let raw = String::from_utf8(mail.message.formatted()).unwrap();
        assert!(raw.contains(&format!("\r\nDate: {expected}\r\n")));
    }
}

#[test]
fn debug_forms_show_nothing_of_a_mail() {
    let content = Content::new(CODE, CODE, CODE);
    assert_eq!(format!("{content:?}"), "Content { .. }");
    assert!(!format!("{:?}", letterhead()).contains("template"));
}
