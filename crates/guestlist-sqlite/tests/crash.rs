//! What was acknowledged is there after a crash, and nothing is there by half.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, thread};

use common::*;
use guestlist_sqlite::SqliteStore;
use guestlist_store::{Committed, EventFilter, MemberFilter, Page, Query, Store};
use guestlist_types::{Member, OrgId, Timestamp};

/// Not a test by itself: the process that is killed. Four threads commit until the end, or until
/// they can't.
#[test]
fn child() {
    let Ok(path) = env::var("GUESTLIST_CRASH") else {
        return;
    };
    let store = SqliteStore::open(path).unwrap();
    let threads: Vec<_> = (0..4_u64)
        .map(|number| {
            let store = store.clone();
            thread::spawn(move || {
                let host = org("org_1");
                for id in (number * 1_000_000).. {
                    let sent = joining(id, &host, &user(&format!("user_{id}")));
                    let committed = block_on(store.commit(&[sent]));
                    let mut out = std::io::stdout().lock();
                    match committed {
                        Ok(outcomes) => {
                            assert_eq!(outcomes, [Committed::Applied]);
                            writeln!(out, "ack user_{id}").unwrap();
                        }
                        Err(error) => {
                            writeln!(out, "refused {error:?}").unwrap();
                            break;
                        }
                    }
                    out.flush().unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// The members, after holding everything else against them.
fn members(path: &Path) -> Vec<Member> {
    let store = SqliteStore::open(path).unwrap();
    let host: OrgId = org("org_1");
    let mut members = Vec::new();
    let mut page = Page::first(1_000).unwrap();
    loop {
        let query = Query::Members {
            host: host.clone(),
            filter: MemberFilter::default(),
        };
        let listed = block_on(store.list(&query, &page, Timestamp::MAX)).unwrap();
        members.extend(listed.rows.iter().filter_map(|(key, _)| match key {
            guestlist_membership::RowKey::Membership(_, member) => Some(member.clone()),
            _ => None,
        }));
        match listed.next {
            Some(next) => page = page.after(next),
            None => break,
        }
    }
    let page = block_on(store.events(&EventFilter::default(), None, u32::MAX)).unwrap();
    let mut told: Vec<Member> = page
        .events
        .iter()
        .filter_map(|recorded| recorded.event.member().cloned())
        .collect();
    for (position, recorded) in (1..).zip(&page.events) {
        assert_eq!(
            (recorded.sequence.commit, recorded.sequence.ordinal),
            (position, 0)
        );
    }
    told.sort();
    assert_eq!(told, members, "the log and the rows say the same");
    // Each of them is known by its commit, too.
    for recorded in &page.events {
        let member = recorded.event.member().unwrap();
        let id = u64::from_be_bytes(*recorded.commit.as_bytes().last_chunk().unwrap());
        let sent = joining(id, &host, member);
        let kept = Committed::AlreadyApplied(sent.receipt.clone().unwrap());
        assert_eq!(block_on(store.commit(&[sent])).unwrap(), [kept]);
    }
    members
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    for round in 0..usize::try_from(rounds(12)).unwrap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--quiet"])
            .env("GUESTLIST_CRASH", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acks = |line: std::io::Result<String>| {
            line.ok()?
                .split_once("ack ")
                .map(|(_, member)| user(member))
        };
        let mut acknowledged: Vec<Member> = lines
            .by_ref()
            .filter_map(acks)
            .take(1 + round % 12 * 7)
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.filter_map(acks));
        let members = members(&path);
        for member in acknowledged {
            assert!(members.contains(&member), "{member} was acknowledged");
        }
    }
}

/// No file may become larger than it is allowed to, wherever that limit is met: in the log of the
/// engine, or when it goes into the database.
#[test]
fn a_full_disk_keeps_what_was_acknowledged() {
    let (seed, mut acknowledged) = (seed(), 0);
    for round in 0..rounds(8) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        drop(SqliteStore::open(&path).unwrap());
        let blocks = fs::metadata(&path).unwrap().len() / 512 + 1;
        let limit = blocks + chance(seed, round, 12_000);
        // A file that is too large is an error instead of the end of the process.
        let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--quiet"])
            .env("GUESTLIST_CRASH", &path)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let refused = said.lines().filter(|line| line.contains("refused "));
        assert_eq!(refused.count(), 4, "seed {seed}, round {round}: {said}");
        let members = members(&path);
        let acks = said.lines().filter_map(|line| line.split_once("ack "));
        for (_, member) in acks {
            acknowledged += 1;
            assert!(members.contains(&user(member)), "seed {seed}: {member}");
        }
    }
    assert!(acknowledged > 0);
}

/// The log of the engine is cut anywhere, or a bit of it is turned: a prefix of the commits is
/// left, whole.
#[test]
fn a_torn_log_leaves_whole_commits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let store = SqliteStore::open(&path).unwrap();
    let host = org("org_1");
    for id in 0..30 {
        let sent = joining(id, &host, &user(&format!("user_{id}")));
        assert_eq!(
            block_on(store.commit(&[sent])).unwrap(),
            [Committed::Applied]
        );
    }
    // As a crash would leave them: the store is still open.
    let file = fs::read(&path).unwrap();
    let log = fs::read(folder.path().join("app.db-wal")).unwrap();
    drop(store);
    let mut lengths = Vec::new();
    let seed = seed();
    for step in 0..rounds(120) {
        let at = chance(seed, 2 * step, log.len() as u64 + 1);
        let (cut, bit) = (usize::try_from(at).unwrap(), chance(seed, 2 * step + 1, 8));
        let mut log = log.clone();
        if step % 2 == 0 {
            log.truncate(cut);
        } else if let Some(byte) = log.get_mut(cut) {
            *byte ^= 1 << bit;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        fs::write(&path, &file).unwrap();
        fs::write(folder.path().join("app.db-wal"), &log).unwrap();
        let mut expected: Vec<Member> = (0..30).map(|id| user(&format!("user_{id}"))).collect();
        let members = members(&path);
        expected.truncate(members.len());
        expected.sort();
        assert_eq!(members, expected, "a prefix, seed {seed}, step {step}");
        lengths.push(members.len());
    }
    lengths.sort_unstable();
    lengths.dedup();
    // So many come to nearly every length.
    assert!(rounds(120) < 120 || lengths.len() > 20, "{lengths:?}");
}
