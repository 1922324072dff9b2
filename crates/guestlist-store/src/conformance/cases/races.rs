//! Threads: what two decisions on one snapshot showed, under real concurrency.

use core::future::Future;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

use guestlist_access::AccessCommand;
use guestlist_membership::link::{LinkCommand, LinkDraft, LinkEvent};
use guestlist_membership::member::{Door, MemberEvent, Status};
use guestlist_membership::organization::Settings;
use guestlist_membership::{
    AddressCheck, CommandError, Event, Fact, Home, InviteRef, LinkRef, Root, Scope, Sequence,
};
use guestlist_types::{GroupName, OrgId};

use super::consumers::{acknowledge, read_up_to};
use super::counters::{exhausted, preview, previews, uses};
use crate::commit::{Commit, Committed};
use crate::conformance::harness::{consumer, must, name, org, person, user};
use crate::conformance::observe::assert_folds;
use crate::conformance::world::{limited, seats};
use crate::conformance::{CaseFuture, Fixture, Harness, Order};
use crate::event::{EventFilter, Recorded};
use crate::store::Store;

/// How many claim at once.
const CLAIMERS: usize = 16;

/// Runs jobs, each on a thread of its own, and panics if one of them does.
fn at_once<F: Fixture>(fixture: &F, jobs: Vec<CaseFuture<'_>>) {
    thread::scope(|scope| {
        let threads: Vec<_> = jobs
            .into_iter()
            .map(|job| scope.spawn(|| fixture.block_on(job)))
            .collect();
        let ended: Vec<_> = threads
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        if let Some(panic) = ended.into_iter().find_map(Result::err) {
            resume_unwind(panic);
        }
    });
}

fn job<'a>(job: impl Future<Output = ()> + Send + 'a) -> CaseFuture<'a> {
    Box::pin(job)
}

async fn host<S: Store + ?Sized>(h: &Harness<'_, S>) -> OrgId {
    let host = org("org_1");
    h.register_with(&host, &name("one"), Some(user("ann")), Settings::default())
        .await;
    host
}

/// Sends what was prepared on an early snapshot; after a conflict everything from the beginning.
async fn compete<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    order: &Order,
    prepared: &Commit,
) -> Result<(), CommandError> {
    match h.commit(prepared).await {
        Committed::Applied => Ok(()),
        Committed::Conflict { .. } => h.run(order).await.map(|_| ()),
        Committed::AlreadyApplied(receipt) => panic!("applied before: {receipt:?}"),
    }
}

