//! What is to be seen of a system, as the model has it and as rows have it.

use core::fmt::{self, Debug};
use std::collections::{BTreeMap, BTreeSet};

use guestlist_access::{
    AccessBook, AccessChange, Action, ActionSet, Giver, GroupMember, Pattern, Principal, Sharing,
    Subject, WitnessGrant, decide,
};
use guestlist_membership::invite::{Delivery, InviteStatus};
use guestlist_membership::link::{LinkConfig, LinkStatus, Preset, TokenSubject};
use guestlist_membership::member::{ActingRule, Cause, Door, Status};
use guestlist_membership::organization::{OrgStatus, Pause, Settings};
use guestlist_membership::webhook::{EndpointStatus, SecretVersion};
use guestlist_membership::{
    Actor, Env, Records, Row, RowKey, Stated, active_named, principal_of, reach_host, reach_own,
};
use guestlist_token::Selector;
use guestlist_types::{
    EmailAddress, EndpointId, EndpointUrl, GrantId, GroupId, GroupName, InviteId, Key, Label,
    LinkId, Member, OrgId, OrgName, ProxyUserId, Timestamp, UserId,
};

use super::{Model, State};

/// All that is to be seen of a system at rest: statuses, episodes, uses, tokens, groups, grants.
///
/// Made of a [`Model`] and of the rows that a system keeps, to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    names: BTreeMap<OrgName, OrgId>,
    organizations: BTreeMap<OrgId, Organization>,
    memberships: BTreeMap<(OrgId, Member), Membership>,
    links: BTreeMap<(OrgId, LinkId), Link>,
    invites: BTreeMap<(OrgId, InviteId), Invite>,
    tokens: BTreeMap<Selector, Token>,
    groups: BTreeMap<(OrgId, GroupId), (GroupName, bool)>,
    inside: BTreeMap<(OrgId, GroupId), BTreeSet<GroupMember>>,
    grants: BTreeMap<(OrgId, GrantId), Grant>,
    acting: BTreeMap<(OrgId, OrgId), ActingRule>,
    endpoints: BTreeMap<(OrgId, EndpointId), Endpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Organization {
    name: OrgName,
    status: OrgStatus,
    settings: Settings,
    pause: Option<Pause>,
    default_link: Option<LinkId>,
    owners: BTreeSet<UserId>,
    seats: Option<u64>,
    external: Option<GroupId>,
    sharing: Sharing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Membership {
    status: Option<Status>,
    cause: Option<Cause>,
    episode: u32,
    since: u32,
    door: Option<Door>,
    gift: Preset,
    until: Option<Timestamp>,
    email: Option<EmailAddress>,
    proxy: Option<ProxyUserId>,
    blocked: bool,
    removed_at: Option<Timestamp>,
    needs_review: bool,
    rejected_at: Option<Timestamp>,
    rejected_links: BTreeSet<LinkId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    config: LinkConfig,
    status: LinkStatus,
    deleted: bool,
    generation: u32,
    token: Option<Selector>,
    overlapping: Vec<Selector>,
    creator: Option<UserId>,
    uses: u64,
    tally: Option<u64>,
    noted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Invite {
    address: EmailAddress,
    status: InviteStatus,
    preset: Preset,
    generation: u32,
    token: Option<Selector>,
    until: Option<Timestamp>,
    noted: bool,
    delivery: Delivery,
    creator: Option<UserId>,
    member: Option<Member>,
    holds_address: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    host: OrgId,
    subject: TokenSubject,
    issued: Timestamp,
    ends: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    giver: Giver,
    until: Option<Timestamp>,
    subject: Subject,
    actions: ActionSet,
    pattern: Pattern,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    url: EndpointUrl,
    label: Option<Label>,
    events: BTreeSet<String>,
    secret: SecretVersion,
    status: EndpointStatus,
    deleted: bool,
}

/// Something that a system and the model see differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub about: String,
    /// As the model has it.
    pub model: String,
    /// As the system has it.
    pub system: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            about,
            model,
            system,
        } = self;
        write!(f, "{about}\n  model:  {model}\n  system: {system}")
    }
}

