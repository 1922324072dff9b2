//! How a membership's events change its records. No rule is here.

use guestlist_types::{Member, OrgId};

use super::event::{MemberEvent, Opening, Seat, UseChange};
use super::state::{Block, Cause, Door, Ended, Membership, Status};
use crate::actor::By;
use crate::erase::erase_membership;
use crate::event::Stamp;
use crate::invite::evolve::note_address;
use crate::link::{LinkUse, Preset};
use crate::record::{Records, Row, RowKey};

pub(crate) fn evolve(records: &mut Records, host: &OrgId, stamp: &Stamp, event: &MemberEvent) {
    match event {
        MemberEvent::Requested(opening) => {
            update(records, host, stamp, &opening.member, |membership| {
                open(membership, stamp, opening);
                membership.status = Some(Status::Pending);
                membership.approved_at = None;
                membership.approved_by = None;
            });
            change_use(
                records,
                host,
                stamp,
                &opening.member,
                opening.link_use.as_ref(),
                None,
            );
            change_seat(records, host, opening.seat);
        }
        MemberEvent::Joined { opening, proxy } => {
            update(records, host, stamp, &opening.member, |membership| {
                open(membership, stamp, opening);
                membership.access_since = membership.episode;
                membership.proxy.clone_from(proxy);
                admit(membership, stamp, &opening.door);
            });
            note_member(records, host, &opening.member, true);
            change_use(
                records,
                host,
                stamp,
                &opening.member,
                opening.link_use.as_ref(),
                None,
            );
            change_seat(records, host, opening.seat);
        }
        MemberEvent::Approved {
            member,
            door,
            gift,
            expires_at,
            reinstated,
            proxy,
            link_uses,
            seat,
        } => {
            update(records, host, stamp, member, |membership| {
                if let Some(door) = door {
                    membership.door = door.clone();
                }
                give(membership, gift);
                membership.expires_at = *expires_at;
                if !reinstated {
                    membership.access_since = membership.episode;
                }
                membership.proxy.clone_from(proxy);
                // Without another door it was a reviewer, whatever the request came through.
                admit(membership, stamp, door.as_ref().unwrap_or(&Door::Added));
            });
            note_member(records, host, member, true);
            for change in link_uses {
                change_use(records, host, stamp, member, Some(change), None);
            }
            change_seat(records, host, *seat);
        }
        MemberEvent::Ended {
            member,
            cause,
            reason,
            link_use,
            seat,
        } => {
            update(records, host, stamp, member, |membership| {
                membership.status = Some(cause.status());
                membership.expires_at = None;
                membership.ended = Some(Ended {
                    cause: *cause,
                    by: match cause {
                        Cause::Expired => By::Clock,
                        Cause::Withdrew | Cause::Left | Cause::Rejected | Cause::Removed => {
                            stamp.by.clone()
                        }
                    },
                    at: stamp.at,
                    reason: reason.clone(),
                });
                match cause {
                    Cause::Removed => {
                        membership.removed_at = Some(stamp.at);
                        membership.review_required = true;
                    }
                    Cause::Rejected => {
                        membership.rejected_at = Some(stamp.at);
                        membership.rejected_links.extend(membership.door.link());
                    }
                    Cause::Withdrew | Cause::Left | Cause::Expired => {}
                }
            });
            note_member(records, host, member, false);
            change_use(
                records,
                host,
                stamp,
                member,
                link_use.as_ref(),
                Some(*cause),
            );
            change_seat(records, host, *seat);
        }
        MemberEvent::RoleChanged { member, role } => {
            update(records, host, stamp, member, |membership| {
                membership.role = Some(role.clone());
            });
        }
        MemberEvent::GiftAdded { member, gift } => {
            update(records, host, stamp, member, |membership| {
                give(membership, gift);
            });
        }
        MemberEvent::Blocked { member, reason } => {
            update(records, host, stamp, member, |membership| {
                membership.block = Some(Block {
                    by: stamp.by.clone(),
                    at: stamp.at,
                    reason: reason.clone(),
                });
            });
        }
        MemberEvent::Unblocked { member } => {
            update(records, host, stamp, member, |membership| {
                membership.block = None;
            });
        }
        MemberEvent::RemovalLifted { member } => {
            update(records, host, stamp, member, |membership| {
                membership.removed_at = None;
                membership.review_required = false;
            });
        }
        MemberEvent::Erased { member } => {
            note_member(records, host, member, false);
            update(records, host, stamp, member, erase_membership);
        }
        MemberEvent::ActingRestricted { host: other, rule } => {
            let key = RowKey::Acting(host.clone(), other.clone());
            match rule {
                Some(rule) => records.put(key, Row::Acting(rule.clone())),
                None => records.delete(key),
            }
        }
    }
}

