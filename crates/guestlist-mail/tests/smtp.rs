//! Mails over real connections to a mail server on loopback, and into files.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod server;

use core::error::Error;

use guestlist::token::TokenKind;
use guestlist::{
    DisplayName, EmailAddress, InviteMail, InviteToken, JoinUrl, MailError, Mailer, ManualClock,
    Member, Notice, NoticeKind, OrgName, Reason, Timestamp, UrlStyle, UserId,
};
use guestlist_mail::{
    Credentials, FileMailer, Letterhead, Security, SendError, SmtpBuilder, SmtpMailer, Stage,
};
use mail_parser::MessageParser;
use server::{AUTHORITY, LOGIN, Script, Server, Session, Tls, Turn};

const CODE: &str = "0100000000abcdefghijklmnopqrstuv";
const SECRET: &str = "abcdefghijklmnopqrstuv";
const NOW: Timestamp = Timestamp::from_micros(1_795_339_800_000_000);

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn letterhead() -> Letterhead {
    Letterhead::new(email("invites@app.example"))
        .from_name(DisplayName::parse("Example").unwrap())
        .clock(ManualClock::at(NOW))
}

fn plain(server: &Server) -> SmtpBuilder {
    SmtpMailer::builder("127.0.0.1", letterhead())
        .port(server.port)
        .security(Security::Plain)
}

fn notice() -> Notice {
    let mut notice = Notice::new(
        "n-1.approved".to_owned(),
        NoticeKind::RequestApproved,
        email("ada@example.com"),
        OrgName::parse("widgets-inc").unwrap(),
        Member::User(UserId::parse("user_1").unwrap()),
        NOW,
    );
    notice.reason = Some(Reason::parse("Welcome, \u{1f389}!").unwrap());
    notice
}

async fn invite(mailer: &dyn Mailer) -> Result<(), MailError> {
    let (to, host) = (
        email("ada@example.com"),
        OrgName::parse("widgets-inc").unwrap(),
    );
    let token = InviteToken::parse_code(TokenKind::EmailInvite, CODE).unwrap();
    let url = JoinUrl::parse("https://app.example/join?lang=en")
        .unwrap()
        .with_token(&token, UrlStyle::Query);
    let mut mail = InviteMail::new(&to, &host, &token);
    mail.url = Some(&url);
    mailer.invite(&mail).await
}

/// What the client of a recipient reads: the dots of the transport are taken away first.
fn received(session: &Session) -> String {
    let [mail] = session.mails.as_slice() else {
        panic!("one mail: {session:?}");
    };
    mail.split("\r\n")
        .map(|line| line.strip_prefix('.').unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\r\n")
}

fn assert_invite(raw: &str) {
    let mail = MessageParser::default().parse(raw.as_bytes()).unwrap();
    assert_eq!(mail.message_id(), Some("invite-0100000000@app.example"));
    assert_eq!(mail.subject(), Some("You are invited to join widgets-inc"));
    let token = InviteToken::parse_code(TokenKind::EmailInvite, CODE).unwrap();
    let secret = token.expose_secret();
    let text = mail.body_text(0).unwrap();
    let url = format!("\r\nhttps://app.example/join?lang=en&token={secret}\r\n");
    assert_eq!(text.matches(&url).count(), 1);
    let html = mail.body_html(0).unwrap();
    let link = format!("<a href=\"https://app.example/join?lang=en&amp;token={secret}\">");
    assert_eq!(html.matches(&link).count(), 1);
}

/// The error of an invite that this server doesn't take, and what the server heard.
async fn refused(script: Script) -> (MailError, Vec<Session>) {
    let server = Server::start(script).await;
    let mailer = plain(&server).build().unwrap();
    let error = invite(&mailer).await.unwrap_err();
    assert_no_secret(&error);
    drop(mailer);
    (error, server.sessions().await)
}

fn source(error: &MailError) -> &SendError {
    error.source().unwrap().downcast_ref().unwrap()
}

/// Neither the error nor what caused it says anything of the mail.
fn assert_no_secret(error: &MailError) {
    let mut said = format!("{error:?}");
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        said += &error.to_string();
        next = error.source();
    }
    for word in [SECRET, "app.example/join", "ada@", "sesame", LOGIN] {
        assert!(!said.contains(word), "{said}");
    }
}

