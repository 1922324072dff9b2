//! The rules about e-mail invites. Accepting one is a door: see [`crate::member`].

use guestlist_access::Capability;
use guestlist_types::{
    DisplayName, EmailAddress, Member, MemberKind, Message, OrgId, OrgName, RoleName, Timestamp,
};

use super::command::{DeliveryReport, InviteCommand, Mode, NewInvite};
use super::event::{Closing, InviteEvent};
use super::state::{Delivery, EmailInvite, InviteConfig, InviteDraft, InvitePhase, InviteStatus};
use crate::actor::Actor;
use crate::command::Env;
use crate::error::{CommandError, TokenProblem, TokenRefusal};
use crate::event::{Event, Stamp};
use crate::link::decide::{check_preset, creator_stands, kinds, lifetime, never_issued};
use crate::link::{
    Approval, Expiry, Generation, JoinedBy, Lasting, NewToken, TokenEnd, TokenRecord,
};
use crate::member::{Phase, Presented};
use crate::organization::decide::{active, existing};
use crate::organization::{OrgStatus, Organization, Settings};
use crate::policy::{AddressCheck, Joins, SecondInvite, Standing};
use crate::record::Records;
use crate::standing::{InOrg, not_before};

/// How many invites one command sends at most.
pub const MAX_INVITES: usize = 1000;

/// What a command about invites comes to: events, and for several items what came of each.
type Outcome = (Vec<Event>, Vec<Result<(), CommandError>>);

pub(crate) fn decide(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    command: &InviteCommand,
    env: &Env<'_>,
) -> Result<Outcome, CommandError> {
    let standing = InOrg::actor(records, actor, host, env);
    let inside = || {
        standing.need_member("invite")?;
        existing(records, host)
    };
    let sender = || -> Result<&Organization, CommandError> {
        let organization = inside()?;
        standing.need(Capability::InvitesSend, "invite", env)?;
        Ok(organization)
    };
    let found = |id| {
        records
            .invite(host, id)
            .ok_or(CommandError::NotFound { what: "invite" })
    };
    let event = match command {
        InviteCommand::Send { invites, mode } => {
            let organization = sender()?;
            // "A suspended or deleted host refuses every door, approve and resend" (spec 2).
            active(records, host)?;
            return send(records, organization, &standing, actor, invites, *mode, env);
        }
        InviteCommand::Resend { invite, token } => {
            let organization = sender()?;
            active(records, host)?;
            let invite = found(*invite)?;
            Some(resend(
                records,
                organization,
                &standing,
                invite,
                token,
                env,
            )?)
        }
        InviteCommand::Revoke { invite } => {
            sender()?;
            let invite = found(*invite)?;
            match invite.phase(env.now) {
                InvitePhase::Pending | InvitePhase::Expired => {
                    Some(close(invite, Closing::Revoked, None, env))
                }
                InvitePhase::Revoked => None,
                // "Revoke, decline and resend only from pending" (spec 4).
                found @ (InvitePhase::Accepted | InvitePhase::Declined) => {
                    return Err(wrong_state(command, found));
                }
            }
        }
        InviteCommand::Decline { token } => {
            return decline(records, host, actor, token, env).map(without_items);
        }
        InviteCommand::ReportDelivery { reports } => {
            sender()?;
            return Ok(without_items(report_delivery(records, host, reports)));
        }
        InviteCommand::Expire { invite } => {
            inside()?;
            let invite = found(*invite)?;
            let over = invite.phase(env.now) == InvitePhase::Expired;
            (over && invite.expired_at.is_none())
                .then_some(InviteEvent::Expired { invite: invite.id })
        }
    };
    Ok(without_items(
        event.map(Event::Invite).into_iter().collect(),
    ))
}

const fn without_items(events: Vec<Event>) -> Outcome {
    (events, Vec::new())
}

const fn wrong_state(command: &InviteCommand, found: InvitePhase) -> CommandError {
    CommandError::WrongInviteState {
        command: command.name(),
        found,
    }
}

