//! What is measured: hosts, links and tasks that claim.

use core::future::Future;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use guestlist::postgres::{PgOptions, PgStore};
use guestlist::{
    Action, ActionSet, Actor, Address, Audience, Claim, Grantee, Guestlist, InviteToken, LinkDraft,
    Member, NewOrganization, OrgId, Pattern, Pepper, PepperId, PepperRing, Store, UserId, Uses,
};
use guestlist_benches::{count, micros, now, quantile, spread};
use guestlist_testkit::postgres::{Database, Server};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Row as _};
use tokio::runtime::Runtime;
use tokio::sync::Mutex as TaskMutex;

use crate::{
    ALONE_EACH, ALONE_LIMITED, ALONE_OPEN, HAND, RAW, TOGETHER_EACH, TOGETHER_LIMITED,
    TOGETHER_OPEN,
};

/// What a service would write by hand for the same job.
const TABLES: &str = "
    create table bare (id bigint generated always as identity primary key, value bytea not null);
    create table hand_tokens (token bytea primary key, link bigint not null);
    create table hand_links (
        id bigint primary key, host text not null, status text not null, max_uses bigint
    );
    create table hand_members (
        host text not null, member text not null, status text not null, link bigint not null,
        joined_at timestamptz not null default now(), primary key (host, member)
    );
    create table hand_uses (
        link bigint not null, member text not null, at timestamptz not null default now(),
        primary key (link, member)
    );
    create table hand_events (
        id bigint generated always as identity primary key, host text not null,
        name text not null, member text not null, at timestamptz not null default now()
    );
    insert into hand_links select n, 'host_' || n, 'active', null from generate_series(0, 199) n;
    insert into hand_tokens select sha256(n::text::bytea), n from generate_series(0, 199) n;
";

/// One database, and all users that come.
pub(crate) struct Bench<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) time: Duration,
    database: Database,
    came: Arc<AtomicUsize>,
    racers: Arc<AtomicUsize>,
    sections: AtomicUsize,
}

pub(crate) fn user(number: usize) -> UserId {
    UserId::parse(&format!("user_{number:08}")).expect("a plain id")
}

pub(crate) async fn register<S: Store>(guestlist: &Guestlist<S>, name: &str) -> (OrgId, Actor) {
    let founder = UserId::parse(&format!("founder_{name}")).expect("a plain id");
    let id = OrgId::parse(&format!("org_{name}")).expect("a plain id");
    let handle = name.parse().expect("a plain name");
    let new = NewOrganization::new(id.clone(), handle).founder(founder.clone());
    guestlist.register(new).await.expect("the name is free");
    (id.clone(), Actor::user(founder).in_organization(id))
}

pub(crate) async fn link<S: Store>(
    guestlist: &Guestlist<S>,
    host: &(OrgId, Actor),
    draft: LinkDraft,
) -> Arc<InviteToken> {
    let link = guestlist.create_link(&host.1, &host.0, draft).await;
    let link = link.expect("founders make links");
    Arc::new(link.token.expect("a new link comes with its token"))
}

/// Another organization joins, and may read what is shared.
pub(crate) async fn guest<S: Store>(
    guestlist: &Guestlist<S>,
    host: &(OrgId, Actor),
    name: &str,
) -> Actor {
    let (guest, actor) = register(guestlist, name).await;
    let (everyone, read) = (
        Grantee::Organization(Audience::Everyone),
        ActionSet::of(&[Action::Read]),
    );
    let shared = Pattern::parse("shared/").expect("a prefix");
    let grant = guestlist.grant(&host.1, &host.0, everyone, read, shared, None);
    grant.await.expect("founders hold everything");
    let token = link(guestlist, host, LinkDraft::review()).await;
    let claim = guestlist.claim(&actor, &token, Claim::for_organization());
    claim.await.expect("the link is open");
    let guest = Member::Org(guest);
    let approve = guestlist.approve(&host.1, &host.0, &guest);
    approve.await.expect("it is pending");
    actor
}

pub(crate) async fn decide<S: Store>(guestlist: &Guestlist<S>, actor: &Actor, address: &Address) {
    let decision = guestlist.decide(actor, Action::Read, address).await;
    assert!(decision.expect("the store answers").is_allowed());
}

