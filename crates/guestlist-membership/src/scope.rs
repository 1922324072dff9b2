//! Scopes: which facts a command needs to see.
//!
//! A scope names rows directly (the membership of a member) or through others (the link that a
//! token belongs to). [`Scope::missing`] tells which rows can be named by now, so every store
//! loads the same way: ask, read those rows, hand them in, ask again, until nothing is missing.

use std::collections::BTreeSet;

use guestlist_token::Selector;
use guestlist_types::{
    ConsumerName, EmailAddress, EndpointId, InviteId, LinkId, Member, OrgId, OrgName, Timestamp,
    UserId,
};

use crate::actor::Actor;
use crate::command::Command;
use crate::feed::Sequence;
use crate::invite::decide::{MAX_EMAILS, crossing};
use crate::invite::{EmailInvite, InviteCommand};
use crate::link::{Generation, Link, LinkCommand};
use crate::member::{MemberCommand, Profile};
use crate::organization::OrganizationCommand;
use crate::record::{Records, RowKey};

/// Which facts a command or a question needs, all read at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// How the organization is found.
    pub root: Root,
    /// The facts.
    pub facts: Vec<Fact>,
}

/// How the organization that a command is about is found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every store must place a new root")]
pub enum Root {
    /// It is known.
    Organization(OrgId),
    /// It is the host of this token.
    Token(Selector),
    /// It holds this name.
    Name(OrgName),
}

/// Names a link directly or through another row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must place a new reference"
)]
pub enum LinkRef {
    /// This link.
    Id(LinkId),
    /// The link of the token that the scope is rooted in.
    OfToken,
    /// The link that this member's current episode came through.
    OfMembership(Member),
    /// The organization's persistent link.
    Default,
}

/// Names an e-mail invite directly or through another row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must place a new reference"
)]
pub enum InviteRef {
    /// This invite.
    Id(InviteId),
    /// The invite of the token that the scope is rooted in.
    OfToken,
    /// The invite that this member's current episode came through.
    OfMembership(Member),
    /// The invite that waits for an answer at this address.
    OfAddress(EmailAddress),
}

/// One fact about the organization of the scope, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every store must place a new fact")]
pub enum Fact {
    /// Who holds a name.
    Name(OrgName),
    /// A token, wherever it belongs: one that is to be issued must not have been issued before.
    Token(Selector),
    /// The organization.
    Organization,
    /// Another organization.
    OrganizationOf(OrgId),
    /// Its owners.
    Owners,
    /// Its taken seats, if they are counted.
    Seats,
    /// Its memberships, counted now.
    SeatCount,
    /// A link.
    Link(LinkRef),
    /// The tokens that a link names.
    Tokens(LinkRef),
    /// A link's uses, if they are counted.
    Tally(LinkRef),
    /// A member's use of a link.
    Use(LinkRef, Member),
    /// A link's uses, counted now.
    UseCount(LinkRef),
    /// How often a generation of a link's token was previewed.
    PreviewTally(LinkId, Generation),
    /// The membership of a link's creator.
    Creator(LinkRef),
    /// An e-mail invite.
    Invite(InviteRef),
    /// The token of an e-mail invite.
    InviteToken(InviteRef),
    /// The membership of who sent an e-mail invite.
    InviteCreator(InviteRef),
    /// What is known of an e-mail address.
    Address(EmailAddress),
    /// What is known of the address that a member joined with.
    AddressOf(Member),
    /// What is known of an e-mail address, with the invite and the membership that it leads to.
    Known(EmailAddress),
    /// The same of the address that an e-mail invite is for.
    KnownOf(InviteRef),
    /// A membership.
    Membership(Member),
    /// A membership in another organization.
    MembershipIn(OrgId, Member),
    /// A webhook endpoint.
    Endpoint(EndpointId),
    /// How far a consumer has read the feed.
    Consumer(ConsumerName),
    /// An event that a consumer has parked.
    Parked(ConsumerName, Sequence),
    /// Who of a member organization may act here.
    Acting(OrgId),
    /// Who of the organization may act in another one.
    ActingIn(OrgId),
    /// The access rules of a member organization, if its rule of who may act here names groups.
    BookForActing(OrgId),
    /// The head of the access rules, and the access rules.
    Book,
    /// The same, if the link gives groups or grants, or the membership that it is found by was
    /// promised some.
    BookForLink(LinkRef),
    /// The same, if an e-mail invite gives groups or grants.
    BookForInvite(InviteRef),
    /// The same, if the organization gives some to those who ask without an invite.
    BookForRequests,
}

