//! The schema alone refuses bad rows: raw SQL attempts fail.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use common::{runtime, schema};
use guestlist_postgres::{Dialect, PgOptions, PgStore, citus_statements};
use sqlx::{AssertSqlSafe, Row as _};

const ID: &str = "'01020304-0506-0708-090a-0b0c0d0e0f10'";
const OTHER: &str = "'01020304-0506-0708-090a-0b0c0d0e0f11'";

/// A good row of each table, as `column = SQL literal`, comma by comma; `@` is an id.
const GOOD: &[(&str, &str)] = &[
    (
        "names",
        "bucket=0, name='acme', organization='org_1', organization_bucket=1, revision=1, body='{}'",
    ),
    (
        "organizations",
        "bucket=3843, host='org_1', name='acme', status='active', default_link=null, discoverable=true, created_at=1, updated_at=1, revision=1, body='{}'",
    ),
    ("owners", "bucket=1, host='org_1', revision=1, body='[]'"),
    ("seat_tallies", "bucket=1, host='org_1', taken=0"),
    (
        "access_heads",
        "bucket=1, host='org_1', external_group=null, revision=1, body='{}'",
    ),
    (
        "links",
        "bucket=1, host='org_1', link=@, status='active', generation=1, token=5, tokens='{5}', creator='ada', expires_at=null, expired_at=null, created_at=1, updated_at=1, deleted_at=null, revision=1, body='{}'",
    ),
    ("link_tallies", "bucket=1, host='org_1', link=@, uses=0"),
    (
        "preview_tallies",
        "bucket=1, host='org_1', link=@, generation=1, previews=0",
    ),
    (
        "link_uses",
        "bucket=1, host='org_1', link=@, member_kind='org', member_id='org_2', generation=1, state='settled', at=1, revision=1, body='{}'",
    ),
    (
        "tokens",
        "bucket=1, selector=218340105584896, host='org_1', subject_kind='invite', subject=@, generation=1, issued_at=1, valid_until=null, pepper=1, revision=1, body='{}'",
    ),
    (
        "memberships",
        "bucket=1, host='org_1', member_kind='org', member_id='org_2', status='approved', episode=1, door_link=@, door_generation=1, door_invite=null, role=null, email=null, opened_at=1, approved_at=1, expires_at=null, ended_cause=null, ended_at=null, proxy_id=@, proxy_name='two', updated_at=1, revision=1, body='{}'",
    ),
    (
        "joined",
        "member_bucket=1, member_kind='org', member_id='org_2', host='org_1', revision=1, body='{}'",
    ),
    (
        "acting",
        "bucket=1, host='org_1', target='org_2', revision=1, body='{}'",
    ),
    (
        "groups",
        "bucket=1, host='org_1', group_id=@, name='Design', internal=false, created_at=1, revision=1, body='{}'",
    ),
    (
        "group_members",
        "bucket=1, host='org_1', group_id=@, kind='org', member='org_2', episode=1, revision=1",
    ),
    (
        "grants",
        "bucket=1, host='org_1', grant_id=@, at=1, expires_at=null, revision=1, body='{}'",
    ),
    (
        "invites",
        "bucket=1, host='org_1', invite=@, address='ann@example.com', status='pending', generation=1, token=5, creator='ada', delivery='unknown', expires_at=null, expired_at=null, created_at=1, updated_at=1, revision=1, body='{}'",
    ),
    (
        "addresses",
        "bucket=1, host='org_1', address='ann@example.com', invite=@, member='ann', revision=1, body='{}'",
    ),
    (
        "endpoints",
        "bucket=1, host='org_1', endpoint=@, created_at=1, deleted_at=null, revision=1, body='{}'",
    ),
    (
        "consumers",
        "bucket=1, consumer='webhooks', revision=1, body='{}'",
    ),
    (
        "parked",
        "bucket=1, consumer='webhooks', position=1, ordinal=0, revision=1, body='{}'",
    ),
    (
        "commits",
        "bucket=1, home_kind='organization', home='org_1', commit_id=@, at=1, by='\"system\"', digest=decode(repeat('00', 32), 'hex'), reply=''",
    ),
    (
        "events",
        "bucket=1, host='org_1', position=1, ordinal=0, commit_id=@, name='link-created', member_kind=null, member_id=null, link=null, invite=@, at=1, by_user=null, by='\"system\"', body='{}', erased=null",
    ),
    (
        "unplaced",
        "bucket=1, host='org_1', ordinal=0, commit_id=@, name='link-created', member_kind=null, member_id=null, link=null, invite=@, at=1, by_user=null, by='\"system\"', body='{}', tick=1, basis='{}'",
    ),
];

