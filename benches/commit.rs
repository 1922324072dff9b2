//! What claims cost, beside the bare limit of the same database; and what reads cost as a host
//! grows.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use core::future::Future;
use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::env;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use guestlist::sqlite::SqliteStore;
use guestlist::{
    Action, ActionSet, Actor, Address, Audience, Claim, Grantee, Guestlist, InviteToken, LinkDraft,
    Member, MemberFilter, MemoryStore, NewOrganization, OrgId, Page, Pattern, Pepper, PepperId,
    PepperRing, Store, UserId, Uses,
};
use guestlist_benches::{
    Case, Run, Target, count, cpu_nanos, micros, now, number, quantile, ready, side_by_side,
};
use rusqlite::Connection;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

/// A host with its founder, and how many users have come by now.
struct Host<S> {
    guestlist: Guestlist<S>,
    id: OrgId,
    founder: Actor,
    came: AtomicUsize,
}

fn user(number: usize) -> UserId {
    UserId::parse(&format!("user_{number:08}")).expect("a plain id")
}

fn org(name: &str) -> OrgId {
    OrgId::parse(&format!("org_{name}")).expect("a plain id")
}

async fn register<S: Store>(guestlist: &Guestlist<S>, name: &str) -> (OrgId, Actor) {
    let founder = UserId::parse(&format!("founder_{name}")).expect("a plain id");
    let handle = name.parse().expect("a plain name");
    let new = NewOrganization::new(org(name), handle).founder(founder.clone());
    guestlist.register(new).await.expect("the name is free");
    (org(name), Actor::user(founder).in_organization(org(name)))
}

impl<S: Store> Host<S> {
    async fn new(store: S) -> Self {
        let pepper = Pepper::from_bytes(&[7; 32]).expect("32 bytes are enough");
        let guestlist = Guestlist::new(store, PepperRing::new(PepperId::new(1), pepper));
        let (id, founder) = register(&guestlist, "host").await;
        Self {
            guestlist,
            id,
            founder,
            came: AtomicUsize::new(0),
        }
    }

    async fn link(&self, draft: LinkDraft) -> InviteToken {
        let link = self.guestlist.create_link(&self.founder, &self.id, draft);
        let link = link.await.expect("founders make links");
        link.token.expect("a new link comes with its token")
    }

    /// The next user claims.
    async fn claim(&self, token: &InviteToken) {
        let number = self.came.fetch_add(1, Ordering::Relaxed);
        let actor = Actor::user(user(number));
        let claim = self.guestlist.claim(&actor, token, Claim::for_myself());
        let done = claim.await.expect("the link is open");
        assert!(done.changed, "every user is new");
    }

    /// Another organization joins, and may read what is shared.
    async fn guest(&self) -> Actor {
        let (guest, actor) = register(&self.guestlist, "guest").await;
        let (everyone, read) = (
            Grantee::Organization(Audience::Everyone),
            ActionSet::of(&[Action::Read]),
        );
        let shared = Pattern::parse("shared/").expect("a prefix");
        let grant = self
            .guestlist
            .grant(&self.founder, &self.id, everyone, read, shared, None);
        grant.await.expect("founders hold everything");
        let token = self.link(LinkDraft::review()).await;
        let claim = self
            .guestlist
            .claim(&actor, &token, Claim::for_organization());
        claim.await.expect("the link is open");
        let guest = Member::Org(guest);
        let approve = self.guestlist.approve(&self.founder, &self.id, &guest);
        approve.await.expect("it is pending");
        actor
    }

    /// The first page of members, or one near the end, with three full ones behind it.
    async fn page(&self, deep: bool) -> Page {
        let mut page = Page::first(100).expect("at most 1,000");
        if deep {
            let pages = self.came.load(Ordering::Relaxed) / 100;
            for _ in 0..pages.saturating_sub(4) {
                let next = self.members(&page).await.1;
                page = page.after(next.expect("there are more"));
            }
        }
        page
    }

