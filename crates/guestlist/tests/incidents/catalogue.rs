//! The table of incidents names tests that exist, and leaves no rule, no incident and no test out.

use std::collections::BTreeSet;
use std::path::Path;

const TABLE: &str = include_str!("../../../../docs/incidents.md");

/// The tests of this folder.
const HERE: [(&str, &str); 6] = [
    ("addressing", include_str!("addressing.rs")),
    ("email_invites", include_str!("email_invites.rs")),
    ("membership_state", include_str!("membership_state.rs")),
    ("operations", include_str!("operations.rs")),
    ("roles_and_grants", include_str!("roles_and_grants.rs")),
    ("token_lifetime", include_str!("token_lifetime.rs")),
];

/// The names of the tests in a source: those with an attribute, and those run on every store.
fn tests_of(source: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    if let Some((_, listed)) = source.split_once("\non_every_store!(") {
        let (listed, _) = listed.split_once(");").unwrap();
        names.extend(listed.split(',').map(str::trim));
        names.remove("");
    }
    for (before, after) in source
        .match_indices("#[tokio::test]\nasync fn ")
        .map(|(at, text)| {
            let rest = &source[at + text.len()..];
            (at, rest.split(['(', '<']).next().unwrap())
        })
    {
        assert!(names.insert(after), "{after} is there twice, near {before}");
    }
    names
}

/// What stands in backticks with a `::` in it: a module or a file, and a test.
fn mentioned() -> BTreeSet<(&'static str, &'static str)> {
    TABLE
        .lines()
        .filter(|line| line.starts_with("| "))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter_map(|quoted| quoted.rsplit_once("::"))
        .collect()
}

/// The first cell of every row.
fn numbers() -> Vec<&'static str> {
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| row.split(" | ").next())
        .filter(|first| first.ends_with(|last: char| last.is_ascii_digit()))
        .collect()
}

#[test]
fn every_test_in_the_table_exists() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mentioned = mentioned();
    assert!(mentioned.len() > 80, "the table was read");
    for (place, name) in mentioned {
        if let Some((_, source)) = HERE.iter().find(|(module, _)| *module == place) {
            assert!(tests_of(source).contains(name), "{place}::{name}");
        } else {
            let source = std::fs::read_to_string(crates.join(place)).expect(place);
            let head = format!("fn {name}");
            let found = source.split(head.as_str()).skip(1);
            let exists = found
                .into_iter()
                .any(|rest| rest.starts_with(['(', '<', ' ']));
            assert!(exists, "{place}::{name}");
        }
    }
}

#[test]
fn every_test_here_is_in_the_table() {
    let mentioned = mentioned();
    let mut count = 0;
    for (module, source) in HERE {
        for name in tests_of(source) {
            count += 1;
            assert!(mentioned.contains(&(module, name)), "{module}::{name}");
            assert_eq!(
                source.matches(&format!("fn {name}")).count(),
                1,
                "{module}::{name}"
            );
        }
    }
    assert!(count > 60, "the sources were read: {count}");
}

#[test]
fn every_rule_and_every_incident_is_in_the_table_once() {
    let expected: BTreeSet<String> = (1..=65)
        .map(|number| format!("R{number}"))
        .chain((1..=91).map(|number| number.to_string()))
        .collect();
    let found: BTreeSet<String> = numbers().into_iter().map(ToOwned::to_owned).collect();
    assert_eq!(found, expected);
    assert_eq!(numbers().len(), expected.len());
    // Each says where it is held.
    for row in TABLE.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells.iter().all(|cell| !cell.trim().is_empty()), "{row}");
    }
}