/// "The reply holds one outcome per item, in order" (spec 4). Each item is decided on the records
/// as those before it leave them.
fn send(
    records: &Records,
    organization: &Organization,
    standing: &InOrg,
    actor: &Actor,
    invites: &[NewInvite],
    mode: Mode,
    env: &Env<'_>,
) -> Result<Outcome, CommandError> {
    if invites.len() > MAX_INVITES {
        return Err(CommandError::TooMany {
            what: "invites in one command",
            max: MAX_INVITES,
        });
    }
    let stamp = Stamp {
        at: env.now,
        by: actor.by(),
    };
    let mut after = records.clone();
    let (mut events, mut items) = (Vec::new(), Vec::with_capacity(invites.len()));
    for new in invites {
        match one(&after, organization, standing, actor, new, env) {
            Ok(happened) => {
                for event in happened {
                    crate::evolve(&mut after, &organization.id, &stamp, &event);
                    events.push(event);
                }
                items.push(Ok(()));
            }
            Err(missing @ CommandError::FactMissing { .. }) => return Err(missing),
            Err(refused) => items.push(Err(refused)),
        }
    }
    let stops = |item: &Result<(), CommandError>| match item {
        // Who is in or invited already needs no invite, so nothing of "all" is left out.
        Ok(()) | Err(CommandError::AlreadyMember | CommandError::AlreadyInvited) => false,
        Err(_) => true,
    };
    match mode {
        Mode::AllOrNothing if items.iter().any(stops) => events.clear(),
        Mode::EachOnItsOwn | Mode::AllOrNothing => {}
    }
    Ok((events, items))
}

fn one(
    records: &Records,
    organization: &Organization,
    standing: &InOrg,
    actor: &Actor,
    new: &NewInvite,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let host = &organization.id;
    let known = records.address(host, &new.address);
    let member = known
        .and_then(|known| known.members.first())
        .and_then(|user| records.membership(host, &Member::User(user.clone())));
    // One membership is loaded. Of several, each counts until its end is written down.
    let are_several = known.is_some_and(|known| known.members.len() > 1);
    let is_in = member.is_some_and(|record| record.phase(env.now) == Phase::Approved);
    if new.is_member || are_several || is_in {
        return Err(CommandError::AlreadyMember);
    }
    // "A block list refuses every door for a member" (spec 2): no invite is sent to a closed one.
    if member.is_some_and(|record| record.block.is_some()) {
        return Err(CommandError::Blocked);
    }
    let mut events = Vec::with_capacity(2);
    let earlier = known
        .and_then(|known| known.invite)
        .and_then(|invite| records.invite(host, invite));
    if let Some(earlier) = earlier {
        // An address is held by an invite that waits, or by one whose expiry nobody has written.
        if earlier.phase(env.now) == InvitePhase::Expired {
            events.push(InviteEvent::Expired { invite: earlier.id });
        } else {
            // "Never two live ones" (spec 4).
            match organization.settings.second_invite {
                SecondInvite::Refuse => return Err(CommandError::AlreadyInvited),
                SecondInvite::Replace => {
                    events.push(close(earlier, Closing::Replaced, None, env));
                }
            }
        }
    }
    if records.invite(host, new.id).is_some() {
        return Err(CommandError::WrongInviteState {
            command: "send",
            found: InvitePhase::Pending,
        });
    }
    let (config, expires_at) = config(&new.draft, &organization.settings, env)?;
    let config = InviteConfig {
        approval: if standing.can(Capability::LinksAutoApprove, env) {
            Approval::Auto
        } else {
            Approval::Review
        },
        sign_on: new.sign_on,
        ..config
    };
    may_give(standing, &config, records, env)?;
    never_issued(records, &new.token)?;
    events.push(InviteEvent::Sent(Box::new(EmailInvite {
        id: new.id,
        host: host.clone(),
        address: new.address.clone(),
        config,
        status: InviteStatus::Pending,
        generation: Generation::FIRST,
        token: Some(new.token.selector),
        creator: actor.user_id().cloned(),
        delivery: Delivery::Unknown,
        expires_at,
        expired_at: None,
        closed: None,
        created_at: env.now,
        sent_at: env.now,
        updated_at: env.now,
    })));
    Ok(events.into_iter().map(Event::Invite).collect())
}

