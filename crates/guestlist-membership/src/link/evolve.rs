//! How a link's events change its records. No rule is here.

use guestlist_token::Selector;
use guestlist_types::{LinkId, OrgId};

use super::event::{LinkEvent, TokenEnd};
use super::state::{Generation, Link, LinkStatus, TokenRecord, TokenSubject};
use crate::event::Stamp;
use crate::organization::evolve::update as update_organization;
use crate::record::{Records, Row, RowKey};

pub(crate) fn evolve(records: &mut Records, host: &OrgId, stamp: &Stamp, event: &LinkEvent) {
    match event {
        LinkEvent::Created(link) => {
            if let Some(selector) = link.token {
                let subject = TokenSubject::Link(link.id);
                issue(records, host, stamp, subject, link.generation, selector);
            }
            if link.config.max_uses.is_some() {
                records.put(RowKey::LinkTally(host.clone(), link.id), Row::Tally(0));
            }
            records.put(RowKey::Link(host.clone(), link.id), Row::Link(link.clone()));
        }
        LinkEvent::MadeDefault { link } => {
            update_organization(records, host, stamp, |organization| {
                organization.default_link = Some(*link);
            });
        }
        LinkEvent::Refreshed {
            link,
            generation,
            selector,
            ended,
        } => {
            end(records, ended);
            let subject = TokenSubject::Link(*link);
            issue(records, host, stamp, subject, *generation, *selector);
            update(records, host, stamp, *link, |link| {
                link.generation = *generation;
                link.token = Some(*selector);
                link.overlapping = ended
                    .iter()
                    .filter(|end| end.at.is_after(stamp.at))
                    .map(|end| end.selector)
                    .collect();
            });
        }
        LinkEvent::Disabled { link, ended } => {
            end(records, ended);
            update(records, host, stamp, *link, |link| {
                link.status = LinkStatus::Disabled;
                link.token = None;
                link.overlapping.clear();
            });
        }
        LinkEvent::Enabled {
            link,
            generation,
            selector,
        } => {
            let subject = TokenSubject::Link(*link);
            issue(records, host, stamp, subject, *generation, *selector);
            update(records, host, stamp, *link, |link| {
                link.status = LinkStatus::Active;
                link.generation = *generation;
                link.token = Some(*selector);
            });
        }
        LinkEvent::Edited { link, config, uses } => {
            update(records, host, stamp, *link, |link| {
                if link.config.expires_at != config.expires_at {
                    link.expired_at = None;
                }
                link.config = (**config).clone();
            });
            let key = RowKey::LinkTally(host.clone(), *link);
            match uses {
                Some(uses) => records.put(key, Row::Tally(*uses)),
                None if config.max_uses.is_none() && records.get(&key).is_some() => {
                    records.delete(key);
                }
                None => {}
            }
        }
        LinkEvent::Deleted { link, ended } => {
            end(records, ended);
            update(records, host, stamp, *link, |link| {
                link.token = None;
                link.overlapping.clear();
                link.deleted_at = Some(stamp.at);
            });
        }
        LinkEvent::Expired { link } => update(records, host, stamp, *link, |link| {
            link.expired_at = Some(stamp.at);
        }),
        // Nothing of it changes; that it happened is on record.
        LinkEvent::Revealed { link, .. } => update(records, host, stamp, *link, |_| {}),
        // Moves its time forward, so that its events stay in order under any clock.
        LinkEvent::Exhausted { link } => update(records, host, stamp, *link, |_| {}),
    }
}

fn update(
    records: &mut Records,
    host: &OrgId,
    stamp: &Stamp,
    id: LinkId,
    change: impl FnOnce(&mut Link),
) {
    if let Some(link) = records.link(host, id) {
        let mut link = link.clone();
        change(&mut link);
        link.updated_at = stamp.at;
        records.put(RowKey::Link(host.clone(), id), Row::Link(Box::new(link)));
    }
}

pub(crate) fn issue(
    records: &mut Records,
    host: &OrgId,
    stamp: &Stamp,
    subject: TokenSubject,
    generation: Generation,
    selector: Selector,
) {
    let token = TokenRecord {
        selector,
        host: host.clone(),
        subject,
        generation,
        issued_at: stamp.at,
        valid_until: None,
        tag: None,
        sealed: None,
    };
    records.put(RowKey::Token(selector), Row::Token(token));
}

pub(crate) fn end(records: &mut Records, ended: &[TokenEnd]) {
    for end in ended {
        if let Some(token) = records.token(end.selector) {
            let token = TokenRecord {
                valid_until: Some(end.at),
                // A retired token is shown to nobody again.
                sealed: None,
                ..token.clone()
            };
            records.put(RowKey::Token(end.selector), Row::Token(token));
        }
    }
}
