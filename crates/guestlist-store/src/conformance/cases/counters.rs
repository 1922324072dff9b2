//! Counters under a limit: exact, and without collisions below it.

use core::num::NonZeroU64;
use core::time::Duration;

use guestlist_membership::link::{Generation, LinkCommand, LinkDraft, LinkEvent, UseState, Uses};
use guestlist_membership::organization::Settings;
use guestlist_membership::{CommandError, Event, Fact, Home, LinkRef, RowKey, Scope, TokenProblem};
use guestlist_token::PepperId;
use guestlist_types::{LinkId, OrgId};

use crate::commit::{Check, Commit, Committed, Write};
use crate::conformance::harness::{name, org, person};
use crate::conformance::observe::{assert_consistent, assert_folds, observe_with};
use crate::conformance::world::{limited, seats};
use crate::conformance::{Fixture, Harness, Order};
use crate::event::EventFilter;
use crate::query::Query;
use crate::snapshot::Revision;
use crate::store::Store;

/// How many members try at once.
const CLAIMERS: u64 = 8;

async fn host<S: Store + ?Sized>(h: &Harness<'_, S>) -> OrgId {
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    host
}

/// The uses of a link: as counted along, and as counted now.
pub(super) async fn uses<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    host: &OrgId,
    link: LinkId,
) -> (Option<u64>, Option<u64>) {
    let id = || LinkRef::Id(link);
    let facts = vec![Fact::Link(id()), Fact::Tally(id()), Fact::UseCount(id())];
    let snapshot = h.load(&Scope::of(host.clone(), facts)).await;
    let records = snapshot.records();
    (
        records.link_tally(host, link),
        records.use_count(host, link),
    )
}

/// How often it is in the log that the last use of a link was taken.
pub(super) async fn exhausted<F: Fixture>(
    fixture: &F,
    h: &Harness<'_, F::Store>,
    link: LinkId,
) -> usize {
    fixture.settle(h.store()).await;
    let events = h.events(&EventFilter::default(), 1000).await;
    let exhausted = Event::Link(LinkEvent::Exhausted { link });
    events
        .iter()
        .filter(|recorded| recorded.event == exhausted)
        .count()
}

async fn link_revision<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    host: &OrgId,
    link: LinkId,
) -> Revision {
    let scope = Scope::of(host.clone(), vec![Fact::Link(LinkRef::Id(link))]);
    h.row(&scope, &RowKey::Link(host.clone(), link)).await.0
}

/// A claim that was decided on as the last one conflicts if a use was given back meanwhile: nothing
/// is said of an exhausted link that isn't.
pub async fn the_last_use_is_the_last_when_it_is_taken<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let issued = h
        .new_link(&host, LinkDraft::review().max_uses(limited(2)))
        .await;
    let (early, late) = (person("early"), person("late"));
    h.done(&h.claim(issued.token, &early)).await;
    let last = h.prepared(&h.claim(issued.token, &late)).await;
    assert!(
        last.events
            .contains(&Event::Link(LinkEvent::Exhausted { link: issued.link }))
    );
    h.done(&Order::cancel(&host, &early)).await;
    let outcome = h.commit(&last).await;
    assert!(
        matches!(outcome, Committed::Conflict { .. }),
        "the last use was taken though another had been given back: {outcome:?}"
    );
    h.done(&h.claim(issued.token, &late)).await;
    assert_eq!(exhausted(fixture, &h, issued.link).await, 0);
    h.done(&h.claim(issued.token, &early)).await;
    assert_eq!(exhausted(fixture, &h, issued.link).await, 1);
}

