//! The function that commits on Citus, on PostgreSQL: at the same time, overtaken, refused in its
//! midst, in the application's transactions, and missing.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::sync::Arc;

use common::citus::{set_up, store};
use common::commits::{
    apply, claim, claim_with, claims, host, is_at, is_there, link, load, member_key, receipt,
    seats, send, uses, uuid,
};
use common::{mirror, pool, schema, settle, until};
use guestlist_membership::{Fact, RowKey, Scope};
use guestlist_postgres::{Dialect, PgOptions, PgStore, PgTransaction, migrate};
use guestlist_store::{Commit, Committed, Load, Revision, Store, StoreError, Write};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tokio::task::JoinSet;

const TASKS: u64 = 16;

async fn run(connection: &mut PgConnection, sql: String) {
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
}

async fn number(pool: &PgPool, sql: String) -> i64 {
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(pool).await;
    row.unwrap().get(0)
}

/// Whether the claim is there, with its events in the log and all else.
async fn is_whole(store: &PgStore, place: &str, id: u64) -> bool {
    store.place().await.unwrap();
    is_there(store.pool(), place, id).await
}

/// Waits until a call of the function waits for a lock.
async fn until_one_waits(pool: &PgPool) {
    until(
        pool,
        "select exists (select 1 from pg_stat_activity where wait_event_type = 'Lock' \
        and datname = current_database() and query like '%guestlist_commit_%')",
    )
    .await;
}

#[tokio::test]
async fn a_store_on_citus_needs_its_function() {
    let (pool, place) = (pool(2).await, schema());
    let options = PgOptions::new().schema(&place).dialect(Dialect::Citus);
    let misuse = async || {
        let error = PgStore::open(pool.clone(), options.clone())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "store-misuse", "{error:?}");
        assert!(error.to_string().contains("`citus_statements`"), "{error}");
    };
    misuse().await;
    // Nothing is said before the tables are there.
    let elsewhere = PgOptions::new().schema(schema()).dialect(Dialect::Citus);
    let error = PgStore::open(pool.clone(), elsewhere.migrate(false)).await;
    assert!(error.unwrap_err().to_string().contains("`migrate`"));
    // Only that it could be called is not asked for when a transaction is borrowed.
    let mut transaction = pool.begin().await.unwrap();
    let borrowed = PgTransaction::with_options(&mut transaction, &options).unwrap();
    let error = send(&borrowed, &claim(1, 1)).await.unwrap_err();
    assert_eq!(error.code(), "store-foreign", "{error:?}");
    drop(transaction);

    set_up(&pool, &options, &place).await;
    let store = PgStore::open(pool.clone(), options.clone()).await.unwrap();
    apply(&store, &claim(1, 1)).await;
    let mut connection = pool.acquire().await.unwrap();
    run(
        &mut connection,
        format!("alter function {place}.guestlist_commit_1 rename to guestlist_commit_0"),
    )
    .await;
    drop(connection);
    misuse().await;
}

#[test]
fn what_citus_needs_is_so_whatever_else_is_said() {
    let on_citus = PgOptions::new().dialect(Dialect::Citus);
    let otherwise = on_citus
        .clone()
        .mirror_from_log(false)
        .keep_to_one_bucket(false);
    assert_eq!(otherwise, on_citus);
    let before = PgOptions::new()
        .mirror_from_log(false)
        .keep_to_one_bucket(false)
        .dialect(Dialect::Citus);
    assert_eq!(before, on_citus);
    assert_ne!(
        on_citus,
        PgOptions::new()
            .mirror_from_log(true)
            .keep_to_one_bucket(true)
    );
}

/// What `claim` takes a use for, with a limit.
fn limited(id: u64, of: u64, limit: u64) -> Commit {
    let mut claim = claim(id, of);
    for write in &mut claim.writes {
        if let Write::Take { below, .. } = write {
            *below = limit;
        }
    }
    claim
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_while_many_claim() {
    const LIMIT: u64 = 50;
    let (store, place) = store(PgOptions::new()).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = store.clone();
        tasks.spawn(async move {
            let mut applied = 0;
            for id in 0..6 {
                let sent = limited(1 + id * TASKS + task, 1, LIMIT);
                match send(&store, &sent).await.unwrap() {
                    Committed::Applied => applied += 1,
                    Committed::Conflict { key } => {
                        assert_eq!(key, RowKey::LinkTally(host(), link(1)));
                    }
                    other @ Committed::AlreadyApplied(_) => panic!("{other:?}"),
                }
            }
            applied
        });
    }
    let applied: u64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(applied, LIMIT);
    settle(store.pool()).await;
    mirror(&store, None, 100).await;
    assert_eq!(claims(store.pool(), &place).await.unsigned_abs(), LIMIT);
}

