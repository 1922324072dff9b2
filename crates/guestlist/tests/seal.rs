//! Seeing the token of a link again: who may, with which keys, and what is on record of it.

#![cfg(feature = "seal")]
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use core::time::Duration;
use std::sync::{Arc, Mutex};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use common::{link, on_every_store, org, owner, register, user, user_member};
use guestlist::membership::link::{Link, TokenRecord};
use guestlist::membership::{By, Fact, Home, LinkRef, Row, RowKey, Scope, Stamp};
use guestlist::store::{Commit, Committed, Load, Revision, Write};
use guestlist::token::{Binding, SealKey, SealKeyId, SealRing, SealedToken, TokenKind};
use guestlist::types::{CommitId, LinkId};
use guestlist::{
    Claim, Error, Guestlist, InviteToken, LinkDraft, ManualClock, NoRateLimit, Preset, RoleName,
    Store, UrlStyle,
};

const HOUR: Duration = Duration::from_secs(3600);

on_every_store! {
    a_revealed_token_is_the_one_that_was_shown,
    without_keys_or_a_seal_there_is_nothing_to_reveal,
    keys_are_rotated_and_retired,
    who_may_reveal_and_what_is_on_record,
    a_look_is_on_record_where_nothing_else_changes,
    what_is_over_is_not_revealed,
    a_seal_opens_in_its_own_row_only,
}

/// A key by its number.
fn key(number: u8) -> (SealKeyId, SealKey) {
    let key = SealKey::from_bytes(&[number; 32]).unwrap();
    (SealKeyId::new(number.into()), key)
}

/// Seals with the first key; the others open what they have sealed.
fn keys(numbers: &[u8]) -> SealRing {
    let (id, first) = key(numbers[0]);
    let ring = SealRing::new(id, first);
    numbers[1..].iter().fold(ring, |ring, number| {
        let (id, older) = key(*number);
        ring.with_older(id, older).unwrap()
    })
}

