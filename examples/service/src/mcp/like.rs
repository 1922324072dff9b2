//! Prefixes with wildcards, as clients write them for SQL's `like`.
//!
//! Matched here and not by a database: SQLite's `like` takes `A` for `a`, and keys don't.

use guestlist::OrgName;

/// What a key begins with. The default is what every key begins with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Like {
    /// Up to the first wildcard.
    stem: String,
    /// From there on; nothing if there is none.
    rest: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Letter(char),
    /// `_`
    One,
    /// `%`
    Any,
}

/// Longer than any key with a wildcard between any two letters of it.
const LONGEST: usize = 4096;

impl Like {
    /// The organization that the prefix names, and what its keys begin with. `None`: no key at all
    /// begins like that.
    pub(super) fn parse(text: &str) -> Option<(Option<OrgName>, Self)> {
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return None;
        }
        let parts = parts_of(text);
        let Some((Part::Letter('@'), rest)) = parts.split_first().map(|(first, r)| (*first, r))
        else {
            return Some((None, Self::of(&parts)));
        };
        let slash = rest.iter().position(|part| *part == Part::Letter('/'))?;
        let name: Option<String> = rest[..slash].iter().map(|part| part.letter()).collect();
        let name = OrgName::parse(&name?).ok()?;
        Some((Some(name), Self::of(&rest[slash + 1..])))
    }

    fn of(parts: &[Part]) -> Self {
        let stem: String = parts.iter().map_while(|part| part.letter()).collect();
        let rest = parts[stem.chars().count()..].to_vec();
        Self { stem, rest }
    }

    /// Whether there is no wildcard in it.
    pub(super) const fn is_plain(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is before the first wildcard.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// Whether the key begins like this.
    pub(super) fn matches(&self, key: &str) -> bool {
        let Some(text) = key.strip_prefix(&self.stem) else {
            return false;
        };
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut part) = (0, 0);
        // Where the last `%` is, and how far it reaches.
        let mut any: Option<(usize, usize)> = None;
        while part < self.rest.len() {
            let fits = match self.rest[part] {
                Part::Any => {
                    any = Some((part, at));
                    part += 1;
                    continue;
                }
                Part::One => at < text.len(),
                Part::Letter(letter) => text.get(at) == Some(&letter),
            };
            if fits {
                at += 1;
                part += 1;
            } else if let Some((wildcard, reach)) = any.filter(|(_, reach)| *reach < text.len()) {
                any = Some((wildcard, reach + 1));
                (at, part) = (reach + 1, wildcard + 1);
            } else {
                return false;
            }
        }
        true
    }
}

impl Part {
    const fn letter(self) -> Option<char> {
        match self {
            Self::Letter(letter) => Some(letter),
            Self::One | Self::Any => None,
        }
    }
}

fn parts_of(text: &str) -> Vec<Part> {
    let mut letters = text.chars();
    let mut parts = Vec::new();
    while let Some(letter) = letters.next() {
        parts.push(match letter {
            '\\' => Part::Letter(letters.next().unwrap_or('\\')),
            '%' => Part::Any,
            '_' => Part::One,
            letter => Part::Letter(letter),
        });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_as_sql_would_and_minds_the_case() {
        for (prefix, key, expected) in [
            ("", "anything", true),
            ("a/", "a/b", true),
            ("a/", "A/b", false),
            ("a/", "a", false),
            ("a_c", "abcd", true),
            ("a_c", "ac", false),
            (r"a\_c", "abc", false),
            (r"a\_c", "a_c/d", true),
            ("%c", "abc", true),
            ("%c", "abd", false),
            ("a%b%c", "a-b-b-c-d", true),
            ("a%b%c", "a-c-b", false),
            ("%", "x", true),
            (r"100\%", "100%/x", true),
            (r"100\%", "1000", false),
            (r"a\\", r"a\b", true),
            ("a\\", "a\\b", true),
            ("_", "\u{e9}", true),
            ("\u{e9}_", "\u{e9}x", true),
        ] {
            let (place, like) = Like::parse(prefix).unwrap();
            assert_eq!(place, None);
            assert_eq!(like.matches(key), expected, "{prefix:?} {key:?}");
        }
    }

    #[test]
    fn an_organization_is_named_without_wildcards() {
        let (place, like) = Like::parse(r"@my\_org/a_").unwrap();
        assert_eq!(place.unwrap().as_str(), "my_org");
        assert!(like.matches("ab") && !like.matches("a"));
        for nowhere in ["@", "@host", "@h%/x", "@ho_t/x", "@Host/x", "@/x", "a\nb"] {
            assert_eq!(Like::parse(nowhere), None, "{nowhere:?}");
        }
        let (place, like) = Like::parse("%@host/").unwrap();
        assert!(place.is_none() && !like.matches("a/b"));
    }
}
