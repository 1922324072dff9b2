//! What each subject is granted, in the form that a check reads.
//!
//! A list is scanned by two bytes of hash an entry, eight at a time. A long one is spread over
//! buckets by another part of the hash, so that a check reads one bucket for each prefix of its
//! key.

use super::blocks::{Blocks, extend, number, room};
use super::text::tag;

/// Longer lists are spread over buckets; in tests nearly all, so that small worlds have both.
const FLAT: usize = if cfg!(test) { 9 } else { 128 };
/// How many entries a bucket is meant to hold.
const BUCKET: usize = if cfg!(test) { 2 } else { 24 };
/// Places are taken four at a time.
const GROUP: usize = 4;
/// Lists of at most this many entries have a sieve.
const SIEVED: usize = 8;
/// Says that a list is spread over buckets.
const SPREAD: u32 = u32::MAX;

/// What one subject is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct List {
    start: u32,
    len: u32,
}

impl List {
    pub(super) const fn is_spread(self) -> bool {
        self.len == SPREAD
    }
}

/// One pattern that is granted with some actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) hash: u64,
    pub(super) pattern: u32,
    /// The actions, and [`ENDS`].
    pub(super) bits: u8,
    /// The row of the grant; of the one that lasts longest, if there are several.
    pub(super) row: u32,
}

/// Set in an entry that ends some time.
pub(super) const ENDS: u8 = 1 << 7;

/// Which of 64 holes a tag falls through. Most short lists let nothing through that is wanted, and
/// are not looked at.
const fn sieve(tag: u16) -> u64 {
    1 << (tag & 63)
}

/// How many prefixes are looked for at a time. Keys with more that some pattern has are rare.
const BATCH: usize = 4;

/// What is looked for in many lists: some prefixes of a key.
#[derive(Debug)]
pub(super) struct Wanted {
    len: usize,
    sieve: u64,
    /// All of them are compared always: those beyond the last one repeat the first.
    tags: [[u16; 8]; BATCH],
    hashes: [u64; BATCH],
    ends: [u16; BATCH],
}

impl Wanted {
    pub(super) const fn new() -> Self {
        Self {
            len: 0,
            sieve: 0,
            tags: [[0; 8]; BATCH],
            hashes: [0; BATCH],
            ends: [0; BATCH],
        }
    }

    #[inline]
    pub(super) fn push(&mut self, hash: u64, end: usize) {
        let tags = [tag(hash); 8];
        self.sieve |= sieve(tag(hash));
        if self.len == 0 {
            self.tags = [tags; BATCH];
        }
        let at = self.len % BATCH;
        self.tags[at] = tags;
        self.hashes[at] = hash;
        self.ends[at] = u16::try_from(end).unwrap_or(u16::MAX);
        self.len += 1;
    }

    pub(super) const fn is_full(&self) -> bool {
        self.len == BATCH
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) const fn clear(&mut self) {
        (self.len, self.sieve) = (0, 0);
    }

    /// Whether a list with this sieve may have one of them.
    pub(super) const fn passes(&self, sieve: u64) -> bool {
        self.sieve & sieve != 0
    }

    pub(super) fn end(&self, at: usize) -> usize {
        usize::from(self.ends[at % BATCH])
    }

    /// Whether one of these tags is wanted.
    #[inline]
    fn is_among<const N: usize>(&self, tags: &[u16; N]) -> bool {
        let mut hit = [0_u16; N];
        for wanted in &self.tags {
            for lane in 0..N {
                let same = tags[lane] == wanted[lane];
                hit[lane] |= if same { u16::MAX } else { 0 };
            }
        }
        hit.iter().fold(0, |all, lane| all | lane) != 0
    }

    /// Calls `found` with each place and what is wanted there, until it says to stop.
    #[inline(never)]
    fn sift(
        &self,
        tags: &[u16],
        start: usize,
        found: &mut impl FnMut(usize, usize) -> bool,
    ) -> bool {
        for (lane, tag) in tags.iter().enumerate() {
            for (which, wanted) in self.tags[..self.len].iter().enumerate() {
                if *tag == wanted[0] && found(start + lane, which) {
                    return true;
                }
            }
        }
        false
    }

    /// The same for as many tags as there are; their number is a multiple of four.
    #[inline]
    pub(super) fn scan(
        &self,
        tags: &[u16],
        start: usize,
        found: &mut impl FnMut(usize, usize) -> bool,
    ) -> bool {
        let (eights, rest) = tags.as_chunks::<8>();
        for (at, eight) in eights.iter().enumerate() {
            if self.is_among(eight) && self.sift(eight, start + 8 * at, found) {
                return true;
            }
        }
        rest.first_chunk::<4>().is_some_and(|four| {
            self.is_among(four) && self.sift(four, start + 8 * eights.len(), found)
        })
    }
}

