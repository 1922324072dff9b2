//! What was tested and how much of it was run, written down from the ledgers.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use crate::defects::{self, DEFECTS, Defect, Tried};
use crate::invariants::{INVARIANTS, Invariant};
use crate::soak::{self, Piece, ROWS, Row, Runs, Tests};
use crate::steps::FUZZ_SECONDS;

const DOC: &str = "docs/assurance.md";

/// What the commands write themselves, which makes no other sources of it.
pub(crate) const WRITTEN: &[&str] = &[soak::LEDGER, defects::LEDGER, DOC];

pub(crate) fn write(root: &Path) -> Result<(), String> {
    fs::write(root.join(DOC), text(root)?).map_err(|error| format!("{DOC}: {error}"))
}

fn text(root: &Path) -> Result<String, String> {
    Ok(render(
        &soak::read_ledger(root)?,
        &defects::read_ledger(root)?,
    ))
}

fn render(pieces: &[Piece], tried: &[Tried]) -> String {
    let mut text = INTRODUCTION.to_owned();
    for invariant in INVARIANTS {
        line(&mut text, &shown_by(invariant));
    }
    text += WHAT_RUNS;
    for row in ROWS {
        line(&mut text, &[row.name, row.checks, &what_runs(row)]);
    }
    text += HOW_MUCH;
    for row in ROWS {
        line(&mut text, &how_much(row, pieces));
    }
    let caught = tried.iter().filter(|tried| tried.is_caught()).count();
    write!(
        text,
        "{THE_DEFECTS_BEFORE}{caught} of {} were caught{THE_DEFECTS_BEHIND}",
        DEFECTS.len()
    )
    .expect("a string takes everything");
    for defect in DEFECTS {
        let tried = tried.iter().find(|tried| tried.defect == defect.name);
        line(&mut text, &outcome(defect, tried));
    }
    text
}

fn line<T: AsRef<str>>(text: &mut String, cells: &[T]) {
    for cell in cells {
        text.push_str("| ");
        text.push_str(cell.as_ref());
        text.push(' ');
    }
    text.push_str("|\n");
}

fn shown_by(invariant: &Invariant) -> [String; 4] {
    let rows = ROWS.iter().filter(|row| names(row.checks, invariant));
    let rows: Vec<&str> = rows.map(|row| row.name).collect();
    let defects = DEFECTS
        .iter()
        .filter(|defect| names(defect.breaks, invariant));
    let defects: Vec<String> = defects
        .map(|defect| format!("`{}`", defect.name))
        .chain(invariant.held_by.map(str::to_owned))
        .collect();
    [
        invariant.id.to_owned(),
        invariant.says.to_owned(),
        rows.join(", "),
        defects.join(", "),
    ]
}

/// Whether a text names an invariant by its letter and number.
fn names(text: &str, invariant: &Invariant) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word == invariant.id)
}

fn what_runs(row: &Row) -> String {
    let tests = |all: &[Tests]| {
        let each = all.iter().map(|tests| {
            let names = tests.names.iter().map(|name| format!("`{name}`"));
            let names: Vec<String> = names.collect();
            format!(
                "{}: {}",
                place(tests.package, tests.target),
                names.join(", ")
            )
        });
        each.collect::<Vec<_>>().join("; ")
    };
    match row.runs {
        Runs::Rounds(all) | Runs::Times(all) => tests(all),
        Runs::Fuzz(targets) => {
            let targets: Vec<String> = targets.iter().map(|target| format!("`{target}`")).collect();
            format!("`fuzz/fuzz_targets`: {}", targets.join(", "))
        }
    }
}

fn place(package: &str, target: &str) -> String {
    match target {
        "lib" => format!("`{package}/src`"),
        file => format!("`{package}/tests/{file}`"),
    }
}

fn how_much(row: &Row, pieces: &[Piece]) -> [String; 9] {
    let of_row = || pieces.iter().filter(|piece| piece.row == row.name);
    let passed = || of_row().filter(|piece| piece.passed);
    let commits: BTreeSet<&str> = passed().map(|piece| piece.commit.as_str()).collect();
    let seconds = passed().fold(0.0, |sum, piece| sum + piece.seconds);
    let usual = match row.runs {
        Runs::Rounds(_) | Runs::Times(_) => number(row.usual),
        Runs::Fuzz(_) => format!("{FUZZ_SECONDS} s of each"),
    };
    let done = soak::done(pieces, row);
    [
        row.name.to_owned(),
        row.unit.to_owned(),
        usual,
        number(done),
        number(row.night),
        number(row.release),
        format!("{seconds:.0}"),
        number(commits.len() as u64),
        number(of_row().filter(|piece| !piece.passed).count() as u64),
    ]
}

