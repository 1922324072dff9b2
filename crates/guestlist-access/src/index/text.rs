//! Texts kept once, and the hashes by which a key finds the patterns that cover it.

use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

use super::blocks::{append, extend, number};

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const LAST: u64 = 0xd6e8_feb8_6659_fd93;

#[expect(
    clippy::cast_possible_truncation,
    reason = "both halves of the product are folded"
)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Hashes texts such that all prefixes of one are hashed in one go.
///
/// The seed differs from process to process, so that nobody can choose texts that collide. It
/// decides where things are kept, and no answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hasher(u64);

impl Default for Hasher {
    fn default() -> Self {
        Self(RandomState::new().hash_one(LAST))
    }
}

impl Hasher {
    pub(super) const fn number(self, value: u64) -> u64 {
        fold(fold(self.0 ^ value, STEP) ^ value, LAST)
    }

    pub(super) fn id(self, bytes: &[u8; 16]) -> u64 {
        let state = fold(self.0 ^ word(bytes, 0), STEP);
        last(state, word(bytes, 8), 16)
    }

    pub(super) fn text(self, text: &[u8]) -> u64 {
        let mut state = self.0;
        let mut at = 0;
        while at + 8 < text.len() {
            state = fold(state ^ word(text, at), STEP);
            at += 8;
        }
        last(state, word(text, at), text.len())
    }

    /// Hashes everything but nothing that a pattern covering this key can be: each part up to a
    /// `/`, and the whole. Each comes with its length; `found` says whether to stop.
    #[inline]
    pub(super) fn prefixes(self, key: &[u8], mut found: impl FnMut(u64, usize) -> bool) -> bool {
        const SLASHES: u64 = u64::from_ne_bytes([b'/'; 8]);
        const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
        let mut state = self.0;
        let mut at = 0;
        loop {
            let left = key.len().saturating_sub(at);
            let word = word(key, at);
            // Exactly the bytes that are `/`: no carry goes from one byte to the next.
            let others = word ^ SLASHES;
            let mut ends = !(((others & LOW) + LOW) | others | LOW);
            if left <= 8 {
                ends |= 0x80_u64.rotate_left(8 * number(left) + 56);
            }
            while ends != 0 {
                let byte = ends.trailing_zeros() / 8;
                let end = at + byte as usize + 1;
                let kept = word & (u64::MAX >> (56 - 8 * byte));
                if found(last(state, kept, end), end) {
                    return true;
                }
                ends &= ends - 1;
            }
            if left <= 8 {
                return false;
            }
            state = fold(state ^ word, STEP);
            at += 8;
        }
    }
}

const fn last(state: u64, word: u64, len: usize) -> u64 {
    fold(state ^ word, LAST ^ len as u64)
}

/// Up to eight bytes from `at` on, zeros behind them.
#[inline]
fn word(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    if let Some(full) = rest.first_chunk::<8>() {
        return u64::from_le_bytes(*full);
    }
    if rest.is_empty() {
        return 0;
    }
    if let Some(tail) = text.last_chunk::<8>() {
        return u64::from_le_bytes(*tail) >> (64 - 8 * rest.len());
    }
    rest.iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Which two bytes of a hash stand for it in a list; never zero, which marks empty places.
pub(super) const fn tag(hash: u64) -> u16 {
    let tag = (hash >> 48) as u16;
    if tag == 0 { 1 } else { tag }
}

const UNIT: usize = 8;
const HEAD: usize = 6;

/// Texts of at most 65,535 bytes, each with a count of those that use it. A text is known by where
/// it begins.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// By length in units.
    free: Vec<Vec<u32>>,
}

impl Texts {
    pub(super) fn get(&self, text: u32) -> &[u8] {
        let start = text as usize * UNIT;
        let [low, high] = [self.bytes[start], self.bytes[start + 1]];
        let len = usize::from(u16::from_le_bytes([low, high]));
        &self.bytes[start + HEAD..start + HEAD + len]
    }

    pub(super) fn str(&self, text: u32) -> &str {
        core::str::from_utf8(self.get(text)).expect("only whole texts are put in")
    }

