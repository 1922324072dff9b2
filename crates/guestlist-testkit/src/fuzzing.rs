//! Steps and settings out of any bytes, for fuzzers (feature `arbitrary`).
//!
//! They are done in the small world of [`World::populated`]: three organizations are there, with
//! their founders, two groups and two links each. Ids come from small sets, so that commands meet
//! each other's results, and tokens are chosen among those that were drawn, so that claims get
//! somewhere.
//!
//! ```
//! use arbitrary::{Arbitrary, Unstructured};
//! use guestlist_testkit::differential::Differential;
//! use guestlist_testkit::fuzzing::{Choices, Steps};
//!
//! let mut input = Unstructured::new(b"whatever a fuzzer comes up with");
//! let settings = Choices::arbitrary(&mut input).unwrap().settings();
//! let mut both = Differential::with(settings).unwrap();
//! for step in Steps::arbitrary(&mut input).unwrap() {
//!     both.spell(|world| step.spell(world)).unwrap();
//! }
//! ```

#![expect(
    clippy::missing_panics_doc,
    reason = "the ids, names and addresses made here are plain and valid"
)]

use core::num::NonZeroU64;
use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeSet;

use arbitrary::{Arbitrary, Unstructured};
use guestlist_access::{
    AccessCommand, Action, ActionSet, Audience, Grantee, Pattern, PresetGrant, Sharing,
};
use guestlist_membership::invite::{
    DeliveryReport, InviteCommand, InviteDraft, Mode, NewInvite, SignOn,
};
use guestlist_membership::link::{
    Expiry, Generation, JoinedBy, Lasting, LinkCommand, LinkDraft, Preset, Uses,
};
use guestlist_membership::member::{ActingRule, Changes, MemberCommand, Presented, Profile};
use guestlist_membership::organization::{OrganizationCommand, Pause, Settings};
use guestlist_membership::testing::{
    World, fitting, founder, grant_id, group_id, invite_id, link_id, org, org_member, org_name,
    role, user, user_member,
};
use guestlist_membership::webhook::{DisabledFor, SecretVersion, WebhookCommand};
use guestlist_membership::{
    Actor, AddressCheck, AfterRejection, Command, Joins, Metadata, Requests, Row, Seats,
    SecondInvite, Standing,
};
use guestlist_token::Selector;
use guestlist_types::{
    DisplayName, EmailAddress, EmailDomain, EndpointId, EndpointUrl, GroupName, InviteId, Label,
    LinkId, Member, Message, OrgId, Reason, RoleName,
};

/// Steps up to the end of the input, at most [`MAX_STEPS`]. A plain `Vec` asks a coin before each
/// one, so that most are short.
#[derive(Debug, Clone)]
pub struct Steps(Vec<Step>);

/// The most steps that one input is.
pub const MAX_STEPS: usize = 64;

impl<'a> Arbitrary<'a> for Steps {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut steps = Vec::new();
        while !input.is_empty() && steps.len() < MAX_STEPS {
            steps.push(input.arbitrary()?);
        }
        Ok(Self(steps))
    }
}

impl IntoIterator for Steps {
    type Item = Step;
    type IntoIter = std::vec::IntoIter<Step>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl core::ops::Deref for Steps {
    type Target = [Step];

    fn deref(&self) -> &[Step] {
        &self.0
    }
}

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
    ExpireLink {
        link: u8,
    },
    Send {
        invites: [Option<Invited>; 3],
        all: bool,
    },
    Resend {
        invite: u8,
    },
    TakeBack {
        invite: u8,
    },
    Accept {
        member: u8,
        token: u8,
        forged: bool,
        shown: Option<u8>,
    },
    Decline {
        token: u8,
    },
    Deliver {
        invite: u8,
        generation: u8,
        sent: bool,
    },
    ExpireInvite {
        invite: u8,
    },
    Request {
        member: u8,
        shown: Option<u8>,
        answers: u8,
    },
    Reveal {
        link: u8,
    },
    Erase {
        member: u8,
        invite: Option<u8>,
    },
    Endpoint {
        endpoint: u8,
        command: Endpoint,
    },
    DisplayName(bool),
}

/// One of several that are invited together.
#[derive(Arbitrary, Debug, Clone)]
struct Invited {
    id: u8,
    address: u8,
    joined_by: u8,
    gift: Option<Gift>,
    expiry: u8,
    lasting: u8,
    said: bool,
}

#[derive(Arbitrary, Debug, Clone)]
enum Endpoint {
    Create { url: u8, event: u8 },
    Edit { url: u8, event: u8 },
    Rotate { generation: u8, overlap: u8 },
    Enable,
    Disable { gone: bool },
    Delete,
}

