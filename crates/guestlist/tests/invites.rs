//! E-mail invites, from a list of addresses as people paste it to memberships.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::postbox::{Mailed, Postbox};
use common::{builder, link, on_every_store, org, owner, register_with, to_all, user, user_member};
use guestlist::membership::invite::{Delivery, InvitePhase, SignOn};
use guestlist::membership::{AddressCheck, Joins, Requests, SecondInvite, Standing};
use guestlist::{
    Actor, AddressFacts, Claim, Directory, DisplayName, EmailAddress, EmailInvite, Error,
    Guestlist, IdempotencyKey, Invitations, InviteDraft, InviteFilter, InviteId, InviteOutcome,
    InviteToken, LinkDraft, ManualClock, Membership, Message, OrgId, Page, Preset, RoleName,
    Settings, Status, Store, Uses,
};
use guestlist_membership::Stated;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

on_every_store! {
    a_pasted_list_gets_one_outcome_for_each_line,
    all_or_nothing_is_one_or_the_other,
    a_mail_that_could_not_be_sent_is_sent_once_later,
    a_mail_server_that_is_down_is_not_asked_for_each_of_many,
    a_repeated_call_mails_nobody_again,
    names_in_mails_are_one_line_and_nothing_is_added,
    who_may_answer_an_invite,
    an_answer_is_the_last,
    an_expired_invite_is_over_until_it_is_resent,
    a_second_invite_is_refused_or_replaces_the_first,
    invites_and_requests_cross,
    who_accepts_one_has_answered_all,
    single_sign_on_is_per_call_and_the_directory_knows,
    what_fails_midway_is_told_of_each_address,
    an_invite_is_worth_what_its_sender_is,
}

struct Setup<S> {
    guestlist: Guestlist<S>,
    clock: Arc<ManualClock>,
    postbox: Postbox,
    host: OrgId,
    alice: Actor,
}

async fn setup<S: Store>(store: S, settings: Settings) -> Setup<S> {
    let clock = common::clock();
    let postbox = Postbox::default();
    let guestlist = builder(store, &clock, 31).mailer(postbox.clone()).build();
    register_with(&guestlist, "host", settings).await;
    Setup {
        guestlist,
        clock,
        postbox,
        host: org("host"),
        alice: owner("host"),
    }
}

impl<S: Store> Setup<S> {
    async fn send(&self, invitations: Invitations) -> Vec<InviteOutcome> {
        self.guestlist
            .invite(&self.alice, &self.host, invitations)
            .await
            .unwrap()
    }

    /// Invites one address, and opens the mail.
    async fn invited(&self, address: &str) -> (InviteId, InviteToken) {
        self.invited_with(address, InviteDraft::new()).await
    }

    async fn invited_with(&self, address: &str, draft: InviteDraft) -> (InviteId, InviteToken) {
        let one = Invitations::new().to(address).draft(draft);
        let outcomes = self.send(one).await;
        let id = outcomes[0].invited().unwrap().invite.id;
        (id, self.mail().token())
    }

    /// The one mail since the last look.
    fn mail(&self) -> Mailed {
        let mut mails = self.postbox.invites();
        assert_eq!(mails.len(), 1);
        mails.remove(0)
    }

    async fn accept(&self, actor: &Actor, token: &InviteToken) -> Result<Membership, Error> {
        let accepted = self.guestlist.accept(actor, token, Claim::for_myself());
        Ok(accepted.await?.membership)
    }

    async fn invite(&self, id: InviteId) -> EmailInvite {
        self.guestlist
            .email_invite(&self.alice, &self.host, id)
            .await
            .unwrap()
    }

    async fn phase(&self, id: InviteId) -> InvitePhase {
        let now = guestlist::Clock::now(&*self.clock);
        self.invite(id).await.phase(now)
    }

    async fn all(&self) -> Vec<EmailInvite> {
        let mut all = Vec::new();
        let mut page = Page::first(1000).unwrap();
        loop {
            let listed = self
                .guestlist
                .invites(&self.alice, &self.host, InviteFilter::default(), &page)
                .await
                .unwrap();
            all.extend(listed.invites);
            match listed.next {
                Some(next) => page = page.after(next),
                None => return all,
            }
        }
    }
}

fn at(address: &str) -> EmailAddress {
    EmailAddress::parse(address).unwrap()
}

