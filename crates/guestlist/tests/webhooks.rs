//! Webhooks, from a command to a receiver that verifies what it got, over real connections on
//! this machine.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use core::time::Duration;
use std::sync::Arc;

use common::receiving::{Answer, Hit, Receiving};
use common::{builder, link, org, org_member, owner, register};
use guestlist::membership::webhook::{DisabledFor, EndpointStatus};
use guestlist::webhook::{HttpTransport, RetrySchedule};
use guestlist::{
    Actor, Claim, Delivered, EndpointDraft, EndpointUrl, Guestlist, LinkDraft, ManualClock,
    MemoryStore, Page, Store,
};
use guestlist_sqlite::SqliteStore;

const OK: Answer = Answer::Status(200);
const MINUTE: Duration = Duration::from_secs(60);

/// Sends to this machine, is impatient, and tries again after one and after ten minutes.
fn sending<S: Store>(store: S, clock: &Arc<ManualClock>) -> Guestlist<S> {
    let transport = HttpTransport::new()
        .allow_private_addresses()
        .with_timeout(Duration::from_millis(300));
    builder(store, clock, 7)
        .webhooks(common::webhook_keys(), transport)
        .webhook_schedule(RetrySchedule::new([Duration::ZERO, MINUTE, 10 * MINUTE]))
        .build()
}

async fn with_endpoint<S: Store>(
    guestlist: &Guestlist<S>,
    draft: EndpointDraft,
) -> guestlist::EndpointWithSecret {
    register(guestlist, &["host", "bravo"]).await;
    // Only the host application itself may send without encryption.
    guestlist
        .create_endpoint(&Actor::system(), &org("host"), draft)
        .await
        .unwrap()
}

async fn join<S: Store>(guestlist: &Guestlist<S>) {
    let (_, token) = link(guestlist, "host", LinkDraft::review()).await;
    guestlist
        .claim(&owner("bravo"), &token, Claim::for_organization())
        .await
        .unwrap();
    guestlist
        .approve(&owner("host"), &org("host"), &org_member("bravo"))
        .await
        .unwrap();
}

fn counts(done: Delivered) -> [u64; 5] {
    [done.delivered, done.failed, done.dead, done.busy, done.gone]
}

async fn events_arrive_in_order_signed_and_once<S: Store>(store: S) {
    let clock = common::clock();
    let guestlist = sending(store, &clock);
    let receiving = Receiving::start();
    let made = with_endpoint(&guestlist, EndpointDraft::new(receiving.url())).await;
    join(&guestlist).await;
    // Another organization's business is not sent here.
    link(&guestlist, "bravo", LinkDraft::review()).await;
    receiving.will(&[OK; 8]);
    let done = guestlist.deliver_webhooks(100).await.unwrap();
    let hits = receiving.got();
    let kinds: Vec<String> = hits.iter().map(Hit::kind).collect();
    assert_eq!(
        kinds,
        [
            "endpoint-created",
            "link-created",
            "membership-requested",
            "membership-approved"
        ]
    );
    assert_eq!(counts(done), [4, 0, 0, 0, 0]);
    let now = guestlist::Clock::now(&*clock);
    let mut ids = std::collections::BTreeSet::new();
    for hit in &hits {
        assert!(hit.verifies(&made.secret, now));
        assert!(ids.insert(hit.header("webhook-id").unwrap().to_owned()));
        assert_eq!(hit.json()["data"]["organization"], "org-host");
        assert_eq!(hit.header("content-type"), Some("application/json"));
        let text = String::from_utf8(hit.body.clone()).unwrap();
        assert!(!text.contains("glj_"), "no token leaves the house");
    }
    // Nothing is sent twice.
    assert_eq!(
        counts(guestlist.deliver_webhooks(100).await.unwrap()),
        [0; 5]
    );
    assert!(receiving.got().is_empty());
}

#[tokio::test]
async fn events_arrive_in_order_signed_and_once_over_memory() {
    events_arrive_in_order_signed_and_once(MemoryStore::default()).await;
}

#[tokio::test]
async fn events_arrive_in_order_signed_and_once_over_sqlite() {
    let store = SqliteStore::builder().in_memory().open().unwrap();
    events_arrive_in_order_signed_and_once(store).await;
}

#[tokio::test]
async fn an_endpoint_gets_what_it_asks_for() {
    let clock = common::clock();
    let guestlist = sending(MemoryStore::default(), &clock);
    let receiving = Receiving::start();
    let draft = EndpointDraft::new(receiving.url()).event("membership-approved");
    with_endpoint(&guestlist, draft).await;
    join(&guestlist).await;
    receiving.will(&[OK; 4]);
    guestlist.deliver_webhooks(100).await.unwrap();
    let kinds: Vec<String> = receiving.got().iter().map(Hit::kind).collect();
    assert_eq!(kinds, ["membership-approved"]);
}

