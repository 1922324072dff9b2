//! Long runs of the tests that race, crash and meet malformed input, in pieces, each with a line in
//! a ledger.

mod rows;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fmt::Write as _,
    fs::OpenOptions,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use crate::assurance;
use crate::ledger;
use crate::now;
use crate::steps::{Cargo, Fuzzer};
pub(crate) use rows::ROWS;

/// Where the pieces are on record.
pub(crate) const LEDGER: &str = "docs/soak-ledger.jsonl";

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Night,
    Release,
}

impl Tier {
    const fn name(self) -> &'static str {
        match self {
            Self::Night => "night",
            Self::Release => "release",
        }
    }
}

/// What is run again and again, and how often in all.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What happens and what has to hold, with the invariants.
    pub(crate) checks: &'static str,
    pub(crate) runs: Runs,
    /// What is counted.
    pub(crate) unit: &'static str,
    /// How many every run of the tests has.
    pub(crate) usual: u64,
    pub(crate) night: u64,
    pub(crate) release: u64,
    /// How many at once: what takes a minute or some.
    piece: u64,
}

/// How something is run so often.
#[derive(Debug)]
pub(crate) enum Runs {
    /// The tests take the number of rounds.
    Rounds(&'static [Tests]),
    /// They do the same each time, so they are run as often.
    Times(&'static [Tests]),
    /// Each of these fuzz targets is executed as often.
    Fuzz(&'static [&'static str]),
}

/// Tests of one binary.
#[derive(Debug)]
pub(crate) struct Tests {
    pub(crate) package: &'static str,
    /// A file of the package's tests, or `lib`: its unit tests.
    pub(crate) target: &'static str,
    pub(crate) names: &'static [&'static str],
}

impl Row {
    pub(crate) const fn wanted(&self, tier: Tier) -> u64 {
        match tier {
            Tier::Night => self.night,
            Tier::Release => self.release,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Wanted {
    Help,
    List,
    Soak(Soak),
}

#[derive(Debug)]
pub(crate) struct Soak {
    pub(crate) tier: Tier,
    pub(crate) only: Option<&'static Row>,
    /// No piece begins after this.
    pub(crate) limit: Option<Duration>,
}

pub(crate) fn parse<'a>(mut args: impl Iterator<Item = &'a str>) -> Result<Wanted, String> {
    let (mut tier, mut only, mut limit) = (None, None, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("`{arg}` needs a value"));
        match arg {
            "--help" | "-h" => return Ok(Wanted::Help),
            "--list" => return Ok(Wanted::List),
            "--tier" if tier.is_none() => {
                tier = Some(match value()? {
                    "night" => Tier::Night,
                    "release" => Tier::Release,
                    other => return Err(format!("unknown tier `{other}`")),
                });
            }
            "--only" if only.is_none() => only = Some(row(value()?)?),
            "--minutes" if limit.is_none() => {
                let minutes = value()?;
                let number: u32 = minutes
                    .parse()
                    .map_err(|_| format!("`{minutes}` is no number of minutes"))?;
                limit = Some(Duration::from_secs(u64::from(number) * 60));
            }
            "--tier" | "--only" | "--minutes" => return Err(format!("`{arg}` is given twice")),
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(Wanted::Soak(Soak {
        tier: tier.ok_or("`--tier` is missing")?,
        only,
        limit,
    }))
}

pub(crate) fn list() {
    for row in ROWS {
        println!(
            "{:<4} {}\n     {}: {} in every run of the tests, {} at night, {} for a release",
            row.name, row.checks, row.unit, row.usual, row.night, row.release
        );
    }
}

fn row(name: &str) -> Result<&'static Row, String> {
    ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        format!("unknown row `{name}`, there are: {}", names.join(", "))
    })
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) row: String,
    pub(crate) count: u64,
    seed: u64,
    pub(crate) commit: String,
    pub(crate) seconds: f64,
    pub(crate) passed: bool,
}

impl Piece {
    fn line(&self, unit: &str) -> String {
        let result = if self.passed { "passed" } else { "failed" };
        format!(
            r#"{{"row":"{}","count":{},"unit":"{unit}","seed":{},"commit":"{}","seconds":{:.1},"result":"{result}"}}"#,
            self.row, self.count, self.seed, self.commit, self.seconds
        )
    }