fn person(name: &str) -> Actor {
    user(name).with_verified_email(at(&format!("{name}@corp.example")))
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

fn codes(outcomes: &[InviteOutcome]) -> Vec<&str> {
    outcomes.iter().map(InviteOutcome::code).collect()
}

/// What people paste: good addresses, the same ones in other spellings, and everything else.
fn pasted() -> Vec<(String, &'static str)> {
    let mut lines = Vec::new();
    for i in 0..1000 {
        lines.extend([
            (format!("p{i}@corp.example"), "invited"),
            (format!("  P{i}@CORP.Example "), "duplicate"),
            (format!("p{i}\0@corp.example"), "email-local-part"),
            (format!("<b>p{i}</b>@corp.example"), "email-local-part"),
            (
                format!("{}{i}@corp.example", "x".repeat(64)),
                "email-too-long",
            ),
            (format!("p{i}@corp.example,q{i}@corp.example"), "email-at"),
            // The Kelvin sign, which becomes a `k`.
            (format!("\u{212a}{i}@corp.example"), "email-local-part"),
            // Composed or not, in Unicode or in ASCII: one address.
            (format!("e\u{301}{i}@b\u{fc}cher.example"), "invited"),
            (format!("\u{e9}{i}@XN--Bcher-KVA.example"), "duplicate"),
            (format!("p{i}@corp.example\r\nBcc: x"), "email-domain"),
        ]);
    }
    lines
}

async fn a_pasted_list_gets_one_outcome_for_each_line<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    let lines = pasted();
    assert_eq!(lines.len(), guestlist::MAX_ADDRESSES);
    let list = || lines.iter().map(|(address, _)| address.as_str());
    let outcomes = setup.send(to_all(list())).await;
    let expected: Vec<&str> = lines.iter().map(|(_, code)| *code).collect();
    assert!(codes(&outcomes) == expected, "one outcome each, in order");
    for (place, outcome) in outcomes.iter().enumerate() {
        match outcome {
            InviteOutcome::Duplicate { of } => assert_eq!(*of, place - 1),
            InviteOutcome::Invited(invited) => {
                assert_eq!(invited.invite.address, at(&lines[place].0));
                assert_eq!(invited.invite.delivery, Delivery::Sent);
            }
            _ => {}
        }
    }
    let mails = setup.postbox.invites();
    let to: BTreeSet<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(
        (mails.len(), to.len()),
        (2000, 2000),
        "nothing is sent twice"
    );
    let secrets: BTreeSet<&str> = mails.iter().map(|mail| mail.secret.as_str()).collect();
    assert_eq!(secrets.len(), 2000);
    let stored: BTreeSet<String> = setup
        .all()
        .await
        .into_iter()
        .map(|invite| invite.address.to_string())
        .collect();
    assert!(stored.iter().map(String::as_str).eq(to.iter().copied()));

    // Pasted once more, everybody is invited already.
    let again = setup.send(to_all(list())).await;
    let counted = codes(&again)
        .iter()
        .filter(|code| **code == "already-invited")
        .count();
    assert_eq!(counted, 2000);
    assert!(setup.postbox.invites().is_empty());

    let too_many = to_all(list()).to("one@corp.example");
    let refused = setup
        .guestlist
        .invite(&setup.alice, &setup.host, too_many)
        .await;
    assert_eq!(code(refused), "too-many");
}

async fn all_or_nothing_is_one_or_the_other<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    let good = || (0..50).map(|i| format!("p{i}@corp.example"));
    let mixed = to_all(good())
        .to("no address")
        .to("P0@corp.example")
        .all_or_nothing();
    let outcomes = setup.send(mixed).await;
    let mut expected = vec!["not-sent"; 50];
    expected.extend(["email-at", "duplicate"]);
    assert_eq!(codes(&outcomes), expected);
    // One that the rules refuse stops the others, too.
    let refused = to_all(good())
        .to_as("q@corp.example", role("emperor"))
        .all_or_nothing();
    let outcomes = setup.send(refused).await;
    expected = vec!["not-sent"; 50];
    expected.push("unknown-role");
    assert_eq!(codes(&outcomes), expected);
    let many = (0..=1000).map(|i| format!("m{i}@corp.example"));
    let many = to_all(many).all_or_nothing();
    let refused = setup
        .guestlist
        .invite(&setup.alice, &setup.host, many)
        .await;
    assert_eq!(code(refused), "too-many");
    assert!(setup.all().await.is_empty());
    assert_eq!(setup.postbox.tried(), 0);
    // Each on its own, the same list leaves out only what is wrong with it.
    let outcomes = setup
        .send(to_all(good()).to_as("q@corp.example", role("emperor")))
        .await;
    expected = vec!["invited"; 50];
    expected.push("unknown-role");
    assert_eq!(codes(&outcomes), expected);
    assert_eq!(setup.postbox.invites().len(), 50);
    // Who is invited already keeps nobody else from it.
    let outcomes = setup
        .send(to_all(good()).to("q@corp.example").all_or_nothing())
        .await;
    expected = vec!["already-invited"; 50];
    expected.push("invited");
    assert_eq!(codes(&outcomes), expected);
    assert_eq!(setup.mail().to, "q@corp.example");
}

