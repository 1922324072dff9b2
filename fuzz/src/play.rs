//! Things that are done in a small world: who, what and when, out of any bytes.
//!
//! Three organizations are there, with their founders, two groups and two links each. Ids come from
//! small sets, so that commands meet each other's results, and tokens are chosen among those that
//! were drawn, so that claims get somewhere.

use core::num::NonZeroU64;
use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use guestlist_access::{
    AccessCommand, Action, ActionSet, Audience, Grantee, Pattern, PresetGrant, Sharing,
};
use guestlist_membership::link::{Expiry, JoinedBy, Lasting, LinkCommand, LinkDraft, Preset, Uses};
use guestlist_membership::member::{ActingRule, Changes, MemberCommand, Presented, Profile};
use guestlist_membership::organization::{OrganizationCommand, Pause, Settings};
use guestlist_membership::testing::{
    World, founder, grant_id, group_id, link_id, org, org_member, org_name, role, user, user_member,
};
use guestlist_membership::{Actor, AfterRejection, Command, Joins, Metadata, Row, Seats, Standing};
use guestlist_token::Selector;
use guestlist_types::{
    EmailAddress, EmailDomain, GroupName, Label, LinkId, Member, OrgId, Reason, RoleName,
};

/// One thing done.
#[derive(Arbitrary, Debug, Clone)]
pub struct Step {
    tick: u8,
    host: u8,
    who: Who,
    email: Option<bool>,
    what: What,
}

/// Mostly whoever fits the command.
#[derive(Arbitrary, Debug, Clone)]
struct Who {
    kind: u8,
    number: u8,
    organization: Option<u8>,
    role: Option<u8>,
}

#[derive(Arbitrary, Debug, Clone)]
enum What {
    Claim {
        member: u8,
        token: u8,
        forged: bool,
        answers: u8,
    },
    Add {
        member: u8,
        gift: Gift,
        lasts: Option<u8>,
    },
    Approve {
        member: u8,
        gift: Option<Gift>,
        lasts: Option<u8>,
        reinstate: bool,
    },
    Reject {
        member: u8,
        said: bool,
    },
    Remove {
        member: u8,
        said: bool,
    },
    Cancel {
        member: u8,
    },
    Leave {
        member: u8,
    },
    ChangeRole {
        member: u8,
        role: u8,
    },
    Block {
        member: u8,
    },
    Unblock {
        member: u8,
    },
    LiftRemoval {
        member: u8,
    },
    Expire {
        member: u8,
    },
    RestrictActing {
        host: u8,
        rule: Option<(u8, u8)>,
    },
    Create {
        link: u8,
        draft: Draft,
        as_default: bool,
    },
    Refresh {
        link: u8,
        overlap: u8,
    },
    Disable {
        link: u8,
    },
    Enable {
        link: u8,
    },
    Edit {
        link: u8,
        draft: Draft,
    },
    Delete {
        link: u8,
    },
    Reserve {
        name: u8,
    },
    Register {
        name: u8,
        founder: Option<u8>,
        settings: Choices,
    },
    Rename {
        name: u8,
    },
    Suspend,
    Resume,
    DeleteOrganization,
    Settings(Choices),
    Pause(Option<u8>),
    ResumeLinks,
    CreateGroup {
        id: u8,
        name: u8,
        internal: bool,
    },
    RenameGroup {
        id: u8,
        name: u8,
    },
    DeleteGroup {
        id: u8,
    },
    MarkInternal {
        id: u8,
        internal: bool,
    },
    AddToGroup {
        id: u8,
        member: u8,
    },
    RemoveFromGroup {
        id: u8,
        member: u8,
    },
    Nest {
        outer: u8,
        inner: u8,
    },
    Unnest {
        outer: u8,
        inner: u8,
    },
    External(Option<u8>),
    Sharing(u8),
    Grant {
        id: u8,
        to: u8,
        actions: u8,
        pattern: u8,
        lasts: Option<u8>,
    },
    Revoke {
        id: u8,
    },
}