impl Endpoint {
    fn spell(&self, endpoint: u8) -> WebhookCommand {
        use WebhookCommand as W;
        let endpoint = EndpointId::from_bytes([1 + endpoint % 3; 16]);
        let parsed = |number: u8| {
            let text = one_of(
                number,
                &[
                    "https://a.example/",
                    "https://b.example/",
                    "http://localhost/",
                ],
            );
            EndpointUrl::parse_insecure(text).expect("a url")
        };
        let names = |number: u8| match number % 3 {
            0 => BTreeSet::new(),
            1 => BTreeSet::from(["link-created".to_owned()]),
            _ => BTreeSet::from(["x".repeat(65)]),
        };
        match *self {
            Self::Create { url, event } => W::Create {
                endpoint,
                url: parsed(url),
                label: None,
                events: names(event),
                secret: SecretVersion {
                    key: 1,
                    generation: 0,
                },
            },
            Self::Edit { url, event } => W::Edit {
                endpoint,
                url: parsed(url),
                label: None,
                events: names(event),
            },
            Self::Rotate {
                generation,
                overlap,
            } => W::Rotate {
                endpoint,
                secret: SecretVersion {
                    key: 1,
                    generation: u32::from(generation),
                },
                overlap: Duration::from_secs(one_of(overlap, &[0, 60, 604_800, 604_801])),
            },
            Self::Enable => W::Enable { endpoint },
            Self::Disable { gone } => W::Disable {
                endpoint,
                reason: if gone {
                    DisabledFor::Gone
                } else {
                    DisabledFor::Asked
                },
            },
            Self::Delete => W::Delete { endpoint },
        }
    }
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
    invites: Option<Inviting>,
}