/// Of more claims than places, all decided on one snapshot, as many get in as there are places, and
/// exactly one takes the last.
pub async fn a_limit_is_never_passed<F: Fixture>(fixture: &F) {
    for limit in [1, 2, 5, CLAIMERS - 1, CLAIMERS, CLAIMERS + 1] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let host = host(&h).await;
        let issued = h
            .new_link(&host, LinkDraft::review().max_uses(limited(limit)))
            .await;
        let claims: Vec<_> = (0..CLAIMERS)
            .map(|n| h.claim(issued.token, &person(&format!("user_{n}"))))
            .collect();
        let mut won = 0;
        for (claim, commit) in claims.iter().zip(h.prepared_all(&claims).await) {
            let in_already = match h.commit(&commit).await {
                Committed::Applied => Ok(()),
                Committed::Conflict { .. } => h.run(claim).await.map(|_| ()),
                Committed::AlreadyApplied(receipt) => panic!("applied before: {receipt:?}"),
            };
            match in_already {
                Ok(()) => won += 1,
                Err(CommandError::InvalidToken(refusal)) => {
                    assert_eq!(refusal.problem(), TokenProblem::Exhausted);
                }
                Err(error) => panic!("a claim was refused: {error:?}"),
            }
            let (tally, _) = uses(&h, &host, issued.link).await;
            assert!(
                tally.is_some_and(|tally| tally <= limit),
                "{tally:?} of {limit} uses"
            );
        }
        let expected = limit.min(CLAIMERS);
        assert_eq!(
            won, expected,
            "of {CLAIMERS} claims on a link with {limit} uses"
        );
        let counted = uses(&h, &host, issued.link).await;
        assert_eq!(counted, (Some(expected), Some(expected)));
        let last = usize::from(limit <= CLAIMERS);
        assert_eq!(
            exhausted(fixture, &h, issued.link).await,
            last,
            "of {limit} uses"
        );
        assert_consistent(fixture, &h).await;
    }
}

/// A bound is kept by the store itself, whatever else a commit says.
pub async fn a_take_is_refused_at_its_bound<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let issued = h
        .new_link(&host, LinkDraft::review().max_uses(limited(9)))
        .await;
    for count in 0..4 {
        let member = person(&format!("user_{count}"));
        let commit = h.prepared(&h.claim(issued.token, &member)).await;
        let at = |bound: u64| {
            let mut bounded: Commit = commit.clone();
            bounded.id = h.commit_id();
            for write in &mut bounded.writes {
                if let Write::Take { below, .. } = write {
                    *below = bound;
                }
            }
            assert_ne!(
                bounded.writes, commit.writes,
                "a limited link is counted along"
            );
            bounded
        };
        let refused = at(count);
        let before = observe_with(fixture, &h, &refused.writes).await;
        h.conflicts(&refused).await;
        let after = observe_with(fixture, &h, &refused.writes).await;
        before.assert_same(&after, "a refused take");
        h.applies(&at(count + 1)).await;
        assert_eq!(uses(&h, &host, issued.link).await.0, Some(count + 1));
    }
    assert_consistent(fixture, &h).await;
}

/// Claims by different members on one snapshot all apply, on a link without a limit and on one with
/// room, and the link stays as it is.
pub async fn claims_do_not_collide<F: Fixture>(fixture: &F) {
    for draft in [
        LinkDraft::review(),
        LinkDraft::auto(),
        LinkDraft::review().max_uses(limited(100)),
        LinkDraft::auto().max_uses(limited(100)),
    ] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let host = host(&h).await;
        let issued = h.new_link(&host, draft).await;
        let before = link_revision(&h, &host, issued.link).await;
        let claims: Vec<_> = (0..CLAIMERS)
            .map(|n| h.claim(issued.token, &person(&format!("user_{n}"))))
            .collect();
        for commit in h.prepared_all(&claims).await {
            h.applies(&commit).await;
        }
        assert_eq!(
            link_revision(&h, &host, issued.link).await,
            before,
            "a claim moves no link"
        );
        assert_eq!(uses(&h, &host, issued.link).await.1, Some(CLAIMERS));
        assert_consistent(fixture, &h).await;
    }
}

