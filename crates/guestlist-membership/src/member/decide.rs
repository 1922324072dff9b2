//! The rules about memberships.

use guestlist_access::{Capability, GroupMember, Subject};
use guestlist_types::{LinkId, Member, MemberKind, OrgId, ProxyUserId, RoleName, Timestamp};

use super::accept::Accept;
use super::command::{Changes, MemberCommand, Presented};
use super::enter::{Entry, enter};
use super::event::{MemberEvent, Opening, Seat, UseChange};
use super::request::Request;
use super::state::{ActingRule, Cause, Door, Membership, Phase, Profile, ProxyUser};
use crate::actor::Actor;
use crate::command::Env;
use crate::error::{CommandError, TokenProblem, TokenRefusal};
use crate::event::{Event, Stamp};
use crate::invite::InviteEvent;
use crate::link::decide::{Opened, check_size, creator, link_stands, open};
use crate::link::{Approval, Generation, Link, LinkEvent, Preset, TokenRecord, UseState};
use crate::organization::decide::{active, existing};
use crate::organization::{Organization, OrganizationEvent};
use crate::policy::{AfterRejection, Joins, Standing};
use crate::record::Records;
use crate::standing::InOrg;

pub(crate) fn decide(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    command: &MemberCommand,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    if let MemberCommand::Claim { token, .. } | MemberCommand::Accept { token, .. } = command {
        // "The host equals the host of the token; a caller's expected host can only turn success
        // into an invalid token."
        let elsewhere = records.token(token.selector).map(|token| &token.host) != Some(host);
        if elsewhere {
            return Err(TokenRefusal::hidden(TokenProblem::Unknown).into());
        }
    }
    if let MemberCommand::Expire { member } = command {
        let standing = InOrg::actor(records, actor, host, env);
        if !standing.is_member() && acts_for(records, actor, member, env).is_err() {
            return Err(CommandError::NotFound { what: "membership" });
        }
    }
    // An episode that has run out is ended first, so that what follows meets a written ending.
    if let Some(ended) = run_out(records, host, command, env) {
        if let MemberCommand::Expire { .. } = command {
            return Ok(vec![ended]);
        }
        if matches!(
            command,
            MemberCommand::Claim { .. }
                | MemberCommand::Accept { .. }
                | MemberCommand::Request { .. }
                | MemberCommand::Add { .. }
        ) {
            let mut after = records.clone();
            let stamp = Stamp {
                at: env.now,
                by: actor.by(),
            };
            crate::evolve(&mut after, host, &stamp, &ended);
            let mut events = vec![ended];
            events.extend(decide(&after, host, actor, command, env)?);
            return Ok(events);
        }
    }
    let manager = |capability| -> Result<InOrg, CommandError> {
        let standing = InOrg::actor(records, actor, host, env);
        standing.need(capability, "membership", env)?;
        Ok(standing)
    };
    match command {
        MemberCommand::Claim {
            token,
            member,
            profile,
            answers,
            proxy,
        } => {
            let claim = Claim {
                token,
                member,
                profile,
                answers,
                proxy: *proxy,
            };
            claim.decide(records, actor, env)
        }
        MemberCommand::Accept {
            token,
            member,
            profile,
            proxy,
        } => {
            let accept = Accept {
                token,
                member,
                profile,
                proxy: *proxy,
            };
            accept.decide(records, actor, env)
        }
        MemberCommand::Request {
            member,
            profile,
            message,
            answers,
            proxy,
        } => {
            let request = Request {
                member,
                profile,
                message: message.as_ref(),
                answers,
                proxy: *proxy,
            };
            request.decide(records, host, actor, env)
        }
        MemberCommand::Add {
            member,
            profile,
            gift,
            expires_at,
            proxy,
        } => {
            let giver = manager(Capability::RequestsReview)?;
            let add = Add {
                giver: &giver,
                member,
                profile,
                gift,
                expires_at: *expires_at,
                proxy: *proxy,
            };
            add.decide(records, host, env)
        }
        MemberCommand::Approve {
            member,
            changes,
            proxy,
        } => {
            let reviewer = manager(Capability::RequestsReview)?;
            approve(records, host, &reviewer, member, changes, *proxy, env)
        }
        MemberCommand::Reject { member, reason } => {
            manager(Capability::RequestsReview)?;
            existing(records, host)?;
            let membership = found(records, host, member)?;
            match membership.phase(env.now) {
                Phase::Pending => end(records, membership, Cause::Rejected, reason.clone(), env),
                Phase::Rejected => Ok(Vec::new()),
                phase @ (Phase::Never
                | Phase::Approved
                | Phase::Removed
                | Phase::Cancelled
                | Phase::RequestExpired
                | Phase::Expired) => Err(wrong_state(command, phase)),
            }
        }
        MemberCommand::Remove { member, reason } => {
            let remover = manager(Capability::MembersRemove)?;
            existing(records, host)?;
            let membership = found(records, host, member)?;
            match membership.phase(env.now) {
                Phase::Approved => {
                    remover.may_take(membership.role.as_ref(), env)?;
                    end(records, membership, Cause::Removed, reason.clone(), env)
                }
                Phase::Removed => Ok(Vec::new()),
                phase @ (Phase::Never
                | Phase::Pending
                | Phase::Rejected
                | Phase::Cancelled
                | Phase::RequestExpired
                | Phase::Expired) => Err(wrong_state(command, phase)),
            }
        }
        MemberCommand::Cancel { member } => {
            acts_for(records, actor, member, env)?;
            let membership = found(records, host, member)?;
            match (membership.phase(env.now), membership.cause_at(env.now)) {
                (Phase::Pending, _) => end(records, membership, Cause::Withdrew, None, env),
                (Phase::Cancelled, Some(Cause::Withdrew)) => Ok(Vec::new()),
                (phase, _) => Err(wrong_state(command, phase)),
            }
        }
        MemberCommand::Leave { member } => {
            acts_for(records, actor, member, env)?;
            let membership = found(records, host, member)?;
            match (membership.phase(env.now), membership.cause_at(env.now)) {
                (Phase::Pending, _) => end(records, membership, Cause::Withdrew, None, env),
                (Phase::Approved, _) => end(records, membership, Cause::Left, None, env),
                (Phase::Cancelled, Some(Cause::Withdrew | Cause::Left)) => Ok(Vec::new()),
                (phase, _) => Err(wrong_state(command, phase)),
            }
        }
        MemberCommand::ChangeRole { member, role } => {
            let changer = manager(Capability::MembersChangeRole)?;
            change_role(records, host, &changer, member, role, env)
        }
        MemberCommand::Block { member, reason } => {
            manager(Capability::MembersRemove)?;
            existing(records, host)?;
            if *member == Member::Org(host.clone()) {
                return Err(CommandError::OwnOrganization);
            }
            let blocked = records
                .membership(host, member)
                .is_some_and(|record| record.block.is_some());
            Ok(unless(blocked, || MemberEvent::Blocked {
                member: member.clone(),
                reason: reason.clone(),
            }))
        }
        MemberCommand::Unblock { member } => {
            manager(Capability::MembersRemove)?;
            existing(records, host)?;
            let membership = found(records, host, member)?;
            Ok(unless(membership.block.is_none(), || {
                MemberEvent::Unblocked {
                    member: member.clone(),
                }
            }))
        }
        MemberCommand::LiftRemoval { member } => {
            manager(Capability::MembersRemove)?;
            existing(records, host)?;
            let membership = found(records, host, member)?;
            Ok(unless(membership.removed_at.is_none(), || {
                MemberEvent::RemovalLifted {
                    member: member.clone(),
                }
            }))
        }
        MemberCommand::Erase {
            member,
            invites,
            logged,
        } => {
            manager(Capability::SettingsManage)?;
            erase(records, host, member, invites, *logged)
        }
        // Nothing has run out.
        MemberCommand::Expire { member } => found(records, host, member).map(|_| Vec::new()),
        MemberCommand::RestrictActing { host: other, rule } => {
            restrict_acting(records, host, actor, other, rule.as_ref(), env)
        }
    }
}

