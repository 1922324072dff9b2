//! Commands at the same time, in orders that are drawn by shuttle: at random, and with few changes
//! of turn in places that are drawn (PCT). `GUESTLIST_ROUNDS` is the number of schedules and
//! `GUESTLIST_SEED` what they are drawn from; a schedule that fails is printed, too.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]
#![expect(clippy::print_stdout, reason = "what was run, for whoever asks for it")]

mod common;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use common::{clock, link, org, over, owner, register, ring, user, user_member};
use guestlist::membership::link::{Generation, LinkEvent};
use guestlist::membership::member::{Door, MemberEvent};
use guestlist::membership::{Event, Fact, LinkRef, Records, RowKey, Scope, evolve};
use guestlist::store::{
    Capabilities, Kv, KvCheck, KvCommitted, KvOp, KvRange, KvStore, Load, MemoryKv, Store,
    StoreError,
};
use guestlist::types::LinkId;
use guestlist::{
    Changed, Claim, Error, Guestlist, InviteToken, LinkDraft, MemoryStore, NoRateLimit, Uses,
};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

/// What is wrong with a store: a test that doesn't notice proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// What a decision relied on is not looked at again.
    Checks,
    /// Counters are added to without a bound.
    Bounds,
}

/// The engine of `MemoryStore`, where everybody else may have a turn before and after each
/// operation. It holds its lock from an operation's beginning to its end and waits for nothing in
/// between, so there is nothing finer that anybody could see.
struct Turns {
    kv: MemoryKv,
    wrong: Wrong,
}

#[async_trait]
impl Kv for Turns {
    async fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        shuttle::future::yield_now().await;
        let found = self.kv.get(keys).await;
        shuttle::future::yield_now().await;
        found
    }

    async fn scan(
        &self,
        range: &KvRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        shuttle::future::yield_now().await;
        let found = self.kv.scan(range, limit).await;
        shuttle::future::yield_now().await;
        found
    }

    async fn commit(&self, checks: &[KvCheck], ops: &[KvOp]) -> Result<KvCommitted, StoreError> {
        shuttle::future::yield_now().await;
        let done = match self.wrong {
            Wrong::Nothing => self.kv.commit(checks, ops).await,
            Wrong::Checks => self.kv.commit(&[], ops).await,
            Wrong::Bounds => {
                let unbounded: Vec<_> = ops
                    .iter()
                    .map(|op| match op.clone() {
                        KvOp::Add { key, by, .. } => KvOp::Add {
                            key,
                            by,
                            below: None,
                        },
                        other => other,
                    })
                    .collect();
                // The last one below a limit is told apart by a check of the counter.
                let last = |check: &&KvCheck| {
                    !ops.iter()
                        .any(|op| matches!(op, KvOp::Add { key, .. } if *key == check.key))
                };
                let checks: Vec<_> = checks.iter().filter(last).cloned().collect();
                self.kv.commit(&checks, &unbounded).await
            }
        };
        shuttle::future::yield_now().await;
        done
    }
}

type Shared = Arc<Guestlist<KvStore<Turns>>>;

/// A host with a link, from which every schedule begins.
struct Begin {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    link: LinkId,
    token: Arc<InviteToken>,
    /// What a scenario may come to, where that was worked out before.
    in_turn: Vec<Told>,
}

/// Over a store that makes nobody wait, everything is done with one poll.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let polled = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    match polled {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

impl Begin {
    /// The members of these names ask by the link.
    fn with(draft: LinkDraft, asking: &[&str]) -> Self {
        let store = MemoryStore::default();
        let (link, token) = at_once(async {
            let guestlist = over(store.clone(), &clock(), 31);
            register(&guestlist, &["host"]).await;
            let (link, token) = link(&guestlist, "host", draft).await;
            for name in asking {
                let claim = Claim::for_myself();
                guestlist.claim(&user(name), &token, claim).await.unwrap();
            }
            (link, token)
        });
        Self {
            entries: store.kv().dump(),
            link,
            token: Arc::new(token),
            in_turn: Vec::new(),
        }
    }