/// The places of a list that isn't spread.
const fn places(list: List) -> core::ops::Range<usize> {
    list.start as usize..list.start as usize + list.len as usize
}

/// Buckets that grow one by one (linear hashing), so that no change is ever proportional to them.
#[derive(Debug, Clone, Default)]
struct Spread {
    len: usize,
    buckets: Vec<List>,
}

const fn bucket(buckets: usize, hash: u64) -> usize {
    let low = 1 << buckets.ilog2();
    let at = (hash >> 20) as usize & (2 * low - 1);
    if at < buckets { at } else { at - low }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    tags: Vec<u16>,
    bits: Vec<u8>,
    patterns: Vec<u32>,
    rows: Vec<u32>,
    blocks: Blocks,
    spreads: Vec<Spread>,
    free_spreads: Vec<u32>,
}

impl Entries {
    /// The holes of all entries of a list. A long list lets through too much for it to be worth a
    /// question whose answer can't be foreseen.
    pub(super) fn sieve(&self, list: List) -> u64 {
        if list.is_spread() || list.len as usize > SIEVED {
            return u64::MAX;
        }
        let tags = self.tags[places(list)].iter();
        tags.fold(0, |all, tag| all | sieve(*tag))
    }

    pub(super) fn tag(&self, place: usize) -> u16 {
        self.tags[place]
    }

    pub(super) fn bits(&self, place: usize) -> u8 {
        self.bits[place]
    }

    pub(super) fn pattern(&self, place: usize) -> u32 {
        self.patterns[place]
    }

    pub(super) fn row(&self, place: usize) -> u32 {
        self.rows[place]
    }

    pub(super) fn set_row(&mut self, place: usize, row: u32, ends: bool) {
        self.rows[place] = row;
        let bits = self.bits[place] & !ENDS;
        self.bits[place] = if ends { bits | ENDS } else { bits };
    }

    pub(super) fn len(&self, list: List) -> usize {
        if list.len == SPREAD {
            self.spreads[list.start as usize].len
        } else {
            list.len as usize
        }
    }

    /// Calls `found` with the place of each entry that may be one of those wanted, and with which
    /// one, until it says to stop.
    #[inline]
    pub(super) fn scan(
        &self,
        list: List,
        wanted: &Wanted,
        found: &mut impl FnMut(usize, usize) -> bool,
    ) -> bool {
        if list.len == SPREAD {
            return self.scan_spread(list, wanted, found);
        }
        wanted.scan(self.tags(list), list.start as usize, found)
    }

    /// The tags of a list that isn't spread, filled up with zeros.
    #[inline]
    fn tags(&self, list: List) -> &[u16] {
        let start = list.start as usize;
        let places = (list.len as usize).next_multiple_of(GROUP);
        &self.tags[start..start + places]
    }

    #[inline(never)]
    fn scan_spread(
        &self,
        list: List,
        wanted: &Wanted,
        found: &mut impl FnMut(usize, usize) -> bool,
    ) -> bool {
        let buckets = &self.spreads[list.start as usize].buckets;
        for which in 0..wanted.len {
            let hash = wanted.hashes[which];
            let places = places(buckets[bucket(buckets.len(), hash)]);
            for place in places {
                if self.tags[place] == tag(hash) && found(place, which) {
                    return true;
                }
            }
        }
        false
    }

    /// The places where a pattern with this hash would be.
    pub(super) fn places_of(&self, list: List, hash: u64) -> core::ops::Range<usize> {
        if list.len == SPREAD {
            let buckets = &self.spreads[list.start as usize].buckets;
            places(buckets[bucket(buckets.len(), hash)])
        } else {
            places(list)
        }
    }