fn unless(nothing_to_do: bool, event: impl FnOnce() -> MemberEvent) -> Vec<Event> {
    if nothing_to_do {
        Vec::new()
    } else {
        vec![Event::Member(event())]
    }
}

fn found<'a>(
    records: &'a Records,
    host: &OrgId,
    member: &Member,
) -> Result<&'a Membership, CommandError> {
    records
        .membership(host, member)
        .ok_or(CommandError::NotFound { what: "membership" })
}

const fn wrong_state(command: &MemberCommand, found: Phase) -> CommandError {
    CommandError::WrongState {
        command: command.name(),
        found,
    }
}

/// The ending of the member's episode, if it has run out and nobody has written that yet.
fn run_out(
    records: &Records,
    host: &OrgId,
    command: &MemberCommand,
    env: &Env<'_>,
) -> Option<Event> {
    let membership = records.membership(host, command.member()?)?;
    match membership.phase(env.now) {
        Phase::RequestExpired | Phase::Expired => {
            Some(ending(records, membership, Cause::Expired, None))
        }
        Phase::Never
        | Phase::Pending
        | Phase::Approved
        | Phase::Rejected
        | Phase::Removed
        | Phase::Cancelled => None,
    }
}

/// Only the member itself joins, withdraws and leaves: a user for itself, and for an organization
/// somebody who may bind it. The host application may, for both.
pub(super) fn acts_for(
    records: &Records,
    actor: &Actor,
    member: &Member,
    env: &Env<'_>,
) -> Result<(), CommandError> {
    if actor.is_system() {
        return Ok(());
    }
    match member {
        Member::User(user) if actor.user_id() == Some(user) => Ok(()),
        Member::User(_) => Err(CommandError::NotTheMember),
        Member::Org(org) => {
            let standing = InOrg::actor(records, actor, org, env);
            if standing.can(Capability::MembershipsManage, env) {
                Ok(())
            } else if standing.is_member() {
                Err(CommandError::NotAllowed {
                    capability: Capability::MembershipsManage,
                })
            } else {
                Err(CommandError::NotTheMember)
            }
        }
    }
}