async fn revision(store: &dyn Store, id: u64) -> u64 {
    let RowKey::Membership(host, member) = member_key(id) else {
        panic!("a membership");
    };
    let scope = Scope::of(host, vec![Fact::Membership(member)]);
    let snapshot = store.load(&Load::of(&scope)).await.unwrap();
    snapshot.revision(&member_key(id)).map_or(0, Revision::get)
}

/// In the application's transactions, where nothing is run again: who waits in a circle would fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_commit_is_lost_where_all_change_the_same_rows() {
    const CHANGES: u64 = 5;
    let (store, place) = store(PgOptions::new()).await;
    apply(&store, &claim(1, 1)).await;
    apply(&store, &claim(2, 1)).await;
    let store = Arc::new(store);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut number = 0;
            let mut done = 0;
            while done < CHANGES {
                number += 1;
                let id = 100 + 1_000 * task + number;
                let mut transaction = store.pool().begin().await.unwrap();
                let borrowed = store.transaction(&mut transaction);
                // Both are changed, by every other one in the other order.
                let (first, second) = if task.is_multiple_of(2) {
                    (1, 2)
                } else {
                    (2, 1)
                };
                let at = (
                    revision(&borrowed, first).await,
                    revision(&borrowed, second).await,
                );
                let mut sent = claim_with(id, task, first, at.0);
                let other = claim_with(id, task, second, at.1);
                sent.checks.push(is_at(member_key(second), at.1));
                sent.writes.push(other.writes.last().unwrap().clone());
                match send(&borrowed, &sent).await.unwrap() {
                    Committed::Applied => done += 1,
                    Committed::Conflict { key } => {
                        assert!(key == member_key(1) || key == member_key(2), "{key:?}");
                    }
                    other @ Committed::AlreadyApplied(_) => panic!("{other:?}"),
                }
                transaction.commit().await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    for id in [1, 2] {
        assert_eq!(revision(&*store, id).await, 1 + TASKS * CHANGES);
    }
    settle(store.pool()).await;
    mirror(&store, None, 100).await;
    let all = claims(store.pool(), &place).await.unsigned_abs();
    assert_eq!(all, 2 + TASKS * CHANGES);
}

/// Wherever it fails, at its first write or behind its last.
#[tokio::test]
async fn what_fails_in_its_midst_leaves_nothing() {
    let (store, place) = store(PgOptions::new()).await;
    let mut connection = store.pool().acquire().await.unwrap();
    run(
        &mut connection,
        format!(
            "create function {place}.refuse() returns trigger language plpgsql as $$ \
            begin raise exception 'no' using errcode = 'disk_full'; end $$"
        ),
    )
    .await;
    let tables = [
        "memberships",
        "link_uses",
        "commits",
        "link_tallies",
        "unplaced",
    ];
    for (id, table) in (1..).zip(tables) {
        let on = format!("on {place}.guestlist_{table}");
        run(
            &mut connection,
            format!(
                "create trigger refuse after insert or update {on} for each row \
                execute function {place}.refuse()"
            ),
        )
        .await;
        let error = send(&store, &claim(id, 1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Full(_)), "{table}: {error:?}");
        assert!(!is_whole(&store, &place, id).await, "{table}");
        let mut transaction = store.pool().begin().await.unwrap();
        let borrowed = store.transaction(&mut transaction);
        let error = send(&borrowed, &claim(id, 1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Full(_)), "{table}: {error:?}");
        // As usable as it was.
        assert!(!load(&borrowed, id).await.unwrap());
        transaction.commit().await.unwrap();
        assert!(!is_whole(&store, &place, id).await, "{table}");
        run(&mut connection, format!("drop trigger refuse {on}")).await;
        apply(&store, &claim(id, 1)).await;
        assert!(is_whole(&store, &place, id).await, "{table}");
    }
    let sql = format!("select uses::int8 from {place}.guestlist_link_tallies");
    assert_eq!(number(store.pool(), sql).await, 5);
}

