//! What guestlist is measured beside: what a service writes first, and what is written for speed.

#![expect(
    clippy::disallowed_types,
    reason = "what a service writes first has hash maps"
)]

use std::collections::{HashMap, HashSet};

use guestlist_access::{Action, ActionSet};

use crate::world::{World, group_name};

/// What a service writes first: ids are strings, a grant is a list of actions and a prefix, and a
/// check walks from the user over the groups and compares.
#[derive(Debug, Clone, Default)]
pub struct Naive {
    organization: Vec<NaiveGrant>,
    users: HashMap<String, NaiveHolder>,
    groups: HashMap<String, NaiveHolder>,
}

#[derive(Debug, Clone, Default)]
struct NaiveHolder {
    groups: Vec<String>,
    grants: Vec<NaiveGrant>,
}

#[derive(Debug, Clone)]
struct NaiveGrant {
    actions: Vec<Action>,
    prefix: String,
}

impl NaiveGrant {
    fn allows(&self, action: Action, key: &str) -> bool {
        self.actions.contains(&action) && key.starts_with(&self.prefix)
    }
}

impl Naive {
    pub fn new(world: &World) -> Self {
        let grants = |given: &[crate::world::Given]| {
            let grant = |given: &crate::world::Given| NaiveGrant {
                actions: given.actions.iter().collect(),
                prefix: given.prefix.clone(),
            };
            given.iter().map(grant).collect::<Vec<_>>()
        };
        let holder = |holder: &crate::world::Holder| NaiveHolder {
            groups: holder.groups.iter().copied().map(group_name).collect(),
            grants: grants(&holder.grants),
        };
        let users = world.names.iter().cloned();
        let groups = (0..world.groups.len()).map(group_name);
        Self {
            organization: grants(&world.organization),
            users: users.zip(world.users.iter().map(holder)).collect(),
            groups: groups.zip(world.groups.iter().map(holder)).collect(),
        }
    }

    fn groups_of<'a>(&'a self, user: &'a NaiveHolder) -> Vec<&'a str> {
        let mut seen = HashSet::new();
        let mut groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
        groups.retain(|group| seen.insert(*group));
        let mut next = 0;
        while let Some(group) = groups.get(next) {
            next += 1;
            if let Some(group) = self.groups.get(*group) {
                let outer = group.groups.iter().map(String::as_str);
                groups.extend(outer.filter(|outer| seen.insert(*outer)));
            }
        }
        groups
    }

    pub fn check(&self, user: &str, action: Action, key: &str) -> bool {
        let Some(user) = self.users.get(user) else {
            return false;
        };
        let allow = |grants: &[NaiveGrant]| grants.iter().any(|grant| grant.allows(action, key));
        if allow(&self.organization) || allow(&user.grants) {
            return true;
        }
        self.groups_of(user)
            .into_iter()
            .filter_map(|group| self.groups.get(group))
            .any(|group| allow(&group.grants))
    }

    /// Sorted, and without prefixes of prefixes.
    pub fn readable(&self, user: &str, action: Action) -> Vec<String> {
        let Some(user) = self.users.get(user) else {
            return Vec::new();
        };
        let groups = self.groups_of(user);
        let of_groups = groups
            .iter()
            .filter_map(|group| self.groups.get(*group))
            .flat_map(|group| &group.grants);
        let mut prefixes: Vec<String> = self
            .organization
            .iter()
            .chain(&user.grants)
            .chain(of_groups)
            .filter(|grant| grant.actions.contains(&action))
            .map(|grant| grant.prefix.clone())
            .collect();
        prefixes.sort();
        prefixes.dedup_by(|next, kept| next.starts_with(kept.as_str()));
        prefixes
    }
}

/// The limit, written by hand for nothing but this question: for each user all prefixes that reach
/// it, sorted, with what the prefixes around each one add, searched by their first eight bytes.
/// A change of a group's grants would make all tables of its users anew.
#[derive(Debug)]
pub struct Limit {
    users: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    heads: Vec<u64>,
    rest: Vec<Prefix>,
}

#[derive(Debug)]
struct Prefix {
    text: Box<str>,
    actions: ActionSet,
    /// The nearest prefix of this prefix; itself if there is none.
    around: u32,
}

fn head(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let text = text.as_bytes();
    let len = text.len().min(8);
    bytes[..len].copy_from_slice(&text[..len]);
    u64::from_be_bytes(bytes)
}