#[derive(Arbitrary, Debug, Clone)]
struct Gift {
    role: Option<u8>,
    group: Option<u8>,
    grant: Option<(u8, u8)>,
}

#[derive(Arbitrary, Debug, Clone)]
struct Draft {
    approval: u8,
    joined_by: u8,
    preset: Option<Gift>,
    expiry: u8,
    uses: u8,
    lasting: u8,
    restriction: u8,
}

/// Settings out of any bytes.
#[derive(Arbitrary, Debug, Clone)]
pub struct Choices {
    joins: u8,
    after_rejection: u8,
    standing: u8,
    request_ttl: Option<u8>,
    seats: Option<(u8, bool)>,
    defaults: Option<Draft>,
    max_lifetime: Option<u8>,
}

fn one_of<T: Clone>(number: u8, of: &[T]) -> T {
    of[usize::from(number) % of.len()].clone()
}

/// Users 0 to 4, and organizations 0 to 3, of which the last one is not there at first.
fn member_of(number: u8) -> Member {
    match number % 9 {
        user @ 0..5 => user_member(user),
        org => org_member(org - 5),
    }
}

fn lasting(number: u8) -> Duration {
    Duration::from_secs(one_of(number, &[1, 60, 3_600, 86_400, 0]))
}

fn role_of(number: u8) -> RoleName {
    role(one_of(number, &["member", "admin", "owner", "nobody"]))
}

fn link(number: u8) -> LinkId {
    link_id(1 + number % 5)
}

fn pattern(number: u8) -> Pattern {
    Pattern::parse(one_of(number, &["a/", "a/b/", "b", "a/b/c"])).expect("a pattern")
}

fn action_set(number: u8) -> ActionSet {
    one_of(
        number,
        &[
            ActionSet::of(&[Action::Read]),
            ActionSet::of(&[Action::Read, Action::Update]),
            ActionSet::of(&[Action::Read, Action::Share]),
            ActionSet::EMPTY,
        ],
    )
}

fn group_name(number: u8) -> GroupName {
    GroupName::parse(&format!("group {}", number % 4)).expect("plain")
}

fn said(said: bool) -> Option<Reason> {
    said.then(|| Reason::parse("because").expect("plain"))
}

impl Gift {
    fn preset(&self) -> Preset {
        let grant = |(actions, about): (u8, u8)| PresetGrant {
            actions: action_set(actions),
            pattern: pattern(about),
        };
        Preset {
            role: self.role.map(role_of),
            groups: self
                .group
                .map(|id| group_id(1 + id % 4))
                .into_iter()
                .collect(),
            grants: self.grant.map(grant).into_iter().collect(),
        }
    }
}

impl Draft {
    fn draft(&self) -> LinkDraft {
        let approved = one_of(self.approval, &[LinkDraft::review(), LinkDraft::auto()]);
        let mut draft = if self.approval % 5 == 4 {
            LinkDraft::default()
        } else {
            approved
        };
        draft.joined_by = one_of(
            self.joined_by,
            &[
                None,
                None,
                None,
                Some(JoinedBy::Users),
                Some(JoinedBy::Organizations),
            ],
        );
        draft.preset = self.preset.as_ref().map(Gift::preset);
        draft.expiry = match self.expiry % 4 {
            0 | 1 => None,
            2 => Some(Expiry::Never),
            _ => Some(Expiry::After(lasting(self.expiry / 4))),
        };
        draft.max_uses = match self.uses % 6 {
            0 | 1 => None,
            2 => Some(Uses::Unlimited),
            more => Some(Uses::AtMost(u64::from(
                more - 2 - u8::from(self.uses > 250),
            ))),
        };
        draft.membership_ttl = match self.lasting % 4 {
            0 | 1 => None,
            2 => Some(Lasting::Always),
            _ => Some(Lasting::For(lasting(self.lasting / 4))),
        };
        match self.restriction {
            0..200 => draft,
            200..210 => draft.allow_domain(EmailDomain::parse("d1.example").expect("a domain")),
            210..220 => draft.allow_member(member_of(self.restriction)),
            220..230 => draft.question("Why?"),
            230..240 => draft.label(Label::parse("label").expect("plain")),
            _ => draft.metadata(Metadata::from_json(r#"{"a":[1,2.5,null]}"#).expect("an object")),
        }
    }
}

impl Choices {
    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            joins: one_of(
                self.joins,
                &[
                    Joins::LinkDecides,
                    Joins::LinkDecides,
                    Joins::AlwaysReview,
                    Joins::AlwaysAuto,
                ],
            ),
            after_rejection: one_of(
                self.after_rejection,
                &[
                    AfterRejection::Again,
                    AfterRejection::CoolDown(Duration::from_secs(60)),
                    AfterRejection::NotThisLink,
                    AfterRejection::InviteOnly,
                ],
            ),
            standing: one_of(
                self.standing,
                &[
                    Standing::Keep,
                    Standing::MustBeMember,
                    Standing::MustHoldRight,
                ],
            ),
            request_ttl: self.request_ttl.map(lasting),
            seats: self.seats.map(|(limit, count_pending)| Seats {
                limit: NonZeroU64::new(1 + u64::from(limit % 5)).expect("one at least"),
                count_pending,
            }),
            link_defaults: self.defaults.as_ref().map(Draft::draft).unwrap_or_default(),
            max_link_lifetime: self.max_lifetime.map(lasting),
        }
    }
}

