//! Any list of events folds, twice to the same rows, and the same after it was stored: as JSON and
//! in the binary form. Lists are made of what happened in a small world, left out, repeated and
//! swapped; and of any bytes that read as events.

#![no_main]

use arbitrary::Arbitrary;
use guestlist_fuzz::Few;
use guestlist_membership::{By, Event, Records, Row, RowKey, Stamp, evolve};
use guestlist_testkit::fuzzing::{Step, populated};
use guestlist_types::{OrgId, Timestamp, UserId};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Arbitrary, Debug)]
struct Replay<'a> {
    steps: Few<Step>,
    changes: Few<Change>,
    raw: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Change {
    LeaveOut(u8),
    Repeat { from: u8, to: u8 },
    Swap(u8, u8),
    Elsewhere { at: u8, host: u8 },
    At { at: u8, micros: i64 },
    By { at: u8, who: u8 },
}

type Entry = (OrgId, Stamp, Event);

fuzz_target!(|replay: Replay<'_>| {
    let mut world = populated();
    for step in &replay.steps.0 {
        let (host, actor, command) = step.spell(&mut world);
        let _ = world.run(&host, &actor, &command);
    }
    let mut log: Vec<Entry> = world.log().to_vec();
    // Two readings, as stores and clients give them.
    if let Ok(entry) = postcard::from_bytes::<Vec<Entry>>(replay.raw) {
        log.extend(entry.into_iter().take(16));
    }
    if let Ok(event) = serde_json::from_slice::<Event>(replay.raw)
        && let Some((host, stamp, _)) = log.first().cloned()
    {
        log.push((host, stamp, event));
    }
    for change in &replay.changes.0 {
        apply(&mut log, change);
    }

    let rows = fold(&log);
    assert_eq!(fold(&log), rows, "folding is deterministic");
    let json: Vec<Entry> = log.iter().map(through_json).collect();
    assert_eq!(json, log, "an event comes back from JSON");
    let bytes: Vec<Entry> = log.iter().map(through_bytes).collect();
    assert_eq!(bytes, log, "an event comes back from bytes");
    assert_eq!(fold(&bytes), rows);
    for entry @ (_, _, event) in &log {
        assert!(!event.name().is_empty());
        let _ = (event.member(), event.link(), event.invite());
        assert_eq!(&through_bytes(entry), entry);
    }
    for (key, row) in &rows {
        assert_eq!(&through_json(key), key);
        assert_eq!(&through_json(row), row, "a row comes back from JSON");
        assert_eq!(&through_bytes(key), key);
        assert_eq!(&through_bytes(row), row, "a row comes back from bytes");
    }
});

fn fold(log: &[Entry]) -> Vec<(RowKey, Row)> {
    let mut records = Records::new();
    for (host, stamp, event) in log {
        evolve(&mut records, host, stamp, event);
    }
    records
        .iter()
        .map(|(key, row)| (key.clone(), row.clone()))
        .collect()
}

fn through_json<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("it is stored");
    serde_json::from_str(&text).expect("it comes back")
}

fn through_bytes<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let bytes = postcard::to_stdvec(value).expect("it is stored");
    postcard::from_bytes(&bytes).expect("it comes back")
}

fn apply(log: &mut Vec<Entry>, change: &Change) {
    if log.is_empty() || log.len() > 256 {
        return;
    }
    let len = log.len();
    let index = |at: &u8| usize::from(*at) % len;
    match change {
        Change::LeaveOut(at) => {
            log.remove(index(at));
        }
        Change::Repeat { from, to } => {
            let entry = log[index(from)].clone();
            log.insert(index(to), entry);
        }
        Change::Swap(one, other) => log.swap(index(one), index(other)),
        Change::Elsewhere { at, host } => {
            log[index(at)].0 = guestlist_membership::testing::org(host % 5);
        }
        Change::At { at, micros } => log[index(at)].1.at = Timestamp::from_micros(*micros),
        Change::By { at, who } => {
            log[index(at)].1.by = match who % 4 {
                0 => By::Policy,
                1 => By::Clock,
                2 => By::System,
                _ => By::User {
                    user: UserId::parse(&format!("user_{who}")).expect("plain"),
                    organization: None,
                },
            };
        }
    }
}