    fn kv(&self) -> MemoryKv {
        let puts: Vec<_> = self
            .entries
            .iter()
            .map(|(key, value)| KvOp::Put {
                key: key.clone(),
                value: value.clone(),
            })
            .collect();
        let kv = MemoryKv::default();
        let done = at_once(kv.commit(&[], &puts)).unwrap();
        assert_eq!(done, KvCommitted::Applied);
        kv
    }

    fn guestlist(&self, wrong: Wrong) -> Shared {
        let kv = self.kv();
        let store = KvStore::new(Turns { kv, wrong }, Capabilities::immediate(false, false));
        let guestlist = Guestlist::builder(store, ring())
            .clock(clock())
            .entropy(Mutex::new(ChaCha20Rng::from_seed([32; 32])))
            .rate_limit(NoRateLimit);
        Arc::new(guestlist.build())
    }
}

/// Everything that happened, in order; and that it comes to the rows that are stored.
async fn log(guestlist: &Shared) -> Vec<Event> {
    let page = guestlist.feed(None, 1000).await.unwrap();
    let mut folded = Records::new();
    for recorded in &page.events {
        let host = &recorded.organization;
        evolve(&mut folded, host, &recorded.stamp, &recorded.event);
    }
    for (key, row) in folded.iter() {
        let facts = match key {
            RowKey::Organization(_) => vec![Fact::Organization],
            RowKey::Link(_, link) => vec![Fact::Link(LinkRef::Id(*link))],
            RowKey::LinkTally(_, link) => {
                let link = LinkRef::Id(*link);
                vec![Fact::Link(link.clone()), Fact::Tally(link)]
            }
            RowKey::LinkUse(_, link, member) => {
                vec![Fact::Use(LinkRef::Id(*link), member.clone())]
            }
            RowKey::Membership(_, member) => vec![Fact::Membership(member.clone())],
            // Names, owners and access rules are as they were; tokens differ by their digests.
            _ => continue,
        };
        let scope = Scope::of(org("host"), facts);
        let snapshot = guestlist.store().load(&Load::of(&scope)).await.unwrap();
        assert_eq!(snapshot.records().get(key), Some(row), "{key:?}");
    }
    page.events
        .into_iter()
        .map(|recorded| recorded.event)
        .collect()
}

type Answer = Result<Changed, Error>;

/// How many of these got in.
fn admitted(answers: &[Answer]) -> usize {
    for answer in answers {
        if let Err(error) = answer {
            assert_eq!(error.code(), "invalid-token", "{error:?}");
        }
    }
    answers.iter().filter(|answer| answer.is_ok()).count()
}

/// How many came in by the link, as the log tells it.
fn joined(log: &[Event]) -> usize {
    let joined = |event: &&Event| event.name() == "membership-joined" && event.link().is_some();
    log.iter().filter(joined).count()
}

/// Runs futures as tasks of their own, and gives what they come to in their order.
async fn all<T: Send + 'static>(futures: Vec<impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let tasks: Vec<_> = futures.into_iter().map(shuttle::future::spawn).collect();
    let mut values = Vec::new();
    for task in tasks {
        values.push(task.await.unwrap());
    }
    values
}

fn claim(
    guestlist: &Shared,
    token: &Arc<InviteToken>,
    name: &str,
) -> impl Future<Output = Answer> + Send + 'static {
    let (guestlist, token, actor) = (Arc::clone(guestlist), Arc::clone(token), user(name));
    async move { guestlist.claim(&actor, &token, Claim::for_myself()).await }
}

/// Four claims on a link with two uses: two get in.
async fn a_limit_is_exact(begin: Arc<Begin>, guestlist: Shared) {
    let claims = ["ann", "ben", "cat", "dan"].map(|name| claim(&guestlist, &begin.token, name));
    let answers = all(claims.into()).await;
    assert_eq!(admitted(&answers), 2);
    let log = log(&guestlist).await;
    assert_eq!(joined(&log), 2);
    let exhausted = |event: &&Event| event.name() == "link-exhausted";
    assert_eq!(log.iter().filter(exhausted).count(), 1);
}

