//! How an organization's events change its records. No rule is here.

use std::collections::BTreeSet;

use guestlist_types::OrgId;

use super::event::OrganizationEvent;
use super::state::{NameRecord, OrgStatus, Organization};
use crate::event::Stamp;
use crate::record::{Records, Row, RowKey};

pub(crate) fn evolve(
    records: &mut Records,
    host: &OrgId,
    stamp: &Stamp,
    event: &OrganizationEvent,
) {
    match event {
        OrganizationEvent::NameReserved { name, organization } => records.put(
            RowKey::Name(name.clone()),
            Row::Name(NameRecord {
                organization: organization.clone(),
            }),
        ),
        OrganizationEvent::Registered(organization) => {
            if organization.settings.seats.is_some() {
                records.put(RowKey::SeatTally(host.clone()), Row::Tally(0));
            }
            records.put(
                RowKey::Organization(host.clone()),
                Row::Organization(organization.clone()),
            );
        }
        OrganizationEvent::Renamed { name } => update(records, host, stamp, |organization| {
            organization.name = name.clone();
        }),
        OrganizationEvent::DisplayNameChanged { display_name } => {
            update(records, host, stamp, |organization| {
                organization.display_name.clone_from(display_name);
            });
        }
        OrganizationEvent::Suspended => update(records, host, stamp, |organization| {
            organization.status = OrgStatus::Suspended;
        }),
        OrganizationEvent::Resumed => update(records, host, stamp, |organization| {
            organization.status = OrgStatus::Active;
        }),
        OrganizationEvent::Deleted => update(records, host, stamp, |organization| {
            organization.status = OrgStatus::Deleted;
        }),
        OrganizationEvent::SettingsChanged {
            settings,
            seats_taken,
        } => {
            update(records, host, stamp, |organization| {
                organization.settings = (**settings).clone();
            });
            let key = RowKey::SeatTally(host.clone());
            match seats_taken {
                Some(taken) => records.put(key, Row::Tally(*taken)),
                None if settings.seats.is_none() && records.get(&key).is_some() => {
                    records.delete(key);
                }
                None => {}
            }
        }
        OrganizationEvent::LinksPaused { until } => update(records, host, stamp, |organization| {
            organization.pause = Some(*until);
        }),
        OrganizationEvent::LinksResumed => update(records, host, stamp, |organization| {
            organization.pause = None;
        }),
        OrganizationEvent::OwnerAdded { user } => update_owners(records, host, |owners| {
            owners.insert(user.clone());
        }),
        OrganizationEvent::OwnerRemoved { user } => update_owners(records, host, |owners| {
            owners.remove(user);
        }),
    }
}

pub(crate) fn update(
    records: &mut Records,
    host: &OrgId,
    stamp: &Stamp,
    change: impl FnOnce(&mut Organization),
) {
    if let Some(organization) = records.organization(host) {
        let mut organization = organization.clone();
        change(&mut organization);
        organization.updated_at = stamp.at;
        records.put(
            RowKey::Organization(host.clone()),
            Row::Organization(Box::new(organization)),
        );
    }
}

fn update_owners(
    records: &mut Records,
    host: &OrgId,
    change: impl FnOnce(&mut BTreeSet<guestlist_types::UserId>),
) {
    let mut owners = records.owners(host).cloned().unwrap_or_default();
    change(&mut owners);
    records.put(RowKey::Owners(host.clone()), Row::Owners(owners));
}