/// A process that has these keys, or none. Each draws its own randomness.
fn process<S: Store>(store: S, clock: &Arc<ManualClock>, numbers: &[u8]) -> Guestlist<S> {
    let seed = numbers
        .iter()
        .fold(40_u8, |seed, number| seed.wrapping_mul(3) ^ number);
    let builder = Guestlist::builder(store, common::ring())
        .clock(Arc::clone(clock))
        .entropy(Mutex::new(ChaCha20Rng::from_seed([seed; 32])))
        .rate_limit(NoRateLimit)
        .join_url(
            "https://app.example/join".parse().unwrap(),
            UrlStyle::Fragment,
        );
    if numbers.is_empty() {
        builder.build()
    } else {
        builder.seals(keys(numbers)).build()
    }
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

async fn reveal<S: Store>(guestlist: &Guestlist<S>, id: LinkId) -> Result<InviteToken, Error> {
    let revealed = guestlist
        .reveal_link(&owner("host"), &org("host"), id)
        .await?;
    assert_eq!(revealed.link.id, id);
    let token = revealed.token.unwrap();
    let url = revealed.url.unwrap();
    assert!(url.expose_secret().ends_with(token.expose_secret()));
    Ok(token)
}

/// Whether it was revealed, and is this one.
async fn shows<S: Store>(guestlist: &Guestlist<S>, id: LinkId, token: &InviteToken) -> bool {
    let revealed = reveal(guestlist, id).await.unwrap();
    revealed.expose_secret() == token.expose_secret()
}

async fn opens<S: Store>(guestlist: &Guestlist<S>, token: &InviteToken) -> bool {
    guestlist.preview(token).await.is_ok()
}

/// How often the log says that this link was revealed, and by whom.
async fn revelations<S: Store>(guestlist: &Guestlist<S>, id: LinkId) -> Vec<By> {
    let events = guestlist.feed(None, 10_000).await.unwrap().events;
    events
        .into_iter()
        .filter(|recorded| {
            recorded.event.name() == "link-revealed"
                && serde_json::to_string(&recorded.event)
                    .unwrap()
                    .contains(&id.to_string())
        })
        .map(|recorded| recorded.stamp.by)
        .collect()
}

/// The row of a link's current token.
async fn token_row<S: Store>(guestlist: &Guestlist<S>, id: LinkId) -> (TokenRecord, Revision) {
    let facts = vec![Fact::Link(LinkRef::Id(id)), Fact::Tokens(LinkRef::Id(id))];
    let scope = Scope::of(org("host"), facts);
    let snapshot = guestlist.store().load(&Load::of(&scope)).await.unwrap();
    let records = snapshot.records();
    let selector = records.link(&org("host"), id).unwrap().token.unwrap();
    let row = records.token(selector).unwrap().clone();
    let revision = snapshot.revision(&RowKey::Token(selector)).unwrap();
    (row, revision)
}

async fn link_row<S: Store>(guestlist: &Guestlist<S>, id: LinkId) -> Link {
    let scope = Scope::of(org("host"), vec![Fact::Link(LinkRef::Id(id))]);
    let snapshot = guestlist.store().load(&Load::of(&scope)).await.unwrap();
    snapshot.records().link(&org("host"), id).unwrap().clone()
}

/// Writes another seal into that row, as somebody would who can write to the database.
async fn tamper<S: Store>(guestlist: &Guestlist<S>, id: LinkId, sealed: SealedToken, nth: u8) {
    let (before, revision) = token_row(guestlist, id).await;
    let mut row = before.clone();
    row.sealed = Some(sealed);
    let commit = Commit {
        id: CommitId::from_bytes([nth; 16]),
        home: Home::Organization(org("host")),
        checks: Vec::new(),
        writes: vec![Write::Put {
            key: RowKey::Token(row.selector),
            row: Row::Token(row),
            revision: revision.next(),
            before: Some(Box::new(Row::Token(before))),
        }],
        stamp: Stamp {
            at: common::START,
            by: By::System,
        },
        events: Vec::new(),
        receipt: None,
    };
    let done = guestlist.store().commit(&[commit]).await.unwrap();
    assert_eq!(done, [Committed::Applied]);
    assert_eq!(token_row(guestlist, id).await.0.sealed, Some(sealed));
}

async fn a_revealed_token_is_the_one_that_was_shown<S: Store>(store: S) {
    let clock = common::clock();
    let guestlist = process(store, &clock, &[1]);
    register(&guestlist, &["host", "bravo"]).await;
    let (id, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let (other, second) = link(&guestlist, "host", LinkDraft::auto()).await;
    assert!(shows(&guestlist, id, &token).await);
    assert!(shows(&guestlist, other, &second).await);
    assert!(shows(&guestlist, id, &token).await, "as often as one likes");
    let again = reveal(&guestlist, id).await.unwrap();
    let claimed = guestlist
        .claim(&owner("bravo"), &again, Claim::for_organization())
        .await;
    assert!(claimed.unwrap().changed);
    // The persistent link shows its token when it is made, and whenever it is asked to.
    let (alice, host) = (owner("host"), org("host"));
    let made = guestlist.default_link(&alice, &host, LinkDraft::review());
    let made = made.await.unwrap();
    let later = guestlist.default_link(&alice, &host, LinkDraft::review());
    let later = later.await.unwrap();
    assert_eq!((later.link.id, later.token.is_none()), (made.link.id, true));
    assert!(shows(&guestlist, made.link.id, &made.token.unwrap()).await);
}

async fn without_keys_or_a_seal_there_is_nothing_to_reveal<S: Store + Clone>(store: S) {
    let clock = common::clock();
    let without = process(store.clone(), &clock, &[]);
    register(&without, &["host"]).await;
    let (unsealed, token) = link(&without, "host", LinkDraft::review()).await;
    assert_eq!(code(reveal(&without, unsealed).await), "token-not-sealed");
    // A key that comes later opens nothing that was never sealed.
    let with = process(store, &clock, &[1]);
    assert_eq!(code(reveal(&with, unsealed).await), "token-not-sealed");
    let (sealed, second) = link(&with, "host", LinkDraft::review()).await;
    assert_eq!(code(reveal(&without, sealed).await), "token-not-sealed");
    for id in [unsealed, sealed] {
        assert_eq!(revelations(&with, id).await, []);
    }
    for token in [&token, &second] {
        assert!(opens(&with, token).await && opens(&without, token).await);
    }
    // With the next token there is a seal.
    let (alice, host) = (owner("host"), org("host"));
    let refreshed = with.refresh_link(&alice, &host, unsealed, Duration::ZERO);
    let refreshed = refreshed.await.unwrap().token.unwrap();
    assert!(shows(&with, unsealed, &refreshed).await);
}

async fn keys_are_rotated_and_retired<S: Store + Clone>(store: S) {
    let clock = common::clock();
    let before = process(store.clone(), &clock, &[1]);
    register(&before, &["host", "bravo"]).await;
    let (old, token) = link(&before, "host", LinkDraft::auto()).await;
    let sealed_under = async |id| token_row(&before, id).await.0.sealed.unwrap().key().get();
    assert_eq!(sealed_under(old).await, 1);

    let rotated = process(store.clone(), &clock, &[2, 1]);
    assert!(shows(&rotated, old, &token).await);
    let (new, second) = link(&rotated, "host", LinkDraft::auto()).await;
    assert_eq!(sealed_under(new).await, 2);
    assert!(shows(&rotated, new, &second).await);
    // A process that has not got the new key yet.
    assert_eq!(code(reveal(&before, new).await), "token-not-sealed");
    assert!(opens(&before, &second).await);

    let retired = process(store.clone(), &clock, &[2]);
    let looked = revelations(&retired, old).await.len();
    assert_eq!(looked, 1);
    assert_eq!(code(reveal(&retired, old).await), "token-not-sealed");
    // What nobody has seen is not on record as seen.
    assert_eq!(revelations(&retired, old).await.len(), looked);
    assert!(shows(&retired, new, &second).await);
    // The link itself needs no seal.
    assert!(opens(&retired, &token).await);
    let claimed = retired
        .claim(&owner("bravo"), &token, Claim::for_organization())
        .await;
    assert!(claimed.unwrap().changed);
    let (alice, host) = (owner("host"), org("host"));
    let refreshed = retired.refresh_link(&alice, &host, old, Duration::ZERO);
    let refreshed = refreshed.await.unwrap().token.unwrap();
    assert!(shows(&retired, old, &refreshed).await);
    assert_eq!(sealed_under(old).await, 2);
    // Another key under a known id opens nothing.
    let (_, wrong) = key(9);
    let wrong = SealRing::new(SealKeyId::new(2), wrong);
    let wrong = common::builder(store, &clock, 99).seals(wrong).build();
    assert_eq!(code(reveal(&wrong, new).await), "token-not-sealed");
}

async fn who_may_reveal_and_what_is_on_record<S: Store>(store: S) {
    let clock = common::clock();
    let guestlist = process(store, &clock, &[1]);
    register(&guestlist, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (id, token) = link(&guestlist, "host", LinkDraft::review()).await;
    for (name, role) in [("adam", "admin"), ("mia", "member"), ("rob", "admin")] {
        let gift = Preset {
            role: Some(RoleName::parse(role).unwrap()),
            ..Preset::default()
        };
        let added = guestlist
            .add_member(&alice, &host, &user_member(name), gift, None)
            .await;
        added.unwrap();
    }
    let rob = user_member("rob");
    guestlist.remove(&alice, &host, &rob, None).await.unwrap();
    let try_it = async |actor: &guestlist::Actor, host: &guestlist::OrgId| {
        code(guestlist.reveal_link(actor, host, id).await)
    };
    assert_eq!(try_it(&user("mia"), &host).await, "not-allowed");
    assert_eq!(try_it(&user("rob"), &host).await, "not-found");
    assert_eq!(try_it(&user("nobody"), &host).await, "not-found");
    assert_eq!(try_it(&owner("bravo"), &host).await, "not-found");
    // Somebody else's link is nobody's here.
    assert_eq!(try_it(&owner("bravo"), &org("bravo")).await, "not-found");
    assert_eq!(revelations(&guestlist, id).await, []);
    let unknown = LinkId::from_bytes([7; 16]);
    let refused = guestlist.reveal_link(&alice, &host, unknown).await;
    assert_eq!(code(refused), "not-found");

    assert_eq!(try_it(&user("adam"), &host).await, "ok");
    assert!(shows(&guestlist, id, &token).await);
    let by = |actor: &guestlist::Actor| actor.by();
    let seen = revelations(&guestlist, id).await;
    assert_eq!(seen, [by(&user("adam")), by(&alice)]);
    // A look repeated with its key is a look.
    let keyed = guestlist.with_key("look".parse().unwrap());
    for _ in 0..2 {
        let revealed = keyed.reveal_link(&alice, &host, id).await.unwrap();
        assert_eq!(
            revealed.token.unwrap().expose_secret(),
            token.expose_secret()
        );
    }
    assert_eq!(revelations(&guestlist, id).await.len(), 4);
    let page = guestlist::Page::first(100).unwrap();
    let audit = guestlist
        .audit(&alice, &host, guestlist::EventFilter::default(), &page)
        .await
        .unwrap();
    let named = |name: &str| {
        let events = audit.events.iter();
        events.filter(|it| it.event.name() == name).count()
    };
    assert_eq!((named("link-revealed"), named("link-created")), (4, 1));
}

/// A look changes no more of a link than when it was last changed, and not even that where another
/// clock is ahead: it is on record all the same.
async fn a_look_is_on_record_where_nothing_else_changes<S: Store + Clone>(store: S) {
    let ahead = common::clock();
    ahead.advance(HOUR);
    let first = process(store.clone(), &ahead, &[1]);
    register(&first, &["host"]).await;
    let (id, token) = link(&first, "host", LinkDraft::review()).await;
    let row = link_row(&first, id).await;
    let behind = process(store, &common::clock(), &[2, 1]);
    for looks in 1..=3 {
        assert!(shows(&behind, id, &token).await);
        assert_eq!(revelations(&first, id).await.len(), looks);
    }
    assert_eq!(link_row(&first, id).await, row);
}

async fn what_is_over_is_not_revealed<S: Store>(store: S) {
    let clock = common::clock();
    let guestlist = process(store, &clock, &[1]);
    register(&guestlist, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (id, first) = link(&guestlist, "host", LinkDraft::review()).await;
    let (row, _) = token_row(&guestlist, id).await;
    assert!(row.sealed.is_some());
    // The old one still opens the link for an hour; what is shown is the current one.
    let second = guestlist.refresh_link(&alice, &host, id, HOUR).await;
    let second = second.unwrap().token.unwrap();
    assert!(opens(&guestlist, &first).await);
    assert!(shows(&guestlist, id, &second).await);
    // And the seal of the old one is gone from the store, so that no key shows it again.
    let facts = vec![Fact::Tokens(LinkRef::Id(id)), Fact::Link(LinkRef::Id(id))];
    let scope = Scope {
        root: guestlist::membership::Root::Token(first.selector()),
        facts,
    };
    let snapshot = guestlist.store().load(&Load::of(&scope)).await.unwrap();
    let old = snapshot.records().token(first.selector()).unwrap();
    assert!(old.tag.is_some() && old.sealed.is_none());

    guestlist.disable_link(&alice, &host, id).await.unwrap();
    assert_eq!(code(reveal(&guestlist, id).await), "wrong-link-state");
    let third = guestlist.enable_link(&alice, &host, id).await.unwrap();
    assert!(shows(&guestlist, id, &third.token.unwrap()).await);
    guestlist.delete_link(&alice, &host, id).await.unwrap();
    let gone = code(reveal(&guestlist, id).await);
    assert_eq!(gone, code(guestlist.disable_link(&alice, &host, id).await));
    assert_eq!(gone, "not-found");
    assert_eq!(revelations(&guestlist, id).await.len(), 2);
}

async fn a_seal_opens_in_its_own_row_only<S: Store>(store: S) {
    let clock = common::clock();
    let guestlist = process(store, &clock, &[1]);
    register(&guestlist, &["host"]).await;
    let (one, first) = link(&guestlist, "host", LinkDraft::review()).await;
    let (two, second) = link(&guestlist, "host", LinkDraft::review()).await;
    let own = token_row(&guestlist, one).await.0.sealed.unwrap();
    let others = token_row(&guestlist, two).await.0.sealed.unwrap();
    tamper(&guestlist, one, others, 1).await;
    assert_eq!(code(reveal(&guestlist, one).await), "token-not-sealed");
    assert_eq!(revelations(&guestlist, one).await, []);
    // The link goes on, and the other one is as it was.
    assert!(opens(&guestlist, &first).await);
    assert!(shows(&guestlist, two, &second).await);
    // A seal for the same link and another selector, made with the very key.
    let host = org("host");
    let binding = Binding {
        host: &host,
        subject: *one.as_bytes(),
    };
    let mut rng = ChaCha20Rng::from_seed([77; 32]);
    let foreign = keys(&[1]).seal(&second, &binding, &mut rng).unwrap();
    tamper(&guestlist, one, foreign, 2).await;
    assert_eq!(code(reveal(&guestlist, one).await), "token-not-sealed");
    // Every bit of it counts.
    for at in [0, 2, 30, 63_u8] {
        let mut bytes = *own.as_bytes();
        bytes[usize::from(at)] ^= 1;
        tamper(&guestlist, one, SealedToken::from_bytes(bytes), 3 + at).await;
        assert_eq!(code(reveal(&guestlist, one).await), "token-not-sealed");
    }
    assert_eq!(revelations(&guestlist, one).await, []);
    tamper(&guestlist, one, own, 90).await;
    assert!(shows(&guestlist, one, &first).await);
    assert_eq!(first.kind(), TokenKind::Link);
}
