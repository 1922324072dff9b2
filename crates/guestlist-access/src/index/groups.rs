//! Groups: what contains what, and from each group the groups that it leads to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guestlist_types::GroupId;
use hashbrown::HashTable;

use super::blocks::{Span, Spans, append, number};
use super::entries::List;
use super::text::Hasher;

/// How many groups a group may lead to for them to be written down with it. What is beyond that is
/// found out for each question: written down, a chain of n groups would take n² / 2.
/// In tests so few that worlds of a handful of groups have both.
const MAX_REACH: usize = if cfg!(test) { 3 } else { 64 };

/// What is read of a group in every check.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Group {
    /// What it is granted itself.
    pub(super) list: List,
    /// The holes of that list.
    sieve: u64,
    reach: Span,
    deep: bool,
    /// Whether an internal group is among those that it leads to.
    internal: bool,
}

#[derive(Debug, Clone)]
struct Node {
    id: GroupId,
    /// How many rows name it, besides its own.
    uses: u32,
    exists: bool,
    internal: bool,
    outer: Span,
    inner: Span,
}

/// Groups by number. The first two stand for the two audiences, which have grants as groups do.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    hot: Vec<Group>,
    nodes: Vec<Node>,
    table: HashTable<u32>,
    free: Vec<u32>,
    spans: Spans,
}

/// The groups that somebody is in, nearest first, each with the one that it was reached from.
#[derive(Debug, Default)]
pub(super) struct Walk {
    order: Vec<u32>,
    from: BTreeMap<u32, Option<u32>>,
}

impl Walk {
    pub(super) fn groups(&self) -> &[u32] {
        &self.order
    }

    /// From a group that is held directly to this one.
    pub(super) fn path(&self, group: u32) -> Vec<u32> {
        let step = |group: &u32| self.from.get(group).copied().flatten();
        let mut path: Vec<u32> = core::iter::successors(Some(group), step).collect();
        path.reverse();
        path
    }

    fn visit(&mut self, group: u32, from: Option<u32>) {
        if let std::collections::btree_map::Entry::Vacant(entry) = self.from.entry(group) {
            entry.insert(from);
            self.order.push(group);
        }
    }
}

/// Exists, internal, uses; outer groups, inner groups, written reach; too deep, leads to internal.
#[cfg(test)]
pub(super) type Described = (bool, bool, u32, [Vec<GroupId>; 3], bool, bool);

const AUDIENCES: usize = 2;

impl Default for Groups {
    fn default() -> Self {
        let audience = Node {
            id: GroupId::from_bytes([0; 16]),
            uses: 0,
            exists: false,
            internal: false,
            outer: Span::default(),
            inner: Span::default(),
        };
        Self {
            hot: vec![Group::default(); AUDIENCES],
            nodes: vec![audience; AUDIENCES],
            table: HashTable::new(),
            free: Vec::new(),
            spans: Spans::default(),
        }
    }
}

impl Groups {
    pub(super) fn list(&self, group: u32) -> List {
        self.hot[group as usize].list
    }

    #[inline]
    pub(super) fn sieve(&self, group: u32) -> u64 {
        self.hot[group as usize].sieve
    }

    pub(super) fn set_sieve(&mut self, group: u32, sieve: u64) {
        self.hot[group as usize].sieve = sieve;
    }

    pub(super) fn list_mut(&mut self, group: u32) -> &mut List {
        &mut self.hot[group as usize].list
    }

    pub(super) fn id(&self, group: u32) -> GroupId {
        self.nodes[group as usize].id
    }

