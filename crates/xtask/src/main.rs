//! The project's own commands, run as `cargo xtask <command>`.
//!
//! `cargo xtask test` runs every check of the project in order and stops at the first failure.
//! Everything a continuous integration run does is in here, so that anybody can run the same.
//!
//! `cargo xtask soak` runs the tests that race, crash and fuzz for hours, and keeps a ledger of it.
//!
//! `cargo xtask defects` puts defects into a copy of the sources, which the tests have to notice.
//!
//! `cargo xtask assurance` writes down what both have come to.
//!
//! `cargo xtask miri`, `cargo xtask loom` and `cargo xtask sanitize` run tests under tools that see
//! more.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool prints"
)]

mod assurance;
mod defects;
mod invariants;
mod ledger;
mod soak;
mod steps;
mod tools;

use std::{
    path::Path,
    process::ExitCode,
    slice,
    time::{Duration, Instant},
};

use steps::{Outcome, STEPS, Step};

const USAGE: &str = "\
usage: cargo xtask test [--only STEP] [--list]
       cargo xtask soak --tier night|release [--only ROW] [--minutes N]
       cargo xtask soak --list
       cargo xtask defects [--only DEFECT] [--list]
       cargo xtask assurance
       cargo xtask miri|loom|sanitize [--only PACKAGE]

  test          run every step in order, stop at the first failure
  --only STEP   run this one step
  --list        print the steps and what they run, run nothing

  soak          run the tests that race, crash and fuzz, in pieces; each piece is a line in
                docs/soak-ledger.jsonl, and the same command goes on where the last one ended;
                what the tests of a failing piece printed is kept in target/soak
  --tier TIER   how much there is to do in all: night or release
  --only ROW    this row only, of those that `soak --list` prints
  --minutes N   begin no piece after so many minutes

  defects       put each defect into a copy of the sources and run the test that has to notice it;
                what came of it is a line in docs/defects-ledger.jsonl
  --only DEFECT this one only, of those that `defects --list` prints

  assurance     write docs/assurance.md from the two ledgers

  miri          run tests of the pure crates under Miri
  loom          run what threads share in every order in which they can take its locks
  sanitize      run tests of what is shared between threads under AddressSanitizer and ThreadSanitizer
  --only PACKAGE
                those of this package only";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match parse(&args) {
        Ok(Request::Help | Request::Soak(soak::Wanted::Help) | Request::Defects(None)) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Request::List) => {
            for step in STEPS {
                println!("{:<11} {}", step.name, step.runs);
            }
            ExitCode::SUCCESS
        }
        Ok(Request::Test(steps)) => test(steps),
        Ok(Request::Soak(soak::Wanted::List)) => {
            soak::list();
            ExitCode::SUCCESS
        }
        Ok(Request::Soak(soak::Wanted::Soak(wanted))) => end("soak", soak::run(root(), &wanted)),
        Ok(Request::Defects(Some(wanted))) => end("defects", defects::run(root(), &wanted)),
        Ok(Request::Assurance) => end("assurance", assurance::write(root())),
        Ok(Request::Miri(only)) => end("miri", tools::miri(root(), only.as_deref())),
        Ok(Request::Loom(only)) => end("loom", tools::loom(root(), only.as_deref())),
        Ok(Request::Sanitize(only)) => end("sanitize", tools::sanitize(root(), only.as_deref())),
        Err(message) => {
            eprintln!("xtask: {message}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn end(command: &str, result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {command}: {why}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug)]
enum Request {
    Help,
    List,
    Test(&'static [Step]),
    Soak(soak::Wanted),
    /// `None`: help about it.
    Defects(Option<defects::Wanted>),
    Assurance,
    /// One package, or all.
    Miri(Option<String>),
    Loom(Option<String>),
    Sanitize(Option<String>),
}

fn parse(args: &[String]) -> Result<Request, String> {
    let mut args = args.iter().map(String::as_str);
    match args.next() {
        Some("test") => {}
        Some("miri") => return package(args, Request::Miri),
        Some("loom") => return package(args, Request::Loom),
        Some("sanitize") => return package(args, Request::Sanitize),
        Some("soak") => return Ok(Request::Soak(soak::parse(args)?)),
        Some("defects") => return Ok(Request::Defects(defects::parse(args)?)),
        Some("assurance") => {
            return match args.next() {
                None => Ok(Request::Assurance),
                Some("--help" | "-h") => Ok(Request::Help),
                Some(other) => Err(format!("unknown argument `{other}`")),
            };
        }
        Some("help" | "--help" | "-h") => return Ok(Request::Help),
        Some(other) => return Err(format!("unknown command `{other}`")),
        None => return Err("a command is missing".to_owned()),
    }
    let mut list = false;
    let mut only = None;
    while let Some(arg) = args.next() {
        match arg {
            "--help" | "-h" => return Ok(Request::Help),
            "--list" => list = true,
            "--only" if only.is_some() => return Err("`--only` is given twice".to_owned()),
            "--only" => only = Some(step(args.next().ok_or("`--only` needs a step")?)?),
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(match (list, only) {
        (true, _) => Request::List,
        (false, Some(step)) => Request::Test(slice::from_ref(step)),
        (false, None) => Request::Test(STEPS),
    })
}

/// A request for all packages or for one.
fn package<'a>(
    mut args: impl Iterator<Item = &'a str>,
    make: fn(Option<String>) -> Request,
) -> Result<Request, String> {
    let only = match args.next() {
        None => None,
        Some("--help" | "-h") => return Ok(Request::Help),
        Some("--only") => Some(args.next().ok_or("`--only` needs a package")?.to_owned()),
        Some(other) => return Err(format!("unknown argument `{other}`")),
    };
    match args.next() {
        None => Ok(make(only)),
        Some(other) => Err(format!("unknown argument `{other}`")),
    }
}

fn step(name: &str) -> Result<&'static Step, String> {
    STEPS.iter().find(|step| step.name == name).ok_or_else(|| {
        let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        format!("unknown step `{name}`, there are: {}", names.join(", "))
    })
}

fn test(steps: &[Step]) -> ExitCode {
    let root = root();
    let start = now();
    let mut passed = 0;
    let mut left_out = Vec::new();
    for step in steps {
        println!("== {}", step.name);
        let began = now();
        let outcome = (step.run)(root);
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(Outcome::Passed) => {
                passed += 1;
                println!("== {}: passed in {seconds:.1} s\n", step.name);
            }
            Ok(Outcome::LeftOut(why)) => {
                println!("{why}\n");
                left_out.push(step.name);
            }
            Err(why) => {
                eprintln!(
                    "xtask test: step `{name}` failed after {seconds:.1} s: {why}\n\
                     xtask test: to run it alone: cargo xtask test --only {name}",
                    name = step.name
                );
                return ExitCode::FAILURE;
            }
        }
    }
    if !left_out.is_empty() {
        println!("xtask test: left out: {}", left_out.join(", "));
    }
    println!("{}", summary(passed, start.elapsed()));
    ExitCode::SUCCESS
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("xtask lives two directories below the root")
}

fn summary(passed: usize, took: Duration) -> String {
    format!(
        "xtask test: all {passed} steps passed in {} s",
        took.as_secs()
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a step took is for the reader, nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        parse(
            &line
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    fn steps(line: &str) -> Vec<&'static str> {
        match parsed(line) {
            Ok(Request::Test(steps)) => steps.iter().map(|step| step.name).collect(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn test_alone_means_every_step_in_order() {
        let order = [
            "fmt",
            "clippy",
            "doc",
            "postgres",
            "clients",
            "test",
            "quickstart",
            "features",
            "fuzz",
            "deny",
        ];
        assert_eq!(steps("test"), order);
    }

    #[test]
    fn only_picks_each_step_by_its_name() {
        for step in STEPS {
            assert_eq!(steps(&format!("test --only {}", step.name)), [step.name]);
        }
    }

    #[test]
    fn list_and_help_run_nothing() {
        for line in [
            "test --list",
            "test --only fmt --list",
            "test --list --only fmt",
        ] {
            assert!(matches!(parsed(line), Ok(Request::List)), "{line}");
        }
        for line in ["help", "--help", "-h", "test --help", "test --list -h"] {
            assert!(matches!(parsed(line), Ok(Request::Help)), "{line}");
        }
    }

    #[test]
    fn each_command_has_its_own_arguments() {
        for (line, understood) in [
            ("soak --tier night --only F6", true),
            ("soak --help", true),
            ("soak", false),
            ("soak --frobnicate", false),
            ("defects", true),
            ("defects --list", true),
            ("defects --tier night", false),
            ("assurance", true),
            ("assurance --help", true),
            ("assurance --list", false),
        ] {
            assert_eq!(parsed(line).is_ok(), understood, "{line}");
        }
    }

    #[test]
    fn tools_take_a_package() {
        assert!(matches!(parsed("miri"), Ok(Request::Miri(None))));
        assert!(matches!(parsed("miri --help"), Ok(Request::Help)));
        let one = parsed("loom --only guestlist");
        assert!(matches!(one, Ok(Request::Loom(Some(only))) if only == "guestlist"));
        let one = parsed("sanitize --only guestlist-store");
        assert!(matches!(one, Ok(Request::Sanitize(Some(only))) if only == "guestlist-store"));
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "",
            "miri --only",
            "miri guestlist-token",
            "sanitize --only guestlist-store twice",
            "tests",
            "test fmt",
            "test --only",
            "test --only=fmt",
            "test --only nothing",
            "test --only fmt --only doc",
            "test --frobnicate",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_summary_is_pinned() {
        let line = summary(8, Duration::from_millis(61_900));
        assert_eq!(line, "xtask test: all 8 steps passed in 61 s");
    }
}