/// How a host is found and joined without a link.
#[derive(Arbitrary, Debug, Clone)]
struct Inviting {
    last: u8,
    check: u8,
    replaces: bool,
    discoverable: bool,
    requests: Option<(u8, bool, Option<Gift>)>,
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

fn invite(number: u8) -> InviteId {
    invite_id(1 + number % 5)
}

/// Few, so that one is invited twice, and joins with what another one was invited at.
fn address(number: u8) -> EmailAddress {
    let text = one_of(
        number,
        &["ada@d0.example", "ada@d1.example", "bob@d0.example"],
    );
    EmailAddress::parse(text).expect("an address")
}

fn shown(email: Option<u8>) -> Profile {
    Profile {
        email: email.map(address),
        ..Profile::default()
    }
}

fn kinds(number: u8) -> Option<JoinedBy> {
    one_of(
        number,
        &[
            None,
            None,
            None,
            Some(JoinedBy::Users),
            Some(JoinedBy::Organizations),
            Some(JoinedBy::Both),
        ],
    )
}

fn expiry(number: u8) -> Option<Expiry> {
    match number % 4 {
        0 | 1 => None,
        2 => Some(Expiry::Never),
        _ => Some(Expiry::After(lasting(number / 4))),
    }
}

fn membership_ttl(number: u8) -> Option<Lasting> {
    match number % 4 {
        0 | 1 => None,
        2 => Some(Lasting::Always),
        _ => Some(Lasting::For(lasting(number / 4))),
    }
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
        draft.expiry = expiry(self.expiry);
        draft.max_uses = match self.uses % 6 {
            0 | 1 => None,
            2 => Some(Uses::Unlimited),
            more => Some(Uses::AtMost(u64::from(
                more - 2 - u8::from(self.uses > 250),
            ))),
        };
        draft.membership_ttl = membership_ttl(self.lasting);
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

impl Invited {
    fn spell(&self, world: &mut World, host: &OrgId) -> NewInvite {
        let message = || Message::parse("Come in!\n<b>").expect("plain");
        NewInvite {
            id: invite(self.id),
            address: address(self.address),
            draft: InviteDraft {
                joined_by: kinds(self.joined_by),
                preset: self.gift.as_ref().map(Gift::preset),
                expiry: expiry(self.expiry),
                membership_ttl: membership_ttl(self.lasting),
                message: self.said.then(message),
                metadata: None,
            },
            sign_on: one_of(
                self.lasting / 16,
                &[SignOn::Usual, SignOn::Single, SignOn::Elsewhere],
            ),
            is_member: self.address > 250,
            token: world.draw(host),
        }
    }
}

impl Inviting {
    fn change(&self, settings: Settings) -> Settings {
        let requests = self.requests.as_ref();
        Settings {
            invites_last: membership_ttl(self.last).unwrap_or(settings.invites_last),
            address_check: one_of(
                self.check,
                &[
                    AddressCheck::Exact,
                    AddressCheck::AnyVerified,
                    AddressCheck::Bearer,
                ],
            ),
            second_invite: if self.replaces {
                SecondInvite::Replace
            } else {
                SecondInvite::Refuse
            },
            discoverable: self.discoverable,
            requests: requests.map_or_else(Requests::default, |(by, asks, gift)| Requests {
                open: true,
                joined_by: kinds(*by).unwrap_or_default(),
                questions: if *asks {
                    vec!["Why?".to_owned()]
                } else {
                    Vec::new()
                },
                preset: gift.as_ref().map(Gift::preset).unwrap_or_default(),
            }),
            ..settings
        }
    }
}

impl Choices {
    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let settings = Settings {
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
            ..Settings::default()
        };
        match &self.invites {
            Some(invites) => invites.change(settings),
            None => settings,
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
            Some(other) => actor.with_verified_email(address(u8::from(other))),
        };
        // Whoever answers an invite mostly has the address that it was sent to.
        let actor = match self.who.number {
            0..200 => with_invited(world, actor, &command),
            _ => actor,
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
                let selector = choose(world, host, *token, false);
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
            What::Accept {
                member,
                token,
                forged,
                shown: email,
            } => {
                let selector = choose(world, host, *token, true);
                Command::Member(MemberCommand::Accept {
                    token: Presented {
                        selector,
                        genuine: !forged,
                    },
                    member: member_of(*member),
                    profile: shown(*email),
                    proxy: world.draw_proxy(),
                })
            }
            What::Request {
                member,
                shown: email,
                answers,
            } => Command::Member(MemberCommand::Request {
                member: member_of(*member),
                profile: shown(*email),
                message: None,
                answers: vec!["an answer".to_owned(); usize::from(answers % 3)],
                proxy: world.draw_proxy(),
            }),
            What::Send { invites, all } => {
                let invites = invites.iter().flatten();
                Command::Invite(InviteCommand::Send {
                    invites: invites.map(|invited| invited.spell(world, host)).collect(),
                    mode: if *all {
                        Mode::AllOrNothing
                    } else {
                        Mode::EachOnItsOwn
                    },
                })
            }
            What::Resend { invite: id } => Command::Invite(InviteCommand::Resend {
                invite: invite(*id),
                token: world.draw(host),
            }),
            What::Decline { token } => Command::Invite(InviteCommand::Decline {
                token: Presented {
                    selector: choose(world, host, *token, true),
                    genuine: true,
                },
            }),
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
        use InviteCommand as I;
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
            Self::DisplayName(named) => Command::Organization(O::SetDisplayName {
                display_name: named.then(|| DisplayName::parse("One").expect("plain")),
            }),
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
            Self::ExpireLink { link: id } => Command::Link(L::Expire { link: link(*id) }),
            Self::TakeBack { invite: id } => Command::Invite(I::Revoke {
                invite: invite(*id),
            }),
            Self::ExpireInvite { invite: id } => Command::Invite(I::Expire {
                invite: invite(*id),
            }),
            Self::Deliver {
                invite: id,
                generation,
                sent,
            } => {
                let report = DeliveryReport {
                    invite: invite(*id),
                    generation: Generation::new(1 + u32::from(generation % 3)),
                    sent: *sent,
                };
                Command::Invite(I::ReportDelivery {
                    reports: vec![report],
                })
            }
            Self::Reveal { link: id } => Command::Link(L::Reveal { link: link(*id) }),
            Self::Erase { member, invite: id } => Command::Member(M::Erase {
                member: member_of(*member),
                invites: id.iter().map(|id| invite(*id)).collect(),
                logged: false,
            }),
            Self::Endpoint { endpoint, command } => Command::Webhook(command.spell(*endpoint)),
            other => unreachable!("{other:?} was spelled by its caller"),
        }
    }
}

fn with_invited(world: &World, actor: Actor, command: &Command) -> Actor {
    let (Command::Member(MemberCommand::Accept { token, .. })
    | Command::Invite(InviteCommand::Decline { token })) = command
    else {
        return actor;
    };
    let records = world.records();
    let token = records.token(token.selector);
    let invite = token.and_then(|token| records.invite(&token.host, token.subject.invite()?));
    match invite {
        Some(invite) => actor.with_verified_email(invite.address.clone()),
        None => actor,
    }
}

/// One of the host's tokens of links or of invites, those that open something first; sometimes one
/// that nobody has, or one of the other kind.
fn choose(world: &mut World, host: &OrgId, number: u8, of_invite: bool) -> Selector {
    let of_invite = of_invite != (number > 250);
    let mut tokens: Vec<Selector> = world
        .records()
        .iter()
        .filter_map(|(_, row)| match row {
            Row::Token(row) if row.host == *host && row.subject.invite().is_some() == of_invite => {
                Some(row.selector)
            }
            _ => None,
        })
        .collect();
    tokens.sort_by_key(|token| (world.opens(*token).is_err(), -token.as_i64()));
    let chosen = tokens.get(usize::from(number % 8)).copied();
    chosen.unwrap_or_else(|| world.draw(host).selector)
}