struct Claim<'a> {
    token: &'a Presented,
    member: &'a Member,
    profile: &'a Profile,
    answers: &'a [String],
    proxy: ProxyUserId,
}

impl Claim<'_> {
    fn decide(
        &self,
        records: &Records,
        actor: &Actor,
        env: &Env<'_>,
    ) -> Result<Vec<Event>, CommandError> {
        let manages = records.token(self.token.selector).is_some_and(|token| {
            InOrg::actor(records, actor, &token.host, env).can(Capability::LinksManage, env)
        });
        let refuse = |problem| {
            CommandError::InvalidToken(if manages {
                TokenRefusal::disclosed(problem)
            } else {
                TokenRefusal::hidden(problem)
            })
        };
        // The token is looked at first: one that opens nothing says so to everybody alike.
        let opened = open(records, self.token, env).map_err(refuse)?;
        let Opened { link, host, .. } = opened;
        let creator = creator(records, link, env);
        if !link_stands(records, link, host, env) {
            return Err(refuse(TokenProblem::CreatorNotStanding));
        }
        // So does one that is exhausted, whatever else would be refused: only who has a use of it
        // already gets to hear anything else.
        let exhausted = link.config.max_uses.is_some_and(|limit| {
            records
                .link_tally(&host.id, link.id)
                .is_none_or(|uses| uses >= limit.get())
        });
        let has_use = || {
            records
                .link_use(&host.id, link.id, self.member)
                .is_some_and(|held| held.state.counts())
        };
        acts_for(records, actor, self.member, env).map_err(|error| {
            if exhausted {
                refuse(TokenProblem::Exhausted)
            } else {
                error
            }
        })?;
        self.past_the_token(records, actor, opened, creator.as_ref(), &refuse, env)
            .map_err(|error| {
                if exhausted && !has_use() {
                    refuse(TokenProblem::Exhausted)
                } else {
                    error
                }
            })
    }

    fn past_the_token(
        &self,
        records: &Records,
        actor: &Actor,
        Opened { token, link, host }: Opened<'_>,
        creator: Option<&InOrg>,
        refuse: &dyn Fn(TokenProblem) -> CommandError,
        env: &Env<'_>,
    ) -> Result<Vec<Event>, CommandError> {
        let profile = may_come(records, &host.id, actor, self.member, self.profile, env)?;
        let membership = records.membership(&host.id, self.member);
        let phase = membership.map_or(Phase::Never, |record| record.phase(env.now));
        // "unchanged" in the table of spec 2: the same membership, and no use is taken.
        if phase == Phase::Approved {
            return Ok(Vec::new());
        }
        let auto = membership.is_none_or(|record| !record.review_required)
            && self.approves_itself(records, host, link, creator, env)?;
        // Unchanged, too; a claim that approves itself lets the waiting request in.
        if phase == Phase::Pending && !auto {
            return Ok(Vec::new());
        }
        if let Some(record) = membership {
            // "Tokens issued before the removal are dead for that member" (spec 2).
            if is_before_removal(record, token) {
                return Err(refuse(TokenProblem::BeforeRemoval));
            }
            coming_back(record, host, Some(link.id), env)?;
        }
        self.restrictions(link, actor)?;
        let state = if auto {
            UseState::Settled
        } else {
            UseState::Reserved
        };
        let (link_use, last) =
            take_use(records, host, link, token.generation, self.member, state).map_err(refuse)?;
        let entry = Entry {
            member: self.member,
            profile,
            door: Door::Link {
                link: link.id,
                generation: token.generation,
            },
            gift: &link.config.preset,
            approved: auto,
            membership_ttl: link.config.membership_ttl,
            answers: self.answers,
            message: None,
            metadata: &link.config.metadata,
            link_use,
            proxy: self.proxy,
        };
        let mut events = enter(records, host, entry, env)?;
        if last {
            // Behind what took it, before what follows from that.
            events.insert(1, Event::Link(LinkEvent::Exhausted { link: link.id }));
        }
        Ok(events)
    }

    /// Whether this claim approves itself: what link and host want, as far as the link's creator
    /// may still give what it gives. A gift that the creator may not make goes to review.
    fn approves_itself(
        &self,
        records: &Records,
        host: &Organization,
        link: &Link,
        creator: Option<&InOrg>,
        env: &Env<'_>,
    ) -> Result<bool, CommandError> {
        if !link_wants_auto(host, link, creator, env) {
            return Ok(false);
        }
        // Under `Keep` the link stands for what it gave when it was made; the fixed ceiling of
        // proxy users, and that groups are there, still count.
        let system = InOrg::system(env);
        let giver = creator
            .filter(|_| host.settings.standing != Standing::Keep)
            .unwrap_or(&system);
        let (preset, kind) = (&link.config.preset, self.member.kind());
        match giver.may_give(preset, kind, records.book(), env) {
            Ok(()) => Ok(true),
            Err(missing @ CommandError::FactMissing { .. }) => Err(missing),
            Err(_) => Ok(false),
        }
    }

    /// What the link asks of whoever comes through it. All restrictions combine.
    fn restrictions(&self, link: &Link, actor: &Actor) -> Result<(), CommandError> {
        let config = &link.config;
        if !config.joined_by.admits(self.member.kind()) {
            return Err(CommandError::WrongKindOfMember);
        }
        if !config.allowed_members.is_empty() && !config.allowed_members.contains(self.member) {
            return Err(CommandError::MemberNotAllowed);
        }
        let at_allowed_domain = || {
            actor.emails().iter().any(|email| {
                config
                    .allowed_domains
                    .iter()
                    .any(|domain| email.is_at(domain))
            })
        };
        if !config.allowed_domains.is_empty() && !at_allowed_domain() {
            return Err(CommandError::DomainNotAllowed);
        }
        check_answers(self.answers, &config.questions)
    }
}

