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

    /// Of the texts of patterns. Nothing is allocated for what is left out.
    pub(crate) fn of_texts(mut texts: Vec<&str>) -> Self {
        texts.sort_unstable();
        texts.dedup_by(|next, kept| Pattern::covers_text(kept, next));
        Self {
            patterns: texts.into_iter().map(Pattern::of_text).collect(),
        }
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
        Ok(any_of(&conditions))
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
        [] => "(1=0)".to_owned(),
        [one] => one.clone(),
        several => {
            let (left, right) = several.split_at(several.len() / 2);
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{arb_pattern, universe};

    fn coverage(texts: &[&str]) -> Coverage {
        texts.iter().map(|t| Pattern::parse(t).unwrap()).collect()
    }

    #[test]
    fn what_is_included_is_left_out() {
        for (given, kept) in [
            (&["a/b", "a/", "a/c/", "a/"][..], &["a/"][..]),
            (
                &["a", "a/", "ab", "a-", "a0"],
                &["a", "a-", "a/", "a0", "ab"],
            ),
            (&["a/b/", "a/b", "a/bc"], &["a/b", "a/b/", "a/bc"]),
            (&[], &[]),
        ] {
            let expected: Vec<Pattern> = kept.iter().map(|t| Pattern::parse(t).unwrap()).collect();
            assert_eq!(coverage(given).as_patterns(), expected, "{given:?}");
        }
        let everything: Coverage = [Pattern::parse("a/").unwrap(), Pattern::all()]
            .into_iter()
            .collect();
        assert_eq!(everything.as_patterns(), [Pattern::all()]);
    }

    #[test]
    fn ranges_are_half_open_bytes() {
        assert_eq!(
            coverage(&["a/", "k"]).byte_ranges(),
            [
                (b"a/".to_vec(), Some(b"a0".to_vec())),
                (b"k".to_vec(), Some(b"k\0".to_vec())),
            ]
        );
        let everything = Coverage::from_iter([Pattern::all()]);
        assert_eq!(everything.byte_ranges(), [(vec![], None)]);
        assert_eq!(Coverage::default().byte_ranges(), []);
    }

    #[test]
    fn the_end_of_a_prefix_minds_0xff() {
        for (prefix, end) in [
            (&b"a/"[..], Some(&b"a0"[..])),
            (b"a\xff", Some(b"b")),
            (b"a\xfe\xff\xff", Some(b"a\xff")),
            (b"\xff\xff", None),
            (b"", None),
        ] {
            assert_eq!(prefix_successor(prefix).as_deref(), end, "{prefix:?}");
        }
    }

    #[test]
    fn sql_is_escaped() {
        for (texts, sql) in [
            (&[][..], "(1=0)"),
            (&["k"], "t.key = 'k'"),
            (&["%_*"], "t.key = '%_*'"),
            (&["it's"], "t.key = 'it''s'"),
            (&["' or 1=1 --"], "t.key = ''' or 1=1 --'"),
            (
                &["'/"],
                "(t.key >= '''/' and t.key < '''0' and substr(t.key, 1, 2) = '''/')",
            ),
            (
                &["\u{e9}/"],
                "(t.key >= '\u{e9}/' and t.key < '\u{e9}0' and substr(t.key, 1, 2) = '\u{e9}/')",
            ),
            (
                &["a", "b", "c"],
                "(t.key = 'a' or (t.key = 'b' or t.key = 'c'))",
            ),
        ] {
            assert_eq!(coverage(texts).sql_filter("t.key").unwrap(), sql);
        }
        let everything = Coverage::from_iter([Pattern::all()]);
        assert_eq!(everything.sql_filter("key").unwrap(), "(1=1)");
    }

    #[test]
    fn a_column_is_an_identifier() {
        for column in ["key", "_k1", "items.key", "Items.Key"] {
            assert!(coverage(&["a"]).sql_filter(column).is_ok(), "{column:?}");
        }
        let long = "k".repeat(64);
        for column in [
            "", ".", "a.", ".a", "a.b.c", "1a", "a b", "a;--", "a'", "\"a\"", "a)", "\u{e9}", &long,
        ] {
            for patterns in [&[][..], &["a"], &["a/"]] {
                let filter = coverage(patterns).sql_filter(column);
                assert_eq!(filter, Err(ColumnError), "{column:?}");
            }
        }
        assert_eq!(ColumnError.code(), "column-not-an-identifier");
    }

    #[test]
    fn many_patterns_do_not_nest_deep() {
        // Miri takes a thousand times as long.
        let (many, deep) = if cfg!(miri) { (50, 6) } else { (5000, 13) };
        let texts: Vec<String> = (0..many).map(|n| format!("k{n}")).collect();
        let patterns = texts.iter().map(|text| Pattern::parse(text).unwrap());
        let sql = patterns.collect::<Coverage>().sql_filter("key").unwrap();
        let mut depth = 0_u32;
        let mut deepest = 0;
        for byte in sql.bytes() {
            match byte {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        assert_eq!((depth, deepest), (0, deep), "SQLite refuses more than 1000");
    }

    #[test]
    fn the_stored_form_is_pinned_and_reduced_on_reading() {
        let json = r#"[{"prefix":"a/"},{"exact":"b"}]"#;
        let unsorted = r#"[{"exact":"b"},{"exact":"a/x"},{"prefix":"a/"}]"#;
        assert_eq!(
            serde_json::to_string(&coverage(&["b", "a/"])).unwrap(),
            json
        );
        let read: Coverage = serde_json::from_str(unsorted).unwrap();
        assert_eq!(read, coverage(&["a/", "b"]));
    }

    proptest! {
        #[test]
        fn a_coverage_is_the_union_and_an_antichain(
            patterns in vec(arb_pattern(), 0..8), other in arb_pattern(),
        ) {
            let coverage: Coverage = patterns.iter().cloned().collect();
            for key in universe() {
                let covered = patterns.iter().any(|pattern| pattern.covers(&key));
                prop_assert_eq!(coverage.contains(&key), covered, "{}", key);
                let bytes = key.as_str().as_bytes();
                let in_ranges = coverage.byte_ranges().into_iter().filter(|(start, end)| {
                    &start[..] <= bytes && end.as_deref().is_none_or(|end| bytes < end)
                });
                prop_assert_eq!(in_ranges.count(), usize::from(covered), "{}", key);
            }
            let includes = patterns.iter().any(|pattern| pattern.includes(&other));
            prop_assert_eq!(coverage.includes(&other), includes);
            prop_assert_eq!(coverage.is_empty(), patterns.is_empty());
            let kept = coverage.as_patterns();
            for (index, pattern) in kept.iter().enumerate() {
                let by = kept.iter().enumerate().filter(|(_, other)| other.includes(pattern));
                prop_assert_eq!(by.map(|(by, _)| by).collect::<Vec<_>>(), [index]);
            }
            prop_assert!(kept.is_sorted());
        }
    }
}
