//! What a claim, a decision and a page of a list cost as a host grows.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use guestlist::postgres::{PgOptions, PgStore};
use guestlist::{Actor, Address, Guestlist, InviteToken, LinkDraft, MemberFilter, OrgId, Page};
use guestlist_benches::{Case, Run, Target, micros, quantile, side_by_side};
use guestlist_testkit::postgres::{Database, Server};
use guestlist_types::Bucket;
use sqlx::AssertSqlSafe;
use tokio::runtime::Runtime;

use crate::world::{claim, decide, guest, guestlist_over, link, pool, register, user};

/// Rows of one user who has claimed are the pattern of those of all others.
const PATTERN: usize = 99_999_999;

/// How many users are written by one statement.
const CHUNK: usize = 50_000;

/// One database with one large host, or with many small ones beside it.
struct Grown {
    guestlist: Guestlist<PgStore>,
    host: (OrgId, Actor),
    guest: Actor,
    token: Arc<InviteToken>,
    came: AtomicUsize,
    deep: Page,
    _database: Database,
}

/// The same for every member: one table's rows of the pattern, with the user replaced and some
/// columns anew.
fn copies(table: &str, rows: &str, columns: &str) -> String {
    format!(
        "insert into {table} select r.* from {table} t, \
         unnest($1::text[], $2::int4[], $3::int8[]) as new (id, bucket, n), \
         lateral json_populate_record(null::{table}, \
         replace(row_to_json(t)::text, 'user_{PATTERN}', new.id)::json) a, \
         lateral jsonb_populate_record(a, {columns}) r where {rows}"
    )
}

async fn fill(store: &PgStore, host: &OrgId, members: usize) {
    let own = format!("t.host = '{}'", host.as_str());
    let of_pattern = format!("{own} and t.member_id = 'user_{PATTERN}'");
    let same = "'{}'";
    let statements = [
        copies("guestlist_memberships", &of_pattern, same),
        copies("guestlist_link_uses", &of_pattern, same),
        copies(
            "guestlist_joined",
            &of_pattern,
            "jsonb_build_object('member_bucket', new.bucket)",
        ),
        copies(
            "guestlist_events",
            &of_pattern,
            "jsonb_build_object('ordinal', a.ordinal + new.n * 16)",
        ),
    ];
    for first in (0..members).step_by(CHUNK) {
        let users = first..members.min(first + CHUNK);
        let ids: Vec<String> = users
            .clone()
            .map(|number| user(number).as_str().to_owned())
            .collect();
        let buckets: Vec<i32> = ids
            .iter()
            .map(|id| Bucket::of_bytes(id.as_bytes()).get().into())
            .collect();
        let numbers: Vec<i64> = (1..).skip(first).take(users.len()).collect();
        for sql in &statements {
            let insert = sqlx::query(AssertSqlSafe(sql.clone()))
                .bind(&ids)
                .bind(&buckets)
                .bind(&numbers);
            insert.execute(store.pool()).await.expect("rows are valid");
        }
    }
    for sql in [
        format!("update guestlist_seat_tallies t set taken = taken + {members} where {own}"),
        format!("update guestlist_link_tallies t set uses = uses + {members} where {own}"),
        "vacuum analyze".to_owned(),
    ] {
        let done = sqlx::query(AssertSqlSafe(sql)).execute(store.pool()).await;
        done.expect("rows are valid");
    }
}

impl Grown {
    async fn new(server: &Server, members: usize, hosts: usize) -> Self {
        let database = server.create_database().expect("the server runs");
        let store = async |connections| {
            let pool = pool(&database.socket_url(), connections).await;
            let options = PgOptions::new().flush_together(false);
            let store = PgStore::open(pool, options).await;
            store.expect("nobody else uses this database")
        };
        let measured = guestlist_over(store(1).await);
        let store = store(8).await;
        let guestlist = guestlist_over(store.clone());
        let host = register(&guestlist, "host").await;
        let guest = guest(&guestlist, &host, "guest").await;
        let token = link(&guestlist, &host, LinkDraft::review()).await;
        claim(&guestlist, &AtomicUsize::new(PATTERN), &token).await;
        fill(&store, &host.0, members).await;
        let guestlist = Arc::new(guestlist);
        let others: Vec<_> = (0..8)
            .map(|task| {
                let guestlist = Arc::clone(&guestlist);
                tokio::spawn(async move {
                    for number in (task..hosts).step_by(8) {
                        let host = register(&guestlist, &format!("host-{number}")).await;
                        link(&guestlist, &host, LinkDraft::review()).await;
                    }
                })
            })
            .collect();
        for task in others {
            task.await.expect("no task panics");
        }
        store.pool().close().await;
        let mut grown = Self {
            guestlist: measured,
            host,
            guest,
            token,
            came: AtomicUsize::new(members),
            deep: Page::first(100).expect("at most 1,000"),
            _database: database,
        };
        // In large steps to three pages before the end.
        let step = if members > 10_000 { 1_000 } else { 100 };
        let mut page = Page::first(step).expect("at most 1,000");
        for _ in 1..(members / step as usize).saturating_sub(3) {
            let (_, next) = grown.members(&page).await;
            let next = next.expect("there are more");
            grown.deep = Page::first(100).expect("at most 1,000").after(next.clone());
            page = page.after(next);
        }
        grown
    }