const MAX_ANSWER_CHARS: usize = 2000;

/// As many answers as questions, and none too long.
pub(super) fn check_answers(answers: &[String], questions: &[String]) -> Result<(), CommandError> {
    if answers.len() != questions.len() {
        return Err(CommandError::AnswersMissing {
            expected: questions.len(),
        });
    }
    let too_long = |answer: &String| answer.chars().count() > MAX_ANSWER_CHARS;
    if answers.iter().any(too_long) {
        return Err(CommandError::TooMany {
            what: "characters in an answer",
            max: MAX_ANSWER_CHARS,
        });
    }
    Ok(())
}

/// What every door asks of whoever comes by it of its own accord, and what the host is shown of
/// them.
pub(super) fn may_come(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    member: &Member,
    given: &Profile,
    env: &Env<'_>,
) -> Result<Profile, CommandError> {
    let profile = profile_of(records, member, given)?;
    // What the host is shown as a verified address is one.
    if let Some(email) = &profile.email
        && !actor.is_system()
        && !actor.emails().contains(email)
    {
        return Err(CommandError::EmailNotVerified);
    }
    // "An organization can't join itself" (spec 2).
    if *member == Member::Org(host.clone()) {
        return Err(CommandError::OwnOrganization);
    }
    // A user whose membership of the host the host application keeps itself is in already: a
    // record here would rule over the role that is stated.
    let kept_elsewhere = actor.as_member().as_ref() == Some(member)
        && actor.is_vouched_for()
        && actor.organization() == Some(host)
        && actor
            .stated_role()
            .is_some_and(|role| env.roles.contains(role))
        && records
            .membership(host, member)
            .is_none_or(|record| record.status.is_none());
    if kept_elsewhere {
        return Err(CommandError::AlreadyMember);
    }
    // "A block list refuses every door for a member" (spec 2), also one that leads nowhere new.
    if records
        .membership(host, member)
        .is_some_and(|record| record.block.is_some())
    {
        return Err(CommandError::Blocked);
    }
    Ok(profile)
}

/// "Tokens issued before the removal are dead for that member" (spec 2).
pub(super) fn is_before_removal(record: &Membership, token: &TokenRecord) -> bool {
    record
        .removed_at
        .is_some_and(|removed| !token.issued_at.is_after(removed))
}

/// "Approval is decided at claim time. Host setting `joins`" (spec 3), and "a link made by
/// somebody who may not approve never approves by itself" (spec 6), evaluated now.
pub(crate) fn link_wants_auto(
    host: &Organization,
    link: &Link,
    creator: Option<&InOrg>,
    env: &Env<'_>,
) -> bool {
    let may_approve = creator.is_none_or(|creator| creator.can(Capability::LinksAutoApprove, env));
    // Whoever made the link could approve then, and `Keep` is content with that.
    let kept = link.config.approval == Approval::Auto && host.settings.standing == Standing::Keep;
    match host.settings.joins {
        Joins::AlwaysReview => false,
        // It is the host that approves then, and not the link.
        Joins::AlwaysAuto => true,
        Joins::LinkDecides => kept || (may_approve && link.config.approval == Approval::Auto),
    }
}

