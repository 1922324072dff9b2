use guestlist::{
    EmailAddress, InviteToken, JoinUrl, Message, OrgId, Reason, RoleName, UrlStyle, UserId,
};

use super::*;

const AT: Timestamp = Timestamp::from_micros(1_795_339_800_000_000);

fn token() -> InviteToken {
    let kind = guestlist::token::TokenKind::EmailInvite;
    InviteToken::parse_code(kind, "0100000000abcdefghijklmnopqrstuv").unwrap()
}

fn name(text: &str) -> DisplayName {
    DisplayName::parse(text).unwrap()
}

fn handle() -> OrgName {
    OrgName::parse("widgets-inc").unwrap()
}

fn address() -> EmailAddress {
    EmailAddress::parse("ada@example.com").unwrap()
}

fn a_notice(kind: NoticeKind, member: Member) -> Notice {
    Notice::new("n-1".to_owned(), kind, address(), handle(), member, AT)
}

fn user() -> Member {
    Member::User(UserId::parse("user_1").unwrap())
}

#[test]
fn an_invite_with_everything() {
    let (to, host, token) = (address(), handle(), token());
    let (title, inviter) = (name("Widgets Inc"), name("Grace"));
    let (role, message) = (
        RoleName::parse("editor").unwrap(),
        Message::parse("Welcome aboard!").unwrap(),
    );
    let url = JoinUrl::parse("https://app.example/join?lang=en")
        .unwrap()
        .with_token(&token, UrlStyle::Query);
    let mut mail = InviteMail::new(&to, &host, &token);
    mail.host_display_name = Some(&title);
    mail.inviter = Some(&inviter);
    mail.role = Some(&role);
    mail.message = Some(&message);
    mail.url = Some(&url);
    mail.expires_at = Some(AT);
    let content = English.invite(&mail, Some(&name("Example")));
    let secret = token.expose_secret();
    assert_eq!(content.subject, "Grace invites you to join Widgets Inc");
    assert_eq!(
        content.text,
        format!(
            "\
Grace invites you to join Widgets Inc (@widgets-inc) on Example.

Message:
> Welcome aboard!

Role: editor
Valid until: 2026-11-22 09:30 UTC

To accept, open this link:
https://app.example/join?lang=en&token={secret}

This invite is for ada@example.com alone: don't pass it on.
If you didn't expect it, ignore this mail. Nothing happens then.
"
        )
    );
    assert_eq!(
        content.html,
        format!(
            "\
<!DOCTYPE html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>Grace invites you to join Widgets Inc</title></head>
<body>
<p><bdi>Grace</bdi> invites you to join <bdi>Widgets Inc</bdi> (@<bdi>widgets-inc</bdi>) on \
<bdi>Example</bdi>.</p>
<p>Message:</p>
<blockquote dir=\"auto\">Welcome aboard!</blockquote>
<p>Role: <bdi>editor</bdi><br>
Valid until: <bdi>2026-11-22 09:30 UTC</bdi></p>
<p><a href=\"https://app.example/join?lang=en&amp;token={secret}\">Accept the invite</a></p>
<p>This invite is for <bdi>ada@example.com</bdi> alone: don&#39;t pass it on.<br>
If you didn&#39;t expect it, ignore this mail. Nothing happens then.</p>
</body>
</html>
"
        )
    );
}

#[test]
fn an_invite_with_as_little_as_possible() {
    let (to, host, token) = (address(), handle(), token());
    let content = English.invite(&InviteMail::new(&to, &host, &token), None);
    let secret = token.expose_secret();
    assert_eq!(content.subject, "You are invited to join widgets-inc");
    assert_eq!(
        content.text,
        format!(
            "\
You are invited to join widgets-inc.

To accept, enter this code:
{secret}

This invite is for ada@example.com alone: don't pass it on.
If you didn't expect it, ignore this mail. Nothing happens then.
"
        )
    );
    assert!(
        content
            .html
            .contains(&format!("enter this code: <code>{secret}</code>"))
    );
    assert_eq!(content.html.matches(secret).count(), 1);
}

