//! How a database gets its tables, what is none, and how the log goes on in a restored one.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{database, pool, runtime, schema, settle};
use guestlist_access::{AccessBook, Action, RoleCatalog};
use guestlist_membership::link::LinkDraft;
use guestlist_membership::member::Status;
use guestlist_membership::{Event, Fact, InviteRef, LinkRef, Records, Row, RowKey, Scope, evolve};
use guestlist_postgres::{PgOptions, PgStore, SCHEMA_VERSION, migrate};
use guestlist_store::conformance::{Harness, Order};
use guestlist_store::{
    Cursor, EventFilter, FoundBook, InviteFilter, KnownBooks, Load, MemberFilter, Page, Query,
    Recorded, Revision, Store as _, StoreError,
};
use guestlist_testkit::postgres::{Database, Server};
use guestlist_token::Selector;
use guestlist_types::{InviteId, Key, LinkId, Member, OrgId, UserId};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row as _};

fn org(text: &str) -> OrgId {
    OrgId::parse(text).unwrap()
}

fn user(text: &str) -> Member {
    Member::User(UserId::parse(text).unwrap())
}

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(pool)
        .await
        .unwrap();
}

/// Every relation, function and constraint of a schema, and what the steps are.
async fn dump(pool: &PgPool, schema: &str) -> Vec<String> {
    sqlx::query(
        "select c.relkind::text || ' ' || c.relname from pg_class c \
         join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 \
         union all select 'f ' || proname from pg_proc p \
         join pg_namespace n on n.oid = p.pronamespace where n.nspname = $1 \
         union all select 'c ' || conname || ' ' || pg_get_constraintdef(k.oid) \
         from pg_constraint k join pg_namespace n on n.oid = k.connamespace \
         where n.nspname = $1 order by 1",
    )
    .bind(schema)
    .fetch_all(pool)
    .await
    .unwrap()
    .iter()
    .map(|row| row.get(0))
    .collect()
}

/// Those that a database has taken that is up to date, and the one that stands for all.
fn every_step() -> Vec<i64> {
    (0..=SCHEMA_VERSION).collect()
}