    /// Whether the text is this one; cheaper than to get it.
    #[inline]
    pub(super) fn is(&self, text: u32, bytes: &[u8]) -> bool {
        let start = text as usize * UNIT;
        let block = &self.bytes[start..];
        let [low, high] = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes();
        block[0] == low && block[1] == high && block[HEAD..].starts_with(bytes)
    }

    /// Used once.
    pub(super) fn add(&mut self, text: &[u8]) -> u32 {
        let len = u16::try_from(text.len()).expect("keys and ids are short");
        let units = (HEAD + text.len()).div_ceil(UNIT);
        let at = self.free.get_mut(units).and_then(Vec::pop);
        let at = at.unwrap_or_else(|| {
            let at = self.bytes.len();
            extend(&mut self.bytes, at + units * UNIT, 0);
            number(at / UNIT)
        });
        let start = at as usize * UNIT;
        self.bytes[start..start + 2].copy_from_slice(&len.to_le_bytes());
        self.bytes[start + HEAD..start + HEAD + text.len()].copy_from_slice(text);
        self.set_uses(at, 1);
        at
    }

    pub(super) fn uses(&self, text: u32) -> u32 {
        let start = text as usize * UNIT + 2;
        let bytes = self.bytes[start..].first_chunk::<4>();
        u32::from_le_bytes(*bytes.expect("a text begins with its head"))
    }

    fn set_uses(&mut self, text: u32, uses: u32) {
        let start = text as usize * UNIT + 2;
        self.bytes[start..start + 4].copy_from_slice(&uses.to_le_bytes());
    }

    pub(super) fn add_use(&mut self, text: u32) {
        self.set_uses(text, self.uses(text) + 1);
    }

    /// Whether that was the last use; then the text is gone after [`Texts::drop`].
    pub(super) fn end_use(&mut self, text: u32) -> bool {
        let left = self.uses(text) - 1;
        self.set_uses(text, left);
        left == 0
    }

    pub(super) fn drop(&mut self, text: u32) {
        let units = (HEAD + self.get(text).len()).div_ceil(UNIT);
        if self.free.len() <= units {
            self.free.resize(units + 1, Vec::new());
        }
        append(&mut self.free[units], text);
    }

    pub(super) fn bytes(&self) -> usize {
        let free = self.free.iter().map(|list| 4 * list.capacity());
        self.bytes.capacity() + free.sum::<usize>() + self.free.capacity() * size_of::<Vec<u32>>()
    }
}

/// The patterns that grants have, each once, and which hashes can't be one of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Patterns {
    texts: Texts,
    table: HashTable<u32>,
    /// The pattern of every key, which is the empty text.
    everything: Option<u32>,
    /// One bit a hash. A pattern that is gone may leave its bit; that costs a look, no answer.
    bits: Vec<u64>,
    set: usize,
}

