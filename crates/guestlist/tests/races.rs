//! Commands that contradict each other at the same time: what ends a link against claims on it,
//! what moves one membership this way and that, removals against decisions.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use common::pg::{Settle, rounds, seed};
use common::{clock, link, org, over, owner, register, user, user_member};
use guestlist::membership::Event;
use guestlist::membership::link::{Generation, LinkEvent};
use guestlist::membership::member::{Door, MemberEvent};
use guestlist::store::Recorded;
use guestlist::{
    Action, ActionSet, Address, Audience, Claim, Error, Grantee, Guestlist, InviteToken, LinkDraft,
    Member, MemoryStore, Pattern, Preset, Status,
};
use guestlist_testkit::history::{Recorder, Specification, linearize};
use tokio::sync::Semaphore;

async fn log<S: Settle>(guestlist: &Guestlist<S>) -> Vec<Recorded> {
    guestlist.store().settle().await;
    let (mut events, mut after) = (Vec::new(), None);
    loop {
        let page = guestlist.feed(after.as_ref(), 1000).await.unwrap();
        if page.events.is_empty() {
            return events;
        }
        events.extend(page.events);
        after = page.next;
    }
}

/// The tokens of a link so far. Those before `ended` were replaced or taken away by commands that
/// have returned.
struct Tokens {
    all: RwLock<Vec<Arc<InviteToken>>>,
    ended: AtomicUsize,
}

impl Tokens {
    /// One token, and which it is: the newest, or now and then one of before.
    fn pick(&self, number: usize) -> (usize, Arc<InviteToken>) {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let back = usize::from(number.is_multiple_of(3));
        let index = all.len().saturating_sub(1 + back);
        (index, Arc::clone(&all[index]))
    }

    fn add(&self, token: InviteToken) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::new(token));
    }

    fn end_all(&self) {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        self.ended.store(all.len(), Ordering::SeqCst);
    }
}

const CLAIMERS: usize = 24;