async fn steps(pool: &PgPool, table: &str) -> Vec<i64> {
    let sql = format!("select version from {table} order by version");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(pool)
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn twice_is_once() {
    runtime().block_on(async {
        let (pool, place) = (pool(1).await, schema());
        let options = PgOptions::new().schema(&place).partitions(3);
        let mut connection = pool.acquire().await.unwrap();
        migrate(&mut connection, &options).await.unwrap();
        drop(connection);
        let first = dump(&pool, &place).await;
        let mut connection = pool.acquire().await.unwrap();
        migrate(&mut connection, &options).await.unwrap();
        drop(connection);
        assert_eq!(dump(&pool, &place).await, first);
        let table = format!("{place}.guestlist_schema");
        assert_eq!(steps(&pool, &table).await, every_step());
    });
}

#[test]
fn several_tasks_make_one_schema() {
    runtime().block_on(async {
        for partitions in [0, 2] {
            let place = schema();
            let mut tasks = Vec::new();
            for id in 0..8 {
                let options = PgOptions::new().schema(&place).partitions(partitions);
                tasks.push(tokio::spawn(async move {
                    let store = PgStore::open(pool(2).await, options).await.unwrap();
                    let h = Harness::resume(&store, Harness::new(&store).now(), 1_000 * (id + 1));
                    let host = org(&format!("org_{id}"));
                    h.register(&host, &format!("name-{id}").parse().unwrap())
                        .await;
                    store.pool().close().await;
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            let pool = pool(2).await;
            let table = format!("{place}.guestlist_schema");
            assert_eq!(steps(&pool, &table).await, every_step());
            let options = PgOptions::new().schema(&place);
            let store = PgStore::open(pool, options).await.unwrap();
            settle(store.pool()).await;
            let events = Harness::new(&store)
                .events(&EventFilter::default(), 100)
                .await;
            assert_eq!(events.len(), 16);
        }
    });
}

/// Not a test by itself: what the other processes of the next test do.
#[test]
fn child() {
    let (Ok(address), Ok(place)) = (env::var("GUESTLIST_ADDRESS"), env::var("GUESTLIST_PLACE"))
    else {
        return;
    };
    runtime().block_on(async {
        let pool = PgPool::connect(&address).await.unwrap();
        let options = PgOptions::new().schema(place);
        let store = PgStore::open(pool, options).await.unwrap();
        let id = std::process::id();
        let h = Harness::resume(&store, Harness::new(&store).now(), u64::from(id) * 1_000);
        let host = org(&format!("org_{id}"));
        h.register(&host, &format!("name-{id}").parse().unwrap())
            .await;
    });
}

#[test]
fn several_processes_make_one_schema() {
    let place = schema();
    let mut children: Vec<_> = (0..4)
        .map(|_| {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "child", "--quiet"])
                .env("GUESTLIST_ADDRESS", database().socket_url())
                .env("GUESTLIST_PLACE", &place)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    runtime().block_on(async {
        let options = PgOptions::new().schema(&place).migrate(false);
        let store = PgStore::open(pool(2).await, options).await.unwrap();
        settle(store.pool()).await;
        let events = Harness::new(&store)
            .events(&EventFilter::default(), 100)
            .await;
        assert_eq!(events.len(), 8);
    });
}

#[test]
fn it_stays_beside_what_the_application_has() {
    runtime().block_on(async {
        let (pool, place) = (pool(2).await, "Guest \"list\"");
        // What an application's own tool keeps, and names much like guestlist's.
        execute(
            &pool,
            r#"create schema "Guest ""list""";
            create table "Guest ""list"""._sqlx_migrations (version bigint primary key, checksum bytea);
            insert into "Guest ""list"""._sqlx_migrations values (1, 'x'), (7, 'y');
            create table "Guest ""list""".guestlists (id integer primary key);
            create table "Guest ""list""".links (id integer primary key);"#,
        )
        .await;
        let own = dump(&pool, place).await;
        let options = PgOptions::new()
            .schema(place)
            .migrations_table("Steps of \"guests\"");
        let store = PgStore::open(pool.clone(), options.clone()).await.unwrap();
        let h = Harness::new(&store);
        h.register(&org("org_1"), &"one".parse().unwrap()).await;
        PgStore::open(pool.clone(), options).await.unwrap();
        let all = dump(&pool, place).await;
        for line in &own {
            assert!(all.contains(line), "{line}");
        }
        let added = all.iter().filter(|line| !own.contains(line));
        for line in added {
            assert!(
                line.contains(" guestlist_") || line.contains("Steps of \"guests\""),
                "{line}"
            );
        }
        let of = |table: &str| format!("\"Guest \"\"list\"\"\".{table}");
        assert_eq!(steps(&pool, &of("_sqlx_migrations")).await, [1, 7]);
        let table = of("\"Steps of \"\"guests\"\"\"");
        assert_eq!(steps(&pool, &table).await, every_step());
    });
}

#[test]
fn an_interrupted_migration_leaves_nothing() {
    runtime().block_on(async {
        let (pool, place) = (pool(2).await, schema());
        // In the way of the very last statement.
        execute(
            &pool,
            &format!(
                "create schema {place}; create function {place}.guestlist_place(bigint, bigint) \
                 returns bigint[] language sql as 'select null::bigint[]'"
            ),
        )
        .await;
        let before = dump(&pool, &place).await;
        let options = PgOptions::new().schema(&place);
        let error = PgStore::open(pool.clone(), options.clone())
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Fatal(_)), "{error:?}");
        assert_eq!(dump(&pool, &place).await, before);
        let drop = format!("drop function {place}.guestlist_place(bigint, bigint)");
        execute(&pool, &drop).await;

        // The connection goes while it waits for somebody else who makes the tables.
        let mut other = pool.begin().await.unwrap();
        let begun = format!(
            "create table {place}.guestlist_schema \
             (version bigint primary key, checksum bigint not null)"
        );
        sqlx::query(AssertSqlSafe(begun))
            .execute(&mut *other)
            .await
            .unwrap();
        let running = tokio::spawn({
            let options = options.clone();
            async move { PgStore::open(common::pool(1).await, options).await }
        });
        let terminated = loop {
            let row = sqlx::query(
                "select count(pg_terminate_backend(pid))::int8 from pg_stat_activity \
                 where wait_event_type = 'Lock' and query like 'create table if not exists%' \
                 and query like $1",
            )
            .bind(format!("%\"{place}\"%"))
            .fetch_one(&pool)
            .await
            .unwrap();
            let terminated: i64 = row.get(0);
            if terminated > 0 || running.is_finished() {
                break terminated;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(terminated, 1);
        let error = running.await.unwrap().unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        other.rollback().await.unwrap();
        assert_eq!(dump(&pool, &place).await, Vec::<String>::new());

        let store = PgStore::open(pool, options).await.unwrap();
        Harness::new(&store)
            .register(&org("org_1"), &"one".parse().unwrap())
            .await;
    });
}

#[test]
fn inside_a_transaction_it_is_part_of_it() {
    runtime().block_on(async {
        let (pool, place) = (pool(2).await, schema());
        let options = PgOptions::new().schema(&place);
        let mut transaction = pool.begin().await.unwrap();
        migrate(&mut transaction, &options).await.unwrap();
        transaction.rollback().await.unwrap();
        assert_eq!(dump(&pool, &place).await, Vec::<String>::new());
        let error = PgStore::open(pool.clone(), options.clone().migrate(false))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Misuse { .. }), "{error:?}");
    });
}

#[test]
fn what_is_not_guestlists_is_left_alone() {
    runtime().block_on(async {
        let pool = pool(2).await;
        for sql in [
            "create table @.guestlist_links (id integer primary key)",
            "create view @.guestlist_links as select 1 as id",
            "create table @.guestlist_schema (name text)",
            "create table @.guestlist_schema (version text, checksum text); \
             insert into @.guestlist_schema values ('1', 'two')",
            "create table @.guestlist_schema (version bigint, checksum bigint); \
             insert into @.guestlist_schema values (1, 2)",
        ] {
            let place = schema();
            execute(&pool, &format!("create schema {place}")).await;
            execute(&pool, &sql.replace('@', &place)).await;
            let before = dump(&pool, &place).await;
            let options = PgOptions::new().schema(&place);
            let error = PgStore::open(pool.clone(), options).await.unwrap_err();
            assert!(
                matches!(error, StoreError::Foreign { .. }),
                "{sql}: {error:?}"
            );
            assert_eq!(dump(&pool, &place).await, before);
        }
        let place = schema();
        let options = PgOptions::new().schema(&place);
        PgStore::open(pool.clone(), options.clone()).await.unwrap();
        let newer = SCHEMA_VERSION + 1;
        let sql = format!("insert into {place}.guestlist_schema values ({newer}, 1)");
        execute(&pool, &sql).await;
        match PgStore::open(pool, options).await.unwrap_err() {
            StoreError::NewerSchema { found, known } => {
                assert_eq!((found, known), (newer, SCHEMA_VERSION));
            }
            error => panic!("{error:?}"),
        }
    });
}

/// A schema as an earlier version left it, with rows that were written then.
async fn old_schema(pool: &PgPool, version: i64, partitions: u16) -> String {
    let place = schema();
    let by = |column: &str| match partitions {
        0 => String::new(),
        _ => format!(" partition by hash ({column})"),
    };
    let there = |sql: &str| {
        sql.replace("@partitioned_by_member", &by("member_bucket"))
            .replace("@partitioned", &by("bucket"))
            .replace("@guestlist_", &format!("{place}.guestlist_"))
    };
    execute(
        pool,
        &format!(
            "create schema {place}; create table {place}.guestlist_schema (\
             version bigint primary key check (version >= 0), checksum bigint not null)"
        ),
    )
    .await;
    execute(pool, &there(include_str!("../migrations/0001.sql"))).await;
    for part in 0..partitions {
        let sql = format!(
            "do $$ declare it name; begin \
             for it in select relname from pg_class \
             where relkind = 'p' and relnamespace = '{place}'::regnamespace loop \
             execute format('create table {place}.%I partition of {place}.%I \
             for values with (modulus {partitions}, remainder {part})', it || '_{part}', it); \
             end loop; end $$"
        );
        execute(pool, &sql).await;
    }
    execute(pool, &there(include_str!("old/0001-rows.sql"))).await;
    if version > 1 {
        execute(pool, &there(include_str!("../migrations/0002.sql"))).await;
        execute(pool, &there(include_str!("old/0002-rows.sql"))).await;
    }
    place
}

/// A row as far as events tell it.
fn untagged(row: Row) -> Row {
    match row {
        Row::Token(mut token) => {
            assert!(token.tag.take().is_some(), "a token keeps its digest");
            Row::Token(token)
        }
        row => row,
    }
}

/// What is in a schema that was old.
struct OldWorld<'a> {
    h: Harness<'a, PgStore>,
    host: OrgId,
    link: LinkId,
    invite: InviteId,
    /// Of the link, until it was refreshed and since then, and of the invite.
    tokens: [Selector; 3],
}

impl<'a> OldWorld<'a> {
    /// Draws what was drawn then, from the same numbers.
    fn drawn_again(store: &'a PgStore) -> Self {
        let h = Harness::resume(store, Harness::new(store).now(), 5);
        let host = org("org_1");
        let until = |drawn| {
            while h.drawn() < drawn {
                let _ = h.commit_id();
            }
        };
        let (_, issued) = h.create_link(&host, LinkDraft::review());
        until(26);
        let second = h.draw(&host, issued.link).selector;
        until(43);
        let (_, invited) = h.invite_order(&host, "eve@example.com");
        until(52);
        Self {
            h,
            host,
            link: issued.link,
            invite: invited.invite,
            tokens: [issued.token, second, invited.token],
        }
    }

    /// Everything, as the log says; asserts that it is what loads show.
    async fn folded(&self) -> (Records, Vec<Recorded>, Option<Cursor>) {
        let Self { h, host, .. } = self;
        settle(h.store().pool()).await;
        let (events, next) = h.events_after(&EventFilter::default(), None, 4).await;
        let (mut records, mut book) = (Records::new(), AccessBook::new());
        for recorded in &events {
            let of = &recorded.organization;
            evolve(&mut records, of, &recorded.stamp, &recorded.event);
            if let Event::Access(event) = &recorded.event {
                guestlist_access::evolve(&mut book, event);
                book.set_revision(book.revision() + 1);
            }
        }
        assert_eq!(*h.book(host).await, book);
        let link = || LinkRef::Id(self.link);
        let mut facts = vec![
            Fact::Name("one".parse().unwrap()),
            Fact::Organization,
            Fact::Book,
            Fact::Link(link()),
            Fact::Tally(link()),
            Fact::Invite(InviteRef::Id(self.invite)),
        ];
        facts.extend(self.tokens.map(Fact::Token));
        for name in ["ann", "bob", "cid", "dan", "eve", "fay"] {
            facts.push(Fact::Membership(user(name)));
            facts.push(Fact::Use(link(), user(name)));
            facts.push(Fact::Known(format!("{name}@example.com").parse().unwrap()));
        }
        let snapshot = h.load(&Scope::of(host.clone(), facts)).await;
        for (key, expected) in records.iter() {
            // These are in the book.
            if !matches!(
                key,
                RowKey::Group(..) | RowKey::GroupMember(..) | RowKey::Grant(..)
            ) {
                let found = snapshot.records().get(key).cloned().map(untagged);
                assert_eq!(found.as_ref(), Some(expected), "{key:?}");
            }
        }
        (records, events, next)
    }

    /// Asserts that whoever has access rules as they were is told all that has happened, by the log
    /// where that says at which revision it did.
    async fn assert_books(&self, said_since: u64) {
        let book = self.h.book(&self.host).await;
        let now = book.revision();
        for known in 0..=now {
            let known_books: Arc<dyn KnownBooks> =
                Arc::new(BTreeMap::from([(self.host.clone(), Revision::new(known))]));
            let load = Load {
                scope: &Scope::of(self.host.clone(), vec![Fact::Book]),
                receipt: None,
                known_books: Some(&known_books),
            };
            let snapshot = self.h.store().load(&load).await.unwrap();
            match snapshot.books().next().unwrap().1 {
                FoundBook::Known => assert_eq!(known, now),
                FoundBook::Whole(whole) => {
                    assert_eq!(*whole, book);
                    assert!(known < said_since, "{known} of {now}");
                }
                FoundBook::Changed { since, events } => {
                    assert_eq!(*since, Revision::new(known));
                    assert_eq!(events.len() as u64, now - known);
                    assert!(known >= said_since, "{known} of {now}");
                }
            }
        }
    }

    async fn status(&self, name: &str) -> Option<Status> {
        let member = self.h.membership(&self.host, &user(name)).await;
        member.and_then(|member| member.status)
    }

    async fn may_read(&self, name: &str, key: &str) -> bool {
        let (key, now) = (Key::parse(key).unwrap(), self.h.now());
        let member = self.h.membership(&self.host, &user(name)).await.unwrap();
        let Some(principal) = member.principal(&RoleCatalog::owner_admin_member(), now) else {
            return false;
        };
        let book = self.h.book(&self.host).await;
        guestlist_access::decide(&book, &principal.into(), Action::Read, &key, now).is_allowed()
    }

    async fn assert_lists(&self, records: &Records) {
        let host = || self.host.clone();
        for (query, count) in [
            (
                Query::Links {
                    host: host(),
                    status: None,
                    creator: None,
                },
                1,
            ),
            (
                Query::Pending {
                    host: host(),
                    link: Some(self.link),
                },
                1,
            ),
            (
                Query::Members {
                    host: host(),
                    filter: MemberFilter::default(),
                },
                2,
            ),
            (
                Query::MembershipsOf {
                    member: user("ann"),
                    status: Some(Status::Approved),
                },
                1,
            ),
            (
                Query::Uses {
                    host: host(),
                    link: self.link,
                },
                2,
            ),
            (
                Query::Groups {
                    organization: host(),
                },
                1,
            ),
            (
                Query::Grants {
                    organization: host(),
                },
                1,
            ),
            (
                Query::Invites {
                    host: host(),
                    filter: InviteFilter::default(),
                },
                1,
            ),
            (
                Query::InvitesTo {
                    address: "eve@example.com".parse().unwrap(),
                    phase: None,
                },
                1,
            ),
            (Query::Tokens { pepper: None }, 3),
        ] {
            let found = self.h.list(&query, 1).await;
            assert_eq!(found.len(), count, "{query:?}");
            for (key, row) in found {
                assert_eq!(Some(&untagged(row)), records.get(&key), "{query:?}");
            }
        }
    }

    async fn assert_feeds(&self) {
        let all = EventFilter::default;
        for (filter, names) in [
            (
                EventFilter {
                    member: Some(user("ann")),
                    ..all()
                },
                &["membership-requested", "membership-approved"][..],
            ),
            (
                EventFilter {
                    link: Some(self.link),
                    name: Some("link-refreshed".to_owned()),
                    ..all()
                },
                &["link-refreshed"],
            ),
            (
                EventFilter {
                    invite: Some(self.invite),
                    ..EventFilter::of(self.host.clone())
                },
                &["invite-sent"],
            ),
        ] {
            let found = self.h.events(&filter, 1).await;
            let found: Vec<_> = found.iter().map(|one| one.event.name()).collect();
            assert_eq!(found, names, "{filter:?}");
        }
    }
}

#[test]
fn what_earlier_versions_wrote_goes_on() {
    runtime().block_on(async {
        for (version, partitions) in [(1, 0), (1, 2), (2, 0), (2, 2)] {
            let pool = pool(4).await;
            let place = old_schema(&pool, version, partitions).await;
            let options = PgOptions::new().schema(&place).partitions(partitions);
            let error = PgStore::open(pool.clone(), options.clone().migrate(false))
                .await
                .unwrap_err();
            assert!(matches!(error, StoreError::Misuse { .. }), "{error:?}");
            let store = PgStore::open(pool, options).await.unwrap();
            let table = format!("{place}.guestlist_schema");
            assert_eq!(steps(store.pool(), &table).await, every_step());

            // What there was is there, by every way to it.
            let old = OldWorld::drawn_again(&store);
            let OldWorld { h, host, .. } = &old;
            let [first, second, invited] = old.tokens;
            let (records, events, next) = old.folded().await;
            assert_eq!((records.iter().count(), events.len()), (18, 11));
            old.assert_lists(&records).await;
            old.assert_feeds().await;
            let said_since = if version == 1 { 3 } else { 0 };
            old.assert_books(said_since).await;
            assert!(old.may_read("ann", "design/logo").await);
            assert!(!old.may_read("ann", "other/logo").await);
            assert!(!old.may_read("bob", "design/logo").await);
            for recorded in &events[1..] {
                let load = Load {
                    scope: &Scope::of(host.clone(), Vec::new()),
                    receipt: Some(recorded.commit),
                    known_books: None,
                };
                let snapshot = store.load(&load).await.unwrap();
                let reply = format!("{{\"reply\":\"{}\"}}", recorded.commit);
                assert_eq!(snapshot.receipt().unwrap().reply, reply);
            }

            // Old tokens and old commands go on, within the limit that was there.
            for (name, token) in [("cid", second), ("dan", first), ("fay", second)] {
                h.done(&h.claim(token, &user(name))).await;
                assert_eq!(old.status(name).await, Some(Status::Pending));
            }
            let sixth = h.claim(second, &user("gus"));
            assert!(h.prepare(&sixth).await.is_err(), "two were used then");
            h.done(&h.approve(host, &user("bob"))).await;
            assert_eq!(old.status("bob").await, Some(Status::Approved));
            h.done(&h.accept_as(invited, "eve", "eve@example.com"))
                .await;
            assert_eq!(old.status("eve").await, Some(Status::Approved));
            let (send, _) = h.invite_order(host, "ann@example.com");
            assert!(h.prepared(&send).await.events.is_empty(), "she is in");
            h.done(&Order::leave(host, &user("ann"))).await;
            assert!(!old.may_read("ann", "design/logo").await);
            h.done(&send).await;
            h.new_group(host, "Staff", false).await;
            old.assert_books(said_since).await;
            let (_, all, _) = old.folded().await;
            let (new, _) = h.events_after(&EventFilter::default(), next, 3).await;
            assert_eq!(all, [events, new].concat());
            store.pool().close().await;
        }
    });
}

fn run(server: &Server, program: &str, database: &Database, arguments: &[&str]) {
    let output = Command::new(server.bin_dir().join(program))
        .arg(format!("--dbname={}", database.socket_url()))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
}

async fn open(database: &Database, partitions: u16) -> PgStore {
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .connect(&database.socket_url())
        .await
        .unwrap();
    let options = PgOptions::new().schema("guests").partitions(partitions);
    PgStore::open(pool, options).await.unwrap()
}

async fn horizon(store: &PgStore) -> i64 {
    let row = sqlx::query("select pg_snapshot_xmax(pg_current_snapshot())::text::int8")
        .fetch_one(store.pool())
        .await
        .unwrap();
    row.get(0)
}

/// A backup is restored into a cluster that has numbered few transactions, and that one's backup
/// into another one.
#[test]
fn a_restored_log_goes_on_behind_what_it_has() {
    let folder = env::temp_dir().join(format!("guestlist-backup-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("backup.sql");
    let file = file.to_str().unwrap();
    let fresh = || Server::builder().fsync(false).start().unwrap();
    let whole = EventFilter::default();
    for partitions in [0, 3] {
        let mut server = fresh();
        let mut database = server.create_database().unwrap();
        runtime().block_on(async {
            let store = open(&database, partitions).await;
            // As in a cluster that has been used.
            execute(
                store.pool(),
                "do $$ begin for i in 1..4000 loop perform pg_current_xact_id(); commit; \
                 end loop; end $$",
            )
            .await;
            store.pool().close().await;
        });
        let host = org("org_1");
        let mut drawn = 1;
        let mut kept = None;
        let mut log = Vec::new();
        let mut link = None;
        for generation in 0..3 {
            runtime().block_on(async {
                let store = open(&database, partitions).await;
                let h = Harness::resume(&store, Harness::new(&store).now(), drawn);
                settle(store.pool()).await;
                // What there was is there, and nothing comes twice.
                assert_eq!(h.events(&whole, 10).await, log, "generation {generation}");
                let (again, _) = h.events_after(&whole, kept.clone(), 10).await;
                assert_eq!(again, []);
                if generation == 0 {
                    h.register(&host, &"one".parse().unwrap()).await;
                    link = Some(h.new_link(&host, LinkDraft::auto()).await.link);
                } else {
                    let last = log.last().unwrap().sequence.commit;
                    let now = horizon(&store).await;
                    let added = sqlx::query("select added from guests.guestlist_epoch")
                        .fetch_one(store.pool())
                        .await
                        .unwrap();
                    let added: i64 = added.get(0);
                    assert!(u64::try_from(now).unwrap() < last, "numbers began anew");
                    assert!(u64::try_from(now + added).unwrap() > last);
                }
                for n in 0..5 {
                    let member = user(&format!("user_{generation}_{n}"));
                    h.done(&h.add(&host, &member, None)).await;
                    settle(store.pool()).await;
                    let (new, next) = h.events_after(&whole, kept.clone(), 10).await;
                    assert!(!new.is_empty(), "new ones are seen behind the old cursor");
                    assert!(
                        log.last()
                            .is_none_or(|last: &Recorded| last.sequence < new[0].sequence)
                    );
                    log.extend(new);
                    kept = next;
                }
                h.done(&Order::leave(&host, &user(&format!("user_{generation}_0"))))
                    .await;
                settle(store.pool()).await;
                let (new, next) = h.events_after(&whole, kept.clone(), 10).await;
                log.extend(new);
                kept = next;
                assert_eq!(h.events(&whole, 7).await, log);
                let status = None;
                let creator = None;
                let host = host.clone();
                let links = Query::Links {
                    host,
                    status,
                    creator,
                };
                let page = Page::first(10).unwrap();
                let links = guestlist_store::Store::list(&store, &links, &page, h.now());
                assert_eq!(links.await.unwrap().rows.len(), 1, "{link:?}");
                drawn = h.drawn();
                store.pool().close().await;
            });
            run(&server, "pg_dump", &database, &["--file", file]);
            let other = fresh();
            let restored = other.create_database().unwrap();
            let strictly = ["--quiet", "--set=ON_ERROR_STOP=1", "--file", file];
            run(&other, "psql", &restored, &strictly);
            database = restored;
            server = other;
        }
        drop(database);
        drop(server);
    }
    fs::remove_dir_all(folder).unwrap();
}
