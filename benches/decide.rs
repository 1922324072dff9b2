//! What a decision on a key costs, beside what a service writes first.
//!
//! The world is that of `docs/benchmarks.md`: folders on four levels and one per user, five direct
//! groups a user on three group levels, P grants on the organization, each group and each user,
//! keys of about 30 bytes, and queries of which half aim at something held.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![expect(
    clippy::disallowed_types,
    reason = "what a service writes first has hash maps"
)]

use core::hint::black_box;
use std::collections::{HashMap, HashSet};

use guestlist::access_rules::{
    AccessBook, AccessChange, Episodes, Giver, Grant, Group, GroupMember, MemberPrincipal,
    Principal, Subject, decide, readable,
};
use guestlist::types::{GrantId, GroupId};
use guestlist::{Action, ActionSet, Audience, GroupName, Key, Member, Pattern, Timestamp, UserId};
use guestlist_benches::{
    Case, Numbers, Run, Target, count, cpu_nanos, micros, number, side_by_side,
};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const GROUPS_OF_A_USER: usize = 5;

/// What a service writes first: ids are strings, a grant is an action and a prefix, and a check
/// walks from the user over the groups and compares.
#[derive(Default)]
struct Naive {
    organization: Vec<NaiveGrant>,
    users: HashMap<String, Holder>,
    groups: HashMap<String, Holder>,
}

