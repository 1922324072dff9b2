//! Long runs of the tests that race, in pieces, each with a line in a ledger.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use crate::now;
use crate::steps::Cargo;

/// Where the pieces are on record.
const LEDGER: &str = "docs/soak-ledger.jsonl";

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
    package: &'static str,
    /// The file of the tests, and their names in it.
    file: &'static str,
    tests: &'static [&'static str],
    /// Whether they take the number of rounds; those that don't are run as often.
    takes_rounds: bool,
    /// What is counted.
    unit: &'static str,
    night: u64,
    release: u64,
    /// How many at once: what takes a minute or some.
    piece: u64,
}

impl Row {
    const fn wanted(&self, tier: Tier) -> u64 {
        match tier {
            Tier::Night => self.night,
            Tier::Release => self.release,
        }
    }
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "F1",
        package: "guestlist-testkit",
        file: "model",
        tests: &["the_model_agrees"],
        takes_rounds: true,
        unit: "sequences",
        night: 50_000,
        release: 500_000,
        piece: 500,
    },
    Row {
        name: "F3",
        package: "guestlist",
        file: "differential",
        tests: &["memory_sqlite_and_postgres_answer_alike"],
        takes_rounds: true,
        unit: "sequences",
        night: 10_000,
        release: 100_000,
        piece: 500,
    },
    Row {
        name: "F6",
        package: "guestlist",
        file: "storms",
        tests: &["limits_hold_on_postgres"],
        takes_rounds: true,
        unit: "storms",
        night: 5000,
        release: 100_000,
        piece: 250,
    },
    Row {
        name: "F7",
        package: "guestlist",
        file: "races",
        tests: &["ends_of_tokens_hold_on_postgres"],
        takes_rounds: true,
        unit: "changes",
        // With at least 24 claims each.
        night: 14_000,
        release: 170_000,
        piece: 500,
    },
    Row {
        name: "F8",
        package: "guestlist",
        file: "races",
        tests: &["histories_are_in_some_order_on_postgres"],
        takes_rounds: true,
        unit: "histories",
        night: 100_000,
        release: 1_000_000,
        piece: 2500,
    },
    Row {
        name: "F11",
        package: "guestlist-postgres",
        file: "crash",
        tests: &["acknowledged_commits_survive_a_kill"],
        takes_rounds: true,
        unit: "kills",
        night: 200,
        release: 1000,
        piece: 20,
    },
    Row {
        name: "F12",
        package: "guestlist-postgres",
        file: "cuts",
        tests: &[
            "a_cut_at_any_byte_leaves_all_or_nothing",
            "an_answer_that_is_lost_is_an_unknown_outcome",
            "backends_are_terminated_while_commits_run",
        ],
        takes_rounds: true,
        unit: "cuts",
        night: 10_000,
        release: 100_000,
        piece: 1000,
    },
    Row {
        name: "F13",
        package: "guestlist-postgres",
        file: "interrupts",
        tests: &[
            "a_deadlock_is_broken_wherever_it_comes",
            "a_serialization_failure_is_retried_or_passed_up",
            "an_error_at_any_write_leaves_nothing",
        ],
        takes_rounds: false,
        unit: "times every statement",
        night: 1000,
        release: 10_000,
        piece: 50,
    },
    Row {
        name: "F15",
        package: "guestlist-postgres",
        file: "interrupts",
        tests: &[
            "a_caller_that_goes_away_leaves_all_or_nothing",
            "a_caller_that_goes_away_from_a_transaction_leaves_it_to_its_owner",
            "a_reader_that_goes_away_leaves_the_pool_usable",
        ],
        takes_rounds: true,
        unit: "times every await",
        night: 100,
        release: 1000,
        piece: 10,
    },
    Row {
        name: "F26",
        package: "guestlist",
        file: "races",
        tests: &["removals_are_seen_at_once_on_postgres"],
        takes_rounds: true,
        unit: "removals",
        night: 50_000,
        release: 500_000,
        piece: 2500,
    },
];

#[derive(Debug)]
pub(crate) struct Soak {
    pub(crate) tier: Tier,
    pub(crate) only: Option<&'static Row>,
    /// No piece begins after this.
    pub(crate) limit: Option<Duration>,
}

pub(crate) fn parse<'a>(mut args: impl Iterator<Item = &'a str>) -> Result<Option<Soak>, String> {
    let (mut tier, mut only, mut limit) = (None, None, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("`{arg}` needs a value"));
        match arg {
            "--help" | "-h" => return Ok(None),
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
    Ok(Some(Soak {
        tier: tier.ok_or("`--tier` is missing")?,
        only,
        limit,
    }))
}

fn row(name: &str) -> Result<&'static Row, String> {
    ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        format!("unknown row `{name}`, there are: {}", names.join(", "))
    })
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq)]
struct Piece {
    row: String,
    tier: String,
    count: u64,
    seed: u64,
    commit: String,
    seconds: f64,
    passed: bool,
}