/// The configuration that a draft makes, checked like a link's, and when the invite expires.
fn config(
    draft: &InviteDraft,
    settings: &Settings,
    env: &Env<'_>,
) -> Result<(InviteConfig, Option<Timestamp>), CommandError> {
    let usual = match settings.invites_last {
        Lasting::Always => Expiry::Never,
        Lasting::For(duration) => Expiry::After(duration),
    };
    let expires_at = match draft.expiry.unwrap_or(usual) {
        Expiry::Never => None,
        Expiry::At(end) => Some(end),
        Expiry::After(duration) => Some(env.now + duration),
    };
    if !env.now.is_before_end(expires_at) {
        return Err(CommandError::InThePast);
    }
    let config = InviteConfig {
        joined_by: draft.joined_by.unwrap_or(JoinedBy::Users),
        preset: draft.preset.clone().unwrap_or_default(),
        approval: Approval::Review,
        lasts: expires_at.map(|end| end.since(env.now)),
        membership_ttl: lifetime(draft.membership_ttl)?,
        message: draft.message.clone(),
        metadata: draft.metadata.clone().unwrap_or_default(),
        sign_on: crate::invite::SignOn::Usual,
    };
    check_preset(&config.preset, config.joined_by, config.membership_ttl, env)?;
    Ok((config, expires_at))
}

/// The ceiling of what an invite promises.
fn may_give(
    standing: &InOrg,
    config: &InviteConfig,
    records: &Records,
    env: &Env<'_>,
) -> Result<(), CommandError> {
    for kind in kinds(config.joined_by) {
        standing.may_give(&config.preset, kind, records.book(), env)?;
    }
    Ok(())
}

/// The tokens of an invite, ended now.
fn ends(invite: &EmailInvite, env: &Env<'_>) -> Vec<TokenEnd> {
    let end = |selector| TokenEnd {
        selector,
        at: env.now,
    };
    invite.token.map(end).into_iter().collect()
}

/// The end of an invite.
pub(crate) fn close(
    invite: &EmailInvite,
    closing: Closing,
    member: Option<&Member>,
    env: &Env<'_>,
) -> InviteEvent {
    InviteEvent::Closed {
        invite: invite.id,
        closing,
        ended: ends(invite, env),
        member: member.cloned(),
    }
}

/// "Resend makes a new token, kills the old, restarts the expiry and changes nothing else"
/// (spec 4). It is a promise made again, so its ceiling and its creator are looked at again.
fn resend(
    records: &Records,
    organization: &Organization,
    standing: &InOrg,
    invite: &EmailInvite,
    token: &NewToken,
    env: &Env<'_>,
) -> Result<InviteEvent, CommandError> {
    match invite.phase(env.now) {
        InvitePhase::Pending | InvitePhase::Expired => {}
        found @ (InvitePhase::Accepted | InvitePhase::Declined | InvitePhase::Revoked) => {
            return Err(CommandError::WrongInviteState {
                command: "resend",
                found,
            });
        }
    }
    // While this one was expired, another one may have been sent to its address.
    let holder = records
        .address(&organization.id, &invite.address)
        .and_then(|known| known.invite);
    if holder.is_some_and(|holder| holder != invite.id) {
        return Err(CommandError::AlreadyInvited);
    }
    let creator = creator(records, invite, env);
    if !creator_stands(
        creator.as_ref(),
        Capability::InvitesSend,
        &organization.settings,
        env,
    ) {
        return Err(CommandError::InviterNotStanding);
    }
    may_give(standing, &invite.config, records, env)?;
    never_issued(records, token)?;
    Ok(InviteEvent::Resent {
        invite: invite.id,
        generation: invite.generation.next(),
        selector: token.selector,
        ended: ends(invite, env),
        expires_at: invite.config.lasts.map(|lasts| env.now + lasts),
    })
}

/// A report about a token that was replaced meanwhile, or an invite that is closed, says nothing.
fn report_delivery(records: &Records, host: &OrgId, reports: &[DeliveryReport]) -> Vec<Event> {
    let told = |report: &DeliveryReport| {
        let invite = records.invite(host, report.invite)?;
        let delivery = if report.sent {
            Delivery::Sent
        } else {
            Delivery::Undelivered
        };
        let news = invite.status == InviteStatus::Pending
            && invite.generation == report.generation
            && invite.delivery != delivery;
        news.then_some(Event::Invite(InviteEvent::DeliveryReported {
            invite: report.invite,
            sent: report.sent,
        }))
    };
    reports.iter().filter_map(told).collect()
}

/// An invite's token that opens it now, with what it opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened<'a> {
    pub(crate) token: &'a TokenRecord,
    pub(crate) invite: &'a EmailInvite,
    pub(crate) host: &'a Organization,
}

