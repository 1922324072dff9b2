//! `kill -9` in the middle of work: what was acknowledged is there, nothing is half there, and a
//! consumer of the feed has seen everything up to where it acknowledged.
//!
//! Runs itself as the child that is killed, so it has its own `main`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails where it is wrong, and this one has its own `main`"
)]

use core::ops::Range;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use guestlist::membership::link::UseState;
use guestlist::membership::{Records, Row, RowKey, evolve};
use guestlist::store::Query;
use guestlist::{
    Actor, Claim, Consumer, EventFilter, Guestlist, LinkDraft, LinkFilter, Member, MemberFilter,
    NewOrganization, OrgId, Page, Pepper, PepperId, PepperRing, Store, Timestamp, Uses,
};
use guestlist_sqlite::SqliteStore;

/// How often the child is killed, on one database: so often, or on several as often as
/// `GUESTLIST_ROUNDS` says.
const ROUNDS: u32 = 100;

/// Tasks that claim at the same time, so that commits are flushed together.
const TASKS: u32 = 8;

fn open(path: &Path) -> Guestlist<SqliteStore> {
    let peppers = PepperRing::new(PepperId::new(1), Pepper::from_bytes(&[1; 32]).unwrap());
    Guestlist::new(SqliteStore::open(path).unwrap(), peppers)
}

fn host() -> OrgId {
    OrgId::parse("host").unwrap()
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    match (
        arguments.next().as_deref(),
        arguments.next(),
        arguments.next(),
    ) {
        (Some("--child"), Some(path), Some(round)) => {
            runtime.block_on(child(Path::new(&path), &round));
            ExitCode::SUCCESS
        }
        // Runners that list tests first are told that there is one.
        (Some("--list"), ..) => {
            println!("kill_nine: test");
            ExitCode::SUCCESS
        }
        _ if !is_wanted(std::env::args().skip(1)) => {
            println!(
                "\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out"
            );
            ExitCode::SUCCESS
        }
        _ => {
            let rounds = std::env::var("GUESTLIST_ROUNDS");
            let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
            let databases = (0..rounds).step_by(ROUNDS as usize);
            let acknowledged: usize = databases
                .map(|first| runtime.block_on(kill(first..rounds.min(first + ROUNDS))))
                .sum();
            println!("\nkill -9: {rounds} rounds, {acknowledged} acknowledged claims, none lost");
            println!(
                "\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"
            );
            ExitCode::SUCCESS
        }
    }
}

/// Whether the only test is among those that are asked for, as test programs understand it.
fn is_wanted(mut arguments: impl Iterator<Item = String>) -> bool {
    let mut names = Vec::new();
    let mut exact = false;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--exact" => exact = true,
            // What comes next is its value.
            "--color" | "--format" | "--logfile" | "--skip" | "--test-threads" | "-Z" => {
                arguments.next();
            }
            option if option.starts_with('-') => {}
            _ => names.push(argument),
        }
    }
    let fits = |name: &String| {
        if exact {
            name == "kill_nine"
        } else {
            "kill_nine".contains(name.as_str())
        }
    };
    names.is_empty() || names.iter().any(fits)
}