/// What is known of the rows of a scope while it is loaded.
pub trait Loaded {
    /// Whether this row has been looked for, found or not.
    fn knows(&self, key: &RowKey) -> bool;
    /// The rows found so far.
    fn records(&self) -> &Records;
}

impl Scope {
    /// A scope rooted in an organization.
    #[must_use]
    pub const fn of(host: OrgId, facts: Vec<Fact>) -> Self {
        Self {
            root: Root::Organization(host),
            facts,
        }
    }

    /// The organization of this scope, as far as it can be told from the rows loaded so far.
    #[must_use]
    pub fn host(&self, records: &Records) -> Option<OrgId> {
        match &self.root {
            Root::Organization(host) => Some(host.clone()),
            Root::Token(selector) => records.token(*selector).map(|token| token.host.clone()),
            Root::Name(name) => records.name(name).map(|row| row.organization.clone()),
        }
    }

    /// The rows that this scope needs, can be named by now and have not been looked for.
    #[must_use]
    pub fn missing(&self, loaded: &impl Loaded) -> Vec<RowKey> {
        let records = loaded.records();
        let mut keys = BTreeSet::new();
        let mut want = |key: RowKey| {
            if !loaded.knows(&key) {
                keys.insert(key);
            }
        };
        match &self.root {
            Root::Organization(_) => {}
            Root::Token(selector) => want(RowKey::Token(*selector)),
            Root::Name(name) => want(RowKey::Name(name.clone())),
        }
        if let Some(host) = self.host(records) {
            for fact in &self.facts {
                self.keys_of(fact, &host, records, &mut want);
            }
        }
        keys.into_iter().collect()
    }

    /// The organizations whose access rules this scope needs, as far as it can be told by now.
    #[must_use]
    pub fn books(&self, records: &Records) -> Vec<OrgId> {
        let Some(host) = self.host(records) else {
            return Vec::new();
        };
        let mut books = Vec::new();
        for fact in &self.facts {
            let book = match fact {
                Fact::Book => Some(host.clone()),
                Fact::BookForActing(org) => {
                    acting_by_group(records, org, &host).then(|| org.clone())
                }
                Fact::BookForLink(link) => self
                    .reaches_keys(link, &host, records)
                    .then(|| host.clone()),
                Fact::BookForInvite(invite) => self
                    .invite(invite, &host, records)
                    .is_some_and(|invite| invite.config.preset.reaches_keys())
                    .then(|| host.clone()),
                Fact::BookForRequests => requests_reach_keys(records, &host).then(|| host.clone()),
                Fact::Name(_)
                | Fact::PreviewTally(..)
                | Fact::Endpoint(_)
                | Fact::Consumer(_)
                | Fact::Parked(..)
                | Fact::Invite(_)
                | Fact::InviteToken(_)
                | Fact::InviteCreator(_)
                | Fact::Address(_)
                | Fact::AddressOf(_)
                | Fact::Known(_)
                | Fact::KnownOf(_)
                | Fact::Token(_)
                | Fact::Organization
                | Fact::OrganizationOf(_)
                | Fact::Owners
                | Fact::Seats
                | Fact::SeatCount
                | Fact::Link(_)
                | Fact::Tokens(_)
                | Fact::Tally(_)
                | Fact::Use(..)
                | Fact::UseCount(_)
                | Fact::Creator(_)
                | Fact::Membership(_)
                | Fact::MembershipIn(..)
                | Fact::Acting(_)
                | Fact::ActingIn(_) => None,
            };
            books.extend(book.filter(|book| !books.contains(book)));
        }
        books
    }

