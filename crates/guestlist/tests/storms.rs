//! Storms: many at once on one link with a limit, on one e-mail invite, on one address, on the last
//! seats. Exactly as many get in as may.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use std::sync::Arc;

use common::pg::{Settle, rounds, seed};
use common::{clock, link, org, over, owner, register, register_with, user};
use guestlist::membership::invite::{InvitePhase, InviteStatus};
use guestlist::membership::link::{LinkCondition, UseState};
use guestlist::membership::member::Status;
use guestlist::membership::{AddressCheck, Joins, Requests, Seats, SecondInvite};
use guestlist::{
    Claim, EventFilter, Guestlist, Invitations, InviteFilter, InviteOutcome, JoinedBy, LinkDraft,
    LinkFilter, MemberFilter, MemoryStore, Page, Settings, Uses,
};
use guestlist_postgres::{PgOptions, PgStore};
use guestlist_sqlite::SqliteStore;

const ROUNDS: usize = 50;

/// One storm of `claimers` on a new link for `limit`.
async fn storm<S: Settle + 'static>(
    guestlist: &Arc<Guestlist<S>>,
    round: usize,
    claimers: usize,
    limit: usize,
) {
    let draft = if round.is_multiple_of(2) {
        LinkDraft::review()
    } else {
        LinkDraft::auto()
    };
    let draft = draft.max_uses(Uses::AtMost(limit as u64));
    let (id, token) = link(guestlist, "host", draft).await;
    let token = Arc::new(token);
    let claims: Vec<_> = (0..claimers)
        .map(|number| {
            let (guestlist, token) = (Arc::clone(guestlist), Arc::clone(&token));
            tokio::spawn(async move {
                let actor = user(&format!("r{round}-{limit}-{number}"));
                guestlist.claim(&actor, &token, Claim::for_myself()).await
            })
        })
        .collect();
    let mut admitted = 0;
    for claim in claims {
        match claim.await.unwrap() {
            Ok(changed) => admitted += usize::from(changed.changed),
            Err(error) => assert_eq!(error.code(), "invalid-token", "{error:?}"),
        }
    }
    let expected = claimers.min(limit);
    assert_eq!(admitted, expected, "round {round}, limit {limit}");
    let (alice, host) = (owner("host"), org("host"));
    let mut users = Vec::new();
    let mut page = Page::first(100).unwrap();
    loop {
        let (part, next) = guestlist
            .link_users(&alice, &host, id, &page)
            .await
            .unwrap();
        users.extend(part);
        let Some(next) = next else { break };
        page = page.after(next);
    }
    let counted = users
        .iter()
        .filter(|used| used.state != UseState::Released)
        .count();
    assert_eq!(counted, expected);
    let filter = LinkFilter::default();
    let mut page = Page::first(1000).unwrap();
    let listing = loop {
        let part = guestlist
            .links(&alice, &host, filter.clone(), &page)
            .await
            .unwrap();
        if let Some(found) = part.links.into_iter().find(|listing| listing.link.id == id) {
            break found;
        }
        page = page.after(part.next.expect("the link is listed"));
    };
    assert_eq!(listing.uses, Some(expected as u64));
    let full = limit <= claimers;
    assert_eq!(listing.condition == LinkCondition::Exhausted, full);
    // Announced exactly once.
    guestlist.store().settle().await;
    let name = Some("link-exhausted".to_owned());
    let filter = EventFilter {
        name,
        link: Some(id),
        ..EventFilter::default()
    };
    let told = guestlist
        .audit(&alice, &host, filter, &Page::default())
        .await
        .unwrap();
    assert_eq!(told.events.len(), usize::from(full));
}

async fn storms<S: Settle + 'static>(store: S, claimers: usize) {
    let guestlist = Arc::new(over(store, &clock(), 9));
    register(&guestlist, &["host"]).await;
    for round in 0..ROUNDS {
        for limit in limits(claimers) {
            storm(&guestlist, round, claimers, limit).await;
        }
    }
}