/// A receiver that hangs, fails or sends elsewhere keeps nothing up: what did not arrive is parked
/// and tried again on its own, newer events go on, and after the last attempt it is a dead letter
/// that somebody can replay.
async fn the_queue_goes_on<S: Store>(store: S) {
    let clock = common::clock();
    let guestlist = sending(store, &clock);
    let receiving = Receiving::start();
    let draft = EndpointDraft::new(receiving.url())
        .event("membership-requested")
        .event("membership-approved");
    let endpoint = with_endpoint(&guestlist, draft).await.endpoint.id;
    join(&guestlist).await;
    let (host, system) = (org("host"), Actor::system());
    // First round: the first event hangs, which ends the round for this endpoint.
    receiving.will(&[Answer::Hang]);
    let done = guestlist.deliver_webhooks(100).await.unwrap();
    assert_eq!(counts(done), [0, 1, 0, 0, 0]);
    let first = receiving.got();
    assert_eq!(first[0].kind(), "membership-requested");
    let letters = guestlist
        .dead_letters(&system, &host, endpoint)
        .await
        .unwrap();
    assert_eq!((letters.len(), letters[0].attempts), (1, 1));
    assert_eq!(letters[0].error, "webhook-timeout");
    // Next round: it is not due yet, and the event behind it arrives.
    receiving.will(&[OK]);
    let done = guestlist.deliver_webhooks(100).await.unwrap();
    assert_eq!(counts(done), [1, 0, 0, 0, 0]);
    assert_eq!(receiving.got()[0].kind(), "membership-approved");
    // It is tried again after its pause, with the same id, and fails otherwise: a redirect is
    // followed nowhere.
    clock.advance(2 * MINUTE);
    receiving.will(&[Answer::Status(302)]);
    let done = guestlist.deliver_webhooks(100).await.unwrap();
    assert_eq!(counts(done), [0, 1, 0, 0, 0]);
    let again = receiving.got();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].header("webhook-id"), first[0].header("webhook-id"));
    assert!(!again[0].head.contains("/elsewhere"));
    // And once more, the last time.
    clock.advance(20 * MINUTE);
    receiving.will(&[Answer::Status(500)]);
    let done = guestlist.deliver_webhooks(100).await.unwrap();
    assert_eq!(counts(done), [0, 0, 1, 0, 0]);
    receiving.got();
    clock.advance(100 * MINUTE);
    assert_eq!(
        counts(guestlist.deliver_webhooks(100).await.unwrap()),
        [0; 5]
    );
    let letters = guestlist
        .dead_letters(&system, &host, endpoint)
        .await
        .unwrap();
    assert_eq!((letters[0].attempts, letters[0].next_at), (3, None));
    assert_eq!(letters[0].error, "http-500");
    // Replayed, it arrives and is gone.
    let replayed = guestlist.replay(&system, &host, endpoint, None).await;
    assert_eq!(replayed.unwrap(), 1);
    receiving.will(&[OK]);
    let done = guestlist.deliver_webhooks(100).await.unwrap();
    assert_eq!(counts(done), [1, 0, 0, 0, 0]);
    let replayed = receiving.got();
    assert_eq!(
        replayed[0].header("webhook-id"),
        first[0].header("webhook-id")
    );
    let letters = guestlist
        .dead_letters(&system, &host, endpoint)
        .await
        .unwrap();
    assert!(letters.is_empty());
}

#[tokio::test]
async fn the_queue_goes_on_over_memory() {
    the_queue_goes_on(MemoryStore::default()).await;
}

#[tokio::test]
async fn the_queue_goes_on_over_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("hooks.db")).unwrap();
    the_queue_goes_on(store).await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_misses_nothing() {
    let clock = common::clock();
    let guestlist = sending(MemoryStore::default(), &clock);
    let receiving = Receiving::start();
    let draft = EndpointDraft::new(receiving.url()).event("membership-requested");
    let endpoint = with_endpoint(&guestlist, draft).await.endpoint.id;
    join(&guestlist).await;
    let (host, system) = (org("host"), Actor::system());
    receiving.will(&[Answer::Status(410)]);
    let done = guestlist.deliver_webhooks(100).await.unwrap();
    assert_eq!(done.gone, 1);
    let held = guestlist.endpoint(&system, &host, endpoint).await.unwrap();
    assert_eq!(held.status, EndpointStatus::Disabled(DisabledFor::Gone));
    assert_eq!(
        counts(guestlist.deliver_webhooks(100).await.unwrap()),
        [0; 5]
    );
    receiving.got();
    guestlist
        .enable_endpoint(&system, &host, endpoint)
        .await
        .unwrap();
    guestlist
        .replay(&system, &host, endpoint, None)
        .await
        .unwrap();
    receiving.will(&[OK]);
    guestlist.deliver_webhooks(100).await.unwrap();
    assert_eq!(receiving.got()[0].kind(), "membership-requested");
}