/// A token is replaced while two claim with it: whoever gets in stands before that in the log.
async fn a_replaced_token_is_dead(begin: Arc<Begin>, guestlist: Shared) {
    let refresh = {
        let (guestlist, link) = (Arc::clone(&guestlist), begin.link);
        let refresh = async move {
            let (alice, host) = (owner("host"), org("host"));
            guestlist
                .refresh_link(&alice, &host, link, Duration::ZERO)
                .await
                .unwrap();
        };
        shuttle::future::spawn(refresh)
    };
    let claims = ["ann", "ben"].map(|name| claim(&guestlist, &begin.token, name));
    let answers = all(claims.into()).await;
    refresh.await.unwrap();
    let mut replaced = false;
    let mut joined = 0;
    for event in log(&guestlist).await {
        match event {
            Event::Link(LinkEvent::Refreshed { .. }) => replaced = true,
            Event::Member(MemberEvent::Joined { opening, .. }) => {
                if let Door::Link { generation, .. } = opening.door {
                    assert_eq!(generation, Generation::FIRST);
                    assert!(!replaced, "{:?} came by a dead token", opening.member);
                    joined += 1;
                }
            }
            _ => {}
        }
    }
    assert!(replaced);
    assert_eq!(joined, admitted(&answers));
}

/// The same claim arrives twice under one key, beside another one: it is made once, and both get
/// the same answer.
async fn a_key_stands_for_one_command(begin: Arc<Begin>, guestlist: Shared) {
    let other = shuttle::future::spawn(claim(&guestlist, &begin.token, "ben"));
    let twice = [(); 2].map(|()| {
        let (guestlist, token) = (Arc::clone(&guestlist), Arc::clone(&begin.token));
        async move {
            let keyed = guestlist.with_key("once".parse().unwrap());
            keyed.claim(&user("ann"), &token, Claim::for_myself()).await
        }
    });
    let answers = all(twice.into()).await;
    let other = other.await.unwrap().unwrap();
    assert!(other.changed);
    let [one, two] = [&answers[0], &answers[1]].map(|answer| answer.as_ref().unwrap());
    assert_eq!(one, two);
    assert!(one.changed);
    assert_eq!(joined(&log(&guestlist).await), 2);
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Approve,
    Cancel,
    Remove,
    Reclaim,
}

const MOVES: [Move; 4] = [Move::Approve, Move::Cancel, Move::Remove, Move::Reclaim];

async fn make<S: Store>(guestlist: &Guestlist<S>, token: &InviteToken, wanted: Move) -> String {
    let (alice, host, member) = (owner("host"), org("host"), user_member("ann"));
    let answer = match wanted {
        Move::Approve => guestlist.approve(&alice, &host, &member).await,
        Move::Cancel => guestlist.cancel(&user("ann"), &host, &member).await,
        Move::Remove => guestlist.remove(&alice, &host, &member, None).await,
        Move::Reclaim => {
            guestlist
                .claim(&user("ann"), token, Claim::for_myself())
                .await
        }
    };
    match answer {
        Ok(done) => format!("{:?} {}", done.membership.status, done.changed),
        Err(error) => error.code().to_owned(),
    }
}

/// What each move answers, and what is in the log behind all of them.
type Told = (Vec<String>, Vec<&'static str>);

fn told(answers: Vec<String>, log: &[Event]) -> Told {
    let about = |event: &&Event| event.member() == Some(&user_member("ann"));
    (answers, log.iter().filter(about).map(Event::name).collect())
}

/// The moves in every order, one after the other.
fn in_turn(begin: &Begin) -> Vec<Told> {
    let mut orders = vec![Vec::new()];
    for wanted in 0..MOVES.len() {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |place| {
                    let mut order = order.clone();
                    order.insert(place, wanted);
                    order
                })
            })
            .collect();
    }
    let mut all = Vec::new();
    for order in orders {
        let mut answers = vec![String::new(); MOVES.len()];
        let store = MemoryStore::new(begin.kv(), Capabilities::immediate(false, false));
        let guestlist = over(store, &clock(), 33);
        for wanted in order {
            answers[wanted] = at_once(make(&guestlist, &begin.token, MOVES[wanted]));
        }
        let page = at_once(guestlist.feed(None, 1000)).unwrap();
        let log: Vec<_> = page
            .events
            .into_iter()
            .map(|recorded| recorded.event)
            .collect();
        all.push(told(answers, &log));
    }
    all
}

