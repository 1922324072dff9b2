//! Serialization failures, deadlocks, errors at any write, and callers that go away.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use common::commits::{
    apply, claim, claim_with, claims, events, is_at, is_there, list, load, member_key, receipt,
    seats, send, uses, uuid,
};
use common::{connect, pool_of, rounds, store_in, until};
use guestlist_membership::RowKey;
use guestlist_postgres::{PgOptions, PgStore};
use guestlist_store::{Check, Commit, Committed, StoreError};
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

async fn run(pool: &PgPool, sql: impl Into<String>) {
    pool.execute(AssertSqlSafe(sql.into())).await.unwrap();
}

/// Another process over the same schema, with settings of its own.
async fn another(schema: &str, options: PgConnectOptions) -> PgStore {
    PgStore::open(pool_of(options, 4).await, PgOptions::new().schema(schema))
        .await
        .unwrap()
}

fn code_of(error: &StoreError) -> String {
    let source = std::error::Error::source(error).unwrap();
    let error = source.downcast_ref::<sqlx::Error>().unwrap();
    error
        .as_database_error()
        .unwrap()
        .code()
        .unwrap()
        .into_owned()
}

/// Where a commit waits for somebody else, as SQL that makes it wait there.
const POINTS: [(&str, &str); 3] = [
    (
        "a row that it relies on",
        "update @.guestlist_memberships set updated_at = updated_at + 1 where member_id = 'user_2'",
    ),
    (
        "a counter",
        "update @.guestlist_link_tallies set uses = uses where link = '$'",
    ),
    // Of a transaction that is rolled back, so that it is new after all.
    (
        "a row that has to be new",
        "insert into @.guestlist_link_uses (bucket, host, link, member_kind, member_id, revision, generation, state, at, body) select bucket, host, '$', member_kind, '&', 1, generation, state, at, body from @.guestlist_link_uses where member_id = 'user_1'",
    ),
];

fn at(point: &str, schema: &str, link: u64, member: u64) -> String {
    point
        .replace('@', schema)
        .replace('$', &uuid(link))
        .replace('&', &format!("user_{member}"))
}

/// Relies on the memberships of users 1 and 2, in this order.
fn relying(id: u64, link: u64, counting: bool) -> Commit {
    let mut sent = claim(id, link);
    sent.checks
        .extend([is_at(member_key(1), 1), is_at(member_key(2), 1)]);
    if counting {
        sent.checks.push(uses(link, 0));
    }
    sent
}

/// Two members, and the counters of links that are used later.
async fn prepared() -> (PgStore, String) {
    let (store, name) = store_in().await;
    for id in [1, 2] {
        apply(&store, &claim(id, 1)).await;
    }
    (store, name)
}

async fn with_counter(pool: &PgPool, schema: &str, link: u64) {
    run(
        pool,
        at(
            "insert into @.guestlist_link_tallies select bucket, host, '$', 0 from \
            @.guestlist_link_tallies limit 1",
            schema,
            link,
            0,
        ),
    )
    .await;
}

const IS_WAITING: &str = "select exists (select 1 from pg_stat_activity where application_name = '$' and wait_event_type = 'Lock')";