/// Values that make a good row a bad one.
const BAD: &[(&str, &str)] = &[
    ("names", "organization=''"),
    ("names", "organization=null"),
    ("names", "organization_bucket=3844"),
    ("organizations", "status='expired'"),
    ("organizations", "status='Active'"),
    ("organizations", "discoverable=null"),
    ("seat_tallies", "taken=-1"),
    ("links", "status='expired'"),
    ("links", "generation=0"),
    ("links", "token=null"),
    ("links", "status='disabled'"),
    ("links", "deleted_at=5"),
    ("links", "token=-1"),
    ("links", "token=6"),
    ("links", "tokens=null"),
    ("links", "creator=''"),
    ("link_tallies", "uses=-1"),
    ("preview_tallies", "previews=-1"),
    ("preview_tallies", "generation=0"),
    ("link_uses", "state='used'"),
    ("link_uses", "generation=0"),
    ("link_uses", "member_id='org_1'"),
    ("tokens", "bucket=2"),
    ("tokens", "selector=-1, bucket=0"),
    ("tokens", "selector=839299365868340224, bucket=3844"),
    ("tokens", "generation=0"),
    ("tokens", "pepper=-1"),
    ("tokens", "subject_kind='group'"),
    ("memberships", "member_id='org_1'"),
    ("memberships", "status='expired'"),
    ("memberships", "episode=-1"),
    ("memberships", "proxy_id=null, proxy_name=null"),
    ("memberships", "proxy_name=null"),
    ("memberships", "proxy_name=''"),
    ("memberships", "member_kind='user'"),
    ("memberships", "ended_at=5"),
    ("memberships", "ended_at=5, ended_cause='left'"),
    ("memberships", "status=null, ended_at=5, ended_cause='left'"),
    (
        "memberships",
        "status='removed', ended_at=5, ended_cause='bored'",
    ),
    ("memberships", "status='removed', ended_cause='removed'"),
    ("memberships", "door_link=null"),
    ("memberships", "door_generation=0"),
    ("memberships", "door_invite=@"),
    ("memberships", "role=''"),
    ("memberships", "email=''"),
    ("acting", "target='org_1'"),
    ("acting", "target=''"),
    ("groups", "internal=null"),
    ("group_members", "kind='group'"),
    ("group_members", "kind='robot'"),
    ("group_members", "member='org_1'"),
    ("group_members", "episode=-1"),
    ("invites", "status='expired'"),
    ("invites", "status='accepted'"),
    ("invites", "token=null"),
    ("invites", "token=-1"),
    ("invites", "generation=0"),
    ("invites", "delivery='lost'"),
    ("invites", "creator=''"),
    ("addresses", "invite=null, member=null"),
    ("addresses", "member=''"),
    ("parked", "position=0"),
    ("parked", "ordinal=-1"),
    ("commits", "digest=decode(repeat('00', 31), 'hex')"),
    ("commits", "home_kind='consumer'"),
    ("events", "position=0"),
    ("events", "ordinal=-1"),
    ("events", "member_kind='user'"),
    ("events", "member_kind='robot', member_id='ann'"),
    ("events", "erased=decode(repeat('00', 31), 'hex')"),
    ("unplaced", "ordinal=-1"),
    ("unplaced", "tick=null"),
    ("unplaced", "basis=null"),
    ("unplaced", "ordinal=1"),
    ("unplaced", "member_kind='user'"),
    ("unplaced", "member_kind='robot', member_id='ann'"),
];

