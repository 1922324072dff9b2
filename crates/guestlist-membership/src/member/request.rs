//! The door of those who come without any invite.

use guestlist_types::{Member, Message, OrgId, ProxyUserId};

use super::accept::ByInvite;
use super::decide::{acts_for, check_answers, coming_back, may_come};
use super::enter::{Entry, enter};
use super::state::{Door, Phase, Profile};
use crate::actor::Actor;
use crate::command::Env;
use crate::error::{CommandError, TokenRefusal};
use crate::event::Event;
use crate::invite::decide::{crossing, stands};
use crate::metadata::Metadata;
use crate::organization::{OrgStatus, Organization};
use crate::policy::Joins;
use crate::record::Records;
use crate::standing::InOrg;

pub(super) struct Request<'a> {
    pub(super) member: &'a Member,
    pub(super) profile: &'a Profile,
    pub(super) message: Option<&'a Message>,
    pub(super) answers: &'a [String],
    pub(super) proxy: ProxyUserId,
}

impl Request<'_> {
    pub(super) fn decide(
        &self,
        records: &Records,
        host: &OrgId,
        actor: &Actor,
        env: &Env<'_>,
    ) -> Result<Vec<Event>, CommandError> {
        // "Off = incognito" (spec 5): an organization that can't be found is not there.
        let host = records
            .organization(host)
            .filter(|host| host.settings.discoverable && host.status == OrgStatus::Active)
            .ok_or(CommandError::NotFound {
                what: "organization",
            })?;
        acts_for(records, actor, self.member, env)?;
        let profile = may_come(records, &host.id, actor, self.member, self.profile, env)?;
        let membership = records.membership(&host.id, self.member);
        let phase = membership.map_or(Phase::Never, |record| record.phase(env.now));
        if phase == Phase::Approved {
            return Ok(Vec::new());
        }
        // Somebody who is invited and asks is answered with the invite.
        if let Some(invite) = crossing(records, &host.id, actor, self.member.kind(), env.now)
            && stands(records, invite, host, env)
        {
            // The invite asks nothing, so that there may be no answers; wrong ones are none.
            if !self.answers.is_empty() {
                check_answers(self.answers, &host.settings.requests.questions)?;
            }
            let by_invite = ByInvite {
                host,
                invite,
                token: None,
                member: self.member,
                answers: self.answers,
                message: self.message,
                proxy: self.proxy,
            };
            let refuse = |problem| CommandError::InvalidToken(TokenRefusal::hidden(problem));
            match by_invite.enter(records, actor, self.profile, &refuse, env) {
                // The invite is dead for this member: it asks like anybody else.
                Err(CommandError::InvalidToken(_)) => {}
                other => return other,
            }
        }
        let requests = &host.settings.requests;
        if !requests.open {
            return Err(CommandError::RequestsClosed);
        }
        let approved = membership.is_none_or(|record| !record.review_required)
            && self.approves_itself(records, host, env)?;
        if phase == Phase::Pending && !approved {
            return Ok(Vec::new());
        }
        if let Some(record) = membership {
            coming_back(record, host, None, env)?;
        }
        if !requests.joined_by.admits(self.member.kind()) {
            return Err(CommandError::WrongKindOfMember);
        }
        check_answers(self.answers, &requests.questions)?;
        let entry = Entry {
            member: self.member,
            profile,
            door: Door::Request,
            gift: &requests.preset,
            approved,
            membership_ttl: None,
            answers: self.answers,
            message: self.message,
            metadata: &Metadata::EMPTY,
            link_use: None,
            proxy: self.proxy,
        };
        enter(records, host, entry, env)
    }

    /// Whether the host reviews nothing, and what it gives can be given.
    fn approves_itself(
        &self,
        records: &Records,
        host: &Organization,
        env: &Env<'_>,
    ) -> Result<bool, CommandError> {
        match host.settings.joins {
            Joins::LinkDecides | Joins::AlwaysReview => return Ok(false),
            Joins::AlwaysAuto => {}
        }
        let (preset, kind) = (&host.settings.requests.preset, self.member.kind());
        match InOrg::system(env).may_give(preset, kind, records.book(), env) {
            Ok(()) => Ok(true),
            Err(missing @ CommandError::FactMissing { .. }) => Err(missing),
            Err(_) => Ok(false),
        }
    }
}