const fn limits(claimers: usize) -> [usize; 6] {
    [1, 2, 5, claimers - 1, claimers, claimers + 1]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_in_memory() {
    storms(MemoryStore::default(), 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("storm.db")).unwrap();
    storms(store, 32).await;
}

/// As many rounds in all, each with the next limit.
async fn storms_in_turn(store: PgStore, rounds: usize) {
    const CLAIMERS: usize = 64;
    let guestlist = Arc::new(over(store, &clock(), seed(9)));
    register(&guestlist, &["host"]).await;
    for round in 0..rounds {
        let limits = limits(CLAIMERS);
        // Each limit comes with links that let in and with links that ask.
        let limit = limits[round / 2 % limits.len()];
        storm(&guestlist, round, CLAIMERS, limit).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_on_postgres() {
    storms_in_turn(common::pg::store().await, rounds(ROUNDS)).await;
}

/// By the function that Citus would run, each commit on its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_on_citus() {
    let (store, _) = common::pg::store_on_citus(PgOptions::new()).await;
    storms_in_turn(store, rounds(ROUNDS / 2)).await;
}

/// How many join, decline or take back at once.
const AT_ONCE: usize = 24;

/// Whoever has the mail may use it, and who invites again replaces.
fn anybodys() -> Settings {
    Settings {
        address_check: AddressCheck::Bearer,
        ..Settings::default()
    }
}

/// Many at once with the token of one invite, while its sender takes it back: it is used once or
/// not at all, and what is on record is what the calls said.
async fn one_invite_is_used_once<S: Settle + 'static>(store: S) {
    let guestlist = Arc::new(over(store, &clock(), 10));
    register_with(&guestlist, "host", anybodys()).await;
    let (alice, host) = (owner("host"), org("host"));
    let mut taken_back = 0;
    for round in 0..ROUNDS {
        let to = Invitations::new().to(format!("r{round}@example.com"));
        let mut sent = guestlist.invite(&alice, &host, to).await.unwrap();
        let InviteOutcome::Invited(invited) = sent.remove(0) else {
            panic!("{sent:?}");
        };
        let token = Arc::new(invited.token.unwrap());
        let invite = invited.invite.id;
        let accepts: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                let (guestlist, token) = (Arc::clone(&guestlist), Arc::clone(&token));
                tokio::spawn(async move {
                    let actor = user(&format!("r{round}-{number}"));
                    guestlist.accept(&actor, &token, Claim::for_myself()).await
                })
            })
            .collect();
        let revoking = round.is_multiple_of(2).then(|| {
            let (guestlist, alice, host) = (Arc::clone(&guestlist), alice.clone(), host.clone());
            tokio::spawn(async move { guestlist.revoke_invite(&alice, &host, invite).await })
        });
        let mut admitted = Vec::new();
        for accept in accepts {
            match accept.await.unwrap() {
                Ok(changed) => admitted.push(changed.membership.member),
                Err(error) => assert_eq!(error.code(), "invalid-token", "{error:?}"),
            }
        }
        let revoked = match revoking {
            Some(revoking) => revoking.await.unwrap().is_ok(),
            None => false,
        };
        taken_back += usize::from(revoked);
        assert_eq!(admitted.len() + usize::from(revoked), 1, "round {round}");
        let kept = guestlist.email_invite(&alice, &host, invite).await.unwrap();
        let used_by = kept.closed.unwrap().member;
        assert_eq!(used_by, admitted.pop());
        let expected = if revoked {
            InviteStatus::Revoked
        } else {
            InviteStatus::Accepted
        };
        assert_eq!(kept.status, expected);
    }
    let members = approved(&guestlist).await;
    // The owner is one of them.
    assert_eq!(members, ROUNDS - taken_back + 1);
}

async fn approved<S: guestlist::Store>(guestlist: &Guestlist<S>) -> usize {
    let (mut count, mut page) = (0, Page::first(1000).unwrap());
    loop {
        let filter = MemberFilter {
            status: Some(Status::Approved),
            ..MemberFilter::default()
        };
        let part = guestlist
            .members(&owner("host"), &org("host"), filter, &page)
            .await
            .unwrap();
        count += part.members.len();
        let Some(next) = part.next else { return count };
        page = page.after(next);
    }
}