fn row(table: &str) -> Vec<(&'static str, &'static str)> {
    let (_, row) = GOOD.iter().find(|(name, _)| *name == table).unwrap();
    parts(row)
}

fn parts(row: &str) -> Vec<(&str, &str)> {
    // No literal here has a comma and a space in it, but for those of `decode`.
    let mut parts = Vec::new();
    let mut rest = row;
    while let Some((column, more)) = rest.split_once('=') {
        let mut from = 0;
        if more.starts_with("decode(") {
            from = more.find("'hex')").unwrap();
        }
        let end = more[from..].find(", ").map_or(more.len(), |at| from + at);
        parts.push((column, &more[..end]));
        rest = more.get(end + 2..).unwrap_or("");
    }
    parts
}

/// The code of the error, if the row was refused.
async fn insert(store: &PgStore, place: &str, table: &str, changes: &str) -> Result<(), String> {
    let changes = parts(changes);
    let row = row(table);
    for (column, _) in &changes {
        assert!(
            row.iter().any(|(name, _)| name == column),
            "{table}.{column}"
        );
    }
    let columns: Vec<&str> = row.iter().map(|(column, _)| *column).collect();
    let values: Vec<&str> = row
        .iter()
        .map(|(column, value)| {
            let other = changes.iter().find(|(name, _)| name == column);
            match other.map_or(*value, |(_, value)| *value) {
                "@" => ID,
                value => value,
            }
        })
        .collect();
    let (columns, values) = (columns.join(", "), values.join(", "));
    let sql = format!("insert into {place}.guestlist_{table} ({columns}) values ({values})");
    match sqlx::query(AssertSqlSafe(sql)).execute(store.pool()).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.as_database_error().unwrap().code().unwrap().into()),
    }
}

/// Whatever constraint or type it is that refuses: class 23, or text that is no such value.
async fn refused(store: &PgStore, place: &str, table: &str, changes: &str) {
    let refused = insert(store, place, table, changes).await;
    let code = refused.expect_err(&format!("{table} {changes} was taken"));
    assert!(
        code.starts_with("23") || code == "22P02",
        "{table} {changes}: {code}"
    );
}

async fn opened(options: PgOptions) -> (PgStore, String) {
    let place = schema();
    (opened_with(options.schema(&place)).await, place)
}

async fn opened_with(options: PgOptions) -> PgStore {
    PgStore::open(common::pool(2).await, options).await.unwrap()
}

fn is_log(table: &str) -> bool {
    table == "events" || table == "unplaced"
}

#[test]
fn bad_rows_are_refused() {
    runtime().block_on(async {
        let spread = PgOptions::new().partitions(2);
        let plain = PgOptions::new().dialect(Dialect::CockroachDb);
        for (options, is_json) in [(PgOptions::new(), true), (spread, true), (plain, false)] {
            let (store, place) = opened(options).await;
            for (table, changes) in BAD {
                refused(&store, &place, table, changes).await;
            }
            for (table, _) in GOOD {
                for (column, _) in row(table) {
                    let bad: &[&str] = match column {
                        "bucket" | "member_bucket" => &["-1", "3844", "null", "'one'"],
                        "revision" => &["0", "-1", "null", "'one'"],
                        "body" if is_json => &["'{'", "null", "''"],
                        "body" => &["null"],
                        "host" | "home" | "name" | "address" | "consumer" => &["''", "null"],
                        "member_id" if !is_log(table) => &["''", "null"],
                        "member_kind" if !is_log(table) => &["'Org'", "''", "null"],
                        "commit_id" | "grant_id" | "group_id" | "link"
                            if !is_log(table) || column == "commit_id" =>
                        {
                            &["null", "'0102'", "''"]
                        }
                        "at" | "opened_at" | "updated_at" | "created_at" | "issued_at" => {
                            &["null", "'now'"]
                        }
                        _ => &[],
                    };
                    for value in bad {
                        let changes = format!("{column}={value}");
                        refused(&store, &place, table, &changes).await;
                    }
                }
                // And nothing is there twice.
                assert_eq!(insert(&store, &place, table, "").await, Ok(()), "{table}");
                let again = insert(&store, &place, table, "").await;
                assert_eq!(again, Err("23505".to_owned()), "{table}");
            }
            store.pool().close().await;
        }
    });
}