    fn read(line: &str) -> Option<Self> {
        let field = |name| ledger::field(line, name);
        Some(Self {
            row: field("row")?.to_owned(),
            count: field("count")?.parse().ok()?,
            seed: field("seed")?.parse().ok()?,
            commit: field("commit")?.to_owned(),
            seconds: field("seconds")?.parse().ok()?,
            passed: match field("result")? {
                "passed" => true,
                "failed" => false,
                _ => return None,
            },
        })
    }
}

pub(crate) fn read_ledger(root: &Path) -> Result<Vec<Piece>, String> {
    ledger::read(root, LEDGER, Piece::read)
}

/// The next piece: of the row that is furthest behind. Its number of rounds and its seed.
fn next<'a>(pieces: &[Piece], rows: &[&'a Row], tier: Tier) -> Option<(&'a Row, u64, u64)> {
    rows.iter()
        .filter_map(|row| {
            let done = done(pieces, row);
            let left = row
                .wanted(tier)
                .checked_sub(done)
                .filter(|left| *left > 0)?;
            // Another one than all before.
            let seed = pieces.iter().filter(|piece| piece.row == row.name).count();
            let share = (u128::from(done) << 32) / u128::from(row.wanted(tier));
            Some((share, *row, left.min(row.piece), seed as u64 + 1))
        })
        .min_by_key(|(share, ..)| *share)
        .map(|(_, row, count, seed)| (row, count, seed))
}

/// How many of a row have passed, whichever tier they were run for.
pub(crate) fn done(pieces: &[Piece], row: &Row) -> u64 {
    pieces
        .iter()
        .filter(|piece| piece.passed && piece.row == row.name)
        .map(|piece| piece.count)
        .sum()
}

/// Runs piece after piece until all is done, the time is over or one fails.
pub(crate) fn run(root: &Path, soak: &Soak) -> Result<(), String> {
    let failed = |error: io::Error| format!("{LEDGER}: {error}");
    let mut pieces = read_ledger(root)?;
    let rows: Vec<&Row> = ROWS
        .iter()
        .filter(|row| soak.only.is_none_or(|only| only.name == row.name))
        .collect();
    let start = now();
    while let Some((row, count, seed)) = next(&pieces, &rows, soak.tier) {
        if soak.limit.is_some_and(|limit| start.elapsed() >= limit) {
            println!("xtask soak: the time is over; the same command goes on");
            break;
        }
        let commit = ledger::commit(root, assurance::WRITTEN)?;
        println!("== {} with seed {seed}: {count} {}", row.name, row.unit);
        let began = now();
        let result = piece(root, row, count, seed);
        let piece = Piece {
            row: row.name.to_owned(),
            count,
            seed,
            commit,
            seconds: began.elapsed().as_secs_f64(),
            passed: result.is_ok(),
        };
        let mut ledger = OpenOptions::new()
            .create(true)
            .append(true)
            .open(root.join(LEDGER))
            .map_err(failed)?;
        writeln!(ledger, "{}", piece.line(row.unit)).map_err(failed)?;
        pieces.push(piece);
        assurance::write(root)?;
        result?;
    }
    println!("{}", summary(&pieces, &rows, soak.tier));
    Ok(())
}

fn piece(root: &Path, row: &Row, count: u64, seed: u64) -> Result<(), String> {
    match row.runs {
        Runs::Rounds(all) => all
            .iter()
            .try_for_each(|tests| run_tests(root, row, tests, count, seed)),
        Runs::Times(all) => (0..count).try_for_each(|time| {
            let seed = seed.wrapping_mul(1 << 32).wrapping_add(time);
            all.iter()
                .try_for_each(|tests| run_tests(root, row, tests, 1, seed))
        }),
        Runs::Fuzz(targets) => {
            let fuzzer = Fuzzer::find(root)?.ok_or("fuzzing needs a nightly toolchain")?;
            targets.iter().try_for_each(|target| {
                let limits = format!("-runs={count} -seed={}", seed & 0xffff_ffff);
                // No crate here has unsafe code, and a sanitizer leaves a fraction of the speed, as
                // does a look at every comparison. The short runs have both.
                let fast = "--sanitizer none --no-trace-compares";
                fuzzer.run(OsStr::new(target), fast, &limits)
            })
        }
    }
}

