//! The schema alone refuses bad rows: raw SQL attempts fail.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use guestlist_sqlite::migrate;
use rusqlite::Connection;
use rusqlite::types::Value;

/// A good row of each table, as `column = SQL literal`.
const GOOD: &[(&str, &[(&str, &str)])] = &[
    (
        "names",
        &[
            ("bucket", "0"),
            ("name", "'acme'"),
            ("organization", "'org_1'"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "organizations",
        &[
            ("bucket", "3843"),
            ("host", "'org_1'"),
            ("name", "'acme'"),
            ("status", "'active'"),
            ("default_link", "null"),
            ("discoverable", "1"),
            ("created_at", "1"),
            ("updated_at", "1"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "owners",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("revision", "1"),
            ("body", "'[]'"),
        ],
    ),
    (
        "seat_tallies",
        &[("bucket", "1"), ("host", "'org_1'"), ("taken", "0")],
    ),
    (
        "access_heads",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("external_group", "null"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "links",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("link", "zeroblob(16)"),
            ("status", "'active'"),
            ("generation", "1"),
            ("token", "5"),
            ("creator", "'ada'"),
            ("expires_at", "null"),
            ("expired_at", "null"),
            ("created_at", "1"),
            ("updated_at", "1"),
            ("deleted_at", "null"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "link_tallies",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("link", "zeroblob(16)"),
            ("uses", "0"),
        ],
    ),
    (
        "link_uses",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("link", "zeroblob(16)"),
            ("member_kind", "'org'"),
            ("member_id", "'org_2'"),
            ("generation", "1"),
            ("state", "'settled'"),
            ("at", "1"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "tokens",
        &[
            ("selector", "218340105584896"),
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("subject_kind", "'invite'"),
            ("subject", "zeroblob(16)"),
            ("generation", "1"),
            ("issued_at", "1"),
            ("valid_until", "null"),
            ("pepper", "1"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "memberships",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("member_kind", "'org'"),
            ("member_id", "'org_2'"),
            ("status", "'approved'"),
            ("episode", "1"),
            ("door_link", "zeroblob(16)"),
            ("door_generation", "1"),
            ("role", "null"),
            ("opened_at", "1"),
            ("approved_at", "1"),
            ("expires_at", "null"),
            ("ended_cause", "null"),
            ("ended_at", "null"),
            ("proxy_id", "zeroblob(16)"),
            ("proxy_name", "'two'"),
            ("updated_at", "1"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "acting",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("target", "'org_2'"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "groups",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("group_id", "zeroblob(16)"),
            ("name", "'Design'"),
            ("internal", "0"),
            ("created_at", "1"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "group_members",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("group_id", "zeroblob(16)"),
            ("kind", "'org'"),
            ("member", "'org_2'"),
            ("episode", "1"),
            ("revision", "1"),
        ],
    ),
    (
        "grants",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("grant_id", "zeroblob(16)"),
            ("at", "1"),
            ("expires_at", "null"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "commits",
        &[
            ("bucket", "1"),
            ("home_kind", "'organization'"),
            ("home", "'org_1'"),
            ("commit_id", "zeroblob(16)"),
            ("position", "1"),
            ("at", "1"),
            ("by", "'\"system\"'"),
            ("digest", "zeroblob(32)"),
            ("reply", "''"),
        ],
    ),
    (
        "events",
        &[
            ("position", "1"),
            ("ordinal", "0"),
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("commit_id", "zeroblob(16)"),
            ("name", "'link-created'"),
            ("member_kind", "null"),
            ("member_id", "null"),
            ("link", "null"),
            ("invite", "zeroblob(16)"),
            ("at", "1"),
            ("by_user", "null"),
            ("by", "'\"system\"'"),
            ("body", "'{}'"),
            ("erased", "null"),
        ],
    ),
    (
        "preview_tallies",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("link", "zeroblob(16)"),
            ("generation", "1"),
            ("previews", "0"),
        ],
    ),
    (
        "invites",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("invite", "zeroblob(16)"),
            ("address", "'ann@example.com'"),
            ("status", "'pending'"),
            ("generation", "1"),
            ("token", "5"),
            ("creator", "'ada'"),
            ("delivery", "'unknown'"),
            ("expires_at", "null"),
            ("expired_at", "null"),
            ("created_at", "1"),
            ("updated_at", "1"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "addresses",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("address", "'ann@example.com'"),
            ("invite", "zeroblob(16)"),
            ("member", "'ann'"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "endpoints",
        &[
            ("bucket", "1"),
            ("host", "'org_1'"),
            ("endpoint", "zeroblob(16)"),
            ("created_at", "1"),
            ("deleted_at", "null"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "consumers",
        &[
            ("bucket", "1"),
            ("consumer", "'webhooks'"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
    (
        "parked",
        &[
            ("bucket", "1"),
            ("consumer", "'webhooks'"),
            ("position", "1"),
            ("ordinal", "0"),
            ("revision", "1"),
            ("body", "'{}'"),
        ],
    ),
];

/// Values that make a good row a bad one.
const BAD: &[(&str, &[(&str, &str)])] = &[
    ("names", &[("organization", "''")]),
    ("names", &[("organization", "null")]),
    ("names", &[("name", "x'61'")]),
    ("organizations", &[("status", "'expired'")]),
    ("organizations", &[("status", "'Active'")]),
    ("organizations", &[("default_link", "zeroblob(15)")]),
    ("organizations", &[("created_at", "'yesterday'")]),
    ("seat_tallies", &[("taken", "-1")]),
    ("seat_tallies", &[("taken", "null")]),
    ("access_heads", &[("external_group", "zeroblob(17)")]),
    ("links", &[("status", "'expired'")]),
    ("links", &[("generation", "0")]),
    ("links", &[("token", "null")]),
    ("links", &[("status", "'disabled'")]),
    ("links", &[("deleted_at", "5")]),
    ("links", &[("link", "zeroblob(8)")]),
    ("links", &[("link", "'0123456789abcdef'")]),
    ("links", &[("token", "-1")]),
    ("links", &[("creator", "''")]),
    ("link_tallies", &[("uses", "-1")]),
    ("link_tallies", &[("uses", "'many'")]),
    ("link_uses", &[("state", "'used'")]),
    ("link_uses", &[("generation", "0")]),
    ("link_uses", &[("member_id", "'org_1'")]),
    ("link_uses", &[("member_kind", "'robot'")]),
    ("tokens", &[("bucket", "2")]),
    ("tokens", &[("selector", "-1"), ("bucket", "0")]),
    (
        "tokens",
        &[("selector", "839299365868340224"), ("bucket", "3844")],
    ),
    ("tokens", &[("generation", "0")]),
    ("tokens", &[("pepper", "-1")]),
    ("memberships", &[("member_id", "'org_1'")]),
    ("memberships", &[("status", "'expired'")]),
    ("memberships", &[("episode", "-1")]),
    (
        "memberships",
        &[("proxy_id", "null"), ("proxy_name", "null")],
    ),
    ("memberships", &[("proxy_name", "null")]),
    ("memberships", &[("member_kind", "'user'")]),
    ("memberships", &[("ended_at", "5")]),
    (
        "memberships",
        &[("ended_at", "5"), ("ended_cause", "'left'")],
    ),
    (
        "memberships",
        &[
            ("status", "null"),
            ("ended_at", "5"),
            ("ended_cause", "'left'"),
        ],
    ),
    (
        "memberships",
        &[
            ("status", "'removed'"),
            ("ended_at", "5"),
            ("ended_cause", "'bored'"),
        ],
    ),
    ("memberships", &[("door_link", "null")]),
    ("memberships", &[("door_generation", "0")]),
    ("acting", &[("target", "'org_1'")]),
    ("groups", &[("internal", "2")]),
    ("group_members", &[("kind", "'group'")]),
    ("group_members", &[("kind", "'robot'")]),
    ("group_members", &[("member", "'org_1'")]),
    ("group_members", &[("episode", "-1")]),
    ("commits", &[("digest", "zeroblob(31)")]),
    ("commits", &[("home_kind", "'user'")]),
    ("commits", &[("position", "0")]),
    ("events", &[("position", "0")]),
    ("events", &[("ordinal", "-1")]),
    ("events", &[("member_kind", "'user'")]),
    ("events", &[("invite", "zeroblob(15)")]),
    ("events", &[("invite", "'0123456789abcdef'")]),
    ("events", &[("erased", "zeroblob(31)")]),
    ("commits", &[("home_kind", "'consumer'")]),
    ("organizations", &[("discoverable", "2")]),
    ("organizations", &[("discoverable", "null")]),
    ("links", &[("expired_at", "'yesterday'")]),
    ("tokens", &[("subject_kind", "'group'")]),
    ("tokens", &[("subject_kind", "null")]),
    ("tokens", &[("subject", "zeroblob(15)")]),
    ("tokens", &[("subject", "null")]),
    ("preview_tallies", &[("previews", "-1")]),
    ("preview_tallies", &[("previews", "null")]),
    ("preview_tallies", &[("generation", "0")]),
    ("preview_tallies", &[("link", "zeroblob(17)")]),
    ("invites", &[("status", "'expired'")]),
    ("invites", &[("status", "'Pending'")]),
    ("invites", &[("status", "'accepted'")]),
    ("invites", &[("token", "null")]),
    ("invites", &[("token", "-1")]),
    ("invites", &[("generation", "0")]),
    ("invites", &[("delivery", "'lost'")]),
    ("invites", &[("delivery", "null")]),
    ("invites", &[("creator", "''")]),
    ("invites", &[("invite", "zeroblob(8)")]),
    ("invites", &[("invite", "'0123456789abcdef'")]),
    ("invites", &[("expires_at", "'tomorrow'")]),
    ("addresses", &[("invite", "null"), ("member", "null")]),
    ("addresses", &[("invite", "zeroblob(15)")]),
    ("addresses", &[("member", "''")]),
    ("endpoints", &[("bucket", "3844")]),
    ("endpoints", &[("host", "''")]),
    ("endpoints", &[("endpoint", "zeroblob(15)")]),
    ("endpoints", &[("revision", "0")]),
    ("endpoints", &[("body", "'{'")]),
    ("parked", &[("position", "0")]),
    ("parked", &[("ordinal", "-1")]),
];

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    migrate(&connection).unwrap();
    connection
}

fn insert(
    connection: &Connection,
    table: &str,
    changes: &[(&str, &str)],
) -> rusqlite::Result<usize> {
    let (_, row) = GOOD.iter().find(|(name, _)| *name == table).unwrap();
    for (column, _) in changes {
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
            other.map_or(*value, |(_, value)| *value)
        })
        .collect();
    let sql = format!(
        "insert into guestlist_{table} ({}) values ({})",
        columns.join(", "),
        values.join(", ")
    );
    connection.execute(&sql, [])
}

fn refused(connection: &Connection, table: &str, changes: &[(&str, &str)]) {
    let error = insert(connection, table, changes).unwrap_err();
    assert_eq!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::ConstraintViolation),
        "{table} {changes:?}: {error}"
    );
}

#[test]
fn good_rows_are_taken() {
    let connection = database();
    for (table, _) in GOOD {
        assert_eq!(insert(&connection, table, &[]), Ok(1), "{table}");
    }
    for (table, changes) in [
        (
            "links",
            &[
                ("status", "'disabled'"),
                ("token", "null"),
                ("link", "x'01020304050607080102030405060708'"),
            ][..],
        ),
        (
            "links",
            &[
                ("deleted_at", "5"),
                ("token", "null"),
                ("link", "x'01020304050607080102030405060709'"),
            ],
        ),
        (
            "memberships",
            &[
                ("member_kind", "'user'"),
                ("member_id", "'org_1'"),
                ("proxy_id", "null"),
                ("proxy_name", "null"),
            ],
        ),
        (
            "memberships",
            &[
                ("member_id", "'org_3'"),
                ("status", "null"),
                ("proxy_id", "null"),
                ("proxy_name", "null"),
            ],
        ),
        (
            "invites",
            &[
                ("status", "'revoked'"),
                ("token", "null"),
                ("invite", "x'01020304050607080102030405060708'"),
            ],
        ),
        (
            "addresses",
            &[("invite", "null"), ("address", "'bob@example.com'")],
        ),
        (
            "addresses",
            &[("member", "null"), ("address", "'cid@example.com'")],
        ),
        (
            "tokens",
            &[("selector", "218340105584897"), ("subject_kind", "'link'")],
        ),
        (
            "group_members",
            &[
                ("kind", "'group'"),
                ("member", "'01010101-0101-0101-0101-010101010101'"),
                ("episode", "0"),
            ],
        ),
    ] {
        assert_eq!(
            insert(&connection, table, changes),
            Ok(1),
            "{table} {changes:?}"
        );
    }
    let tables: i64 = connection
        .query_row(
            "select count(*) from sqlite_master where type = 'table' and name glob 'guestlist_*'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(tables, 1 + i64::try_from(GOOD.len()).unwrap());
}

#[test]
fn bad_rows_are_refused() {
    let connection = database();
    for (table, changes) in BAD {
        refused(&connection, table, changes);
    }
}

#[test]
fn what_holds_for_every_table_is_held_everywhere() {
    let connection = database();
    for (table, row) in GOOD {
        for (column, _) in *row {
            let bad: &[&str] = match *column {
                "bucket" => &["-1", "3844", "null", "'one'"],
                "revision" => &["0", "-1", "null", "'one'"],
                "body" => &["'{'", "null", "x'00'"],
                "host" | "home" | "member_id" | "name" | "address" | "consumer" => &["''", "x'61'"],
                "member_kind" => &["'Org'", "''"],
                "commit_id" | "grant_id" | "group_id" => &["null", "zeroblob(15)", "''"],
                "at" | "opened_at" | "updated_at" | "issued_at" => &["null", "'now'"],
                _ => &[],
            };
            for value in bad {
                refused(&connection, table, &[(column, value)]);
            }
        }
        // And nothing is there twice.
        insert(&connection, table, &[]).unwrap();
        refused(&connection, table, &[]);
    }
}

#[test]
fn a_proxy_stands_for_one_member() {
    let connection = database();
    insert(&connection, "memberships", &[]).unwrap();
    let other = ("member_id", "'org_3'");
    let id = ("proxy_id", "x'01020304050607080102030405060708'");
    let name = ("proxy_name", "'three'");
    refused(&connection, "memberships", &[other, id]);
    refused(&connection, "memberships", &[other, name]);
    insert(&connection, "memberships", &[other, id, name]).unwrap();
    // In another host it is somebody else.
    insert(&connection, "memberships", &[("host", "'org_9'")]).unwrap();
}

#[test]
fn an_address_has_one_row_and_an_event_one_place() {
    let connection = database();
    insert(&connection, "addresses", &[]).unwrap();
    let other = ("invite", "x'01020304050607080102030405060708'");
    refused(&connection, "addresses", &[other]);
    insert(&connection, "addresses", &[other, ("host", "'org_9'")]).unwrap();
    insert(&connection, "parked", &[]).unwrap();
    refused(&connection, "parked", &[("revision", "2")]);
    insert(&connection, "parked", &[("ordinal", "1")]).unwrap();
    insert(&connection, "parked", &[("consumer", "'audit'")]).unwrap();
    insert(&connection, "preview_tallies", &[]).unwrap();
    refused(&connection, "preview_tallies", &[("previews", "7")]);
    insert(&connection, "preview_tallies", &[("generation", "2")]).unwrap();
}

#[test]
fn texts_are_compared_byte_by_byte() {
    let connection = database();
    insert(&connection, "owners", &[]).unwrap();
    insert(&connection, "owners", &[("host", "'ORG_1'")]).unwrap();
    insert(&connection, "owners", &[("host", "'org_1 '")]).unwrap();
    let found: Vec<Value> = connection
        .prepare("select body from guestlist_owners where host = 'Org_1'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(found.is_empty());
}
