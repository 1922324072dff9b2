//! Patterns: one spelling, a stored form that names its kind, and covering and including as a
//! comparison of segments says. Sets of patterns are their union.
//!
//! The first line is a pattern, the others are keys and more patterns; the whole is also read as
//! a stored pattern and a stored grant.

#![no_main]

use guestlist_access::{ActionSet, Coverage, Grant, Pattern, PatternKind};
use guestlist_fuzz::format::is_key;
use guestlist_types::Key;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    stored(data);
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let lines: Vec<&str> = text.split('\n').take(8).collect();
    let patterns: Vec<Pattern> = lines.iter().filter_map(|line| parse(line)).collect();
    let keys: Vec<Key> = lines
        .iter()
        .filter_map(|line| Key::parse(line).ok())
        .collect();
    for pattern in patterns.iter().chain([&Pattern::all()]) {
        for key in &keys {
            assert_eq!(
                pattern.covers(key),
                covers(pattern, key),
                "{pattern:?} {key:?}"
            );
        }
        for other in &patterns {
            assert_eq!(pattern.includes(other), includes(pattern, other));
        }
    }
    let coverage: Coverage = patterns.iter().cloned().collect();
    for key in &keys {
        let covered = patterns.iter().any(|pattern| covers(pattern, key));
        assert_eq!(coverage.contains(key), covered);
        let bytes = key.as_str().as_bytes();
        let in_ranges = coverage
            .byte_ranges()
            .iter()
            .filter(|(start, end)| {
                &start[..] <= bytes && end.as_deref().is_none_or(|end| bytes < end)
            })
            .count();
        assert_eq!(in_ranges, usize::from(covered));
    }
    for kept in coverage.as_patterns() {
        let by = coverage.as_patterns().iter().filter(|by| by.includes(kept));
        assert_eq!(by.count(), 1, "no pattern includes another");
    }
    let sql = coverage.sql_filter("t.key").expect("a column");
    assert_eq!(sql.matches('\'').count() % 2, 0, "quotes come in pairs");
});

fn parse(text: &str) -> Option<Pattern> {
    let stem = text.strip_suffix('/').unwrap_or(text);
    // Below the longest prefix there is still a key.
    let expected = is_key(stem) && text.len() <= 1024 - usize::from(stem.len() < text.len());
    match Pattern::parse(text) {
        Ok(pattern) => {
            assert!(expected, "not a pattern: {text:?}");
            assert_eq!(pattern.as_str(), text);
            let is_prefix = pattern.kind() == PatternKind::Prefix;
            assert_eq!(is_prefix, text.ends_with('/'));
            assert_ne!(pattern.kind(), PatternKind::All, "nobody spells everything");
            round(&pattern);
            Some(pattern)
        }
        Err(error) => {
            assert!(!expected, "a pattern was refused: {text:?}, {error:?}");
            assert!(!error.code().is_empty());
            None
        }
    }
}

fn round(pattern: &Pattern) {
    let json = serde_json::to_string(pattern).expect("it is stored");
    let read: Pattern = serde_json::from_str(&json).expect("it comes back");
    assert_eq!(read, *pattern);
    let bytes = postcard::to_stdvec(pattern).expect("it is stored");
    assert_eq!(postcard::from_bytes(&bytes).as_ref(), Ok(pattern));
}

fn stored(data: &[u8]) {
    for pattern in [
        serde_json::from_slice::<Pattern>(data).ok(),
        postcard::from_bytes::<Pattern>(data).ok(),
    ]
    .into_iter()
    .flatten()
    {
        assert_eq!(
            pattern.kind() == PatternKind::All,
            pattern.as_str().is_empty()
        );
        if pattern.kind() != PatternKind::All {
            assert_eq!(parse(pattern.as_str()).as_ref(), Some(&pattern));
        }
        round(&pattern);
    }
    for grant in [
        serde_json::from_slice::<Grant>(data).ok(),
        postcard::from_bytes::<Grant>(data).ok(),
    ]
    .into_iter()
    .flatten()
    {
        assert!(grant.actions.is_subset(ActionSet::ALL));
        let bytes = postcard::to_stdvec(&grant).expect("it is stored");
        assert_eq!(postcard::from_bytes(&bytes).as_ref(), Ok(&grant));
        let json = serde_json::to_string(&grant).expect("it is stored");
        let read: Grant = serde_json::from_str(&json).expect("it comes back");
        assert_eq!(read, grant);
    }
}

fn segments(text: &str) -> Vec<&str> {
    text.trim_end_matches('/').split('/').collect()
}

fn covers(pattern: &Pattern, key: &Key) -> bool {
    let (own, of_key) = (segments(pattern.as_str()), segments(key.as_str()));
    match pattern.kind() {
        PatternKind::All => true,
        PatternKind::Prefix => of_key.len() > own.len() && of_key[..own.len()] == own,
        PatternKind::Exact => of_key == own,
    }
}

fn includes(outer: &Pattern, inner: &Pattern) -> bool {
    let (own, others) = (segments(outer.as_str()), segments(inner.as_str()));
    match (outer.kind(), inner.kind()) {
        (PatternKind::All, _) => true,
        (_, PatternKind::All) | (PatternKind::Exact, PatternKind::Prefix) => false,
        (PatternKind::Prefix, PatternKind::Prefix) => others.starts_with(&own),
        (PatternKind::Prefix, PatternKind::Exact) => {
            others.len() > own.len() && others.starts_with(&own)
        }
        (PatternKind::Exact, PatternKind::Exact) => own == others,
    }
}
