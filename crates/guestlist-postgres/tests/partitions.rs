//! Every statement of the hot path keeps to one partition of each table that it reads, locks or
//! writes. The plans are those that the server used for what the store sent, from its log.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Mutex, OnceLock};

use guestlist_membership::link::{LinkDraft, Uses};
use guestlist_membership::member::MemberCommand;
use guestlist_membership::organization::Settings;
use guestlist_membership::{Fact, Root, Scope};
use guestlist_postgres::{Dialect, PgOptions, PgStore, citus_statements, migrate};
use guestlist_store::conformance::{Harness, Order};
use guestlist_store::{
    Committed, EventFilter, InviteFilter, Load, MemberFilter, Page, Query, Store,
};
use guestlist_testkit::postgres::{Database, Server};
use guestlist_types::{Bucket, Member, OrgId, UserId};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row as _};

const PARTITIONS: u16 = 16;

/// Held by who says in the log what comes, and looks there for it.
static LOG: Mutex<()> = Mutex::new(());

/// A server that writes down each plan it has used.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        Server::builder()
            .fsync(false)
            .setting("session_preload_libraries", "auto_explain")
            .setting("auto_explain.log_min_duration", "0")
            .setting("auto_explain.log_format", "json")
            .setting("auto_explain.log_analyze", "on")
            .setting("auto_explain.log_timing", "off")
            .setting("auto_explain.log_nested_statements", "on")
            .setting("auto_explain.log_verbose", "on")
            .start()
            .unwrap()
    })
}

fn database() -> &'static Database {
    static DATABASE: OnceLock<Database> = OnceLock::new();
    DATABASE.get_or_init(|| server().create_database().unwrap())
}

/// One connection, so that all plans are in one order.
async fn pool(mode: &str) -> PgPool {
    let options: PgConnectOptions = database().socket_url().parse().unwrap();
    PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options.options([("plan_cache_mode", mode)]))
        .await
        .unwrap()
}

async fn store(schema: &str, mode: &str) -> PgStore {
    let options = PgOptions::new()
        .schema(schema)
        .partitions(PARTITIONS)
        .flush_together(false);
    PgStore::open(pool(mode).await, options).await.unwrap()
}

fn org(text: &str) -> OrgId {
    OrgId::parse(text).unwrap()
}

fn user(text: &str) -> Member {
    Member::User(UserId::parse(text).unwrap())
}

/// Says in the log what comes.
async fn mark(store: &PgStore, what: &str) {
    sqlx::query(AssertSqlSafe(format!("select 'begins: {what}'")))
        .fetch_all(store.pool())
        .await
        .unwrap();
}

async fn load(store: &PgStore, root: Root, facts: Vec<Fact>) {
    let scope = Scope { root, facts };
    store.load(&Load::of(&scope)).await.unwrap();
}

