//! Decisions in a small world are what a union over its rows says, written down without any of
//! the book's indexes.

#![no_main]

use std::sync::OnceLock;

use arbitrary::Arbitrary;
use guestlist_access::{
    AccessBook, AccessChange, AccessHead, Action, ActionSet, Audience, Decision, Denial, Episode,
    Episodes, Giver, Grant, Group, GroupMember, MemberPrincipal, Pattern, PresetGrant, Principal,
    Sharing, Subject, WitnessGrant, actions, decide, explain, readable, who,
};
use guestlist_fuzz::Many;
use guestlist_types::{GrantId, GroupId, GroupName, Key, Member, OrgId, Timestamp, UserId};
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 4;

#[derive(Arbitrary, Debug)]
struct World {
    principal: Option<Who>,
    rows: Many<RowOf>,
}

#[derive(Arbitrary, Debug)]
enum RowOf {
    Group {
        id: u8,
        internal: bool,
    },
    Nest {
        outer: u8,
        inner: u8,
    },
    Join {
        group: u8,
        who: u8,
        episode: u8,
    },
    Grant {
        to: To,
        actions: u8,
        pattern: u8,
        ends: u8,
    },
    External(Option<u8>),
    Gone(u8),
    Revoke(u8),
    Unnest {
        outer: u8,
        inner: u8,
    },
}

#[derive(Arbitrary, Debug)]
enum To {
    Everyone,
    Internal,
    Group(u8),
    Member(u8, u8),
}

#[derive(Arbitrary, Debug)]
struct Who {
    who: u8,
    since: u8,
    current: u8,
    groups: [Option<u8>; 2],
    presets: [Option<(u8, u8)>; 2],
    owner: bool,
}

fn group(number: u8) -> GroupId {
    GroupId::from_bytes([number % 5; 16])
}

fn member(number: u8) -> Member {
    let number = number % 5;
    if number < 3 {
        Member::User(UserId::parse(&format!("user_{number}")).expect("plain"))
    } else {
        Member::Org(OrgId::parse(&format!("org_{number}")).expect("plain"))
    }
}

fn episode(number: u8) -> Episode {
    Episode::new(u32::from(number % 4))
}

fn action_set(bits: u8) -> ActionSet {
    let chosen = |(at, _): &(usize, Action)| bits >> at & 1 == 1;
    let all = Action::ALL.into_iter().enumerate();
    all.filter(chosen).map(|(_, action)| action).collect()
}

fn keys() -> &'static [String] {
    static KEYS: OnceLock<Vec<String>> = OnceLock::new();
    KEYS.get_or_init(all_keys)
}

fn all_keys() -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for first in ["a", "ab", "a-"] {
        keys.push(first.to_owned());
        for second in ["a", "b"] {
            keys.push(format!("{first}/{second}"));
            keys.push(format!("{first}/{second}/c"));
        }
    }
    keys
}

/// Everything, a prefix or one key: the kind and the segments.
#[derive(Clone)]
enum Naive {
    All,
    Below(Vec<String>),
    One(Vec<String>),
}

fn pattern(number: u8) -> (Pattern, Naive) {
    let keys = keys();
    let key = &keys[usize::from(number / 3) % keys.len()];
    let segments = key.split('/').map(str::to_owned).collect();
    match number % 3 {
        0 if number == 0 => (Pattern::all(), Naive::All),
        0 | 1 => {
            let prefix = Pattern::parse(&format!("{key}/")).expect("a prefix");
            (prefix, Naive::Below(segments))
        }
        _ => (Pattern::parse(key).expect("a key"), Naive::One(segments)),
    }
}

impl Naive {
    fn covers(&self, key: &str) -> bool {
        let of_key: Vec<&str> = key.split('/').collect();
        match self {
            Self::All => true,
            Self::Below(own) => {
                of_key.len() > own.len() && own.iter().zip(&of_key).all(|(a, b)| a == b)
            }
            Self::One(own) => {
                own.len() == of_key.len() && own.iter().zip(&of_key).all(|(a, b)| a == b)
            }
        }
    }
}

/// The rows as lists.
#[derive(Default)]
struct Rows {
    groups: Vec<(GroupId, bool)>,
    nested: Vec<(GroupId, GroupId)>,
    joined: Vec<(GroupId, Member, u8)>,
    grants: Vec<(GrantId, Grant, Naive)>,
    external: Option<GroupId>,
}