#[tokio::test]
async fn a_deadlock_is_broken_wherever_it_comes() {
    let (store, name) = prepared().await;
    let waiting = IS_WAITING.replace('$', &name);
    // It looks for deadlocks soon, and the other one does not: so it is the one that gives way.
    let options = connect()
        .application_name(&name)
        .options([("deadlock_timeout", "250ms")]);
    let hurried = another(&name, options).await;
    let mut next = 100;
    let mut expected = 2;
    for (point, hold) in POINTS {
        for form in ["one", "counting", "borrowed"] {
            let mut gave_way = false;
            for _ in 0..10 {
                next += 1;
                let sent = relying(next, next, form == "counting");
                with_counter(store.pool(), &name, next).await;
                let mut barrier = store.pool().begin().await.unwrap();
                barrier
                    .execute("set local deadlock_timeout = '1min'; set local lock_timeout = '5s'")
                    .await
                    .unwrap();
                barrier
                    .execute(AssertSqlSafe(at(hold, &name, next, next)))
                    .await
                    .unwrap();
                let committing = tokio::spawn({
                    let (hurried, sent) = (hurried.clone(), sent.clone());
                    async move {
                        if form != "borrowed" {
                            return send(&hurried, &sent).await;
                        }
                        let mut transaction = hurried.pool().begin().await.unwrap();
                        let done = send(&hurried.transaction(&mut transaction), &sent).await;
                        // Usable as before: what is undone holds no locks.
                        assert!(
                            load(&hurried.transaction(&mut transaction), 1)
                                .await
                                .unwrap()
                        );
                        transaction.commit().await.unwrap();
                        done
                    }
                });
                until(store.pool(), &waiting).await;
                let crossed = barrier
                    .execute(AssertSqlSafe(format!(
                        "select 1 from {name}.guestlist_memberships where member_id = 'user_1' for update"
                    )))
                    .await;
                gave_way = crossed.is_ok();
                barrier.rollback().await.unwrap();
                let done = committing.await.unwrap();
                match done {
                    Ok(done) => {
                        assert_eq!(done, Committed::Applied, "{point}, {form}");
                        assert!(form != "borrowed" || !gave_way);
                    }
                    Err(error) => {
                        assert_eq!(form, "borrowed", "{point}: {error:?}");
                        assert!(matches!(error, StoreError::Retryable(_)), "{error:?}");
                        assert_eq!(code_of(&error), "40P01");
                        assert!(!is_there(store.pool(), &name, next).await);
                        apply(&store, &sent).await;
                    }
                }
                expected += 1;
                assert_eq!(claims(store.pool(), &name).await, expected);
                if gave_way {
                    break;
                }
            }
            assert!(gave_way, "{point}, {form}: never the one that gave way");
        }
    }
}

#[tokio::test]
async fn a_serialization_failure_is_retried_or_passed_up() {
    let (store, name) = prepared().await;
    let waiting = IS_WAITING.replace('$', &name);
    let mut next = 100;
    let mut expected = 2;
    for isolation in ["repeatable read", "serializable"] {
        let options = connect()
            .application_name(&name)
            .options([("default_transaction_isolation", isolation)]);
        let strict = another(&name, options).await;
        for (point, change) in POINTS {
            for form in ["one", "counting"] {
                next += 1;
                let sent = relying(next, next, form == "counting");
                with_counter(store.pool(), &name, next).await;
                let mut barrier = store.pool().begin().await.unwrap();
                barrier
                    .execute(AssertSqlSafe(at(change, &name, next, next)))
                    .await
                    .unwrap();
                let committing = tokio::spawn({
                    let (strict, sent) = (strict.clone(), sent.clone());
                    async move { send(&strict, &sent).await }
                });
                until(store.pool(), &waiting).await;
                if change.starts_with("insert") {
                    barrier.rollback().await.unwrap();
                } else {
                    barrier.commit().await.unwrap();
                }
                let done = committing.await.unwrap().unwrap();
                assert_eq!(done, Committed::Applied, "{point}, {form}, {isolation}");
                expected += 1;
                assert_eq!(claims(store.pool(), &name).await, expected);
            }
            // In a transaction that has looked before.
            next += 1;
            let sent = relying(next, next, false);
            with_counter(store.pool(), &name, next).await;
            let mut transaction = strict.pool().begin().await.unwrap();
            assert!(
                load(&strict.transaction(&mut transaction), 1)
                    .await
                    .unwrap()
            );
            run(store.pool(), at(change, &name, next, next)).await;
            let borrowed = strict.transaction(&mut transaction);
            let error = send(&borrowed, &sent).await.unwrap_err();
            assert!(
                matches!(error, StoreError::Retryable(_)),
                "{point}: {error:?}"
            );
            // A row that it can't see is told by its key.
            let code = code_of(&error);
            assert!(
                code == "40001" || (code == "23505" && change.starts_with("insert")),
                "{point}: {code}"
            );
            // Reading sees what it saw.
            assert!(load(&borrowed, 1).await.unwrap());
            assert_eq!(
                i64::try_from(list(&borrowed).await.unwrap()).unwrap(),
                expected
            );
            events(&borrowed).await.unwrap();
            transaction.commit().await.unwrap();
            assert!(!is_there_but_for_the_use(store.pool(), &name, next).await);
            let sql = "delete from @.guestlist_link_uses where link = '$'";
            run(store.pool(), at(sql, &name, next, next)).await;
            apply(&store, &sent).await;
            expected += 1;
            assert_eq!(claims(store.pool(), &name).await, expected);
        }
    }
}

