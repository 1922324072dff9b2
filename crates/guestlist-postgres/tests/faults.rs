//! A server that is not there, refuses, is another's, or is too slow: a typed error, nothing
//! changed, and a store that works again.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use common::commits::{apply, claim, claims, events, is_at, list, load, member_key, send, uses};
use common::{connect, database, pool, pool_of, schema, store_in};
use guestlist_postgres::{PgOptions, PgStore, PgTransaction, SCHEMA_VERSION, migrate};
use guestlist_store::StoreError;
use guestlist_testkit::postgres::shared;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

/// A pool that connects when it is first used, and waits so long for it.
fn lazy(options: PgConnectOptions, wait: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(wait)
        .test_before_acquire(false)
        .connect_lazy_with(options)
}

fn hasty(options: PgConnectOptions) -> PgPool {
    lazy(options, Duration::from_millis(700))
}

fn patient(options: PgConnectOptions) -> PgPool {
    lazy(options, Duration::from_mins(1))
}

async fn opened(options: PgConnectOptions, schema: &str) -> Result<PgStore, StoreError> {
    PgStore::open(patient(options), PgOptions::new().schema(schema)).await
}

async fn run(pool: &PgPool, sql: impl Into<String>) {
    pool.execute(AssertSqlSafe(sql.into())).await.unwrap();
}

/// A role with the right to connect, and to nothing else.
async fn role(pool: &PgPool, password: Option<&str>) -> String {
    let name = format!("role_{}", schema());
    let password = password.map_or(String::new(), |text| format!("password '{text}'"));
    run(pool, format!("create role {name} login {password}")).await;
    name
}

/// Everything of a schema, as far as the catalog tells.
async fn objects(pool: &PgPool, schema: &str) -> i64 {
    sqlx::query(
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        where n.nspname = $1",
    )
    .bind(schema)
    .fetch_one(pool)
    .await
    .unwrap()
    .get(0)
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    // One that takes connections and says nothing, and then nobody.
    let silent = connect().host("127.0.0.1").port(address.port());
    let error = PgStore::open(hasty(silent.clone()), PgOptions::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "store-unavailable", "{error:?}");
    drop(port);
    let error = PgStore::open(hasty(silent), PgOptions::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "store-unavailable", "{error:?}");
    let error = PgStore::open(hasty(connect().socket("/nowhere")), PgOptions::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "store-unavailable", "{error:?}");
    let error = PgStore::connect("postgres://127.0.0.1:none")
        .await
        .unwrap_err();
    assert_eq!(error.code(), "store-unavailable", "{error:?}");
}

#[tokio::test]
async fn who_may_not_connect_is_denied() {
    let pool = pool(2).await;
    let guarded = role(&pool, Some("right")).await;
    let sealed = role(&pool, None).await;
    let path = shared().socket_dir().join("data/pg_hba.conf");
    let rules = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        format!(
            "host all {guarded} 127.0.0.1/32 scram-sha-256\n\
            hostssl all {sealed} 127.0.0.1/32 trust\nhost all {sealed} 127.0.0.1/32 reject\n{rules}"
        ),
    )
    .unwrap();
    run(&pool, "select pg_reload_conf()").await;
    let name = schema();
    run(
        &pool,
        format!("create schema {name} authorization {guarded}"),
    )
    .await;
    let guarded = connect().username(&guarded);

    // Signals take their time.
    let mut denied = None;
    for _ in 0..2_000 {
        match opened(guarded.clone().password("wrong"), &name).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => {
                denied = Some(error);
                break;
            }
        }
    }
    let denied = denied.unwrap();
    assert_eq!(denied.code(), "store-denied", "{denied:?}");
    let unknown = opened(guarded.clone().password("right").database("nowhere"), &name).await;
    assert_eq!(unknown.unwrap_err().code(), "store-denied");
    let nobody = opened(connect().username("nobody_at_all"), &name).await;
    assert_eq!(nobody.unwrap_err().code(), "store-denied");
    // The server wants TLS, and the client does not.
    let plain = connect().username(&sealed).ssl_mode(PgSslMode::Disable);
    assert_eq!(
        opened(plain, &name).await.unwrap_err().code(),
        "store-denied"
    );
    // The client wants TLS, and the server has none.
    let tls = guarded.clone().ssl_mode(PgSslMode::Require);
    assert_eq!(
        opened(tls, &name).await.unwrap_err().code(),
        "store-unavailable"
    );
    let store = opened(guarded.password("right"), &name).await.unwrap();
    apply(&store, &claim(1, 1)).await;
    fs::write(&path, rules).unwrap();
    run(&pool, "select pg_reload_conf()").await;
}