/// What the host wants of somebody who was here before. "These rules live with the member, so
/// that another link doesn't get around them" (spec 2).
pub(super) fn coming_back(
    record: &Membership,
    host: &Organization,
    link: Option<LinkId>,
    env: &Env<'_>,
) -> Result<(), CommandError> {
    let Some(rejected_at) = record.rejected_at else {
        return Ok(());
    };
    match host.settings.after_rejection {
        AfterRejection::CoolDown(pause) => {
            let until = rejected_at + pause;
            if env.now.is_before_end(Some(until)) {
                Err(CommandError::CoolingDown { until })
            } else {
                Ok(())
            }
        }
        AfterRejection::NotThisLink
            if link.is_some_and(|link| record.rejected_links.contains(&link)) =>
        {
            Err(CommandError::RejectedLink)
        }
        AfterRejection::Again | AfterRejection::NotThisLink => Ok(()),
        AfterRejection::InviteOnly => Err(CommandError::InviteOnly),
    }
}

/// What people are shown for a member: an organization's own record, or what came with the
/// command. A member organization must be known and take part.
pub(super) fn profile_of(
    records: &Records,
    member: &Member,
    given: &Profile,
) -> Result<Profile, CommandError> {
    match member {
        Member::User(_) => Ok(Profile {
            name: None,
            ..given.clone()
        }),
        Member::Org(org) => {
            let organization = active(records, org)?;
            Ok(Profile {
                name: Some(organization.name.clone()),
                display_name: organization.display_name.clone(),
                email: None,
            })
        }
    }
}

/// The role that a gift makes: the lowest one where none is named. Proxy users have none, so they
/// are never owner or administrator (spec 7).
pub(super) fn role_of(
    member: &Member,
    gift: &Preset,
    env: &Env<'_>,
) -> Result<Option<RoleName>, CommandError> {
    match (member.kind(), &gift.role) {
        (MemberKind::Org, _) => Ok(None),
        (MemberKind::User, None) => Ok(Some(env.roles.default_role().clone())),
        (MemberKind::User, Some(role)) if env.roles.contains(role) => Ok(Some(role.clone())),
        (MemberKind::User, Some(_)) => Err(CommandError::UnknownRole),
    }
}

/// "One per host and member organization, with a user name derived from the organization's name;
/// coming back reuses the same proxy user" (spec 7).
pub(super) fn proxy_of(
    record: Option<&Membership>,
    profile: &Profile,
    member: &Member,
    id: ProxyUserId,
) -> Option<ProxyUser> {
    match member.kind() {
        MemberKind::User => None,
        MemberKind::Org => record.and_then(|record| record.proxy.clone()).or_else(|| {
            profile
                .name
                .clone()
                .map(|user_name| ProxyUser { id, user_name })
        }),
    }
}

/// A use of a link for a distinct member that gets past the gate, and whether it is the last one.
/// A member that has one already uses nothing up.
fn take_use(
    records: &Records,
    host: &Organization,
    link: &Link,
    generation: Generation,
    member: &Member,
    state: UseState,
) -> Result<(Option<UseChange>, bool), TokenProblem> {
    match records
        .link_use(&host.id, link.id, member)
        .map(|held| held.state)
    {
        Some(UseState::Settled) => return Ok((None, false)),
        Some(UseState::Reserved) => {
            let change = UseChange {
                link: link.id,
                generation,
                state,
                counted: 0,
            };
            return Ok((Some(change), false));
        }
        Some(UseState::Released) | None => {}
    }
    let change = UseChange {
        link: link.id,
        generation,
        state,
        counted: 1,
    };
    match (link.config.max_uses, records.link_tally(&host.id, link.id)) {
        (None, _) => Ok((Some(change), false)),
        (Some(limit), Some(uses)) if uses < limit.get() => {
            Ok((Some(change), uses + 1 == limit.get()))
        }
        (Some(_), _) => Err(TokenProblem::Exhausted),
    }
}

/// The use that a pending request holds, given back.
pub(super) fn give_back(records: &Records, record: &Membership) -> Option<UseChange> {
    let link = record.door.link()?;
    let held = records.link_use(&record.host, link, &record.member)?;
    (held.state == UseState::Reserved).then_some(UseChange {
        link,
        generation: held.generation,
        state: UseState::Released,
        counted: -1,
    })
}

/// The use that a pending request holds, used up.
fn settle(records: &Records, record: &Membership, link: LinkId) -> Option<UseChange> {
    let held = records.link_use(&record.host, link, &record.member)?;
    (held.state == UseState::Reserved).then_some(UseChange {
        link,
        generation: held.generation,
        state: UseState::Settled,
        counted: 0,
    })
}

