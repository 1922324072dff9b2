//! What claims on PostgreSQL cost, beside the bare limit of the same server; what reads cost as a
//! host grows; and what another library takes for the same job.
//!
//! ```text
//! cargo bench -p guestlist-benches --bench commit_postgres [-- OPTIONS]
//!   --quick         a smoke run; its numbers say nothing
//!   --disk-ms 1     a commit takes a millisecond, as on a network disk
//!   --explain       where the time goes, statement by statement, instead of the comparison
//!   --growth        1,000 to 1,000,000 memberships of one host, and 10,000 hosts, instead
//!   --growth-max    the same up to 10,000,000
//!   --peer          only the comparison with Better Auth
//! ```

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

mod explain;
mod growth;
mod peer;
mod world;

use std::env;

use guestlist_benches::{Case, Run, Target, micros, number, quantile, side_by_side};
use guestlist_testkit::postgres::Server;
use tokio::runtime;

use crate::world::{Bench, Section, limits_are_exact};

const RAW: &str = "raw: one insert";
const HAND: &str = "by hand, many statements, a link each";
const ALONE_EACH: &str = "one by one, a link each";
const ALONE_OPEN: &str = "one by one, one unlimited link";
const ALONE_LIMITED: &str = "one by one, one limited link";
const TOGETHER_EACH: &str = "together, a link each";
const TOGETHER_OPEN: &str = "together, one unlimited link";
const TOGETHER_LIMITED: &str = "together, one limited link";

const ALL: [&str; 8] = [
    RAW,
    HAND,
    ALONE_EACH,
    ALONE_OPEN,
    ALONE_LIMITED,
    TOGETHER_EACH,
    TOGETHER_OPEN,
    TOGETHER_LIMITED,
];

fn given(option: &str) -> bool {
    env::args().any(|argument| argument == option)
}

/// How many milliseconds a commit is to take, if it is not what the disk here takes.
fn disk_ms() -> u32 {
    let mut arguments = env::args().skip_while(|argument| argument != "--disk-ms");
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(value)) => value.parse().expect("--disk-ms takes whole milliseconds"),
        (Some(_), None) => panic!("--disk-ms takes whole milliseconds"),
        (None, _) => 0,
    }
}

/// The comparison at so many tasks, each with a connection.
fn commits(run: &mut Run, bench: &Bench<'_>, tasks: usize, disk_ms: u32) {
    let repeats = run.size(1, 9);
    let section = Section::new(bench, tasks, tasks);
    section.warm_up(&ALL, run.size(12, 64));
    let time = bench.time;
    let cases = ALL.map(|name| Case::new(name, || section.rate(name, time).per_second));
    let measured = side_by_side(
        &format!("PostgreSQL, {tasks} tasks, {tasks} connections"),
        "per second",
        repeats,
        cases.into(),
    );
    section.print_latencies(&ALL);
    let disk = if disk_ms == 0 {
        String::new()
    } else {
        format!(", a commit of {disk_ms} ms")
    };
    let mut target = |what: &str, case: &str, to: &str, wanted: Target| {
        let what = format!("{tasks} tasks{disk}: {what}");
        run.target(&what, measured.ratio(case, to), wanted);
    };
    let at_least = Target::AtLeast;
    match (tasks, disk_ms) {
        (1, 0) => target("one by one, of raw", ALONE_EACH, RAW, at_least(0.50)),
        (32, 0) => {
            target("one by one, of raw", ALONE_EACH, RAW, at_least(0.40));
            let unlimited = "one by one, one unlimited link, of a link each";
            target(unlimited, ALONE_OPEN, ALONE_EACH, at_least(0.95));
            let limited = "together, one limited link, of raw";
            target(limited, TOGETHER_LIMITED, RAW, at_least(1.0));
            let each = "together, a link each, of raw";
            target(each, TOGETHER_EACH, RAW, at_least(1.0));
            run.target(
                "32 tasks: p99 together, a link each, of one by one",
                section.p99_ratio(TOGETHER_EACH, ALONE_EACH),
                Target::AtMost(1.0),
            );
        }
        (32, _) => {
            target("one by one, of raw", ALONE_EACH, RAW, at_least(0.85));
            let limited = "together, one limited link, of raw";
            target(limited, TOGETHER_LIMITED, RAW, at_least(0.85));
        }
        _ => {}
    }
    section.check();
}