thread_local! {
    /// Making it costs more than playing in it.
    static POPULATED: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// The small world as it begins.
#[must_use]
pub fn populated() -> World {
    POPULATED.with_borrow_mut(|world| world.get_or_insert_with(World::populated).clone())
}

impl Step {
    /// Moves the clock of the world, and spells out who asks what of whom.
    pub fn spell(&self, world: &mut World) -> (OrgId, Actor, Command) {
        let ticks: [i64; 16] = [
            0, 0, 0, 0, 1, 1, 1, 2, 2, 61, 3_601, 86_401, -1, -60, -3_600, 5,
        ];
        let seconds = ticks[usize::from(self.tick) % ticks.len()];
        let micros = world.now.as_micros().saturating_add(seconds * 1_000_000);
        world.now = guestlist_types::Timestamp::from_micros(micros);
        let number = match self.host % 16 {
            0..12 => 0,
            more => more - 12,
        };
        let host = org(number);
        let command = self.command(world, &host);
        let actor = match self.who.kind % 16 {
            0..11 => fitting(number, &command),
            11 => founder(number),
            12 => Actor::system(),
            _ => {
                let mut actor = Actor::user(user(self.who.number % 5));
                if let Some(number) = self.who.organization {
                    actor = actor.in_organization(org(number % 4));
                }
                if let Some(number) = self.who.role {
                    actor = actor.with_role(role_of(number));
                }
                actor
            }
        };
        let actor = match self.email {
            None => actor,
            Some(other) => {
                let address = format!("ada@d{}.example", u8::from(other));
                actor.with_verified_email(EmailAddress::parse(&address).expect("an address"))
            }
        };
        (host, actor, command)
    }

    fn command(&self, world: &mut World, host: &OrgId) -> Command {
        let now = world.now;
        let until = |lasts: &Option<u8>| lasts.map(|lasts| now + lasting(lasts));
        match &self.what {
            What::Claim {
                member,
                token,
                forged,
                answers,
            } => {
                let selector = choose(world, host, *token);
                Command::Member(MemberCommand::Claim {
                    token: Presented {
                        selector,
                        genuine: !forged,
                    },
                    member: member_of(*member),
                    profile: Profile::default(),
                    answers: vec!["an answer".to_owned(); usize::from(answers % 3)],
                    proxy: world.draw_proxy(),
                })
            }
            What::Add {
                member,
                gift,
                lasts,
            } => Command::Member(MemberCommand::Add {
                member: member_of(*member),
                profile: Profile::default(),
                gift: Box::new(gift.preset()),
                expires_at: until(lasts),
                proxy: world.draw_proxy(),
            }),
            What::Approve {
                member,
                gift,
                lasts,
                reinstate,
            } => Command::Member(MemberCommand::Approve {
                member: member_of(*member),
                changes: Box::new(Changes {
                    gift: gift.as_ref().map(Gift::preset),
                    expires_at: until(lasts),
                    reinstate: *reinstate,
                }),
                proxy: world.draw_proxy(),
            }),
            What::Create {
                link: id,
                draft,
                as_default,
            } => Command::Link(LinkCommand::Create {
                link: link(*id),
                draft: Box::new(draft.draft()),
                token: world.draw(host),
                as_default: *as_default,
            }),
            What::Refresh { link: id, overlap } => Command::Link(LinkCommand::Refresh {
                link: link(*id),
                token: world.draw(host),
                overlap: Duration::from_secs(one_of(*overlap, &[0, 0, 60, 86_400, 86_401])),
            }),
            What::Enable { link: id } => Command::Link(LinkCommand::Enable {
                link: link(*id),
                token: world.draw(host),
            }),
            What::Register {
                name,
                founder,
                settings,
            } => {
                let name = org_name(name % 6);
                Command::Organization(OrganizationCommand::Register {
                    name,
                    display_name: None,
                    founder: founder.map(|number| user(number % 5)),
                    founder_grant: None,
                    settings: Box::new(settings.settings()),
                })
            }
            What::Pause(lasts) => Command::Organization(OrganizationCommand::PauseLinks {
                until: until(lasts).map_or(Pause::UntilResumed, Pause::Until),
            }),
            What::Grant {
                id,
                to,
                actions,
                pattern: about,
                lasts,
            } => {
                let to = match to % 4 {
                    0 => Grantee::Organization(Audience::Everyone),
                    1 => Grantee::Group(group_id(1 + to / 4 % 4)),
                    _ => Grantee::Member(member_of(to / 4)),
                };
                Command::Access(AccessCommand::Grant {
                    id: grant_id(1 + id % 8),
                    to,
                    actions: action_set(*actions),
                    pattern: pattern(*about),
                    expires_at: until(lasts),
                })
            }
            plain => plain.plain(),
        }
    }
}

impl What {
    /// The commands that need nothing of the world.
    fn plain(&self) -> Command {
        use AccessCommand as A;
        use LinkCommand as L;
        use MemberCommand as M;
        use OrganizationCommand as O;
        let group = |id: &u8| group_id(1 + id % 4);
        match self {
            Self::Reject { member, said: why } => Command::Member(M::Reject {
                member: member_of(*member),
                reason: said(*why),
            }),
            Self::Remove { member, said: why } => Command::Member(M::Remove {
                member: member_of(*member),
                reason: said(*why),
            }),
            Self::Cancel { member } => Command::Member(M::Cancel {
                member: member_of(*member),
            }),
            Self::Leave { member } => Command::Member(M::Leave {
                member: member_of(*member),
            }),
            Self::ChangeRole { member, role } => Command::Member(M::ChangeRole {
                member: member_of(*member),
                role: role_of(*role),
            }),
            Self::Block { member } => Command::Member(M::Block {
                member: member_of(*member),
                reason: None,
            }),
            Self::Unblock { member } => Command::Member(M::Unblock {
                member: member_of(*member),
            }),
            Self::LiftRemoval { member } => Command::Member(M::LiftRemoval {
                member: member_of(*member),
            }),
            Self::Expire { member } => Command::Member(M::Expire {
                member: member_of(*member),
            }),
            Self::RestrictActing { host, rule } => Command::Member(M::RestrictActing {
                host: org(host % 4),
                rule: rule.map(|(person, id)| ActingRule {
                    users: BTreeSet::from([user(person % 5)]),
                    groups: if id % 2 == 0 {
                        BTreeSet::new()
                    } else {
                        BTreeSet::from([group(&id)])
                    },
                }),
            }),
            Self::Disable { link: id } => Command::Link(L::Disable { link: link(*id) }),
            Self::Edit { link: id, draft } => Command::Link(L::Edit {
                link: link(*id),
                draft: Box::new(draft.draft()),
            }),
            Self::Delete { link: id } => Command::Link(L::Delete { link: link(*id) }),
            Self::Reserve { name } => Command::Organization(O::ReserveName {
                name: org_name(name % 6),
            }),
            Self::Rename { name } => Command::Organization(O::Rename {
                name: org_name(name % 6),
            }),
            Self::Suspend => Command::Organization(O::Suspend),
            Self::Resume => Command::Organization(O::Resume),
            Self::DeleteOrganization => Command::Organization(O::Delete),
            Self::Settings(choices) => Command::Organization(O::ChangeSettings {
                settings: Box::new(choices.settings()),
            }),
            Self::ResumeLinks => Command::Organization(O::ResumeLinks),
            Self::CreateGroup { id, name, internal } => Command::Access(A::CreateGroup {
                id: group(id),
                name: group_name(*name),
                internal: *internal,
            }),
            Self::RenameGroup { id, name } => Command::Access(A::RenameGroup {
                group: group(id),
                name: group_name(*name),
            }),
            Self::DeleteGroup { id } => Command::Access(A::DeleteGroup { group: group(id) }),
            Self::MarkInternal { id, internal } => Command::Access(A::MarkInternal {
                group: group(id),
                internal: *internal,
            }),
            Self::AddToGroup { id, member } => Command::Access(A::AddToGroup {
                group: group(id),
                member: member_of(*member),
            }),
            Self::RemoveFromGroup { id, member } => Command::Access(A::RemoveFromGroup {
                group: group(id),
                member: member_of(*member),
            }),
            Self::Nest { outer, inner } => Command::Access(A::NestGroup {
                outer: group(outer),
                inner: group(inner),
            }),
            Self::Unnest { outer, inner } => Command::Access(A::UnnestGroup {
                outer: group(outer),
                inner: group(inner),
            }),
            Self::External(id) => Command::Access(A::SetExternalGroup(id.as_ref().map(group))),
            Self::Sharing(number) => Command::Access(A::SetSharing(one_of(
                *number,
                &[
                    Sharing::WithinOwn,
                    Sharing::WithinNamespace,
                    Sharing::OwnersOnly,
                ],
            ))),
            Self::Revoke { id } => Command::Access(A::Revoke {
                grant: grant_id(1 + id % 8),
            }),
            other => unreachable!("{other:?} was spelled by its caller"),
        }
    }
}

/// Doors and ways out are the member's, the rest is the host's.
fn fitting(host: u8, command: &Command) -> Actor {
    match command {
        Command::Member(
            command @ (MemberCommand::Claim { .. }
            | MemberCommand::Cancel { .. }
            | MemberCommand::Leave { .. }),
        ) => match command.member() {
            Some(Member::User(user)) => Actor::user(user.clone()),
            Some(Member::Org(id)) => (0..4)
                .find(|number| org(*number) == *id)
                .map_or_else(Actor::system, founder),
            None => founder(host),
        },
        Command::Organization(
            OrganizationCommand::Suspend
            | OrganizationCommand::Resume
            | OrganizationCommand::Delete
            | OrganizationCommand::Register { .. }
            | OrganizationCommand::ReserveName { .. },
        ) => Actor::system(),
        Command::Member(_) | Command::Organization(_) | Command::Link(_) | Command::Access(_) => {
            founder(host)
        }
    }
}

/// One of the host's tokens, those that open something first; sometimes one that nobody has.
fn choose(world: &mut World, host: &OrgId, number: u8) -> Selector {
    let mut tokens: Vec<Selector> = world
        .records()
        .iter()
        .filter_map(|(_, row)| match row {
            Row::Token(row) if row.host == *host => Some(row.selector),
            _ => None,
        })
        .collect();
    tokens.sort_by_key(|token| (world.opens(*token).is_err(), -token.as_i64()));
    let chosen = tokens.get(usize::from(number % 8)).copied();
    chosen.unwrap_or_else(|| world.draw(host).selector)
}