/// All of them at once, each from the same snapshot on. Answers how many got what they wanted.
async fn all_compete<F: Fixture>(
    fixture: &F,
    h: &Harness<'_, F::Store>,
    orders: &[Order],
) -> usize {
    let prepared = h.prepared_all(orders).await;
    let won = AtomicUsize::new(0);
    let jobs = orders.iter().zip(&prepared).map(|(order, commit)| {
        let won = &won;
        job(async move {
            if compete(h, order, commit).await.is_ok() {
                won.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    at_once(fixture, jobs.collect());
    won.into_inner()
}

/// Of 16 that claim at once on a link with k uses, exactly the smaller number of both get in.
pub async fn claims_race_for_the_uses_of_a_link<F: Fixture>(fixture: &F) {
    for limit in [1, 2, 5, CLAIMERS - 1, CLAIMERS, CLAIMERS + 1] {
        for draft in [LinkDraft::review(), LinkDraft::auto()] {
            let store = fixture.store().await;
            let h = Harness::new(&store);
            let host = host(&h).await;
            let draft = draft.max_uses(limited(limit as u64));
            let issued = h.new_link(&host, draft).await;
            let claims: Vec<_> = (0..CLAIMERS)
                .map(|n| h.claim(issued.token, &person(&format!("user_{n}"))))
                .collect();
            let won = all_compete(fixture, &h, &claims).await;
            let expected = limit.min(CLAIMERS);
            assert_eq!(won, expected, "{CLAIMERS} claims at once on {limit} uses");
            let counted = Some(expected as u64);
            assert_eq!(uses(&h, &host, issued.link).await, (counted, counted));
            let last = usize::from(limit <= CLAIMERS);
            assert_eq!(
                exhausted(fixture, &h, issued.link).await,
                last,
                "the last of {limit}"
            );
            assert_folds(fixture, &h).await;
        }
    }
}

/// The same for seats.
pub async fn claims_race_for_seats<F: Fixture>(fixture: &F) {
    for limit in [1, 5, CLAIMERS - 1] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let host = host(&h).await;
        // The founder has one.
        h.done(&Order::settings(&host, seats(limit as u64 + 1, false)))
            .await;
        let issued = h.new_link(&host, LinkDraft::auto()).await;
        let claims: Vec<_> = (0..CLAIMERS)
            .map(|n| h.claim(issued.token, &person(&format!("user_{n}"))))
            .collect();
        let won = all_compete(fixture, &h, &claims).await;
        assert_eq!(won, limit, "{CLAIMERS} claims at once on {limit} seats");
        assert_folds(fixture, &h).await;
    }
}

/// Whatever the order in which claims and a refresh are stored: once the refresh is, no claim with
/// the old token is. The same for disabling.
pub async fn no_claim_follows_the_end_of_its_token<F: Fixture>(fixture: &F) {
    for (number, draft) in [
        LinkDraft::review(),
        LinkDraft::auto().max_uses(limited(CLAIMERS as u64 * 2)),
        LinkDraft::auto(),
        LinkDraft::review(),
    ]
    .into_iter()
    .enumerate()
    {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let host = host(&h).await;
        let issued = h.new_link(&host, draft).await;
        let link = issued.link;
        let end = if number % 2 == 0 {
            h.refresh(&host, link, Duration::ZERO)
        } else {
            Order::link(&host, LinkCommand::Disable { link })
        };
        let mut orders: Vec<_> = (0..CLAIMERS)
            .map(|n| h.claim(issued.token, &person(&format!("user_{n}"))))
            .collect();
        orders.insert(CLAIMERS / 2, end);
        all_compete(fixture, &h, &orders).await;
        fixture.settle(&store).await;
        let events = h.events(&EventFilter::default(), 1000).await;
        let ended = events.iter().position(|recorded| {
            matches!(
                recorded.event,
                Event::Link(LinkEvent::Refreshed { .. } | LinkEvent::Disabled { .. })
            )
        });
        let ended = ended.unwrap_or_else(|| panic!("the token ended"));
        let late = events[ended..].iter().find(|recorded| is_claim(recorded));
        assert_eq!(late, None, "stored after the end of its token");
        assert_folds(fixture, &h).await;
    }
}

fn is_claim(recorded: &Recorded) -> bool {
    match &recorded.event {
        Event::Member(MemberEvent::Requested(opening) | MemberEvent::Joined { opening, .. }) => {
            matches!(opening.door, Door::Link { .. })
        }
        _ => false,
    }
}

/// Of approval, rejection and withdrawal at once, one happens.
pub async fn one_ending_of_a_request_wins<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let issued = h
        .new_link(&host, LinkDraft::review().max_uses(limited(50)))
        .await;
    for round in 0..6 {
        let member = person(&format!("user_{round}"));
        h.done(&h.claim(issued.token, &member)).await;
        let orders = [
            h.approve(&host, &member),
            Order::reject(&host, &member),
            Order::cancel(&host, &member),
            h.approve(&host, &member),
            Order::reject(&host, &member),
            Order::cancel(&host, &member),
        ];
        // A repeated one has nothing left to do, which is no refusal.
        let won = all_compete(fixture, &h, &orders).await;
        assert_eq!(won, 2, "of three endings, each twice");
        fixture.settle(&store).await;
        let filter = EventFilter {
            member: Some(member.clone()),
            ..EventFilter::default()
        };
        let events = h.events(&filter, 1000).await;
        assert_eq!(events.len(), 2, "a request and one ending: {events:?}");
    }
    assert_folds(fixture, &h).await;
}

/// When all owners leave at once, one stays.
pub async fn the_last_owner_stays<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let owners = ["ann", "bob", "cid", "dot", "eve"].map(person);
    for owner in &owners[1..] {
        h.done(&h.add(&host, owner, Some("owner"))).await;
    }
    let leaves: Vec<_> = owners
        .iter()
        .map(|owner| Order::leave(&host, owner))
        .collect();
    let left = all_compete(fixture, &h, &leaves).await;
    assert_eq!(left, owners.len() - 1, "owners that left");
    let mut approved = 0;
    for owner in &owners {
        let found = h.membership(&host, owner).await;
        approved += usize::from(found.and_then(|found| found.status) == Some(Status::Approved));
    }
    assert_eq!(approved, 1, "owners that stayed");
    assert_folds(fixture, &h).await;
}

/// Of all that want one name at once, one gets it; and one commit that many send is applied once.
pub async fn one_of_many_gets_a_name<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let wanted = name("wanted");
    let orders: Vec<_> = (0..CLAIMERS / 2)
        .map(|n| Order::reserve_name(&org(&format!("org_{n}")), &wanted))
        .collect();
    assert_eq!(all_compete(fixture, &h, &orders).await, 1, "one name");
    let commit = h
        .prepared(&Order::reserve_name(&org("org_x"), &name("other")))
        .await;
    let outcomes = Mutex::new(Vec::new());
    let jobs = (0..CLAIMERS / 2).map(|_| {
        job(async {
            let outcome = h.commit(&commit).await;
            let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.push(outcome);
        })
    });
    at_once(fixture, jobs.collect());
    let outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let applied = outcomes
        .iter()
        .filter(|outcome| **outcome == Committed::Applied)
        .count();
    assert_eq!(applied, 1, "one commit, sent many times: {outcomes:?}");
    let again = commit.receipt.map(Committed::AlreadyApplied);
    let others = outcomes
        .iter()
        .filter(|outcome| Some(*outcome) == again.as_ref())
        .count();
    assert_eq!(
        others,
        outcomes.len() - 1,
        "one commit, sent many times: {outcomes:?}"
    );
    assert_folds(fixture, &h).await;
}

/// Who reads the log while others commit, a few events at a time, misses none and sees none twice.
pub async fn the_log_is_read_while_it_grows<F: Fixture>(fixture: &F) {
    const WRITERS: usize = 4;
    const EACH: usize = 12;
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let everything = EventFilter::default();
    let running = AtomicUsize::new(WRITERS);
    let read = Mutex::new(Vec::new());
    let mut jobs: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (h, running) = (&h, &running);
            job(async move {
                let _done = Done(running);
                let host = org(&format!("org_{writer}"));
                h.register(&host, &name(&format!("name-{writer}"))).await;
                let issued = h
                    .new_link(&host, LinkDraft::auto().max_uses(limited(5)))
                    .await;
                for number in 0..EACH {
                    let member = person(&format!("user_{number}"));
                    let _ = h.run(&h.claim(issued.token, &member)).await;
                }
            })
        })
        .collect();
    for page in [1, 3] {
        let (h, running, read, everything) = (&h, &running, &read, &everything);
        jobs.push(job(async move {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let last = running.load(Ordering::Acquire) == 0;
                if last {
                    fixture.settle(h.store()).await;
                }
                let (events, next) = h.events_after(everything, after, page).await;
                seen.extend(events);
                after = next;
                if last {
                    break;
                }
                thread::yield_now();
            }
            read.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(seen);
        }));
    }
    at_once(fixture, jobs);
    let all = h.events(&everything, 1000).await;
    assert!(
        all.len() >= WRITERS * 8,
        "there was something to read: {}",
        all.len()
    );
    for seen in read.into_inner().unwrap_or_else(PoisonError::into_inner) {
        crate::conformance::observe::assert_items(&all, &seen, "the log, read while it grew");
    }
    assert_folds(fixture, &h).await;
}