    /// All places of a list.
    pub(super) fn all(&self, list: List) -> impl Iterator<Item = usize> + '_ {
        let (one, spread) = if list.len == SPREAD {
            (None, &self.spreads[list.start as usize].buckets[..])
        } else {
            (Some(list), &[][..])
        };
        one.into_iter()
            .chain(spread.iter().copied())
            .flat_map(places)
    }

    /// Where this pattern with exactly these actions is.
    pub(super) fn find(&self, list: List, hash: u64, pattern: u32, actions: u8) -> Option<usize> {
        self.places_of(list, hash).find(|place| {
            self.tags[*place] == tag(hash)
                && self.patterns[*place] == pattern
                && self.bits[*place] & !ENDS == actions
        })
    }

    /// `hash` tells the hash of a pattern again.
    pub(super) fn push(&mut self, list: &mut List, entry: Entry, hash: impl Fn(u32) -> u64) {
        if list.len == SPREAD {
            self.push_spread(list.start as usize, entry, hash);
        } else if (list.len as usize) < FLAT {
            self.push_flat(list, entry);
        } else {
            let spread = Spread {
                len: 0,
                buckets: vec![List::default(); FLAT.div_ceil(BUCKET)],
            };
            let to = self.free_spreads.pop().unwrap_or_else(|| {
                self.spreads.push(Spread::default());
                number(self.spreads.len() - 1)
            });
            self.spreads[to as usize] = spread;
            while let Some(moved) = self.pop(list, &hash) {
                self.push_spread(to as usize, moved, &hash);
            }
            *list = List {
                start: to,
                len: SPREAD,
            };
            self.push_spread(to as usize, entry, hash);
        }
    }

    fn push_spread(&mut self, spread: usize, entry: Entry, hash: impl Fn(u32) -> u64) {
        let buckets = self.spreads[spread].buckets.len();
        let at = bucket(buckets, entry.hash);
        let mut list = self.spreads[spread].buckets[at];
        self.push_flat(&mut list, entry);
        self.spreads[spread].buckets[at] = list;
        self.spreads[spread].len += 1;
        if self.spreads[spread].len <= buckets * BUCKET {
            return;
        }
        let split = buckets - (1 << buckets.ilog2());
        let mut left = self.spreads[spread].buckets[split];
        let (mut stays, mut goes) = (List::default(), List::default());
        while let Some(moved) = self.pop(&mut left, &hash) {
            if bucket(buckets + 1, moved.hash) == split {
                self.push_flat(&mut stays, moved);
            } else {
                self.push_flat(&mut goes, moved);
            }
        }
        self.spreads[spread].buckets[split] = stays;
        self.spreads[spread].buckets.push(goes);
    }

    fn push_flat(&mut self, list: &mut List, entry: Entry) {
        let len = list.len as usize;
        self.resize(list, len + 1);
        let place = list.start as usize + len;
        self.tags[place] = tag(entry.hash);
        self.bits[place] = entry.bits;
        self.patterns[place] = entry.pattern;
        self.rows[place] = entry.row;
    }

    fn pop(&mut self, list: &mut List, hash: impl Fn(u32) -> u64) -> Option<Entry> {
        let kept = (list.len as usize).checked_sub(1)?;
        let place = list.start as usize + kept;
        let pattern = self.patterns[place];
        let entry = Entry {
            hash: hash(pattern),
            pattern,
            bits: self.bits[place],
            row: self.rows[place],
        };
        self.resize(list, kept);
        Some(entry)
    }

    /// Takes away the entry at a place, which is one of [`Entries::places_of`] this hash.
    pub(super) fn remove(&mut self, list: &mut List, hash: u64, place: usize) {
        if list.len != SPREAD {
            self.remove_flat(list, place);
            return;
        }
        let spread = list.start as usize;
        let at = bucket(self.spreads[spread].buckets.len(), hash);
        let mut bucket = self.spreads[spread].buckets[at];
        self.remove_flat(&mut bucket, place);
        self.spreads[spread].buckets[at] = bucket;
        self.spreads[spread].len -= 1;
        if self.spreads[spread].len == 0 {
            self.spreads[spread] = Spread::default();
            self.free_spreads.push(list.start);
            *list = List::default();
        }
    }

    fn remove_flat(&mut self, list: &mut List, place: usize) {
        let moved = list.start as usize + list.len as usize - 1;
        self.tags[place] = self.tags[moved];
        self.bits[place] = self.bits[moved];
        self.patterns[place] = self.patterns[moved];
        self.rows[place] = self.rows[moved];
        self.resize(list, list.len as usize - 1);
    }

    fn resize(&mut self, list: &mut List, len: usize) {
        let (start, old) = (list.start as usize, list.len as usize);
        let (groups, old_groups) = (len.div_ceil(GROUP), old.div_ceil(GROUP));
        if room(groups) != room(old_groups) {
            let moved = self.blocks.take(groups);
            let (to, places) = (moved as usize * GROUP, self.blocks.end() * GROUP);
            extend(&mut self.tags, places, 0);
            extend(&mut self.bits, places, 0);
            extend(&mut self.patterns, places, 0);
            extend(&mut self.rows, places, 0);
            let kept = start..start + old.min(len);
            self.tags[to..to + room(groups) * GROUP].fill(0);
            self.tags.copy_within(kept.clone(), to);
            self.bits.copy_within(kept.clone(), to);
            self.patterns.copy_within(kept.clone(), to);
            self.rows.copy_within(kept, to);
            self.blocks.give(list.start / number(GROUP), old_groups);
            list.start = number(to);
        } else if len < old {
            self.tags[start + len..start + old].fill(0);
        }
        list.len = number(len);
    }

    pub(super) fn bytes(&self) -> usize {
        let buckets = self.spreads.iter().map(|spread| spread.buckets.capacity());
        2 * self.tags.capacity()
            + self.bits.capacity()
            + 4 * (self.patterns.capacity() + self.rows.capacity())
            + self.blocks.bytes()
            + self.spreads.capacity() * size_of::<Spread>()
            + 4 * self.free_spreads.capacity()
            + buckets.sum::<usize>() * size_of::<List>()
    }
}