fn update(
    records: &mut Records,
    host: &OrgId,
    stamp: &Stamp,
    member: &Member,
    change: impl FnOnce(&mut Membership),
) {
    let mut membership = records
        .membership(host, member)
        .cloned()
        .unwrap_or_else(|| Membership::blank(host.clone(), member.clone(), stamp.at));
    change(&mut membership);
    membership.updated_at = stamp.at;
    records.put(
        RowKey::Membership(host.clone(), member.clone()),
        Row::Membership(Box::new(membership)),
    );
}

fn open(membership: &mut Membership, stamp: &Stamp, opening: &Opening) {
    membership.episode = membership.episode.next();
    membership.door = opening.door.clone();
    membership.profile = opening.profile.clone();
    membership.opened_at = stamp.at;
    membership.expires_at = opening.expires_at;
    membership.ttl = opening.ttl;
    membership.answers.clone_from(&opening.answers);
    membership.message.clone_from(&opening.message);
    membership.metadata = opening.metadata.clone();
    membership.ended = None;
    give(membership, &opening.gift);
}

fn give(membership: &mut Membership, gift: &Preset) {
    membership.role.clone_from(&gift.role);
    membership.groups.clone_from(&gift.groups);
    membership.grants.clone_from(&gift.grants);
}

/// Being let in wipes the slate of rejections, and of the review that a removal asks for.
fn admit(membership: &mut Membership, stamp: &Stamp, door: &Door) {
    membership.status = Some(Status::Approved);
    membership.approved_at = Some(stamp.at);
    membership.approved_by = Some(match door {
        Door::Link { .. } | Door::Invite { .. } | Door::Request => By::Policy,
        Door::Added | Door::Founded => stamp.by.clone(),
    });
    membership.review_required = false;
    membership.rejected_at = None;
    membership.rejected_links.clear();
}

/// Who is a member with an address is found by that address. Organizations have none.
fn note_member(records: &mut Records, host: &OrgId, member: &Member, is_member: bool) {
    let Member::User(user) = member else { return };
    let address = records
        .membership(host, member)
        .and_then(|membership| membership.profile.email.clone());
    let Some(address) = address else { return };
    let held = records
        .address(host, &address)
        .is_some_and(|record| record.members.contains(user));
    if is_member != held {
        note_address(records, host, &address, |record| {
            if is_member {
                record.members.insert(user.clone());
            } else {
                record.members.remove(user);
            }
        });
    }
}

fn change_use(
    records: &mut Records,
    host: &OrgId,
    stamp: &Stamp,
    member: &Member,
    change: Option<&UseChange>,
    cause: Option<Cause>,
) {
    let Some(change) = change else { return };
    records.put(
        RowKey::LinkUse(host.clone(), change.link, member.clone()),
        Row::LinkUse(LinkUse {
            generation: change.generation,
            state: change.state,
            at: stamp.at,
            released_for: cause,
        }),
    );
    // A link without a limit keeps no tally, so nothing is shared on its hot path.
    if let Some(tally) = records.link_tally(host, change.link) {
        let tally = tally.saturating_add_signed(change.counted.into());
        if change.counted != 0 {
            records.put(
                RowKey::LinkTally(host.clone(), change.link),
                Row::Tally(tally),
            );
        }
    }
}

fn change_seat(records: &mut Records, host: &OrgId, seat: Seat) {
    let by = match seat {
        Seat::Kept => return,
        Seat::Taken => 1,
        Seat::Freed => -1,
    };
    if let Some(tally) = records.seat_tally(host) {
        let tally = tally.saturating_add_signed(by);
        records.put(RowKey::SeatTally(host.clone()), Row::Tally(tally));
    }
}
