//! Where the time of a claim goes.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use core::time::Duration;
use std::fs;

use guestlist_benches::{Run, count, number};
use guestlist_testkit::postgres::Server;
use rustix::time::{ClockId, clock_gettime};

use crate::ALL;
use crate::world::{Bench, Section};

/// The CPU time of this process, in microseconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "differences of microseconds are far below 2^53"
)]
fn client() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    (time.tv_sec * 1_000_000 + time.tv_nsec / 1_000) as f64
}

/// The CPU time of all processes of the server that live, in microseconds. Ticks of 10 ms.
fn serving(server: &Server) -> f64 {
    let postmaster = server.pid().expect("the server runs").to_string();
    let mut ticks = 0.0;
    for entry in fs::read_dir("/proc").expect("this is Linux").flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let Some((_, fields)) = stat.rsplit_once(") ") else {
            continue;
        };
        let fields: Vec<&str> = fields.split(' ').collect();
        if fields.get(1) == Some(&&*postmaster) {
            let tick = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok());
            ticks += tick(11).unwrap_or(0.0) + tick(12).unwrap_or(0.0);
        }
    }
    ticks * 10_000.0
}

/// Prints for each case what one operation costs: on the client, on the server, and there by
/// statement.
pub(crate) fn explain(run: &Run, bench: &Bench<'_>, server: &Server) {
    bench.one("create extension pg_stat_statements");
    let time = Duration::from_millis(run.size(300, 5_000) as u64);
    for tasks in [1, 32] {
        let section = Section::new(bench, tasks, tasks);
        section.warm_up(&ALL, run.size(12, 64));
        println!("\nWhere the time goes, {tasks} tasks, {tasks} connections [us per operation]");
        println!("  statistics of statements cost some themselves");
        for name in ALL {
            bench.one("select pg_stat_statements_reset()");
            let before = (client(), serving(server));
            let rate = section.rate(name, time);
            let done = count(rate.done);
            println!(
                "  {name}: {} per second, {} us each on the wall; CPU of the client {}, of the server {}",
                number(rate.per_second),
                number(1e6 / rate.per_second),
                number((client() - before.0) / done),
                number((serving(server) - before.1) / done)
            );
            let statements = bench.one(&format!(
                "select string_agg(line, E'\\n') from (select format('      %s calls, planning %s, \
                 execution %s, %s bytes of log: %s', round(calls::numeric / {done}, 3), \
                 round((total_plan_time * 1e3 / {done})::numeric, 1), \
                 round((total_exec_time * 1e3 / {done})::numeric, 1), \
                 round((wal_bytes / {done})::numeric), \
                 left(regexp_replace(query, '\\s+', ' ', 'g'), 60) \
                 || '.. ' || length(query) || ' characters') as line \
                 from pg_stat_statements where query not like '%pg_stat_statements%' \
                 order by total_plan_time + total_exec_time desc limit 8) lines"
            ));
            println!("{statements}");
        }
    }
}