/// Claims on a link while it is refreshed, disabled and enabled again and again. Whoever begins
/// with a token after the command that ended it has returned is refused; and in the log no claim
/// stands behind the end of its token.
async fn ends_of_tokens_hold<S: Settle + 'static>(store: S, changes: usize) {
    let guestlist = Arc::new(over(store, &clock(), seed(21)));
    register(&guestlist, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (id, first) = link(&guestlist, "host", LinkDraft::auto()).await;
    let tokens = Arc::new(Tokens {
        all: RwLock::new(vec![Arc::new(first)]),
        ended: AtomicUsize::new(0),
    });
    // Answers to claims that began in time and too late, so that some are under way around each
    // change.
    let answered = Arc::new(Semaphore::new(0));
    let refused = Arc::new(Semaphore::new(0));
    let claimers: Vec<_> = (0..CLAIMERS)
        .map(|claimer| {
            let (guestlist, tokens) = (Arc::clone(&guestlist), Arc::clone(&tokens));
            let (answered, refused) = (Arc::clone(&answered), Arc::clone(&refused));
            tokio::spawn(async move {
                let (mut admitted, mut late) = (0, 0);
                for number in 0.. {
                    if answered.is_closed() {
                        break;
                    }
                    let (index, token) = tokens.pick(number);
                    let over = index < tokens.ended.load(Ordering::SeqCst);
                    let actor = user(&format!("c{claimer}-{number}"));
                    match guestlist.claim(&actor, &token, Claim::for_myself()).await {
                        Ok(_) => {
                            assert!(!over, "token {index} had ended before the claim began");
                            admitted += 1;
                        }
                        Err(error) => {
                            assert_eq!(error.code(), "invalid-token", "{error:?}");
                            late += usize::from(over);
                        }
                    }
                    let answers = if over { &refused } else { &answered };
                    answers.add_permits(1);
                }
                (admitted, late)
            })
        })
        .collect();
    for change in 0..changes {
        let enough = u32::try_from(CLAIMERS).unwrap();
        answered.acquire_many(enough).await.unwrap().forget();
        let issued = if change % 4 == 3 {
            let disabled = guestlist.disable_link(&alice, &host, id).await;
            disabled.unwrap();
            tokens.end_all();
            refused.forget_permits(Semaphore::MAX_PERMITS);
            refused.acquire_many(enough).await.unwrap().forget();
            guestlist.enable_link(&alice, &host, id).await.unwrap()
        } else {
            let refreshed = guestlist
                .refresh_link(&alice, &host, id, Duration::ZERO)
                .await
                .unwrap();
            tokens.end_all();
            refreshed
        };
        tokens.add(issued.token.unwrap());
    }
    answered.close();
    let (mut admitted, mut late) = (0, 0);
    for claimer in claimers {
        let (in_time, refused) = claimer.await.unwrap();
        admitted += in_time;
        late += refused;
    }
    assert!(
        admitted > 0 && late > 0,
        "{admitted} got in, {late} were late"
    );
    let mut valid = None;
    let mut joined = 0;
    for recorded in log(&guestlist).await {
        match recorded.event {
            Event::Link(LinkEvent::Created(_)) => valid = Some(Generation::FIRST),
            Event::Link(
                LinkEvent::Refreshed { generation, .. } | LinkEvent::Enabled { generation, .. },
            ) => valid = Some(generation),
            Event::Link(LinkEvent::Disabled { .. }) => valid = None,
            Event::Member(MemberEvent::Joined { opening, .. }) => {
                let Door::Link { generation, .. } = opening.door else {
                    continue;
                };
                let member = &opening.member;
                assert_eq!(
                    Some(generation),
                    valid,
                    "{member:?} stands behind its token"
                );
                joined += 1;
            }
            _ => {}
        }
    }
    assert_eq!(joined, admitted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_of_tokens_hold_in_memory() {
    ends_of_tokens_hold(MemoryStore::default(), 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_of_tokens_hold_on_postgres() {
    ends_of_tokens_hold(common::pg::store().await, rounds(100)).await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Approve,
    Cancel,
    Remove,
    Leave,
    Reclaim,
}

const MOVES: [Move; 5] = [
    Move::Approve,
    Move::Cancel,
    Move::Remove,
    Move::Leave,
    Move::Reclaim,
];

async fn make<S: Settle>(
    guestlist: &Guestlist<S>,
    token: &InviteToken,
    name: &str,
    wanted: Move,
) -> String {
    let (alice, host) = (owner("host"), org("host"));
    let (actor, member) = (user(name), user_member(name));
    let answer = match wanted {
        Move::Approve => guestlist.approve(&alice, &host, &member).await,
        Move::Cancel => guestlist.cancel(&actor, &host, &member).await,
        Move::Remove => guestlist.remove(&alice, &host, &member, None).await,
        Move::Leave => guestlist.leave(&actor, &host, &member).await,
        Move::Reclaim => guestlist.claim(&actor, token, Claim::for_myself()).await,
    };
    shown(&answer)
}

fn shown(answer: &Result<guestlist::Changed, Error>) -> String {
    match answer {
        Ok(done) => format!("{:?} {}", done.membership.status, done.changed),
        Err(error) => error.code().to_owned(),
    }
}

/// A membership that waits, or has been let in.
async fn begin<S: Settle>(
    guestlist: &Guestlist<S>,
    token: &InviteToken,
    name: &str,
    approved: bool,
) {
    let claim = Claim::for_myself();
    guestlist.claim(&user(name), token, claim).await.unwrap();
    if approved {
        make(guestlist, token, name, Move::Approve).await;
    }
}

fn events_by_member(log: Vec<Recorded>) -> BTreeMap<Member, Vec<&'static str>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for recorded in log {
        if let Event::Member(event) = &recorded.event
            && let Some(member) = event.member()
        {
            all.entry(member.clone()).or_default().push(event.name());
        }
    }
    all
}

/// Where a membership is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Pending,
    Approved,
    Withdrawn,
    Left,
    Removed,
}

/// What a membership does when one move comes after the other, and what its log holds then.
struct Machine {
    log: Vec<&'static str>,
}

impl Specification for Machine {
    type State = (At, Vec<&'static str>);
    type Operation = Move;
    type Answer = String;

    fn apply(&self, (at, log): &Self::State, wanted: &Move) -> (Self::State, String) {
        let goes = |to: At, event| {
            let mut log = log.clone();
            log.push(event);
            let status = match to {
                At::Pending => Status::Pending,
                At::Approved => Status::Approved,
                At::Withdrawn | At::Left => Status::Cancelled,
                At::Removed => Status::Removed,
            };
            ((to, log), format!("{:?} true", Some(status)))
        };
        let stays = |status: Status| ((*at, log.clone()), format!("{:?} false", Some(status)));
        let refused = |code: &str| ((*at, log.clone()), code.to_owned());
        match (wanted, at) {
            (Move::Approve, At::Pending) => goes(At::Approved, "membership-approved"),
            (Move::Approve | Move::Reclaim, At::Approved) => stays(Status::Approved),
            (Move::Cancel | Move::Leave, At::Pending) => {
                goes(At::Withdrawn, "membership-withdrawn")
            }
            (Move::Cancel | Move::Leave, At::Withdrawn) | (Move::Leave, At::Left) => {
                stays(Status::Cancelled)
            }
            (Move::Leave, At::Approved) => goes(At::Left, "membership-left"),
            (Move::Remove, At::Approved) => goes(At::Removed, "membership-removed"),
            (Move::Remove, At::Removed) => stays(Status::Removed),
            (Move::Reclaim, At::Pending) => stays(Status::Pending),
            (Move::Reclaim, At::Withdrawn | At::Left) => goes(At::Pending, "membership-requested"),
            // The link's token is older than the removal.
            (Move::Reclaim, At::Removed) => refused("invalid-token"),
            (Move::Approve, At::Withdrawn | At::Left | At::Removed)
            | (Move::Cancel, At::Approved | At::Left | At::Removed)
            | (Move::Leave, At::Removed)
            | (Move::Remove, At::Pending | At::Withdrawn | At::Left) => refused("wrong-state"),
        }
    }

    fn may_end_in(&self, (_, log): &Self::State) -> bool {
        *log == self.log
    }
}

/// Approve, cancel, remove, leave and reclaim, all at once on each of four memberships: each
/// history is one that the moves could have had one after the other.
async fn histories_are_in_some_order<S: Settle + 'static>(store: S, histories: usize) {
    const AT_ONCE: usize = 4;
    let guestlist = Arc::new(over(store, &clock(), seed(23)));
    register(&guestlist, &["host"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let token = Arc::new(token);
    let mut all = Vec::new();
    for round in 0..histories.div_ceil(AT_ONCE) {
        let names: Vec<String> = (0..AT_ONCE).map(|n| format!("h{round}-{n}")).collect();
        for (number, name) in names.iter().enumerate() {
            begin(&guestlist, &token, name, number % 2 == 1).await;
        }
        let recorders: Vec<_> = names.iter().map(|_| Arc::new(Recorder::new())).collect();
        let moves: Vec<_> = (0..AT_ONCE * MOVES.len())
            .map(|number| {
                let (who, wanted) = (number % AT_ONCE, MOVES[number / AT_ONCE]);
                let (guestlist, token) = (Arc::clone(&guestlist), Arc::clone(&token));
                let (recorder, name) = (Arc::clone(&recorders[who]), names[who].clone());
                tokio::spawn(async move {
                    let call = recorder.begin(wanted);
                    let answer = make(&guestlist, &token, &name, wanted).await;
                    recorder.answer(call, answer);
                })
            })
            .collect();
        for made in moves {
            made.await.unwrap();
        }
        let seen = recorders.into_iter();
        let seen = seen.map(|recorder| Arc::into_inner(recorder).unwrap().into_history());
        all.extend(names.into_iter().zip(seen));
    }
    let mut events = events_by_member(log(&guestlist).await);
    for (number, (name, seen)) in all.iter().enumerate() {
        let log = events.remove(&user_member(name)).unwrap();
        let (at, first): (At, &[&'static str]) = if number % 2 == 1 {
            let begun = &["membership-requested", "membership-approved"];
            (At::Approved, begun)
        } else {
            (At::Pending, &["membership-requested"])
        };
        let machine = Machine { log };
        let found = linearize(&machine, (at, first.to_vec()), seen);
        assert!(
            found.is_ok(),
            "{name}: {found:?}: {seen:?} with {:?}",
            machine.log
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_are_in_some_order_in_memory() {
    histories_are_in_some_order(MemoryStore::default(), 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_are_in_some_order_on_postgres() {
    histories_are_in_some_order(common::pg::store().await, rounds(1000)).await;
}

/// Removals one after the other, while others ask all the time what their members may do. Who was
/// removed before somebody asked is denied; who was not even to be removed by the answer is not.
async fn removals_are_seen_at_once<S: Settle + 'static>(store: S, removals: usize) {
    const CHECKERS: usize = 8;
    const BATCH: usize = 50;
    let guestlist = Arc::new(over(store, &clock(), seed(24)));
    register(&guestlist, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let everyone = Grantee::Organization(Audience::Everyone);
    let read = ActionSet::of(&[Action::Read]);
    guestlist
        .grant(&alice, &host, everyone, read, Pattern::all(), None)
        .await
        .unwrap();
    // How many are in, are being removed, and have been removed.
    let (added, begun, done) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let stop = Arc::new(Semaphore::new(0));
    let checkers: Vec<_> = (0..CHECKERS)
        .map(|checker| {
            let guestlist = Arc::clone(&guestlist);
            let (added, begun, done) = (Arc::clone(&added), Arc::clone(&begun), Arc::clone(&done));
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let (mut denied, mut allowed) = (0_usize, 0_usize);
                let mut turn = checker;
                while !stop.is_closed() {
                    let before = done.load(Ordering::SeqCst);
                    let last = added.load(Ordering::SeqCst);
                    turn += 1;
                    // The one removed last, the next one or the one after that.
                    let who = (before + turn % 3).saturating_sub(1);
                    if who >= last {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    let actor = user(&format!("m{who}")).in_organization(org("host"));
                    let key = Address::parse("a/b").unwrap();
                    let decision = guestlist.decide(&actor, Action::Read, &key).await.unwrap();
                    if who < before {
                        assert!(!decision.is_allowed(), "m{who} was removed before");
                        denied += 1;
                    } else if who >= begun.load(Ordering::SeqCst) {
                        assert!(decision.is_allowed(), "m{who} is a member: {decision:?}");
                        allowed += 1;
                    }
                }
                (denied, allowed)
            })
        })
        .collect();
    for number in 0..removals {
        if number.is_multiple_of(BATCH) {
            let until = (number + BATCH).min(removals);
            let joins: Vec<_> = (number..until)
                .map(|who| {
                    let (guestlist, alice, host) =
                        (Arc::clone(&guestlist), alice.clone(), host.clone());
                    tokio::spawn(async move {
                        let member = user_member(&format!("m{who}"));
                        let gift = Preset::default();
                        guestlist
                            .add_member(&alice, &host, &member, gift, None)
                            .await
                    })
                })
                .collect();
            for join in joins {
                let joined = join.await.unwrap().unwrap();
                assert_eq!(joined.membership.status, Some(Status::Approved));
            }
            added.store(until, Ordering::SeqCst);
        }
        begun.store(number + 1, Ordering::SeqCst);
        guestlist
            .remove(&alice, &host, &user_member(&format!("m{number}")), None)
            .await
            .unwrap();
        done.store(number + 1, Ordering::SeqCst);
    }
    stop.close();
    let (mut denied, mut allowed) = (0, 0);
    for checker in checkers {
        let (no, yes) = checker.await.unwrap();
        denied += no;
        allowed += yes;
    }
    assert!(
        denied > 0 && allowed > 0,
        "{denied} denied, {allowed} allowed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_are_seen_at_once_in_memory() {
    removals_are_seen_at_once(MemoryStore::default(), 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_are_seen_at_once_on_postgres() {
    removals_are_seen_at_once(common::pg::store().await, rounds(1000)).await;
}