async fn a_mail_that_could_not_be_sent_is_sent_once_later<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    setup.postbox.close_for("a@corp.example");
    setup.postbox.refuse("b@corp.example");
    let list = ["a", "b", "c"].map(|name| format!("{name}@corp.example"));
    let outcomes = setup.send(to_all(list)).await;
    let told: Vec<Delivery> = outcomes
        .iter()
        .map(|outcome| outcome.invited().unwrap().invite.delivery)
        .collect();
    let expected = [Delivery::Undelivered, Delivery::Undelivered, Delivery::Sent];
    assert_eq!(told, expected);
    assert_eq!(setup.mail().to, "c@corp.example");
    for (outcome, name) in outcomes.iter().take(2).zip(["a", "b"]) {
        let invited = outcome.invited().unwrap();
        let id = invited.invite.id;
        assert_eq!(setup.invite(id).await.delivery, Delivery::Undelivered);
        // While it goes on, it stays undelivered.
        let resent = setup
            .guestlist
            .resend_invite(&setup.alice, &setup.host, id)
            .await
            .unwrap();
        assert_eq!(resent.invite.delivery, Delivery::Undelivered);
        setup.postbox.open();
        let resent = setup
            .guestlist
            .resend_invite(&setup.alice, &setup.host, id)
            .await
            .unwrap();
        assert_eq!(resent.invite.delivery, Delivery::Sent);
        assert_eq!(resent.invite.generation.get(), 3);
        let mail = setup.mail();
        assert_eq!(mail.to, format!("{name}@corp.example"));
        // Only the last token opens it.
        let first = invited.token.as_ref().unwrap();
        let accepted = setup.accept(&person(name), first).await;
        assert_eq!(code(accepted), "invalid-token");
        let accepted = setup.accept(&person(name), &mail.token()).await;
        assert_eq!(accepted.unwrap().status, Some(Status::Approved));
        setup.postbox.refuse("b@corp.example");
    }
}

async fn a_mail_server_that_is_down_is_not_asked_for_each_of_many<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    // One mailbox that refuses says nothing about the others.
    for i in 0..5 {
        setup.postbox.refuse(&format!("p{i}@corp.example"));
    }
    let list = (0..6).map(|i| format!("p{i}@corp.example"));
    setup.send(to_all(list)).await;
    assert_eq!(
        (setup.postbox.tried(), setup.mail().to.as_str()),
        (6, "p5@corp.example")
    );
    setup.postbox.close();
    // More than one commit of them: the pause holds for the whole call.
    let list = (0..250).map(|i| format!("q{i}@corp.example"));
    let outcomes = setup.send(to_all(list)).await;
    assert_eq!(setup.postbox.tried(), 6 + 3);
    let undelivered = |outcome: &InviteOutcome| {
        outcome.invited().unwrap().invite.delivery == Delivery::Undelivered
    };
    assert!(outcomes.iter().all(undelivered));
}

async fn a_repeated_call_mails_nobody_again<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    let keyed = || {
        let key: IdempotencyKey = "a key".parse().unwrap();
        setup.guestlist.with_key(key)
    };
    let list = |last: &str| {
        let first = (0..149).map(|i| format!("p{i}@corp.example"));
        to_all(first).to(last)
    };
    let ids = |outcomes: &[InviteOutcome]| -> Vec<InviteId> {
        outcomes
            .iter()
            .map(|outcome| outcome.invited().unwrap().invite.id)
            .collect()
    };
    let (alice, host) = (&setup.alice, &setup.host);
    let first = keyed().invite(alice, host, list("z@corp.example")).await;
    let first = first.unwrap();
    assert_eq!(setup.postbox.invites().len(), 150);
    let again = keyed().invite(alice, host, list("z@corp.example")).await;
    let again = again.unwrap();
    assert_eq!(ids(&again), ids(&first));
    assert!(
        again
            .iter()
            .all(|outcome| outcome.invited().unwrap().token.is_none())
    );
    let other = keyed().invite(alice, host, list("y@corp.example")).await;
    assert_eq!(code(other), "idempotency-key-reused");
    assert!(setup.postbox.invites().is_empty());
    let resend = |key: &str| {
        let keyed = setup.guestlist.with_key(key.parse().unwrap());
        let (id, alice, host) = (ids(&first)[0], alice.clone(), host.clone());
        async move {
            let resent = keyed.resend_invite(&alice, &host, id).await.unwrap();
            (resent.token.is_some(), resent.invite.generation.get())
        }
    };
    assert_eq!(resend("once").await, (true, 2));
    assert_eq!(resend("once").await, (false, 2));
    assert_eq!(setup.postbox.invites().len(), 1);
    assert_eq!(resend("twice").await, (true, 3));
    assert_eq!(setup.postbox.invites().len(), 1);
}