/// The seat that getting in takes: "checked in the same commit as the join" (spec 6).
pub(super) fn take_seat(
    records: &Records,
    host: &Organization,
    phase: Phase,
    approved: bool,
) -> Result<Seat, CommandError> {
    let Some(seats) = host.settings.seats else {
        return Ok(Seat::Kept);
    };
    let needs_one = match (phase, approved) {
        // The request holds a seat already, where requests do.
        (Phase::Pending, true) => !seats.count_pending,
        (Phase::Pending | Phase::Approved, _) => false,
        (_, true) => true,
        (_, false) => seats.count_pending,
    };
    if !needs_one {
        return Ok(Seat::Kept);
    }
    match records.seat_tally(&host.id) {
        Some(taken) if taken < seats.limit.get() => Ok(Seat::Taken),
        _ => Err(CommandError::SeatsFull),
    }
}

fn free_seat(records: &Records, record: &Membership) -> Seat {
    let seats = records
        .organization(&record.host)
        .and_then(|host| host.settings.seats);
    // What ends was live: a member, or a request that waits.
    let waits = record.status == Some(super::state::Status::Pending);
    let held = seats.is_some_and(|seats| seats.count_pending || !waits);
    if held { Seat::Freed } else { Seat::Kept }
}

fn ending(
    records: &Records,
    record: &Membership,
    cause: Cause,
    reason: Option<guestlist_types::Reason>,
) -> Event {
    let link_use = match record.status {
        Some(super::state::Status::Pending) => give_back(records, record),
        _ => None,
    };
    Event::Member(MemberEvent::Ended {
        member: record.member.clone(),
        cause,
        reason,
        link_use,
        seat: free_seat(records, record),
    })
}

fn end(
    records: &Records,
    record: &Membership,
    cause: Cause,
    reason: Option<guestlist_types::Reason>,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let mut events = vec![ending(records, record, cause, reason)];
    if record.phase(env.now) == Phase::Approved {
        events.extend(owner_lost(records, record, env)?);
    }
    Ok(events)
}

/// "The last owner can't leave, be demoted or be removed, also when two try at once" (spec 6).
fn owner_lost(
    records: &Records,
    record: &Membership,
    env: &Env<'_>,
) -> Result<Option<Event>, CommandError> {
    let is_owner = record
        .role
        .as_ref()
        .is_some_and(|role| env.roles.is_owner(role));
    let Member::User(user) = &record.member else {
        return Ok(None);
    };
    if !is_owner {
        return Ok(None);
    }
    let others = records
        .owners(&record.host)
        .is_some_and(|owners| owners.iter().any(|owner| owner != user));
    if others {
        Ok(Some(Event::Organization(OrganizationEvent::OwnerRemoved {
            user: user.clone(),
        })))
    } else {
        Err(CommandError::LastOwner)
    }
}

fn approve(
    records: &Records,
    host: &OrgId,
    reviewer: &InOrg,
    member: &Member,
    changes: &Changes,
    proxy: ProxyUserId,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let organization = active(records, host)?;
    let record = found(records, host, member)?;
    match record.phase(env.now) {
        Phase::Pending => {}
        Phase::Approved => return Ok(Vec::new()),
        found @ (Phase::Never
        | Phase::Rejected
        | Phase::Removed
        | Phase::Cancelled
        | Phase::RequestExpired
        | Phase::Expired) => {
            return Err(CommandError::WrongState {
                command: "approve",
                found,
            });
        }
    }
    if record.block.is_some() {
        return Err(CommandError::Blocked);
    }
    let gift = if let Some(own) = &changes.gift {
        // A reviewer's own gift stands on the reviewer's authority alone.
        check_size(own)?;
        own.clone()
    } else {
        if let Some(link) = record.door.link().and_then(|link| records.link(host, link))
            && !link_stands(records, link, organization, env)
        {
            return Err(CommandError::CreatorNotStanding { link: link.id });
        }
        if let Some(invite) = record
            .door
            .invite()
            .and_then(|invite| records.invite(host, invite))
            && !crate::invite::decide::stands(records, invite, organization, env)
        {
            return Err(CommandError::InviterNotStanding);
        }
        Preset {
            role: record.role.clone(),
            groups: record.groups.clone(),
            grants: record.grants.clone(),
        }
    };
    let gift = Preset {
        role: role_of(member, &gift, env)?,
        ..gift
    };
    reviewer.may_give(&gift, member.kind(), records.book(), env)?;
    if changes.reinstate {
        may_reinstate(records, reviewer, record, env)?;
    }
    let expires_at = changes
        .expires_at
        .or_else(|| record.ttl.map(|ttl| env.now + ttl));
    let owner = ends_well(&gift, expires_at, env)?;
    let event = MemberEvent::Approved {
        member: member.clone(),
        door: None,
        gift: Box::new(gift),
        expires_at,
        reinstated: changes.reinstate,
        proxy: proxy_of(Some(record), &record.profile, member, proxy),
        link_uses: record
            .door
            .link()
            .and_then(|link| settle(records, record, link))
            .into_iter()
            .collect(),
        seat: take_seat(records, organization, Phase::Pending, true)?,
    };
    Ok(with_owner(vec![Event::Member(event)], member, owner))
}