fn run_tests(root: &Path, row: &Row, tests: &Tests, rounds: u64, seed: u64) -> Result<(), String> {
    // With the packages of all rows, whichever is meant: features are united over what is named, so
    // each crate is compiled once for all rows. Tests of the same file name in other packages are
    // left out by the names.
    let cargo = packages().into_iter().fold(
        Cargo::new(root, "test --release --all-features"),
        |cargo, package| cargo.arg("-p").arg(package),
    );
    let cargo = match tests.target {
        "lib" => cargo.arg("--lib"),
        file => cargo.arg("--test").arg(file),
    };
    let cargo = tests
        .names
        .iter()
        .fold(cargo.args("-- --exact"), |cargo, name| cargo.arg(*name));
    let output = cargo
        .env("GUESTLIST_ROUNDS", &rounds.to_string())
        .env("GUESTLIST_SEED", &seed.to_string())
        .env("PROPTEST_RNG_SEED", &seed.to_string())
        .run_and_keep(&root.join(format!("target/soak/{}-{seed}.log", row.name)))?;
    // A name that fits nothing is no success.
    if passed(&output) == tests.names.len() {
        Ok(())
    } else {
        Err(format!(
            "`{}` does not have all of: {}",
            tests.target,
            tests.names.join(", ")
        ))
    }
}

/// The packages that have tests of any row.
fn packages() -> BTreeSet<&'static str> {
    ROWS.iter()
        .filter_map(|row| match row.runs {
            Runs::Rounds(all) | Runs::Times(all) => Some(all),
            Runs::Fuzz(_) => None,
        })
        .flatten()
        .map(|tests| tests.package)
        .collect()
}

/// How many tests passed, by the last line that each program of tests prints.
fn passed(output: &str) -> usize {
    output
        .lines()
        .filter_map(|line| line.strip_prefix("test result: ok. "))
        .filter_map(|counts| counts.split(' ').next()?.parse::<usize>().ok())
        .sum()
}

