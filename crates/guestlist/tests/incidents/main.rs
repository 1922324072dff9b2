//! Incidents of real products, replayed: each is impossible here. `docs/incidents.md` is the table
//! of all of them; `catalogue.rs` holds it to these tests.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]
#![expect(
    clippy::doc_markdown,
    reason = "products are written as they write themselves"
)]

#[path = "../common/mod.rs"]
mod common;

/// The same scenario in memory and in a database on disk, where two threads may meet.
macro_rules! on_every_store {
    ($($scenario:ident),+ $(,)?) => {
        $(mod $scenario {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_memory() {
                super::$scenario(guestlist::MemoryStore::default()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("app.db");
                let store = guestlist_sqlite::SqliteStore::open(file).unwrap();
                super::$scenario(store).await;
            }
        })+
    };
}

mod addressing;
mod catalogue;
mod email_invites;
mod membership_state;
mod operations;
mod roles_and_grants;
mod token_lifetime;

use std::sync::Arc;

use common::{org, owner, register, user};
use guestlist::{
    Action, ActionSet, Actor, Address, Claim, Error, Grantee, GroupName, Guestlist, Invitations,
    InviteDraft, InviteId, InviteOutcome, InviteToken, LinkFilter, LinkId, ManualClock, Member,
    Page, Pattern, Preset, Status, Store,
};

fn code<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

/// A guestlist with these organizations, each with a founder.
async fn world<S: Store>(store: S, names: &[&str]) -> (Guestlist<S>, Arc<ManualClock>) {
    let clock = common::clock();
    let guestlist = common::over(store, &clock, 7);
    register(&guestlist, names).await;
    (guestlist, clock)
}

/// All that ever happened. Every change commits an event with it, so the same log before and after
/// means that nothing changed.
async fn log<S: Store>(guestlist: &Guestlist<S>) -> Vec<String> {
    let page = guestlist.feed(None, 10_000).await.unwrap();
    page.events
        .iter()
        .map(|recorded| format!("{recorded:?}"))
        .collect()
}

/// Somebody with a verified address.
fn person(name: &str, address: &str) -> Actor {
    user(name).with_verified_email(address.parse().unwrap())
}

/// What came of inviting one address.
async fn try_invite<S: Store>(
    guestlist: &Guestlist<S>,
    actor: &Actor,
    host: &str,
    address: &str,
    draft: InviteDraft,
) -> Result<InviteOutcome, Error> {
    let invitations = Invitations::new().to(address).draft(draft);
    let outcomes = guestlist.invite(actor, &org(host), invitations).await?;
    Ok(outcomes.into_iter().next().unwrap())
}

/// An invite by the founder, and its token.
async fn invite<S: Store>(
    guestlist: &Guestlist<S>,
    host: &str,
    address: &str,
    draft: InviteDraft,
) -> (InviteId, InviteToken) {
    let outcome = try_invite(guestlist, &owner(host), host, address, draft)
        .await
        .unwrap();
    match outcome {
        InviteOutcome::Invited(invited) => (invited.invite.id, invited.token.unwrap()),
        other => panic!("{other:?}"),
    }
}

/// A user with this role in the host.
async fn staff<S: Store>(guestlist: &Guestlist<S>, host: &str, name: &str, role: &str) -> Actor {
    let gift = Preset {
        role: Some(role.parse().unwrap()),
        ..Preset::default()
    };
    let member = common::user_member(name);
    guestlist
        .add_member(&owner(host), &org(host), &member, gift, None)
        .await
        .unwrap();
    user(name).in_organization(org(host))
}

/// A group of the host, made by its founder.
async fn group<S: Store>(
    guestlist: &Guestlist<S>,
    host: &str,
    name: &str,
    internal: bool,
) -> guestlist::types::GroupId {
    let name: GroupName = name.parse().unwrap();
    guestlist
        .create_group(&owner(host), &org(host), name, internal)
        .await
        .unwrap()
        .id
}

fn read() -> ActionSet {
    ActionSet::of(&[Action::Read])
}

/// A grant by the founder.
async fn give<S: Store>(
    guestlist: &Guestlist<S>,
    host: &str,
    to: Grantee,
    actions: ActionSet,
    pattern: &str,
) -> guestlist::types::GrantId {
    let pattern = Pattern::parse(pattern).unwrap();
    guestlist
        .grant(&owner(host), &org(host), to, actions, pattern, None)
        .await
        .unwrap()
        .id
}

/// Whether the actor may read what this address names.
async fn sees<S: Store>(guestlist: &Guestlist<S>, actor: &Actor, address: &str) -> bool {
    let address = Address::parse(address).unwrap();
    guestlist
        .decide(actor, Action::Read, &address)
        .await
        .unwrap()
        .is_allowed()
}

/// The stored status of a membership; `None` if there is no record or never was an episode.
async fn status<S: Store>(guestlist: &Guestlist<S>, host: &str, member: &Member) -> Option<Status> {
    let found = guestlist
        .membership(&Actor::system(), &org(host), member)
        .await;
    match found {
        Ok(membership) => membership.status,
        Err(error) => {
            assert_eq!(error.code(), "not-found");
            None
        }
    }
}

/// How many uses of a link with a limit are taken.
async fn uses<S: Store>(guestlist: &Guestlist<S>, host: &str, link: LinkId) -> u64 {
    let page = guestlist
        .links(
            &owner(host),
            &org(host),
            LinkFilter::default(),
            &Page::default(),
        )
        .await
        .unwrap();
    let listing = page.links.into_iter().find(|found| found.link.id == link);
    listing.unwrap().uses.unwrap()
}

/// A claim for the founder's organization.
async fn claim_org<S: Store>(
    guestlist: &Guestlist<S>,
    name: &str,
    token: &InviteToken,
) -> Result<guestlist::Changed, Error> {
    guestlist
        .claim(&owner(name), token, Claim::for_organization())
        .await
}

/// A claim by a user for itself.
async fn claim_user<S: Store>(
    guestlist: &Guestlist<S>,
    actor: &Actor,
    token: &InviteToken,
) -> Result<guestlist::Changed, Error> {
    guestlist.claim(actor, token, Claim::for_myself()).await
}