    async fn members(&self, page: &Page) -> (usize, Option<guestlist::Cursor>) {
        let filter = MemberFilter::default();
        let members = self
            .guestlist
            .members(&self.founder, &self.id, filter, page);
        let found = members.await.expect("founders see everybody");
        (found.members.len(), found.next)
    }

    async fn decide(&self, actor: &Actor, address: &Address) -> bool {
        let decision = self.guestlist.decide(actor, Action::Read, address);
        decision.await.expect("the store answers").is_allowed()
    }
}

/// Claims on one core, all in memory.
fn memory(run: &mut Run) {
    let repeats = run.size(2, 9);
    let claims = run.size(200, 20_000);
    let rate = |draft: fn(usize) -> LinkDraft, links: usize| {
        move || {
            let host = ready(Host::new(MemoryStore::default()));
            let tokens: Vec<InviteToken> = (0..links)
                .map(|_| ready(host.link(draft(claims))))
                .collect();
            let mut turn = tokens.iter().cycle();
            1e9 / cpu_nanos(claims, || {
                ready(host.claim(turn.next().expect("there is a link")));
            })
        }
    };
    let limited = |claims: usize| LinkDraft::review().max_uses(Uses::AtMost(count_u64(claims)));
    let measured = side_by_side(
        &format!("Claims in memory, one core, {claims} claims in an empty store"),
        "claims per second of CPU",
        repeats,
        vec![
            Case::new("one unlimited link", rate(|_| LinkDraft::review(), 1)),
            Case::new("one limited link", rate(limited, 1)),
            Case::new("one link each", rate(|_| LinkDraft::review(), claims)),
        ],
    );
    run.target(
        "claims per second in memory, one unlimited link",
        measured.median("one unlimited link"),
        Target::AtLeast(300_000.0),
    );
}

const fn count_u64(number: usize) -> u64 {
    number as u64
}

/// Single-row inserts, each in a transaction of its own, on a connection that a thread owns.
struct Bare {
    requests: Option<mpsc::Sender<oneshot::Sender<()>>>,
    thread: Option<JoinHandle<()>>,
}

const INSERT: &str = "insert into bare (value) values (?)";

fn bare_connection(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("the folder is writable");
    connection
        .execute_batch(
            "pragma journal_mode = wal; pragma synchronous = full;
             create table if not exists bare (id integer primary key, value blob not null) strict",
        )
        .expect("SQLite takes this");
    connection
}

fn insert(connection: &Connection) {
    let inserted = connection
        .prepare_cached(INSERT)
        .and_then(|mut insert| insert.execute([[7_u8; 100]]));
    assert_eq!(inserted, Ok(1));
}

impl Bare {
    fn start(path: &Path) -> Self {
        let connection = bare_connection(path);
        let (requests, waiting) = mpsc::channel::<oneshot::Sender<()>>();
        let thread = thread::spawn(move || {
            for answer in waiting {
                insert(&connection);
                let _ = answer.send(());
            }
        });
        Self {
            requests: Some(requests),
            thread: Some(thread),
        }
    }

