//! How an e-mail invite's events change its records. No rule is here.

use guestlist_types::{EmailAddress, InviteId, OrgId};

use super::event::InviteEvent;
use super::state::{AddressRecord, Closed, Delivery, EmailInvite};
use crate::event::Stamp;
use crate::link::TokenSubject;
use crate::link::evolve::{end, issue};
use crate::record::{Records, Row, RowKey};

pub(crate) fn evolve(records: &mut Records, host: &OrgId, stamp: &Stamp, event: &InviteEvent) {
    match event {
        InviteEvent::Sent(invite) => {
            if let Some(selector) = invite.token {
                let subject = TokenSubject::Invite(invite.id);
                issue(records, host, stamp, subject, invite.generation, selector);
            }
            take_address(records, host, &invite.address, invite.id);
            records.put(
                RowKey::Invite(host.clone(), invite.id),
                Row::Invite(invite.clone()),
            );
        }
        InviteEvent::Resent {
            invite,
            generation,
            selector,
            ended,
            expires_at,
        } => {
            end(records, ended);
            let subject = TokenSubject::Invite(*invite);
            issue(records, host, stamp, subject, *generation, *selector);
            if let Some(address) = address_of(records, host, *invite) {
                take_address(records, host, &address, *invite);
            }
            update(records, host, stamp, *invite, |invite| {
                invite.generation = *generation;
                invite.token = Some(*selector);
                invite.expires_at = *expires_at;
                invite.expired_at = None;
                invite.delivery = Delivery::Unknown;
                invite.sent_at = stamp.at;
            });
        }
        InviteEvent::Closed {
            invite,
            closing,
            ended,
            member,
        } => {
            end(records, ended);
            free_address(records, host, *invite);
            update(records, host, stamp, *invite, |invite| {
                invite.status = closing.status();
                invite.token = None;
                invite.closed = Some(Closed {
                    closing: *closing,
                    by: stamp.by.clone(),
                    at: stamp.at,
                    member: member.clone(),
                });
            });
        }
        InviteEvent::Expired { invite } => {
            free_address(records, host, *invite);
            update(records, host, stamp, *invite, |invite| {
                invite.expired_at = Some(stamp.at);
            });
        }
        InviteEvent::Erased { invite } => {
            update(records, host, stamp, *invite, crate::erase::erase_invite);
        }
        InviteEvent::DeliveryReported { invite, sent } => {
            update(records, host, stamp, *invite, |invite| {
                invite.delivery = if *sent {
                    Delivery::Sent
                } else {
                    Delivery::Undelivered
                };
            });
        }
    }
}

fn update(
    records: &mut Records,
    host: &OrgId,
    stamp: &Stamp,
    id: InviteId,
    change: impl FnOnce(&mut EmailInvite),
) {
    if let Some(invite) = records.invite(host, id) {
        let mut invite = invite.clone();
        change(&mut invite);
        invite.updated_at = stamp.at;
        records.put(
            RowKey::Invite(host.clone(), id),
            Row::Invite(Box::new(invite)),
        );
    }
}

fn address_of(records: &Records, host: &OrgId, invite: InviteId) -> Option<EmailAddress> {
    records
        .invite(host, invite)
        .map(|invite| invite.address.clone())
}

fn take_address(records: &mut Records, host: &OrgId, address: &EmailAddress, invite: InviteId) {
    note_address(records, host, address, |record| {
        record.invite = Some(invite);
    });
}

/// The address is free for another invite, unless another one has taken it already.
fn free_address(records: &mut Records, host: &OrgId, invite: InviteId) {
    if let Some(address) = address_of(records, host, invite)
        && records
            .address(host, &address)
            .is_some_and(|record| record.invite == Some(invite))
    {
        note_address(records, host, &address, |record| record.invite = None);
    }
}

/// Changes what a host knows of an address; nothing known is no row.
pub(crate) fn note_address(
    records: &mut Records,
    host: &OrgId,
    address: &EmailAddress,
    change: impl FnOnce(&mut AddressRecord),
) {
    let key = RowKey::Address(host.clone(), address.clone());
    let mut record = records.address(host, address).cloned().unwrap_or_default();
    change(&mut record);
    if record == AddressRecord::default() {
        if records.get(&key).is_some() {
            records.delete(key);
        }
    } else {
        records.put(key, Row::Address(record));
    }
}