    fn link_id(&self, link: &LinkRef, host: &OrgId, records: &Records) -> Option<LinkId> {
        match link {
            LinkRef::Id(id) => Some(*id),
            LinkRef::OfToken => match &self.root {
                Root::Token(selector) => records.token(*selector)?.subject.link(),
                Root::Organization(_) | Root::Name(_) => None,
            },
            LinkRef::OfMembership(member) => records
                .membership(host, member)
                .and_then(|row| row.door.link()),
            LinkRef::Default => records.organization(host).and_then(|row| row.default_link),
        }
    }

    pub(crate) fn link<'a>(
        &self,
        link: &LinkRef,
        host: &OrgId,
        records: &'a Records,
    ) -> Option<&'a Link> {
        records.link(host, self.link_id(link, host, records)?)
    }

    pub(crate) fn invite<'a>(
        &self,
        invite: &InviteRef,
        host: &OrgId,
        records: &'a Records,
    ) -> Option<&'a EmailInvite> {
        records.invite(host, self.invite_id(invite, host, records)?)
    }

    fn invite_id(&self, invite: &InviteRef, host: &OrgId, records: &Records) -> Option<InviteId> {
        match invite {
            InviteRef::Id(id) => Some(*id),
            InviteRef::OfToken => match &self.root {
                Root::Token(selector) => records.token(*selector)?.subject.invite(),
                Root::Organization(_) | Root::Name(_) => None,
            },
            InviteRef::OfMembership(member) => records
                .membership(host, member)
                .and_then(|row| row.door.invite()),
            InviteRef::OfAddress(address) => records
                .address(host, address)
                .and_then(|record| record.invite),
        }
    }

    /// Whether a link, or the membership that it is found by, gives groups or grants. What a
    /// request was promised stays with it when the link is edited.
    fn reaches_keys(&self, link: &LinkRef, host: &OrgId, records: &Records) -> bool {
        let promised = match link {
            LinkRef::OfMembership(member) => records
                .membership(host, member)
                .is_some_and(|row| !row.groups.is_empty() || !row.grants.is_empty()),
            LinkRef::Id(_) | LinkRef::OfToken | LinkRef::Default => false,
        };
        promised
            || self
                .link(link, host, records)
                .is_some_and(|link| link.config.preset.reaches_keys())
    }

    fn keys_of(&self, fact: &Fact, host: &OrgId, records: &Records, want: &mut dyn FnMut(RowKey)) {
        match fact {
            Fact::Name(name) => want(RowKey::Name(name.clone())),
            Fact::Token(selector) => want(RowKey::Token(*selector)),
            Fact::Organization => want(RowKey::Organization(host.clone())),
            Fact::OrganizationOf(org) => want(RowKey::Organization(org.clone())),
            Fact::Owners => want(RowKey::Owners(host.clone())),
            Fact::Seats => {
                let counted = records
                    .organization(host)
                    .is_some_and(|organization| organization.settings.seats.is_some());
                if counted {
                    want(RowKey::SeatTally(host.clone()));
                }
            }
            Fact::SeatCount => want(RowKey::SeatCount(host.clone())),
            Fact::Link(link) => {
                if let Some(id) = self.link_id(link, host, records) {
                    want(RowKey::Link(host.clone(), id));
                }
            }
            Fact::Tokens(link) => {
                if let Some(link) = self.link(link, host, records) {
                    for selector in link.token.iter().chain(&link.overlapping) {
                        want(RowKey::Token(*selector));
                    }
                }
            }
            Fact::Tally(link) => {
                if let Some(link) = self.link(link, host, records)
                    && link.config.max_uses.is_some()
                {
                    want(RowKey::LinkTally(host.clone(), link.id));
                }
            }
            Fact::Use(link, member) => {
                if let Some(id) = self.link_id(link, host, records) {
                    want(RowKey::LinkUse(host.clone(), id, member.clone()));
                }
            }
            Fact::UseCount(link) => {
                if let Some(id) = self.link_id(link, host, records) {
                    want(RowKey::UseCount(host.clone(), id));
                }
            }
            Fact::Creator(link) => {
                let creator = self
                    .link(link, host, records)
                    .and_then(|link| link.creator.clone());
                if let Some(user) = creator {
                    want(RowKey::Membership(host.clone(), Member::User(user)));
                }
            }
            Fact::Invite(invite) => {
                if let Some(id) = self.invite_id(invite, host, records) {
                    want(RowKey::Invite(host.clone(), id));
                }
            }
            Fact::InviteToken(invite) => {
                let invite = self.invite(invite, host, records);
                if let Some(selector) = invite.and_then(|invite| invite.token) {
                    want(RowKey::Token(selector));
                }
            }
            Fact::InviteCreator(invite) => {
                let creator = self
                    .invite(invite, host, records)
                    .and_then(|invite| invite.creator.clone());
                if let Some(user) = creator {
                    want(RowKey::Membership(host.clone(), Member::User(user)));
                }
            }
            Fact::Address(address) => want(RowKey::Address(host.clone(), address.clone())),
            Fact::AddressOf(member) => {
                let address = records
                    .membership(host, member)
                    .and_then(|membership| membership.profile.email.clone());
                if let Some(address) = address {
                    want(RowKey::Address(host.clone(), address));
                }
            }
            Fact::Known(address) => known(address, host, records, want),
            Fact::KnownOf(invite) => {
                if let Some(invite) = self.invite(invite, host, records) {
                    known(&invite.address, host, records, want);
                }
            }
            Fact::PreviewTally(link, generation) => {
                want(RowKey::PreviewTally(host.clone(), *link, *generation));
            }
            Fact::Endpoint(endpoint) => want(RowKey::Endpoint(host.clone(), *endpoint)),
            Fact::Consumer(name) => want(RowKey::Consumer(name.clone())),
            Fact::Parked(name, sequence) => want(RowKey::Parked(name.clone(), *sequence)),
            Fact::Membership(member) => want(RowKey::Membership(host.clone(), member.clone())),
            Fact::MembershipIn(org, member) => {
                want(RowKey::Membership(org.clone(), member.clone()));
            }
            Fact::Acting(member) => want(RowKey::Acting(member.clone(), host.clone())),
            Fact::ActingIn(other) => want(RowKey::Acting(host.clone(), other.clone())),
            Fact::Book => want(RowKey::AccessHead(host.clone())),
            Fact::BookForActing(org) => {
                if acting_by_group(records, org, host) {
                    want(RowKey::AccessHead(org.clone()));
                }
            }
            Fact::BookForLink(link) => {
                if self.reaches_keys(link, host, records) {
                    want(RowKey::AccessHead(host.clone()));
                }
            }
            Fact::BookForInvite(invite) => {
                let reaches = self
                    .invite(invite, host, records)
                    .is_some_and(|invite| invite.config.preset.reaches_keys());
                if reaches {
                    want(RowKey::AccessHead(host.clone()));
                }
            }
            Fact::BookForRequests => {
                if requests_reach_keys(records, host) {
                    want(RowKey::AccessHead(host.clone()));
                }
            }
        }
    }
}

