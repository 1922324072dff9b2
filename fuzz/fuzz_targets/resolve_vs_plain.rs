//! The index, changed in place, answers what the plain definition answers, to the letter, and
//! what an index answers that was built anew.

#![no_main]

use arbitrary::Arbitrary;
use guestlist_access::{
    AccessBook, AccessChange, AccessHead, AccessIndex, Action, ActionSet, Audience, Episode,
    Episodes, Giver, Grant, Group, GroupMember, MemberPrincipal, Pattern, PresetGrant, Principal,
    Sharing, Subject, actions, decide, explain, readable, who,
};
use guestlist_fuzz::{Few, Many};
use guestlist_types::{GrantId, GroupId, GroupName, Key, Member, OrgId, Timestamp, UserId};
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp::from_micros(4);

/// Enough for one chain or flood that changes how something is kept, and some rows around it.
const MAX_CHANGES: usize = 240;

#[derive(Arbitrary, Debug)]
struct World {
    who: Few<Who>,
    keys: Few<Text>,
    rows: Many<RowOf>,
}

/// Segments of a key or a pattern: what comes out is checked by the parser.
#[derive(Arbitrary, Debug)]
struct Text([u8; 4], Option<u8>);

impl Text {
    fn text(&self) -> String {
        let names = ["a", "ab", "a-", "area00", "eight-by", "...", "\u{e9}", ".x"];
        let mut parts: Vec<&str> = Vec::new();
        for number in self.0.iter().take_while(|number| **number < 250) {
            parts.push(names[usize::from(*number) % names.len()]);
        }
        if parts.is_empty() {
            parts.push("k");
        }
        let text = parts.join("/");
        match self.1 {
            Some(times) => vec![text; 1 + usize::from(times % 20)].join("/"),
            None => text,
        }
    }

    fn key(&self) -> Key {
        Key::parse(&self.text()).expect("plain segments")
    }
}

#[derive(Arbitrary, Debug)]
enum About {
    All,
    Below(Text),
    One(Text),
}