fn differ<K: Ord + Debug, V: PartialEq + Debug>(
    what: &str,
    model: &BTreeMap<K, V>,
    system: &BTreeMap<K, V>,
    found: &mut Vec<Difference>,
) {
    let shown =
        |value: Option<&V>| value.map_or_else(|| "nothing".to_owned(), |v| format!("{v:?}"));
    let keys: BTreeSet<&K> = model.keys().chain(system.keys()).collect();
    for key in keys {
        if model.get(key) != system.get(key) {
            found.push(Difference {
                about: format!("{what} {key:?}"),
                model: shown(model.get(key)),
                system: shown(system.get(key)),
            });
        }
    }
}

impl View {
    /// What a system shows that is to be as this one.
    #[must_use]
    pub fn differences(&self, system: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        differ("name", &self.names, &system.names, &mut found);
        let (ours, theirs) = (&self.organizations, &system.organizations);
        differ("organization", ours, theirs, &mut found);
        differ(
            "membership",
            &self.memberships,
            &system.memberships,
            &mut found,
        );
        differ("link", &self.links, &system.links, &mut found);
        differ("invite", &self.invites, &system.invites, &mut found);
        differ("token", &self.tokens, &system.tokens, &mut found);
        differ("group", &self.groups, &system.groups, &mut found);
        differ("in group", &self.inside, &system.inside, &mut found);
        differ("grant", &self.grants, &system.grants, &mut found);
        differ("acting", &self.acting, &system.acting, &mut found);
        differ("endpoint", &self.endpoints, &system.endpoints, &mut found);
        found
    }

    /// What stored rows show.
    #[must_use]
    pub fn of_records(records: &Records) -> Self {
        let mut view = Self::default();
        let mut uses: BTreeMap<(&OrgId, LinkId), u64> = BTreeMap::new();
        for (key, row) in records.iter() {
            if let (RowKey::LinkUse(host, link, _), Row::LinkUse(held)) = (key, row) {
                *uses.entry((host, *link)).or_default() += u64::from(held.state.counts());
            }
        }
        for (key, row) in records.iter() {
            match (key, row) {
                (RowKey::Name(name), Row::Name(record)) => {
                    view.names.insert(name.clone(), record.organization.clone());
                }
                (RowKey::Organization(id), Row::Organization(row)) => {
                    let head = records.access_head(id).copied().unwrap_or_default();
                    let organization = Organization {
                        name: row.name.clone(),
                        status: row.status,
                        settings: row.settings.clone(),
                        pause: row.pause,
                        default_link: row.default_link,
                        owners: records.owners(id).cloned().unwrap_or_default(),
                        seats: records.seat_tally(id),
                        external: head.external_group,
                        sharing: head.sharing,
                    };
                    view.organizations.insert(id.clone(), organization);
                }
                (RowKey::Membership(host, member), Row::Membership(row)) => {
                    let membership = Membership {
                        status: row.status,
                        cause: row.ended.as_ref().map(|ended| ended.cause),
                        episode: row.episode.get(),
                        since: row.access_since.get(),
                        door: row.status.map(|_| row.door.clone()),
                        gift: Preset {
                            role: row.role.clone(),
                            groups: row.groups.clone(),
                            grants: row.grants.clone(),
                        },
                        until: row.expires_at,
                        email: row.profile.email.clone(),
                        proxy: row.proxy.as_ref().map(|proxy| proxy.id),
                        blocked: row.block.is_some(),
                        removed_at: row.removed_at,
                        needs_review: row.review_required,
                        rejected_at: row.rejected_at,
                        rejected_links: row.rejected_links.clone(),
                    };
                    view.memberships
                        .insert((host.clone(), member.clone()), membership);
                }
                (RowKey::Link(host, id), Row::Link(row)) => {
                    let link = Link {
                        config: row.config.clone(),
                        status: row.status,
                        deleted: row.deleted_at.is_some(),
                        generation: row.generation.get(),
                        token: row.token,
                        overlapping: row.overlapping.clone(),
                        creator: row.creator.clone(),
                        uses: uses.get(&(host, *id)).copied().unwrap_or_default(),
                        tally: records.link_tally(host, *id),
                        noted: row.expired_at.is_some(),
                    };
                    view.links.insert((host.clone(), *id), link);
                }
                (RowKey::Invite(host, id), Row::Invite(row)) => {
                    let holder = records.address(host, &row.address);
                    let invite = Invite {
                        address: row.address.clone(),
                        status: row.status,
                        preset: row.config.preset.clone(),
                        generation: row.generation.get(),
                        token: row.token,
                        until: row.expires_at,
                        noted: row.expired_at.is_some(),
                        delivery: row.delivery,
                        creator: row.creator.clone(),
                        member: row.closed.as_ref().and_then(|closed| closed.member.clone()),
                        holds_address: holder.and_then(|known| known.invite) == Some(*id),
                    };
                    view.invites.insert((host.clone(), *id), invite);
                }
                (RowKey::Token(selector), Row::Token(row)) => {
                    let token = Token {
                        host: row.host.clone(),
                        subject: row.subject,
                        issued: row.issued_at,
                        ends: row.valid_until,
                    };
                    view.tokens.insert(*selector, token);
                }
                (RowKey::Group(host, id), Row::Group(row)) => {
                    let group = (row.name.clone(), row.internal);
                    view.groups.insert((host.clone(), *id), group);
                }
                (RowKey::GroupMember(host, group, member), Row::GroupMember) => {
                    let inside = view.inside.entry((host.clone(), *group));
                    inside.or_default().insert(member.clone());
                }
                (RowKey::Grant(host, id), Row::Grant(row)) => {
                    let grant = Grant {
                        giver: row.giver.clone(),
                        until: row.expires_at,
                        subject: row.subject.clone(),
                        actions: row.actions,
                        pattern: row.pattern.clone(),
                    };
                    view.grants.insert((host.clone(), *id), grant);
                }
                (RowKey::Acting(member, host), Row::Acting(rule)) => {
                    let key = (member.clone(), host.clone());
                    view.acting.insert(key, rule.clone());
                }
                (RowKey::Endpoint(host, id), Row::Endpoint(row)) => {
                    let endpoint = Endpoint {
                        url: row.url.clone(),
                        label: row.label.clone(),
                        events: row.events.clone(),
                        secret: row.secret,
                        status: row.status,
                        deleted: row.deleted_at.is_some(),
                    };
                    view.endpoints.insert((host.clone(), *id), endpoint);
                }
                // Counters and indexes, which are shown with what they count or lead to.
                _ => {}
            }
        }
        view
    }
}