/// The rows that an address leads to.
fn known(address: &EmailAddress, host: &OrgId, records: &Records, want: &mut dyn FnMut(RowKey)) {
    want(RowKey::Address(host.clone(), address.clone()));
    let Some(record) = records.address(host, address) else {
        return;
    };
    if let Some(id) = record.invite {
        want(RowKey::Invite(host.clone(), id));
        let token = records.invite(host, id).and_then(|invite| invite.token);
        if let Some(selector) = token {
            want(RowKey::Token(selector));
        }
    }
    if let Some(user) = record.members.first() {
        want(RowKey::Membership(host.clone(), Member::User(user.clone())));
    }
}

fn requests_reach_keys(records: &Records, host: &OrgId) -> bool {
    records
        .organization(host)
        .is_some_and(|organization| organization.settings.requests.preset.reaches_keys())
}

impl Command {
    /// The person whose standing in the host this command asks for: who created the link or sent
    /// the invite that it is about.
    #[must_use]
    pub fn creator(
        &self,
        records: &Records,
        host: &OrgId,
        actor: &Actor,
        now: Timestamp,
    ) -> Option<UserId> {
        let link = |id| records.link(host, id)?.creator.clone();
        let invite = |id| records.invite(host, id)?.creator.clone();
        match self {
            Self::Link(command) => link(command.link()),
            Self::Invite(InviteCommand::Resend { invite: id, .. }) => invite(*id),
            Self::Invite(InviteCommand::Decline { token })
            | Self::Member(
                MemberCommand::Claim { token, .. } | MemberCommand::Accept { token, .. },
            ) => {
                let subject = records.token(token.selector)?.subject;
                subject
                    .link()
                    .and_then(link)
                    .or_else(|| subject.invite().and_then(invite))
            }
            Self::Member(MemberCommand::Approve { member, .. }) => {
                let door = &records.membership(host, member)?.door;
                door.link()
                    .and_then(link)
                    .or_else(|| door.invite().and_then(invite))
            }
            Self::Member(MemberCommand::Request { member, .. }) => {
                crossing(records, host, actor, member.kind(), now)?
                    .creator
                    .clone()
            }
            Self::Organization(_)
            | Self::Invite(_)
            | Self::Member(_)
            | Self::Access(_)
            | Self::Webhook(_) => None,
        }
    }