/// The hot path, step by step, as it is sent.
async fn hot_path(store: &PgStore) {
    let h = Harness::new(store);
    let host = org("org_1");
    mark(store, "-").await;
    h.register_with(
        &host,
        &"one".parse().unwrap(),
        Some(UserId::parse("ada").unwrap()),
        Settings::default(),
    )
    .await;
    h.register(&org("org_2"), &"two".parse().unwrap()).await;
    h.new_group(&host, "Design", false).await;
    let open = h.new_link(&host, LinkDraft::review()).await;
    let auto = h.new_link(&host, LinkDraft::auto()).await;
    let draft = LinkDraft::auto().max_uses(Uses::AtMost(100));
    let limited = h.new_link(&host, draft).await;
    let invited = h.new_invite(&host, "ann@example.com").await;

    let members = ["m0", "m1", "m2", "m3", "m4", "m5"].map(user);
    for (what, issued, member) in [
        ("a claim", open, &members[0]),
        ("a claim that is approved", auto, &members[1]),
        ("a claim of a use", limited, &members[2]),
        (
            "a claim of an organization",
            open,
            &Member::Org(org("org_2")),
        ),
    ] {
        mark(store, &format!("{what}: load")).await;
        let commit = h.prepared(&h.claim(issued.token, member)).await;
        mark(store, &format!("{what}: commit")).await;
        h.applies(&commit).await;
    }
    mark(store, "-").await;
    let mut commits = Vec::new();
    for member in &members[3..] {
        commits.push(h.prepared(&h.claim(limited.token, member)).await);
    }
    mark(store, "claims together: commit").await;
    assert_eq!(
        h.commit_all(&commits).await,
        vec![Committed::Applied; commits.len()]
    );
    for (what, order) in [
        ("approve", h.approve(&host, &members[0])),
        (
            "approve an organization",
            h.approve(&host, &Member::Org(org("org_2"))),
        ),
        ("leave", Order::leave(&host, &members[1])),
        (
            "remove",
            Order::member(
                &host,
                MemberCommand::Remove {
                    member: members[2].clone(),
                    reason: None,
                },
            ),
        ),
        (
            "refresh",
            h.refresh(&host, limited.link, std::time::Duration::from_mins(1)),
        ),
        (
            "accept",
            h.accept_as(invited.token, "ann", "ann@example.com"),
        ),
    ] {
        mark(store, &format!("{what}: load")).await;
        let commit = h.prepared(&order).await;
        mark(store, &format!("{what}: commit")).await;
        h.applies(&commit).await;
    }
    mark(store, "-").await;
    h.done(&h.claim(open.token, &user("m6"))).await;
    mark(store, "reject").await;
    h.done(&Order::reject(&host, &user("m6"))).await;

    let of_member = || {
        vec![
            Fact::Organization,
            Fact::Book,
            Fact::Membership(members[0].clone()),
        ]
    };
    mark(store, "a strong decision").await;
    load(store, Root::Organization(host.clone()), of_member()).await;
    mark(store, "across: a strong decision by name").await;
    let mut facts = of_member();
    facts.extend([
        Fact::Acting(org("org_2")),
        Fact::OrganizationOf(org("org_2")),
        Fact::BookForActing(org("org_2")),
        Fact::MembershipIn(org("org_2"), user("bob")),
    ]);
    load(store, Root::Name("one".parse().unwrap()), facts).await;

    let one = || host.clone();
    for (what, query) in [
        (
            "members",
            Query::Members {
                host: one(),
                filter: MemberFilter::default(),
            },
        ),
        (
            "pending",
            Query::Pending {
                host: one(),
                link: None,
            },
        ),
        (
            "pending of a link",
            Query::Pending {
                host: one(),
                link: Some(open.link),
            },
        ),
        (
            "links",
            Query::Links {
                host: one(),
                status: None,
                creator: None,
            },
        ),
        (
            "uses",
            Query::Uses {
                host: one(),
                link: limited.link,
            },
        ),
        (
            "groups",
            Query::Groups {
                organization: one(),
            },
        ),
        (
            "grants",
            Query::Grants {
                organization: one(),
            },
        ),
        (
            "invites",
            Query::Invites {
                host: one(),
                filter: InviteFilter::default(),
            },
        ),
        (
            "memberships of a member",
            Query::MembershipsOf {
                member: members[0].clone(),
                status: None,
            },
        ),
    ] {
        mark(store, &format!("list: {what}")).await;
        let first = Page::first(2).unwrap();
        let listed = store.list(&query, &first, h.now()).await.unwrap();
        if let Some(next) = listed.next {
            store
                .list(&query, &first.after(next), h.now())
                .await
                .unwrap();
        }
    }
    mark(store, "events of a host").await;
    let filter = EventFilter::of(host.clone());
    store.events(&filter, None, 10).await.unwrap();
    mark(store, "-").await;
}

/// A plan, and the text that it is of.
struct Used {
    what: String,
    text: String,
    plan: Value,
}