/// Counts a thread as done, also when it panics.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// What is loaded while it changes is all of one instant: a link with its own tokens, access rules
/// with their own revision, counts with their own rows.
pub async fn loads_are_of_one_instant<F: Fixture>(fixture: &F) {
    const CHANGES: usize = 40;
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let limit = CHANGES as u64 * 2;
    let issued = h
        .new_link(&host, LinkDraft::review().max_uses(limited(limit)))
        .await;
    let link = issued.link;
    let first = h.book(&host).await;
    let stop = AtomicBool::new(false);
    let id = || LinkRef::Id(link);
    let scope = Scope::of(
        host.clone(),
        vec![
            Fact::Link(id()),
            Fact::Tokens(id()),
            Fact::Tally(id()),
            Fact::UseCount(id()),
            Fact::Book,
        ],
    );
    let reader = || {
        job(async {
            while !stop.load(Ordering::Acquire) {
                let snapshot = h.load(&scope).await;
                let records = snapshot.records();
                let found = records.link(&host, link);
                let found = found.unwrap_or_else(|| panic!("the link is gone"));
                let token = found.token.and_then(|token| records.token(token));
                let token = token.unwrap_or_else(|| panic!("a link without its token"));
                assert_eq!(
                    token.generation, found.generation,
                    "a link with another's token"
                );
                assert_eq!(
                    token.valid_until, None,
                    "a link with a token that has ended"
                );
                let (tally, count) = (
                    records.link_tally(&host, link),
                    records.use_count(&host, link),
                );
                assert_eq!(tally, count, "a tally of another time than its uses");
                for (_, book) in snapshot.books() {
                    let book = book.whole().unwrap_or_else(|| panic!("no access rules"));
                    let made = book.revision() - first.revision();
                    let groups = (book.groups().count() - first.groups().count()) as u64;
                    assert_eq!(
                        groups, made,
                        "access rules of another time than their revision"
                    );
                }
            }
        })
    };
    let writers = AtomicUsize::new(3);
    let writing = |kind: usize| {
        let (h, host, writers, stop) = (&h, &host, &writers, &stop);
        job(async move {
            let stops = Stops { writers, stop };
            for number in 0..CHANGES {
                match kind {
                    0 => h.done(&h.refresh(host, link, Duration::ZERO)).await,
                    1 => {
                        let command = AccessCommand::CreateGroup {
                            id: h.group_id(),
                            name: must(GroupName::parse(&format!("g{number}")), "a group's name"),
                            internal: false,
                        };
                        h.done(&Order::access(host, command)).await;
                    }
                    _ => {
                        let facts = vec![Fact::Link(LinkRef::Id(link))];
                        let snapshot = h.load(&Scope::of(host.clone(), facts)).await;
                        let found = snapshot.records().link(host, link);
                        let token = found.and_then(|found| found.token);
                        let token = token.unwrap_or_else(|| panic!("a link without a token"));
                        // It may have ended meanwhile.
                        let _ = h
                            .run(&h.claim(token, &person(&format!("user_{number}"))))
                            .await;
                    }
                }
            }
            drop(stops);
        })
    };
    let jobs = vec![reader(), writing(0), writing(1), writing(2), reader()];
    at_once(fixture, jobs);
    assert_folds(fixture, &h).await;
}

