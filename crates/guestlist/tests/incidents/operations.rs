//! What holds for every command: events, randomness, and many at once.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use guestlist::{
    Action, Address, Audience, Changes, Claim, Entropy, EntropyError, Expiry, Grantee, InviteDraft,
    InviteOutcome, LinkDraft, MemoryStore, Pause, Settings, Store, Uses,
};

use crate::common::{builder, clock, link, org, owner, register, user, user_member};
use crate::{claim_user, code, give, invite, log, person, read, staff, world};

const HOUR: Duration = Duration::from_secs(3600);

/// Everything that ends, ends with an event that says so, which names the link or the invite and
/// holds no secret. Slack 2022: the event of a link carried a whole row of a person, and with it a
/// digest of their password.
async fn every_ending_is_an_event_without_a_secret<S: Store + 'static>(store: S) {
    let (guestlist, clock) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let settings = Settings {
        request_ttl: Some(HOUR),
        ..Settings::default()
    };
    guestlist
        .change_settings(&alice, &host, settings)
        .await
        .unwrap();
    let (id, token) = link(&guestlist, "host", LinkDraft::review()).await;
    for name in [
        "withdraws",
        "leaves",
        "rejected",
        "removed",
        "waits",
        "expires",
    ] {
        claim_user(&guestlist, &user(name), &token).await.unwrap();
    }
    for name in ["leaves", "removed"] {
        let member = user_member(name);
        guestlist.approve(&alice, &host, &member).await.unwrap();
    }
    let changes = Changes {
        expires_at: Some(crate::common::START + HOUR),
        ..Changes::default()
    };
    let expires = user_member("expires");
    guestlist
        .approve_with(&alice, &host, &expires, changes)
        .await
        .unwrap();
    for name in ["withdraws", "leaves"] {
        let member = user_member(name);
        guestlist.leave(&user(name), &host, &member).await.unwrap();
    }
    let (rejected, removed) = (user_member("rejected"), user_member("removed"));
    guestlist
        .reject(&alice, &host, &rejected, None)
        .await
        .unwrap();
    guestlist
        .remove(&alice, &host, &removed, None)
        .await
        .unwrap();
    let once = LinkDraft::auto().max_uses(Uses::AtMost(1));
    let (_, last) = link(&guestlist, "host", once).await;
    claim_user(&guestlist, &user("last"), &last).await.unwrap();
    let soon = LinkDraft::auto().expiry(Expiry::After(HOUR));
    let (_, brief) = link(&guestlist, "host", soon).await;
    guestlist
        .refresh_link(&alice, &host, id, HOUR)
        .await
        .unwrap();
    guestlist.disable_link(&alice, &host, id).await.unwrap();
    guestlist.enable_link(&alice, &host, id).await.unwrap();
    guestlist.delete_link(&alice, &host, id).await.unwrap();
    guestlist
        .pause_links(&alice, &host, Pause::UntilResumed)
        .await
        .unwrap();
    guestlist.resume_links(&alice, &host).await.unwrap();
    let mut secrets = vec![token, last, brief];
    for number in 0..4 {
        let address = format!("u{number}@corp.example");
        let draft = InviteDraft::new().expiry(Expiry::After(HOUR));
        let (id, token) = invite(&guestlist, "host", &address, draft).await;
        let actor = person(&format!("u{number}"), &address);
        match number {
            0 => drop(
                guestlist
                    .accept(&actor, &token, Claim::for_myself())
                    .await
                    .unwrap(),
            ),
            1 => drop(guestlist.decline(&actor, &token).await.unwrap()),
            2 => drop(guestlist.revoke_invite(&alice, &host, id).await.unwrap()),
            _ => {}
        }
        secrets.push(token);
    }
    clock.advance(2 * HOUR);
    guestlist.sweep(100).await.unwrap();
    let feed = guestlist.feed(None, 10_000).await.unwrap().events;
    let told: BTreeSet<&str> = feed.iter().map(|recorded| recorded.event.name()).collect();
    for name in [
        "membership-withdrawn",
        "membership-left",
        "membership-rejected",
        "membership-removed",
        "membership-expired",
        "link-exhausted",
        "link-expired",
        "link-refreshed",
        "link-disabled",
        "link-enabled",
        "link-deleted",
        "links-paused",
        "links-resumed",
        "invite-accepted",
        "invite-declined",
        "invite-revoked",
        "invite-expired",
    ] {
        assert!(told.contains(name), "{name}");
    }
    let text = serde_json::to_string(&feed).unwrap();
    assert!(text.contains(&id.to_string()));
    for secret in &secrets {
        assert!(!text.contains(&secret.expose_secret()[14..36]));
    }
    // Nor anything that a secret is recognized by.
    for word in ["\"tag\"", "\"mac\"", "\"sealed\"", "digest"] {
        assert!(!text.contains(word), "{word}");
    }
}