/// Uses that requests held are given back by commits that don't collide, and can be taken again.
pub async fn released_uses_can_be_taken_again<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let issued = h
        .new_link(&host, LinkDraft::review().max_uses(limited(4)))
        .await;
    let members: Vec<_> = (0..4).map(|n| person(&format!("user_{n}"))).collect();
    for member in &members {
        h.done(&h.claim(issued.token, member)).await;
    }
    let late = h.claim(issued.token, &person("late"));
    assert!(h.run(&late).await.is_err(), "no use is left");
    let endings = [
        Order::reject(&host, &members[0]),
        Order::cancel(&host, &members[1]),
        Order::reject(&host, &members[2]),
        h.approve(&host, &members[3]),
    ];
    for commit in h.prepared_all(&endings).await {
        h.applies(&commit).await;
    }
    assert_eq!(uses(&h, &host, issued.link).await, (Some(1), Some(1)));
    h.done(&late).await;
    // Coming back takes a use again.
    h.done(&h.claim(issued.token, &members[0])).await;
    h.done(&h.claim(issued.token, &members[0])).await;
    assert_eq!(uses(&h, &host, issued.link).await, (Some(3), Some(3)));
    let query = Query::Uses {
        host: host.clone(),
        link: issued.link,
    };
    let counted = h
        .list(&query, 1000)
        .await
        .into_iter()
        .filter(|(_, row)| match row {
            guestlist_membership::Row::LinkUse(held) => held.state != UseState::Released,
            _ => false,
        });
    assert_eq!(counted.count(), 3);
    assert_consistent(fixture, &h).await;
}

/// A limit that is set on what was counted holds only if nobody came in between.
pub async fn uses_counted_before_a_claim_conflict<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    let link = issued.link;
    h.done(&h.claim(issued.token, &person("ann"))).await;
    let edit = |uses| {
        let draft = Box::new(LinkDraft::default().max_uses(uses));
        Order::link(&host, LinkCommand::Edit { link, draft })
    };
    let stale = h.prepared(&edit(limited(2))).await;
    h.done(&h.claim(issued.token, &person("bob"))).await;
    let before = observe_with(fixture, &h, &stale.writes).await;
    h.conflicts(&stale).await;
    let after = observe_with(fixture, &h, &stale.writes).await;
    before.assert_same(&after, "a conflict about counted uses");
    h.done(&edit(limited(3))).await;
    assert_eq!(uses(&h, &host, link).await, (Some(2), Some(2)));
    // Where they are counted along, whatever becomes of the edit, the count is right.
    for between in [
        h.claim(issued.token, &person("cid")),
        Order::cancel(&host, &person("cid")),
    ] {
        let stale = h.prepared(&edit(limited(9))).await;
        h.done(&between).await;
        let _ = h.commit(&stale).await;
        let (along, now) = uses(&h, &host, link).await;
        assert_eq!(along, now, "uses as counted along, and as counted now");
        assert_folds(fixture, &h).await;
    }
    h.done(&edit(Uses::Unlimited)).await;
    assert_eq!(uses(&h, &host, link).await, (None, Some(2)));
    assert_consistent(fixture, &h).await;
}

/// The same for seats: pending and approved members are counted apart.
pub async fn seats_counted_before_a_change_conflict<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    let (ann, bob) = (person("ann"), person("bob"));
    for between in [
        h.claim(issued.token, &ann),
        h.approve(&host, &ann),
        h.claim(issued.token, &bob),
        Order::cancel(&host, &bob),
        Order::leave(&host, &ann),
    ] {
        let stale = h.prepared(&Order::settings(&host, seats(9, true))).await;
        h.done(&between).await;
        let before = observe_with(fixture, &h, &stale.writes).await;
        h.conflicts(&stale).await;
        let after = observe_with(fixture, &h, &stale.writes).await;
        before.assert_same(&after, "a conflict about counted seats");
    }
    assert_consistent(fixture, &h).await;
}