fn reader<S: Store>(guestlist: &Guestlist<S>) -> Consumer<'_, S> {
    guestlist.consumer("reader".parse().unwrap(), EventFilter::default())
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Reads the feed, and tells of each event before it acknowledges it.
async fn read(guestlist: &Guestlist<SqliteStore>) {
    let reader = reader(guestlist);
    loop {
        let batch = reader.next(20).await.unwrap();
        for recorded in &batch.events {
            tell(&format!("{SEEN}{:?}", recorded.sequence));
        }
        reader.acknowledge(batch.end).await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// What a line begins with that tells of an event.
const SEEN: &str = "seen ";

/// Claims, and tells of each one that was acknowledged, until it is killed.
async fn child(path: &Path, round: &str) {
    let guestlist = Arc::new(open(path));
    let reading = Arc::clone(&guestlist);
    tokio::spawn(async move { read(&reading).await });
    let owner = Actor::user("owner".parse().unwrap()).in_organization(host());
    let draft = LinkDraft::auto().max_uses(Uses::AtMost(1_000_000));
    let issued = guestlist.create_link(&owner, &host(), draft).await.unwrap();
    let token = Arc::new(issued.token.unwrap());
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (guestlist, token, round) =
                (Arc::clone(&guestlist), Arc::clone(&token), round.to_owned());
            tokio::spawn(async move {
                for number in 0_u32.. {
                    let user = format!("u-{round}-{task}-{number}");
                    let actor = Actor::user(user.parse().unwrap());
                    guestlist
                        .claim(&actor, &token, Claim::for_myself())
                        .await
                        .unwrap();
                    tell(&user);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// How many claims were acknowledged in these rounds.
async fn kill(rounds: Range<u32>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crash.db");
    {
        let guestlist = open(&path);
        let new = NewOrganization::new(host(), "host".parse().unwrap());
        guestlist
            .register(new.founder("owner".parse().unwrap()))
            .await
            .unwrap();
    }
    let (mut acknowledged, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for round in rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--child".as_ref(),
                path.as_os_str(),
                round.to_string().as_ref(),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after another number of answers each time, in the middle of the next ones.
        for _ in 0..=(round * 7 % 80) {
            let line = lines.next().expect("the child works until it is killed");
            sort(line.unwrap(), &mut acknowledged, &mut seen);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had still said before it died was acknowledged as well; a short line is written
        // to a pipe whole or not at all.
        for line in lines.map_while(Result::ok) {
            sort(line, &mut acknowledged, &mut seen);
        }
        check(&path, &acknowledged, &seen).await;
    }
    acknowledged.len()
}

fn sort(line: String, acknowledged: &mut BTreeSet<String>, seen: &mut BTreeSet<String>) {
    match line.strip_prefix(SEEN) {
        Some(sequence) => seen.insert(sequence.to_owned()),
        None => acknowledged.insert(line),
    };
}

/// Nothing acknowledged is lost, nothing is half applied, and the log folds to what is stored.
async fn check(path: &Path, acknowledged: &BTreeSet<String>, seen: &BTreeSet<String>) {
    let guestlist = open(path);
    let read_up_to = reader(&guestlist).position().await.unwrap();
    let mut folded = Records::new();
    let mut after = None;
    loop {
        let page = guestlist.feed(after.as_ref(), 1000).await.unwrap();
        if page.events.is_empty() {
            break;
        }
        for recorded in &page.events {
            assert!(
                recorded.sequence > read_up_to
                    || seen.contains(&format!("{:?}", recorded.sequence)),
                "{:?} was acknowledged and never seen",
                recorded.sequence
            );
            evolve(
                &mut folded,
                &recorded.organization,
                &recorded.stamp,
                &recorded.event,
            );
        }
        after = page.next;
    }
    let mut members = BTreeSet::new();
    let query = Query::Members {
        host: host(),
        filter: MemberFilter::default(),
    };
    for (key, row) in all(&guestlist, &query).await {
        assert_eq!(
            folded.get(&key),
            Some(&row),
            "a membership that its events don't tell of"
        );
        let RowKey::Membership(_, Member::User(user)) = key else {
            continue;
        };
        members.insert(user.as_str().to_owned());
    }
    let told = folded
        .iter()
        .filter(|(key, _)| matches!(key, RowKey::Membership(..)))
        .count();
    assert_eq!(told, members.len(), "events without their membership");
    for user in acknowledged {
        // A line can be cut off by the kill; whole ones were acknowledged.
        assert!(
            members.contains(user) || user.split('-').count() < 4,
            "{user} is lost"
        );
    }
    let owner = Actor::user("owner".parse().unwrap()).in_organization(host());
    let page = Page::first(1000).unwrap();
    let links = guestlist
        .links(&owner, &host(), LinkFilter::default(), &page)
        .await
        .unwrap();
    let mut counted = 0;
    for listing in links.links {
        let query = Query::Uses {
            host: host(),
            link: listing.link.id,
        };
        let uses = all(&guestlist, &query).await;
        assert_eq!(
            listing.uses,
            Some(uses.len() as u64),
            "a counter without its uses"
        );
        for (key, row) in uses {
            assert_eq!(
                folded.get(&key),
                Some(&row),
                "a use that its events don't tell of"
            );
            assert!(matches!(row, Row::LinkUse(held) if held.state == UseState::Settled));
            counted += 1;
        }
    }
    assert_eq!(
        counted + 1,
        members.len(),
        "every member but the founder has one use"
    );
}

async fn all(guestlist: &Guestlist<SqliteStore>, query: &Query) -> Vec<(RowKey, Row)> {
    let mut rows = Vec::new();
    let mut page = Page::first(1000).unwrap();
    loop {
        let listed = guestlist
            .store()
            .list(query, &page, Timestamp::MAX)
            .await
            .unwrap();
        rows.extend(listed.rows);
        match listed.next {
            Some(next) => page = page.after(next),
            None => return rows,
        }
    }
}
