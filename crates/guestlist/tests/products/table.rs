//! The table of the products' statements.

use std::collections::BTreeSet;

/// Checks that the table of the products' statements has no open row, names each of this file's
/// walks, and names none that this file does not have.
pub(crate) fn check(file: &str, walks: &[&str]) {
    let file = std::path::Path::new(file).file_name().unwrap();
    let prefix = format!("`{}::", file.to_str().unwrap());
    let text = include_str!("../../../../docs/products.md");
    let mut named = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{line}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
        let tests = cells[2].split(", ");
        named.extend(tests.filter_map(|test| test.strip_prefix(&prefix)?.strip_suffix('`')));
    }
    assert_eq!(named, walks.iter().copied().collect());
}
