//! The state: one host's groups and grants.

use std::collections::{BTreeMap, BTreeSet};

use guestlist_types::{GrantId, GroupId, GroupName, Member, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::action::ActionSet;
use crate::pattern::Pattern;

/// What is said once per host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccessHead {
    /// The group that every proxy user is in while it is set here.
    pub external_group: Option<GroupId>,
    /// What somebody must hold to give something.
    pub sharing: Sharing,
}

/// What somebody must hold to give something.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new sharing rule must break every match"
)]
pub enum Sharing {
    /// `share` over the whole pattern, and each action that is given there.
    #[default]
    WithinOwn,
    /// `share` over the whole pattern; the actions need not be held.
    WithinNamespace,
    /// The owner role; nothing needs to be held.
    OwnersOnly,
}

/// A group of users and groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its id, never used again.
    pub id: GroupId,
    /// Its name, unique among the groups that exist.
    pub name: GroupName,
    /// Whether no outsider can be in it, by any path.
    pub internal: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Which of a membership's episodes something was given to; 0 where there are none.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Episode(u32);

impl Episode {
    /// What users whom the host application keeps itself have instead of episodes.
    pub const NONE: Self = Self(0);

    /// The episode with this number; the first of a membership is 1.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number of this episode.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The episode after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Who is in a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third kind of group member must break every match"
)]
pub enum GroupMember {
    /// Everybody in that group.
    Group(GroupId),
    /// One member, during this episode.
    Member {
        /// Who.
        member: Member,
        /// The episode that was current when the member was added.
        episode: Episode,
    },
}

/// Whom an organization-wide grant is for; it is always said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third audience must break every match"
)]
pub enum Audience {
    /// Everybody with a standing in the host, proxy users too.
    Everyone,
    /// Users; no proxy users.
    InternalUsers,
}

/// Whom a grant is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a fourth kind of subject must break every match"
)]
pub enum Subject {
    /// Whoever belongs to the audience.
    Organization(Audience),
    /// Whoever is in the group, also through other groups.
    Group(GroupId),
    /// One member, during this episode.
    Member {
        /// Who.
        member: Member,
        /// The episode that was current when the grant was made.
        episode: Episode,
    },
}

/// Who made a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third kind of giver must break every match"
)]
pub enum Giver {
    /// The host application itself, for example when the organization was made.
    System,
    /// A user.
    User(UserId),
}

/// Some actions on the keys of a pattern, given to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Who made it.
    pub giver: Giver,
    /// When it was made.
    pub at: Timestamp,
    /// When it ends; never if `None`.
    pub expires_at: Option<Timestamp>,
    /// Whom it is for.
    pub subject: Subject,
    /// What they may do.
    pub actions: ActionSet,
    /// To which keys.
    pub pattern: Pattern,
}

/// A grant that a membership carries itself: it has no row here, and ends with the membership.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PresetGrant {
    /// What the member may do.
    pub actions: ActionSet,
    /// To which keys.
    pub pattern: Pattern,
}

/// One row put or taken away; applying it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new kind of row must break every store"
)]
pub enum AccessChange {
    /// The head is now this.
    Head(AccessHead),
    /// This group is there.
    PutGroup(Group),
    /// This group is gone. Its other rows are listed by changes of their own.
    DeleteGroup(GroupId),
    /// This member is in the group.
    PutGroupMember {
        /// The outer group.
        group: GroupId,
        /// Who is in it.
        member: GroupMember,
    },
    /// This member is not in the group.
    DeleteGroupMember {
        /// The outer group.
        group: GroupId,
        /// Who is not in it.
        member: GroupMember,
    },
    /// This grant is there.
    PutGrant(Grant),
    /// This grant is gone.
    DeleteGrant(GrantId),
}

