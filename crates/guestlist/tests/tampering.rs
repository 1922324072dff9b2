//! Somebody writes into the database by hand: any value into any column of any row. It is refused,
//! or found to be corrupt, or a row like any other; never a panic, and never a token that opens
//! something else. What is changed in the log is found out by the hash chain.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use std::path::Path;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use common::pg::rounds;
use common::{clock, link, org, org_member, over, owner, register, to_all, user, user_member};
use guestlist::store::Recorded;
use guestlist::{
    Action, ActionSet, Audience, ChainHead, Claim, EventFilter, Grantee, Guestlist, InviteToken,
    LinkDraft, LinkFilter, MemberFilter, Page, Pattern, Uses,
};
use guestlist_sqlite::SqliteStore;
use rusqlite::Connection;
use rusqlite::types::Value;

const ROUNDS: usize = 150;

/// What is known of the database before anybody wrote into it.
struct Known {
    bytes: Vec<u8>,
    head: ChainHead,
    log: Vec<Recorded>,
    /// Of links of the organizations `host` and `bravo`.
    tokens: [InviteToken; 2],
    /// Like a token, and not one that was ever issued.
    forged: InviteToken,
}

async fn prepare(path: &Path) -> Known {
    let guestlist = over(SqliteStore::open(path).unwrap(), &clock(), 6);
    register(&guestlist, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let draft = LinkDraft::auto().max_uses(Uses::AtMost(9));
    let (_, first) = link(&guestlist, "host", draft).await;
    let (_, second) = link(&guestlist, "bravo", LinkDraft::review()).await;
    let (disabled, _) = link(&guestlist, "host", LinkDraft::review()).await;
    guestlist
        .disable_link(&alice, &host, disabled)
        .await
        .unwrap();
    for name in ["u1", "u2"] {
        guestlist
            .claim(&user(name), &first, Claim::for_myself())
            .await
            .unwrap();
    }
    guestlist
        .claim(&owner("bravo"), &first, Claim::for_organization())
        .await
        .unwrap();
    let group = guestlist
        .create_group(&alice, &host, "a group".parse().unwrap(), false)
        .await
        .unwrap();
    guestlist
        .add_to_group(&alice, &host, group.id, &user_member("u1"))
        .await
        .unwrap();
    for to in [
        Grantee::Group(group.id),
        Grantee::Organization(Audience::Everyone),
        Grantee::Member(org_member("bravo")),
    ] {
        let (actions, pattern) = (
            ActionSet::of(&[Action::Read]),
            Pattern::parse("a/").unwrap(),
        );
        guestlist
            .grant(&alice, &host, to, actions, pattern, None)
            .await
            .unwrap();
    }
    guestlist
        .invite(&alice, &host, to_all(["zoe@corp.example"]))
        .await
        .unwrap();
    guestlist
        .remove(&alice, &host, &user_member("u2"), None)
        .await
        .unwrap();
    let head = guestlist.seal_audit(10_000).await.unwrap();
    let log = guestlist.feed(None, 10_000).await.unwrap().events;
    let forged = over(
        SqliteStore::builder().in_memory().open().unwrap(),
        &clock(),
        99,
    );
    register(&forged, &["host"]).await;
    let (_, forged) = link(&forged, "host", LinkDraft::auto()).await;
    drop(guestlist);
    Known {
        bytes: std::fs::read(path).unwrap(),
        head,
        log,
        tokens: [first, second],
        forged,
    }
}

struct Dice(ChaCha20Rng);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.next_u64() % end as u64).unwrap()
    }

    /// Something else than what is there, often only a little.
    fn other(&mut self, there: &Value, elsewhere: &Value) -> Value {
        match (self.below(6), there) {
            (0, _) => Value::Null,
            (1, _) => elsewhere.clone(),
            (2, Value::Integer(number)) => Value::Integer(number.wrapping_add(1)),
            (3, Value::Integer(number)) => Value::Integer(number.wrapping_neg()),
            (4, Value::Integer(_)) => Value::Integer(i64::MAX),
            (_, Value::Integer(_)) => Value::Integer(self.0.next_u64().cast_signed()),
            (2, Value::Text(_)) => Value::Text(String::new()),
            (3, Value::Text(text)) => {
                let end = self.below(text.len() + 1);
                Value::Text(text.chars().take(end).collect())
            }
            (_, Value::Text(text)) => {
                let place = self.below(text.len() + 1);
                let letter = b"abc019{}\"\\,: \x7f-_"[self.below(16)];
                let change = |(at, old)| if at == place { char::from(letter) } else { old };
                Value::Text(text.chars().enumerate().map(change).collect())
            }
            (2, Value::Blob(_)) => Value::Blob(Vec::new()),
            (_, Value::Blob(bytes)) => {
                let mut bytes = bytes.clone();
                let (place, bit) = (self.below(bytes.len() + 1), self.below(8));
                match bytes.get_mut(place) {
                    Some(byte) => *byte ^= 1 << bit,
                    None => bytes.push(0),
                }
                Value::Blob(bytes)
            }
            (_, Value::Null | Value::Real(_)) => Value::Text("x".to_owned()),
        }
    }
}

