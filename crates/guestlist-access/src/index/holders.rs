//! Members, each once for every episode in which something was given to it.

use guestlist_types::{Member, MemberKind};
use hashbrown::HashTable;

use super::blocks::{Span, Spans, append, number};
use super::entries::List;
use super::text::{Hasher, Texts};
use crate::book::Episode;

const NONE: u32 = u32::MAX;

/// The text of a member's id, and in the lowest bit its kind: users and organizations may have
/// the same ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name(u32);

impl Name {
    const fn new(text: u32, kind: MemberKind) -> Self {
        Self(text << 1 | kind_bit(kind))
    }

    const fn text(self) -> u32 {
        self.0 >> 1
    }

    const fn kind_bit(self) -> u32 {
        self.0 & 1
    }
}

const fn kind_bit(kind: MemberKind) -> u32 {
    match kind {
        MemberKind::Org => 0,
        MemberKind::User => 1,
    }
}

/// Users and organizations of the same ids lie apart.
#[inline]
fn hash(hasher: Hasher, id: &[u8], kind: u32) -> u64 {
    hasher.text(id) ^ u64::from(kind)
}

/// A member in one of its episodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) list: List,
    groups: Span,
    name: Name,
    episode: u32,
    /// The same member in a later episode.
    next: u32,
}

impl Holder {
    pub(super) const fn episode(&self) -> Episode {
        Episode::new(self.episode)
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Holders {
    all: Vec<Holder>,
    names: Texts,
    /// The first holder of each member, by name.
    table: HashTable<u32>,
    free: Vec<u32>,
    groups: Spans,
    live: usize,
}

impl Holders {
    pub(super) fn get(&self, holder: u32) -> &Holder {
        &self.all[holder as usize]
    }

    pub(super) fn list_mut(&mut self, holder: u32) -> &mut List {
        &mut self.all[holder as usize].list
    }

    /// The groups that a holder is directly in.
    pub(super) fn groups(&self, holder: &Holder) -> &[u32] {
        self.groups.get(holder.groups)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        let first = self.table.iter().copied();
        first.flat_map(|first| self.chain(Some(first)).map(|(number, _)| number))
    }

    fn hash(&self, hasher: Hasher, name: Name) -> u64 {
        hash(hasher, self.names.get(name.text()), name.kind_bit())
    }

    /// The first holder of this member; the others follow it.
    #[inline]
    pub(super) fn first_of(&self, hasher: Hasher, member: &Member) -> Option<u32> {
        let (id, kind) = (member.id().as_bytes(), kind_bit(member.kind()));
        let same = |holder: &u32| {
            let name = self.get(*holder).name;
            name.kind_bit() == kind && self.names.is(name.text(), id)
        };
        self.table.find(hash(hasher, id, kind), same).copied()
    }

    /// A holder and those of later episodes.
    #[inline]
    pub(super) fn chain(&self, first: Option<u32>) -> impl Iterator<Item = (u32, &Holder)> {
        core::iter::successors(
            first.map(|first| (first, self.get(first))),
            |(_, holder)| (holder.next != NONE).then(|| (holder.next, self.get(holder.next))),
        )
    }

    /// The same member in its next episode.
    pub(super) fn next(&self, holder: &Holder) -> Option<(u32, Holder)> {
        (holder.next != NONE).then(|| (holder.next, *self.get(holder.next)))
    }

    pub(super) fn find(&self, hasher: Hasher, member: &Member, episode: Episode) -> Option<u32> {
        self.chain(self.first_of(hasher, member))
            .find(|(_, holder)| holder.episode == episode.get())
            .map(|(number, _)| number)
    }

    pub(super) fn intern(&mut self, hasher: Hasher, member: &Member, episode: Episode) -> u32 {
        let first = self.first_of(hasher, member);
        let mut before = None;
        for (number, holder) in self.chain(first) {
            if holder.episode == episode.get() {
                return number;
            }
            if holder.episode < episode.get() {
                before = Some(number);
            }
        }
        let name = match first {
            Some(first) => {
                let name = self.get(first).name;
                self.names.add_use(name.text());
                name
            }
            None => Name::new(self.names.add(member.id().as_bytes()), member.kind()),
        };
        let holder = Holder {
            list: List::default(),
            groups: Span::default(),
            name,
            episode: episode.get(),
            next: match before {
                Some(before) => self.get(before).next,
                None => first.unwrap_or(NONE),
            },
        };
        let added = self.free.pop().unwrap_or_else(|| {
            append(&mut self.all, holder);
            number(self.all.len() - 1)
        });
        self.all[added as usize] = holder;
        self.live += 1;
        match (before, first) {
            (Some(before), _) => self.all[before as usize].next = added,
            (None, Some(first)) => {
                let hash = self.hash(hasher, name);
                if let Some(found) = self.table.find_mut(hash, |found| *found == first) {
                    *found = added;
                }
            }
            (None, None) => {
                let hash = self.hash(hasher, name);
                let (all, names) = (&self.all, &self.names);
                self.table.insert_unique(hash, added, |first| {
                    let name = all[*first as usize].name;
                    self::hash(hasher, names.get(name.text()), name.kind_bit())
                });
            }
        }
        added
    }

    /// Whether the holder wasn't in that group.
    pub(super) fn join(&mut self, holder: u32, group: u32) -> bool {
        let groups = &mut self.all[holder as usize].groups;
        self.groups.insert(groups, group)
    }

    /// Whether the holder was in that group.
    pub(super) fn leave(&mut self, holder: u32, group: u32) -> bool {
        let groups = &mut self.all[holder as usize].groups;
        self.groups.remove(groups, group)
    }

    /// Forgets a holder to whom nothing is given any more.
    pub(super) fn drop_unused(&mut self, hasher: Hasher, dropped: u32, granted: usize) {
        let holder = *self.get(dropped);
        if granted > 0 || !holder.groups.is_empty() {
            return;
        }
        let hash = self.hash(hasher, holder.name);
        let same = |first: &u32| self.get(*first).name == holder.name;
        let first = self.table.find(hash, same).copied().unwrap_or(dropped);
        if first != dropped {
            let before = self
                .chain(Some(first))
                .find(|(_, before)| before.next == dropped)
                .map(|(number, _)| number);
            if let Some(before) = before {
                self.all[before as usize].next = holder.next;
            }
        } else if holder.next != NONE {
            if let Some(found) = self.table.find_mut(hash, |found| *found == dropped) {
                *found = holder.next;
            }
        } else if let Ok(entry) = self.table.find_entry(hash, |found| *found == dropped) {
            entry.remove();
        }
        if self.names.end_use(holder.name.text()) {
            self.names.drop(holder.name.text());
        }
        self.free.push(dropped);
        self.live -= 1;
    }

    #[cfg(test)]
    pub(super) fn name(&self, holder: &Holder) -> String {
        format!(
            "{} {}",
            holder.name.kind_bit(),
            self.names.str(holder.name.text())
        )
    }

    pub(super) const fn len(&self) -> usize {
        self.live
    }

    pub(super) fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<Holder>()
            + self.names.bytes()
            + self.table.allocation_size()
            + 4 * self.free.capacity()
            + self.groups.bytes()
    }
}