#[tokio::test]
async fn missing_privileges_are_denied() {
    let pool = pool(2).await;
    let role = role(&pool, None).await;
    let options = connect().username(&role);
    let name = schema();
    // It may not make a schema, nor look into one, nor make tables in it.
    for grant in [
        "select 1".to_owned(),
        format!("create schema {name}"),
        format!("grant usage on schema {name} to {role}"),
    ] {
        run(&pool, grant).await;
        let error = opened(options.clone(), &name).await.unwrap_err();
        assert_eq!(error.code(), "store-denied", "{error:?}");
        assert_eq!(objects(&pool, &name).await, 0);
    }
    // Tables where the search path finds them: also not.
    let error = PgStore::open(patient(options.clone()), PgOptions::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "store-denied", "{error:?}");

    let owner = PgStore::open(pool.clone(), PgOptions::new().schema(&name))
        .await
        .unwrap();
    apply(&owner, &claim(1, 1)).await;
    // Not even reading.
    let error = opened(options.clone(), &name).await.unwrap_err();
    assert_eq!(error.code(), "store-denied", "{error:?}");
    run(
        &pool,
        format!("grant select on all tables in schema {name} to {role}"),
    )
    .await;
    let reader = PgStore::open(
        patient(options.clone()),
        PgOptions::new().schema(&name).migrate(false),
    )
    .await
    .unwrap();
    assert!(load(&reader, 1).await.unwrap());
    let error = send(&reader, &claim(2, 1)).await.unwrap_err();
    assert_eq!(error.code(), "store-denied", "{error:?}");
    assert_eq!(claims(&pool, &name).await, 1);
    assert_eq!(list(&reader).await.unwrap(), 1);
    run(
        &pool,
        format!("grant insert, update, delete on all tables in schema {name} to {role}"),
    )
    .await;
    // What may be written was not known before it was asked for again.
    apply(&reader, &claim(2, 1)).await;
    // With nothing to do, migrating needs no privilege either.
    let writer = opened(options, &name).await.unwrap();
    apply(&writer, &claim(3, 1)).await;
    assert_eq!(claims(&pool, &name).await, 3);
}

#[tokio::test]
async fn tables_that_are_not_ours_are_left_alone() {
    let pool = pool(2).await;
    let mut connection = pool.acquire().await.unwrap();
    for other in [
        "guestlist_links (url text)",
        "guestlist_schema (applied_on date)",
        "guestlist_schema (version text, checksum text); insert into guestlist_schema values ('9', '')",
        "guestlist_schema (version bigint, checksum bigint); insert into guestlist_schema values (1, 1)",
        "guestlist_schema (version bigint, checksum bigint); insert into guestlist_schema values (0, 0), (99, 1)",
    ] {
        let name = schema();
        run(
            &pool,
            format!(
                "create schema {name}; set search_path = {name}; create table {other}; reset search_path"
            ),
        )
        .await;
        let before = objects(&pool, &name).await;
        let options = PgOptions::new().schema(&name);
        let error = migrate(&mut connection, &options).await.unwrap_err();
        let expected = if other.contains("(99, 1)") {
            "store-newer-schema"
        } else {
            "store-foreign"
        };
        assert_eq!(error.code(), expected, "{other}: {error:?}");
        for migrate in [true, false] {
            let error = PgStore::open(pool.clone(), options.clone().migrate(migrate))
                .await
                .unwrap_err();
            assert_eq!(error.code(), expected, "{other}: {error:?}");
        }
        assert_eq!(objects(&pool, &name).await, before);
    }
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let (store, name) = store_in().await;
    apply(&store, &claim(1, 1)).await;
    let newer = SCHEMA_VERSION + 1;
    run(
        store.pool(),
        format!("insert into {name}.guestlist_schema values ({newer}, 7)"),
    )
    .await;
    for migrate in [true, false] {
        let options = PgOptions::new().schema(&name).migrate(migrate);
        let error = PgStore::open(store.pool().clone(), options)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::NewerSchema { found, known: SCHEMA_VERSION } if found == newer
            ),
            "{error:?}"
        );
    }
    assert_eq!(claims(store.pool(), &name).await, 1);
    run(
        store.pool(),
        format!("delete from {name}.guestlist_schema where version = {newer}"),
    )
    .await;
    let again = PgStore::open(store.pool().clone(), PgOptions::new().schema(&name))
        .await
        .unwrap();
    apply(&again, &claim(2, 1)).await;
}