#[tokio::test]
async fn one_endpoint_that_hangs_keeps_no_other_up() {
    let clock = common::clock();
    let guestlist = sending(MemoryStore::default(), &clock);
    let (slow, quick) = (Receiving::start(), Receiving::start());
    let wanted = |url| EndpointDraft::new(url).event("membership-requested");
    with_endpoint(&guestlist, wanted(slow.url())).await;
    guestlist
        .create_endpoint(&Actor::system(), &org("host"), wanted(quick.url()))
        .await
        .unwrap();
    join(&guestlist).await;
    slow.will(&[Answer::Hang]);
    quick.will(&[OK]);
    let done = guestlist.deliver_webhooks(100).await.unwrap();
    assert_eq!((done.failed, quick.got().len()), (1, 1));
}

#[tokio::test]
async fn while_a_secret_is_rotated_both_verify() {
    let clock = common::clock();
    let guestlist = sending(MemoryStore::default(), &clock);
    let receiving = Receiving::start();
    let draft = EndpointDraft::new(receiving.url()).event("membership-requested");
    let made = with_endpoint(&guestlist, draft).await;
    let (host, system) = (org("host"), Actor::system());
    let rotated = guestlist
        .rotate_endpoint_secret(&system, &host, made.endpoint.id, 60 * MINUTE)
        .await
        .unwrap();
    join(&guestlist).await;
    receiving.will(&[OK]);
    guestlist.deliver_webhooks(100).await.unwrap();
    let now = guestlist::Clock::now(&*clock);
    let hit = receiving.got().pop().unwrap();
    assert!(hit.verifies(&made.secret, now) && hit.verifies(&rotated.secret, now));
    // The secret can be seen again, and after the overlap the old one signs no more.
    let seen = guestlist
        .endpoint_secret(&system, &host, made.endpoint.id)
        .await
        .unwrap();
    assert_eq!(
        *seen.secret.expose_secret(),
        *rotated.secret.expose_secret()
    );
    clock.advance(61 * MINUTE);
    guestlist
        .reject(&owner("host"), &host, &org_member("bravo"), None)
        .await
        .unwrap_err();
    guestlist
        .leave(&owner("bravo"), &host, &org_member("bravo"))
        .await
        .unwrap();
    join(&guestlist).await;
    receiving.will(&[OK]);
    guestlist.deliver_webhooks(100).await.unwrap();
    let now = guestlist::Clock::now(&*clock);
    let hit = receiving.got().pop().unwrap();
    assert!(!hit.verifies(&made.secret, now) && hit.verifies(&rotated.secret, now));
}

#[tokio::test]
async fn two_senders_deliver_nothing_twice() {
    let clock = common::clock();
    let store = MemoryStore::default();
    let (one, two) = (sending(store.clone(), &clock), sending(store, &clock));
    let receiving = Receiving::start();
    let draft = EndpointDraft::new(receiving.url()).event("membership-requested");
    with_endpoint(&one, draft).await;
    join(&one).await;
    receiving.will(&[OK; 4]);
    let (a, b) = tokio::join!(one.deliver_webhooks(100), two.deliver_webhooks(100));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(receiving.got().len(), 1, "{a:?} and {b:?}");
}

#[tokio::test]
async fn who_may_have_webhooks() {
    let clock = common::clock();
    let guestlist = sending(MemoryStore::default(), &clock);
    register(&guestlist, &["host", "bravo"]).await;
    let host = org("host");
    let url = || EndpointUrl::parse("https://hooks.example/x").unwrap();
    let code = |result: Result<guestlist::EndpointWithSecret, guestlist::Error>| {
        result.map_or_else(|error| error.code(), |_| "fine")
    };
    let draft = || EndpointDraft::new(url());
    let stranger = owner("bravo");
    let refused = guestlist.create_endpoint(&stranger, &host, draft()).await;
    assert_eq!(code(refused), "not-found");
    let alice = owner("host");
    let made = guestlist.create_endpoint(&alice, &host, draft()).await;
    let endpoint = made.unwrap().endpoint.id;
    let plain = EndpointUrl::parse_insecure("http://hooks.example/x").unwrap();
    let refused = guestlist
        .create_endpoint(&alice, &host, EndpointDraft::new(plain))
        .await;
    assert_eq!(code(refused), "endpoint-not-encrypted");
    for result in [
        guestlist.endpoint_secret(&stranger, &host, endpoint).await,
        // Another organization's ids are nothing.
        guestlist
            .endpoint_secret(&stranger, &org("bravo"), endpoint)
            .await,
    ] {
        assert_eq!(code(result), "not-found");
    }
    let page = Page::first(10).unwrap();
    assert_eq!(
        guestlist
            .endpoints(&alice, &host, &page)
            .await
            .unwrap()
            .0
            .len(),
        1
    );
    guestlist
        .delete_endpoint(&alice, &host, endpoint)
        .await
        .unwrap();
    let (left, _) = guestlist.endpoints(&alice, &host, &page).await.unwrap();
    assert!(left.is_empty());
}