async fn names_in_mails_are_one_line_and_nothing_is_added<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    // What could end a header, a line or a direction is no name at all.
    for evil in [
        "Ada\r\nBcc: x@evil.example",
        "Ada\n",
        "Ada\0",
        "Ada\u{85}",
        "Ada\u{1b}[2J",
        "Ada\u{202e}",
        "Ada\u{2028}",
        "Ada\u{200b}",
        &"x".repeat(121),
    ] {
        assert!(DisplayName::parse(evil).is_err(), "{evil:?}");
    }
    for evil in ["a\0", "a\u{1b}[2J", "a\u{202e}b", &"x".repeat(2001)] {
        assert!(Message::parse(evil).is_err(), "{evil:?}");
    }
    // Markup is text: it reaches the mailer as it was said, to be escaped there, and nowhere else.
    let name = "<a href=\"https://evil.example\">Ada</a> & \"Co\"";
    setup
        .guestlist
        .set_display_name(&setup.alice, &setup.host, Some(name.parse().unwrap()))
        .await
        .unwrap();
    let ada = setup.alice.clone().with_display_name(name.parse().unwrap());
    let draft = InviteDraft::new().message("<script>alert(1)</script>".parse().unwrap());
    let to = "ada'\"<b>@corp.example";
    let one = Invitations::new()
        .to(to)
        .to("o'hara&co@corp.example")
        .draft(draft);
    let outcomes = setup.guestlist.invite(&ada, &setup.host, one).await;
    assert_eq!(codes(&outcomes.unwrap()), ["email-local-part", "invited"]);
    let mail = setup.mail();
    assert_eq!(mail.to, "o'hara&co@corp.example");
    assert_eq!(mail.inviter.as_deref(), Some(name));
    assert_eq!(mail.host_display_name.as_deref(), Some(name));
    assert_eq!(mail.message.as_deref(), Some("<script>alert(1)</script>"));
    assert_eq!(mail.role, None);
    let url = format!("https://app.example/join?token={}", mail.secret);
    assert_eq!(mail.url, Some(url));
}

async fn who_may_answer_an_invite<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    let right = || user("right").with_verified_email(at("Ann@Corp.example"));
    let other = || user("other").with_verified_email(at("ann+1@corp.example"));
    let unverified = || user("unverified");
    let refused = "wrong-account";
    let table = [
        (AddressCheck::Exact, ["ok", refused, refused]),
        (AddressCheck::AnyVerified, ["ok", "ok", refused]),
        (AddressCheck::Bearer, ["ok", "ok", "ok"]),
    ];
    for (address_check, expected) in table {
        let settings = Settings {
            address_check,
            ..Settings::default()
        };
        let changed = setup
            .guestlist
            .change_settings(&setup.alice, &setup.host, settings)
            .await;
        changed.unwrap();
        for (actor, expected) in [right(), other(), unverified()].iter().zip(expected) {
            // Declining needs the same as accepting.
            let (id, token) = setup.invited("ann@corp.example").await;
            let declined = setup.guestlist.decline(actor, &token).await;
            assert_eq!(code(declined), expected, "{address_check:?} {actor:?}");
            if expected == refused {
                let revoked = setup
                    .guestlist
                    .revoke_invite(&setup.alice, &setup.host, id)
                    .await;
                revoked.unwrap();
            }
            let (id, token) = setup.invited("ann@corp.example").await;
            let shown = setup.guestlist.preview_invite(&token).await.unwrap();
            assert_eq!(shown.address_hint, "a***@corp.example");
            let accepted = setup.accept(actor, &token).await;
            if let Err(error) = &accepted {
                let told = format!("{error} {error:?}");
                assert!(told.contains("a***@corp.example"), "{told}");
                assert!(!told.contains("ann"), "{told}");
            }
            assert_eq!(code(accepted), expected, "{address_check:?} {actor:?}");
            if expected == refused {
                // It used nothing up, and whoever it is for can still accept it.
                assert_eq!(setup.phase(id).await, InvitePhase::Pending);
                let accepted = setup.accept(&right(), &token).await;
                assert_eq!(accepted.unwrap().status, Some(Status::Approved));
            }
            assert_eq!(setup.phase(id).await, InvitePhase::Accepted);
            // Only whoever accepted it is in, and out again for the next row.
            let mut were_in = Vec::new();
            for name in ["right", "other", "unverified"] {
                let left = setup
                    .guestlist
                    .leave(&user(name), &setup.host, &user_member(name))
                    .await;
                if left.is_ok_and(|left| left.changed) {
                    were_in.push(name);
                }
            }
            let own = actor.user_id().unwrap().as_str();
            let expected = if expected == refused { "right" } else { own };
            assert_eq!(were_in, [expected]);
        }
    }
}