impl About {
    fn pattern(&self) -> Pattern {
        match self {
            Self::All => Pattern::all(),
            Self::Below(text) => Pattern::parse(&format!("{}/", text.text())).expect("a prefix"),
            Self::One(text) => Pattern::from(text.key()),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum To {
    Everyone,
    Internal,
    Group(u8),
    Member(u8, u8),
}

impl To {
    fn subject(&self) -> Subject {
        match self {
            Self::Everyone => Subject::Organization(Audience::Everyone),
            Self::Internal => Subject::Organization(Audience::InternalUsers),
            Self::Group(number) => Subject::Group(group(*number)),
            Self::Member(who, at) => Subject::Member {
                member: member(*who),
                episode: episode(*at),
            },
        }
    }
}

#[derive(Arbitrary, Debug)]
enum RowOf {
    Group {
        id: u8,
        internal: bool,
    },
    Gone(u8),
    Nest {
        outer: u8,
        inner: u8,
    },
    Unnest {
        outer: u8,
        inner: u8,
    },
    Join {
        group: u8,
        who: u8,
        episode: u8,
    },
    Leave {
        group: u8,
        who: u8,
        episode: u8,
    },
    Grant {
        id: u8,
        to: To,
        actions: u8,
        about: About,
        ends: u8,
    },
    Revoke(u8),
    External(Option<u8>),
    /// More groups in a row than are written down with each.
    Chain {
        from: u8,
        len: u8,
    },
    /// More grants to one subject than a plain list holds.
    Flood {
        to: To,
        actions: u8,
        count: u8,
    },
    Ebb {
        count: u8,
    },
}

#[derive(Arbitrary, Debug)]
struct Who {
    who: u8,
    since: u8,
    current: u8,
    groups: [Option<u8>; 2],
    preset: Option<(u8, About)>,
}

fn group(number: u8) -> GroupId {
    GroupId::from_bytes([number % 100; 16])
}

fn member(number: u8) -> Member {
    let name = format!("m{}", number % 2);
    if number % 3 == 0 {
        Member::Org(OrgId::parse(&name).expect("plain"))
    } else {
        Member::User(UserId::parse(&name).expect("plain"))
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

fn put_group(id: u8, internal: bool) -> AccessChange {
    let id = group(id);
    AccessChange::PutGroup(Group {
        id,
        name: GroupName::parse(&format!("group {}", id.as_bytes()[0])).expect("plain"),
        internal,
        created_at: NOW,
    })
}

fn grant(id: [u8; 16], to: &To, actions: u8, pattern: Pattern, ends: u8) -> AccessChange {
    AccessChange::PutGrant(Grant {
        id: GrantId::from_bytes(id),
        giver: Giver::System,
        at: NOW,
        expires_at: (ends % 3 != 0).then(|| Timestamp::from_micros(i64::from(ends % 8))),
        subject: to.subject(),
        actions: action_set(actions),
        pattern,
    })
}

/// Mostly some: as many as an index keeps in another way take most of the time.
fn few_or(number: u8, many: u8) -> u8 {
    match number.checked_sub(224) {
        Some(more) => many + more % 4,
        None => number % 10,
    }
}

fn flooded(number: u8) -> [u8; 16] {
    let mut id = [0xff; 16];
    id[0] = number;
    id
}

impl RowOf {
    fn changes(&self) -> Vec<AccessChange> {
        let nest = |outer: u8, inner: u8| (group(outer), GroupMember::Group(group(inner)));
        let join = |of: u8, who: u8, at: u8| {
            let (member, episode) = (member(who), episode(at));
            (group(of), GroupMember::Member { member, episode })
        };
        let put = |(group, member)| AccessChange::PutGroupMember { group, member };
        let delete = |(group, member)| AccessChange::DeleteGroupMember { group, member };
        match self {
            Self::Group { id, internal } => vec![put_group(*id, *internal)],
            Self::Gone(id) => vec![AccessChange::DeleteGroup(group(*id))],
            Self::Nest { outer, inner } => vec![put(nest(*outer, *inner))],
            Self::Unnest { outer, inner } => vec![delete(nest(*outer, *inner))],
            Self::Join {
                group,
                who,
                episode,
            } => vec![put(join(*group, *who, *episode))],
            Self::Leave {
                group,
                who,
                episode,
            } => vec![delete(join(*group, *who, *episode))],
            Self::Grant {
                id,
                to,
                actions,
                about,
                ends,
            } => vec![grant([*id; 16], to, *actions, about.pattern(), *ends)],
            Self::Revoke(id) => vec![AccessChange::DeleteGrant(GrantId::from_bytes([*id; 16]))],
            Self::External(to) => vec![AccessChange::Head(AccessHead {
                external_group: to.map(group),
                sharing: Sharing::default(),
            })],
            Self::Chain { from, len } => (0..few_or(*len, 66))
                .flat_map(|step| {
                    let inner = from.wrapping_add(step);
                    let outer = inner.wrapping_add(1);
                    [put_group(outer, false), put(nest(outer, inner))]
                })
                .collect(),
            Self::Flood { to, actions, count } => (0..few_or(*count, 130))
                .map(|number| {
                    let text = format!("a/{}/", number % 200);
                    let pattern = Pattern::parse(&text).expect("a prefix");
                    grant(flooded(number), to, *actions, pattern, number)
                })
                .collect(),
            Self::Ebb { count } => (0..few_or(*count, 130))
                .map(|number| AccessChange::DeleteGrant(GrantId::from_bytes(flooded(number))))
                .collect(),
        }
    }
}

impl Who {
    fn principal(&self) -> MemberPrincipal {
        let (one, other) = (episode(self.since), episode(self.current));
        let preset = self.preset.iter().map(|(actions, about)| PresetGrant {
            actions: action_set(*actions),
            pattern: about.pattern(),
        });
        MemberPrincipal {
            member: member(self.who),
            episodes: Episodes {
                since: one.min(other),
                current: one.max(other),
            },
            groups: self.groups.iter().flatten().map(|id| group(*id)).collect(),
            grants: preset.collect(),
            role_is_owner: false,
        }
    }
}

fuzz_target!(|world: World| {
    let (mut book, mut index) = (AccessBook::new(), AccessIndex::new());
    for change in world
        .rows
        .0
        .iter()
        .flat_map(RowOf::changes)
        .take(MAX_CHANGES)
    {
        book.apply(&change);
        index.apply(&change);
    }
    let rebuilt = AccessIndex::from(&book);
    assert_eq!(index.grants(), rebuilt.grants());
    let members: Vec<MemberPrincipal> = world.who.0.iter().take(2).map(Who::principal).collect();
    let mut asked = vec![Principal::Anonymous];
    asked.extend(members.iter().cloned().map(Principal::from));
    let fixed = ["a", "a/7/k", "a/b"].map(|text| Key::parse(text).expect("a key"));
    let keys = world.keys.0.iter().take(3).map(Text::key).chain(fixed);
    let keys: Vec<Key> = keys.collect();
    for principal in &asked {
        let (here, there) = (index.principal(principal), rebuilt.principal(principal));
        let compiled = here.compile();
        for action in Action::ALL {
            let coverage = readable(&book, principal, action, NOW);
            assert_eq!(here.readable(action, NOW), coverage);
            assert_eq!(there.readable(action, NOW), coverage);
        }
        for key in &keys {
            assert_eq!(here.actions(key, NOW), actions(&book, principal, key, NOW));
            for action in Action::ALL {
                let decision = decide(&book, principal, action, key, NOW);
                let allowed = decision.is_allowed();
                assert_eq!(here.allows(action, key, NOW), allowed);
                assert_eq!(there.allows(action, key, NOW), allowed);
                assert_eq!(compiled.allows(action, key, NOW), allowed);
                assert_eq!(here.decide(action, key, NOW), decision);
            }
        }
        // It looks at all grants, so one is enough.
        let key = &keys[0];
        let explanation = explain(&book, principal, Action::Read, key, NOW);
        assert_eq!(here.explain(Action::Read, key, NOW), explanation);
    }
    for key in &keys {
        let expected = who(&book, &members, Action::Update, key, NOW);
        assert_eq!(index.who(&members, Action::Update, key, NOW), expected);
    }
});