#[derive(Default)]
struct Holder {
    groups: Vec<String>,
    grants: Vec<NaiveGrant>,
}

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
    fn groups_of<'a>(&'a self, user: &'a Holder) -> Vec<&'a str> {
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

    fn check(&self, user: &str, action: Action, key: &str) -> bool {
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
    fn readable(&self, user: &str, action: Action) -> Vec<String> {
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

/// A check, in the words of both.
struct Question {
    user: usize,
    action: Action,
    key: Key,
}

struct World {
    book: AccessBook,
    naive: Naive,
    names: Vec<String>,
    principals: Vec<Principal>,
    questions: Vec<Question>,
    grants: usize,
    memberships: usize,
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
    /// Every change, to be applied by the clock.
    rows: Vec<AccessChange>,
}

impl Maker {
    /// Mostly low folders and mostly reading.
    fn grant(&mut self, own_folder: Option<String>) -> (ActionSet, Pattern, NaiveGrant) {
        let level = *self.numbers.pick(&[1, 2, 2, 2, 3, 3, 3, 3]);
        let prefix = match own_folder {
            Some(folder) => folder,
            None => self.numbers.pick(&self.folders[level]).clone(),
        };
        let actions: Vec<Action> = match self.numbers.below(4) {
            0 => vec![Action::Read, Action::Create, Action::Update, Action::Delete],
            1 => vec![Action::Read, Action::Update],
            _ => vec![Action::Read],
        };
        let pattern = Pattern::parse(&prefix).expect("folders are prefixes");
        let set = ActionSet::of(&actions);
        (set, pattern, NaiveGrant { actions, prefix })
    }

    fn give(&mut self, subject: &Subject, own_folder: Option<String>) -> NaiveGrant {
        let (actions, pattern, naive) = self.grant(own_folder);
        self.rows.push(AccessChange::PutGrant(Grant {
            id: GrantId::from_bytes(id(2, self.world.grants)),
            giver: Giver::System,
            at: NOW,
            expires_at: None,
            subject: subject.clone(),
            actions,
            pattern,
        }));
        self.world.grants += 1;
        naive
    }

    fn put_in(&mut self, group: usize, member: GroupMember) {
        let group = group_id(group);
        self.rows
            .push(AccessChange::PutGroupMember { group, member });
        self.world.memberships += 1;
    }
}

fn group_name(number: usize) -> String {
    format!("group-{number:05}")
}

/// The groups are on three levels: most of them hold users, some hold those, few hold these.
fn world(users: usize, per_subject: usize, questions: usize) -> (World, Vec<AccessChange>) {
    let groups = (users / 20).max(10);
    let (middle, top) = ((groups / 5).max(2), (groups / 25).max(1));
    let lowest = groups - middle - top;
    let mut maker = Maker {
        world: World {
            book: AccessBook::new(),
            naive: Naive::default(),
            names: Vec::new(),
            principals: Vec::new(),
            questions: Vec::new(),
            grants: 0,
            memberships: 0,
        },
        numbers: Numbers::new(users as u64 ^ (per_subject as u64) << 32),
        folders: folders(),
        rows: Vec::new(),
    };
    for _ in 0..per_subject {
        let grant = maker.give(&Subject::Organization(Audience::Everyone), None);
        maker.world.naive.organization.push(grant);
    }
    for number in 0..groups {
        let name = GroupName::parse(&group_name(number)).expect("a plain name");
        maker.rows.push(AccessChange::PutGroup(Group {
            id: group_id(number),
            name,
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
            holder.groups.push(group_name(outer));
        }
        let subject = Subject::Group(group_id(number));
        for _ in 0..per_subject {
            holder.grants.push(maker.give(&subject, None));
        }
        maker.world.naive.groups.insert(group_name(number), holder);
    }
    let none = Episodes::none();
    for number in 0..users {
        let name = format!("user_{number:06}");
        let member = Member::User(UserId::parse(&name).expect("a plain id"));
        let mut holder = Holder::default();
        for _ in 0..GROUPS_OF_A_USER {
            let group = maker.numbers.below(lowest);
            if !holder.groups.contains(&group_name(group)) {
                let member = member.clone();
                let episode = none.current;
                maker.put_in(group, GroupMember::Member { member, episode });
                holder.groups.push(group_name(group));
            }
        }
        let subject = Subject::Member {
            member: member.clone(),
            episode: none.current,
        };
        for grant in 0..per_subject {
            let own = (grant == 0).then(|| format!("users/{name}/"));
            holder.grants.push(maker.give(&subject, own));
        }
        let world = &mut maker.world;
        world.naive.users.insert(name.clone(), holder);
        world.names.push(name);
        let principal = MemberPrincipal::new(member, none);
        world.principals.push(Principal::Member(principal));
    }
    for number in 0..questions {
        let question = maker.question(number % 2 == 0);
        maker.world.questions.push(question);
    }
    (maker.world, maker.rows)
}

impl Maker {
    fn question(&mut self, aimed: bool) -> Question {
        let user = self.numbers.below(self.world.names.len());
        let naive = &self.world.naive;
        let holder = &naive.users[&self.world.names[user]];
        let (folder, action) = if aimed {
            let groups = naive.groups_of(holder);
            let of = self.numbers.below(groups.len() + 2);
            let grants = match of {
                0 => &naive.organization,
                1 => &holder.grants,
                group => &naive.groups[groups[group - 2]].grants,
            };
            let grant = self.numbers.pick(grants);
            (grant.prefix.clone(), *self.numbers.pick(&grant.actions))
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

impl World {
    fn decide(&self, question: &Question) -> bool {
        let principal = &self.principals[question.user];
        decide(&self.book, principal, question.action, &question.key, NOW).is_allowed()
    }

    fn naive(&self, question: &Question) -> bool {
        let user = &self.names[question.user];
        self.naive
            .check(user, question.action, question.key.as_str())
    }

    fn readable(&self, user: usize) -> usize {
        let coverage = readable(&self.book, &self.principals[user], Action::Read, NOW);
        coverage.as_patterns().len()
    }

    /// Compares all answers and gives the part that is allowed.
    fn compare(&self, users: usize) -> f64 {
        let mut allowed = 0;
        for question in &self.questions {
            let answer = self.decide(question);
            assert_eq!(answer, self.naive(question), "{}", question.key);
            allowed += usize::from(answer);
        }
        for user in 0..users.min(self.names.len()) {
            let coverage = readable(&self.book, &self.principals[user], Action::Read, NOW);
            let ours: Vec<&str> = coverage.as_patterns().iter().map(Pattern::as_str).collect();
            assert_eq!(ours, self.naive.readable(&self.names[user], Action::Read));
        }
        count(allowed) / count(self.questions.len())
    }
}

/// The CPU time of one call, over all items in order.
fn each<T, A>(items: &[T], mut call: impl FnMut(&T) -> A) -> f64 {
    let all = cpu_nanos(1, || {
        for item in items {
            black_box(call(black_box(item)));
        }
    });
    all / count(items.len())
}

fn main() {
    let mut run = Run::start("decide");
    let repeats = run.size(2, 11);
    println!(
        "allocations are not counted: a counting allocator needs unsafe code, which is forbidden"
    );
    let mut worlds = vec![
        (10, 1),
        (10, 4),
        (10, 16),
        (1_000, 1),
        (1_000, 4),
        (1_000, 16),
    ];
    worlds.push((run.size(2_000, 100_000), 4));
    for (users, per_subject) in worlds {
        let questions = run.size(500, 20_000);
        let (mut world, rows) = world(users, per_subject, questions);
        let (took, ()) = micros(|| {
            for row in &rows {
                world.book.apply(row);
            }
        });
        println!(
            "\n-- {users} users, {} groups, {} memberships, {} grants (P = {per_subject})",
            world.naive.groups.len(),
            world.memberships,
            world.grants,
        );
        println!(
            "  building the book from its rows: {} ms",
            number(took / 1e3)
        );
        let allowed = world.compare(1_000);
        println!(
            "  {questions} questions, {:.1} % allowed, no answer differs",
            allowed * 100.0
        );
        let mut changed = world.book.clone();
        let title = format!("A check, {users} users, P = {per_subject}");
        let measured = side_by_side(
            &title,
            "ns of CPU",
            repeats,
            vec![
                Case::new("naive", || {
                    each(&world.questions, |question| world.naive(question))
                }),
                Case::new("guestlist", || {
                    each(&world.questions, |question| world.decide(question))
                }),
            ],
        );
        let label = format!("{users} users, P = {per_subject}");
        if per_subject == 4 {
            let bound = match users {
                10 => 40.0,
                1_000 => 80.0,
                _ => 400.0,
            };
            run.target(
                &format!("a check, {label} [ns]"),
                measured.median("guestlist"),
                Target::AtMost(bound),
            );
            run.target(
                &format!("a check, {label}, times as fast as naive"),
                1.0 / measured.ratio("guestlist", "naive"),
                Target::AtLeast(5.0),
            );
        }

        let listed = users.min(200);
        let patterns: usize = (0..listed).map(|user| world.readable(user)).sum();
        let title = format!(
            "readable(), {users} users, P = {per_subject}, {} patterns on average",
            number(count(patterns) / count(listed))
        );
        let asked: Vec<usize> = (0..run.size(50, 2_000)).map(|turn| turn % listed).collect();
        side_by_side(
            &title,
            "ns of CPU",
            repeats,
            vec![
                Case::new("naive", || {
                    each(&asked, |user| {
                        world.naive.readable(&world.names[*user], Action::Read)
                    })
                }),
                Case::new("guestlist", || each(&asked, |user| world.readable(*user))),
            ],
        );

        let extra: Vec<&AccessChange> = rows
            .iter()
            .filter(|row| matches!(row, AccessChange::PutGrant(_)))
            .take(1_000)
            .collect();
        let cost = cpu_nanos(1, || {
            for row in &extra {
                if let AccessChange::PutGrant(grant) = row {
                    changed.apply(&AccessChange::DeleteGrant(grant.id));
                }
                changed.apply(row);
            }
        });
        let each = cost / count(extra.len()) / 1e3;
        run.target(
            &format!("removing and adding a grant, {label} [us]"),
            each,
            Target::AtMost(10.0),
        );
    }
    run.finish();
}