pub(crate) async fn claim<S: Store>(
    guestlist: &Guestlist<S>,
    came: &AtomicUsize,
    token: &InviteToken,
) {
    let actor = Actor::user(user(came.fetch_add(1, Ordering::Relaxed)));
    let claim = guestlist.claim(&actor, token, Claim::for_myself());
    let done = claim.await.expect("the link is open");
    assert!(done.changed, "every user is new");
}

pub(crate) async fn pool(address: &str, connections: usize) -> PgPool {
    PgPoolOptions::new()
        .max_connections(u32::try_from(connections).expect("a few connections"))
        .min_connections(0)
        .acquire_timeout(Duration::from_secs(60))
        .test_before_acquire(false)
        .connect(address)
        .await
        .expect("the server takes connections")
}

pub(crate) fn guestlist_over(store: PgStore) -> Guestlist<PgStore> {
    let pepper = Pepper::from_bytes(&[7; 32]).expect("32 bytes are enough");
    Guestlist::new(store, PepperRing::new(PepperId::new(1), pepper))
}

impl<'a> Bench<'a> {
    pub(crate) fn new(server: &Server, runtime: &'a Runtime, time: usize) -> Self {
        let database = server.create_database().expect("the server runs");
        database.psql(TABLES).expect("an empty database");
        Self {
            runtime,
            time: Duration::from_millis(time as u64),
            database,
            came: Arc::default(),
            racers: Arc::default(),
            sections: AtomicUsize::new(0),
        }
    }

    /// What one statement answers.
    pub(crate) fn one(&self, sql: &str) -> String {
        self.database.psql(sql).expect("the server takes this")
    }

    pub(crate) fn address(&self) -> String {
        self.database.socket_url()
    }

    /// How long one bare insert takes when there is nothing else, in microseconds.
    pub(crate) fn lone_commit(&self, calls: usize) -> f64 {
        let connect = PgConnection::connect(&self.address());
        let mut connection = self
            .runtime
            .block_on(async { connect.await.expect("it runs") });
        let times: Vec<f64> = (0..calls)
            .map(|_| micros(|| self.runtime.block_on(insert(&mut connection))).0)
            .collect();
        quantile(&times, 0.5)
    }
}

async fn insert(connection: &mut PgConnection) {
    let insert = sqlx::query("insert into bare (value) values ($1)").bind([7_u8; 100].as_slice());
    let done = insert.execute(connection).await.expect("it is taken");
    assert_eq!(done.rows_affected(), 1);
}

/// The classic form: a transaction, and a statement for each thing.
async fn by_hand(pool: &PgPool, link: usize, member: &str) -> Result<(), sqlx::Error> {
    let token = Sha256::digest(link.to_string());
    let mut transaction = pool.begin().await?;
    let found = sqlx::query("select link from hand_tokens where token = $1")
        .bind(token.as_slice())
        .fetch_one(&mut *transaction)
        .await?;
    let link: i64 = found.get(0);
    let found = sqlx::query("select host, status, max_uses from hand_links where id = $1")
        .bind(link)
        .fetch_one(&mut *transaction)
        .await?;
    let (host, status): (String, String) = (found.get(0), found.get(1));
    assert_eq!(status, "active");
    let member_before =
        sqlx::query("select status from hand_members where host = $1 and member = $2")
            .bind(&host)
            .bind(member)
            .fetch_optional(&mut *transaction)
            .await?;
    assert!(member_before.is_none(), "every user is new");
    sqlx::query("insert into hand_members (host, member, status, link) values ($1, $2, $3, $4)")
        .bind(&host)
        .bind(member)
        .bind("pending")
        .bind(link)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("insert into hand_uses (link, member) values ($1, $2)")
        .bind(link)
        .bind(member)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("insert into hand_events (host, name, member) values ($1, $2, $3)")
        .bind(&host)
        .bind("claimed")
        .bind(member)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// One way of opening the store, with a host and a link for each task, and one host with two links
/// for all.
struct World {
    guestlist: Guestlist<PgStore>,
    came: Arc<AtomicUsize>,
    racers: Arc<AtomicUsize>,
    host: (OrgId, Actor),
    guest: Actor,
    each: Vec<Arc<InviteToken>>,
    open: Arc<InviteToken>,
    limited: Arc<InviteToken>,
}

impl World {
    async fn new(bench: &Bench<'_>, name: &str, links: usize, store: PgStore) -> Self {
        let guestlist = guestlist_over(store);
        let host = register(&guestlist, name).await;
        let guest = guest(&guestlist, &host, &format!("{name}-guest")).await;
        let mut each = Vec::new();
        for number in 0..links {
            let host = register(&guestlist, &format!("{name}-{number}")).await;
            each.push(link(&guestlist, &host, LinkDraft::review()).await);
        }
        let open = link(&guestlist, &host, LinkDraft::review()).await;
        let limited = LinkDraft::review().max_uses(Uses::AtMost(1 << 40));
        let limited = link(&guestlist, &host, limited).await;
        Self {
            guestlist,
            came: Arc::clone(&bench.came),
            racers: Arc::clone(&bench.racers),
            host,
            guest,
            each,
            open,
            limited,
        }
    }

    async fn claim(&self, token: &InviteToken) {
        claim(&self.guestlist, &self.came, token).await;
    }
}

/// What came of one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) done: usize,
    p50: f64,
    p99: f64,
}