impl Model {
    /// What the model shows.
    #[must_use]
    pub fn view(&self) -> View {
        let mut view = View {
            names: self.names.clone(),
            ..View::default()
        };
        for (selector, token) in &self.tokens {
            let token = Token {
                host: token.host.clone(),
                subject: token.subject,
                issued: token.issued,
                ends: token.ends,
            };
            view.tokens.insert(*selector, token);
        }
        for (id, host) in &self.hosts {
            let seats = host.settings.seats.map(|seats| {
                let taken = host.seats_taken(seats.count_pending, None);
                u64::try_from(taken).unwrap_or(u64::MAX)
            });
            let organization = Organization {
                name: host.name.clone(),
                status: host.status,
                settings: host.settings.clone(),
                pause: host.pause,
                default_link: host.default_link,
                owners: host.owners(&self.roles),
                seats,
                external: host.external,
                sharing: host.sharing,
            };
            view.organizations.insert(id.clone(), organization);
            for (member, relation) in &host.people {
                let key = (id.clone(), member.clone());
                view.memberships.insert(key, Membership::of(relation));
            }
            for (link_id, link) in &host.links {
                let uses = host.users_of(*link_id, None).len();
                let uses = u64::try_from(uses).unwrap_or(u64::MAX);
                let shown = Link {
                    config: link.config.clone(),
                    status: if link.disabled {
                        LinkStatus::Disabled
                    } else {
                        LinkStatus::Active
                    },
                    deleted: link.deleted,
                    generation: link.generation,
                    token: link.live.first().copied(),
                    overlapping: link.live.get(1..).unwrap_or_default().to_vec(),
                    creator: link.creator.clone(),
                    uses,
                    tally: link.config.max_uses.map(|_| uses),
                    noted: link.noted,
                };
                view.links.insert((id.clone(), *link_id), shown);
            }
            for (invite_id, invite) in &host.invites {
                let shown = Invite {
                    address: invite.address.clone(),
                    status: invite
                        .closed
                        .as_ref()
                        .map_or(InviteStatus::Pending, |(closing, _)| closing.status()),
                    preset: invite.preset.clone(),
                    generation: invite.generation,
                    token: invite.token,
                    until: invite.until,
                    noted: invite.noted,
                    delivery: invite.delivery,
                    creator: invite.creator.clone(),
                    member: invite.closed.clone().and_then(|(_, member)| member),
                    holds_address: invite.holds_address(),
                };
                view.invites.insert((id.clone(), *invite_id), shown);
            }
            for (group, found) in &host.groups {
                let shown = (found.name.clone(), found.internal);
                view.groups.insert((id.clone(), *group), shown);
            }
            for (group, member) in &host.inside {
                let inside = view.inside.entry((id.clone(), *group));
                inside.or_default().insert(member.clone());
            }
            for (grant_id, grant) in &host.grants {
                let shown = Grant {
                    giver: grant.giver.clone(),
                    until: grant.until,
                    subject: grant.subject.clone(),
                    actions: grant.actions,
                    pattern: grant.pattern.clone(),
                };
                view.grants.insert((id.clone(), *grant_id), shown);
            }
            for (other, rule) in &host.acting {
                let key = (id.clone(), other.clone());
                view.acting.insert(key, rule.clone());
            }
            for (endpoint_id, endpoint) in &host.endpoints {
                let shown = Endpoint {
                    url: endpoint.url.clone(),
                    label: endpoint.label.clone(),
                    events: endpoint.events.clone(),
                    secret: endpoint.secret,
                    status: endpoint.status,
                    deleted: endpoint.deleted,
                };
                view.endpoints.insert((id.clone(), *endpoint_id), shown);
            }
        }
        view
    }