    async fn insert(&self) {
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().expect("it is not dropped");
        requests.send(answer).expect("the thread is there");
        answered.await.expect("it answers");
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How many times per second `tasks` tasks do something together, for about `time`.
fn rate<F: Future<Output = ()> + Send>(
    runtime: &Runtime,
    tasks: usize,
    time: Duration,
    work: impl Fn() -> F + Send + Sync + Clone + 'static,
) -> f64 {
    let start = now();
    let spawned: Vec<_> = (0..tasks)
        .map(|_| {
            let work = work.clone();
            runtime.spawn(async move {
                let mut done = 0;
                while start.elapsed() < time {
                    work().await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in spawned {
        done += runtime.block_on(task).expect("no task panics");
    }
    count(done) / start.elapsed().as_secs_f64()
}

type OnDisk = Arc<Host<SqliteStore>>;

fn on_disk(runtime: &Runtime, path: &Path) -> OnDisk {
    let store = SqliteStore::open(path).expect("the folder is writable");
    Arc::new(runtime.block_on(Host::new(store)))
}

/// Durable claims beside durable inserts.
fn sqlite(run: &mut Run, runtime: &Runtime, folder: &Path) {
    let repeats = run.size(1, 9);
    let time = Duration::from_millis(run.size(50, 1_000) as u64);
    let bare = Arc::new(Bare::start(&folder.join("bare.db")));
    let direct = bare_connection(&folder.join("direct.db"));
    let host = on_disk(runtime, &folder.join("claims.db"));
    let open = Arc::new(runtime.block_on(host.link(LinkDraft::review())));
    let limited = LinkDraft::review().max_uses(Uses::AtMost(1 << 40));
    let limited = Arc::new(runtime.block_on(host.link(limited)));
    let links: Arc<Vec<InviteToken>> = Arc::new(
        (0..64)
            .map(|_| runtime.block_on(host.link(LinkDraft::review())))
            .collect(),
    );

    let inserts = |tasks: usize| {
        let bare = Arc::clone(&bare);
        move || {
            let bare = Arc::clone(&bare);
            rate(runtime, tasks, time, move || {
                let bare = Arc::clone(&bare);
                async move { bare.insert().await }
            })
        }
    };
    let claims = |tasks: usize, token: &Arc<InviteToken>| {
        let (host, token) = (Arc::clone(&host), Arc::clone(token));
        move || {
            let (host, token) = (Arc::clone(&host), Arc::clone(&token));
            rate(runtime, tasks, time, move || {
                let (host, token) = (Arc::clone(&host), Arc::clone(&token));
                async move { host.claim(&token).await }
            })
        }
    };
    let many_links = || {
        let (host, links) = (Arc::clone(&host), Arc::clone(&links));
        rate(runtime, 32, time, move || {
            let (host, links) = (Arc::clone(&host), Arc::clone(&links));
            async move {
                let token = host.came.load(Ordering::Relaxed) % links.len();
                host.claim(&links[token]).await;
            }
        })
    };
    let (bare_1, claims_1) = ("bare, 1 task", "claims, 1 task");
    let measured = side_by_side(
        "SQLite, WAL, synchronous=FULL: one task",
        "per second",
        repeats,
        vec![
            Case::new(bare_1, inserts(1)),
            Case::new("bare, no task and no channel", || {
                let (start, mut done) = (now(), 0);
                while start.elapsed() < time {
                    insert(&direct);
                    done += 1;
                }
                count(done) / start.elapsed().as_secs_f64()
            }),
            Case::new(claims_1, claims(1, &open)),
            Case::new("claims, 1 task, limited link", claims(1, &limited)),
        ],
    );
    run.target(
        "claims alone, times the bare commit",
        measured.ratio(claims_1, bare_1),
        Target::AtLeast(0.45),
    );
    side_by_side(
        "SQLite, WAL, synchronous=FULL: 8 tasks",
        "per second",
        repeats,
        vec![
            Case::new("bare, 8 tasks", inserts(8)),
            Case::new("claims, 8 tasks", claims(8, &open)),
            Case::new("claims, 8 tasks, limited link", claims(8, &limited)),
        ],
    );
    let (bare_32, claims_32) = ("bare, 32 tasks", "claims, 32 tasks");
    let measured = side_by_side(
        "SQLite, WAL, synchronous=FULL: 32 tasks",
        "per second",
        repeats,
        vec![
            Case::new(bare_32, inserts(32)),
            Case::new(claims_32, claims(32, &open)),
            Case::new("claims, 32 tasks, limited link", claims(32, &limited)),
            Case::new("claims, 32 tasks, 64 links", many_links),
        ],
    );
    run.target(
        "claims with 32 waiting, times the bare commit at 32 tasks",
        measured.ratio(claims_32, bare_32),
        Target::AtLeast(1.2),
    );
    println!(
        "  {} claims in all, {} MB",
        host.came.load(Ordering::Relaxed),
        folder
            .join("claims.db")
            .metadata()
            .map_or(0, |file| file.len() / 1_000_000)
    );
}

fn latency(what: &str, mut call: impl FnMut(), calls: usize) {
    let times: Vec<f64> = (0..calls).map(|_| micros(&mut call).0).collect();
    println!(
        "  {what:34} p50 {:>6}  p99 {:>6}",
        number(quantile(&times, 0.5)),
        number(quantile(&times, 0.99))
    );
}

/// A host with that many users waiting for review, a guest organization, and pages of its list.
struct Grown<S> {
    host: Host<S>,
    guest: Actor,
    first: Page,
    deep: Page,
}

fn grown<S: Store>(host: Host<S>, block: &dyn Block) -> Grown<S> {
    let mut guest = None;
    block.run(Box::pin(async { guest = Some(host.guest().await) }));
    let mut pages = None;
    block.run(Box::pin(async {
        pages = Some((host.page(false).await, host.page(true).await));
    }));
    let (first, deep) = pages.expect("the future was run");
    Grown {
        host,
        guest: guest.expect("the future was run"),
        first,
        deep,
    }
}

/// What futures run on.
trait Block {
    fn run(&self, future: core::pin::Pin<Box<dyn Future<Output = ()> + '_>>);
}

impl Block for Runtime {
    fn run(&self, future: core::pin::Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.block_on(future);
    }
}

/// For a store that never waits.
struct Ready;

impl Block for Ready {
    fn run(&self, future: core::pin::Pin<Box<dyn Future<Output = ()> + '_>>) {
        ready(future);
    }
}

/// The cost of reads at two sizes of one host.
fn growth<S: Store>(
    run: &mut Run,
    store: &str,
    block: &dyn Block,
    small: (usize, &Grown<S>),
    large: (usize, &Grown<S>),
) {
    let repeats = run.size(2, 11);
    let calls = run.size(5, 200);
    let pages = |grown: &'_ Grown<S>, deep: bool| {
        let page = if deep { &grown.deep } else { &grown.first };
        cpu_nanos(calls, || {
            block.run(Box::pin(async {
                black_box(grown.host.members(page).await);
            }));
        }) / 1e3
    };
    let (few, many) = (small.0, large.0);
    let measured = side_by_side(
        &format!("{store}: a page of 100 members, at {few} and at {many} memberships"),
        "us of CPU",
        repeats,
        vec![
            Case::new("first page, few", || pages(small.1, false)),
            Case::new("deep page, few", || pages(small.1, true)),
            Case::new("first page, many", || pages(large.1, false)),
            Case::new("deep page, many", || pages(large.1, true)),
        ],
    );
    for name in ["first page, many", "deep page, many"] {
        run.target(
            &format!("{store}: {name}, times the first page of few"),
            measured.ratio(name, "first page, few"),
            Target::AtMost(1.2),
        );
    }
    let own = Address::parse("shared/doc").expect("a key");
    let abroad = Address::parse("@host/shared/doc").expect("an address");
    let decide = |grown: &'_ Grown<S>, abroad_too: bool| {
        let (actor, address) = if abroad_too {
            (&grown.guest, &abroad)
        } else {
            (&grown.host.founder, &own)
        };
        cpu_nanos(calls, || {
            block.run(Box::pin(async {
                assert!(grown.host.decide(actor, address).await);
            }));
        }) / 1e3
    };
    let measured = side_by_side(
        &format!("{store}: a strong decision, at {few} and at {many} memberships"),
        "us of CPU",
        repeats,
        vec![
            Case::new("own key, few", || decide(small.1, false)),
            Case::new("own key, many", || decide(large.1, false)),
            Case::new("@host/key, few", || decide(small.1, true)),
            Case::new("@host/key, many", || decide(large.1, true)),
        ],
    );
    run.target(
        &format!("{store}: deciding on a key of one's own, many, times few"),
        measured.ratio("own key, many", "own key, few"),
        Target::AtMost(1.2),
    );
    run.target(
        &format!("{store}: deciding on @host/key, many, times few"),
        measured.ratio("@host/key, many", "@host/key, few"),
        Target::AtMost(1.2),
    );
}

fn latencies(
    run: &Run,
    runtime: &Runtime,
    folder: &Path,
    members: usize,
    grown: &Grown<SqliteStore>,
) {
    let calls = run.size(20, 20_000);
    println!(
        "\nLatency on SQLite, one at a time, at {members} memberships [us; {calls} calls each]"
    );
    let bare = Bare::start(&folder.join("latency.db"));
    let connection = bare_connection(&folder.join("latency.db"));
    latency("bare insert", || runtime.block_on(bare.insert()), calls);
    let host = &grown.host;
    let token = runtime.block_on(host.link(LinkDraft::review()));
    latency("claim", || runtime.block_on(host.claim(&token)), calls);
    latency(
        "bare select by key",
        || {
            let found = connection
                .prepare_cached("select value from bare where id = ?")
                .and_then(|mut select| select.query_row([1], |row| row.get::<_, Vec<u8>>(0)));
            assert_eq!(found.map(|value| value.len()), Ok(100));
        },
        calls,
    );
    let own = Address::parse("shared/doc").expect("a key");
    let abroad = Address::parse("@host/shared/doc").expect("an address");
    latency(
        "strong decision, own key",
        || assert!(runtime.block_on(host.decide(&host.founder, &own))),
        calls,
    );
    latency(
        "strong decision, @host/key",
        || assert!(runtime.block_on(host.decide(&grown.guest, &abroad))),
        calls,
    );
}

fn main() {
    let mut run = Run::start("commit");
    println!(
        "rusqlite 0.40 with SQLite {}, tokio with 2 workers",
        rusqlite::version()
    );
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("threads can be started");
    // On the disk that the repository is on, if nothing else is said.
    let on = env::var_os("GUESTLIST_BENCH_DIR").unwrap_or(env!("CARGO_TARGET_TMPDIR").into());
    let folder = tempfile::tempdir_in(on).expect("a folder can be made");
    println!("databases in {}", folder.path().display());

    memory(&mut run);
    sqlite(&mut run, &runtime, folder.path());

    let sizes = [run.size(200, 1_000), run.size(400, 100_000)];
    let [few, many] = sizes.map(|members| {
        let host = ready(Host::new(MemoryStore::default()));
        let token = ready(host.link(LinkDraft::review()));
        for _ in 0..members {
            ready(host.claim(&token));
        }
        grown(host, &Ready)
    });
    growth(
        &mut run,
        "memory",
        &Ready,
        (sizes[0], &few),
        (sizes[1], &many),
    );
    drop((few, many));

    let [few, many] = sizes.map(|members| {
        let host = on_disk(&runtime, &folder.path().join(format!("{members}.db")));
        let token = Arc::new(runtime.block_on(host.link(LinkDraft::review())));
        runtime.block_on(async {
            let tasks: Vec<_> = (0..20)
                .map(|_| {
                    let (host, token) = (Arc::clone(&host), Arc::clone(&token));
                    tokio::spawn(async move {
                        for _ in 0..members / 20 {
                            host.claim(&token).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no task panics");
            }
        });
        let host = Arc::into_inner(host).expect("all tasks have ended");
        grown(host, &runtime)
    });
    growth(
        &mut run,
        "SQLite",
        &runtime,
        (sizes[0], &few),
        (sizes[1], &many),
    );
    latencies(&run, &runtime, folder.path(), sizes[0], &few);
    latencies(&run, &runtime, folder.path(), sizes[1], &many);
    run.finish();
}