/// Checks an end, and tells whether the gift makes an owner.
fn ends_well(
    gift: &Preset,
    expires_at: Option<Timestamp>,
    env: &Env<'_>,
) -> Result<bool, CommandError> {
    if !env.now.is_before_end(expires_at) {
        return Err(CommandError::InThePast);
    }
    let owner = gift
        .role
        .as_ref()
        .is_some_and(|role| env.roles.is_owner(role));
    if owner && expires_at.is_some() {
        return Err(CommandError::OwnerCanNotExpire);
    }
    Ok(owner)
}

pub(super) fn with_owner(mut events: Vec<Event>, member: &Member, owner: bool) -> Vec<Event> {
    if owner && let Member::User(user) = member {
        events.push(Event::Organization(OrganizationEvent::OwnerAdded {
            user: user.clone(),
        }));
    }
    events
}

/// Bringing earlier grants and groups back is giving them again, so the reviewer must be able to.
fn may_reinstate(
    records: &Records,
    reviewer: &InOrg,
    record: &Membership,
    env: &Env<'_>,
) -> Result<(), CommandError> {
    let book = records.book().ok_or(CommandError::FactMissing {
        fact: "access rules",
    })?;
    let earlier = |member: &Member, episode: guestlist_access::Episode| {
        *member == record.member && record.access_since <= episode
    };
    let mut gift = Preset::default();
    for grant in book.grants() {
        if let Subject::Member { member, episode } = &grant.subject
            && earlier(member, *episode)
            && env.now.is_before_end(grant.expires_at)
        {
            gift.grants.push(guestlist_access::PresetGrant {
                actions: grant.actions,
                pattern: grant.pattern.clone(),
            });
        }
    }
    for group in book.groups() {
        for entry in book.members_of(group.id) {
            if let GroupMember::Member { member, episode } = entry
                && earlier(member, *episode)
            {
                gift.groups.insert(group.id);
            }
        }
    }
    reviewer.may_give_keys(&gift, record.member.kind(), Some(book), env)
}

struct Add<'a> {
    giver: &'a InOrg,
    member: &'a Member,
    profile: &'a Profile,
    gift: &'a Preset,
    expires_at: Option<Timestamp>,
    proxy: ProxyUserId,
}

impl Add<'_> {
    fn decide(
        &self,
        records: &Records,
        host: &OrgId,
        env: &Env<'_>,
    ) -> Result<Vec<Event>, CommandError> {
        let organization = active(records, host)?;
        if *self.member == Member::Org(host.clone()) {
            return Err(CommandError::OwnOrganization);
        }
        let profile = profile_of(records, self.member, self.profile)?;
        let record = records.membership(host, self.member);
        if record.is_some_and(|record| record.block.is_some()) {
            return Err(CommandError::Blocked);
        }
        check_size(self.gift)?;
        let gift = Preset {
            role: role_of(self.member, self.gift, env)?,
            ..self.gift.clone()
        };
        self.giver
            .may_give(&gift, self.member.kind(), records.book(), env)?;
        let phase = record.map_or(Phase::Never, |record| record.phase(env.now));
        let proxy = proxy_of(record, &profile, self.member, self.proxy);
        let seat = take_seat(records, organization, phase, true)?;
        match (phase, record) {
            (Phase::Approved, Some(record)) => more(record, &gift, self.member, env),
            (Phase::Pending, Some(record)) => {
                let owner = ends_well(&gift, self.expires_at, env)?;
                let event = MemberEvent::Approved {
                    member: self.member.clone(),
                    door: Some(Door::Added),
                    gift: Box::new(gift),
                    expires_at: self.expires_at,
                    reinstated: false,
                    proxy,
                    link_uses: give_back(records, record).into_iter().collect(),
                    seat,
                };
                Ok(with_owner(vec![Event::Member(event)], self.member, owner))
            }
            (
                Phase::Never
                | Phase::Pending
                | Phase::Approved
                | Phase::Rejected
                | Phase::Removed
                | Phase::Cancelled
                | Phase::RequestExpired
                | Phase::Expired,
                _,
            ) => {
                let owner = ends_well(&gift, self.expires_at, env)?;
                let opening = Opening {
                    member: self.member.clone(),
                    door: Door::Added,
                    profile,
                    gift,
                    expires_at: self.expires_at,
                    ttl: None,
                    answers: Vec::new(),
                    message: None,
                    metadata: crate::metadata::Metadata::EMPTY,
                    link_use: None,
                    seat,
                };
                let event = MemberEvent::Joined {
                    opening: Box::new(opening),
                    proxy,
                };
                Ok(with_owner(vec![Event::Member(event)], self.member, owner))
            }
        }
    }
}