async fn is_there_but_for_the_use(pool: &PgPool, schema: &str, id: u64) -> bool {
    let sql = format!("select 1 from {schema}.guestlist_memberships where member_id = 'user_{id}'");
    let found = sqlx::query(AssertSqlSafe(sql)).fetch_optional(pool).await;
    found.unwrap().is_some()
}

/// A row that has to be new is written by another one that is faster: a conflict, however the
/// commit is applied.
#[tokio::test]
async fn who_is_overtaken_is_told_of_the_conflict() {
    let (store, name) = prepared().await;
    let hurried = another(&name, connect().application_name(&name)).await;
    let waiting = IS_WAITING.replace('$', &name);
    let mut expected = 2;
    for form in ["one", "counting", "borrowed"] {
        let id = 100 + u64::try_from(expected).unwrap();
        let mut transaction = store.pool().begin().await.unwrap();
        let mut faster = claim(id, id);
        faster.id = guestlist_types::CommitId::from_bytes(common::commits::bytes(id + 1_000));
        apply(&store.transaction(&mut transaction), &faster).await;
        let committing = tokio::spawn({
            let hurried = hurried.clone();
            let mut sent = claim(id, id + 1_000);
            if form == "counting" {
                sent.checks.push(uses(id + 1_000, 0));
            }
            async move {
                if form != "borrowed" {
                    return send(&hurried, &sent).await;
                }
                let mut transaction = hurried.pool().begin().await.unwrap();
                let done = send(&hurried.transaction(&mut transaction), &sent).await;
                transaction.commit().await.unwrap();
                done
            }
        });
        until(store.pool(), &waiting).await;
        transaction.commit().await.unwrap();
        let done = committing.await.unwrap().unwrap();
        assert_eq!(
            done,
            Committed::Conflict {
                key: RowKey::Membership(common::commits::host(), common::commits::user(id))
            },
            "{form}"
        );
        expected += 1;
        assert_eq!(claims(store.pool(), &name).await, expected);
    }
}

/// A list that has a row before its membership is there, and a commit that was applied before: what
/// nobody looks for until a key says so.
#[tokio::test]
async fn what_is_taken_for_granted_is_looked_for_when_it_is_not_so() {
    let (store, name) = prepared().await;
    for (form, id) in [("one", 201), ("borrowed", 202)] {
        let member = format!("user_{id}");
        let bucket = guestlist_types::Bucket::of_bytes(member.as_bytes()).get();
        let sql = format!(
            "insert into {name}.guestlist_joined (member_bucket, member_kind, member_id, host, revision, body) \
             select {bucket}, member_kind, '{member}', host, revision, body \
             from {name}.guestlist_joined where member_id = 'user_1'"
        );
        run(store.pool(), sql).await;
        let sent = claim(id, id);
        if form == "one" {
            apply(&store, &sent).await;
            assert_eq!(send(&store, &sent).await.unwrap(), receipt(&sent));
        } else {
            let mut transaction = store.pool().begin().await.unwrap();
            let borrowed = store.transaction(&mut transaction);
            apply(&borrowed, &sent).await;
            assert_eq!(send(&borrowed, &sent).await.unwrap(), receipt(&sent));
            transaction.commit().await.unwrap();
        }
        assert!(is_there(store.pool(), &name, id).await, "{form}");
    }
    // Nothing is checked, so that only the receipt tells.
    let mut blind = claim(203, 203);
    blind.checks.clear();
    apply(&store, &blind).await;
    assert_eq!(send(&store, &blind).await.unwrap(), receipt(&blind));
}