/// What a genuine token was made for, whatever has become of it since.
pub(crate) fn of_token<'a>(records: &'a Records, presented: &Presented) -> Option<Opened<'a>> {
    let token = records
        .token(presented.selector)
        .filter(|_| presented.genuine)?;
    let invite = records.invite(&token.host, token.subject.invite()?)?;
    let host = records.organization(&token.host)?;
    Some(Opened {
        token,
        invite,
        host,
    })
}

/// What a presented token of an e-mail invite opens. The one place that says which are dead.
pub(crate) fn open<'a>(
    records: &'a Records,
    presented: &Presented,
    env: &Env<'_>,
) -> Result<Opened<'a>, TokenProblem> {
    let opened = of_token(records, presented).ok_or(TokenProblem::Unknown)?;
    let Opened {
        token,
        invite,
        host,
    } = opened;
    match invite.status {
        InviteStatus::Pending => {}
        InviteStatus::Accepted | InviteStatus::Declined | InviteStatus::Revoked => {
            return Err(TokenProblem::InviteClosed);
        }
    }
    if !env.now.is_before_end(token.valid_until) {
        return Err(TokenProblem::Retired);
    }
    match host.status {
        OrgStatus::Active => {}
        OrgStatus::Suspended | OrgStatus::Deleted => return Err(TokenProblem::HostNotActive),
    }
    if !env.now.is_before_end(invite.expires_at) {
        return Err(TokenProblem::InviteExpired);
    }
    if !stands(records, invite, host, env) {
        return Err(TokenProblem::CreatorNotStanding);
    }
    Ok(opened)
}

/// What the sender of an invite is in its host now; `None` for those of the host application.
pub(crate) fn creator(records: &Records, invite: &EmailInvite, env: &Env<'_>) -> Option<InOrg> {
    invite
        .creator
        .as_ref()
        .map(|user| InOrg::user(records, user, &invite.host, env.creator, env))
}

/// Whether the sender of an invite still stands for it, as the host wants that.
pub(crate) fn stands(
    records: &Records,
    invite: &EmailInvite,
    host: &Organization,
    env: &Env<'_>,
) -> bool {
    creator_stands(
        creator(records, invite, env).as_ref(),
        Capability::InvitesSend,
        &host.settings,
        env,
    )
}

/// Whether accepting this invite needs no review: as a link that approves by itself, an invite
/// does if its sender may let somebody in without one, and may still give what it gives.
pub(crate) fn approves_itself(
    records: &Records,
    host: &Organization,
    invite: &EmailInvite,
    kind: MemberKind,
    env: &Env<'_>,
) -> Result<bool, CommandError> {
    let creator = creator(records, invite, env);
    let kept = host.settings.standing == Standing::Keep;
    let may_approve = creator
        .as_ref()
        .is_none_or(|creator| creator.can(Capability::LinksAutoApprove, env));
    let wanted = match host.settings.joins {
        Joins::AlwaysReview => false,
        Joins::AlwaysAuto => true,
        // `Keep` is content with who could approve then, and with nobody who never could.
        Joins::LinkDecides => may_approve || (kept && invite.config.approval == Approval::Auto),
    };
    if !wanted {
        return Ok(false);
    }
    let system = InOrg::system(env);
    let giver = creator.filter(|_| !kept).unwrap_or(system);
    match giver.may_give(&invite.config.preset, kind, records.book(), env) {
        Ok(()) => Ok(true),
        Err(missing @ CommandError::FactMissing { .. }) => Err(missing),
        Err(_) => Ok(false),
    }
}

/// "Accepting needs an actor with that address among its *verified* ones (policy: `Exact`, the
/// default, `AnyVerified`, `Bearer`). The wrong account is refused, uses nothing up, and is told
/// the address in masked form" (spec 4).
pub(crate) fn is_for(
    invite: &EmailInvite,
    actor: &Actor,
    settings: &Settings,
) -> Result<(), CommandError> {
    let fits = actor.is_system()
        || match settings.address_check {
            AddressCheck::Exact => actor.emails().contains(&invite.address),
            AddressCheck::AnyVerified => !actor.emails().is_empty(),
            AddressCheck::Bearer => true,
        };
    if fits {
        Ok(())
    } else {
        Err(CommandError::WrongAccount {
            hint: invite.address.masked(),
        })
    }
}