#[test]
fn notices() {
    for (kind, subject, closing) in [
        (
            NoticeKind::RequestReceived,
            "Ada asks to join Widgets Inc",
            "The request waits until somebody approves or rejects it.\n",
        ),
        (
            NoticeKind::RequestApproved,
            "Your request to join Widgets Inc was approved",
            "",
        ),
        (
            NoticeKind::RequestRejected,
            "Your request to join Widgets Inc was rejected",
            "",
        ),
        (
            NoticeKind::MembershipRemoved,
            "Widgets Inc has ended your membership",
            "",
        ),
        (
            NoticeKind::MembershipExpired,
            "Your access to Widgets Inc has expired",
            "",
        ),
    ] {
        let mut notice = a_notice(kind, user());
        notice.host_display_name = Some(name("Widgets Inc"));
        notice.member_name = Some(name("Ada"));
        notice.reason = Some(Reason::parse("As agreed.").unwrap());
        let content = English.notice(&notice, Some(&name("Example")));
        let announced = if kind == NoticeKind::RequestReceived {
            "Message:"
        } else {
            "Reason:"
        };
        assert_eq!(content.subject, subject);
        assert_eq!(
            content.text,
            format!(
                "\
{subject}.

{announced}
> As agreed.

Organization: Widgets Inc (@widgets-inc)
Date: 2026-11-22 09:30 UTC

{closing}This mail was sent automatically by Example.
"
            )
        );
        assert!(
            content
                .html
                .contains("<blockquote dir=\"auto\">As agreed.</blockquote>")
        );
        assert!(!content.html.contains("href"));
    }
}

#[test]
fn a_notice_in_html() {
    let notice = a_notice(NoticeKind::MembershipRemoved, user());
    assert_eq!(
        English.notice(&notice, None).html,
        "\
<!DOCTYPE html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>widgets-inc has ended your membership</title></head>
<body>
<p><bdi>widgets-inc</bdi> has ended your membership.</p>
<p>Organization: <bdi>widgets-inc</bdi><br>
Date: <bdi>2026-11-22 09:30 UTC</bdi></p>
<p>This mail was sent automatically.</p>
</body>
</html>
"
    );
}

#[test]
fn notices_about_organizations_name_them() {
    for (kind, subject) in [
        (
            NoticeKind::RequestReceived,
            "org_9 asks to join widgets-inc",
        ),
        (
            NoticeKind::RequestApproved,
            "The request of org_9 to join widgets-inc was approved",
        ),
        (
            NoticeKind::RequestRejected,
            "The request of org_9 to join widgets-inc was rejected",
        ),
        (
            NoticeKind::MembershipRemoved,
            "widgets-inc has ended the membership of org_9",
        ),
        (
            NoticeKind::MembershipExpired,
            "The access of org_9 to widgets-inc has expired",
        ),
    ] {
        let member = Member::Org(OrgId::parse("org_9").unwrap());
        let notice = a_notice(kind, member);
        assert_eq!(English.notice(&notice, None).subject, subject);
    }
}

#[test]
fn markup_in_names_is_text() {
    let hostile = "<script>alert('1')</script>\"&";
    let mut notice = a_notice(NoticeKind::RequestReceived, user());
    notice.host_display_name = Some(name(hostile));
    notice.member_name = Some(name("\" onload=\"<img src=x>"));
    notice.reason = Some(Reason::parse("</blockquote><a href=x>").unwrap());
    let html = English.notice(&notice, Some(&name("<b>"))).html.clone();
    for tag in ["<script", "<img", "<a ", "<b>", "onload=\""] {
        assert!(!html.contains(tag), "{tag}");
    }
    assert!(html.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;"));
    assert_eq!(html.matches("</blockquote>").count(), 1);
}

#[test]
fn names_are_cut_and_kept_in_their_direction() {
    let mut notice = a_notice(NoticeKind::RequestReceived, user());
    notice.member_name = Some(name(&"\u{5d0}".repeat(100)));
    let content = English.notice(&notice, None);
    let subject = format!(
        "\u{2068}{}\u{2026}\u{2069} asks to join widgets-inc",
        "\u{5d0}".repeat(59)
    );
    assert_eq!(content.subject, subject);
    assert!(content.text.len() < 1_000 && content.html.len() < 2_000);
    assert!(!content.text.contains('\u{202e}') && !content.html.contains('\u{202e}'));
}

#[test]
fn a_member_without_a_name_has_its_id() {
    let mut notice = a_notice(NoticeKind::RequestReceived, user());
    notice.member_name = None;
    let content = English.notice(&notice, None);
    assert_eq!(content.subject, "user_1 asks to join widgets-inc");
}
