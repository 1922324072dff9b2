//! Texts that people and programs send by mistake or on purpose, for whatever takes a token, a
//! name, a key or an address.
//!
//! ```
//! use guestlist_testkit::corpora::{confusables, malformed_tokens};
//! use guestlist_token::InviteToken;
//! use guestlist_types::OrgName;
//!
//! # let token = "glj_p0ELSZgnu07ELSZgnu18FMTahov29GNU11E88C";
//! for text in malformed_tokens(token) {
//!     assert!(InviteToken::parse(&text).is_err());
//! }
//! let names = confusables();
//! assert!(names.iter().all(|text| text.is_ascii() || OrgName::parse(text).is_err()));
//! ```

use std::collections::BTreeSet;

/// How many bytes the longest text has that comes in place of a token.
pub const HUGE_BYTES: usize = 64 << 20;

/// What comes in place of a token: more than 10 000 texts, made of a genuine one, and none of them
/// a token before it is decoded or trimmed.
///
/// These are all lengths from 0 to 128, every byte at every place, characters that look like those
/// that they replace, other cases and prefixes, swapped and repeated characters, what is percent-
/// encoded, quoted, wrapped in spaces or has something unseen in it, and one of
/// [`HUGE_BYTES`], at the end. Each is made when it is asked for.
///
/// A service that decodes or trims what it is sent may find the genuine token in some of them: give
/// it these behind that.
pub fn malformed_tokens(token: &str) -> impl Iterator<Item = String> + '_ {
    let lengths = (0..=128).flat_map(move |length| {
        let cycled: String = token.chars().cycle().take(length).collect();
        [cycled, "0".repeat(length), "\u{e9}".repeat(length)]
    });
    let places = || 0..token.chars().count();
    let bytes = places().flat_map(move |place| {
        (0..=u8::MAX).map(move |byte| replaced(token, place, &[char::from(byte)]))
    });
    let alike = token.chars().enumerate().flat_map(move |(place, here)| {
        look_alikes(here).map(move |other| replaced(token, place, &[other]))
    });
    let pairs = token.chars().zip(token.chars().skip(1)).enumerate();
    let swapped = pairs.map(move |(place, (one, other))| {
        let without = replaced(token, place + 1, &[]);
        replaced(&without, place, &[other, one])
    });
    let inserted = token.chars().enumerate().step_by(7);
    let unseen = inserted.flat_map(move |(place, here)| {
        UNSEEN.map(|character| replaced(token, place, &[character, here]))
    });
    let other_case: String = token.chars().map(in_other_case).collect();
    let escaped: Vec<_> = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let whole = [
        token.to_uppercase(),
        token.to_lowercase(),
        other_case,
        escaped.concat(),
        token.replace('_', "%5F"),
        token.replace('_', "%255F"),
        token.chars().rev().collect(),
        format!("{token}{token}"),
        format!("{token},{token}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("\u{feff}{token}"),
        format!("\"{token}\""),
        format!("'{token}' OR '1'='1"),
        format!("Bearer {token}"),
        format!("?token={token}&token={token}"),
        "null".to_owned(),
        "undefined".to_owned(),
        "[object Object]".to_owned(),
    ];
    let huge = core::iter::once_with(|| "glj_".repeat(HUGE_BYTES / 4));
    lengths
        .chain(bytes)
        .chain(alike)
        .chain(swapped)
        .chain(unseen)
        .chain(whole)
        .chain(huge)
        .filter(move |text| text != token)
}

fn replaced(text: &str, place: usize, by: &[char]) -> String {
    let before = text.chars().take(place);
    let behind = text.chars().skip(place + 1);
    before.chain(by.iter().copied()).chain(behind).collect()
}

fn in_other_case(character: char) -> char {
    if character.is_ascii_lowercase() {
        character.to_ascii_uppercase()
    } else {
        character.to_ascii_lowercase()
    }
}

const WORDS: [&str; 16] = [
    "admin", "billing", "file", "guest", "host", "info", "kiosk", "mail", "owner", "paypal",
    "root", "service", "ssl", "staff", "team", "vip",
];

/// Beside each letter what is taken for it: other scripts, other widths, with marks, or by some
/// mapping of Unicode.
const ALIKE: [(char, &str); 21] = [
    ('a', "аɑαａàáâäåāạ⍺𝐚ª"),
    ('b', "ЬｂƄ"),
    ('c', "сϲｃçⅽ"),
    ('d', "ԁｄđⅾ"),
    ('e', "еεｅéèêëė℮"),
    ('f', "ｆƒ"),
    ('g', "ɡｇğ"),
    ('h', "һｈħℎ"),
    ('i', "іıιｉíìîïⅰİ𝐢l1"),
    ('k', "кκｋKķ𝐤"),
    ('l', "ӏⅼｌłI1"),
    ('m', "мｍⅿ"),
    ('n', "ոｎñńη"),
    ('o', "оοｏóòöøօ0º"),
    ('p', "рρｐ"),
    ('r', "гｒř"),
    ('s', "ѕſｓşșß"),
    ('t', "тｔťț"),
    ('u', "υսｕüú"),
    ('v', "νѵｖⅴ"),
    ('w', "ѡｗա"),
];

/// What is not seen, or turns around what is seen.
const UNSEEN: [char; 17] = [
    '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}',
    '\u{2069}', '\u{feff}', '\u{ad}', '\u{34f}', '\u{61c}', '\u{301}', '\u{308}', '\u{327}',
    '\u{0}',
];

fn look_alikes(letter: char) -> impl Iterator<Item = char> {
    let known = ALIKE.iter().find(|(of, _)| *of == letter);
    known.map_or("", |(_, others)| *others).chars()
}

/// More than 5 000 texts that pass for another one, or become it when somebody folds, composes or
/// maps them: some words with one or two of their letters replaced, with something unseen in them,
/// in other cases, with ligatures, and under a flood of marks. The words themselves are among them.
#[must_use]
pub fn confusables() -> BTreeSet<String> {
    let mut corpus = BTreeSet::new();
    for word in WORDS {
        for (first, letter) in word.chars().enumerate() {
            for one in look_alikes(letter) {
                let changed = replaced(word, first, &[one]);
                for (second, letter) in word.chars().enumerate().skip(first + 1) {
                    let others = look_alikes(letter).step_by(2);
                    corpus.extend(others.map(|other| replaced(&changed, second, &[other])));
                }
                corpus.insert(changed);
            }
            for unseen in UNSEEN {
                corpus.insert(replaced(word, first, &[unseen, letter]));
                corpus.insert(format!("{word}{unseen}"));
            }
        }
        for marks in 1..20 {
            corpus.insert(format!("{word}{}", "\u{301}".repeat(marks)));
        }
        corpus.insert(word.to_owned());
        corpus.insert(word.to_uppercase());
        corpus.insert(word.replace("fi", "\u{fb01}").replace("ff", "\u{fb00}"));
        corpus.insert(format!("{word}\u{2024}"));
    }
    corpus
}