/// An error at any table that is written.
#[tokio::test]
async fn an_error_at_any_write_leaves_nothing() {
    const TABLES: [&str; 6] = [
        "memberships",
        "joined",
        "link_uses",
        "link_tallies",
        "commits",
        "events",
    ];
    let (store, name) = prepared().await;
    run(
        store.pool(),
        format!(
            "create sequence {name}.faults; \
            create function {name}.fault() returns trigger language plpgsql as $$ begin \
            if nextval('{name}.faults') <= tg_argv[1]::int8 then \
            raise exception 'injected' using errcode = tg_argv[0]; end if; return new; end $$"
        ),
    )
    .await;
    let count = async || -> i64 {
        let sql = format!("select last_value from {name}.faults");
        let row = sqlx::query(AssertSqlSafe(sql))
            .fetch_one(store.pool())
            .await;
        row.unwrap().get(0)
    };
    let mut next = 100;
    let mut expected = 2;
    for table in TABLES {
        for (code, expected_code) in [
            ("40001", "store-busy"),
            ("40P01", "store-busy"),
            ("55P03", "store-busy"),
            ("57014", "store-busy"),
            ("53200", "store-busy"),
            ("53100", "store-full"),
            ("23514", "store-malformed-commit"),
            ("0A000", "store-failed"),
        ] {
            let is_retried = code.starts_with("40");
            for form in ["one", "counting", "borrowed"] {
                next += 1;
                let sent = relying(next, next, form == "counting");
                let inject = async |times: u32| {
                    let sql = format!(
                        "drop trigger if exists fault on {name}.guestlist_{table}; \
                        select setval('{name}.faults', 1, false); \
                        create trigger fault before insert or update on {name}.guestlist_{table} \
                        for each row execute function {name}.fault('{code}', '{times}')"
                    );
                    run(store.pool(), sql).await;
                };
                inject(1_000).await;
                let error = if form == "borrowed" {
                    let mut transaction = store.pool().begin().await.unwrap();
                    let borrowed = store.transaction(&mut transaction);
                    let error = send(&borrowed, &sent).await.unwrap_err();
                    assert_eq!(count().await, 1, "it is not for us to retry");
                    assert!(load(&borrowed, 1).await.unwrap());
                    transaction.commit().await.unwrap();
                    error
                } else {
                    let error = send(&store, &sent).await.unwrap_err();
                    assert_eq!(count().await, if is_retried { 16 } else { 1 }, "{code}");
                    error
                };
                assert_eq!(
                    error.code(),
                    expected_code,
                    "{table} {code} {form}: {error:?}"
                );
                assert!(!is_there(store.pool(), &name, next).await);
                assert_eq!(claims(store.pool(), &name).await, expected);
                if is_retried && form != "borrowed" {
                    inject(3).await;
                    apply(&store, &sent).await;
                }
                run(
                    store.pool(),
                    format!("drop trigger fault on {name}.guestlist_{table}"),
                )
                .await;
                let done = send(&store, &sent).await.unwrap();
                let already = is_retried && form != "borrowed";
                assert_eq!(
                    done,
                    if already {
                        receipt(&sent)
                    } else {
                        Committed::Applied
                    }
                );
                expected += 1;
                assert_eq!(claims(store.pool(), &name).await, expected);
            }
        }
    }
}

#[tokio::test]
async fn what_is_counted_is_refused_where_it_would_be_counted_as_it_was() {
    let (store, name) = prepared().await;
    let checks: [fn(u64) -> Check; 2] = [|_| uses(1, 2), |_| seats(0, 2)];
    for isolation in ["repeatable read", "serializable"] {
        for check in checks {
            let mut sent = claim(3, 1);
            sent.checks.push(check(1));
            let mut transaction = store
                .pool()
                .begin_with(AssertSqlSafe(format!("begin isolation level {isolation}")))
                .await
                .unwrap();
            let borrowed = store.transaction(&mut transaction);
            let error = send(&borrowed, &sent).await.unwrap_err();
            assert!(matches!(error, StoreError::Misuse { .. }), "{error:?}");
            // What is not counted works there, also after it.
            apply(&borrowed, &claim_with(4, 1, 1, 1)).await;
            transaction.rollback().await.unwrap();
            assert_eq!(claims(store.pool(), &name).await, 2);
        }
    }
    // In a pool whose transactions are so by default, the store's own ones are not.
    let options = connect().options([("default_transaction_isolation", "serializable")]);
    let strict = another(&name, options).await;
    for (id, isolation) in (3..).zip(["read committed", "read uncommitted"]) {
        let mut sent = claim(id * 10, 1);
        sent.checks
            .extend([uses(1, 2 * id - 4), seats(0, 2 * id - 4)]);
        apply(&strict, &sent).await;
        let mut sent = claim(id * 10 + 1, 1);
        sent.checks
            .extend([uses(1, 2 * id - 3), seats(0, 2 * id - 3)]);
        let mut transaction = store
            .pool()
            .begin_with(AssertSqlSafe(format!("begin isolation level {isolation}")))
            .await
            .unwrap();
        apply(&store.transaction(&mut transaction), &sent).await;
        transaction.commit().await.unwrap();
    }
    assert_eq!(claims(store.pool(), &name).await, 6);
}