/// Approve, cancel, remove and claim again, at once: as if one after the other.
async fn moves_are_in_some_order(begin: Arc<Begin>, guestlist: Shared) {
    let moves = MOVES.map(|wanted| {
        let (guestlist, token) = (Arc::clone(&guestlist), Arc::clone(&begin.token));
        async move { make(&guestlist, &token, wanted).await }
    });
    let answers = all(moves.into()).await;
    let told = told(answers, &log(&guestlist).await);
    assert!(begin.in_turn.contains(&told), "no order explains {told:?}");
}

fn number(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(number) => number.parse().unwrap(),
        Err(_) => usual,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long it took is for the reader, nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}

fn run<F: Future<Output = ()> + Send + 'static>(
    scheduler: impl Scheduler + 'static,
    begin: &Arc<Begin>,
    wrong: Wrong,
    scenario: fn(Arc<Begin>, Shared) -> F,
) -> usize {
    let mut config = Config::new();
    // What is not optimised needs more than the usual 32 KiB.
    config.stack_size = 1 << 20;
    let begin = Arc::clone(begin);
    Runner::new(scheduler, config).run(move || {
        let (begin, guestlist) = (Arc::clone(&begin), begin.guestlist(wrong));
        shuttle::future::block_on(scenario(begin, guestlist));
    })
}

/// How many changes of turn PCT places: more than a race of two needs.
const DEPTH: usize = 3;

/// Runs a scenario in many schedules; then over the store with something wrong, which must fail.
fn explore<F: Future<Output = ()> + Send + 'static>(
    begin: Begin,
    wrong: Wrong,
    scenario: fn(Arc<Begin>, Shared) -> F,
) {
    let begin = Arc::new(begin);
    let schedules = usize::try_from(number("GUESTLIST_ROUNDS", SCHEDULES)).unwrap();
    let seed = number("GUESTLIST_SEED", 1);
    println!("seed {seed}");
    let start = now();
    let random = RandomScheduler::new_from_seed(seed, schedules / 2);
    let pct = PctScheduler::new_from_seed(seed, DEPTH, schedules - schedules / 2);
    let done =
        run(random, &begin, Wrong::Nothing, scenario) + run(pct, &begin, Wrong::Nothing, scenario);
    assert_eq!(done, schedules);
    let took = start.elapsed().as_secs_f64();
    println!("{done} schedules in {took:.1} s; next is one that fails, as it must");
    let failed = std::thread::spawn(move || {
        let random = RandomScheduler::new_from_seed(seed, ENOUGH);
        run(random, &begin, wrong, scenario)
    });
    assert!(
        failed.join().is_err(),
        "{ENOUGH} schedules do not find {wrong:?} wrong"
    );
}

/// In a run of all tests, for each of the four.
const SCHEDULES: u64 = 5000;

/// So many schedules find what is wrong.
const ENOUGH: usize = 5000;

#[test]
fn limits_are_exact_in_every_schedule() {
    let draft = LinkDraft::auto().max_uses(Uses::AtMost(2));
    explore(Begin::with(draft, &[]), Wrong::Bounds, a_limit_is_exact);
}

#[test]
fn replaced_tokens_are_dead_in_every_schedule() {
    let begin = Begin::with(LinkDraft::auto(), &[]);
    explore(begin, Wrong::Checks, a_replaced_token_is_dead);
}

#[test]
fn keys_stand_for_one_command_in_every_schedule() {
    // A limit would keep the second one out by itself.
    let begin = Begin::with(LinkDraft::auto(), &[]);
    explore(begin, Wrong::Checks, a_key_stands_for_one_command);
}

#[test]
fn moves_are_in_some_order_in_every_schedule() {
    let mut begin = Begin::with(LinkDraft::review(), &["ann"]);
    begin.in_turn = in_turn(&begin);
    explore(begin, Wrong::Checks, moves_are_in_some_order);
}