fn build(rows: &[RowOf]) -> (AccessBook, Rows) {
    let (mut book, mut list) = (AccessBook::new(), Rows::default());
    for (number, row) in (0_u8..60).zip(rows) {
        let change = match row {
            RowOf::Group { id, internal } => {
                let id = group(*id);
                list.groups.retain(|(other, _)| *other != id);
                list.groups.push((id, *internal));
                AccessChange::PutGroup(Group {
                    id,
                    name: GroupName::parse(&format!("group {}", id.as_bytes()[0])).expect("plain"),
                    internal: *internal,
                    created_at: Timestamp::from_micros(0),
                })
            }
            RowOf::Nest { outer, inner } => {
                let (outer, inner) = (group(*outer), group(*inner));
                list.nested.push((outer, inner));
                let member = GroupMember::Group(inner);
                AccessChange::PutGroupMember {
                    group: outer,
                    member,
                }
            }
            RowOf::Unnest { outer, inner } => {
                let (outer, inner) = (group(*outer), group(*inner));
                list.nested.retain(|row| *row != (outer, inner));
                let member = GroupMember::Group(inner);
                AccessChange::DeleteGroupMember {
                    group: outer,
                    member,
                }
            }
            RowOf::Join {
                group: of,
                who,
                episode: at,
            } => {
                let (of, who) = (group(*of), member(*who));
                list.joined.push((of, who.clone(), at % 4));
                let member = GroupMember::Member {
                    member: who,
                    episode: episode(*at),
                };
                AccessChange::PutGroupMember { group: of, member }
            }
            RowOf::Grant {
                to,
                actions,
                pattern: about,
                ends,
            } => {
                let subject = match to {
                    To::Everyone => Subject::Organization(Audience::Everyone),
                    To::Internal => Subject::Organization(Audience::InternalUsers),
                    To::Group(of) => Subject::Group(group(*of)),
                    To::Member(who, at) => Subject::Member {
                        member: member(*who),
                        episode: episode(*at),
                    },
                };
                let (about, naive) = pattern(*about);
                let grant = Grant {
                    id: GrantId::from_bytes([number; 16]),
                    giver: Giver::System,
                    at: Timestamp::from_micros(0),
                    expires_at: (ends % 3 != 0)
                        .then(|| Timestamp::from_micros(i64::from(ends % 8))),
                    subject,
                    actions: action_set(*actions),
                    pattern: about,
                };
                list.grants.push((grant.id, grant.clone(), naive));
                AccessChange::PutGrant(grant)
            }
            RowOf::External(to) => {
                list.external = to.map(group);
                AccessChange::Head(AccessHead {
                    external_group: list.external,
                    sharing: Sharing::default(),
                })
            }
            RowOf::Gone(of) => {
                list.groups.retain(|(other, _)| *other != group(*of));
                AccessChange::DeleteGroup(group(*of))
            }
            RowOf::Revoke(number) => {
                let id = GrantId::from_bytes([*number % 60; 16]);
                list.grants.retain(|(other, _, _)| *other != id);
                AccessChange::DeleteGrant(id)
            }
        };
        book.apply(&change);
    }
    (book, list)
}

/// The groups that are reached, by going over all rows until nothing more is found.
fn groups_of(rows: &Rows, who: &MemberPrincipal) -> Vec<GroupId> {
    let outsider = matches!(who.member, Member::Org(_));
    let may_enter = |wanted: GroupId| {
        rows.groups
            .iter()
            .any(|(id, internal)| *id == wanted && !(outsider && *internal))
    };
    let (since, current) = (who.episodes.since.get(), who.episodes.current.get());
    let mut found: Vec<GroupId> = who.groups.clone();
    for (id, member, at) in &rows.joined {
        if *member == who.member && (since..=current).contains(&u32::from(*at)) {
            found.push(*id);
        }
    }
    found.extend(rows.external.filter(|_| outsider));
    found.retain(|id| may_enter(*id));
    loop {
        let more = rows.nested.iter().find(|(outer, inner)| {
            found.contains(inner) && !found.contains(outer) && may_enter(*outer)
        });
        match more {
            Some((outer, _)) => found.push(*outer),
            None => return found,
        }
    }
}

