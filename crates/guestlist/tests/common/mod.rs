//! What the facade's tests start from.

#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::sync::{Arc, Mutex};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use guestlist::{
    Actor, Guestlist, LinkDraft, ManualClock, Member, MemoryStore, NewOrganization, OrgId, Pepper,
    PepperId, PepperRing, Settings, Store, Timestamp, UrlStyle,
};

pub(crate) const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

pub(crate) fn pepper(byte: u8) -> Pepper {
    Pepper::from_bytes(&[byte; 32]).unwrap()
}

pub(crate) fn ring() -> PepperRing {
    PepperRing::new(PepperId::new(1), pepper(1))
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(START))
}

/// A guestlist whose ids, tokens and times are the same in every run.
pub(crate) fn over<S: Store>(store: S, clock: &Arc<ManualClock>, seed: u8) -> Guestlist<S> {
    Guestlist::builder(store, ring())
        .clock(Arc::clone(clock))
        .entropy(Mutex::new(ChaCha20Rng::from_seed([seed; 32])))
        .join_url("https://app.example/join".parse().unwrap(), UrlStyle::Query)
        .build()
}

pub(crate) fn memory() -> (Guestlist<MemoryStore>, Arc<ManualClock>) {
    let clock = clock();
    (over(MemoryStore::default(), &clock, 7), clock)
}

pub(crate) fn org(name: &str) -> OrgId {
    OrgId::parse(&format!("org-{name}")).unwrap()
}

/// The founder of an organization of [`register`].
pub(crate) fn owner(name: &str) -> Actor {
    Actor::user(format!("{name}-owner").parse().unwrap()).in_organization(org(name))
}

pub(crate) fn user(name: &str) -> Actor {
    Actor::user(name.parse().unwrap())
}

pub(crate) fn user_member(name: &str) -> Member {
    Member::User(name.parse().unwrap())
}

pub(crate) fn org_member(name: &str) -> Member {
    Member::Org(org(name))
}

pub(crate) async fn register<S: Store>(guestlist: &Guestlist<S>, names: &[&str]) {
    for name in names {
        register_with(guestlist, name, Settings::default()).await;
    }
}

pub(crate) async fn register_with<S: Store>(
    guestlist: &Guestlist<S>,
    name: &str,
    settings: Settings,
) {
    let new = NewOrganization::new(org(name), name.parse().unwrap())
        .founder(format!("{name}-owner").parse().unwrap())
        .settings(settings);
    guestlist.register(new).await.unwrap();
}

pub(crate) async fn link<S: Store>(
    guestlist: &Guestlist<S>,
    host: &str,
    draft: LinkDraft,
) -> (guestlist::types::LinkId, guestlist::InviteToken) {
    let issued = guestlist
        .create_link(&owner(host), &org(host), draft)
        .await
        .unwrap();
    (issued.link.id, issued.token.unwrap())
}
