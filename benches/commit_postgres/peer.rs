//! The same job with Better Auth's organization plugin, on the same server, in turns.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use core::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use guestlist_benches::{Case, Run, Target, side_by_side, spread};
use guestlist_testkit::postgres::Server;

use crate::world::{Bench, Section};
use crate::{ALONE_LIMITED, TOGETHER_LIMITED};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/better-auth");
const BETTER_AUTH: &str = "Better Auth: accepted invitations";

fn is_there(program: &str) -> bool {
    let version = Command::new(program).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// The other program, which makes a round for each line.
struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    p99: Vec<f64>,
}

impl Peer {
    fn start(address: &str, millis: usize) -> Option<Self> {
        let mut child = Command::new(Path::new(FOLDER).join("run.sh"))
            .args([address, "--serve", "--millis", &millis.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let (input, output) = (child.stdin.take()?, child.stdout.take()?);
        let mut peer = Self {
            child,
            input,
            output: BufReader::new(output),
            p99: Vec::new(),
        };
        loop {
            let line = peer.line()?;
            if line == "ready" {
                return Some(peer);
            }
            println!("{line}");
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim().to_owned())
    }

    fn ask(&mut self, what: &str) -> Vec<f64> {
        writeln!(self.input, "{what}").expect("the other program runs");
        let line = self.line().expect("the other program answers");
        let numbers = line.split(' ').skip(1);
        numbers
            .map(|number| number.parse().expect("it answers with numbers"))
            .collect()
    }

    fn round(&mut self) -> f64 {
        let [rate, _, p99] = self.ask("round")[..] else {
            panic!("a round has three numbers");
        };
        self.p99.push(p99);
        rate
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "end");
        let _ = self.child.wait();
    }
}

/// Joins per second, 32 at once, and whether a limit of two holds.
pub(crate) fn peer(run: &mut Run, bench: &Bench<'_>, server: &Server) {
    println!("\nBetter Auth on the same server");
    if !is_there("node") || !is_there("npm") {
        println!("  not measured: install Node 20 or newer with npm to measure it");
        return;
    }
    let millis = run.size(500, 2_000);
    let database = server.create_database().expect("the server runs");
    let Some(peer) = Peer::start(&database.url(), millis) else {
        println!("  not measured: it doesn't start; run `npm ci` in benches/peers/better-auth");
        return;
    };
    let peer = RefCell::new(peer);
    let section = Section::new(bench, 32, 32);
    section.warm_up(&[ALONE_LIMITED, TOGETHER_LIMITED], run.size(12, 64));
    let measured = side_by_side(
        "Joining, 32 at once on 32 connections, one organization",
        "per second",
        run.size(1, 9),
        vec![
            Case::new(BETTER_AUTH, || peer.borrow_mut().round()),
            Case::new(ALONE_LIMITED, || {
                section.rate(ALONE_LIMITED, bench.time).per_second
            }),
            Case::new(TOGETHER_LIMITED, || {
                section.rate(TOGETHER_LIMITED, bench.time).per_second
            }),
        ],
    );
    let mut peer = peer.into_inner();
    println!(
        "  {BETTER_AUTH}: p99 {} us",
        spread(peer.p99.get(1..).unwrap_or_default())
    );
    section.print_latencies(&[ALONE_LIMITED, TOGETHER_LIMITED]);
    for case in [ALONE_LIMITED, TOGETHER_LIMITED] {
        run.target(
            &format!("{case}, times Better Auth"),
            measured.ratio(case, BETTER_AUTH),
            Target::AtLeast(5.0),
        );
    }
    let [exceeded, tries, most] = peer.ask("wrong")[..] else {
        panic!("an answer has three numbers");
    };
    println!(
        "  Better Auth, at most two members, the founder among them, four accept at once: exceeded \
         in {exceeded} of {tries} tries, {most} members at most"
    );
    let tries = run.size(5, 20);
    let exceeded = section.four_at_once(tries);
    println!(
        "  guestlist, a link for two, four claim at once: exceeded in {exceeded} of {tries} tries"
    );
    section.check_counters();
}