fn assert_reply(error: &MailError, stage: Stage, code: u16, status: Option<&str>) {
    let SendError::Reply {
        stage: found_stage,
        code: found_code,
        status: found_status,
    } = source(error)
    else {
        panic!("a reply: {error:?}");
    };
    assert_eq!(
        (*found_stage, *found_code, found_status.as_deref()),
        (stage, code, status)
    );
    let is_about_us = stage != Stage::Sending || code == 530;
    assert_eq!(error.is_transient(), code < 500 || is_about_us);
}

#[tokio::test]
async fn an_invite_arrives_once() {
    let server = Server::start(Script::default()).await;
    let mailer = plain(&server).build().unwrap();
    invite(&mailer).await.unwrap();
    let sessions = server.sessions().await;
    assert_eq!(sessions.len(), 1);
    assert_eq!(
        sessions[0].commands,
        [
            "EHLO app.example",
            "MAIL FROM:<invites@app.example>",
            "RCPT TO:<ada@example.com>",
            "DATA",
            "QUIT",
        ]
    );
    assert_invite(&received(&sessions[0]));
}

#[tokio::test]
async fn the_same_notice_twice_can_be_told_from_two() {
    let server = Server::start(Script::default()).await;
    let mailer = plain(&server).build().unwrap();
    mailer.notify(&notice()).await.unwrap();
    mailer.notify(&notice()).await.unwrap();
    let sessions = server.sessions().await;
    assert_eq!(sessions.len(), 2);
    for session in &sessions {
        let raw = received(session);
        let mail = MessageParser::default().parse(raw.as_bytes()).unwrap();
        assert_eq!(mail.message_id(), Some("notice-n-1.approved@app.example"));
        assert!(mail.body_text(0).unwrap().contains("> Welcome, \u{1f389}!"));
    }
}

struct Dots;

impl guestlist_mail::Template for Dots {
    fn invite(&self, _: &InviteMail<'_>, _: Option<&DisplayName>) -> guestlist_mail::Content {
        unreachable!("only notices are sent")
    }

    fn notice(&self, _: &Notice, _: Option<&DisplayName>) -> guestlist_mail::Content {
        let text = ".\n..\n.a\nMAIL FROM:<eve@example.com>\n.\n";
        guestlist_mail::Content::new("Dots", text, "<p>.</p>")
    }
}

#[tokio::test]
async fn a_dot_ends_no_mail() {
    let server = Server::start(Script::default()).await;
    let mailer = SmtpMailer::builder("127.0.0.1", letterhead().template(Dots))
        .port(server.port)
        .security(Security::Plain)
        .build()
        .unwrap();
    mailer.notify(&notice()).await.unwrap();
    let sessions = server.sessions().await;
    assert_eq!(sessions[0].commands.len(), 5, "{:?}", sessions[0].commands);
    let raw = received(&sessions[0]);
    let mail = MessageParser::default().parse(raw.as_bytes()).unwrap();
    assert_eq!(
        mail.body_text(0).unwrap(),
        ".\r\n..\r\n.a\r\nMAIL FROM:<eve@example.com>\r\n.\r\n"
    );
}