    /// What the rows of a system show otherwise than the model.
    #[must_use]
    pub fn differences(&self, records: &Records) -> Vec<Difference> {
        self.view().differences(&View::of_records(records))
    }

    /// Which decisions on these keys the rows of a system, at this time, lead to otherwise than
    /// the model: of every member, of somebody who is not signed in, and of each actor through
    /// every name. Also those whose grant, as it is named, would not allow it alone.
    ///
    /// Rows hold a time of their own that they are never looked at before, so `at` is
    /// [`latest`](Self::latest) or later.
    #[must_use]
    pub fn disputed(
        &self,
        records: &Records,
        actors: &[Actor],
        keys: &[Key],
        at: Timestamp,
    ) -> Vec<Difference> {
        let mut found = Vec::new();
        let env = Env {
            now: at,
            roles: &self.roles,
            creator: &Stated::NOBODY,
        };
        let mut dispute = |about: &dyn Fn() -> String, model: ActionSet, system: ActionSet| {
            if model != system {
                found.push(Difference {
                    about: about(),
                    model: model.to_string(),
                    system: system.to_string(),
                });
            }
        };
        let books: BTreeMap<&OrgId, AccessBook> = self
            .hosts
            .keys()
            .map(|org| (org, book(records, org)))
            .collect();
        for (org, host) in &self.hosts {
            let members = host.people.keys().map(Some).chain([None]);
            for (member, key) in
                members.flat_map(|member| keys.iter().map(move |key| (member, key)))
            {
                let principal = match member {
                    None => Some(Principal::Anonymous),
                    Some(member) => principal_of(records, org, member, &env).map(Into::into),
                };
                let system = principal.as_ref().map_or(ActionSet::EMPTY, |principal| {
                    guestlist_access::actions(&books[org], principal, key, at)
                });
                let model = self.actions(org, member, key, at);
                let about = || format!("what {member:?} may do to {key:?} of {org}");
                let alone = principal.map_or(ActionSet::EMPTY, |principal| {
                    by_witness_alone(&books[org], &principal, key, at)
                });
                let by_grant = || format!("{}, by the grant that is named", about());
                dispute(&by_grant, system, alone);
                dispute(&about, model, system);
            }
        }
        for actor in actors {
            let own = actor.organization();
            let own_book = own.and_then(|own| books.get(own));
            for name in self.names.keys().map(Some).chain([None]) {
                let to = name.and_then(|name| {
                    let org = &records.name(name)?.organization;
                    active_named(records, org, name).map(|_| org)
                });
                let reached = match own {
                    None => None,
                    Some(own) if name.is_none() || to == Some(own) => {
                        reach_own(records, own, actor, &env)
                            .ok()
                            .map(|to| (own, to))
                    }
                    Some(_) => reach_host(records, to, actor, own_book, &env)
                        .ok()
                        .zip(to)
                        .map(|(reached, to)| (to, reached)),
                };
                for key in keys {
                    let system = reached.as_ref().map_or(ActionSet::EMPTY, |(org, reached)| {
                        guestlist_access::actions(&books[*org], &reached.principal, key, at)
                    });
                    let model = self.actions_at(actor, name, key, at);
                    let about = || format!("what {actor:?} may do to @{name:?}/{key:?}");
                    dispute(&about, model, system);
                }
            }
        }
        found
    }