/// One host's groups and grants, at one revision.
///
/// It holds rows and indexes over them. Rows come in any order: one that names a group which is not
/// there gives nothing until it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessBook {
    revision: u64,
    head: AccessHead,
    groups: BTreeMap<GroupId, Group>,
    members: BTreeMap<GroupId, BTreeSet<GroupMember>>,
    grants: BTreeMap<GrantId, Grant>,
    // Indexes, by which a decision costs what its principal holds and never the total.
    by_name: Index<GroupName, GroupId>,
    groups_of_group: Index<GroupId, GroupId>,
    groups_of_member: Index<Member, (Episode, GroupId)>,
    grants_of_audience: Index<Audience, GrantId>,
    grants_of_group: Index<GroupId, GrantId>,
    grants_of_member: Index<Member, (Episode, GrantId)>,
}

type Index<K, V> = BTreeMap<K, BTreeSet<V>>;

fn index<K: Ord, V: Ord>(index: &mut Index<K, V>, key: K, value: V) {
    index.entry(key).or_default().insert(value);
}

/// Leaves no empty set behind, so that equal rows make equal books.
fn unindex<K: Ord, V: Ord>(index: &mut Index<K, V>, key: &K, value: &V) {
    if let Some(values) = index.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            index.remove(key);
        }
    }
}

fn indexed<'a, K: Ord, V>(
    index: &'a Index<K, V>,
    key: &K,
) -> impl Iterator<Item = &'a V> + use<'a, K, V> {
    index.get(key).into_iter().flatten()
}

impl AccessBook {
    /// A host without groups and grants, at revision 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The revision that these rows were read at.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Says which revision these rows are; the store counts them.
    pub const fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// What is said once per host.
    #[must_use]
    pub const fn head(&self) -> &AccessHead {
        &self.head
    }

    /// The group with this id.
    #[must_use]
    pub fn group(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(&group)
    }

    /// Every group, by id.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The group of this name.
    #[must_use]
    pub fn group_named(&self, name: &GroupName) -> Option<&Group> {
        indexed(&self.by_name, name).find_map(|id| self.groups.get(id))
    }

    /// Who is directly in this group: groups first, then members.
    pub fn members_of(&self, group: GroupId) -> impl Iterator<Item = &GroupMember> {
        indexed(&self.members, &group)
    }

    /// The grant with this id.
    #[must_use]
    pub fn grant(&self, grant: GrantId) -> Option<&Grant> {
        self.grants.get(&grant)
    }