#[tokio::test]
async fn a_5xx_refuses_the_mail() {
    let say = Turn::Say;
    let (error, sessions) = refused(Script {
        recipient: say("550 5.1.1 no such user"),
        ..Script::default()
    })
    .await;
    assert!(matches!(error, MailError::Refused(_)));
    assert_reply(&error, Stage::Sending, 550, Some("5.1.1"));
    assert_eq!(sessions.len(), 1);
    assert!(!sessions[0].commands.contains(&"DATA".to_owned()));
    assert_eq!(sessions[0].commands.last().unwrap(), "QUIT");

    let (error, sessions) = refused(Script {
        greeting: say("554 go away"),
        ..Script::default()
    })
    .await;
    assert!(matches!(error, MailError::Unavailable(_)));
    assert_reply(&error, Stage::Connecting, 554, None);
    assert!(sessions[0].mails.is_empty());

    // Servers quote what they dislike: the link is not repeated.
    let (error, sessions) = refused(Script {
        stored: say("554 https://app.example/join?lang=en&token=abcdefghijklmnopqrstuv is listed"),
        ..Script::default()
    })
    .await;
    assert_reply(&error, Stage::Sending, 554, None);
    assert_eq!(sessions[0].mails.len(), 1);

    // Whoever has no login here has to get one: no mail is lost for that.
    let (error, _) = refused(Script {
        recipient: say("530 5.7.0 authentication required"),
        ..Script::default()
    })
    .await;
    assert!(matches!(error, MailError::Unavailable(_)));
    assert_reply(&error, Stage::Sending, 530, Some("5.7.0"));
}

#[tokio::test]
async fn a_4xx_may_be_tried_again() {
    let say = Turn::Say;
    let (error, sessions) = refused(Script {
        data: say("451 4.3.0 later"),
        ..Script::default()
    })
    .await;
    assert!(matches!(error, MailError::Unavailable(_)));
    assert_reply(&error, Stage::Sending, 451, Some("4.3.0"));
    assert!(sessions[0].mails.is_empty());
    let scripts = [
        Script {
            greeting: say("421 busy"),
            ..Script::default()
        },
        Script {
            sender: say("452 full"),
            ..Script::default()
        },
        Script {
            recipient: say("450 4.2.0 greylisted"),
            ..Script::default()
        },
        Script {
            stored: say("451 4.3.0 later"),
            ..Script::default()
        },
    ];
    for script in scripts {
        let (error, sessions) = refused(script).await;
        assert!(matches!(error, MailError::Unavailable(_)));
        assert_eq!(source(&error).code(), "send-reply");
        assert_eq!(sessions.len(), 1, "nothing is tried twice");
    }
}