/// Many invite one address at once: one invite of it waits, whatever the host wants of a second.
async fn one_address_has_one_invite<S: Settle + 'static>(store: S, second: SecondInvite) {
    let guestlist = Arc::new(over(store, &clock(), 11));
    let settings = Settings {
        second_invite: second,
        ..Settings::default()
    };
    register_with(&guestlist, "host", settings).await;
    let (alice, host) = (owner("host"), org("host"));
    for round in 0..ROUNDS {
        let sends: Vec<_> = (0..AT_ONCE / 2)
            .map(|number| {
                let (guestlist, alice, host) =
                    (Arc::clone(&guestlist), alice.clone(), host.clone());
                // One address in two spellings.
                let name = if number.is_multiple_of(2) {
                    "Ann"
                } else {
                    "ann"
                };
                let to = Invitations::new().to(format!("{name}+{round}@Example.com"));
                tokio::spawn(async move { guestlist.invite(&alice, &host, to).await })
            })
            .collect();
        let mut invited = 0;
        for send in sends {
            match send.await.unwrap().unwrap().remove(0) {
                InviteOutcome::Invited(_) => invited += 1,
                outcome => assert_eq!(outcome.code(), "already-invited"),
            }
        }
        let expected = match second {
            SecondInvite::Refuse => 1,
            SecondInvite::Replace => AT_ONCE / 2,
        };
        assert_eq!(invited, expected);
    }
    let waiting = InviteFilter {
        phase: Some(InvitePhase::Pending),
        ..InviteFilter::default()
    };
    let page = Page::first(1000).unwrap();
    let waiting = guestlist
        .invites(&alice, &host, waiting, &page)
        .await
        .unwrap();
    assert_eq!(waiting.invites.len(), ROUNDS);
}

/// Links, invites and requests at once, for three seats that are left.
async fn seats_are_not_overbooked<S: Settle + 'static>(store: S) {
    let guestlist = Arc::new(over(store, &clock(), 12));
    let settings = Settings {
        joins: Joins::AlwaysAuto,
        discoverable: true,
        requests: Requests {
            open: true,
            joined_by: JoinedBy::Users,
            ..Requests::default()
        },
        seats: Some(Seats {
            limit: core::num::NonZeroU64::new(4).unwrap(),
            count_pending: true,
        }),
        ..anybodys()
    };
    register_with(&guestlist, "host", settings).await;
    let (alice, host) = (owner("host"), org("host"));
    let (_, link) = link(&guestlist, "host", LinkDraft::auto()).await;
    let link = Arc::new(link);
    for round in 0..ROUNDS {
        let mut to = Invitations::new();
        for number in 0..AT_ONCE / 3 {
            to = to.to(format!("s{round}-{number}@example.com"));
        }
        let sent = guestlist.invite(&alice, &host, to).await.unwrap();
        let mut joins = Vec::new();
        for (number, outcome) in sent.into_iter().enumerate() {
            let InviteOutcome::Invited(invited) = outcome else {
                panic!("{outcome:?}");
            };
            let token = invited.token.unwrap();
            let list = Arc::clone(&guestlist);
            let actor = user(&format!("i{round}-{number}"));
            joins.push(tokio::spawn(async move {
                list.accept(&actor, &token, Claim::for_myself()).await
            }));
            let (list, token) = (Arc::clone(&guestlist), Arc::clone(&link));
            let actor = user(&format!("l{round}-{number}"));
            joins.push(tokio::spawn(async move {
                list.claim(&actor, &token, Claim::for_myself()).await
            }));
            let (list, host) = (Arc::clone(&guestlist), host.clone());
            let actor = user(&format!("q{round}-{number}"));
            joins.push(tokio::spawn(async move {
                list.request(&actor, &host, Claim::for_myself(), None).await
            }));
        }
        let mut members = Vec::new();
        for join in joins {
            match join.await.unwrap() {
                Ok(changed) => members.push(changed.membership.member),
                Err(error) => assert_eq!(error.code(), "seats-full", "{error:?}"),
            }
        }
        assert_eq!(members.len(), 3, "round {round}");
        assert_eq!(approved(&guestlist).await, 4);
        for member in members {
            guestlist
                .remove(&alice, &host, &member, None)
                .await
                .unwrap();
        }
    }
}

macro_rules! on_each {
    ($($name:ident($($argument:expr),*) as $memory:ident, $sqlite:ident, $postgres:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $memory() {
            $name(MemoryStore::default() $(, $argument)*).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $sqlite() {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(folder.path().join("storm.db")).unwrap();
            $name(store $(, $argument)*).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $postgres() {
            $name(common::pg::store().await $(, $argument)*).await;
        }
    )*};
}

on_each! {
    one_invite_is_used_once() as invites_are_used_once_in_memory, invites_are_used_once_on_sqlite, invites_are_used_once_on_postgres;
    one_address_has_one_invite(SecondInvite::Refuse) as addresses_are_refused_in_memory, addresses_are_refused_on_sqlite, addresses_are_refused_on_postgres;
    one_address_has_one_invite(SecondInvite::Replace) as addresses_are_replaced_in_memory, addresses_are_replaced_on_sqlite, addresses_are_replaced_on_postgres;
    seats_are_not_overbooked() as seats_hold_in_memory, seats_hold_on_sqlite, seats_hold_on_postgres;
}