/// The plans of one connection's pass, by what was going on.
fn used(schema: &str) -> Vec<Used> {
    let log = fs::read_to_string(server().socket_dir().join("log")).unwrap();
    let mut what = String::new();
    let mut all = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.ends_with("plan:") {
            continue;
        }
        let mut json = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            json.push_str(more);
        }
        let plan: Value = serde_json::from_str(&json).unwrap();
        let text = plan["Query Text"].as_str().unwrap().to_owned();
        if let Some(begins) = text.strip_prefix("select 'begins: ") {
            begins.trim_end_matches('\'').clone_into(&mut what);
        } else if text.contains(&format!("\"{schema}\".")) || is_in(&plan["Plan"], schema) {
            all.push(Used {
                what: what.clone(),
                text,
                plan: plan["Plan"].clone(),
            });
        }
    }
    all
}

/// Whether a plan reads or writes a table of this schema, however that was named.
fn is_in(node: &Value, schema: &str) -> bool {
    let mut below = node["Plans"].as_array().into_iter().flatten();
    node["Schema"] == schema || below.any(|child| is_in(child, schema))
}

/// What a plan has scanned, by table: the partitions, and whether it can have touched them.
#[derive(Default)]
struct Scanned {
    /// Those that were looked at.
    touched: BTreeMap<String, BTreeSet<String>>,
    /// Those in the plan.
    named: BTreeMap<String, BTreeSet<String>>,
}

fn scan(node: &Value, scanned: &mut Scanned) {
    if let Some(relation) = node["Relation Name"].as_str() {
        let kind = node["Node Type"].as_str().unwrap();
        let (table, is_part) = match relation.rsplit_once('_') {
            Some((table, part)) if part.parse::<u16>().is_ok() => (table, true),
            _ => (relation, false),
        };
        if kind == "ModifyTable" && node["Operation"] == "Insert" {
            // The table as a whole is named, whichever partition the rows went to.
            assert!(!is_part, "{relation}");
        } else if relation != "guestlist_epoch" {
            assert!(is_part, "{kind} of the whole of {relation}");
            let (table, part) = (table.to_owned(), relation.to_owned());
            let named = &mut scanned.named;
            named.entry(table.clone()).or_default().insert(part.clone());
            if kind == "ModifyTable" || node["Actual Loops"].as_f64().unwrap() > 0.0 {
                scanned.touched.entry(table).or_default().insert(part);
            }
        }
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        scan(child, scanned);
    }
}

/// Whether two organizations are read.
fn is_across(what: &str) -> bool {
    what.starts_with("across") || (what.contains("an organization") && what.ends_with(": load"))
}

/// Runs the hot path with this kind of plan. How many statements were looked at.
async fn keeps_to_one_partition(schema: &str, mode: &str) -> usize {
    let store = store(schema, mode).await;
    hot_path(&store).await;
    let mut seen = BTreeSet::new();
    let mut statements = 0;
    for used in used(schema) {
        let Used { what, text, plan } = used;
        if what.is_empty() || what == "-" {
            continue;
        }
        let mut scanned = Scanned::default();
        scan(&plan, &mut scanned);
        statements += 1;
        seen.insert(what.clone());
        // Who claims for an organization has that looked at, too; what is committed is of one.
        let across = is_across(&what);
        let most = if across { 2 } else { 1 };
        for (table, parts) in &scanned.touched {
            assert!(
                parts.len() <= most,
                "{mode}: {what} touches {parts:?} of {table}"
            );
        }
        if !across {
            for (table, parts) in &scanned.named {
                assert!(
                    parts.len() == 1,
                    "{mode}: {what} has {parts:?} of {table} in its plan"
                );
            }
        }
        assert!(
            !scanned.named.is_empty(),
            "{mode}: {what} reads something\n{text}"
        );
    }
    for expected in [
        "a claim: load",
        "a claim: commit",
        "a claim that is approved: commit",
        "a claim of a use: commit",
        "a claim of an organization: commit",
        "claims together: commit",
        "approve: load",
        "approve: commit",
        "leave: commit",
        "remove: commit",
        "refresh: load",
        "refresh: commit",
        "accept: load",
        "accept: commit",
        "reject",
        "a strong decision",
        "across: a strong decision by name",
        "list: members",
        "list: pending",
        "list: links",
        "list: uses",
        "list: groups",
        "list: grants",
        "list: invites",
        "list: memberships of a member",
        "events of a host",
    ] {
        assert!(seen.contains(expected), "{expected}: nothing in the log");
    }
    rows_are_where_they_belong(&store, schema).await;
    store.pool().close().await;
    statements
}