#[derive(Clone, Copy)]
enum Until {
    Passed(Duration),
    Done(usize),
}

/// Lets so many tasks do something together.
fn rate<F: Future<Output = ()> + Send>(
    runtime: &Runtime,
    tasks: usize,
    until: Until,
    work: impl Fn(usize) -> F + Send + Sync + Clone + 'static,
) -> Rate {
    let start = now();
    let spawned: Vec<_> = (0..tasks)
        .map(|task| {
            let work = work.clone();
            runtime.spawn(async move {
                let mut times = Vec::new();
                loop {
                    let is_over = match until {
                        Until::Passed(time) => start.elapsed() >= time,
                        Until::Done(calls) => times.len() >= calls,
                    };
                    if is_over {
                        return times;
                    }
                    let begun = now();
                    work(task).await;
                    times.push(begun.elapsed().as_secs_f64() * 1e6);
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in spawned {
        times.extend(runtime.block_on(task).expect("no task panics"));
    }
    Rate {
        per_second: count(times.len()) / start.elapsed().as_secs_f64(),
        done: times.len(),
        p50: quantile(&times, 0.5),
        p99: quantile(&times, 0.99),
    }
}

/// One call, run to its end.
pub(crate) type Call<'a> = Box<dyn FnMut() + 'a>;

/// So many tasks with so many connections, for each way of doing it.
pub(crate) struct Section<'a> {
    bench: &'a Bench<'a>,
    tasks: usize,
    raw: Arc<Vec<TaskMutex<PgConnection>>>,
    by_hand: PgPool,
    alone: Arc<World>,
    together: Arc<World>,
    rounds: Mutex<BTreeMap<&'static str, Vec<Rate>>>,
}

impl<'a> Section<'a> {
    pub(crate) fn new(bench: &'a Bench<'a>, tasks: usize, connections: usize) -> Self {
        let number = bench.sections.fetch_add(1, Ordering::Relaxed);
        let address = bench.address();
        bench.runtime.block_on(async {
            let mut raw = Vec::new();
            for _ in 0..connections {
                let connection = PgConnection::connect(&address).await;
                raw.push(TaskMutex::new(connection.expect("the server runs")));
            }
            let store = async |options: PgOptions| {
                let store = PgStore::open(pool(&address, connections).await, options).await;
                store.expect("the database is guestlist's")
            };
            let alone = store(PgOptions::new().flush_together(false)).await;
            let together = store(PgOptions::new()).await;
            let alone = World::new(bench, &format!("alone-{number}"), tasks, alone).await;
            let together = World::new(bench, &format!("together-{number}"), tasks, together).await;
            Self {
                bench,
                tasks,
                raw: Arc::new(raw),
                by_hand: pool(&address, connections).await,
                alone: Arc::new(alone),
                together: Arc::new(together),
                rounds: Mutex::default(),
            }
        })
    }

    /// A connection plans a statement anew the first few times, and the planner guesses until there
    /// are statistics.
    pub(crate) fn warm_up(&self, cases: &[&'static str], calls: usize) {
        for name in cases {
            self.run(name, Until::Done(calls));
        }
        self.bench.one("vacuum analyze");
        for name in cases {
            self.run(name, Until::Done(calls));
        }
    }

    /// One round of a case.
    pub(crate) fn rate(&self, case: &'static str, time: Duration) -> Rate {
        let rate = self.run(case, Until::Passed(time));
        let mut rounds = self.rounds.lock().expect("nobody panics with it");
        rounds.entry(case).or_default().push(rate);
        rate
    }

    fn run(&self, case: &str, until: Until) -> Rate {
        let runtime = self.bench.runtime;
        match case {
            RAW => {
                let raw = Arc::clone(&self.raw);
                rate(runtime, self.tasks, until, move |task| {
                    let raw = Arc::clone(&raw);
                    async move { insert(&mut *raw[task].lock().await).await }
                })
            }
            HAND => {
                let (pool, users) = (self.by_hand.clone(), Arc::clone(&self.bench.came));
                rate(runtime, self.tasks, until, move |task| {
                    let pool = pool.clone();
                    let member = format!("hand_{:08}", users.fetch_add(1, Ordering::Relaxed));
                    async move { by_hand(&pool, task, &member).await.expect("it is taken") }
                })
            }
            ALONE_EACH => self.claims(&self.alone, None, until),
            ALONE_OPEN => self.claims(&self.alone, Some(&self.alone.open), until),
            ALONE_LIMITED => self.claims(&self.alone, Some(&self.alone.limited), until),
            TOGETHER_EACH => self.claims(&self.together, None, until),
            TOGETHER_OPEN => self.claims(&self.together, Some(&self.together.open), until),
            TOGETHER_LIMITED => self.claims(&self.together, Some(&self.together.limited), until),
            other => unreachable!("there is no case `{other}`"),
        }
    }

    fn claims(&self, world: &Arc<World>, token: Option<&Arc<InviteToken>>, until: Until) -> Rate {
        let (world, token) = (Arc::clone(world), token.cloned());
        rate(self.bench.runtime, self.tasks, until, move |task| {
            let world = Arc::clone(&world);
            let token = token
                .clone()
                .unwrap_or_else(|| Arc::clone(&world.each[task]));
            async move { world.claim(&token).await }
        })
    }

    /// The rounds that count: without the first of each case.
    fn counted(&self, case: &str) -> Vec<Rate> {
        let rounds = self.rounds.lock().expect("nobody panics with it");
        rounds[case].get(1..).unwrap_or_default().to_vec()
    }

    #[expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
    pub(crate) fn print_latencies(&self, cases: &[&'static str]) {
        println!("  latency of the same rounds [us]");
        for name in cases {
            let rounds = self.counted(name);
            let p50: Vec<f64> = rounds.iter().map(|rate| rate.p50).collect();
            let p99: Vec<f64> = rounds.iter().map(|rate| rate.p99).collect();
            println!("  {name:38} p50 {}  p99 {}", spread(&p50), spread(&p99));
        }
    }

    /// The median over all rounds of the 99th percentile of one case divided by that of another.
    pub(crate) fn p99_ratio(&self, case: &str, to: &str) -> f64 {
        let (rounds, base) = (self.counted(case), self.counted(to));
        let pairs = rounds.iter().zip(&base);
        let ratios: Vec<f64> = pairs.map(|(one, other)| one.p99 / other.p99).collect();
        quantile(&ratios, 0.5)
    }

    /// Whoever was told that they are in is there, and nobody else.
    #[expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
    pub(crate) fn check(&self) {
        let came = self.bench.came.load(Ordering::Relaxed).to_string();
        let there = self.bench.one(
            "select (select count(*) from guestlist_memberships where member_kind = 'user' \
             and member_id like 'user\\_%') + (select count(*) from hand_members)",
        );
        assert_eq!(came, there, "as many members as acknowledged claims");
        self.check_counters();
        println!(
            "  checked: {there} claims acknowledged, as many members; counters of links exact"
        );
    }

    pub(crate) fn check_counters(&self) {
        let uses = self.bench.one(
            "select count(*) from guestlist_link_tallies t where uses <> (select count(*) \
             from guestlist_link_uses u where (u.bucket, u.host, u.link) = (t.bucket, t.host, t.link))",
        );
        assert_eq!(uses, "0", "every counter is exact");
    }

    /// One call of each kind, for latencies.
    pub(crate) fn single_calls(&self) -> Vec<(&'static str, Call<'_>)> {
        let runtime = self.bench.runtime;
        let own = Address::parse("shared/doc").expect("a key");
        let name = self.alone.host.0.as_str().trim_start_matches("org_");
        let abroad = format!("@{name}/shared/doc");
        let abroad = Address::parse(&abroad).expect("an address");
        vec![
            (
                "select 1",
                Box::new(|| {
                    runtime.block_on(async {
                        let mut connection = self.raw[0].lock().await;
                        let one = sqlx::query("select 1").fetch_one(&mut *connection).await;
                        assert_eq!(one.expect("it is taken").get::<i32, _>(0), 1);
                    });
                }) as Call<'_>,
            ),
            (
                RAW,
                Box::new(|| {
                    runtime.block_on(async { insert(&mut *self.raw[0].lock().await).await });
                }),
            ),
            (
                "claim, one by one",
                Box::new(|| runtime.block_on(self.alone.claim(&self.alone.open))),
            ),
            (
                "claim, together",
                Box::new(|| runtime.block_on(self.together.claim(&self.together.open))),
            ),
            (
                "strong decision, own key",
                Box::new(move || {
                    runtime.block_on(decide(&self.alone.guestlist, &self.alone.host.1, &own));
                }),
            ),
            (
                "strong decision, @host/key",
                Box::new(move || {
                    runtime.block_on(decide(&self.alone.guestlist, &self.alone.guest, &abroad));
                }),
            ),
        ]
    }
}

impl Section<'_> {
    /// More users claim a link at once than it has uses.
    fn race(&self, world: &Arc<World>, limit: u64, tasks: usize, calls: usize) -> Race {
        let draft = LinkDraft::review().max_uses(Uses::AtMost(limit));
        let runtime = self.bench.runtime;
        let token = runtime.block_on(link(&world.guestlist, &world.host, draft));
        let members = || {
            let host = world.host.0.as_str();
            let sql = format!("select count(*) from guestlist_memberships where host = '{host}'");
            self.bench.one(&sql).parse::<usize>().expect("a number")
        };
        let before = members();
        let race = Arc::new(Mutex::new(Race::default()));
        let (claiming, shared) = (Arc::clone(world), Arc::clone(&race));
        rate(runtime, tasks, Until::Done(calls), move |_| {
            let (world, token) = (Arc::clone(&claiming), Arc::clone(&token));
            let race = Arc::clone(&shared);
            async move {
                let number = world.racers.fetch_add(1, Ordering::Relaxed);
                let id = UserId::parse(&format!("racer_{number}")).expect("a plain id");
                let actor = Actor::user(id);
                let claim = world.guestlist.claim(&actor, &token, Claim::for_myself());
                let claimed = claim.await;
                let mut race = race.lock().expect("nobody panics with it");
                match claimed {
                    Ok(_) => race.accepted += 1,
                    Err(error) => *race.refused.entry(error.code()).or_default() += 1,
                }
            }
        });
        let mut race = race.lock().expect("nobody panics with it").clone();
        race.members = members() - before;
        race
    }

    /// How often a link for two lets more in, or fewer, when four claim at once.
    pub(crate) fn four_at_once(&self, tries: usize) -> usize {
        (0..tries)
            .filter(|_| self.race(&self.together, 2, 4, 1).members != 2)
            .count()
    }
}

/// What came of more claims than a link has uses.
#[derive(Debug, Clone, Default)]
struct Race {
    accepted: usize,
    members: usize,
    refused: BTreeMap<&'static str, usize>,
}

/// More claims at once than a link has uses: as many are accepted as it has, and the database has as
/// many members.
#[expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
pub(crate) fn limits_are_exact(bench: &Bench<'_>) {
    const LIMIT: u64 = 40;
    let section = Section::new(bench, 32, 32);
    println!();
    for (name, world) in [
        ("one by one", &section.alone),
        ("together", &section.together),
    ] {
        let race = section.race(world, LIMIT, 32, 3);
        assert_eq!(race.accepted as u64, LIMIT, "{:?}", race.refused);
        assert_eq!(race.members, race.accepted, "as many as acknowledged");
        println!(
            "A link for {LIMIT}, 96 claims by 32 tasks, {name}: {} accepted and there, refused {:?}",
            race.accepted, race.refused
        );
    }
}