/// Ends the readers with the last writer, also when that panics.
struct Stops<'a> {
    writers: &'a AtomicUsize,
    stop: &'a AtomicBool,
}

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        if self.writers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.stop.store(true, Ordering::Release);
        }
    }
}

/// Previews that are counted at the same time are all counted, also where each is sent by itself
/// with others that conflict; a bound is reached and not passed.
pub async fn previews_race<F: Fixture>(fixture: &F) {
    const EACH: u64 = 20;
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    let bound = EACH + 3;
    let counted = AtomicUsize::new(0);
    let jobs = (0..CLAIMERS / 2).map(|number| {
        let (h, host, counted) = (&h, &host, &counted);
        job(async move {
            for _ in 0..EACH {
                h.applies(&preview(h, (host, issued.link, 1), u64::MAX))
                    .await;
                let bounded = preview(h, (host, issued.link, 2), bound);
                if h.commit(&bounded).await == Committed::Applied {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
            let member = person(&format!("user_{number}"));
            h.done(&h.claim(issued.token, &member)).await;
        })
    });
    at_once(fixture, jobs.collect());
    let all = EACH * CLAIMERS as u64 / 2;
    let of = |generation| (&host, issued.link, generation);
    assert_eq!(previews(&h, of(1)).await, Some(all));
    assert_eq!(previews(&h, of(2)).await, Some(bound));
    assert_eq!(counted.into_inner() as u64, bound);
    assert_folds(fixture, &h).await;
}

/// Of all processes that read for one consumer, one acknowledges each stretch.
pub async fn one_of_many_acknowledges<F: Fixture>(fixture: &F) {
    const STEPS: u64 = 12;
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let name = consumer("webhooks");
    let stored = AtomicUsize::new(0);
    let jobs = (0..CLAIMERS / 4).map(|_| {
        let (h, name, stored) = (&h, &name, &stored);
        job(async move {
            loop {
                let (revision, found) = read_up_to(h, name).await;
                let read = found.map_or(0, |record| record.acknowledged.commit);
                assert_eq!(read, revision.get(), "each stretch once");
                if read == STEPS {
                    break;
                }
                thread::yield_now();
                let next = Sequence {
                    commit: read + 1,
                    ordinal: 0,
                };
                if h.commit(&acknowledge(h, name, revision, next)).await == Committed::Applied {
                    stored.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    });
    at_once(fixture, jobs.collect());
    assert_eq!(stored.into_inner() as u64, STEPS);
    let commits = h.applied();
    let homes = commits.iter().map(|commit| &commit.home);
    assert!(
        homes
            .into_iter()
            .all(|home| matches!(home, Home::Consumer(_))),
        "nothing else was done"
    );
}

/// Of acceptances by several members, refusal and revocation at once, one happens.
pub async fn one_answer_to_an_invite_wins<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    let settings = Settings {
        address_check: AddressCheck::Bearer,
        ..Settings::default()
    };
    h.register_with(&host, &name("one"), None, settings).await;
    for round in 0..6 {
        let invited = h
            .new_invite(&host, &format!("user_{round}@example.com"))
            .await;
        let member = |number: u32| person(&format!("user_{round}_{number}"));
        let orders = [
            h.accept(invited.token, &member(0)),
            h.accept(invited.token, &member(1)),
            Order::revoke(&host, invited.invite),
            h.decline(&host, invited.token),
            h.accept(invited.token, &member(2)),
            h.accept(invited.token, &member(3)),
        ];
        let won = all_compete(fixture, &h, &orders).await;
        assert_eq!(won, 1, "one answer");
        fixture.settle(&store).await;
        let filter = EventFilter {
            invite: Some(invited.invite),
            ..EventFilter::default()
        };
        let events = h.events(&filter, 1000).await;
        let closed = events.iter().filter(|recorded| {
            matches!(
                recorded.event,
                Event::Invite(guestlist_membership::invite::InviteEvent::Closed { .. })
            )
        });
        assert_eq!(closed.count(), 1, "one end: {events:?}");
        let mut joined = 0;
        for number in 0..4 {
            let found = h.membership(&host, &member(number)).await;
            joined += usize::from(found.is_some());
        }
        assert!(joined <= 1, "one invite let {joined} in");
    }
    assert_folds(fixture, &h).await;
}

/// An invite that is sent again and again is always loaded with its own token, and its address
/// leads to it and nowhere else.
pub async fn invites_are_loaded_with_their_own_token<F: Fixture>(fixture: &F) {
    const CHANGES: usize = 40;
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = host(&h).await;
    let invited = h.new_invite(&host, "bob@example.com").await;
    let stop = AtomicBool::new(false);
    let writers = AtomicUsize::new(1);
    let reader = |root: Root, reference: InviteRef| {
        let (h, host, stop) = (&h, &host, &stop);
        let facts = vec![
            Fact::Invite(reference.clone()),
            Fact::InviteToken(reference.clone()),
            Fact::KnownOf(reference),
        ];
        let scope = Scope { root, facts };
        job(async move {
            while !stop.load(Ordering::Acquire) {
                let snapshot = h.load(&scope).await;
                let records = snapshot.records();
                let invite = records.invite(host, invited.invite);
                let invite = invite.unwrap_or_else(|| panic!("the invite is gone"));
                let token = invite.token.and_then(|token| records.token(token));
                let token = token.unwrap_or_else(|| panic!("an invite without its token"));
                assert_eq!(
                    token.generation, invite.generation,
                    "an invite with another's token"
                );
                assert_eq!(token.valid_until, None, "an invite with a dead token");
                let known = records.address(host, &invite.address);
                let known = known.and_then(|known| known.invite);
                assert_eq!(known, Some(invited.invite), "an address of another time");
            }
        })
    };
    let writing = job(async {
        let stops = Stops {
            writers: &writers,
            stop: &stop,
        };
        for _ in 0..CHANGES {
            h.done(&h.resend(&host, invited.invite).0).await;
        }
        drop(stops);
    });
    let jobs = vec![
        reader(Root::Token(invited.token), InviteRef::OfToken),
        writing,
        reader(
            Root::Organization(host.clone()),
            InviteRef::Id(invited.invite),
        ),
    ];
    at_once(fixture, jobs);
    assert_folds(fixture, &h).await;
}