/// A row that another transaction has written and not yet committed when this one looks.
#[tokio::test]
async fn what_was_overtaken_is_looked_at_again() {
    let (store, place) = store(PgOptions::new()).await;
    apply(&store, &claim(1, 1)).await;
    let mut barrier = pool(1).await.acquire().await.unwrap().detach();
    let copied = |columns: &str| {
        format!(
            "insert into {place}.guestlist_memberships select (m).* from (select \
            json_populate_record(m, '{columns}') as m from {place}.guestlist_memberships m \
            where member_id = 'user_1') m"
        )
    };
    // A new row that is there after all.
    run(&mut barrier, "begin".to_owned()).await;
    run(&mut barrier, copied(r#"{"member_id": "user_2"}"#)).await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { send(&store, &claim(2, 1)).await }
    });
    until_one_waits(store.pool()).await;
    run(&mut barrier, "commit".to_owned()).await;
    let key = member_key(2);
    assert_eq!(waiting.await.unwrap().unwrap(), Committed::Conflict { key });

    // A counter, in the application's transaction: there is room behind the first, whoever that was.
    run(&mut barrier, "begin".to_owned()).await;
    run(
        &mut barrier,
        format!(
            "insert into {place}.guestlist_link_tallies select bucket, host, '{}', 1 \
            from {place}.guestlist_link_tallies",
            uuid(7)
        ),
    )
    .await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move {
            let mut transaction = store.pool().begin().await.unwrap();
            let borrowed = store.transaction(&mut transaction);
            let sent = send(&borrowed, &limited(3, 7, 2)).await;
            transaction.commit().await.unwrap();
            sent
        }
    });
    until_one_waits(store.pool()).await;
    run(&mut barrier, "commit".to_owned()).await;
    assert_eq!(waiting.await.unwrap().unwrap(), Committed::Applied);
    let sql = format!(
        "select uses::int8 from {place}.guestlist_link_tallies where link = '{}'",
        uuid(7)
    );
    assert_eq!(number(store.pool(), sql).await, 2);

    // The same commit.
    let mut transaction = barrier.begin().await.unwrap();
    apply(&store.transaction(&mut transaction), &claim(4, 1)).await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { send(&store, &claim(4, 1)).await }
    });
    until_one_waits(store.pool()).await;
    transaction.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), receipt(&claim(4, 1)));
}

#[tokio::test]
async fn a_transaction_that_sees_the_past_is_told_so() {
    let (store, _) = store(PgOptions::new()).await;
    apply(&store, &claim(1, 1)).await;
    let begin = "begin isolation level repeatable read";
    // A new row that it can't see, and a row that has changed since.
    for (id, sent) in [(2, claim(2, 1)), (3, claim_with(9, 1, 1, 1))] {
        let mut transaction = store.pool().begin_with(begin).await.unwrap();
        let borrowed = store.transaction(&mut transaction);
        assert!(load(&borrowed, 1).await.unwrap());
        apply(&store, &claim_with(id, 1, 1, id - 1)).await;
        let error = send(&borrowed, &sent).await.unwrap_err();
        assert_eq!(error.code(), "store-busy", "{error:?}");
        transaction.rollback().await.unwrap();
    }
    // What is counted would be counted as it was.
    let mut counting = claim(10, 2);
    counting.checks.extend([uses(2, 0), seats(0, 3)]);
    let mut transaction = store.pool().begin_with(begin).await.unwrap();
    let error = send(&store.transaction(&mut transaction), &counting).await;
    assert_eq!(error.unwrap_err().code(), "store-misuse");
    transaction.rollback().await.unwrap();
    // And is what it is now otherwise, also where transactions are not `read committed` by default.
    let mut wrong = counting.clone();
    wrong.checks.pop();
    wrong.checks.push(seats(0, 2));
    let key = RowKey::SeatCount(host());
    assert_eq!(
        send(&store, &wrong).await.unwrap(),
        Committed::Conflict { key }
    );
    let by_default = [("default_transaction_isolation", "repeatable read")];
    let pool = common::pool_of(common::connect().options(by_default), 2).await;
    let other = PgStore::open(pool, store.options().clone()).await.unwrap();
    apply(&other, &counting).await;
}

/// All that is in the tables, as text, but for the clock.
async fn rows(pool: &PgPool, place: &str) -> Vec<String> {
    let tables = sqlx::query(
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        where n.nspname = $1 and c.relkind = 'r' and c.relname like 'guestlist\\_%' \
        and c.relname not in ('guestlist_schema', 'guestlist_epoch') order by 1",
    )
    .bind(place)
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(tables.len() > 20, "{}", tables.len());
    let mut all = Vec::new();
    for table in tables {
        let table: String = table.get(0);
        let found = sqlx::query(AssertSqlSafe(format!(
            "select (json_populate_record(t, '{{\"tick\": 1}}'))::text \
            from {place}.{table} t order by 1"
        )))
        .fetch_all(pool)
        .await
        .unwrap();
        all.extend(
            found
                .iter()
                .map(|row| format!("{table} {}", row.get::<String, _>(0))),
        );
    }
    all
}

