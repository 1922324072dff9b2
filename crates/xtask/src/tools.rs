//! Tests under tools that see what a test can't: Miri, loom, and the sanitizers of addresses and
//! threads. All but loom need the nightly toolchain; what is missing is a failure.

use std::path::Path;

use crate::now;
use crate::steps::Cargo;

/// The only target whose tests are run here.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What is run under a tool: a package, which of its tests, and what the tests are told.
#[derive(Debug)]
struct Run {
    package: &'static str,
    /// Arguments of cargo, such as which targets.
    targets: &'static str,
    /// Arguments of the tests.
    tests: &'static str,
}

/// Under Miri everything takes a thousand times as long, so what tries out many cases tries one.
const CASES: &str = "1";

/// What of the pure crates ends within some minutes; a digest alone takes seconds.
const MIRI: &[Run] = &[
    Run {
        package: "guestlist-types",
        targets: "--lib",
        tests: "--skip buckets_are_spread --skip email::",
    },
    Run {
        package: "guestlist-token",
        targets: "--lib",
        tests: "base62:: generator hex:: kind:: selector::",
    },
    Run {
        package: "guestlist-access",
        targets: "--lib",
        tests: "",
    },
    Run {
        package: "guestlist-membership",
        targets: "--lib",
        tests: "",
    },
];

/// What is compiled with loom's locks.
const LOOM: &[Run] = &[
    Run {
        package: "guestlist-store",
        targets: "--test loom",
        tests: "",
    },
    Run {
        package: "guestlist",
        targets: "--test loom",
        tests: "",
    },
];

/// What holds secrets in memory, and what threads share.
const SANITIZED: &[Run] = &[
    Run {
        package: "guestlist-token",
        targets: "--lib --features seal",
        tests: "",
    },
    Run {
        package: "guestlist-store",
        targets: "--lib",
        tests: "together:: memory::",
    },
];

const SANITIZERS: [&str; 2] = ["address", "thread"];

/// Runs the tests of the pure crates under Miri, or those of one.
pub(crate) fn miri(root: &Path, only: Option<&str>) -> Result<(), String> {
    needs(root, "miri", "miri")?;
    for run in picked(MIRI, only)? {
        let cargo = Cargo::new(root, "+nightly miri test")
            .env("MIRIFLAGS", "-Zmiri-disable-isolation")
            .env("PROPTEST_CASES", CASES);
        test(cargo, run, "Miri")?;
    }
    Ok(())
}

/// Runs tests in every order in which threads can take the locks of what they share, or those of
/// one package.
pub(crate) fn loom(root: &Path, only: Option<&str>) -> Result<(), String> {
    // Everything is compiled again with this.
    let target = root.join("target/xtask-loom");
    for run in picked(LOOM, only)? {
        let cargo = Cargo::new(root, "test --release --target-dir")
            .arg(&target)
            .env("RUSTFLAGS", "--cfg guestlist_loom");
        test(cargo, run, "loom")?;
    }
    Ok(())
}

/// Runs tests under each sanitizer, or those of one package.
pub(crate) fn sanitize(root: &Path, only: Option<&str>) -> Result<(), String> {
    for sanitizer in SANITIZERS {
        let target = root.join("target").join(format!("xtask-{sanitizer}"));
        for run in picked(SANITIZED, only)? {
            // The standard library is built with it, too, or what that synchronises would look
            // like a race.
            let cargo = Cargo::new(root, "+nightly test -Zbuild-std --target")
                .arg(TARGET)
                .arg("--target-dir")
                .arg(&target)
                .env("RUSTFLAGS", &format!("-Zsanitizer={sanitizer}"));
            test(cargo, run, sanitizer)?;
        }
    }
    Ok(())
}

fn needs(root: &Path, command: &str, component: &str) -> Result<(), String> {
    if Cargo::new(root, &format!("+nightly {command} --version")).succeeds() {
        return Ok(());
    }
    Err(format!(
        "`cargo +nightly {command}` is missing: rustup toolchain install nightly --component {component}"
    ))
}

fn picked<'a>(
    runs: &'a [Run],
    only: Option<&str>,
) -> Result<impl Iterator<Item = &'a Run>, String> {
    if let Some(only) = only
        && !runs.iter().any(|run| run.package == only)
    {
        let names: Vec<_> = runs.iter().map(|run| run.package).collect();
        return Err(format!(
            "nothing of `{only}` is run, there are: {}",
            names.join(", ")
        ));
    }
    let only = only.map(str::to_owned);
    Ok(runs
        .iter()
        .filter(move |run| only.as_ref().is_none_or(|only| run.package == only)))
}

fn test(cargo: Cargo, run: &Run, tool: &str) -> Result<(), String> {
    let began = now();
    let output = cargo
        .args("-p")
        .arg(run.package)
        .args(run.targets)
        .arg("--")
        .args(run.tests)
        .run_and_read()?;
    let passed: usize = output.lines().filter_map(passed).sum();
    // A filter that fits nothing is no success.
    if passed == 0 {
        return Err(format!("no test of `{}` was run", run.package));
    }
    println!(
        "== {} under {tool}: {passed} tests passed in {:.0} s",
        run.package,
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// How many tests passed, by the line that each program of tests ends with.
fn passed(line: &str) -> Option<usize> {
    let count = line.strip_prefix("test result: ok. ")?;
    count.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_package_is_picked_by_its_name() {
        let names = |only| -> Vec<_> {
            let runs = picked(MIRI, only).unwrap();
            runs.map(|run| run.package).collect()
        };
        assert_eq!(names(None).len(), MIRI.len());
        assert_eq!(names(Some("guestlist-token")), ["guestlist-token"]);
        let error = picked(MIRI, Some("nothing")).err().unwrap();
        assert!(error.contains("guestlist-token"), "{error}");
    }

    #[test]
    fn what_passed_is_counted() {
        let line = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out";
        assert_eq!(passed(line), Some(12));
        assert_eq!(passed("running 12 tests"), None);
    }
}