    /// Whether a genuine token opens something, for a clock that says `now`. A clock that steps
    /// back opens nothing again.
    #[must_use]
    pub fn opens(&self, token: Selector, now: Timestamp) -> bool {
        let presented = guestlist_membership::member::Presented {
            selector: token,
            genuine: true,
        };
        let Some(token) = self.tokens.get(&token) else {
            return false;
        };
        let Some(host) = self.hosts.get(&token.host) else {
            return false;
        };
        match token.subject {
            TokenSubject::Link(link) => {
                let last = host.links.get(&link).map(|link| link.last);
                let at = last.map_or(now, |last| last.max(now));
                self.link_problems(&presented, at).is_empty()
            }
            TokenSubject::Invite(invite) => {
                let last = host.invites.get(&invite).map(|invite| invite.last);
                let at = last.map_or(now, |last| last.max(now));
                self.invite_is_closed(&presented, at).is_empty()
            }
        }
    }
}

impl Membership {
    fn of(relation: &super::Relation) -> Self {
        let episode = relation.episode();
        let (rejected_at, rejected_links) = relation.rejections();
        let (status, cause) = match episode.map(|episode| episode.state) {
            None => (None, None),
            Some(State::Waits) => (Some(Status::Pending), None),
            Some(State::In) => (Some(Status::Approved), None),
            Some(State::Ended(cause, _)) => (Some(cause.status()), Some(cause)),
        };
        let gift = episode
            .map(|episode| episode.gift.clone())
            .unwrap_or_default();
        Self {
            status,
            cause,
            episode: relation.number(),
            since: episode.map_or(0, |episode| episode.since),
            door: episode.map(|episode| episode.door.clone()),
            gift,
            until: episode
                .filter(|_| cause.is_none())
                .and_then(|episode| episode.until),
            email: episode.and_then(|episode| episode.email.clone()),
            proxy: relation.proxy,
            blocked: relation.blocked,
            removed_at: relation.removed().map(|(_, at)| at),
            needs_review: relation.needs_review(),
            rejected_at,
            rejected_links,
        }
    }
}

/// The actions of which a decision names a grant that allows them all by itself.
fn by_witness_alone(
    book: &AccessBook,
    principal: &Principal,
    key: &Key,
    at: Timestamp,
) -> ActionSet {
    let allows = |action: &Action| {
        let decision = decide(book, principal, *action, key, at);
        let Some(witness) = decision.witness() else {
            return false;
        };
        let mut alone = book.clone();
        let mut principal = principal.clone();
        let kept = match witness.source {
            WitnessGrant::Grant(kept) => {
                if let Principal::Member(member) = &mut principal {
                    member.grants.clear();
                }
                Some(kept)
            }
            WitnessGrant::Preset(index) => {
                if let Principal::Member(member) = &mut principal {
                    member.grants = member.grants.get(index).cloned().into_iter().collect();
                }
                None
            }
        };
        for grant in book.grants().filter(|grant| Some(grant.id) != kept) {
            alone.apply(&AccessChange::DeleteGrant(grant.id));
        }
        decide(&alone, &principal, *action, key, at).is_allowed()
    };
    Action::ALL.into_iter().filter(allows).collect()
}

/// The access rules of an organization, put together from rows.
fn book(records: &Records, org: &OrgId) -> AccessBook {
    let mut book = AccessBook::new();
    for (key, row) in records.iter() {
        let change = match (key, row) {
            (RowKey::AccessHead(of), Row::AccessHead(head)) if of == org => {
                AccessChange::Head(*head)
            }
            (RowKey::Group(of, _), Row::Group(group)) if of == org => {
                AccessChange::PutGroup(group.clone())
            }
            (RowKey::GroupMember(of, group, member), _) if of == org => {
                AccessChange::PutGroupMember {
                    group: *group,
                    member: member.clone(),
                }
            }
            (RowKey::Grant(of, _), Row::Grant(grant)) if of == org => {
                AccessChange::PutGrant((**grant).clone())
            }
            _ => continue,
        };
        book.apply(&change);
    }
    book
}