impl Patterns {
    pub(super) const fn texts(&self) -> &Texts {
        &self.texts
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn intern(&mut self, hasher: Hasher, text: &[u8]) -> u32 {
        let hash = hasher.text(text);
        if let Some(found) = self.table.find(hash, |found| self.texts.is(*found, text)) {
            self.texts.add_use(*found);
            return *found;
        }
        let added = self.texts.add(text);
        let texts = &self.texts;
        self.table
            .insert_unique(hash, added, |text| hasher.text(texts.get(*text)));
        if text.is_empty() {
            self.everything = Some(added);
        }
        self.set += 1;
        if self.set > self.bits.len() * 4 {
            self.set_bits(hasher);
        } else {
            Self::set_bit(&mut self.bits, hash);
        }
        added
    }

    pub(super) fn release(&mut self, hasher: Hasher, pattern: u32) {
        if self.texts.end_use(pattern) {
            let hash = hasher.text(self.texts.get(pattern));
            if let Ok(entry) = self.table.find_entry(hash, |found| *found == pattern) {
                entry.remove();
            }
            if self.everything == Some(pattern) {
                self.everything = None;
            }
            self.texts.drop(pattern);
        }
    }

    /// Sixteen to thirty-two bits a pattern: then one hash in twenty-five passes for nothing.
    fn set_bits(&mut self, hasher: Hasher) {
        let words = (self.table.len() / 4 + 1).next_power_of_two();
        self.bits.clear();
        self.bits.reserve_exact(words);
        self.bits.resize(words, 0);
        for text in &self.table {
            Self::set_bit(&mut self.bits, hasher.text(self.texts.get(*text)));
        }
        self.set = self.table.len();
    }

    const fn place(words: usize, hash: u64) -> (usize, u64) {
        let bit = hash & 63;
        let word = (hash >> 6) as usize & (words.wrapping_sub(1));
        (word, 1 << bit)
    }

    fn set_bit(bits: &mut [u64], hash: u64) {
        let (word, bit) = Self::place(bits.len(), hash);
        bits[word] |= bit;
    }

    /// Whether there is the pattern of every key.
    pub(super) const fn have_everything(&self) -> bool {
        self.everything.is_some()
    }

    /// Whether a pattern with this hash may be there.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let (word, bit) = Self::place(self.bits.len(), hash);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn bytes(&self) -> usize {
        self.texts.bytes() + self.table.allocation_size() + 8 * self.bits.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn prefixes(hasher: Hasher, key: &str) -> Vec<(u64, usize)> {
        let mut all = Vec::new();
        hasher.prefixes(key.as_bytes(), |hash, end| {
            all.push((hash, end));
            false
        });
        all
    }

    proptest! {
        #[test]
        fn the_prefixes_of_a_key_are_hashed_as_texts(key in "[a-c./0]{0,7}[a-z./-]{1,30}") {
            let hasher = Hasher::default();
            let slashes = key.match_indices('/').map(|(at, _)| at + 1);
            let ends: Vec<usize> =
                slashes.filter(|end| *end < key.len()).chain([key.len()]).collect();
            let expected: Vec<(u64, usize)> =
                ends.iter().map(|end| (hasher.text(&key.as_bytes()[..*end]), *end)).collect();
            prop_assert_eq!(prefixes(hasher, &key), expected);
        }

        #[test]
        fn patterns_are_kept_once_while_they_are_used(
            steps in vec(("[ab]{0,3}", any::<bool>()), 0..120),
        ) {
            let hasher = Hasher::default();
            let mut patterns = Patterns::default();
            let mut model = std::collections::BTreeMap::<String, (u32, u32)>::new();
            for (text, put) in steps {
                if put {
                    let at = patterns.intern(hasher, text.as_bytes());
                    let entry = model.entry(text).or_insert((at, 0));
                    prop_assert_eq!(entry.0, at);
                    entry.1 += 1;
                } else if let Some((at, uses)) = model.remove(&text) {
                    patterns.release(hasher, at);
                    if uses > 1 {
                        model.insert(text, (at, uses - 1));
                    }
                }
                prop_assert_eq!(patterns.len(), model.len());
                for (text, (at, uses)) in &model {
                    prop_assert_eq!(patterns.texts().str(*at), text);
                    prop_assert_eq!(patterns.texts().uses(*at), *uses);
                    prop_assert!(patterns.texts().is(*at, text.as_bytes()));
                    prop_assert!(patterns.may_have(hasher.text(text.as_bytes())));
                }
            }
        }
    }

    #[test]
    fn a_text_is_told_by_all_of_it() {
        let long = "a".repeat(257);
        let mut texts = Texts::default();
        let all = ["", "a", "ab", "ac", "abc", "aaaaaaaaa", "aaaaaaaab", &long];
        let kept = all.map(|text| (texts.add(text.as_bytes()), text));
        for (at, text) in kept {
            assert_eq!(texts.str(at), text);
            for other in all {
                assert_eq!(
                    texts.is(at, other.as_bytes()),
                    text == other,
                    "{text} {other}"
                );
            }
        }
    }

    #[test]
    fn a_slash_is_told_from_what_follows_it() {
        let ends: Vec<usize> = prefixes(Hasher::default(), "a/...b/..c")
            .iter()
            .map(|(_, end)| *end)
            .collect();
        assert_eq!(ends, [2, 7, 10]);
    }
}