/// Fails, or gives the same byte for ever.
struct Broken(Option<u8>);

impl Entropy for Broken {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let byte = self.0.ok_or(EntropyError)?;
        bytes.fill(byte);
        Ok(())
    }
}

/// Without randomness there is no token: a generator that fails, or that can't be random, is an
/// error, and nothing is made. GitHub, HackerOne 2197801 (invite tokens with too little randomness),
/// cal.diy (`Math.random` for keys).
#[tokio::test]
async fn a_generator_that_is_stuck_makes_no_token() {
    for broken in [None, Some(0), Some(0x41), Some(0xff)] {
        let store = MemoryStore::default();
        let clock = clock();
        let sound = builder(&store, &clock, 7).build();
        register(&sound, &["host"]).await;
        let guestlist = builder(&store, &clock, 7).entropy(Broken(broken)).build();
        let before = store.kv().dump();
        let made = guestlist
            .create_link(&owner("host"), &org("host"), LinkDraft::auto())
            .await;
        assert_eq!(code(made), "entropy-unavailable", "{broken:?}");
        assert_eq!(store.kv().dump(), before);
    }
}

/// Many who decide at once are each answered for themselves. Grafana, CVE-2022-39328: under load the
/// context of one request was used for another, and anonymous people were let through.
async fn decisions_made_at_once_are_not_mixed_up<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let everyone = Grantee::Organization(Audience::InternalUsers);
    give(&guestlist, "host", everyone, read(), "shared/").await;
    let mia = staff(&guestlist, "host", "mia", "member").await;
    let guestlist = Arc::new(guestlist);
    let asked: Vec<_> = (0..300)
        .map(|number| {
            let (guestlist, mia) = (Arc::clone(&guestlist), mia.clone());
            tokio::spawn(async move {
                let own = Address::parse("shared/x").unwrap();
                let (actor, expected) = match number % 3 {
                    0 => (mia, true),
                    1 => (user("stranger"), false),
                    _ => (user("mia"), false),
                };
                let decided = guestlist.decide(&actor, Action::Read, &own).await.unwrap();
                assert_eq!(decided.is_allowed(), expected, "{number}");
            })
        })
        .collect();
    for one in asked {
        one.await.unwrap();
    }
}

/// What is refused says what it needs and is not done in part: a batch has an answer for each, and
/// all or none where that is wanted. Rule 37; OpenWA 1174: no selection was taken for all.
async fn all_or_none_is_all_or_none<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let before = log(&guestlist).await;
    let none = guestlist
        .invite(&alice, &host, guestlist::Invitations::new())
        .await
        .unwrap();
    assert!(none.is_empty());
    let mixed = || {
        guestlist::Invitations::new()
            .to("a@corp.example")
            .to("no address")
            .to_as("b@corp.example", "unheard-of".parse().unwrap())
    };
    let outcomes = guestlist
        .invite(&alice, &host, mixed().all_or_nothing())
        .await
        .unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.invited().is_none()));
    assert_eq!(log(&guestlist).await, before);
    let outcomes = guestlist.invite(&alice, &host, mixed()).await.unwrap();
    let codes: Vec<_> = outcomes.iter().map(InviteOutcome::code).collect();
    assert_eq!(codes[0], "invited");
    assert_eq!(codes[2], "unknown-role");
    assert!(codes[1].starts_with("email-"), "{}", codes[1]);
}

on_every_store!(
    every_ending_is_an_event_without_a_secret,
    decisions_made_at_once_are_not_mixed_up,
    all_or_none_is_all_or_none,
);