    /// Every grant, by id.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values()
    }

    /// The groups that directly contain this group.
    pub fn outer_groups(&self, group: GroupId) -> impl Iterator<Item = GroupId> {
        indexed(&self.groups_of_group, &group).copied()
    }

    /// The groups that this member is directly in, with the episode it was added in.
    pub fn groups_of<'a>(
        &'a self,
        member: &Member,
    ) -> impl Iterator<Item = (Episode, GroupId)> + use<'a> {
        indexed(&self.groups_of_member, member).copied()
    }

    /// The grants for this audience.
    pub fn grants_to_audience(&self, audience: Audience) -> impl Iterator<Item = &Grant> {
        indexed(&self.grants_of_audience, &audience).filter_map(|id| self.grants.get(id))
    }

    /// The grants for this group itself.
    pub fn grants_to_group(&self, group: GroupId) -> impl Iterator<Item = &Grant> {
        indexed(&self.grants_of_group, &group).filter_map(|id| self.grants.get(id))
    }

    /// The grants for this member itself, of every episode.
    pub fn grants_to_member<'a>(
        &'a self,
        member: &Member,
    ) -> impl Iterator<Item = (Episode, &'a Grant)> + use<'a> {
        indexed(&self.grants_of_member, member)
            .filter_map(|(episode, id)| Some((*episode, self.grants.get(id)?)))
    }

    /// The members that grants or groups of this book name, in any of their episodes.
    pub fn members_named(&self) -> impl Iterator<Item = Member> {
        self.grants_of_member
            .keys()
            .chain(self.groups_of_member.keys())
            .cloned()
    }

    /// The rows of this book: applied to an empty one, in any order, they make it again.
    pub fn rows(&self) -> impl Iterator<Item = AccessChange> {
        let members = self.members.iter().flat_map(|(group, members)| {
            let row = |member: &GroupMember| AccessChange::PutGroupMember {
                group: *group,
                member: member.clone(),
            };
            members.iter().map(row)
        });
        core::iter::once(AccessChange::Head(self.head))
            .chain(self.groups().cloned().map(AccessChange::PutGroup))
            .chain(members)
            .chain(self.grants().cloned().map(AccessChange::PutGrant))
    }

    /// Applies one change; the revision stays as it is.
    pub fn apply(&mut self, change: &AccessChange) {
        match change {
            AccessChange::Head(head) => self.head = *head,
            AccessChange::PutGroup(group) => {
                self.delete_group(group.id);
                index(&mut self.by_name, group.name.clone(), group.id);
                self.groups.insert(group.id, group.clone());
            }
            AccessChange::DeleteGroup(group) => self.delete_group(*group),
            AccessChange::PutGroupMember { group, member } => {
                match member {
                    GroupMember::Group(inner) => {
                        index(&mut self.groups_of_group, *inner, *group);
                    }
                    GroupMember::Member { member, episode } => {
                        let entry = (*episode, *group);
                        index(&mut self.groups_of_member, member.clone(), entry);
                    }
                }
                index(&mut self.members, *group, member.clone());
            }
            AccessChange::DeleteGroupMember { group, member } => {
                match member {
                    GroupMember::Group(inner) => {
                        unindex(&mut self.groups_of_group, inner, group);
                    }
                    GroupMember::Member { member, episode } => {
                        unindex(&mut self.groups_of_member, member, &(*episode, *group));
                    }
                }
                unindex(&mut self.members, group, member);
            }
            AccessChange::PutGrant(grant) => {
                self.delete_grant(grant.id);
                match &grant.subject {
                    Subject::Organization(audience) => {
                        index(&mut self.grants_of_audience, *audience, grant.id);
                    }
                    Subject::Group(group) => {
                        index(&mut self.grants_of_group, *group, grant.id);
                    }
                    Subject::Member { member, episode } => {
                        let entry = (*episode, grant.id);
                        index(&mut self.grants_of_member, member.clone(), entry);
                    }
                }
                self.grants.insert(grant.id, grant.clone());
            }
            AccessChange::DeleteGrant(grant) => self.delete_grant(*grant),
        }
    }

    fn delete_group(&mut self, group: GroupId) {
        if let Some(group) = self.groups.remove(&group) {
            unindex(&mut self.by_name, &group.name, &group.id);
        }
    }

    fn delete_grant(&mut self, grant: GrantId) {
        let Some(grant) = self.grants.remove(&grant) else {
            return;
        };
        match &grant.subject {
            Subject::Organization(audience) => {
                unindex(&mut self.grants_of_audience, audience, &grant.id);
            }
            Subject::Group(group) => unindex(&mut self.grants_of_group, group, &grant.id),
            Subject::Member { member, episode } => {
                unindex(&mut self.grants_of_member, member, &(*episode, grant.id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{arb_change, arb_rows, book_of};

    /// The rows as plain maps, kept without any index.
    #[derive(Default)]
    struct Model {
        head: AccessHead,
        groups: BTreeMap<GroupId, Group>,
        members: BTreeSet<(GroupId, GroupMember)>,
        grants: BTreeMap<GrantId, Grant>,
    }

    impl Model {
        fn apply(&mut self, change: AccessChange) {
            match change {
                AccessChange::Head(head) => self.head = head,
                AccessChange::PutGroup(group) => {
                    self.groups.insert(group.id, group);
                }
                AccessChange::DeleteGroup(group) => {
                    self.groups.remove(&group);
                }
                AccessChange::PutGroupMember { group, member } => {
                    self.members.insert((group, member));
                }
                AccessChange::DeleteGroupMember { group, member } => {
                    self.members.remove(&(group, member));
                }
                AccessChange::PutGrant(grant) => {
                    self.grants.insert(grant.id, grant);
                }
                AccessChange::DeleteGrant(grant) => {
                    self.grants.remove(&grant);
                }
            }
        }

        fn rows(&self) -> Vec<AccessChange> {
            let members = self.members.iter().cloned();
            core::iter::once(AccessChange::Head(self.head))
                .chain(self.groups.values().cloned().map(AccessChange::PutGroup))
                .chain(
                    members.map(|(group, member)| AccessChange::PutGroupMember { group, member }),
                )
                .chain(self.grants.values().cloned().map(AccessChange::PutGrant))
                .collect()
        }
    }

    #[test]
    fn the_stored_names_are_pinned() {
        let group = GroupId::from_bytes([1; 16]);
        let grant = GrantId::from_bytes([2; 16]);
        let user = Member::User(UserId::parse("ada").unwrap());
        let episode = Episode::new(1);
        let (g, r) = (
            "01010101-0101-0101-0101-010101010101",
            "02020202-0202-0202-0202-020202020202",
        );
        for (change, json) in [
            (
                AccessChange::Head(AccessHead::default()),
                r#"{"head":{"external_group":null,"sharing":"within-own"}}"#.to_owned(),
            ),
            (
                AccessChange::PutGroup(Group {
                    id: group,
                    name: GroupName::parse("Design").unwrap(),
                    internal: true,
                    created_at: Timestamp::from_micros(0),
                }),
                format!(
                    r#"{{"put-group":{{"id":"{g}","name":"Design","internal":true,"created_at":"1970-01-01T00:00:00.000000Z"}}}}"#
                ),
            ),
            (
                AccessChange::DeleteGroup(group),
                format!(r#"{{"delete-group":"{g}"}}"#),
            ),
            (
                AccessChange::PutGroupMember {
                    group,
                    member: GroupMember::Group(group),
                },
                format!(r#"{{"put-group-member":{{"group":"{g}","member":{{"group":"{g}"}}}}}}"#),
            ),
            (
                AccessChange::DeleteGroupMember {
                    group,
                    member: GroupMember::Member {
                        member: user.clone(),
                        episode,
                    },
                },
                format!(
                    r#"{{"delete-group-member":{{"group":"{g}","member":{{"member":{{"member":{{"user":"ada"}},"episode":1}}}}}}}}"#
                ),
            ),
            (
                AccessChange::PutGrant(Grant {
                    id: grant,
                    giver: Giver::User(UserId::parse("ada").unwrap()),
                    at: Timestamp::from_micros(0),
                    expires_at: None,
                    subject: Subject::Organization(Audience::InternalUsers),
                    actions: ActionSet::of(&[crate::Action::Read]),
                    pattern: Pattern::all(),
                }),
                format!(
                    r#"{{"put-grant":{{"id":"{r}","giver":{{"user":"ada"}},"at":"1970-01-01T00:00:00.000000Z","expires_at":null,"subject":{{"organization":"internal-users"}},"actions":["read"],"pattern":"all"}}}}"#
                ),
            ),
            (
                AccessChange::DeleteGrant(grant),
                format!(r#"{{"delete-grant":"{r}"}}"#),
            ),
        ] {
            assert_eq!(serde_json::to_string(&change).unwrap(), json);
        }
        for (name, value) in [
            ("within-own", serde_json::to_value(Sharing::WithinOwn)),
            (
                "within-namespace",
                serde_json::to_value(Sharing::WithinNamespace),
            ),
            ("owners-only", serde_json::to_value(Sharing::OwnersOnly)),
            ("everyone", serde_json::to_value(Audience::Everyone)),
            (
                "internal-users",
                serde_json::to_value(Audience::InternalUsers),
            ),
            ("system", serde_json::to_value(Giver::System)),
        ] {
            assert_eq!(value.unwrap(), name);
        }
        let subject = Subject::Member {
            member: user,
            episode,
        };
        assert_eq!(
            serde_json::to_string(&subject).unwrap(),
            r#"{"member":{"member":{"user":"ada"},"episode":1}}"#
        );
    }

    #[test]
    fn episodes_are_counted() {
        assert_eq!(Episode::NONE.next(), Episode::new(1));
        assert_eq!(Episode::new(u32::MAX).next().get(), u32::MAX);
    }

    #[test]
    fn a_revision_is_what_the_store_says() {
        let mut book = AccessBook::new();
        assert_eq!(book.revision(), 0);
        book.set_revision(7);
        book.apply(&AccessChange::DeleteGroup(GroupId::from_bytes([1; 16])));
        assert_eq!(book.revision(), 7);
    }

    proptest! {
        #[test]
        fn the_members_named_are_those_of_the_rows(rows in arb_rows()) {
            let book = book_of(&rows);
            let named: BTreeSet<Member> = rows
                .iter()
                .filter_map(|row| {
                    if let AccessChange::PutGroupMember {
                        member: GroupMember::Member { member, .. },
                        ..
                    } = row
                    {
                        Some(member.clone())
                    } else if let AccessChange::PutGrant(grant) = row
                        // Of several grants with one id the last is there.
                        && let Subject::Member { member, .. } = &book.grant(grant.id)?.subject
                    {
                        Some(member.clone())
                    } else {
                        None
                    }
                })
                .collect();
            prop_assert_eq!(book.members_named().collect::<BTreeSet<_>>(), named);
        }

        #[test]
        fn incremental_is_rebuilt(changes in vec(arb_change(), 0..60)) {
            let mut book = AccessBook::new();
            let mut model = Model::default();
            for change in changes {
                book.apply(&change);
                model.apply(change);
            }
            prop_assert_eq!(&book, &book_of(&model.rows()));
            prop_assert_eq!(book.rows().collect::<Vec<_>>(), model.rows());
        }

        #[test]
        fn applying_again_changes_nothing(
            changes in vec(arb_change(), 0..20), change in arb_change(),
        ) {
            let mut once = book_of(&changes);
            once.apply(&change);
            let mut twice = once.clone();
            twice.apply(&change);
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn rows_make_the_same_book_in_any_order(
            rows in arb_rows().prop_map(|rows| book_of(&rows).rows().collect::<Vec<_>>())
                .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        ) {
            let (rows, shuffled) = rows;
            prop_assert_eq!(book_of(&rows), book_of(&shuffled));
        }

        #[test]
        fn stored_changes_come_back(change in arb_change()) {
            let json = serde_json::to_string(&change).unwrap();
            prop_assert_eq!(&serde_json::from_str::<AccessChange>(&json).unwrap(), &change);
            let bytes = postcard::to_allocvec(&change).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<AccessChange>(&bytes).unwrap(), &change);
        }

        #[test]
        fn indexes_tell_what_the_rows_say(rows in arb_rows()) {
            let book = book_of(&rows);
            for grant in book.grants() {
                let ids: Vec<GrantId> = match &grant.subject {
                    Subject::Organization(audience) => {
                        book.grants_to_audience(*audience).map(|g| g.id).collect()
                    }
                    Subject::Group(group) => book.grants_to_group(*group).map(|g| g.id).collect(),
                    Subject::Member { member, episode } => book
                        .grants_to_member(member)
                        .filter(|(found, _)| found == episode)
                        .map(|(_, g)| g.id)
                        .collect(),
                };
                prop_assert_eq!(ids.iter().filter(|id| **id == grant.id).count(), 1);
                prop_assert_eq!(book.grant(grant.id), Some(grant));
            }
            for group in book.groups() {
                prop_assert_eq!(book.group_named(&group.name), Some(group));
                for member in book.members_of(group.id) {
                    let found = match member {
                        GroupMember::Group(inner) => {
                            book.outer_groups(*inner).any(|outer| outer == group.id)
                        }
                        GroupMember::Member { member, episode } => {
                            book.groups_of(member).any(|row| row == (*episode, group.id))
                        }
                    };
                    prop_assert!(found);
                }
            }
        }
    }
}