    /// The numbers of groups that rows name, whether they exist or not.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.table.iter().copied()
    }

    pub(super) fn find(&self, hasher: Hasher, id: GroupId) -> Option<u32> {
        let same = |group: &u32| self.nodes[*group as usize].id == id;
        self.table.find(hasher.id(id.as_bytes()), same).copied()
    }

    fn intern(&mut self, hasher: Hasher, id: GroupId) -> u32 {
        if let Some(found) = self.find(hasher, id) {
            return found;
        }
        let node = Node {
            id,
            uses: 0,
            exists: false,
            internal: false,
            outer: Span::default(),
            inner: Span::default(),
        };
        let group = self.free.pop().unwrap_or_else(|| {
            append(&mut self.nodes, node.clone());
            append(&mut self.hot, Group::default());
            number(self.nodes.len() - 1)
        });
        self.nodes[group as usize] = node;
        let nodes = &self.nodes;
        self.table
            .insert_unique(hasher.id(id.as_bytes()), group, |group| {
                hasher.id(nodes[*group as usize].id.as_bytes())
            });
        group
    }

    /// A row names this group.
    pub(super) fn add_use(&mut self, hasher: Hasher, id: GroupId) -> u32 {
        let group = self.intern(hasher, id);
        self.nodes[group as usize].uses += 1;
        group
    }

    pub(super) fn end_use(&mut self, hasher: Hasher, group: u32) {
        if (group as usize) < AUDIENCES {
            return;
        }
        self.nodes[group as usize].uses -= 1;
        self.drop_unused(hasher, group);
    }

    fn drop_unused(&mut self, hasher: Hasher, group: u32) {
        let node = &self.nodes[group as usize];
        if node.exists || node.uses > 0 {
            return;
        }
        let hash = hasher.id(node.id.as_bytes());
        if let Ok(entry) = self.table.find_entry(hash, |found| *found == group) {
            entry.remove();
        }
        self.free.push(group);
    }

    pub(super) fn put(&mut self, hasher: Hasher, id: GroupId, internal: bool) {
        let group = self.intern(hasher, id);
        let node = &mut self.nodes[group as usize];
        (node.exists, node.internal) = (true, internal);
        self.refresh(group);
    }

    pub(super) fn delete(&mut self, hasher: Hasher, id: GroupId) {
        if let Some(group) = self.find(hasher, id) {
            let node = &mut self.nodes[group as usize];
            (node.exists, node.internal) = (false, false);
            self.refresh(group);
            self.drop_unused(hasher, group);
        }
    }

    pub(super) fn nest(&mut self, hasher: Hasher, outer: GroupId, inner: GroupId) {
        let outer = self.add_use(hasher, outer);
        let inner = self.add_use(hasher, inner);
        let new = self
            .spans
            .insert(&mut self.nodes[inner as usize].outer, outer);
        if new {
            self.spans
                .insert(&mut self.nodes[outer as usize].inner, inner);
            self.refresh(inner);
        } else {
            self.end_use(hasher, outer);
            self.end_use(hasher, inner);
        }
    }

    pub(super) fn unnest(&mut self, hasher: Hasher, outer: GroupId, inner: GroupId) {
        let (Some(outer), Some(inner)) = (self.find(hasher, outer), self.find(hasher, inner))
        else {
            return;
        };
        let was = self
            .spans
            .remove(&mut self.nodes[inner as usize].outer, outer);
        if was {
            self.spans
                .remove(&mut self.nodes[outer as usize].inner, inner);
            self.refresh(inner);
            self.end_use(hasher, outer);
            self.end_use(hasher, inner);
        }
    }

    /// Writes down anew where `group` leads to, and whatever leads to it, as far as that changes.
    fn refresh(&mut self, group: u32) {
        let mut todo = VecDeque::from([group]);
        let mut seen = BTreeSet::from([group]);
        while let Some(group) = todo.pop_front() {
            // What leads to a group that was too deep and still is was too deep, and still is.
            if !self.write_reach(group) {
                continue;
            }
            for inner in self.spans.get(self.nodes[group as usize].inner) {
                if seen.insert(*inner) {
                    todo.push_back(*inner);
                }
            }
        }
    }

    /// Whether something is different now.
    fn write_reach(&mut self, group: u32) -> bool {
        let found = self.reach_of(group);
        let mut written = self.hot[group as usize];
        let deep = found.is_none();
        let mut reach = found.unwrap_or_default();
        // In an order that tells whether it is the same set; the group itself stays in front.
        if let Some((_, others)) = reach.split_first_mut() {
            others.sort_unstable();
        }
        let internal = reach
            .iter()
            .any(|group| self.nodes[*group as usize].internal);
        let same = written.deep == deep
            && written.internal == internal
            && self.spans.get(written.reach) == reach;
        if !same {
            self.spans.replace(&mut written.reach, &reach);
            (written.deep, written.internal) = (deep, internal);
            self.hot[group as usize] = written;
        }
        !same
    }

    /// The groups that this one leads to, itself first; `None` if they are too many.
    fn reach_of(&self, group: u32) -> Option<Vec<u32>> {
        let mut reach = Vec::new();
        if self.nodes[group as usize].exists {
            reach.push(group);
        }
        let mut next = 0;
        while let Some(inner) = reach.get(next).copied() {
            next += 1;
            for outer in self.spans.get(self.nodes[inner as usize].outer) {
                if self.nodes[*outer as usize].exists && !reach.contains(outer) {
                    if reach.len() == MAX_REACH {
                        return None;
                    }
                    reach.push(*outer);
                }
            }
        }
        Some(reach)
    }

    /// The groups that this one leads to, if they are written down for somebody like that.
    #[inline]
    pub(super) fn reach(&self, group: u32, outsider: bool) -> Option<&[u32]> {
        let group = &self.hot[group as usize];
        if group.deep || (outsider && group.internal) {
            return None;
        }
        Some(self.spans.get(group.reach))
    }

    /// All groups that these lead to, nearest first, in the order of ids where that leaves a
    /// choice. An outsider enters no internal group.
    pub(super) fn walk(&self, direct: impl IntoIterator<Item = u32>, outsider: bool) -> Walk {
        let may_enter = |group: u32| {
            let node = &self.nodes[group as usize];
            node.exists && !(outsider && node.internal)
        };
        let sorted = |groups: &mut Vec<u32>| {
            groups.retain(|group| may_enter(*group));
            groups.sort_unstable_by_key(|group| self.nodes[*group as usize].id);
        };
        let mut walk = Walk::default();
        let mut step: Vec<u32> = direct.into_iter().collect();
        sorted(&mut step);
        for group in step {
            walk.visit(group, None);
        }
        let mut next = 0;
        while let Some(inner) = walk.order.get(next).copied() {
            next += 1;
            let mut step = self.spans.get(self.nodes[inner as usize].outer).to_vec();
            sorted(&mut step);
            for outer in step {
                walk.visit(outer, Some(inner));
            }
        }
        walk
    }

    /// All that is known of a group, told by ids.
    #[cfg(test)]
    pub(super) fn describe(&self, group: u32) -> Described {
        let node = &self.nodes[group as usize];
        let hot = &self.hot[group as usize];
        let ids = |span: Span| {
            let mut ids: Vec<GroupId> = self
                .spans
                .get(span)
                .iter()
                .map(|group| self.id(*group))
                .collect();
            ids.sort();
            ids
        };
        let lists = [ids(node.outer), ids(node.inner), ids(hot.reach)];
        (
            node.exists,
            node.internal,
            node.uses,
            lists,
            hot.deep,
            hot.internal,
        )
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.hot.capacity() * size_of::<Group>()
            + self.nodes.capacity() * size_of::<Node>()
            + self.table.allocation_size()
            + 4 * self.free.capacity()
            + self.spans.bytes()
    }
}