#[test]
fn good_rows_are_taken() {
    runtime().block_on(async {
        let (store, place) = opened(PgOptions::new()).await;
        for (table, changes) in [
            ("links", "status='disabled', token=null, tokens='{}'"),
            ("links", &*format!("deleted_at=5, token=null, link={OTHER}")),
            (
                "memberships",
                "member_kind='user', member_id='org_1', proxy_id=null, proxy_name=null",
            ),
            (
                "memberships",
                "member_id='org_3', status=null, proxy_id=null, proxy_name=null",
            ),
            ("invites", "status='revoked', token=null"),
            ("addresses", "invite=null, address='bob@example.com'"),
            ("addresses", "member=null, address='cid@example.com'"),
            ("tokens", "selector=218340105584897, subject_kind='link'"),
            (
                "group_members",
                &*format!("kind='group', member={OTHER}, episode=0"),
            ),
        ] {
            let taken = insert(&store, &place, table, changes).await;
            assert_eq!(taken, Ok(()), "{table} {changes}");
        }
        let tables = sqlx::query(
            "select count(*) from information_schema.tables \
             where table_schema = $1 and table_name like 'guestlist\\_%'",
        )
        .bind(&place)
        .fetch_one(store.pool())
        .await
        .unwrap();
        let tables: i64 = tables.get(0);
        // Beside these: which steps were taken, what is added to positions, and how many were given.
        assert_eq!(tables, i64::try_from(GOOD.len()).unwrap() + 3);
    });
}

#[test]
fn what_is_known_of_positions_is_one_row() {
    runtime().block_on(async {
        let (store, place) = opened(PgOptions::new()).await;
        for (row, expected) in [
            ("epoch (id, added) values (1, 0)", "23505"),
            ("epoch (id, added) values (2, 0)", "23514"),
            ("epoch (id, added) values (1, -1)", "23514"),
            ("places (id, given, shown) values (1, 0, 0)", "23505"),
            ("places (id, given, shown) values (2, 0, 0)", "23514"),
            ("places (id, given, shown) values (1, -1, -1)", "23514"),
            ("places (id, given, shown) values (1, 1, 2)", "23514"),
        ] {
            let sql = format!("insert into {place}.guestlist_{row}");
            let error = sqlx::query(AssertSqlSafe(sql))
                .execute(store.pool())
                .await
                .unwrap_err();
            let code = error.as_database_error().unwrap().code().unwrap();
            assert_eq!(code, expected, "{row}");
        }
    });
}

#[test]
fn a_proxy_stands_for_one_member() {
    runtime().block_on(async {
        for options in [PgOptions::new(), PgOptions::new().partitions(3)] {
            let (store, place) = opened(options).await;
            let taken = async |changes: &str| insert(&store, &place, "memberships", changes).await;
            assert_eq!(taken("").await, Ok(()));
            let twice = Err("23505".to_owned());
            let (id, name) = (format!("proxy_id={OTHER}"), "proxy_name='three'");
            assert_eq!(taken(&format!("member_id='org_3', {id}")).await, twice);
            assert_eq!(taken(&format!("member_id='org_3', {name}")).await, twice);
            assert_eq!(
                taken(&format!("member_id='org_3', {id}, {name}")).await,
                Ok(())
            );
            // In another host it is somebody else.
            assert_eq!(taken("host='org_9'").await, Ok(()));
            store.pool().close().await;
        }
    });
}