/// What comes of a future that is polled so often at most, and then dropped.
async fn polled<T>(times: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

const MOST_POLLS: u64 = 500;

#[tokio::test]
async fn a_caller_that_goes_away_leaves_all_or_nothing() {
    let (_, name) = prepared().await;
    let mut next = 100;
    for together in [true, false] {
        for counting in [false, true] {
            for _ in 0..rounds(3) {
                // With connections that nothing was prepared on.
                let options = PgOptions::new().schema(&name).flush_together(together);
                let store = PgStore::open(pool_of(connect(), 2).await, options)
                    .await
                    .unwrap();
                for times in 1..MOST_POLLS {
                    next += 1;
                    let sent = relying(next, next, counting);
                    let done = polled(times, send(&store, &sent)).await;
                    is_there(store.pool(), &name, next).await;
                    let again = send(&store, &sent).await.unwrap();
                    match &done {
                        Some(done) => {
                            assert_eq!(*done.as_ref().unwrap(), Committed::Applied);
                            assert_eq!(again, receipt(&sent));
                        }
                        None => assert!(again == Committed::Applied || again == receipt(&sent)),
                    }
                    assert_eq!(send(&store, &sent).await.unwrap(), receipt(&sent));
                    if done.is_some() {
                        break;
                    }
                }
                let total = claims(store.pool(), &name).await;
                assert_eq!(total, i64::try_from(next - 100 + 2).unwrap());
                store.pool().close().await;
            }
        }
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_from_a_transaction_leaves_it_to_its_owner() {
    let (store, name) = prepared().await;
    let mut next = 100;
    let mut expected = 2;
    for keep in [false, true] {
        for counting in [false, true] {
            let mut ended = false;
            for times in 1..MOST_POLLS {
                next += 1;
                let sent = relying(next, next, counting);
                // A new connection, so that statements are prepared, too.
                let pool = pool_of(connect(), 1).await;
                let mut transaction = pool.begin().await.unwrap();
                let borrowed = store.transaction(&mut transaction);
                let done = polled(times, send(&borrowed, &sent)).await;
                ended = done.is_some();
                // It goes on, whatever it has come to.
                assert!(load(&borrowed, 1).await.unwrap());
                if keep {
                    transaction.commit().await.unwrap();
                } else {
                    transaction.rollback().await.unwrap();
                }
                pool.close().await;
                let applied = is_there(store.pool(), &name, next).await;
                assert!(keep || !applied);
                assert!(!keep || !ended || applied);
                let again = send(&store, &sent).await.unwrap();
                assert_eq!(
                    again,
                    if applied {
                        receipt(&sent)
                    } else {
                        Committed::Applied
                    }
                );
                expected += 1;
                assert_eq!(claims(store.pool(), &name).await, expected);
                if ended {
                    // How often it waits is for the machine to say.
                    assert!(times > 1, "it was never interrupted inside: {times}");
                    break;
                }
            }
            assert!(ended);
        }
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_leaves_the_pool_usable() {
    let (store, name) = prepared().await;
    let mut interrupted = false;
    for read in ["load", "list", "events"] {
        for round in 0..rounds(2) {
            let options = connect().application_name(&name);
            let reader = PgStore::open(pool_of(options, 1).await, PgOptions::new().schema(&name))
                .await
                .unwrap();
            let mut ended = false;
            for times in 1..MOST_POLLS {
                // In the first round each on a connection of its own.
                if round == 0 {
                    let connection = reader.pool().acquire().await.unwrap();
                    connection.close().await.unwrap();
                }
                let once = async || -> Result<bool, StoreError> {
                    match read {
                        "load" => load(&reader, 1).await,
                        "list" => Ok(list(&reader).await? == 2),
                        // The log may be late.
                        _ => Ok(events(&reader).await? <= 2),
                    }
                };
                ended = polled(times, once()).await.is_some();
                let read = tokio::time::timeout(Duration::from_secs(30), once()).await;
                assert!(read.unwrap().unwrap());
                if ended {
                    interrupted |= times > 1;
                    break;
                }
            }
            assert!(ended);
            // No connection was lost to it.
            assert!(reader.pool().size() <= 1);
        }
    }
    assert_eq!(claims(store.pool(), &name).await, 2);
    assert!(interrupted);
}