    async fn members(&self, page: &Page) -> (usize, Option<guestlist::Cursor>) {
        let filter = MemberFilter::default();
        let (actor, host) = (&self.host.1, &self.host.0);
        let members = self.guestlist.members(actor, host, filter, page).await;
        let found = members.expect("founders see everybody");
        (found.members.len(), found.next)
    }
}

#[derive(Clone, Copy)]
enum Call {
    Claim,
    Own,
    Abroad,
    First,
    Deep,
}

const CALLS: [(&str, Call); 5] = [
    ("claim", Call::Claim),
    ("strong decision, own key", Call::Own),
    ("strong decision, @host/key", Call::Abroad),
    ("first page of 100", Call::First),
    ("deep page of 100", Call::Deep),
];

/// The median of some calls, in microseconds.
fn measure(runtime: &Runtime, grown: &Grown, call: Call, calls: usize) -> f64 {
    let first = Page::first(100).expect("at most 1,000");
    let own = Address::parse("shared/doc").expect("a key");
    let abroad = Address::parse("@host/shared/doc").expect("an address");
    let guestlist = &grown.guestlist;
    let one = || {
        runtime.block_on(async {
            match call {
                Call::Claim => claim(guestlist, &grown.came, &grown.token).await,
                Call::Own => decide(guestlist, &grown.host.1, &own).await,
                Call::Abroad => decide(guestlist, &grown.guest, &abroad).await,
                Call::First => assert_eq!(grown.members(&first).await.0, 100),
                Call::Deep => assert_eq!(grown.members(&grown.deep).await.0, 100),
            }
        });
    };
    let times: Vec<f64> = (0..calls).map(|_| micros(one).0).collect();
    quantile(&times, 0.5)
}

/// Each at several sizes, in turns.
pub(crate) fn growth(run: &mut Run, server: &Server, runtime: &Runtime, is_max: bool) {
    let is_full = run.size(0, 1) == 1;
    let mut sizes = vec![("1,000", 1_000, 0)];
    if is_full {
        sizes.extend([("100,000", 100_000, 0), ("1,000,000", 1_000_000, 0)]);
    } else {
        sizes.push(("10,000", 10_000, 0));
    }
    if is_max {
        sizes.push(("10,000,000", 10_000_000, 0));
    }
    sizes.push(if is_full {
        ("1,000, and 10,000 hosts", 1_000, 10_000)
    } else {
        ("1,000, and 100 hosts", 1_000, 100)
    });
    let grown: Vec<(&'static str, Grown)> = sizes
        .into_iter()
        .map(|(name, members, hosts)| {
            let (time, grown) = micros(|| runtime.block_on(Grown::new(server, members, hosts)));
            println!(
                "{name}: {members} memberships, {hosts} other hosts, made in {:.1} s",
                time / 1e6
            );
            (name, grown)
        })
        .collect();
    let calls = run.size(10, 300);
    for (what, call) in CALLS {
        // A statement is planned anew the first few times.
        for (_, grown) in &grown {
            measure(runtime, grown, call, 20);
        }
        let cases = grown
            .iter()
            .map(|(name, grown)| Case::new(name, move || measure(runtime, grown, call, calls)));
        let measured = side_by_side(
            &format!("PostgreSQL: {what}, median of {calls} calls, one at a time"),
            "us",
            run.size(2, 9),
            cases.collect(),
        );
        for (name, _) in &grown[1..] {
            run.target(
                &format!("{what}: {name}, times that at 1,000"),
                measured.ratio(name, grown[0].0),
                Target::AtMost(1.2),
            );
        }
    }
    for (name, grown) in &grown {
        println!(
            "  {name}: {} users came in all",
            grown.came.load(Ordering::Relaxed)
        );
    }
}
