//! Getting in, by whatever door: what all of them have in common.

use core::time::Duration;

use guestlist_types::{Member, Message, ProxyUserId};

use super::decide::{give_back, proxy_of, role_of, take_seat, with_owner};
use super::event::{MemberEvent, Opening, UseChange};
use super::state::{Door, Phase, Profile};
use crate::command::Env;
use crate::error::CommandError;
use crate::event::Event;
use crate::link::Preset;
use crate::metadata::Metadata;
use crate::organization::Organization;
use crate::record::Records;

/// Somebody who has got past the gate.
pub(super) struct Entry<'a> {
    pub(super) member: &'a Member,
    pub(super) profile: Profile,
    pub(super) door: Door,
    pub(super) gift: &'a Preset,
    /// Whether nobody has to review it.
    pub(super) approved: bool,
    pub(super) membership_ttl: Option<Duration>,
    pub(super) answers: &'a [String],
    pub(super) message: Option<&'a Message>,
    pub(super) metadata: &'a Metadata,
    pub(super) link_use: Option<UseChange>,
    pub(super) proxy: ProxyUserId,
}

/// Opens an episode, or lets a waiting request in. The membership is not approved yet, and is
/// pending only if the entry is approved.
pub(super) fn enter(
    records: &Records,
    host: &Organization,
    entry: Entry<'_>,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let Entry {
        member,
        profile,
        door,
        gift,
        approved,
        membership_ttl,
        ..
    } = entry;
    let membership = records.membership(&host.id, member);
    let phase = membership.map_or(Phase::Never, |record| record.phase(env.now));
    let gift = Preset {
        role: role_of(member, gift, env)?,
        ..gift.clone()
    };
    let seat = take_seat(records, host, phase, approved)?;
    let owner = approved
        && gift
            .role
            .as_ref()
            .is_some_and(|role| env.roles.is_owner(role));
    if owner && membership_ttl.is_some() {
        return Err(CommandError::OwnerCanNotExpire);
    }
    let lasts_until = |ttl: Option<Duration>| ttl.map(|ttl| env.now + ttl);
    let proxy = proxy_of(membership, &profile, member, entry.proxy);
    let event = if let (Phase::Pending, Some(record)) = (phase, membership) {
        // The request came by another door: a link that it came through gets its use back.
        let mut link_uses: Vec<_> = give_back(records, record)
            .into_iter()
            .filter(|change| Some(change.link) != door.link())
            .collect();
        link_uses.extend(entry.link_use);
        MemberEvent::Approved {
            member: member.clone(),
            door: Some(door),
            gift: Box::new(gift),
            expires_at: lasts_until(membership_ttl),
            reinstated: false,
            proxy,
            link_uses,
            seat,
        }
    } else {
        let opening = Box::new(Opening {
            member: member.clone(),
            door,
            gift,
            expires_at: lasts_until(if approved {
                membership_ttl
            } else {
                host.settings.request_ttl
            }),
            ttl: membership_ttl,
            answers: entry.answers.to_vec(),
            message: entry.message.cloned(),
            metadata: entry.metadata.clone(),
            link_use: entry.link_use,
            seat,
            profile,
        });
        if approved {
            MemberEvent::Joined { opening, proxy }
        } else {
            MemberEvent::Requested(opening)
        }
    };
    Ok(with_owner(vec![Event::Member(event)], member, owner))
}