/// More tasks than connections.
fn crowd(run: &mut Run, bench: &Bench<'_>) {
    let repeats = run.size(1, 9);
    let few = Section::new(bench, 32, 32);
    let many = Section::new(bench, 128, 32);
    few.warm_up(&[RAW], run.size(12, 64));
    many.warm_up(
        &[TOGETHER_EACH, TOGETHER_OPEN, TOGETHER_LIMITED],
        run.size(12, 64),
    );
    let time = bench.time;
    let mut cases = vec![Case::new(RAW, || few.rate(RAW, time).per_second)];
    for name in [TOGETHER_EACH, TOGETHER_OPEN, TOGETHER_LIMITED] {
        let many = &many;
        cases.push(Case::new(name, move || many.rate(name, time).per_second));
    }
    let measured = side_by_side(
        "PostgreSQL, 32 connections; raw 32 tasks, all others 128",
        "per second",
        repeats,
        cases,
    );
    many.print_latencies(&[TOGETHER_EACH, TOGETHER_OPEN, TOGETHER_LIMITED]);
    run.target(
        "128 tasks on 32 connections: together, one limited link, of raw",
        measured.ratio(TOGETHER_LIMITED, RAW),
        Target::AtLeast(1.0),
    );
    run.target(
        "128 tasks on 32 connections: together, a link each, of raw",
        measured.ratio(TOGETHER_EACH, RAW),
        Target::AtLeast(1.0),
    );
    many.check();
}

/// One call at a time, in turns of a tenth of all calls.
fn latencies(run: &Run, bench: &Bench<'_>) {
    let turns = 10;
    let calls = run.size(5, 1_000);
    println!(
        "\nLatency on PostgreSQL, one at a time [us; {} calls each, in {turns} turns]",
        turns * calls
    );
    let section = Section::new(bench, 1, 1);
    section.warm_up(&ALL, run.size(12, 200));
    let mut cases = section.single_calls();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    for turn in 0..=turns {
        for ((_, call), times) in cases.iter_mut().zip(&mut times) {
            for _ in 0..calls {
                let (time, ()) = micros(&mut *call);
                if turn > 0 {
                    times.push(time);
                }
            }
        }
    }
    let trip = quantile(&times[0], 0.5);
    for ((name, _), times) in cases.iter().zip(&times) {
        let [p50, p99] = [0.5, 0.99].map(|part| quantile(times, part));
        println!(
            "  {name:38} p50 {:>6}  p99 {:>6}  p50 in round trips {}",
            number(p50),
            number(p99),
            number(p50 / trip)
        );
    }
}

fn main() {
    let mut run = Run::start("commit_postgres");
    let disk_ms = disk_ms();
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started");
    let mut server = Server::builder()
        .fsync(true)
        .max_connections(300)
        .setting("shared_buffers", "512MB")
        .setting("max_wal_size", "8GB")
        .setting("checkpoint_timeout", "30min");
    if disk_ms > 0 {
        // Whoever flushes waits that long with the lock held, also if nobody else commits.
        server = server
            .setting("commit_delay", (disk_ms * 1_000).to_string())
            .setting("commit_siblings", "0");
    }
    if given("--explain") {
        server = server
            .setting("shared_preload_libraries", "pg_stat_statements")
            .setting("pg_stat_statements.track_planning", "on")
            .setting("pg_stat_statements.track", "top");
    }
    let server = server.start().expect("PostgreSQL is installed");
    let time = run.size(100, 1_000);
    let bench = Bench::new(&server, &runtime, time);
    println!(
        "{}, sqlx 0.9, tokio with 2 workers",
        bench.one("select version()")
    );
    println!(
        "fsync {}, synchronous_commit {}, shared_buffers {}, wal on the same disk, {time} ms a round",
        bench.one("show fsync"),
        bench.one("show synchronous_commit"),
        bench.one("show shared_buffers"),
    );
    let lone = bench.lone_commit(run.size(50, 500));
    println!(
        "one bare insert alone, nobody else: p50 {} us",
        number(lone)
    );
    if disk_ms > 0 {
        assert!(
            lone >= f64::from(disk_ms) * 1e3,
            "commit_delay doesn't delay a lone commit here"
        );
        println!(
            "a commit takes {disk_ms} ms more, simulated: commit_delay={}, commit_siblings=0",
            disk_ms * 1_000
        );
    }

    if given("--explain") {
        explain::explain(&run, &bench, &server);
    } else if given("--growth") || given("--growth-max") {
        growth::growth(&mut run, &server, &runtime, given("--growth-max"));
    } else if given("--peer") {
        peer::peer(&mut run, &bench, &server);
    } else {
        for tasks in [1, 8, 32] {
            commits(&mut run, &bench, tasks, disk_ms);
        }
        crowd(&mut run, &bench);
        latencies(&run, &bench);
        limits_are_exact(&bench);
        peer::peer(&mut run, &bench, &server);
    }
    run.finish();
}
