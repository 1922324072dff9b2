//! Invites from the facade to a mailbox and back, over a real connection to a mail server.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]
#![allow(dead_code, reason = "the server is shared with other tests")]

mod server;

use guestlist::membership::invite::{Delivery, EmailInvite};
use guestlist::token::token_from_url;
use guestlist::{
    Actor, Claim, DisplayName, EmailAddress, Guestlist, Invitations, InviteOutcome, InviteToken,
    MemoryStore, NewOrganization, OrgId, Pepper, PepperId, PepperRing, Status, UrlStyle,
};
use guestlist_mail::{Letterhead, Security, SmtpMailer};
use mail_parser::MessageParser;
use server::{Script, Server, Session, Turn};

/// Names that want to be markup, and more than one line.
const NAME: &str = "<b onclick=\"x()\">Ann & Co</b>";

fn over(store: &MemoryStore, server: &Server) -> Guestlist<MemoryStore> {
    let from = EmailAddress::parse("invites@app.example").unwrap();
    let mailer = SmtpMailer::builder("127.0.0.1", Letterhead::new(from))
        .port(server.port)
        .security(Security::Plain)
        .build()
        .unwrap();
    let pepper = Pepper::from_bytes(&[7; 32]).unwrap();
    Guestlist::builder(store.clone(), PepperRing::new(PepperId::new(1), pepper))
        .join_url("https://app.example/join".parse().unwrap(), UrlStyle::Query)
        .mailer(mailer)
        .build()
}

fn invite_of(outcome: InviteOutcome) -> EmailInvite {
    match outcome {
        InviteOutcome::Invited(invited) => invited.invite,
        outcome => panic!("{outcome:?}"),
    }
}

/// Whom a mail is for, and the token in it, as a person would find it.
fn read(session: &Session) -> (String, InviteToken) {
    let [raw] = session.mails.as_slice() else {
        panic!("one mail: {session:?}");
    };
    let mail = MessageParser::default().parse(raw.as_bytes()).unwrap();
    let to = mail.to().unwrap().first().unwrap().address().unwrap();
    let text = mail.body_text(0).unwrap();
    let url = text
        .lines()
        .find(|line| line.starts_with("https://"))
        .unwrap();
    let html = mail.body_html(0).unwrap();
    assert!(!html.contains("<b "), "{html}");
    (to.to_owned(), token_from_url(url.trim()).unwrap())
}

/// A mail server that refuses loses no invite: each is there, marked as undelivered. Resent when
/// the server is in order again, each is mailed once, and what is in the mail works.
#[tokio::test]
async fn a_server_that_refuses_loses_no_invite() {
    let store = MemoryStore::default();
    let (host, addresses) = (
        OrgId::parse("org_1").unwrap(),
        [
            "ada@example.com",
            "bob@example.com",
            "not an address",
            "cy@example.com",
        ],
    );
    let alice = Actor::user("alice".parse().unwrap())
        .in_organization(host.clone())
        .with_display_name(DisplayName::parse(NAME).unwrap());
    let refusing = Script {
        recipient: Turn::Say("550 5.1.1 no such user"),
        ..Script::default()
    };
    let server = Server::start(refusing).await;
    let guestlist = over(&store, &server);
    let new = NewOrganization::new(host.clone(), "widgets-inc".parse().unwrap())
        .display_name(DisplayName::parse(NAME).unwrap())
        .founder("alice".parse().unwrap());
    guestlist.register(new).await.unwrap();
    let to: Invitations = addresses.into_iter().collect();
    let mut outcomes = guestlist.invite(&alice, &host, to).await.unwrap();
    assert_eq!(outcomes.remove(2).code(), "email-at");
    let invites: Vec<EmailInvite> = outcomes.into_iter().map(invite_of).collect();
    assert_eq!(invites.len(), 3);
    for invite in &invites {
        assert_eq!(invite.delivery, Delivery::Undelivered);
    }
    drop(guestlist);
    let sessions = server.sessions().await;
    assert!(sessions.iter().all(|session| session.mails.is_empty()));

    let server = Server::start(Script::default()).await;
    let guestlist = over(&store, &server);
    for invite in &invites {
        let resent = guestlist.resend_invite(&alice, &host, invite.id).await;
        assert_eq!(resent.unwrap().invite.delivery, Delivery::Sent);
    }
    let sessions = server.sessions().await;
    let mails: Vec<(String, InviteToken)> = sessions.iter().map(read).collect();
    let to: Vec<&str> = mails.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(to, ["ada@example.com", "bob@example.com", "cy@example.com"]);
    for (to, token) in &mails {
        let name = to.split('@').next().unwrap();
        let person = Actor::user(name.parse().unwrap()).with_verified_email(to.parse().unwrap());
        let joined = guestlist.accept(&person, token, Claim::for_myself()).await;
        assert_eq!(joined.unwrap().membership.status, Some(Status::Approved));
    }
}