    /// The facts that this command is decided on, when `actor` performs it on `host`.
    ///
    /// A claim finds its host through its token, whatever `host` says.
    #[must_use]
    pub fn scope(&self, host: &OrgId, actor: &Actor) -> Scope {
        let mut facts = vec![Fact::Organization];
        let standing = |facts: &mut Vec<Fact>| {
            facts.extend(actor.as_member().map(Fact::Membership));
        };
        let mut root = Root::Organization(host.clone());
        match self {
            Self::Organization(command) => match command {
                OrganizationCommand::ReserveName { name } => {
                    return Scope {
                        root,
                        facts: vec![Fact::Name(name.clone())],
                    };
                }
                OrganizationCommand::Register { name, founder, .. } => {
                    facts.extend([Fact::Name(name.clone()), Fact::Owners, Fact::Book]);
                    facts.extend(
                        founder
                            .clone()
                            .map(|user| Fact::Membership(Member::User(user))),
                    );
                }
                OrganizationCommand::ChangeSettings { settings } => {
                    standing(&mut facts);
                    facts.push(Fact::Seats);
                    if settings.seats.is_some() {
                        facts.push(Fact::SeatCount);
                    }
                    if settings.requests.preset.reaches_keys() {
                        facts.push(Fact::Book);
                    }
                }
                OrganizationCommand::Rename { name } => {
                    standing(&mut facts);
                    facts.push(Fact::Name(name.clone()));
                }
                OrganizationCommand::SetDisplayName { .. }
                | OrganizationCommand::Suspend
                | OrganizationCommand::Resume
                | OrganizationCommand::Delete
                | OrganizationCommand::PauseLinks { .. }
                | OrganizationCommand::ResumeLinks => standing(&mut facts),
            },
            Self::Link(command) => {
                standing(&mut facts);
                let link = LinkRef::Id(command.link());
                match command {
                    LinkCommand::Create {
                        token, as_default, ..
                    } => {
                        facts.extend([Fact::Book, Fact::Link(link), Fact::Token(token.selector)]);
                        if *as_default {
                            facts.push(Fact::Link(LinkRef::Default));
                        }
                    }
                    LinkCommand::Refresh { token, .. } | LinkCommand::Enable { token, .. } => {
                        facts.extend([
                            Fact::Link(link.clone()),
                            Fact::Tokens(link.clone()),
                            Fact::Token(token.selector),
                            Fact::BookForLink(link),
                        ]);
                    }
                    LinkCommand::Disable { .. }
                    | LinkCommand::Delete { .. }
                    | LinkCommand::Reveal { .. } => {
                        facts.extend([Fact::Link(link.clone()), Fact::Tokens(link)]);
                    }
                    LinkCommand::Expire { .. } => facts.push(Fact::Link(link)),
                    LinkCommand::Edit { draft, .. } => {
                        facts.extend([
                            Fact::Link(link.clone()),
                            Fact::Creator(link.clone()),
                            Fact::Tally(link.clone()),
                            Fact::Book,
                        ]);
                        // Counting begins where a limit does.
                        if draft.max_uses.is_some() {
                            facts.push(Fact::UseCount(link));
                        }
                    }
                }
            }
            Self::Invite(command) => {
                standing(&mut facts);
                match command {
                    InviteCommand::Send { invites, .. } => {
                        for new in invites {
                            facts.extend([
                                Fact::Invite(InviteRef::Id(new.id)),
                                Fact::Token(new.token.selector),
                                Fact::Known(new.address.clone()),
                            ]);
                        }
                        let reaches = |new: &crate::invite::NewInvite| {
                            let preset = new.draft.preset.as_ref();
                            preset.is_some_and(crate::link::Preset::reaches_keys)
                        };
                        if invites.iter().any(reaches) {
                            facts.push(Fact::Book);
                        }
                    }
                    InviteCommand::Resend { invite, token } => {
                        let invite = || InviteRef::Id(*invite);
                        facts.extend([
                            Fact::Invite(invite()),
                            Fact::InviteToken(invite()),
                            Fact::InviteCreator(invite()),
                            Fact::KnownOf(invite()),
                            Fact::BookForInvite(invite()),
                            Fact::Token(token.selector),
                        ]);
                    }
                    InviteCommand::Revoke { invite } | InviteCommand::Expire { invite } => {
                        let invite = || InviteRef::Id(*invite);
                        facts.extend([
                            Fact::Invite(invite()),
                            Fact::InviteToken(invite()),
                            Fact::KnownOf(invite()),
                        ]);
                    }
                    InviteCommand::Decline { token } => {
                        root = Root::Token(token.selector);
                        facts.extend([
                            Fact::Invite(InviteRef::OfToken),
                            Fact::InviteToken(InviteRef::OfToken),
                            Fact::InviteCreator(InviteRef::OfToken),
                            Fact::KnownOf(InviteRef::OfToken),
                        ]);
                    }
                    InviteCommand::ReportDelivery { reports } => facts.extend(
                        reports
                            .iter()
                            .map(|report| Fact::Invite(InviteRef::Id(report.invite))),
                    ),
                }
            }
            Self::Member(command) => match command {
                MemberCommand::Accept {
                    token,
                    member,
                    profile,
                    ..
                } => {
                    root = Root::Token(token.selector);
                    standing(&mut facts);
                    facts.extend([
                        Fact::Invite(InviteRef::OfToken),
                        Fact::InviteCreator(InviteRef::OfToken),
                        Fact::KnownOf(InviteRef::OfToken),
                        Fact::BookForInvite(InviteRef::OfToken),
                        Fact::Seats,
                    ]);
                    facts.extend(joining(member, profile, actor));
                    facts.extend(addresses(actor).cloned().map(Fact::Known));
                }
                MemberCommand::Request {
                    member, profile, ..
                } => {
                    facts.extend([Fact::Seats, Fact::BookForRequests]);
                    facts.extend(joining(member, profile, actor));
                    for address in addresses(actor) {
                        let invite = || InviteRef::OfAddress(address.clone());
                        facts.extend([
                            Fact::Known(address.clone()),
                            Fact::InviteCreator(invite()),
                            Fact::BookForInvite(invite()),
                        ]);
                    }
                }
                MemberCommand::Claim {
                    token,
                    member,
                    profile,
                    ..
                } => {
                    root = Root::Token(token.selector);
                    // Managers of the host are told why a token is dead.
                    standing(&mut facts);
                    let link = LinkRef::OfToken;
                    facts.extend([
                        Fact::Link(link.clone()),
                        Fact::Use(link.clone(), member.clone()),
                        Fact::Tally(link.clone()),
                        Fact::Seats,
                        Fact::Creator(link.clone()),
                        Fact::BookForLink(link),
                    ]);
                    facts.extend(joining(member, profile, actor));
                }
                MemberCommand::Add {
                    member,
                    profile,
                    gift,
                    ..
                } => {
                    standing(&mut facts);
                    facts.extend([Fact::Membership(member.clone()), Fact::Owners, Fact::Seats]);
                    facts.extend(door_of(member));
                    facts.extend(profile.email.clone().map(Fact::Address));
                    if gift.reaches_keys() {
                        facts.push(Fact::Book);
                    }
                    if let Member::Org(org) = member {
                        facts.push(Fact::OrganizationOf(org.clone()));
                    }
                }
                MemberCommand::Approve {
                    member, changes, ..
                } => {
                    standing(&mut facts);
                    facts.extend([Fact::Membership(member.clone()), Fact::Owners, Fact::Seats]);
                    facts.extend(door_of(member));
                    facts.extend([
                        Fact::Creator(LinkRef::OfMembership(member.clone())),
                        Fact::Invite(InviteRef::OfMembership(member.clone())),
                        Fact::InviteCreator(InviteRef::OfMembership(member.clone())),
                    ]);
                    facts.push(
                        if changes
                            .gift
                            .as_ref()
                            .is_some_and(crate::link::Preset::reaches_keys)
                            || changes.reinstate
                        {
                            Fact::Book
                        } else {
                            Fact::BookForLink(LinkRef::OfMembership(member.clone()))
                        },
                    );
                }
                MemberCommand::Reject { member, .. } | MemberCommand::Remove { member, .. } => {
                    standing(&mut facts);
                    facts.extend([Fact::Membership(member.clone()), Fact::Owners, Fact::Seats]);
                    facts.extend(door_of(member));
                }
                MemberCommand::Cancel { member }
                | MemberCommand::Leave { member }
                | MemberCommand::Expire { member } => {
                    standing(&mut facts);
                    facts.extend([Fact::Membership(member.clone()), Fact::Owners, Fact::Seats]);
                    facts.extend(door_of(member));
                    if let Member::Org(org) = member {
                        facts.extend(
                            actor
                                .as_member()
                                .map(|user| Fact::MembershipIn(org.clone(), user)),
                        );
                    }
                }
                MemberCommand::ChangeRole { member, .. } => {
                    standing(&mut facts);
                    facts.extend([Fact::Membership(member.clone()), Fact::Owners]);
                }
                MemberCommand::Erase {
                    member, invites, ..
                } => {
                    standing(&mut facts);
                    facts.extend([
                        Fact::Membership(member.clone()),
                        Fact::AddressOf(member.clone()),
                    ]);
                    facts.extend(invites.iter().map(|id| Fact::Invite(InviteRef::Id(*id))));
                }
                MemberCommand::Block { member, .. }
                | MemberCommand::Unblock { member }
                | MemberCommand::LiftRemoval { member } => {
                    standing(&mut facts);
                    facts.push(Fact::Membership(member.clone()));
                }
                MemberCommand::RestrictActing { host, .. } => {
                    standing(&mut facts);
                    facts.push(Fact::ActingIn(host.clone()));
                }
            },
            Self::Webhook(command) => {
                standing(&mut facts);
                facts.push(Fact::Endpoint(command.endpoint()));
            }
            Self::Access(command) => {
                standing(&mut facts);
                facts.push(Fact::Book);
                facts.extend(command.member().cloned().map(Fact::Membership));
            }
        }
        Scope { root, facts }
    }
}