async fn an_answer_is_the_last<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    let (alice, host) = (&setup.alice, &setup.host);
    let ann = person("ann");
    let guestlist = &setup.guestlist;

    let (id, token) = setup.invited("ann@corp.example").await;
    guestlist.decline(&ann, &token).await.unwrap();
    assert_eq!(setup.phase(id).await, InvitePhase::Declined);
    assert_eq!(code(guestlist.decline(&ann, &token).await), "ok");
    assert_eq!(code(setup.accept(&ann, &token).await), "invalid-token");
    assert_eq!(
        code(guestlist.preview_invite(&token).await),
        "invalid-token"
    );
    let resent = guestlist.resend_invite(alice, host, id).await;
    assert_eq!(code(resent), "wrong-invite-state");
    let revoked = guestlist.revoke_invite(alice, host, id).await;
    assert_eq!(code(revoked), "wrong-invite-state");

    let (id, token) = setup.invited("ann@corp.example").await;
    guestlist.revoke_invite(alice, host, id).await.unwrap();
    assert_eq!(setup.phase(id).await, InvitePhase::Revoked);
    assert_eq!(code(setup.accept(&ann, &token).await), "invalid-token");
    assert_eq!(code(guestlist.decline(&ann, &token).await), "invalid-token");
    let resent = guestlist.resend_invite(alice, host, id).await;
    assert_eq!(code(resent), "wrong-invite-state");
    assert_eq!(code(guestlist.revoke_invite(alice, host, id).await), "ok");

    let (id, token) = setup.invited("ann@corp.example").await;
    setup.accept(&ann, &token).await.unwrap();
    // Pressing the button twice is no error, also when it is the wrong one the second time.
    assert_eq!(code(setup.accept(&ann, &token).await), "ok");
    assert_eq!(code(guestlist.decline(&ann, &token).await), "invalid-token");
    let bob = setup.accept(&person("bob"), &token).await;
    assert_eq!(code(bob), "invalid-token");
    let revoked = guestlist.revoke_invite(alice, host, id).await;
    assert_eq!(code(revoked), "wrong-invite-state");
    let outcomes = setup.send(Invitations::new().to("ann@corp.example")).await;
    assert_eq!(codes(&outcomes), ["already-member"]);
    // A token of one kind opens nothing of the other.
    let (_, of_link) = link(guestlist, "host", LinkDraft::auto()).await;
    assert_eq!(code(setup.accept(&ann, &of_link).await), "invalid-token");
    let claimed = guestlist.claim(&ann, &token, Claim::for_myself()).await;
    assert_eq!(code(claimed), "invalid-token");
    // A batch tells of each.
    let (id, _) = setup.invited("cat@corp.example").await;
    let unknown = InviteId::from_bytes([9; 16]);
    let outcomes = guestlist.revoke_invites(alice, host, &[unknown, id]).await;
    let told: Vec<_> = outcomes.into_iter().map(code).collect();
    assert_eq!(told, ["not-found", "ok"]);
}

async fn an_expired_invite_is_over_until_it_is_resent<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    let ann = person("ann");
    let (id, token) = setup.invited("ann@corp.example").await;
    // Half open: valid until just before its end.
    let end = setup.invite(id).await.expires_at.unwrap();
    setup.clock.set(end);
    assert_eq!(setup.phase(id).await, InvitePhase::Expired);
    assert_eq!(code(setup.accept(&ann, &token).await), "invalid-token");
    let declined = setup.guestlist.decline(&ann, &token).await;
    assert_eq!(code(declined), "invalid-token");
    let shown = setup.guestlist.preview_invite(&token).await.unwrap();
    assert!(shown.expired);
    let told = setup
        .guestlist
        .inspect_invite(&setup.alice, &setup.host, &token)
        .await
        .unwrap();
    let problem = told.problem.map(guestlist::membership::TokenProblem::code);
    assert_eq!(problem, Some("invite-expired"));
    setup
        .guestlist
        .resend_invite(&setup.alice, &setup.host, id)
        .await
        .unwrap();
    assert_eq!(code(setup.accept(&ann, &token).await), "invalid-token");
    let renewed = setup.invite(id).await.expires_at.unwrap();
    assert!(renewed.since(end) >= 14 * DAY && renewed.since(end) < 15 * DAY);
    let accepted = setup.accept(&ann, &setup.mail().token()).await;
    assert_eq!(accepted.unwrap().status, Some(Status::Approved));
}