fn outcome(defect: &Defect, tried: Option<&Tried>) -> [String; 4] {
    let place = place(defect.job.package, defect.job.target);
    let (by, seconds) = match tried {
        None => ("not tried yet".to_owned(), String::new()),
        Some(tried) if tried.is_caught() => (
            format!("{place}: `{}`", tried.caught_by),
            format!("{:.1}", tried.seconds),
        ),
        Some(_) => (format!("**missed** by {place}"), String::new()),
    };
    [
        format!("`{}`", defect.name),
        defect.breaks.to_owned(),
        by,
        seconds,
    ]
}

/// With a space between thousands.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

const INTRODUCTION: &str = "\
# What is tested, and how much of it was run

Written by `cargo xtask assurance` from [soak-ledger.jsonl](soak-ledger.jsonl) and [defects-ledger.jsonl](defects-ledger.jsonl),
where each piece and each defect is a line. A test holds this page against both.

## What has to hold

`T` is about tokens and links, `M` about memberships, `P` about permissions, groups and addresses, `D` about what is stored,
and `R` about bad input. Rows of the next section try to break it with chance and force; a defect breaks it in the code, and
a test notices (see the last section). F1 to F4 compare or check whole worlds, so they look at more than they name. Unit tests
and mutants are not listed here.

| | what has to hold | rows | defects |
|---|---|---|---|
";

const WHAT_RUNS: &str = "
## What is run for hours

`cargo test` runs each of these tests for some seconds. `cargo xtask soak` runs the same ones again and again, with other
seeds, in pieces. Letters and numbers name what has to hold.

| row | what happens, and what has to hold | tests |
|---|---|---|
";

const HOW_MUCH: &str = "
So many of each were run. What passed counts for both tiers; a failure stays in the ledger.

| row | unit | every run of the tests | passed so far | night | release | seconds | commits | failures |
|---|---|---|---|---|---|---|---|---|
";

const THE_DEFECTS_BEFORE: &str = "
## Whether the tests would fail

`cargo xtask defects` puts one defect at a time into a copy of the sources, and runs one of the tests that `cargo xtask test` runs, too. It
has to pass without the defect and to fail with it. What doesn't compile is no catch. ";

const THE_DEFECTS_BEHIND: &str =
    ". The seconds are those that the test took to fail, without compiling.

| defect | what it breaks | caught by | seconds |
|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root;

    #[test]
    fn the_page_is_what_the_ledgers_say() {
        let there = fs::read_to_string(root().join(DOC)).unwrap();
        let is_current = there == text(root()).unwrap();
        assert!(is_current, "run `cargo xtask assurance`");
    }

    #[test]
    fn every_piece_has_its_row() {
        for piece in soak::read_ledger(root()).unwrap() {
            let known = ROWS.iter().any(|row| row.name == piece.row);
            assert!(known, "{}", piece.row);
        }
    }

    #[test]
    fn each_invariant_is_known_and_broken_by_a_defect() {
        for (place, invariant) in INVARIANTS.iter().enumerate() {
            let of = |other: &&Invariant| other.id == invariant.id;
            assert_eq!(INVARIANTS.iter().position(|other| of(&other)), Some(place));
            let broken = DEFECTS.iter().any(|defect| names(defect.breaks, invariant));
            assert_ne!(broken, invariant.held_by.is_some(), "{}", invariant.id);
        }
        for defect in DEFECTS {
            let (ids, _) = defect.breaks.split_once(": ").unwrap();
            for id in ids.split(", ") {
                let known = INVARIANTS.iter().any(|invariant| invariant.id == id);
                assert!(known, "{}: {id}", defect.name);
            }
        }
    }

    #[test]
    fn cells_hold_no_bar() {
        for invariant in INVARIANTS {
            assert!(!invariant.says.contains('|'));
        }
        for row in ROWS {
            assert!(!row.checks.contains('|') && !row.unit.contains('|'));
        }
        for defect in DEFECTS {
            assert!(!defect.breaks.contains('|'));
        }
    }

    #[test]
    fn what_is_missed_says_so() {
        let page = render(&[], &[]);
        assert!(page.contains("not tried yet") && page.contains("0 of "));
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000), "1 000");
        assert_eq!(number(12_345_678), "12 345 678");
    }
}