/// Of more members than seats, all decided on one snapshot, as many get in as there are seats.
pub async fn seats_are_never_overbooked<F: Fixture>(fixture: &F) {
    for (limit, count_pending) in [(1, false), (3, true), (5, false), (9, true)] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let host = host(&h).await;
        h.done(&Order::settings(&host, seats(limit, count_pending)))
            .await;
        let draft = if count_pending {
            LinkDraft::review()
        } else {
            LinkDraft::auto()
        };
        let issued = h.new_link(&host, draft).await;
        let claims: Vec<_> = (0..CLAIMERS)
            .map(|n| h.claim(issued.token, &person(&format!("user_{n}"))))
            .collect();
        let mut won = 0;
        for (claim, commit) in claims.iter().zip(h.prepared_all(&claims).await) {
            match h.commit(&commit).await {
                Committed::Applied => won += 1,
                Committed::Conflict { .. } => match h.run(claim).await {
                    Ok(_) => won += 1,
                    Err(error) => assert_eq!(error, CommandError::SeatsFull),
                },
                Committed::AlreadyApplied(receipt) => panic!("applied before: {receipt:?}"),
            }
        }
        assert_eq!(
            won,
            limit.min(CLAIMERS),
            "of {CLAIMERS} claims on {limit} seats"
        );
        let facts = vec![Fact::Organization, Fact::Seats];
        let snapshot = h.load(&Scope::of(host.clone(), facts)).await;
        assert_eq!(snapshot.records().seat_tally(&host), Some(won));
        // One leaves, one comes.
        let leaves = Order::leave(&host, &person("user_0"));
        h.done(&leaves).await;
        h.done(&h.claim(issued.token, &person("next"))).await;
        assert_consistent(fixture, &h).await;
    }
}

/// Counting may end and begin again; what was counted before is forgotten in between.
pub async fn counting_ends_and_begins_again<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let issued = h
        .new_link(&host, LinkDraft::auto().max_uses(limited(2)))
        .await;
    let link = issued.link;
    let edit = |uses| {
        let draft = Box::new(LinkDraft::default().max_uses(uses));
        Order::link(&host, LinkCommand::Edit { link, draft })
    };
    for round in 0..3_u64 {
        let claim = |n: u64| h.claim(issued.token, &person(&format!("user_{round}_{n}")));
        h.done(&claim(0)).await;
        h.done(&edit(Uses::Unlimited)).await;
        assert_eq!(uses(&h, &host, link).await, (None, Some(round * 3 + 1)));
        h.done(&claim(1)).await;
        h.done(&Order::settings(&host, seats(50, round == 1))).await;
        h.done(&claim(2)).await;
        h.done(&Order::settings(&host, Settings::default())).await;
        let limit = NonZeroU64::MIN.saturating_add(round * 3 + 3);
        h.done(&edit(limited(limit.get()))).await;
        assert_eq!(uses(&h, &host, link).await.0, Some(round * 3 + 3));
        assert_folds(fixture, &h).await;
    }
    assert_consistent(fixture, &h).await;
}

/// A token that is claimed after its pepper was replaced gets a new digest, and nothing else about
/// it changes.
pub async fn a_claim_renews_the_digest_of_its_token<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    let other = h.new_link(&host, LinkDraft::review()).await;
    let tokens = async |h: &Harness<'_, F::Store>, pepper: u16| {
        let pepper = Some(PepperId::new(pepper));
        let listed = h.list(&Query::Tokens { pepper }, 2).await;
        listed.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(tokens(&h, 1).await.len(), 2);
    let h = h.with_new_pepper();
    h.advance(Duration::from_secs(1));
    h.done(&h.claim(issued.token, &person("ann"))).await;
    assert_eq!(tokens(&h, 1).await, [RowKey::Token(other.token)]);
    assert_eq!(tokens(&h, 2).await, [RowKey::Token(issued.token)]);
    assert_eq!(tokens(&h, 3).await, []);
    // It is still the token that it was.
    h.done(&h.claim(issued.token, &person("bob"))).await;
    assert_eq!(tokens(&h, 2).await, [RowKey::Token(issued.token)]);
    assert_consistent(fixture, &h).await;
}