fn summary(pieces: &[Piece], rows: &[&Row], tier: Tier) -> String {
    let mut text = format!("xtask soak: {}", tier.name());
    for row in rows {
        let (done, wanted) = (done(pieces, row), row.wanted(tier));
        write!(text, "\n{:<4} {done} of {wanted} {}", row.name, row.unit)
            .expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root;

    fn parsed(line: &str) -> Result<Wanted, String> {
        parse(line.split_whitespace())
    }

    fn soak(line: &str) -> Soak {
        match parsed(line) {
            Ok(Wanted::Soak(soak)) => soak,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_tier_is_all_that_is_needed() {
        let all = soak("--tier night");
        assert_eq!(all.tier, Tier::Night);
        assert!(all.only.is_none() && all.limit.is_none());
        let one = soak("--minutes 90 --only F6 --tier release");
        assert_eq!(one.tier, Tier::Release);
        assert_eq!(one.only.unwrap().name, "F6");
        assert_eq!(one.limit, Some(Duration::from_secs(5400)));
        assert!(matches!(parsed("--tier night --help"), Ok(Wanted::Help)));
        assert!(matches!(parsed("--list"), Ok(Wanted::List)));
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "",
            "--only F6",
            "--tier",
            "--tier day",
            "--tier night --tier night",
            "--tier night --only",
            "--tier night --only F999",
            "--tier night --only F6 --only F7",
            "--tier night --minutes",
            "--tier night --minutes -1",
            "--tier night --minutes long",
            "--tier night --hours 1",
            "night",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    fn piece(row: &str, count: u64, passed: bool) -> Piece {
        Piece {
            row: row.to_owned(),
            count,
            seed: 3,
            commit: "0123456789ab".to_owned(),
            seconds: 12.5,
            passed,
        }
    }

    #[test]
    fn a_line_is_pinned_and_read_back() {
        let piece = piece("F6", 1000, true);
        let line = piece.line("storms");
        assert_eq!(
            line,
            r#"{"row":"F6","count":1000,"unit":"storms","seed":3,"commit":"0123456789ab","seconds":12.5,"result":"passed"}"#
        );
        let read = |text: &str| ledger::parse(text, LEDGER, Piece::read);
        assert_eq!(read(&line).unwrap(), [piece]);
        for row in ROWS {
            assert!(!row.unit.contains([',', ':', '"', '\\']), "{}", row.unit);
        }
        let error = read(&format!("{line}\n{{}}")).unwrap_err();
        assert_eq!(error, "docs/soak-ledger.jsonl:2: this is no entry");
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let f6 = row("F6").unwrap();
        let next = |pieces: &[Piece], tier| {
            next(pieces, &[f6], tier).map(|(row, count, seed)| (row.name, count, seed))
        };
        assert_eq!(next(&[], Tier::Night), Some(("F6", 250, 1)));
        let mut pieces = vec![
            piece("F6", 4000, true),
            piece("F6", 1000, false),
            piece("F7", 1000, true),
        ];
        let again = next(&pieces, Tier::Night);
        assert_eq!(again, Some(("F6", 250, 3)), "a failed one is none");
        pieces.push(piece("F6", 800, true));
        assert_eq!(next(&pieces, Tier::Night), Some(("F6", 200, 4)));
        pieces.push(piece("F6", 200, true));
        assert_eq!(next(&pieces, Tier::Night), None);
        let release = next(&pieces, Tier::Release);
        assert_eq!(release, Some(("F6", 250, 5)), "goes on behind the night's");
        let text = summary(&pieces, &[f6], Tier::Night);
        assert_eq!(text, "xtask soak: night\nF6   5000 of 5000 storms");
    }

    #[test]
    fn the_row_that_is_furthest_behind_is_next() {
        let rows: Vec<&Row> = ROWS.iter().collect();
        let mut pieces = Vec::new();
        let mut order = Vec::new();
        for _ in 0..ROWS.len() {
            let (row, count, _) = next(&pieces, &rows, Tier::Release).unwrap();
            order.push(row.name);
            pieces.push(piece(row.name, count, true));
        }
        let all: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(order, all, "each gets its turn");
    }

    #[test]
    fn a_test_that_is_not_there_is_noticed() {
        let line = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 14 filtered out";
        let none = line.replace("1 passed", "0 passed");
        assert_eq!(passed(&format!("running 1 test\n\n{line}\n")), 1);
        assert_eq!(passed(&format!("{none}\n\n{line}\n")), 1, "of two");
        assert_eq!(passed(&none), 0);
        assert_eq!(passed(""), 0);
    }

    #[test]
    fn names_are_unique_and_what_is_run_is_there() {
        for (number, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..number].iter().all(|other| other.name != row.name));
            assert!(row.piece > 0 && row.piece <= row.night && row.night < row.release);
            match row.runs {
                Runs::Rounds(all) | Runs::Times(all) => {
                    assert!(!all.is_empty(), "{}", row.name);
                    all.iter().for_each(are_there);
                }
                Runs::Fuzz(targets) => {
                    assert!(!targets.is_empty(), "{}", row.name);
                    for target in targets {
                        let file = format!("fuzz/fuzz_targets/{target}.rs");
                        assert!(root().join(&file).is_file(), "{file}");
                    }
                }
            }
        }
    }

    fn are_there(tests: &Tests) {
        let package = root().join("crates").join(tests.package);
        let text = match tests.target {
            "lib" => return,
            file => {
                let file = package.join("tests").join(file);
                let alone = file.with_extension("rs");
                let file = if alone.is_file() {
                    alone
                } else {
                    let module = tests.names[0].split("::").next().unwrap();
                    file.join(module).with_extension("rs")
                };
                std::fs::read_to_string(&file).unwrap()
            }
        };
        assert!(!tests.names.is_empty());
        for name in tests.names {
            let name = name.rsplit("::").next().unwrap();
            assert!(text.contains(name), "{} {name}", tests.target);
            // Those of the same file in other packages are run, too, if they have its name.
            for other in packages().into_iter().filter(|of| *of != tests.package) {
                let file = root().join("crates").join(other).join("tests");
                let file = file.join(tests.target).with_extension("rs");
                if let Ok(text) = std::fs::read_to_string(file) {
                    assert!(!text.contains(&format!("fn {name}(")), "{other} {name}");
                }
            }
        }
    }
}
