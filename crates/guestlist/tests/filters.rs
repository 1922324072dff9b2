//! What somebody may read, as a condition on the host application's own table: the same rows as
//! deciding on each, found by an index.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::{clock, org, over, owner, register, user_member};
use guestlist::{
    Action, ActionSet, Actor, Coverage, Grantee, Guestlist, Key, MemoryStore, Pattern, Preset,
    Rights,
};
use rusqlite::Connection;
use sqlx::{AssertSqlSafe, Row as _};

const DOCUMENTS: u32 = 20_000;

fn document(number: u32) -> String {
    format!("team-{}/folder-{}/{number}", number % 100, number % 7)
}

/// What a member may read, as a condition and as rights.
async fn reader(patterns: &[&str]) -> (Coverage, Rights) {
    let guestlist: Guestlist<MemoryStore> = over(MemoryStore::default(), &clock(), 3);
    register(&guestlist, &["host"]).await;
    let (host, member) = (org("host"), user_member("ann"));
    guestlist
        .add_member(&owner("host"), &host, &member, Preset::default(), None)
        .await
        .unwrap();
    for pattern in patterns {
        let pattern = Pattern::parse(pattern).unwrap();
        let (to, read) = (
            Grantee::Member(member.clone()),
            ActionSet::of(&[Action::Read]),
        );
        guestlist
            .grant(&owner("host"), &host, to, read, pattern, None)
            .await
            .unwrap();
    }
    let ann = Actor::user("ann".parse().unwrap()).in_organization(host);
    let rights = guestlist.rights(&ann, None).await.unwrap();
    (rights.readable(Action::Read), rights)
}

fn readable(rights: &Rights) -> Vec<String> {
    let mut keys: Vec<String> = (0..DOCUMENTS)
        .map(document)
        .filter(|key| rights.allows(Action::Read, &Key::parse(key).unwrap()))
        .collect();
    keys.sort();
    keys
}

const SOME: [&str; 4] = [
    "team-7/",
    "team-12/folder-3/",
    "team-1/folder-0/2501",
    "team-99/folder-1/",
];

#[tokio::test]
async fn sqlite_finds_what_may_be_read_by_an_index() {
    let (coverage, rights) = reader(&SOME).await;
    let database = Connection::open_in_memory().unwrap();
    database
        .execute_batch("create table documents (id integer primary key, key text not null unique)")
        .unwrap();
    for number in 0..DOCUMENTS {
        let insert = "insert into documents (key) values (?1)";
        database.execute(insert, [document(number)]).unwrap();
    }
    let filter = coverage.sql_filter("documents.key").unwrap();
    let texts = |sql: &str, column: usize| -> Vec<String> {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(column)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let sql = format!("select key from documents where {filter} order by key");
    let found = texts(&sql, 0);
    assert_eq!(found, readable(&rights));
    assert!((200..1000).contains(&found.len()), "{}", found.len());
    let plan = texts(&format!("explain query plan {sql}"), 3).join("\n");
    assert!(plan.contains("SEARCH documents USING"), "{plan}");
    assert!(!plan.contains("SCAN documents"), "{plan}");
}

#[tokio::test]
async fn postgresql_finds_what_may_be_read_by_an_index() {
    let (coverage, rights) = reader(&SOME).await;
    let pool = common::pg::pool(1).await;
    let mut connection = pool.acquire().await.unwrap();
    let keys: Vec<String> = (0..DOCUMENTS).map(document).collect();
    sqlx::raw_sql("create temporary table documents (id bigint generated always as identity primary key, key text collate \"C\" not null unique)")
        .execute(&mut *connection)
        .await
        .unwrap();
    sqlx::query("insert into documents (key) select unnest($1::text[])")
        .bind(&keys)
        .execute(&mut *connection)
        .await
        .unwrap();
    sqlx::raw_sql("analyze documents")
        .execute(&mut *connection)
        .await
        .unwrap();
    let filter = coverage.sql_filter("documents.key").unwrap();
    let sql = format!("select key from documents where {filter} order by key");
    let mut texts = async |sql: String| -> Vec<String> {
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    let found = texts(sql.clone()).await;
    assert_eq!(found, readable(&rights));
    let plan = texts(format!("explain {sql}")).await.join("\n");
    assert!(plan.contains("Index"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
}