/// Which grants allow it, each by itself.
fn allowing(
    rows: &Rows,
    who: Option<&MemberPrincipal>,
    groups: &[GroupId],
    action: Action,
    key: &str,
) -> Vec<WitnessGrant> {
    let outsider = who.is_some_and(|who| matches!(who.member, Member::Org(_)));
    if (who.is_none() && action != Action::PublicRead) || (outsider && action == Action::Share) {
        return Vec::new();
    }
    let mut all = Vec::new();
    for (id, grant, naive) in &rows.grants {
        let everyone = grant.subject == Subject::Organization(Audience::Everyone);
        let reaches = match &grant.subject {
            Subject::Organization(Audience::Everyone) => true,
            Subject::Organization(Audience::InternalUsers) => who.is_some() && !outsider,
            Subject::Group(id) => groups.contains(id),
            Subject::Member { member, episode } => who.is_some_and(|who| {
                who.member == *member
                    && who.episodes.since <= *episode
                    && *episode <= who.episodes.current
            }),
        };
        let has = grant.actions.contains(action)
            || (action == Action::Read && everyone && grant.actions.contains(Action::PublicRead));
        let live = grant.expires_at.is_none_or(|end| NOW < end.as_micros());
        if reaches && has && live && naive.covers(key) {
            all.push(WitnessGrant::Grant(*id));
        }
    }
    for (index, preset) in who.iter().flat_map(|who| who.grants.iter().enumerate()) {
        let key = Key::parse(key).expect("a key");
        if preset.actions.contains(action) && preset.pattern.covers(&key) {
            all.push(WitnessGrant::Preset(index));
        }
    }
    all
}

fuzz_target!(|world: World| {
    let (book, rows) = build(&world.rows.0);
    let principal = world.principal.as_ref().map(|who| {
        let (one, other) = (episode(who.since), episode(who.current));
        MemberPrincipal {
            member: member(who.who),
            episodes: Episodes {
                since: one.min(other),
                current: one.max(other),
            },
            groups: who.groups.iter().flatten().map(|id| group(*id)).collect(),
            grants: who
                .presets
                .iter()
                .flatten()
                .map(|(actions, about)| PresetGrant {
                    actions: action_set(*actions),
                    pattern: pattern(*about).0,
                })
                .collect(),
            role_is_owner: who.owner,
        }
    });
    let asked = principal
        .clone()
        .map_or(Principal::Anonymous, Principal::Member);
    let now = Timestamp::from_micros(NOW);
    let member = principal.as_ref();
    let groups = member.map_or_else(Vec::new, |who| groups_of(&rows, who));
    let coverages = Action::ALL.map(|action| readable(&book, &asked, action, now));
    for text in keys() {
        let key = Key::parse(text).expect("a key");
        let mut held = ActionSet::EMPTY;
        for (action, coverage) in Action::ALL.into_iter().zip(&coverages) {
            let expected = allowing(&rows, principal.as_ref(), &groups, action, text);
            let decision = decide(&book, &asked, action, &key, now);
            assert_eq!(
                decision.is_allowed(),
                !expected.is_empty(),
                "{action} {text}"
            );
            assert_eq!(
                coverage.contains(&key),
                decision.is_allowed(),
                "{action} {text}"
            );
            match &decision {
                Decision::Allow(witness) => {
                    held = held.union(action.into());
                    assert!(
                        expected.contains(&witness.source),
                        "the witness does it alone"
                    );
                    let to = witness.groups.last();
                    if let WitnessGrant::Grant(id) = witness.source {
                        let subject = book.grant(id).map(|grant| grant.subject.clone());
                        let of_group = to.map(|group| Subject::Group(*group));
                        assert!(
                            of_group.is_none() || of_group == subject,
                            "the path leads there"
                        );
                    }
                }
                Decision::Deny(denial) => {
                    let outsider = principal.as_ref().is_some_and(MemberPrincipal::is_outsider);
                    let why = match (&asked, action) {
                        (Principal::Anonymous, action) if action != Action::PublicRead => {
                            Denial::Anonymous
                        }
                        (_, Action::Share) if outsider => Denial::OutsiderCeiling,
                        _ => Denial::NoGrant,
                    };
                    assert_eq!(*denial, why);
                }
            }
            let explained = explain(&book, &asked, action, &key, now);
            assert_eq!(explained.decision, decision);
            let mut matching: Vec<WitnessGrant> = explained
                .matching
                .iter()
                .map(|witness| witness.source)
                .collect();
            let mut wanted = expected;
            matching.sort();
            wanted.sort();
            assert_eq!(matching, wanted, "every reason and no other");
            if let Some(principal) = &principal {
                let asked = who(&book, [principal], action, &key, now);
                assert_eq!(asked.members.len(), usize::from(decision.is_allowed()));
            }
        }
        assert_eq!(actions(&book, &asked, &key, now), held);
    }
});