/// The same of the token of an e-mail invite, which is used once.
pub async fn an_acceptance_renews_the_digest_of_its_token<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let invited = h.new_invite(&host, "ann@example.com").await;
    let other = h.new_invite(&host, "bob@example.com").await;
    let h = h.with_new_pepper();
    h.done(&h.accept_as(invited.token, "ann", "ann@example.com"))
        .await;
    for (pepper, token) in [(1, other.token), (2, invited.token)] {
        let pepper = Some(PepperId::new(pepper));
        let listed = h.list(&Query::Tokens { pepper }, 2).await;
        let keys: Vec<_> = listed.into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [RowKey::Token(token)]);
    }
    assert_consistent(fixture, &h).await;
}

/// A commit that counts a preview; it keeps no receipt.
pub(super) fn preview<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    (host, link, generation): (&OrgId, LinkId, u32),
    below: u64,
) -> Commit {
    let key = RowKey::PreviewTally(host.clone(), link, Generation::new(generation));
    let home = Home::Organization(host.clone());
    h.plain_commit(home, Vec::new(), vec![Write::Take { key, below }])
}

/// How often a generation of a link's token was previewed; `None`: nobody has counted.
pub(super) async fn previews<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    (host, link, generation): (&OrgId, LinkId, u32),
) -> Option<u64> {
    let generation = Generation::new(generation);
    let fact = Fact::PreviewTally(link, generation);
    let snapshot = h.load(&Scope::of(host.clone(), vec![fact])).await;
    let counted = snapshot.records().preview_tally(host, link, generation);
    let key = RowKey::PreviewTally(host.clone(), link, generation);
    let revision = snapshot.revision(&key).map(Revision::get);
    assert_eq!(
        revision,
        Some(counted.unwrap_or(0)),
        "a counter's revision is its count"
    );
    counted
}

/// Previews are counted for each generation of a token by itself, below a bound, without touching
/// the link and without colliding with claims.
pub async fn previews_are_counted_one_by_one<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    let other = h.new_link(&host, LinkDraft::review()).await;
    let (link, before) = (issued.link, link_revision(&h, &host, issued.link).await);
    let of = |generation| (&host, link, generation);
    assert_eq!(previews(&h, of(1)).await, None);
    let claim = h.prepared(&h.claim(issued.token, &person("ann"))).await;
    for count in 1..=4 {
        h.applies(&preview(&h, of(1), u64::MAX)).await;
        assert_eq!(previews(&h, of(1)).await, Some(count));
    }
    h.applies(&claim).await;
    // The next token of the link begins at nothing.
    h.applies(&preview(&h, of(2), u64::MAX)).await;
    h.applies(&preview(&h, of(3), 1)).await;
    h.conflicts(&preview(&h, of(3), 1)).await;
    h.conflicts(&preview(&h, of(1), 4)).await;
    h.applies(&preview(&h, of(1), 5)).await;
    for (generation, count) in [(1, Some(5)), (2, Some(1)), (3, Some(1)), (4, None)] {
        assert_eq!(previews(&h, of(generation)).await, count, "of {generation}");
    }
    assert_eq!(previews(&h, (&host, other.link, 1)).await, None);
    assert_eq!(uses(&h, &host, link).await, (None, Some(1)), "no use");
    let after = link_revision(&h, &host, link).await;
    assert_eq!(after, before, "a preview moves no link");
    // A count can be a precondition, and can go down to nothing and not further.
    let key = RowKey::PreviewTally(host.clone(), link, Generation::new(3));
    for (count, applies) in [(0, false), (1, true), (1, false)] {
        let check = Check::Revision {
            key: key.clone(),
            revision: Revision::new(count),
        };
        let home = Home::Organization(host.clone());
        let give = || Write::Give { key: key.clone() };
        let commit = h.plain_commit(home, vec![check], vec![give(), give()]);
        if applies {
            h.applies(&commit).await;
        } else {
            h.conflicts(&commit).await;
        }
    }
    assert_eq!(previews(&h, of(3)).await.unwrap_or(0), 0);
    fixture.settle(&store).await;
    let events = h.events(&EventFilter::default(), 1000).await;
    assert_eq!(events.len(), 5, "two of the host, two links and a claim");
    assert_consistent(fixture, &h).await;
}