impl Table {
    fn new(world: &World, user: usize) -> Self {
        let mut given: Vec<(&str, ActionSet)> = world
            .reaching(user)
            .map(|given| (given.prefix.as_str(), given.actions))
            .collect();
        given.sort_unstable();
        let mut rest: Vec<Prefix> = Vec::new();
        for (text, actions) in given {
            let own = u32::try_from(rest.len()).expect("a short table");
            let mut around = own.checked_sub(1);
            while let Some(at) = around {
                let outer = &rest[at as usize];
                if text.starts_with(&*outer.text) {
                    break;
                }
                around = Some(outer.around).filter(|further| *further != at);
            }
            let outer = around.map(|at| &rest[at as usize]);
            let actions = outer.map_or(actions, |outer| outer.actions.union(actions));
            match rest.last_mut().filter(|last| *last.text == *text) {
                Some(same) => same.actions = actions,
                None => rest.push(Prefix {
                    text: text.into(),
                    actions,
                    around: around.unwrap_or(own),
                }),
            }
        }
        let heads = rest.iter().map(|prefix| head(&prefix.text)).collect();
        Self { heads, rest }
    }

    fn check(&self, action: Action, key: &str) -> bool {
        let wanted = head(key);
        let first = self.heads.partition_point(|head| *head < wanted);
        let same = self.heads[first..].partition_point(|head| *head == wanted);
        let alike = &self.rest[first..first + same];
        let after = first + alike.partition_point(|prefix| *prefix.text <= *key);
        let Some(mut at) = after.checked_sub(1) else {
            return false;
        };
        loop {
            let prefix = &self.rest[at];
            if key.starts_with(&*prefix.text) {
                return prefix.actions.contains(action);
            }
            let around = prefix.around as usize;
            if around == at {
                return false;
            }
            at = around;
        }
    }
}

impl Limit {
    pub fn new(world: &World) -> Self {
        Self {
            users: (0..world.users.len())
                .map(|user| Table::new(world, user))
                .collect(),
        }
    }

    pub fn check(&self, user: usize, action: Action, key: &str) -> bool {
        self.users[user].check(action, key)
    }

    /// Bytes, without what the allocator adds.
    pub fn memory(&self) -> usize {
        let tables = self.users.iter().map(|table| {
            let texts: usize = table.rest.iter().map(|prefix| prefix.text.len()).sum();
            size_of::<Table>() + table.rest.len() * (size_of::<Prefix>() + 8) + texts
        });
        tables.sum()
    }
}

/// The same limit as a hash table for each user: 56 bits of the hash of a prefix, trusted without a
/// look at the text, and eight bits of actions.
#[derive(Debug)]
pub struct HashedLimit {
    users: Vec<Box<[u64]>>,
}

/// Calls `found` with the hash of each part of a text that ends with a `/`, until it says to stop.
fn prefixes(text: &[u8], mut found: impl FnMut(u64) -> bool) -> bool {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut start = 0;
    for (at, byte) in text.iter().enumerate() {
        if *byte != b'/' {
            continue;
        }
        for chunk in text[start..=at].chunks(8) {
            let mut word = 0;
            for byte in chunk.iter().rev() {
                word = word << 8 | u64::from(*byte);
            }
            state = (state.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
        }
        if found(state ^ state >> 32) {
            return true;
        }
        start = at + 1;
    }
    false
}

fn bits(actions: ActionSet) -> u64 {
    actions
        .iter()
        .fold(0, |bits, action| bits | 1 << action as u64)
}

impl HashedLimit {
    pub fn new(world: &World) -> Self {
        let table = |user| {
            let given: Vec<_> = world.reaching(user).collect();
            let mut slots = vec![0_u64; (given.len() * 2).next_power_of_two()];
            for given in given {
                let mut hash = 0;
                prefixes(given.prefix.as_bytes(), |found| {
                    hash = found & !0xff;
                    false
                });
                let mut at = Self::place(&slots, hash);
                while slots[at] != 0 && slots[at] & !0xff != hash {
                    at = (at + 1) & (slots.len() - 1);
                }
                slots[at] |= hash | bits(given.actions);
            }
            slots.into_boxed_slice()
        };
        Self {
            users: (0..world.users.len()).map(table).collect(),
        }
    }

    const fn place(slots: &[u64], hash: u64) -> usize {
        (hash >> 8) as usize & (slots.len() - 1)
    }

    pub fn check(&self, user: usize, action: Action, key: &str) -> bool {
        let slots = &self.users[user];
        let wanted = 1 << action as u64;
        prefixes(key.as_bytes(), |hash| {
            let hash = hash & !0xff;
            let mut at = Self::place(slots, hash);
            while slots[at] != 0 {
                if slots[at] & !0xff == hash {
                    return slots[at] & wanted != 0;
                }
                at = (at + 1) & (slots.len() - 1);
            }
            false
        })
    }

    /// Bytes, without what the allocator adds.
    pub fn memory(&self) -> usize {
        let tables = self.users.iter();
        tables.map(|table| 16 + 8 * table.len()).sum()
    }
}