fn names(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn rows(connection: &Connection, table: &str, columns: usize) -> Vec<Vec<Value>> {
    let sql = format!("select * from {table}");
    let mut statement = connection.prepare(&sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
    let rows = statement.query_map([], row).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Writes something somewhere. Says where, and whether SQLite took it.
fn tamper(connection: &Connection, dice: &mut Dice) -> (String, bool) {
    let tables = "select name from sqlite_master where type = 'table' \
        and name like 'guestlist_%' and name <> 'guestlist_schema' order by name";
    loop {
        let tables = names(connection, tables);
        // The log more often than other tables.
        let table = match dice.below(4) {
            0 => "guestlist_events",
            _ => tables[dice.below(tables.len())].as_str(),
        };
        let of_table = |which: &str| {
            let sql = format!("select name from pragma_table_info('{table}') {which}");
            names(connection, &sql)
        };
        let (columns, key) = (of_table(""), of_table("where pk > 0"));
        let rows = rows(connection, table, columns.len());
        if rows.is_empty() {
            continue;
        }
        let (row, elsewhere) = (dice.below(rows.len()), dice.below(rows.len()));
        let column = dice.below(columns.len());
        let there = &rows[row][column];
        let value = dice.other(there, &rows[elsewhere][column]);
        if value == *there {
            continue;
        }
        let place = |name: &String| columns.iter().position(|column| column == name).unwrap();
        let condition: Vec<String> = key.iter().map(|name| format!("{name} is ?")).collect();
        let sql = format!(
            "update {table} set {} = ? where {}",
            columns[column],
            condition.join(" and ")
        );
        let of_key = key.iter().map(|name| rows[row][place(name)].clone());
        let values = [value.clone()].into_iter().chain(of_key);
        let changed = connection.execute(&sql, rusqlite::params_from_iter(values));
        let what = format!(
            "{table}.{} of row {row}: {there:?} became {value:?}",
            columns[column]
        );
        return (what, changed.is_ok_and(|changed| changed == 1));
    }
}

/// Looks at everything, and does something. All that matters is that each call has an answer.
async fn use_it(guestlist: &Guestlist<SqliteStore>, known: &Known) {
    let (alice, host, page) = (owner("host"), org("host"), Page::default());
    let _ = guestlist.organization(&alice, &host).await;
    let _ = guestlist
        .links(&alice, &host, LinkFilter::default(), &page)
        .await;
    let _ = guestlist
        .members(&alice, &host, MemberFilter::default(), &page)
        .await;
    let _ = guestlist
        .invites(&alice, &host, guestlist::InviteFilter::default(), &page)
        .await;
    let _ = guestlist.groups(&alice, &host, &page).await;
    let _ = guestlist.grants(&alice, &host, &page).await;
    let _ = guestlist
        .audit(&alice, &host, EventFilter::default(), &page)
        .await;
    let _ = guestlist.verify_audit(None).await;
    let _ = guestlist.sweep(100).await;
    for actor in [
        &alice,
        &user("u1").in_organization(host.clone()),
        &owner("bravo"),
    ] {
        for address in ["a/b", "c", "@host/a/b"] {
            let address = address.parse().unwrap();
            let _ = guestlist.decide(actor, Action::Read, &address).await;
        }
    }
    for token in &known.tokens {
        let _ = guestlist
            .claim(&user("late"), token, Claim::for_myself())
            .await;
    }
    let _ = guestlist
        .approve(&owner("bravo"), &org("bravo"), &user_member("late"))
        .await;
    let _ = guestlist
        .remove(&alice, &host, &user_member("u1"), None)
        .await;
    let _ = guestlist
        .add_member(
            &alice,
            &host,
            &user_member("u2"),
            guestlist::Preset::default(),
            None,
        )
        .await;
}

/// A token opens what it was made for, if it opens anything.
async fn tokens_are_bound(guestlist: &Guestlist<SqliteStore>, known: &Known, what: &str) {
    for (token, name) in known.tokens.iter().zip(["host", "bravo"]) {
        if let Ok(preview) = guestlist.preview(token).await {
            // The name of an organization is in its own row, where anybody may write another one.
            let is_its_own = preview.host_name.as_str() == name;
            assert!(
                is_its_own || what.starts_with("guestlist_organizations"),
                "{what}"
            );
        }
    }
    assert!(guestlist.preview(&known.forged).await.is_err(), "{what}");
}

/// The chain is intact if and only if the log says what it said.
async fn the_log_is_held(guestlist: &Guestlist<SqliteStore>, known: &Known, what: &str) -> bool {
    let bare = |log: &[Recorded]| {
        let without_marks = log.iter().cloned().map(|mut recorded| {
            recorded.erased = None;
            recorded
        });
        without_marks.collect::<Vec<_>>()
    };
    let log = guestlist.feed(None, 10_000).await.map(|page| page.events);
    let is_same = log.as_ref().is_ok_and(|log| *log == known.log);
    let tells_the_same = log.as_ref().is_ok_and(|log| bare(log) == bare(&known.log));
    let report = guestlist.verify_audit(Some(&known.head)).await;
    let intact = report.is_ok_and(|report| report.intact);
    assert!(intact || !is_same, "the chain is broken by nothing: {what}");
    assert!(
        !intact || tells_the_same,
        "the chain holds over another log: {what}"
    );
    !intact
}

#[tokio::test]
async fn whatever_is_written_by_hand_is_refused_found_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let known = prepare(&folder.path().join("known.db")).await;
    let seed: u64 = std::env::var("GUESTLIST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let (mut taken, mut refused, mut broken) = (0, 0, 0);
    let rounds = rounds(ROUNDS);
    for round in 0..rounds {
        let mut dice = Dice(ChaCha20Rng::seed_from_u64(
            seed.wrapping_mul(1 << 32) + round as u64,
        ));
        let path = folder.path().join("tampered.db");
        std::fs::write(&path, &known.bytes).unwrap();
        let (what, is_taken) = {
            let connection = Connection::open(&path).unwrap();
            tamper(&connection, &mut dice)
        };
        eprintln!("seed {seed}, round {round}: {what}");
        if is_taken {
            taken += 1;
            let guestlist = over(SqliteStore::open(&path).unwrap(), &clock(), 8);
            broken += usize::from(the_log_is_held(&guestlist, &known, &what).await);
            tokens_are_bound(&guestlist, &known, &what).await;
            use_it(&guestlist, &known).await;
        } else {
            refused += 1;
        }
        for file in ["tampered.db", "tampered.db-wal", "tampered.db-shm"] {
            let _ = std::fs::remove_file(folder.path().join(file));
        }
    }
    if rounds >= ROUNDS {
        assert!(
            taken > 20 && refused > 20 && broken > 5,
            "{taken} {refused} {broken}"
        );
    }
}