#[test]
fn texts_are_compared_byte_by_byte() {
    runtime().block_on(async {
        let (store, place) = opened(PgOptions::new()).await;
        // In the order of their bytes: capitals first, then small letters, accents, Cyrillic "а",
        // a letter and its accent apart from both at once, and the last of all characters.
        let hosts = [
            "A",
            "B",
            "a",
            "a ",
            "a\u{301}",
            "a\u{200b}",
            "b",
            "\u{e1}",
            "\u{430}",
            "\u{ff21}",
            "\u{1d400}",
        ];
        for host in hosts.iter().rev() {
            let taken = insert(&store, &place, "owners", &format!("host='{host}'")).await;
            assert_eq!(taken, Ok(()), "{host:?} is told apart");
        }
        let sql = format!("select host from {place}.guestlist_owners order by host");
        let found: Vec<String> = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(store.pool())
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert_eq!(found, hosts);
        // Every text that is compared, on whatever server.
        let other = sqlx::query(
            "select c.relname || '.' || a.attname from pg_attribute a \
             join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace \
             join pg_collation l on l.oid = a.attcollation \
             where n.nspname = $1 and c.relkind in ('r', 'i') and l.collname <> 'C' order by 1",
        )
        .bind(&place)
        .fetch_all(store.pool())
        .await
        .unwrap();
        let other: Vec<String> = other.iter().map(|row| row.get(0)).collect();
        // These are only given back.
        let only_kept = [
            "guestlist_commits.by",
            "guestlist_commits.reply",
            "guestlist_events.by",
            "guestlist_unplaced.basis",
            "guestlist_unplaced.by",
        ];
        assert_eq!(other, only_kept);
    });
}

/// Functions of Citus' names take what is sent to them, and refuse what Citus does.
#[test]
fn what_is_told_to_citus_fits_the_tables() {
    runtime().block_on(async {
        let (pool, place) = (common::pool(2).await, schema());
        let options = PgOptions::new().schema(&place);
        common::citus::set_up(&pool, &options, &place).await;
        let left = sqlx::query(AssertSqlSafe(format!(
            "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = $1 and c.relkind = 'r' and c.relname <> 'told' \
             and not exists (select 1 from {place}.told t where t.what = 'table' and t.id = c.oid) \
             order by 1"
        )))
        .bind(&place)
        .fetch_all(&pool)
        .await
        .unwrap();
        // What says which steps were taken stays on the coordinator, and what is not used there.
        let left: Vec<String> = left.iter().map(|row| row.get(0)).collect();
        assert_eq!(left, ["guestlist_epoch", "guestlist_schema"]);
        let told = sqlx::query(AssertSqlSafe(format!(
            "select distinct what, beside::text from {place}.told order by 1, 2"
        )))
        .fetch_all(&pool)
        .await
        .unwrap();
        let told: Vec<(String, Option<String>)> =
            told.iter().map(|row| (row.get(0), row.get(1))).collect();
        let beside = Some(format!("{place}.guestlist_memberships"));
        assert_eq!(
            told,
            [
                ("function".to_owned(), beside.clone()),
                ("table".to_owned(), beside),
                // The one of one row, on all machines.
                ("table".to_owned(), None),
            ]
        );
        let statements = citus_statements(&options).unwrap();
        assert!(statements.contains(&format!(
            "select create_distributed_table('\"{place}\".guestlist_joined', 'member_bucket', \
             colocate_with => '\"{place}\".guestlist_memberships')"
        )));
        assert!(citus_statements(&options.partitions(2)).is_err());
    });
}