/// Nothing of what is written is another text, number or null than what the statement writes.
#[tokio::test]
async fn the_function_writes_what_the_statement_writes() {
    let (on_citus, place) = store(PgOptions::new()).await;
    let usual = schema();
    // Events are left without a place there, too.
    let options = PgOptions::new()
        .schema(&usual)
        .mirror_from_log(true)
        .dialect(Dialect::YugabyteDb);
    let elsewhere = PgStore::open(pool(2).await, options).await.unwrap();
    for store in [&on_citus, &elsewhere] {
        for sent in [
            claim(1, 1),
            claim(2, 1),
            claim_with(3, 2, 1, 1),
            claim_with(4, 2, 1, 1),
            claim_with(5, 2, 2, 1),
        ] {
            let _answer = send(store, &sent).await.unwrap();
        }
        let host = host();
        let mut given = claim(6, 1);
        given.writes.push(Write::Give {
            key: RowKey::LinkTally(host.clone(), link(2)),
        });
        given.checks.push(is_at(member_key(2), 2));
        given.writes.push(Write::Delete {
            key: member_key(2),
            before: None,
        });
        given.receipt.as_mut().unwrap().reply = "it's \\ \"a\" 'reply' \u{1f600} $$ %I \n".into();
        apply(store, &given).await;
        assert_eq!(send(store, &given).await.unwrap(), receipt(&given));
    }
    let found = rows(on_citus.pool(), &place).await;
    assert!(found.len() > 15, "{found:#?}");
    assert_eq!(found, rows(elsewhere.pool(), &usual).await);
}

#[tokio::test]
async fn what_can_not_be_kept_is_refused_alike() {
    let (on_citus, _) = store(PgOptions::new()).await;
    let (elsewhere, _) = common::store_in().await;
    for store in [&on_citus, &elsewhere] {
        let mut sent = claim(1, 1);
        sent.receipt.as_mut().unwrap().reply = "no \0".to_owned();
        let error = send(store, &sent).await.unwrap_err();
        assert_eq!(error.code(), "store-malformed-commit", "{error:?}");
        // A row that the schema refuses.
        let mut sent = claim(1, 1);
        for write in &mut sent.writes {
            if let Write::Put { revision, .. } = write {
                *revision = Revision::ABSENT;
            }
        }
        let error = send(store, &sent).await.unwrap_err();
        assert_eq!(error.code(), "store-malformed-commit", "{error:?}");
        assert!(!load(store, 1).await.unwrap());
    }
}

#[tokio::test]
async fn tables_that_the_search_path_finds_are_found_by_the_function() {
    let place = schema();
    let path = [("search_path", place.as_str())];
    let pool = common::pool_of(common::connect().options(path), 2).await;
    let mut connection = pool.acquire().await.unwrap();
    run(&mut connection, format!("create schema {place}")).await;
    let options = PgOptions::new().dialect(Dialect::Citus);
    migrate(&mut connection, &options).await.unwrap();
    drop(connection);
    set_up(&pool, &options, &place).await;
    let store = PgStore::open(pool.clone(), options).await.unwrap();
    apply(&store, &claim(1, 1)).await;
    assert!(is_whole(&store, &place, 1).await);
    // As on a worker, where nobody has set it.
    let mut bare = common::pool(1).await.acquire().await.unwrap().detach();
    let options = PgOptions::new().schema(&place).dialect(Dialect::Citus);
    let mut transaction = bare.begin().await.unwrap();
    let borrowed = PgTransaction::with_options(&mut transaction, &options).unwrap();
    apply(&borrowed, &claim(2, 1)).await;
    transaction.commit().await.unwrap();
    assert!(is_whole(&store, &place, 2).await);
}

#[tokio::test]
async fn a_temporary_table_of_the_same_name_is_not_written_to() {
    let (store, place) = store(PgOptions::new()).await;
    let mut connection = store.pool().acquire().await.unwrap();
    let sql = "create temporary table guestlist_commits (commit_id uuid)";
    run(&mut connection, sql.to_owned()).await;
    let mut transaction = connection.begin().await.unwrap();
    apply(&store.transaction(&mut transaction), &claim(1, 1)).await;
    transaction.commit().await.unwrap();
    assert!(is_whole(&store, &place, 1).await);
}