#[tokio::test]
async fn missing_tables_are_misuse_if_they_may_not_be_made() {
    let pool = pool(2).await;
    let name = schema();
    let options = PgOptions::new().schema(&name).migrate(false);
    for made in [false, true] {
        if made {
            run(&pool, format!("create schema {name}")).await;
        }
        let error = PgStore::open(pool.clone(), options.clone())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "store-misuse", "{error:?}");
        assert_eq!(objects(&pool, &name).await, 0);
    }
    // Without a store, nobody has looked before.
    let mut transaction = pool.begin().await.unwrap();
    let borrowed = PgTransaction::with_options(&mut transaction, &options).unwrap();
    let error = send(&borrowed, &claim(1, 1)).await.unwrap_err();
    assert_eq!(error.code(), "store-foreign", "{error:?}");
    drop(transaction);
    migrate(&mut pool.acquire().await.unwrap(), &options)
        .await
        .unwrap();
    let store = PgStore::open(pool, options).await.unwrap();
    apply(&store, &claim(1, 1)).await;
}

#[tokio::test]
async fn a_database_in_another_encoding_is_foreign() {
    let pool = pool(1).await;
    let name = format!("{}_ascii", database().name());
    run(
        &pool,
        format!("create database {name} encoding 'SQL_ASCII' template template0"),
    )
    .await;
    let other = patient(connect().database(&name));
    let mut connection = other.acquire().await.unwrap();
    let error = migrate(&mut connection, &PgOptions::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "store-foreign", "{error:?}");
    drop(connection);
    assert_eq!(objects(&other, "public").await, 0);
    other.close().await;
    run(&pool, format!("drop database {name} with (force)")).await;
}

#[tokio::test]
async fn an_exhausted_pool_is_unavailable_in_time() {
    let (store, name) = store_in().await;
    for options in [
        PgOptions::new().schema(&name),
        PgOptions::new().schema(&name).flush_together(false),
    ] {
        let before = claims(store.pool(), &name).await;
        let small = PgStore::open(hasty(connect()), options).await.unwrap();
        let held = small.pool().acquire().await.unwrap();
        let sent = claim(before.unsigned_abs() + 1, 1);
        let error = send(&small, &sent).await.unwrap_err();
        assert_eq!(error.code(), "store-unavailable", "{error:?}");
        for error in [
            load(&small, 1).await.unwrap_err(),
            list(&small).await.unwrap_err(),
            events(&small).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), "store-unavailable", "{error:?}");
        }
        assert_eq!(claims(store.pool(), &name).await, before);
        drop(held);
        apply(&small, &sent).await;
        small.pool().close().await;
        let error = send(&small, &sent).await.unwrap_err();
        assert_eq!(error.code(), "store-unavailable", "{error:?}");
    }
}

#[tokio::test]
async fn a_timeout_changes_nothing() {
    let (store, name) = store_in().await;
    apply(&store, &claim(1, 1)).await;
    let hold = format!("select 1 from {name}.guestlist_memberships for update");
    for (id, setting) in (2..).zip(["statement_timeout", "lock_timeout"]) {
        let impatient = PgStore::open(
            pool_of(connect().options([(setting, "100ms")]), 2).await,
            PgOptions::new().schema(&name),
        )
        .await
        .unwrap();
        let mut barrier = store.pool().begin().await.unwrap();
        barrier.execute(AssertSqlSafe(hold.clone())).await.unwrap();
        let mut sent = claim(id, 1);
        sent.checks.push(is_at(member_key(1), 1));
        let mut counting = claim(id + 10, id + 10);
        counting.checks.push(uses(id + 10, 0));
        counting.checks.push(is_at(member_key(1), 1));
        for sent in [&sent, &counting] {
            let error = send(&impatient, sent).await.unwrap_err();
            assert_eq!(error.code(), "store-busy", "{error:?}");
            let mut transaction = impatient.pool().begin().await.unwrap();
            let borrowed = impatient.transaction(&mut transaction);
            let error = send(&borrowed, sent).await.unwrap_err();
            assert_eq!(error.code(), "store-busy", "{error:?}");
            // As usable as it was.
            assert!(load(&borrowed, 1).await.unwrap());
            transaction.commit().await.unwrap();
        }
        assert_eq!(
            claims(store.pool(), &name).await,
            1 + 2 * i64::try_from(id - 2).unwrap()
        );
        barrier.rollback().await.unwrap();
        for sent in [&sent, &counting] {
            apply(&impatient, sent).await;
        }
    }
}