async fn a_second_invite_is_refused_or_replaces_the_first<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    let (first, old) = setup.invited("ann@corp.example").await;
    let again = || Invitations::new().to_as("ANN@corp.example", role("admin"));
    assert_eq!(codes(&setup.send(again()).await), ["already-invited"]);
    assert!(setup.postbox.invites().is_empty());
    assert_eq!(setup.phase(first).await, InvitePhase::Pending);
    let settings = Settings {
        second_invite: SecondInvite::Replace,
        ..Settings::default()
    };
    setup
        .guestlist
        .change_settings(&setup.alice, &setup.host, settings)
        .await
        .unwrap();
    assert_eq!(codes(&setup.send(again()).await), ["invited"]);
    let new = setup.mail().token();
    assert_eq!(setup.phase(first).await, InvitePhase::Revoked);
    let now = guestlist::Clock::now(&*setup.clock);
    let live = |invite: &EmailInvite| invite.phase(now) == InvitePhase::Pending;
    assert_eq!(setup.all().await.iter().filter(|it| live(it)).count(), 1);
    let ann = person("ann");
    assert_eq!(code(setup.accept(&ann, &old).await), "invalid-token");
    let accepted = setup.accept(&ann, &new).await.unwrap();
    assert_eq!(accepted.role, Some(role("admin")));
}

async fn invites_and_requests_cross<S: Store>(store: S) {
    let settings = Settings {
        discoverable: true,
        requests: Requests {
            open: true,
            ..Requests::default()
        },
        ..Settings::default()
    };
    let setup = setup(store, settings).await;
    let (alice, host) = (&setup.alice, &setup.host);
    let admin = || InviteDraft::new().role(role("admin"));
    // Somebody who is invited asks without looking at the mail: that is the answer to it.
    let (id, token) = setup.invited_with("ann@corp.example", admin()).await;
    let ann = person("ann");
    let asked = setup
        .guestlist
        .request(&ann, host, Claim::for_myself(), None)
        .await
        .unwrap();
    assert_eq!(asked.membership.status, Some(Status::Approved));
    assert_eq!(asked.membership.role, Some(role("admin")));
    assert_eq!(setup.phase(id).await, InvitePhase::Accepted);
    let late = setup.accept(&ann, &token).await.unwrap();
    assert_eq!(late.role, Some(role("admin")));
    // Whoever asks with another address than the invited one asks like anybody else.
    let (id, _) = setup.invited_with("bob@corp.example", admin()).await;
    let stranger = user("bob").with_verified_email(at("bob@other.example"));
    let asked = setup
        .guestlist
        .request(&stranger, host, Claim::for_myself(), None)
        .await
        .unwrap();
    assert_eq!(asked.membership.status, Some(Status::Pending));
    assert_eq!(setup.phase(id).await, InvitePhase::Pending);
    // Somebody who waits already is invited: the same membership becomes approved.
    let cat = person("cat");
    let asked = setup
        .guestlist
        .request(&cat, host, Claim::for_myself(), None)
        .await
        .unwrap();
    assert_eq!(asked.membership.status, Some(Status::Pending));
    let (id, token) = setup.invited("cat@corp.example").await;
    let accepted = setup.accept(&cat, &token).await.unwrap();
    assert_eq!(accepted.status, Some(Status::Approved));
    assert_eq!(accepted.episode, asked.membership.episode);
    assert_eq!(setup.phase(id).await, InvitePhase::Accepted);
    // The same for a claim that waits, whose link gets its use back.
    let draft = LinkDraft::review().max_uses(Uses::AtMost(1));
    let (_, of_link) = link(&setup.guestlist, "host", draft).await;
    let dan = person("dan");
    let claim = Claim::for_myself;
    setup
        .guestlist
        .claim(&dan, &of_link, claim())
        .await
        .unwrap();
    let full = setup
        .guestlist
        .claim(&person("eve"), &of_link, claim())
        .await;
    assert_eq!(code(full), "invalid-token");
    let (_, token) = setup.invited("dan@corp.example").await;
    let accepted = setup.accept(&dan, &token).await.unwrap();
    assert_eq!(accepted.status, Some(Status::Approved));
    let free = setup
        .guestlist
        .claim(&person("eve"), &of_link, claim())
        .await;
    assert_eq!(code(free), "ok");
    // One who may not come at all is not let in by the crossing either.
    setup.invited("fay@corp.example").await;
    let fay = user_member("fay");
    setup
        .guestlist
        .block(alice, host, &fay, None)
        .await
        .unwrap();
    let asked = setup
        .guestlist
        .request(&person("fay"), host, claim(), None)
        .await;
    assert_eq!(code(asked), "blocked");
}

async fn who_accepts_one_has_answered_all<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    let (work, token) = setup.invited("ann@corp.example").await;
    let (home, other) = setup.invited("ann@home.example").await;
    let (else_s, third) = setup.invited("bob@corp.example").await;
    let ann = person("ann").with_verified_email(at("ann@home.example"));
    setup.accept(&ann, &token).await.unwrap();
    assert_eq!(setup.phase(work).await, InvitePhase::Accepted);
    assert_eq!(setup.phase(home).await, InvitePhase::Revoked);
    assert_eq!(code(setup.accept(&ann, &other).await), "invalid-token");
    assert_eq!(setup.phase(else_s).await, InvitePhase::Pending);
    assert_eq!(code(setup.accept(&person("bob"), &third).await), "ok");
}