/// What was inserted: all of one organization in one partition of each table, and of one member.
async fn rows_are_where_they_belong(store: &PgStore, schema: &str) {
    let tables = sqlx::query(
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = $1 and c.relkind = 'p'",
    )
    .bind(schema)
    .fetch_all(store.pool())
    .await
    .unwrap();
    assert_eq!(tables.len(), 24);
    let mut filled = 0;
    for row in tables {
        let table: String = row.get(0);
        let column = match &*table {
            "guestlist_commits" => "home",
            "guestlist_names" => "organization",
            "guestlist_consumers" | "guestlist_parked" => continue,
            "guestlist_joined" => "member_id",
            _ => "host",
        };
        let sql = format!(
            "select count(distinct tableoid)::int8 from {schema}.{table} group by {column}"
        );
        for row in sqlx::query(AssertSqlSafe(sql))
            .fetch_all(store.pool())
            .await
            .unwrap()
        {
            let parts: i64 = row.get(0);
            assert_eq!(parts, 1, "{table}");
            filled += 1;
        }
    }
    assert!(filled > 15, "{filled}");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn every_statement_of_the_hot_path_keeps_to_one_partition() {
    let _log = LOG.lock();
    block_on(async {
        let custom = keeps_to_one_partition("custom", "force_custom_plan").await;
        let generic = keeps_to_one_partition("generic", "force_generic_plan").await;
        assert_eq!(custom, generic);
        assert!(custom > 35, "{custom} statements");
    });
}

/// What the function runs that commits on Citus: each statement names one row or rows of one
/// bucket, and says that bucket.
#[test]
fn every_statement_of_the_function_for_citus_keeps_to_one_partition() {
    let _log = LOG.lock();
    block_on(async {
        let schema = "on_citus";
        let options = PgOptions::new()
            .schema(schema)
            .partitions(PARTITIONS)
            .dialect(Dialect::Citus);
        let pool = pool("auto").await;
        migrate(&mut pool.acquire().await.unwrap(), &options)
            .await
            .unwrap();
        // Not what distributes the tables, which have partitions instead.
        let statements = citus_statements(&PgOptions::new().schema(schema)).unwrap();
        let function = |text: &&String| text.starts_with("-- ");
        let function = statements.iter().find(function).unwrap().clone();
        sqlx::raw_sql(AssertSqlSafe(function))
            .execute(&pool)
            .await
            .unwrap();
        let store = PgStore::open(pool, options).await.unwrap();
        hot_path(&store).await;
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        let mut calls = 0;
        for Used { what, text, plan } in used(schema) {
            if text.starts_with("select \"on_citus\".guestlist_commit_1($1::int4, $2::text)") {
                calls += 1;
                continue;
            }
            if !what.ends_with(": commit") {
                continue;
            }
            let kind = text.split(' ').next().unwrap();
            let kind = ["select", "insert", "update", "delete"]
                .into_iter()
                .find(|one| *one == kind)
                .unwrap_or_else(|| panic!("{what}: {text}"));
            *kinds.entry(kind).or_default() += 1;
            let mut scanned = Scanned::default();
            match kind {
                // What is changed is named as a whole; what is looked through for it is below that.
                "update" | "delete" => scan(&plan["Plans"][0], &mut scanned),
                _ => scan(&plan, &mut scanned),
            }
            let parts: usize = scanned.named.values().map(BTreeSet::len).sum();
            if kind == "insert" {
                // A row of constants, and nothing that it is looked up in.
                assert_eq!(parts, 0, "{what}: {text}");
                assert!(
                    text.contains("(bucket, ") || text.contains(", bucket, "),
                    "{text}"
                );
                assert_eq!(text.matches(" values ").count(), 1, "{text}");
                assert!(!text.contains("select "), "{text}");
            } else {
                assert_eq!(parts, 1, "{what}: {text}");
                assert!(text.contains(" where bucket = '"), "{text}");
            }
        }
        assert!(calls > 15, "{calls}");
        for (kind, least) in [("select", 40), ("insert", 40), ("update", 10)] {
            let found = kinds.get(kind).copied().unwrap_or(0);
            assert!(found >= least, "{kind}: {found}");
        }
        rows_are_where_they_belong(&store, schema).await;
        store.pool().close().await;
    });
}

/// How many relations of guestlist's a transaction has locked: tables, then indexes.
async fn locks(transaction: &mut sqlx::PgConnection, schema: &str) -> (i64, i64) {
    let row = sqlx::query(
        "select count(*) filter (where c.relkind in ('r', 'p')), \
                count(*) filter (where c.relkind in ('i', 'I')) \
         from pg_locks l join pg_class c on c.oid = l.relation \
         join pg_namespace n on n.oid = c.relnamespace \
         where l.pid = pg_backend_pid() and l.locktype = 'relation' and n.nspname = $1",
    )
    .bind(schema)
    .fetch_one(transaction)
    .await
    .unwrap();
    (row.get(0), row.get(1))
}

/// What docs/scale.md says of locks.
#[test]
fn relation_locks_are_as_many_as_documented() {
    block_on(async {
        let mut all = Vec::new();
        for (schema, mode, partitions) in [
            ("locks_whole", "force_custom_plan", 0),
            ("locks_custom", "force_custom_plan", PARTITIONS),
            ("locks_generic", "force_generic_plan", PARTITIONS),
        ] {
            let options = PgOptions::new()
                .schema(schema)
                .partitions(partitions)
                .flush_together(false);
            let store = PgStore::open(pool(mode).await, options).await.unwrap();
            let h = Harness::new(&store);
            let host = org("org_1");
            h.register(&host, &"one".parse().unwrap()).await;
            let open = h.new_link(&host, LinkDraft::review()).await;
            // As often as it takes until everything is planned and cached.
            for name in ["a", "b", "c"] {
                h.done(&h.claim(open.token, &user(name))).await;
            }
            let order = h.claim(open.token, &user("d"));
            let commit = h.prepared(&order).await;
            let mut transaction = store.pool().begin().await.unwrap();
            let scope = order.command.scope(&order.host, &order.actor);
            store
                .transaction(&mut transaction)
                .load(&Load::of(&scope))
                .await
                .unwrap();
            let loading = locks(&mut transaction, schema).await;
            transaction.rollback().await.unwrap();
            let mut transaction = store.pool().begin().await.unwrap();
            let done = store.transaction(&mut transaction).commit(&[commit]).await;
            assert_eq!(done.unwrap(), [Committed::Applied]);
            let committing = locks(&mut transaction, schema).await;
            transaction.rollback().await.unwrap();
            all.push((loading, committing));
            store.pool().close().await;
        }
        let [whole, custom, generic] = all[..] else {
            panic!("{all:?}");
        };
        let (tables, indexes) = (|(n, _): (i64, i64)| n, |(_, n): (i64, i64)| n);
        for (whole, custom, generic) in [
            (whole.0, custom.0, generic.0),
            (whole.1, custom.1, generic.1),
        ] {
            // A table that is partitioned, and one partition of it.
            assert!(tables(custom) <= 2 * tables(whole), "{all:?}");
            assert!(indexes(custom) <= indexes(whole), "{all:?}");
            assert!(tables(custom) <= tables(generic), "{all:?}");
        }
    });
}

#[test]
fn buckets_of_the_test_are_apart() {
    assert_ne!(Bucket::of(&org("org_1")), Bucket::of(&org("org_2")));
}