/// "May add groups or raise the role, never lower it" (spec 2).
pub(super) fn more(
    record: &Membership,
    gift: &Preset,
    member: &Member,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let mut all = Preset {
        role: record.role.clone(),
        groups: record.groups.union(&gift.groups).copied().collect(),
        grants: record.grants.clone(),
    };
    for grant in &gift.grants {
        if !all.grants.contains(grant) {
            all.grants.push(grant.clone());
        }
    }
    let mut owner = false;
    if let (Some(held), Some(given)) = (&record.role, &gift.role)
        && held != given
        && env.roles.within(held, Some(given))
    {
        owner = env.roles.is_owner(given);
        if owner && record.expires_at.is_some() {
            return Err(CommandError::OwnerCanNotExpire);
        }
        all.role = Some(given.clone());
    }
    let unchanged =
        all.role == record.role && all.groups == record.groups && all.grants == record.grants;
    if unchanged {
        return Ok(Vec::new());
    }
    let event = MemberEvent::GiftAdded {
        member: member.clone(),
        gift: Box::new(all),
    };
    Ok(with_owner(vec![Event::Member(event)], member, owner))
}

/// "A member's personal data can be redacted from history without breaking it" (spec 11). The
/// membership goes on, if it is live, and so do its rules about coming back.
fn erase(
    records: &Records,
    host: &OrgId,
    member: &Member,
    invites: &[guestlist_types::InviteId],
    logged: bool,
) -> Result<Vec<Event>, CommandError> {
    let record = found(records, host, member)?;
    let mut events = Vec::new();
    for id in invites {
        let accepted = records.invite(host, *id).filter(|invite| {
            let closed = invite.closed.as_ref();
            closed.is_some_and(|closed| closed.member.as_ref() == Some(member))
        });
        if let Some(invite) = accepted {
            let mut erased = invite.clone();
            crate::erase::erase_invite(&mut erased);
            if erased != *invite {
                events.push(Event::Invite(InviteEvent::Erased { invite: *id }));
            }
        }
    }
    let mut erased = record.clone();
    crate::erase::erase_membership(&mut erased);
    if logged || erased != *record || !events.is_empty() {
        events.push(Event::Member(MemberEvent::Erased {
            member: member.clone(),
        }));
    }
    Ok(events)
}

fn change_role(
    records: &Records,
    host: &OrgId,
    changer: &InOrg,
    member: &Member,
    role: &RoleName,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    existing(records, host)?;
    let record = found(records, host, member)?;
    let Member::User(user) = member else {
        return Err(CommandError::ProxyHasNoRole);
    };
    let phase = record.phase(env.now);
    if phase != Phase::Approved {
        return Err(CommandError::WrongState {
            command: "change role",
            found: phase,
        });
    }
    // The same ceiling for the role that is taken as for the one that is given.
    changer.need_rank(role, env)?;
    changer.may_take(record.role.as_ref(), env)?;
    if record.role.as_ref() == Some(role) {
        return Ok(Vec::new());
    }
    let mut events = vec![Event::Member(MemberEvent::RoleChanged {
        member: member.clone(),
        role: role.clone(),
    })];
    if env.roles.is_owner(role) {
        if record.expires_at.is_some() {
            return Err(CommandError::OwnerCanNotExpire);
        }
        events.push(Event::Organization(OrganizationEvent::OwnerAdded {
            user: user.clone(),
        }));
    }
    events.extend(owner_lost(records, record, env)?);
    Ok(events)
}

fn restrict_acting(
    records: &Records,
    organization: &OrgId,
    actor: &Actor,
    host: &OrgId,
    rule: Option<&ActingRule>,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let standing = InOrg::actor(records, actor, organization, env);
    standing.need(Capability::MembershipsManage, "organization", env)?;
    existing(records, organization)?;
    // "An organization can't join itself": it has no proxy user there.
    if organization == host {
        return Err(CommandError::OwnOrganization);
    }
    let count = rule.map_or(0, |rule| rule.users.len() + rule.groups.len());
    if count > MAX_ACTING {
        return Err(CommandError::TooMany {
            what: "users and groups",
            max: MAX_ACTING,
        });
    }
    let same = records.acting(organization, host) == rule;
    Ok(unless(same, || MemberEvent::ActingRestricted {
        host: host.clone(),
        rule: rule.cloned(),
    }))
}

const MAX_ACTING: usize = 1000;