/// Knows who signs on elsewhere and who is in already, and what it was asked.
#[derive(Clone, Default)]
struct Known {
    asked: Arc<Mutex<Vec<(usize, bool)>>>,
    down: Arc<Mutex<bool>>,
    /// After how many answers it is down.
    down_after: Arc<Mutex<Option<usize>>>,
}

#[async_trait]
impl Directory for Known {
    async fn standing(
        &self,
        _: &OrgId,
        _: &guestlist::UserId,
    ) -> Result<Stated, Box<dyn core::error::Error + Send + Sync>> {
        Ok(Stated::NOBODY)
    }

    async fn addresses(
        &self,
        _: &OrgId,
        addresses: &[EmailAddress],
        single_sign_on: bool,
    ) -> Result<Vec<AddressFacts>, Box<dyn core::error::Error + Send + Sync>> {
        if *self.down.lock().unwrap() {
            return Err("the directory is down".into());
        }
        let mut asked = self.asked.lock().unwrap();
        if *self.down_after.lock().unwrap() == Some(asked.len()) {
            return Err("the directory is down".into());
        }
        asked.push((addresses.len(), single_sign_on));
        let facts = |address: &EmailAddress| match address.domain() {
            "partner.example" => AddressFacts::elsewhere(),
            "host.example" => AddressFacts::member(),
            _ => AddressFacts::default(),
        };
        Ok(addresses.iter().map(facts).collect())
    }
}

async fn single_sign_on_is_per_call_and_the_directory_knows<S: Store>(store: S) {
    let (clock, postbox, known) = (common::clock(), Postbox::default(), Known::default());
    let guestlist = builder(store, &clock, 31)
        .mailer(postbox.clone())
        .directory(known.clone())
        .build();
    register_with(&guestlist, "host", Settings::default()).await;
    let (host, alice) = (org("host"), owner("host"));
    let list = |name: &str| {
        let at = |domain: &str| format!("{name}@{domain}.example");
        to_all([at("corp"), at("partner"), at("host")])
    };
    let sign_on = |outcomes: &[InviteOutcome]| -> Vec<Option<SignOn>> {
        outcomes
            .iter()
            .map(|outcome| Some(outcome.invited()?.invite.config.sign_on))
            .collect()
    };
    let single = guestlist
        .invite(&alice, &host, list("a").single_sign_on())
        .await
        .unwrap();
    let expected = [Some(SignOn::Single), Some(SignOn::Elsewhere), None];
    assert_eq!(sign_on(&single), expected);
    assert_eq!(single[2].code(), "already-member");
    // The next call is as usual, whatever the one before asked for.
    let usual = guestlist.invite(&alice, &host, list("b")).await.unwrap();
    assert_eq!(
        sign_on(&usual),
        [Some(SignOn::Usual), Some(SignOn::Usual), None]
    );
    assert_eq!(*known.asked.lock().unwrap(), [(3, true), (3, false)]);
    assert_eq!(postbox.invites().len(), 4);
    // Without an answer nobody is invited.
    *known.down.lock().unwrap() = true;
    let refused = guestlist
        .invite(&alice, &host, list("c").single_sign_on())
        .await;
    assert_eq!(code(refused), "directory-unavailable");
    assert!(postbox.invites().is_empty());
    let page = Page::first(100).unwrap();
    let listed = guestlist
        .invites(&alice, &host, InviteFilter::default(), &page)
        .await
        .unwrap();
    assert_eq!(listed.invites.len(), 4);
}

async fn what_fails_midway_is_told_of_each_address<S: Store>(store: S) {
    let (clock, postbox, known) = (common::clock(), Postbox::default(), Known::default());
    let guestlist = builder(store, &clock, 32)
        .mailer(postbox.clone())
        .directory(known.clone())
        .build();
    register_with(&guestlist, "host", Settings::default()).await;
    let (host, alice) = (org("host"), owner("host"));
    let addresses = || to_all((0..250).map(|number| format!("p{number}@corp.example")));
    let keyed = guestlist.with_key("a-long-list".parse().unwrap());
    *known.down_after.lock().unwrap() = Some(1);
    let outcomes = keyed.invite(&alice, &host, addresses()).await.unwrap();
    assert_eq!(outcomes.len(), 250);
    let sent = outcomes.iter().filter(|it| it.invited().is_some()).count();
    assert!(0 < sent && sent < 250, "{sent}");
    let failed = "directory-unavailable";
    assert!(outcomes[sent..].iter().all(|it| it.code() == failed));
    let (first, mailed) = (sent, postbox.invites());
    assert_eq!(mailed.len(), sent);
    // The same call with its key goes on where it stopped, and mails nobody twice.
    *known.down_after.lock().unwrap() = None;
    let outcomes = keyed.invite(&alice, &host, addresses()).await.unwrap();
    assert!(outcomes.iter().all(|it| it.invited().is_some()));
    let later = postbox.invites();
    assert_eq!(first + later.len(), 250);
    let to: BTreeSet<String> = mailed.into_iter().chain(later).map(|it| it.to).collect();
    assert_eq!(to.len(), 250);
}

