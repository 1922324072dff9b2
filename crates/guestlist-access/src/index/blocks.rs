//! Small lists in one long vector, which is what keeps them small: no allocation and no pointer
//! each.

/// The number of a slot in a vector. Everything here is numbered with half a word, and one bit is
/// left for a mark beside the number.
pub(super) fn number(index: usize) -> u32 {
    let number = u32::try_from(index).ok();
    number
        .filter(|number| number >> 31 == 0)
        .expect("what fits in memory has fewer than 2^31 parts")
}

/// Makes room at the end without doubling: memory counts, and the allocator moves pages, not bytes.
pub(super) fn extend<T: Copy>(vector: &mut Vec<T>, len: usize, fill: T) {
    if len > vector.capacity() {
        let more = (len - vector.len()).max(vector.len() / 8).max(16);
        vector.reserve_exact(more);
    }
    if len > vector.len() {
        vector.resize(len, fill);
    }
}

/// Appends without doubling.
pub(super) fn append<T>(vector: &mut Vec<T>, value: T) {
    if vector.len() == vector.capacity() {
        vector.reserve_exact((vector.len() / 8).max(16));
    }
    vector.push(value);
}

/// How much room a list of `units` gets: 1, 2, 3, 4, 6, 8, 12, 16, 24, and so on.
pub(super) const fn room(units: usize) -> usize {
    if units <= 4 {
        return units;
    }
    let power = units.next_power_of_two();
    let between = power / 4 * 3;
    if units <= between { between } else { power }
}

const fn class(room: usize) -> usize {
    let log = room.ilog2() as usize;
    2 * log + !room.is_power_of_two() as usize
}

/// Where in a vector there is room. Whoever owns the vector grows it up to [`Blocks::end`].
#[derive(Debug, Clone, Default)]
pub(super) struct Blocks {
    end: usize,
    free: Vec<Vec<u32>>,
}

impl Blocks {
    /// A place for [`room`]`(units)`.
    pub(super) fn take(&mut self, units: usize) -> u32 {
        let room = room(units);
        if room == 0 {
            return 0;
        }
        if let Some(start) = self.free.get_mut(class(room)).and_then(Vec::pop) {
            return start;
        }
        let start = number(self.end);
        self.end += room;
        start
    }

    pub(super) fn give(&mut self, start: u32, units: usize) {
        let room = room(units);
        if room == 0 {
            return;
        }
        let class = class(room);
        if self.free.len() <= class {
            self.free.resize(class + 1, Vec::new());
        }
        self.free[class].push(start);
    }

    pub(super) const fn end(&self) -> usize {
        self.end
    }

    pub(super) fn bytes(&self) -> usize {
        let lists = self.free.iter().map(|list| 4 * list.capacity());
        self.free.capacity() * size_of::<Vec<u32>>() + lists.sum::<usize>()
    }
}

/// One list of [`Spans`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub(super) const fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Many sorted lists of numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Spans {
    numbers: Vec<u32>,
    blocks: Blocks,
}

impl Spans {
    pub(super) fn get(&self, span: Span) -> &[u32] {
        let start = span.start as usize;
        &self.numbers[start..start + span.len as usize]
    }

    /// Whether it wasn't there.
    pub(super) fn insert(&mut self, span: &mut Span, value: u32) -> bool {
        let Err(at) = self.get(*span).binary_search(&value) else {
            return false;
        };
        let len = span.len as usize;
        self.resize(span, len + 1);
        let start = span.start as usize;
        self.numbers
            .copy_within(start + at..start + len, start + at + 1);
        self.numbers[start + at] = value;
        true
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, span: &mut Span, value: u32) -> bool {
        let Ok(at) = self.get(*span).binary_search(&value) else {
            return false;
        };
        let (start, len) = (span.start as usize, span.len as usize);
        self.numbers
            .copy_within(start + at + 1..start + len, start + at);
        self.resize(span, len - 1);
        true
    }

    pub(super) fn replace(&mut self, span: &mut Span, values: &[u32]) {
        self.resize(span, values.len());
        let start = span.start as usize;
        self.numbers[start..start + values.len()].copy_from_slice(values);
    }

    fn resize(&mut self, span: &mut Span, len: usize) {
        let (start, old) = (span.start as usize, span.len as usize);
        if room(len) != room(old) {
            let moved = self.blocks.take(len);
            extend(&mut self.numbers, self.blocks.end(), 0);
            let kept = old.min(len);
            self.numbers
                .copy_within(start..start + kept, moved as usize);
            self.blocks.give(span.start, old);
            span.start = moved;
        }
        span.len = number(len);
    }

    pub(super) fn bytes(&self) -> usize {
        4 * self.numbers.capacity() + self.blocks.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn room_grows_by_steps_and_each_step_has_its_list() {
        let rooms: Vec<usize> = (0..26).map(room).collect();
        assert_eq!(rooms[..9], [0, 1, 2, 3, 4, 6, 6, 8, 8]);
        assert_eq!(
            (rooms[9], rooms[12], rooms[13], rooms[25]),
            (12, 12, 16, 32)
        );
        let different: BTreeSet<usize> = rooms.iter().copied().filter(|room| *room > 0).collect();
        let classes: BTreeSet<usize> = different.iter().map(|room| class(*room)).collect();
        assert_eq!(classes.len(), different.len());
    }

    /// Room for an eighth more at most, and seldom anew.
    #[test]
    fn vectors_grow_by_an_eighth() {
        let (mut appended, mut extended) = (Vec::new(), Vec::new());
        let mut moves = [0, 0];
        for number in 0..20_000 {
            let before = [appended.capacity(), extended.capacity()];
            append(&mut appended, number);
            // Mostly by one, once by a lot.
            let len = if number == 9_000 { 15_000 } else { number };
            extend(&mut extended, len, 7);
            let after = [appended.capacity(), extended.capacity()];
            for at in 0..2 {
                moves[at] += usize::from(before[at] != after[at]);
                let most = [appended.len(), extended.len()][at] * 9 / 8 + 16;
                assert!(after[at] <= most, "{number} {after:?}");
            }
        }
        assert_eq!(appended.len(), 20_000);
        assert_eq!(extended, [7].repeat(20_000 - 1));
        assert!(moves.iter().all(|moves| *moves < 70), "{moves:?}");
    }

    proptest! {
        #[test]
        fn spans_are_sets_apart(
            steps in vec((0_usize..4, 0_u32..40, any::<bool>()), 0..200),
        ) {
            let mut spans = Spans::default();
            let mut lists = [Span::default(); 4];
            let mut model: [BTreeSet<u32>; 4] = Default::default();
            for (list, value, put) in steps {
                if put {
                    let new = spans.insert(&mut lists[list], value);
                    prop_assert_eq!(new, model[list].insert(value));
                } else {
                    let was = spans.remove(&mut lists[list], value);
                    prop_assert_eq!(was, model[list].remove(&value));
                }
                for (span, set) in lists.iter().zip(&model) {
                    prop_assert!(spans.get(*span).iter().eq(set));
                }
            }
            let values: Vec<u32> = model[1].iter().copied().collect();
            spans.replace(&mut lists[0], &values);
            prop_assert_eq!(spans.get(lists[0]), spans.get(lists[1]));
        }
    }
}
