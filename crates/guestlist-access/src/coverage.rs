//! Sets of keys, told by patterns.

use guestlist_types::Key;
use serde::{Deserialize, Serialize};

use crate::pattern::{Pattern, PatternKind};

/// A set of keys as the smallest set of patterns that covers it: what may be listed.
///
/// The patterns are sorted and none includes another, so equal sets are equal values.
///
/// ```
/// # use guestlist_access::{Coverage, Pattern};
/// let pattern = |text| Pattern::parse(text).unwrap();
/// let coverage = Coverage::from_iter(["a/b", "it's", "a/", "a/c/"].map(pattern));
/// assert_eq!(coverage.as_patterns(), ["a/", "it's"].map(pattern));
/// assert_eq!(
///     coverage.sql_filter("key")?,
///     "((key >= 'a/' and key < 'a0' and substr(key, 1, 2) = 'a/') or key = 'it''s')"
/// );
/// # Ok::<(), guestlist_access::ColumnError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Pattern>", into = "Vec<Pattern>")]
pub struct Coverage {
    patterns: Vec<Pattern>,
}

/// A text that is no name of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a column is named by letters, digits and `_`, with `.` behind the name of its table")]
pub struct ColumnError;

impl ColumnError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "column-not-an-identifier"
    }
}

impl Coverage {
    /// The patterns, sorted; none includes another.
    #[must_use]
    pub fn as_patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether no key is covered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether this key is covered.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.last_up_to(key.as_str())
            .is_some_and(|pattern| pattern.covers(key))
    }

    /// Whether every key that `pattern` covers is covered here.
    #[must_use]
    pub fn includes(&self, pattern: &Pattern) -> bool {
        self.last_up_to(pattern.as_str())
            .is_some_and(|last| last.includes(pattern))
    }

    /// The only pattern that can cover `text`. A covering prefix sorts before what it covers, and
    /// whatever sorts in between begins with that prefix too, so it would not be in the set.
    fn last_up_to(&self, text: &str) -> Option<&Pattern> {
        let after = self
            .patterns
            .partition_point(|pattern| pattern.as_str() <= text);
        self.patterns.get(after.checked_sub(1)?)
    }

    /// The covered keys as half-open ranges of bytes, sorted and apart; no end means no bound.
    #[must_use]
    pub fn byte_ranges(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        self.patterns
            .iter()
            .map(|pattern| {
                let start = pattern.as_str().as_bytes().to_vec();
                let end = match pattern.kind() {
                    PatternKind::All => None,
                    PatternKind::Prefix => prefix_successor(&start),
                    PatternKind::Exact => Some([&start[..], &[0]].concat()),
                };
                (start, end)
            })
            .collect()
    }

    /// The covered keys as an SQL condition for `SQLite` and `PostgreSQL`, on this column.
    ///
    /// A prefix is a range, which an index serves, and a comparison of the prefix itself. Both are
    /// exact where the column compares byte for byte: as `SQLite` does by default, and `PostgreSQL`
    /// with `collate "C"`. Under another collation of `PostgreSQL` the range may lose rows; the
    /// comparison sees to it that it never adds any.
    ///
    /// Keys are written as standard string literals: quotes are doubled, and a backslash is a
    /// plain character (`standard_conforming_strings`, which is on by default).
    ///
    /// # Errors
    ///
    /// [`ColumnError`] if `column` is not an identifier, or two joined by a `.`.
    pub fn sql_filter(&self, column: &str) -> Result<String, ColumnError> {
        if !is_column(column) {
            return Err(ColumnError);
        }
        let conditions: Vec<String> = self
            .patterns
            .iter()
            .map(|pattern| {
                let text = quoted(pattern.as_str());
                match pattern.kind() {
                    PatternKind::All => "(1=1)".to_owned(),
                    PatternKind::Exact => format!("{column} = {text}"),
                    PatternKind::Prefix => {
                        let stem = pattern.as_str().strip_suffix('/').unwrap_or_default();
                        // '0' is the character after '/'.
                        let end = quoted(&format!("{stem}0"));
                        let length = pattern.as_str().chars().count();
                        format!(
                            "({column} >= {text} and {column} < {end} \
                             and substr({column}, 1, {length}) = {text})"
                        )
                    }
                }
            })
            .collect();
        Ok(match conditions.as_slice() {
            [] => "(1=0)".to_owned(),
            some => any_of(some),
        })
    }
}

/// Patterns in any order, also such that include each other.
impl FromIterator<Pattern> for Coverage {
    fn from_iter<I: IntoIterator<Item = Pattern>>(patterns: I) -> Self {
        let mut patterns: Vec<Pattern> = patterns.into_iter().collect();
        patterns.sort_unstable();
        // Whatever a pattern includes directly follows it in this order.
        patterns.dedup_by(|next, kept| kept.includes(next));
        Self { patterns }
    }
}

impl From<Vec<Pattern>> for Coverage {
    fn from(patterns: Vec<Pattern>) -> Self {
        patterns.into_iter().collect()
    }
}

impl From<Coverage> for Vec<Pattern> {
    fn from(coverage: Coverage) -> Self {
        coverage.patterns
    }
}

/// The first bytes after everything that begins with `prefix`; none if it is all 0xFF.
fn prefix_successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// Conditions joined as a balanced tree: databases bound how deep an expression can be, and a row
/// of a thousand `or` is a thousand deep.
fn any_of(conditions: &[String]) -> String {
    match conditions {
        [one] => one.clone(),
        _ => {
            let (left, right) = conditions.split_at(conditions.len() / 2);
            format!("({} or {})", any_of(left), any_of(right))
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn is_column(text: &str) -> bool {
    let is_identifier = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !part.starts_with(|c: char| c.is_ascii_digit())
    };
    text.len() <= 127 && text.split('.').count() <= 2 && text.split('.').all(is_identifier)
}