/// What has become of whoever sent the invite.
#[derive(Debug, Clone, Copy)]
enum Sender {
    Stayed,
    Demoted,
    Removed,
}

async fn an_invite_is_worth_what_its_sender_is<S: Store>(store: S) {
    let setup = setup(store, Settings::default()).await;
    let (alice, host) = (&setup.alice, &setup.host);
    let dead = "invalid-token";
    let table = [
        (Standing::Keep, Sender::Stayed, "approved", "ok"),
        (Standing::Keep, Sender::Demoted, "approved", "ok"),
        (Standing::Keep, Sender::Removed, "approved", "ok"),
        (Standing::MustBeMember, Sender::Stayed, "approved", "ok"),
        // Still a member, but not one who may let somebody in without review.
        (Standing::MustBeMember, Sender::Demoted, "pending", "ok"),
        (
            Standing::MustBeMember,
            Sender::Removed,
            dead,
            "inviter-not-standing",
        ),
        (Standing::MustHoldRight, Sender::Stayed, "approved", "ok"),
        (
            Standing::MustHoldRight,
            Sender::Demoted,
            dead,
            "inviter-not-standing",
        ),
        (
            Standing::MustHoldRight,
            Sender::Removed,
            dead,
            "inviter-not-standing",
        ),
    ];
    for (row, (standing, fate, expected, resent)) in table.into_iter().enumerate() {
        let settings = Settings {
            standing,
            ..Settings::default()
        };
        let changed = setup.guestlist.change_settings(alice, host, settings).await;
        changed.unwrap();
        let name = format!("adam{row}");
        let (adam, member) = (user(&name), user_member(&name));
        let gift = Preset {
            role: Some(role("admin")),
            ..Preset::default()
        };
        let added = setup
            .guestlist
            .add_member(alice, host, &member, gift, None)
            .await;
        added.unwrap();
        let to = |who: &str| format!("{who}{row}@corp.example");
        let two = Invitations::new().to(to("ann")).to(to("bob"));
        let outcomes = setup.guestlist.invite(&adam, host, two).await.unwrap();
        let bob = outcomes[1].invited().unwrap().invite.id;
        let token = setup.postbox.invites()[0].token();
        match fate {
            Sender::Stayed => {}
            Sender::Demoted => {
                let demoted = setup
                    .guestlist
                    .change_role(alice, host, &member, role("member"))
                    .await;
                demoted.unwrap();
            }
            Sender::Removed => {
                let removed = setup.guestlist.remove(alice, host, &member, None).await;
                removed.unwrap();
            }
        }
        let ann = person(&format!("ann{row}"));
        let accepted = setup.accept(&ann, &token).await;
        let came = match &accepted {
            Ok(membership) => membership.status.unwrap().as_str(),
            Err(error) => error.code(),
        };
        assert_eq!(came, expected, "{standing:?} {fate:?}");
        if expected == dead {
            let shown = setup.guestlist.preview_invite(&token).await;
            assert_eq!(code(shown), dead, "{standing:?} {fate:?}");
            let held = setup
                .guestlist
                .membership(alice, host, &user_member(&format!("ann{row}")))
                .await;
            assert_eq!(code(held), "not-found", "it gave nothing");
        }
        // A manager who still stands can't revive somebody else's promise.
        let again = setup.guestlist.resend_invite(alice, host, bob).await;
        assert_eq!(code(again), resent, "{standing:?} {fate:?}");
        setup.postbox.invites();
    }

    // Accepted and waiting for review when its sender went: an approval gives nothing either.
    let settings = Settings {
        joins: Joins::AlwaysReview,
        ..Settings::default()
    };
    let changed = setup.guestlist.change_settings(alice, host, settings).await;
    changed.unwrap();
    let member = user_member("adam0");
    let one = Invitations::new().to("zoe@corp.example");
    let sent = setup.guestlist.invite(&user("adam0"), host, one).await;
    assert_eq!(codes(&sent.unwrap()), ["invited"]);
    let waiting = setup.accept(&person("zoe"), &setup.mail().token()).await;
    assert_eq!(waiting.unwrap().status, Some(Status::Pending));
    let removed = setup.guestlist.remove(alice, host, &member, None).await;
    removed.unwrap();
    let approved = setup
        .guestlist
        .approve(alice, host, &user_member("zoe"))
        .await;
    assert_eq!(code(approved), "inviter-not-standing");
}
