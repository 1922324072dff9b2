//! Groups that contain groups: who is in what, by which path.

use std::collections::{BTreeMap, BTreeSet};

use guestlist_types::{GroupId, MemberKind};

use crate::book::{AccessBook, Group, GroupMember};
use crate::principal::MemberPrincipal;

/// The groups that something is in, nearest first, each with the group that it was reached from.
///
/// Every group is visited once, so a cycle in stored rows ends by itself; groups that are not there
/// lead nowhere.
#[derive(Debug, Default)]
pub(crate) struct Closure {
    order: Vec<GroupId>,
    from: BTreeMap<GroupId, Option<GroupId>>,
}

impl Closure {
    /// The groups that this principal is in.
    ///
    /// An outsider never enters an internal group: a path through one ends there, whatever rows or
    /// presets say.
    pub(crate) fn of(book: &AccessBook, principal: &MemberPrincipal) -> Self {
        let outsider = principal.is_outsider();
        Self::outward(book, direct(book, principal), |group| {
            !(outsider && group.internal)
        })
    }

    /// This group and those that contain it.
    pub(crate) fn of_group(book: &AccessBook, group: GroupId) -> Self {
        Self::outward(book, [group], |_| true)
    }

    fn outward(
        book: &AccessBook,
        direct: impl IntoIterator<Item = GroupId>,
        may_enter: impl Fn(&Group) -> bool,
    ) -> Self {
        let mut closure = Self::default();
        for group in direct {
            closure.visit(book, group, None, &may_enter);
        }
        let mut next = 0;
        while let Some(inner) = closure.order.get(next).copied() {
            next += 1;
            for outer in book.outer_groups(inner) {
                closure.visit(book, outer, Some(inner), &may_enter);
            }
        }
        closure
    }

    fn visit(
        &mut self,
        book: &AccessBook,
        group: GroupId,
        from: Option<GroupId>,
        may_enter: impl Fn(&Group) -> bool,
    ) {
        if !self.contains(group) && book.group(group).is_some_and(may_enter) {
            self.from.insert(group, from);
            self.order.push(group);
        }
    }

    pub(crate) fn contains(&self, group: GroupId) -> bool {
        self.from.contains_key(&group)
    }

    /// The groups, nearest first.
    pub(crate) fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.order.iter().copied()
    }

    /// From a group that is directly held to this one, both included.
    pub(crate) fn path(&self, group: GroupId) -> Vec<GroupId> {
        let step = |group: &GroupId| self.from.get(group).copied().flatten();
        let mut path: Vec<GroupId> = core::iter::successors(Some(group), step).collect();
        path.reverse();
        path
    }
}

/// What a principal is put into itself, whether it is there or not: a set, so that neither order
/// nor duplicates of what is held make a difference.
fn direct(book: &AccessBook, principal: &MemberPrincipal) -> BTreeSet<GroupId> {
    let stored = book
        .groups_of(&principal.member)
        .filter(|(episode, _)| principal.episodes.contains(*episode))
        .map(|(_, group)| group);
    let external = book
        .head()
        .external_group
        .filter(|_| principal.is_outsider());
    stored
        .chain(principal.groups.iter().copied())
        .chain(external)
        .collect()
}

/// The groups that a principal is directly in, by id: by the access rules, by its membership, and
/// as a proxy user in the external group. Those that contain them are reached as well.
#[must_use]
pub fn groups_of<'a>(book: &'a AccessBook, principal: &MemberPrincipal) -> Vec<&'a Group> {
    direct(book, principal)
        .into_iter()
        .filter_map(|group| book.group(group))
        .filter(|group| !(principal.is_outsider() && group.internal))
        .collect()
}

/// Whether an outsider is in this group, by any path that the book knows of: rows of any episode,
/// and the external group.
pub(crate) fn has_outsiders(book: &AccessBook, group: GroupId) -> bool {
    let mut seen = BTreeSet::from([group]);
    let mut todo = vec![group];
    while let Some(group) = todo.pop() {
        if book.head().external_group == Some(group) {
            return true;
        }
        for member in book.members_of(group) {
            match member {
                GroupMember::Group(inner) => {
                    if seen.insert(*inner) {
                        todo.push(*inner);
                    }
                }
                GroupMember::Member { member, .. } => match member.kind() {
                    MemberKind::Org => return true,
                    MemberKind::User => {}
                },
            }
        }
    }
    false
}