/// The link that a member's current episode came through, with the member's use of it, and the
/// address that it joined with.
fn door_of(member: &Member) -> [Fact; 4] {
    let link = || LinkRef::OfMembership(member.clone());
    [
        Fact::Link(link()),
        Fact::Use(link(), member.clone()),
        Fact::Tally(link()),
        Fact::AddressOf(member.clone()),
    ]
}

/// What every door asks about somebody who comes by it: their membership, with the earlier door
/// whose use is given back, and who they are.
fn joining(member: &Member, profile: &Profile, actor: &Actor) -> Vec<Fact> {
    let mut facts = vec![Fact::Membership(member.clone())];
    facts.extend(door_of(member));
    match member {
        Member::User(_) => {
            facts.push(Fact::Owners);
            facts.extend(profile.email.clone().map(Fact::Address));
        }
        Member::Org(org) => {
            facts.push(Fact::OrganizationOf(org.clone()));
            facts.extend(
                actor
                    .as_member()
                    .map(|user| Fact::MembershipIn(org.clone(), user)),
            );
        }
    }
    facts
}

/// The verified addresses of an actor that are looked at for invites.
fn addresses(actor: &Actor) -> impl Iterator<Item = &EmailAddress> {
    actor.emails().iter().take(MAX_EMAILS)
}

fn acting_by_group(records: &Records, org: &OrgId, host: &OrgId) -> bool {
    records
        .acting(org, host)
        .is_some_and(|rule| !rule.groups.is_empty())
}