fn decline(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    token: &Presented,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let hidden = |problem| CommandError::from(TokenRefusal::hidden(problem));
    if let Some(Opened { invite, .. }) = of_token(records, token)
        && invite.host == *host
        && invite.status == InviteStatus::Declined
    {
        return Ok(Vec::new());
    }
    let opened = open(records, token, env)
        .ok()
        .filter(|opened| opened.host.id == *host)
        .ok_or_else(|| hidden(TokenProblem::Unknown))?;
    is_for(opened.invite, actor, &opened.host.settings)?;
    let closed = close(opened.invite, Closing::Declined, None, env);
    Ok(vec![Event::Invite(closed)])
}

/// The one live invite for a verified address of somebody who asks to join: it takes the place of
/// the request, so that "a request that is pending when an invite is accepted, or the reverse,
/// resolves to the membership" (spec 2).
pub(crate) fn crossing<'a>(
    records: &'a Records,
    host: &OrgId,
    actor: &Actor,
    kind: MemberKind,
    now: Timestamp,
) -> Option<&'a EmailInvite> {
    actor.emails().iter().take(MAX_EMAILS).find_map(|email| {
        let invite = records.address(host, email)?.invite?;
        records.invite(host, invite).filter(|invite| {
            invite.phase(now) == InvitePhase::Pending && invite.config.joined_by.admits(kind)
        })
    })
}

/// How many of an actor's verified addresses are looked at for invites of the same person.
pub(crate) const MAX_EMAILS: usize = 16;

/// What anybody who holds an invite's token may see before signing in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InvitePreview {
    /// The host's handle.
    pub host_name: OrgName,
    /// What people are shown for the host.
    pub host_display_name: Option<DisplayName>,
    /// The address that it is for, masked.
    pub address_hint: String,
    /// The role that a joining user gets.
    pub role: Option<RoleName>,
    /// What the inviter says.
    pub message: Option<Message>,
    /// Whether accepting it will wait for review.
    pub needs_review: bool,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether it has stopped working because of that.
    pub expired: bool,
}

/// Shows what an invite's token opens. Changes nothing and uses nothing up.
///
/// # Errors
///
/// [`CommandError::InvalidToken`], the same for every reason; an invite that has only expired is
/// shown.
pub fn preview(
    records: &Records,
    presented: &Presented,
    env: &Env<'_>,
) -> Result<InvitePreview, CommandError> {
    let env = &not_before(env, records);
    let hidden = |problem| CommandError::from(TokenRefusal::hidden(problem));
    let Opened { invite, host, .. } =
        of_token(records, presented).ok_or_else(|| hidden(TokenProblem::Unknown))?;
    let expired = match open(records, presented, env) {
        Ok(_) => false,
        Err(TokenProblem::InviteExpired) => true,
        Err(problem) => return Err(hidden(problem)),
    };
    let kind = kinds(invite.config.joined_by)
        .last()
        .unwrap_or(MemberKind::User);
    let role = match kind {
        MemberKind::Org => None,
        MemberKind::User => Some(
            invite
                .config
                .preset
                .role
                .clone()
                .unwrap_or_else(|| env.roles.default_role().clone()),
        ),
    };
    Ok(InvitePreview {
        host_name: host.name.clone(),
        host_display_name: host.display_name.clone(),
        address_hint: invite.address.masked(),
        role,
        message: invite.config.message.clone(),
        needs_review: !approves_itself(records, host, invite, kind, env)?,
        expires_at: invite.expires_at,
        expired,
    })
}

/// Why an invite's token opens nothing, for managers; `None` if it does.
#[must_use]
pub fn problem(records: &Records, presented: &Presented, env: &Env<'_>) -> Option<TokenProblem> {
    open(records, presented, env).err()
}

/// The other live invites of the same person in this host, which close when one is accepted.
pub(crate) fn siblings<'a>(
    records: &'a Records,
    host: &'a OrgId,
    actor: &'a Actor,
    accepted: &'a EmailInvite,
    env: &'a Env<'_>,
) -> impl Iterator<Item = &'a EmailInvite> {
    let of = move |email: &EmailAddress| {
        let invite = records.address(host, email)?.invite?;
        records.invite(host, invite)
    };
    actor
        .emails()
        .iter()
        .take(MAX_EMAILS)
        .filter_map(of)
        .filter(move |invite| {
            invite.id != accepted.id && invite.phase(env.now) == InvitePhase::Pending
        })
}
