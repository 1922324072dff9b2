//! What the facade's tests start from.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test file uses its own part"
)]
#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

pub(crate) mod log;
pub(crate) mod pg;
pub(crate) mod postbox;
pub(crate) mod receiving;

use std::sync::{Arc, Mutex};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use guestlist::membership::{Fact, InviteRef, LinkRef, Root, RowKey, Scope};
use guestlist::{
    Actor, AuditKey, Builder, Guestlist, Invitations, LinkDraft, ManualClock, Member, MemoryStore,
    NewOrganization, NoRateLimit, OrgId, Pepper, PepperId, PepperRing, Settings, Store, Timestamp,
    UrlStyle,
};
use guestlist_webhooks::{HttpTransport, WebhookKey, WebhookKeyId, WebhookKeyRing};

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
    builder(store, clock, seed).build()
}

/// The same, to be changed.
pub(crate) fn builder<S: Store>(store: S, clock: &Arc<ManualClock>, seed: u8) -> Builder<S> {
    let builder = Guestlist::builder(store, ring())
        .clock(Arc::clone(clock))
        .entropy(Mutex::new(ChaCha20Rng::from_seed([seed; 32])))
        .rate_limit(NoRateLimit)
        .webhooks(webhook_keys(), HttpTransport::new())
        .audit_key(AuditKey::from_bytes(&[4; 32]).unwrap())
        .join_url("https://app.example/join".parse().unwrap(), UrlStyle::Query);
    #[cfg(feature = "seal")]
    let builder = builder.seals(seals());
    builder
}

pub(crate) fn webhook_keys() -> WebhookKeyRing {
    let key = WebhookKey::from_bytes(&[3; 32]).unwrap();
    WebhookKeyRing::new(WebhookKeyId::new(1), key)
}

#[cfg(feature = "seal")]
pub(crate) fn seals() -> guestlist::token::SealRing {
    use guestlist::token::{SealKey, SealKeyId, SealRing};
    SealRing::new(SealKeyId::new(1), SealKey::from_bytes(&[2; 32]).unwrap())
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

/// What makes a load read this row.
pub(crate) fn scope_of(key: &RowKey) -> Scope {
    // Names are found by themselves; every other row is named directly.
    let host = key.organization().cloned().unwrap_or_else(|| org("host"));
    match key {
        RowKey::Token(selector) => Scope {
            root: Root::Token(*selector),
            facts: Vec::new(),
        },
        _ => Scope::of(host, facts(key)),
    }
}

fn facts(key: &RowKey) -> Vec<Fact> {
    vec![match key {
        RowKey::Name(name) => Fact::Name(name.clone()),
        RowKey::Organization(_) => Fact::Organization,
        RowKey::Owners(_) => Fact::Owners,
        RowKey::SeatTally(_) => return vec![Fact::Organization, Fact::Seats],
        RowKey::AccessHead(_) | RowKey::Group(..) | RowKey::GroupMember(..) | RowKey::Grant(..) => {
            Fact::Book
        }
        RowKey::Link(_, link) => Fact::Link(LinkRef::Id(*link)),
        RowKey::LinkTally(_, link) => {
            return vec![
                Fact::Link(LinkRef::Id(*link)),
                Fact::Tally(LinkRef::Id(*link)),
            ];
        }
        RowKey::LinkUse(_, link, member) => Fact::Use(LinkRef::Id(*link), member.clone()),
        RowKey::Token(_) | RowKey::Consumer(_) | RowKey::Parked(..) => return Vec::new(),
        RowKey::Membership(_, member) => Fact::Membership(member.clone()),
        RowKey::Acting(_, host) => Fact::ActingIn(host.clone()),
        RowKey::PreviewTally(_, link, generation) => Fact::PreviewTally(*link, *generation),
        RowKey::Invite(_, invite) => Fact::Invite(InviteRef::Id(*invite)),
        RowKey::Address(_, address) => Fact::Address(address.clone()),
        RowKey::Endpoint(_, endpoint) => Fact::Endpoint(*endpoint),
        RowKey::UseCount(_, link) => Fact::UseCount(LinkRef::Id(*link)),
        RowKey::SeatCount(_) => Fact::SeatCount,
    }]
}

/// Invitations to all of these addresses.
pub(crate) fn to_all<T: Into<String>>(addresses: impl IntoIterator<Item = T>) -> Invitations {
    addresses.into_iter().collect()
}

/// Runs each scenario over every store.
macro_rules! on_every_store {
    ($($scenario:ident),* $(,)?) => {
        mod over_memory {
            $(
                #[tokio::test]
                async fn $scenario() {
                    super::$scenario(guestlist::MemoryStore::default()).await;
                }
            )*
        }
        mod over_sqlite {
            $(
                #[tokio::test]
                async fn $scenario() {
                    let store = guestlist_sqlite::SqliteStore::builder().in_memory();
                    super::$scenario(store.open().unwrap()).await;
                }
            )*
        }
    };
}
pub(crate) use on_every_store;
