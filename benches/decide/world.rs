//! The world that decisions are measured in, and questions about it.
//!
//! Folders on four levels and one per user, five direct groups a user on three group levels, P
//! grants on the organization, each group and each user, keys of about 30 bytes, and questions of
//! which half aim at something held.

use std::collections::BTreeSet;

use guestlist_access::{
    AccessChange, Action, ActionSet, Audience, Episodes, Giver, Grant, Group, GroupMember,
    MemberPrincipal, Pattern, Principal, Subject,
};
use guestlist_types::{GrantId, GroupId, GroupName, Key, Member, Timestamp, UserId};

use crate::harness::Numbers;

pub const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const GROUPS_OF_A_USER: usize = 5;

/// A grant without whom it is for.
#[derive(Debug, Clone)]
pub struct Given {
    pub actions: ActionSet,
    pub prefix: String,
}

/// What a user or a group holds itself, and the groups that it is directly in.
#[derive(Debug, Clone, Default)]
pub struct Holder {
    pub groups: Vec<usize>,
    pub grants: Vec<Given>,
}

/// A check.
#[derive(Debug)]
pub struct Question {
    pub user: usize,
    pub action: Action,
    pub key: Key,
}

#[derive(Debug)]
pub struct World {
    pub organization: Vec<Given>,
    pub groups: Vec<Holder>,
    pub users: Vec<Holder>,
    pub names: Vec<String>,
    pub principals: Vec<Principal>,
    pub questions: Vec<Question>,
    /// The same as rows.
    pub rows: Vec<AccessChange>,
    pub grants: usize,
    pub memberships: usize,
}

pub fn group_name(number: usize) -> String {
    format!("group-{number:05}")
}

/// Folders on four levels, 10,528 in all.
fn folders() -> Vec<Vec<String>> {
    let mut levels: Vec<Vec<String>> = Vec::new();
    for (name, below) in [("area", 32), ("team", 8), ("topic", 8), ("set", 4)] {
        let outer = levels
            .last()
            .cloned()
            .unwrap_or_else(|| vec![String::new()]);
        let level = outer
            .iter()
            .flat_map(|outer| (0..below).map(move |number| format!("{outer}{name}{number:02}/")));
        levels.push(level.collect());
    }
    levels
}

fn id(kind: u8, number: usize) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
    bytes
}

fn group_id(number: usize) -> GroupId {
    GroupId::from_bytes(id(1, number))
}

struct Maker {
    world: World,
    numbers: Numbers,
    folders: Vec<Vec<String>>,
}

impl World {
    /// The groups are on three levels: most of them hold users, some hold those, few hold these.
    pub fn new(users: usize, per_subject: usize, questions: usize) -> Self {
        let groups = (users / 20).max(10);
        let (middle, top) = ((groups / 5).max(2), (groups / 25).max(1));
        let lowest = groups - middle - top;
        let mut maker = Maker {
            world: Self {
                organization: Vec::new(),
                groups: Vec::new(),
                users: Vec::new(),
                names: Vec::new(),
                principals: Vec::new(),
                questions: Vec::new(),
                rows: Vec::new(),
                grants: 0,
                memberships: 0,
            },
            numbers: Numbers::new(users as u64 ^ (per_subject as u64) << 32),
            folders: folders(),
        };
        for _ in 0..per_subject {
            let grant = maker.give(&Subject::Organization(Audience::Everyone), None);
            maker.world.organization.push(grant);
        }
        for number in 0..groups {
            maker.world.rows.push(AccessChange::PutGroup(Group {
                id: group_id(number),
                name: GroupName::parse(&group_name(number)).expect("a plain name"),
                internal: false,
                created_at: NOW,
            }));
            let outer = if number < lowest {
                Some(lowest + maker.numbers.below(middle))
            } else if number < lowest + middle {
                Some(lowest + middle + maker.numbers.below(top))
            } else {
                None
            };
            let mut holder = Holder::default();
            if let Some(outer) = outer {
                maker.put_in(outer, GroupMember::Group(group_id(number)));
                holder.groups.push(outer);
            }
            let subject = Subject::Group(group_id(number));
            for _ in 0..per_subject {
                holder.grants.push(maker.give(&subject, None));
            }
            maker.world.groups.push(holder);
        }
        for number in 0..users {
            maker.add_user(number, lowest, per_subject);
        }
        for number in 0..questions {
            let question = maker.question(number % 2 == 0);
            maker.world.questions.push(question);
        }
        maker.world
    }