impl Piece {
    fn line(&self, unit: &str) -> String {
        let result = if self.passed { "passed" } else { "failed" };
        format!(
            r#"{{"row":"{}","tier":"{}","count":{},"unit":"{unit}","seed":{},"commit":"{}","seconds":{:.1},"result":"{result}"}}"#,
            self.row, self.tier, self.count, self.seed, self.commit, self.seconds
        )
    }

    /// Reads what [`Piece::line`] wrote: flat, and without anything that needs an escape.
    fn read(line: &str) -> Option<Self> {
        let inner = line.strip_prefix('{')?.strip_suffix('}')?;
        let field = |name: &str| {
            inner.split(',').find_map(|pair| {
                let (key, value) = pair.split_once(':')?;
                (key.trim().trim_matches('"') == name).then(|| value.trim().trim_matches('"'))
            })
        };
        Some(Self {
            row: field("row")?.to_owned(),
            tier: field("tier")?.to_owned(),
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

fn read_all(text: &str) -> Result<Vec<Piece>, String> {
    text.lines()
        .enumerate()
        .map(|(number, line)| {
            Piece::read(line).ok_or(format!("{LEDGER}:{}: this is no piece", number + 1))
        })
        .collect()
}

/// The next piece: of the row that is furthest behind. Its number of rounds and its seed.
fn next<'a>(pieces: &[Piece], rows: &[&'a Row], tier: Tier) -> Option<(&'a Row, u64, u64)> {
    rows.iter()
        .filter_map(|row| {
            let done = done(pieces, row, tier);
            let left = row
                .wanted(tier)
                .checked_sub(done)
                .filter(|left| *left > 0)?;
            // Another one than all before, also of the other tier.
            let seed = pieces.iter().filter(|piece| piece.row == row.name).count();
            let share = (u128::from(done) << 32) / u128::from(row.wanted(tier));
            Some((share, *row, left.min(row.piece), seed as u64 + 1))
        })
        .min_by_key(|(share, ..)| *share)
        .map(|(_, row, count, seed)| (row, count, seed))
}

fn done(pieces: &[Piece], row: &Row, tier: Tier) -> u64 {
    pieces
        .iter()
        .filter(|piece| piece.passed && piece.row == row.name && piece.tier == tier.name())
        .map(|piece| piece.count)
        .sum()
}

/// Runs piece after piece until all is done, the time is over or one fails.
pub(crate) fn run(root: &Path, soak: &Soak) -> Result<(), String> {
    let path = root.join(LEDGER);
    let failed = |error: io::Error| format!("{LEDGER}: {error}");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let mut pieces = read_all(&text)?;
    let there = |row: &&Row| {
        let tests = root.join("crates").join(row.package).join("tests");
        tests.join(row.file).with_extension("rs").is_file()
    };
    let mut rows = Vec::new();
    for row in ROWS {
        if soak.only.is_some_and(|only| only.name != row.name) {
            continue;
        }
        if there(&row) {
            rows.push(row);
        } else {
            println!(
                "xtask soak: {}: there is no test `{}` yet",
                row.name, row.file
            );
        }
    }
    let start = now();
    while let Some((row, count, seed)) = next(&pieces, &rows, soak.tier) {
        if soak.limit.is_some_and(|limit| start.elapsed() >= limit) {
            println!("xtask soak: the time is over; the same command goes on");
            break;
        }
        let commit = commit(root)?;
        println!("== {} with seed {seed}: {count} {}", row.name, row.unit);
        let began = now();
        let result = piece(root, row, count, seed);
        let piece = Piece {
            row: row.name.to_owned(),
            tier: soak.tier.name().to_owned(),
            count,
            seed,
            commit,
            seconds: began.elapsed().as_secs_f64(),
            passed: result.is_ok(),
        };
        let mut ledger = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(failed)?;
        writeln!(ledger, "{}", piece.line(row.unit)).map_err(failed)?;
        pieces.push(piece);
        result?;
    }
    println!("{}", summary(&pieces, &rows, soak.tier));
    Ok(())
}

fn piece(root: &Path, row: &Row, count: u64, seed: u64) -> Result<(), String> {
    let (runs, rounds) = if row.takes_rounds {
        (1, count)
    } else {
        (count, 1)
    };
    for _ in 0..runs {
        let mut cargo = Cargo::new(root, "test --release -p")
            .arg(row.package)
            .arg("--test")
            .arg(row.file)
            .args("-- --exact");
        for test in row.tests {
            cargo = cargo.arg(*test);
        }
        let output = cargo
            .env("GUESTLIST_ROUNDS", &rounds.to_string())
            .env("GUESTLIST_SEED", &seed.to_string())
            .env("PROPTEST_RNG_SEED", &seed.to_string())
            .run_and_read()?;
        // A name that fits nothing is no success.
        if passed(&output) != Some(row.tests.len()) {
            return Err(format!(
                "`{}` does not have all of: {}",
                row.file,
                row.tests.join(", ")
            ));
        }
    }
    Ok(())
}

/// How many tests passed, by the last line that the tests print.
fn passed(output: &str) -> Option<usize> {
    output
        .lines()
        .find_map(|line| line.strip_prefix("test result: ok. "))?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// The commit that is checked out, and whether there are changes to it beside the ledger.
fn commit(root: &Path) -> Result<String, String> {
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git")
            .current_dir(root)
            .args(args)
            .output()
            .map_err(|error| format!("git: {error}"))?;
        if !output.status.success() {
            return Err(format!("git: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let except = format!(":(exclude){LEDGER}");
    if !git(&["status", "--porcelain", "--", ".", &except])?.is_empty() {
        commit.push_str("+changes");
    }
    Ok(commit)
}

fn summary(pieces: &[Piece], rows: &[&Row], tier: Tier) -> String {
    let mut text = format!("xtask soak: {}", tier.name());
    for row in rows {
        let (done, wanted) = (done(pieces, row, tier), row.wanted(tier));
        write!(text, "\n{:<4} {done} of {wanted} {}", row.name, row.unit)
            .expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Soak>, String> {
        parse(line.split_whitespace())
    }

    #[test]
    fn a_tier_is_all_that_is_needed() {
        let soak = parsed("--tier night").unwrap().unwrap();
        assert_eq!(soak.tier, Tier::Night);
        assert!(soak.only.is_none() && soak.limit.is_none());
        let soak = parsed("--minutes 90 --only F6 --tier release");
        let soak = soak.unwrap().unwrap();
        assert_eq!(soak.tier, Tier::Release);
        assert_eq!(soak.only.unwrap().name, "F6");
        assert_eq!(soak.limit, Some(Duration::from_secs(5400)));
        assert!(parsed("--tier night --help").unwrap().is_none());
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

    fn piece(row: &str, tier: &str, count: u64, passed: bool) -> Piece {
        Piece {
            row: row.to_owned(),
            tier: tier.to_owned(),
            count,
            seed: 3,
            commit: "0123456789ab".to_owned(),
            seconds: 12.5,
            passed,
        }
    }

    #[test]
    fn a_line_is_pinned_and_read_back() {
        let piece = piece("F6", "night", 1000, true);
        let line = piece.line("storms");
        assert_eq!(
            line,
            r#"{"row":"F6","tier":"night","count":1000,"unit":"storms","seed":3,"commit":"0123456789ab","seconds":12.5,"result":"passed"}"#
        );
        assert_eq!(read_all(&line).unwrap(), [piece]);
        for row in ROWS {
            assert!(!row.unit.contains([',', ':', '"', '\\']), "{}", row.unit);
        }
        let error = read_all(&format!("{line}\n{{}}")).unwrap_err();
        assert_eq!(error, "docs/soak-ledger.jsonl:2: this is no piece");
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let f6 = row("F6").unwrap();
        let next = |pieces: &[Piece]| {
            next(pieces, &[f6], Tier::Night).map(|(row, count, seed)| (row.name, count, seed))
        };
        assert_eq!(next(&[]), Some(("F6", 250, 1)));
        let mut pieces = vec![
            piece("F6", "night", 4000, true),
            piece("F6", "night", 1000, false),
            piece("F6", "release", 1000, true),
            piece("F7", "night", 1000, true),
        ];
        assert_eq!(next(&pieces), Some(("F6", 250, 4)), "a failed one is none");
        pieces.push(piece("F6", "night", 800, true));
        assert_eq!(next(&pieces), Some(("F6", 200, 5)));
        pieces.push(piece("F6", "night", 200, true));
        assert_eq!(next(&pieces), None);
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
            pieces.push(piece(row.name, "release", count, true));
        }
        let all: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(order, all, "each gets its turn");
    }

    #[test]
    fn a_test_that_is_not_there_is_noticed() {
        let line = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 14 filtered out";
        assert_eq!(passed(&format!("running 1 test\n\n{line}\n")), Some(1));
        assert_eq!(passed(&line.replace("1 passed", "0 passed")), Some(0));
        assert_eq!(passed(""), None);
    }

    #[test]
    fn names_are_unique_and_nothing_is_empty() {
        for (number, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..number].iter().all(|other| other.name != row.name));
            assert!(!row.tests.is_empty(), "{}", row.name);
            assert!(row.piece > 0 && row.piece <= row.night && row.night < row.release);
        }
    }
}