#[tokio::test]
async fn a_server_that_breaks_off_is_unavailable() {
    let scripts = [
        Script {
            greeting: Turn::HangUp,
            ..Script::default()
        },
        Script {
            sender: Turn::HangUp,
            ..Script::default()
        },
        Script {
            data: Turn::HangUp,
            ..Script::default()
        },
        Script {
            stored: Turn::HangUp,
            ..Script::default()
        },
        Script {
            greeting: Turn::Say("HTTP/1.1 400 abcdefghijklmnopqrstuv"),
            ..Script::default()
        },
    ];
    for script in scripts {
        let (error, _) = refused(script).await;
        assert!(matches!(error, MailError::Unavailable(_)), "{script:?}");
        let code = source(&error).code();
        assert!(
            ["send-protocol", "send-connection"].contains(&code),
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_unavailable() {
    let scripts = [
        Script {
            greeting: Turn::Hang,
            ..Script::default()
        },
        Script {
            recipient: Turn::Hang,
            ..Script::default()
        },
        Script {
            stored: Turn::Hang,
            ..Script::default()
        },
    ];
    for script in scripts {
        let (error, _) = refused(script).await;
        assert!(matches!(error, MailError::Unavailable(_)), "{script:?}");
        assert_eq!(source(&error).code(), "send-timeout");
    }
}

#[tokio::test]
async fn a_mail_that_was_taken_is_sent_however_the_server_says_goodbye() {
    for quit in [Turn::Hang, Turn::HangUp, Turn::Say("500 what?")] {
        let server = Server::start(Script {
            quit,
            ..Script::default()
        })
        .await;
        let mailer = plain(&server).build().unwrap();
        invite(&mailer).await.unwrap();
        assert_invite(&received(&server.sessions().await[0]));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    // A port that is taken, and that nobody listens at.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mailer = SmtpMailer::builder("127.0.0.1", letterhead())
        .port(socket.local_addr().unwrap().port())
        .security(Security::Plain)
        .build()
        .unwrap();
    let error = invite(&mailer).await.unwrap_err();
    assert!(matches!(error, MailError::Unavailable(_)));
    assert_eq!(source(&error).code(), "send-connection");
    assert_no_secret(&error);
}

#[tokio::test]
async fn users_log_in() {
    let script = Script {
        asks_for_login: true,
        ..Script::default()
    };
    let server = Server::start(script).await;
    let mailer = plain(&server)
        .credentials(Credentials::new("app", "sesame"))
        .build()
        .unwrap();
    invite(&mailer).await.unwrap();
    let sessions = server.sessions().await;
    assert_eq!(sessions[0].commands[1], format!("AUTH PLAIN {LOGIN}"));
    assert_invite(&received(&sessions[0]));

    let server = Server::start(script).await;
    let mailer = plain(&server)
        .credentials(Credentials::new("app", "guess"))
        .build()
        .unwrap();
    let error = invite(&mailer).await.unwrap_err();
    assert!(matches!(error, MailError::Unavailable(_)));
    assert_reply(&error, Stage::LoggingIn, 535, Some("5.7.8"));
    assert_no_secret(&error);
    let sessions = server.sessions().await;
    assert_eq!(sessions[0].commands.len(), 3, "{:?}", sessions[0].commands);

    // The reply counts, also if the server hangs afterwards.
    let quit = Turn::Hang;
    let server = Server::start(Script { quit, ..script }).await;
    let mailer = plain(&server)
        .credentials(Credentials::new("app", "guess"))
        .build()
        .unwrap();
    let error = invite(&mailer).await.unwrap_err();
    assert_reply(&error, Stage::LoggingIn, 535, Some("5.7.8"));

    // A server that takes no password gets no mail either.
    let server = Server::start(Script::default()).await;
    let mailer = plain(&server)
        .credentials(Credentials::new("app", "sesame"))
        .build()
        .unwrap();
    let error = invite(&mailer).await.unwrap_err();
    assert!(matches!(error, MailError::Unavailable(_)));
    assert_eq!(source(&error).code(), "send-no-login");
    assert!(server.sessions().await[0].mails.is_empty());
}

async fn over_tls(
    tls: Tls,
    security: Security,
    authority: Option<&str>,
) -> (Result<(), MailError>, Session) {
    let server = Server::start(Script {
        tls,
        asks_for_login: true,
        ..Script::default()
    })
    .await;
    let mut builder = SmtpMailer::builder("127.0.0.1", letterhead())
        .port(server.port)
        .security(security)
        .credentials(Credentials::new("app", "sesame"));
    if let Some(pem) = authority {
        builder = builder.root_certificate(pem);
    }
    let mailer = builder.build().unwrap();
    let sent = invite(&mailer).await;
    let sessions = server.sessions().await;
    assert_eq!(sessions.len(), 1);
    (sent, sessions[0].clone())
}

#[tokio::test]
async fn mails_go_over_tls() {
    for (tls, security, first) in [
        (Tls::AtOnce, Security::Tls, "AUTH PLAIN"),
        (Tls::Offered, Security::StartTls, "STARTTLS"),
    ] {
        let (sent, session) = over_tls(tls, security, Some(AUTHORITY)).await;
        sent.unwrap();
        assert!(session.encrypted);
        assert!(session.commands[1].starts_with(first));
        assert_invite(&received(&session));
    }
}

#[tokio::test]
async fn without_tls_that_is_trusted_nothing_is_said() {
    for (tls, security, authority, code) in [
        // Plain servers.
        (
            Tls::Never,
            Security::StartTls,
            Some(AUTHORITY),
            "send-no-encryption",
        ),
        (
            Tls::Pretended,
            Security::StartTls,
            Some(AUTHORITY),
            "send-connection",
        ),
        // Nobody that browsers trust vouches for this server.
        (Tls::AtOnce, Security::Tls, None, "send-connection"),
        (Tls::Offered, Security::StartTls, None, "send-connection"),
    ] {
        let (sent, session) = over_tls(tls, security, authority).await;
        let error = sent.unwrap_err();
        assert!(matches!(error, MailError::Unavailable(_)));
        assert_eq!(source(&error).code(), code, "{tls:?}");
        assert_no_secret(&error);
        assert!(session.mails.is_empty());
        for command in &session.commands {
            assert!(!command.starts_with("AUTH") && !command.starts_with("MAIL"));
        }
    }
}

#[tokio::test]
async fn a_greeting_in_plain_text_is_no_tls() {
    let server = Server::start(Script::default()).await;
    let mailer = SmtpMailer::builder("127.0.0.1", letterhead())
        .port(server.port)
        .build()
        .unwrap();
    let error = invite(&mailer).await.unwrap_err();
    assert!(matches!(error, MailError::Unavailable(_)));
    assert_eq!(source(&error).code(), "send-connection");
    assert!(server.sessions().await[0].mails.is_empty());
}

#[tokio::test]
async fn an_address_that_no_mailbox_has_is_refused_before_connecting() {
    let server = Server::start(Script::default()).await;
    let mailer = plain(&server).build().unwrap();
    let mut mail = notice();
    mail.to = email("a..b@example.com");
    let error = mailer.notify(&mail).await.unwrap_err();
    assert!(matches!(error, MailError::Refused(_)));
    assert_eq!(source(&error).code(), "send-recipient");
    assert!(server.sessions().await.is_empty());
}

#[tokio::test]
async fn files_hold_whole_mails() {
    let folder = tempfile::tempdir().unwrap();
    let mails = folder.path().join("a/b");
    let mailer = FileMailer::new(&mails, letterhead());
    invite(&mailer).await.unwrap();
    mailer.notify(&notice()).await.unwrap();
    mailer.notify(&notice()).await.unwrap();
    let mut names: Vec<String> = std::fs::read_dir(&mails)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["invite-0100000000.eml", "notice-n-1.approved.eml"]);
    let read = |name: &str| std::fs::read_to_string(mails.join(name)).unwrap();
    assert_invite(&read("invite-0100000000.eml"));
    let raw = read("notice-n-1.approved.eml");
    let mail = MessageParser::default().parse(raw.as_bytes()).unwrap();
    assert!(mail.body_text(0).unwrap().contains("was approved"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = std::fs::metadata(mails.join("invite-0100000000.eml")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    let blocked = FileMailer::new(mails.join("invite-0100000000.eml"), letterhead());
    let error = blocked.notify(&notice()).await.unwrap_err();
    assert!(matches!(error, MailError::Unavailable(_)));
    assert_eq!(source(&error).code(), "send-folder");
}

#[test]
fn mailers_can_be_shared() {
    const fn check<T: Mailer + Send + Sync + 'static>() {}
    check::<SmtpMailer>();
    check::<FileMailer>();
}

#[tokio::test]
async fn a_mailbox_beyond_ascii_needs_a_server_that_takes_it() {
    let beyond_ascii = || {
        let mut notice = notice();
        notice.to = EmailAddress::parse("j\u{fc}rgen@b\u{fc}cher.example").unwrap();
        notice
    };
    let server = Server::start(Script::default()).await;
    let mailer = plain(&server).build().unwrap();
    let error = mailer.notify(&beyond_ascii()).await.unwrap_err();
    assert!(matches!(error, MailError::Refused(_)));
    assert_eq!(source(&error).code(), "send-not-ascii");
    drop(mailer);
    assert!(server.sessions().await[0].mails.is_empty());

    let script = Script {
        takes_utf8: true,
        ..Script::default()
    };
    let server = Server::start(script).await;
    let mailer = plain(&server).build().unwrap();
    mailer.notify(&beyond_ascii()).await.unwrap();
    drop(mailer);
    let sessions = server.sessions().await;
    assert_eq!(sessions[0].mails.len(), 1);
    let told = |command: &str| sessions[0].commands.iter().any(|it| it == command);
    assert!(told("RCPT TO:<j\u{fc}rgen@xn--bcher-kva.example>"));
    let from = sessions[0]
        .commands
        .iter()
        .find(|it| it.starts_with("MAIL"));
    assert!(from.unwrap().contains("SMTPUTF8"));
}