    /// The groups that a user is in, by any path.
    pub fn groups_of(&self, user: usize) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let mut todo = self.users[user].groups.clone();
        while let Some(group) = todo.pop() {
            if seen.insert(group) {
                todo.extend(&self.groups[group].groups);
            }
        }
        seen.into_iter().collect()
    }

    /// All that reaches a user.
    pub fn reaching(&self, user: usize) -> impl Iterator<Item = &Given> {
        let groups = self.groups_of(user);
        self.organization
            .iter()
            .chain(&self.users[user].grants)
            .chain(
                groups
                    .into_iter()
                    .flat_map(|group| &self.groups[group].grants),
            )
    }

    pub fn describe(&self, per_subject: usize) -> String {
        format!(
            "{} users, {} groups, {} memberships, {} grants (P = {per_subject})",
            self.users.len(),
            self.groups.len(),
            self.memberships,
            self.grants
        )
    }
}

impl Maker {
    /// Mostly low folders and mostly reading.
    fn give(&mut self, subject: &Subject, own_folder: Option<String>) -> Given {
        let level = *self.numbers.pick(&[1, 2, 2, 2, 3, 3, 3, 3]);
        let prefix = match own_folder {
            Some(folder) => folder,
            None => self.numbers.pick(&self.folders[level]).clone(),
        };
        let actions = ActionSet::of(match self.numbers.below(4) {
            0 => &[Action::Read, Action::Create, Action::Update, Action::Delete],
            1 => &[Action::Read, Action::Update],
            _ => &[Action::Read],
        });
        self.world.rows.push(AccessChange::PutGrant(Grant {
            id: GrantId::from_bytes(id(2, self.world.grants)),
            giver: Giver::System,
            at: NOW,
            expires_at: None,
            subject: subject.clone(),
            actions,
            pattern: Pattern::parse(&prefix).expect("folders are prefixes"),
        }));
        self.world.grants += 1;
        Given { actions, prefix }
    }

    fn put_in(&mut self, group: usize, member: GroupMember) {
        let group = group_id(group);
        self.world
            .rows
            .push(AccessChange::PutGroupMember { group, member });
        self.world.memberships += 1;
    }

    fn add_user(&mut self, number: usize, lowest: usize, per_subject: usize) {
        let none = Episodes::none();
        let name = format!("user_{number:06}");
        let member = Member::User(UserId::parse(&name).expect("a plain id"));
        let mut holder = Holder::default();
        for _ in 0..GROUPS_OF_A_USER {
            let group = self.numbers.below(lowest);
            if !holder.groups.contains(&group) {
                let member = member.clone();
                let episode = none.current;
                self.put_in(group, GroupMember::Member { member, episode });
                holder.groups.push(group);
            }
        }
        let subject = Subject::Member {
            member: member.clone(),
            episode: none.current,
        };
        for grant in 0..per_subject {
            let own = (grant == 0).then(|| format!("users/{name}/"));
            holder.grants.push(self.give(&subject, own));
        }
        self.world.users.push(holder);
        self.world.names.push(name);
        let principal = MemberPrincipal::new(member, none);
        self.world.principals.push(Principal::Member(principal));
    }

    fn question(&mut self, aimed: bool) -> Question {
        let user = self.numbers.below(self.world.names.len());
        let (folder, action) = if aimed {
            let groups = self.world.groups_of(user);
            let of = self.numbers.below(groups.len() + 2);
            let grants = match of {
                0 => &self.world.organization,
                1 => &self.world.users[user].grants,
                group => &self.world.groups[groups[group - 2]].grants,
            };
            let grant = self.numbers.pick(grants).clone();
            let actions: Vec<Action> = grant.actions.iter().collect();
            (grant.prefix, *self.numbers.pick(&actions))
        } else {
            let action = *self
                .numbers
                .pick(&[Action::Read, Action::Read, Action::Update]);
            (self.numbers.pick(&self.folders[3]).clone(), action)
        };
        let key = format!("{folder}doc{:04}", self.numbers.below(10_000));
        let key = Key::parse(&key).expect("a folder and a name");
        Question { user, action, key }
    }
}