#[tokio::test]
async fn what_may_only_be_read_is_read_only() {
    let (store, name) = store_in().await;
    apply(&store, &claim(1, 1)).await;
    let options = connect().options([("default_transaction_read_only", "on")]);
    let reader = PgStore::open(pool_of(options, 2).await, PgOptions::new().schema(&name))
        .await
        .unwrap();
    assert!(load(&reader, 1).await.unwrap());
    assert_eq!(list(&reader).await.unwrap(), 1);
    events(&reader).await.unwrap();
    let mut counting = claim(2, 7);
    counting.checks.push(uses(7, 0));
    for sent in [&claim(2, 1), &counting] {
        let error = send(&reader, sent).await.unwrap_err();
        assert_eq!(error.code(), "store-read-only", "{error:?}");
        let mut transaction = store.pool().begin_with("begin read only").await.unwrap();
        let borrowed = store.transaction(&mut transaction);
        let error = send(&borrowed, sent).await.unwrap_err();
        assert_eq!(error.code(), "store-read-only", "{error:?}");
        assert!(load(&borrowed, 1).await.unwrap());
        transaction.commit().await.unwrap();
    }
    let error = PgStore::open(reader.pool().clone(), PgOptions::new().schema(schema()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "store-read-only", "{error:?}");
    assert_eq!(claims(store.pool(), &name).await, 1);
    apply(&store, &claim(2, 1)).await;
}

#[tokio::test]
async fn names_that_postgresql_does_not_take_are_misuse() {
    let pool = pool(1).await;
    let mut connection = pool.acquire().await.unwrap();
    let long = "é".repeat(32);
    for options in [
        PgOptions::new().schema(""),
        PgOptions::new().schema(&long),
        PgOptions::new().schema("a\0b"),
        PgOptions::new().migrations_table(""),
        PgOptions::new().migrations_table("x".repeat(64)),
        PgOptions::new().partitions(17),
    ] {
        let error = migrate(&mut connection, &options).await.unwrap_err();
        assert_eq!(error.code(), "store-misuse", "{options:?}: {error:?}");
        let mut transaction = connection.begin().await.unwrap();
        let error = PgTransaction::with_options(&mut transaction, &options).unwrap_err();
        assert_eq!(error.code(), "store-misuse", "{options:?}: {error:?}");
    }
    drop(connection);
    // As long as it may be, and in need of quotes.
    for name in [format!("{}x", "é".repeat(31)), "a \"b\".c'; --".to_owned()] {
        let options = PgOptions::new().schema(&name).migrations_table(&name);
        let store = PgStore::open(pool.clone(), options).await.unwrap();
        apply(&store, &claim(1, 1)).await;
    }
}

#[tokio::test]
async fn a_call_outside_of_a_transaction_is_misuse() {
    let (store, _) = store_in().await;
    let mut connection = store.pool().acquire().await.unwrap();
    let borrowed = store.transaction(&mut connection);
    let error = send(&borrowed, &claim(1, 1)).await.unwrap_err();
    assert_eq!(error.code(), "store-misuse", "{error:?}");
    drop(connection);
    // A transaction that has failed before.
    let mut transaction = store.pool().begin().await.unwrap();
    transaction.execute("select 1 / 0").await.unwrap_err();
    let borrowed = store.transaction(&mut transaction);
    let error = send(&borrowed, &claim(1, 1)).await.unwrap_err();
    assert_eq!(error.code(), "store-misuse", "{error:?}");
    let error = load(&borrowed, 1).await.unwrap_err();
    assert_eq!(error.code(), "store-misuse", "{error:?}");
    drop(transaction);
    apply(&store, &claim(1, 1)).await;
}
