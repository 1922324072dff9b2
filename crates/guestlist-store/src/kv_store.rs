//! A whole [`Store`] over the small door.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use guestlist_access::{AccessBook, AccessChange};
use guestlist_membership::invite::EmailInvite;
use guestlist_membership::link::Link;
use guestlist_membership::member::{Membership, Status};
use guestlist_membership::organization::{OrgStatus, Organization};
use guestlist_membership::webhook::Endpoint;
use guestlist_membership::{Event, Home, Row, RowKey, SeatCount, Stamp};
use guestlist_types::{Bucket, CommitId, Member, OrgId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::commit::{Check, Commit, Committed, Receipt, Write};
use crate::cursor::{Cursor, Position};
use crate::error::StoreError;
use crate::event::{EventFilter, EventPage, Recorded, Sequence};
use crate::kv::{Kv, KvCheck, KvCommitted, KvOp, KvRange};
use crate::kv_keys::{self as keys, RunOut};
use crate::query::{Listed, Page, Query};
use crate::snapshot::{FoundBook, Load, Revision, Snapshot};
use crate::store::{Capabilities, Store};

/// Leads every row, so that a later layout can be told from this one.
const FORMAT: u8 = 2;

/// How often a load starts over when rows change under it before it reports that it is busy.
const LOAD_TRIES: u32 = 64;

/// How many entries are scanned at a time.
const SCAN: usize = 256;

/// A [`Store`] that keeps its rows in an ordered key-value engine.
#[derive(Debug, Clone)]
pub struct KvStore<K> {
    kv: K,
    capabilities: Capabilities,
}

/// One entry of the log: a commit with its events.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    commit: CommitId,
    organization: OrgId,
    stamp: Stamp,
    events: Vec<Event>,
    /// What is left of personal data that was erased: of which event, and the mark.
    erased: BTreeMap<u64, [u8; 32]>,
}

impl<K: Kv> KvStore<K> {
    /// A store over `kv`, with what that engine can do.
    pub const fn new(kv: K, capabilities: Capabilities) -> Self {
        Self { kv, capabilities }
    }

    /// The engine.
    pub const fn kv(&self) -> &K {
        &self.kv
    }

    /// Loads once. `None` if rows changed meanwhile, so that there was no one instant.
    async fn try_load(&self, load: &Load<'_>) -> Result<Option<Snapshot>, StoreError> {
        let mut snapshot = Snapshot::new();
        let mut raw: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        let mut rounds = 0;
        loop {
            let missing = load.scope.missing(&snapshot);
            if missing.is_empty() {
                break;
            }
            rounds += 1;
            let wanted: Vec<Vec<u8>> = missing.iter().flat_map(raw_keys).collect();
            let mut found = self.kv.get(&wanted).await?.into_iter();
            let mut entries = wanted.into_iter();
            for key in missing {
                let row = if let RowKey::SeatCount(_) = &key {
                    let (pending, approved) = (found.next().flatten(), found.next().flatten());
                    let count = SeatCount {
                        pending: number(pending.as_deref())?,
                        approved: number(approved.as_deref())?,
                    };
                    raw.extend(entries.next().map(|entry| (entry, pending)));
                    raw.extend(entries.next().map(|entry| (entry, approved)));
                    Some((Revision::ABSENT, Row::SeatCount(count)))
                } else {
                    let value = found.next().flatten();
                    let row = decode(&key, value.as_deref())?;
                    raw.extend(entries.next().map(|entry| (entry, value)));
                    row
                };
                snapshot.insert(key, row);
            }
        }
        if let Some(host) = load.scope.host(snapshot.records()) {
            if let Some(id) = load.receipt {
                rounds += 1;
                let key = keys::receipt(&Home::Organization(host.clone()), id);
                let value = self
                    .kv
                    .get(std::slice::from_ref(&key))
                    .await?
                    .pop()
                    .flatten();
                snapshot.set_receipt(value.as_deref().map(decode_receipt).transpose()?);
                raw.insert(key, value);
            }
            snapshot.set_host(host);
        }
        for organization in load.scope.books(snapshot.records()) {
            rounds += 1;
            let revision = snapshot
                .revision(&RowKey::AccessHead(organization.clone()))
                .unwrap_or(Revision::ABSENT);
            let book = if load.known(&organization) == Some(revision) {
                FoundBook::Known
            } else {
                let book = self.book(&snapshot, &organization, revision).await?;
                FoundBook::Whole(Arc::new(book))
            };
            snapshot.insert_book(organization, book);
        }
        if rounds > 1 {
            // Read in steps, the rows are of one instant if all are still the same now.
            let wanted: Vec<Vec<u8>> = raw.keys().cloned().collect();
            let now = self.kv.get(&wanted).await?;
            if raw.values().zip(&now).any(|(then, now)| then != now) {
                return Ok(None);
            }
        }
        Ok(Some(snapshot))
    }

    async fn book(
        &self,
        snapshot: &Snapshot,
        org: &OrgId,
        revision: Revision,
    ) -> Result<AccessBook, StoreError> {
        let mut book = AccessBook::new();
        book.set_revision(revision.get());
        if let Some(head) = snapshot.records().access_head(org) {
            book.apply(&AccessChange::Head(*head));
        }
        for (_, value) in self.all(keys::groups(org)).await? {
            if let Row::Group(group) = decode_row(&value)?.1 {
                book.apply(&AccessChange::PutGroup(group));
            }
        }
        for (_, value) in self.all(keys::group_members(org)).await? {
            // The row says nothing, so its key is kept with it.
            let (group, member) = postcard::from_bytes(payload(&value)?)
                .map_err(|_| StoreError::corrupt("a group's member"))?;
            book.apply(&AccessChange::PutGroupMember { group, member });
        }
        for (_, value) in self.all(keys::grants(org)).await? {
            if let Row::Grant(grant) = decode_row(&value)?.1 {
                book.apply(&AccessChange::PutGrant(*grant));
            }
        }
        Ok(book)
    }

    async fn all(&self, mut range: KvRange) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let mut all = Vec::new();
        loop {
            let part = self.kv.scan(&range, SCAN).await?;
            let full = part.len() == SCAN;
            all.extend(part);
            match all.last() {
                Some((last, _)) if full => range = keys::behind(range, last.clone()),
                _ => return Ok(all),
            }
        }
    }

    async fn commit_one(&self, commit: &Commit) -> Result<Committed, StoreError> {
        if let (Home::Consumer(_), Some(_)) = (&commit.home, &commit.receipt) {
            return Err(StoreError::Malformed {
                what: "a receipt of a consumer",
            });
        }
        let receipt = keys::receipt(&commit.home, commit.id);
        let mut checks = Vec::with_capacity(commit.checks.len() + 2);
        if commit.receipt.is_some() {
            checks.push((
                KvCheck {
                    key: receipt.clone(),
                    number: 0,
                },
                None,
            ));
        }
        for check in &commit.checks {
            let about = Some(check.key());
            match check {
                Check::Revision { key, revision } => {
                    let key = keys::row(key);
                    checks.push((
                        KvCheck {
                            key,
                            number: revision.get(),
                        },
                        about,
                    ));
                }
                Check::UseCount { key, count } => {
                    checks.push((
                        KvCheck {
                            key: keys::row(key),
                            number: *count,
                        },
                        about,
                    ));
                }
                Check::SeatCount { key, count } => {
                    let org = key.organization().ok_or(StoreError::Malformed {
                        what: "a seat count of no organization",
                    })?;
                    let pending = keys::seat_count(org, false);
                    checks.push((
                        KvCheck {
                            key: pending,
                            number: count.pending,
                        },
                        about,
                    ));
                    let approved = keys::seat_count(org, true);
                    checks.push((
                        KvCheck {
                            key: approved,
                            number: count.approved,
                        },
                        about,
                    ));
                }
            }
        }
        let mut ops = Vec::with_capacity(commit.writes.len() * 2 + 2);
        let mut about = Vec::with_capacity(ops.capacity());
        for write in &commit.writes {
            write_ops(write, &mut ops)?;
            about.resize(ops.len(), write.key());
        }
        let erasures: Vec<&Write> = commit
            .writes
            .iter()
            .filter(|write| matches!(write, Write::Erase { .. }))
            .collect();
        if !erasures.is_empty() {
            self.erase(commit, &erasures, &mut checks, &mut ops).await?;
            about.resize(ops.len(), erasures[0].key());
        }
        if let Some(kept) = &commit.receipt {
            let mut value = 1_u64.to_be_bytes().to_vec();
            value.extend(encode(kept)?);
            ops.push(KvOp::Put {
                key: receipt.clone(),
                value,
            });
        }
        if !commit.events.is_empty() {
            ops.push(KvOp::Append {
                log: keys::log(),
                value: entry(commit)?,
            });
        }
        let (checks, checked): (Vec<_>, Vec<_>) = checks.into_iter().unzip();
        match self.kv.commit(&checks, &ops).await? {
            KvCommitted::Applied => Ok(Committed::Applied),
            KvCommitted::CheckMissed(index) => {
                if let Some(key) = checked.get(index).copied().flatten() {
                    return Ok(Committed::Conflict { key: key.clone() });
                }
                // The first check is that there is no receipt, if one is kept.
                let found = self.kv.get(std::slice::from_ref(&receipt)).await?;
                let value = found.into_iter().next().flatten();
                let value = value.ok_or_else(|| StoreError::corrupt("a receipt is gone"))?;
                Ok(Committed::AlreadyApplied(decode_receipt(&value)?))
            }
            KvCommitted::BoundMissed(index) => {
                let key = about.get(index).copied().ok_or(StoreError::Malformed {
                    what: "a bound without a counter",
                })?;
                Ok(Committed::Conflict { key: key.clone() })
            }
        }
    }

    /// Rewrites the entries of the log that personal data is erased from, on condition that
    /// nobody else does that at the same time, and empties the answers that are kept with them.
    async fn erase<'a>(
        &self,
        commit: &Commit,
        erasures: &[&'a Write],
        checks: &mut Vec<(KvCheck, Option<&'a RowKey>)>,
        ops: &mut Vec<KvOp>,
    ) -> Result<(), StoreError> {
        let mut entries: BTreeMap<u64, (u64, Entry, &RowKey)> = BTreeMap::new();
        for write in erasures {
            let Write::Erase {
                key,
                sequence,
                commit: of,
                event,
                mark,
            } = write
            else {
                continue;
            };
            let malformed = StoreError::Malformed {
                what: "an erasure of an event that is not there",
            };
            if let std::collections::btree_map::Entry::Vacant(place) =
                entries.entry(sequence.commit)
            {
                let found = self.kv.get(&[keys::log_entry(sequence.commit)]).await?;
                let Some(value) = found.into_iter().next().flatten() else {
                    return Err(malformed);
                };
                let entry = postcard::from_bytes(payload(&value)?)
                    .map_err(|_| StoreError::corrupt("an entry of the log"))?;
                place.insert((number(Some(&value))?, entry, key));
            }
            let Some((_, entry, _)) = entries.get_mut(&sequence.commit) else {
                return Err(malformed);
            };
            let Some(place) = usize::try_from(sequence.ordinal)
                .ok()
                .and_then(|place| entry.events.get_mut(place))
            else {
                return Err(malformed);
            };
            if entry.commit != *of || Home::Organization(entry.organization.clone()) != commit.home
            {
                return Err(malformed);
            }
            *place = (**event).clone();
            entry.erased.insert(sequence.ordinal, *mark);
        }
        for (commit, (number, entry, about)) in entries {
            let key = keys::log_entry(commit);
            checks.push((
                KvCheck {
                    key: key.clone(),
                    number,
                },
                Some(about),
            ));
            ops.push(KvOp::Put {
                key,
                value: entry_value(number + 1, &entry)?,
            });
            let home = Home::Organization(entry.organization.clone());
            let receipt = keys::receipt(&home, entry.commit);
            let kept = self.kv.get(std::slice::from_ref(&receipt)).await?;
            if let Some(value) = kept.into_iter().next().flatten() {
                let mut kept = decode_receipt(&value)?;
                kept.reply.clear();
                let mut value = 1_u64.to_be_bytes().to_vec();
                value.extend(encode(&kept)?);
                ops.push(KvOp::Put {
                    key: receipt,
                    value,
                });
            }
        }
        Ok(())
    }

    /// The rows of a list, from where the page begins.
    async fn scan_list(
        &self,
        query: &Query,
        from: Option<&Position>,
        page: &Page,
        now: Timestamp,
    ) -> Result<Vec<(RowKey, Row)>, StoreError> {
        let malformed = StoreError::Malformed {
            what: "a cursor of another list",
        };
        let mut rows = Vec::new();
        let limit = page.limit() + 1;
        match query {
            Query::RunOut { host }
            | Query::RunOutLinks { host }
            | Query::RunOutInvites { host } => {
                let what = match query {
                    Query::RunOutLinks { .. } => RunOut::Links,
                    Query::RunOutInvites { .. } => RunOut::Invites,
                    _ => RunOut::Episodes,
                };
                let ranges: Vec<KvRange> = match host {
                    Some(host) => vec![keys::run_out(what, Bucket::of(host), now)],
                    None => keys::buckets()
                        .map(|bucket| keys::run_out(what, bucket, now))
                        .collect(),
                };
                let mut entries = Vec::new();
                for range in ranges {
                    entries.extend(self.all(range).await?);
                }
                let mut found = self.rows(entries, query, now).await?;
                found
                    .retain(|(key, _)| host.as_ref().is_none_or(|h| key.organization() == Some(h)));
                let sort_key = |key: &RowKey, row: &Row| {
                    query
                        .position_of(key, row)
                        .and_then(|place| place_of(&place))
                };
                found.sort_by_key(|(key, row)| sort_key(key, row));
                if let Some(from) = from {
                    let from = Some(place_of(from).ok_or(malformed)?);
                    found.retain(|(key, row)| sort_key(key, row) > from);
                }
                found.truncate(limit);
                rows = found;
            }
            Query::Tokens { .. } => {
                let from = match from {
                    None => None,
                    Some(Position::Token(selector)) => Some(*selector),
                    Some(_) => return Err(malformed),
                };
                for bucket in keys::buckets() {
                    if from.is_some_and(|from| bucket < from.bucket()) {
                        continue;
                    }
                    let mut range = keys::tokens(bucket);
                    if let Some(from) = from.filter(|from| from.bucket() == bucket) {
                        range = keys::behind(range, keys::row(&RowKey::Token(from)));
                    }
                    self.scan_rows(range, query, now, limit, &mut rows).await?;
                    if rows.len() >= limit {
                        break;
                    }
                }
            }
            Query::Links { .. }
            | Query::Pending { .. }
            | Query::Members { .. }
            | Query::MembershipsOf { .. }
            | Query::Uses { .. }
            | Query::Groups { .. }
            | Query::Grants { .. }
            | Query::Invites { .. }
            | Query::InvitesTo { .. }
            | Query::Discover { .. }
            | Query::Endpoints { .. }
            | Query::Parked { .. } => {
                let range = start(query, from).ok_or(malformed)?;
                self.scan_rows(range, query, now, limit, &mut rows).await?;
            }
        }
        Ok(rows)
    }

    async fn scan_rows(
        &self,
        mut range: KvRange,
        query: &Query,
        now: Timestamp,
        limit: usize,
        rows: &mut Vec<(RowKey, Row)>,
    ) -> Result<(), StoreError> {
        // What a page without a filter needs, and no more.
        let chunk = limit.clamp(16, SCAN);
        loop {
            let part = self.kv.scan(&range, chunk).await?;
            let Some((last, _)) = part.last() else {
                return Ok(());
            };
            let (full, last) = (part.len() == chunk, last.clone());
            let is_index = matches!(
                query,
                Query::Pending { .. }
                    | Query::MembershipsOf { .. }
                    | Query::InvitesTo { .. }
                    | Query::Discover { .. }
                    | Query::Endpoints { .. }
            );
            if is_index {
                rows.extend(self.rows(part, query, now).await?);
            } else {
                for (entry, value) in &part {
                    let row = decode_row(value)?.1;
                    let key = key_of(query, value, &row)?;
                    if keys::row(&key) != *entry {
                        return Err(StoreError::corrupt("a row of another key"));
                    }
                    if query.matches(&row, now) {
                        rows.push((key, row));
                    }
                }
            }
            if rows.len() >= limit {
                rows.truncate(limit);
                return Ok(());
            }
            if !full {
                return Ok(());
            }
            range = keys::behind(range, last);
        }
    }

    /// The rows that index entries name, as far as they are still wanted in that place: a row may
    /// have moved in its index since that was scanned, and is met again where it is now.
    async fn rows(
        &self,
        entries: Vec<(Vec<u8>, Vec<u8>)>,
        query: &Query,
        now: Timestamp,
    ) -> Result<Vec<(RowKey, Row)>, StoreError> {
        let targets = entries
            .iter()
            .map(|(_, value)| index_target(value))
            .collect::<Result<Vec<_>, _>>()?;
        let wanted: Vec<Vec<u8>> = targets.iter().map(keys::row).collect();
        let found = self.kv.get(&wanted).await?;
        let mut rows = Vec::new();
        for (((entry, _), key), value) in entries.into_iter().zip(targets).zip(found) {
            let Some((_, row)) = decode(&key, value.as_deref())? else {
                continue;
            };
            let place = match (query, &row) {
                (Query::Pending { .. }, Row::Membership(row)) => pending_entry(row),
                (Query::MembershipsOf { .. }, Row::Membership(row)) => hosts_entry(row),
                (Query::RunOut { .. }, Row::Membership(row)) => run_out_entry(row),
                (Query::RunOutLinks { .. }, Row::Link(row)) => run_out_link_entry(row),
                (Query::RunOutInvites { .. }, Row::Invite(row)) => run_out_invite_entry(row),
                (Query::InvitesTo { .. }, Row::Invite(row)) => invites_to_entry(row),
                (Query::Discover { .. }, Row::Organization(row)) => discover_entry(row),
                (Query::Endpoints { .. }, Row::Endpoint(row)) => endpoint_entry(row),
                _ => return Err(StoreError::corrupt("an index entry of another kind")),
            };
            if place == Some(entry) && query.matches(&row, now) {
                rows.push((key, row));
            }
        }
        Ok(rows)
    }
}

#[async_trait]
impl<K: Kv> Store for KvStore<K> {
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
        for _ in 0..LOAD_TRIES {
            if let Some(snapshot) = self.try_load(load).await? {
                return Ok(snapshot);
            }
        }
        Err(StoreError::Retryable(
            "rows kept changing while they were read".into(),
        ))
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        let mut outcomes = Vec::with_capacity(commits.len());
        for commit in commits {
            outcomes.push(self.commit_one(commit).await.map_err(|error| {
                // Some of the earlier ones may be in.
                if outcomes.is_empty() {
                    error
                } else {
                    StoreError::Unknown(Box::new(error))
                }
            })?);
        }
        Ok(outcomes)
    }

    async fn list(&self, query: &Query, page: &Page, now: Timestamp) -> Result<Listed, StoreError> {
        let from = query.start(page).map_err(|_| StoreError::Malformed {
            what: "a cursor of another list",
        })?;
        let mut rows = self.scan_list(query, from.as_ref(), page, now).await?;
        let more = rows.len() > page.limit();
        rows.truncate(page.limit());
        let next = rows
            .last()
            .filter(|_| more)
            .and_then(|(key, row)| query.position_of(key, row))
            .map(|position| Cursor::new(query.fingerprint(), &position));
        Ok(Listed { rows, next })
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let start = filter.start(after).map_err(|_| StoreError::Malformed {
            what: "a cursor of another list",
        })?;
        let mut events: Vec<Recorded> = Vec::new();
        let mut seen = start;
        let mut range = keys::log_from(start.commit);
        'scan: loop {
            let part = self.kv.scan(&range, SCAN).await?;
            let full = part.len() == SCAN;
            for (key, value) in part {
                let number =
                    keys::log_number(&key).ok_or_else(|| StoreError::corrupt("a log key"))?;
                let entry: Entry = postcard::from_bytes(payload(&value)?)
                    .map_err(|_| StoreError::corrupt("an entry of the log"))?;
                for (ordinal, event) in (0_u64..).zip(entry.events) {
                    let sequence = Sequence {
                        commit: number,
                        ordinal,
                    };
                    if sequence <= start {
                        continue;
                    }
                    let recorded = Recorded {
                        sequence,
                        commit: entry.commit,
                        organization: entry.organization.clone(),
                        stamp: entry.stamp.clone(),
                        event,
                        erased: entry.erased.get(&ordinal).copied(),
                    };
                    if filter.matches(&recorded) {
                        if events.len() >= limit as usize {
                            break 'scan;
                        }
                        events.push(recorded);
                    }
                    seen = sequence;
                }
                range = keys::behind(range, key);
            }
            if !full {
                break;
            }
        }
        let next = (seen != Sequence::default())
            .then(|| Cursor::new(filter.fingerprint(), &Position::Event(seen)));
        Ok(EventPage {
            events,
            next: next.or_else(|| after.cloned()),
        })
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
}

/// The keys that are read for one row.
fn raw_keys(key: &RowKey) -> Vec<Vec<u8>> {
    match key {
        RowKey::SeatCount(org) => vec![keys::seat_count(org, false), keys::seat_count(org, true)],
        key => vec![keys::row(key)],
    }
}

fn start(query: &Query, from: Option<&Position>) -> Option<KvRange> {
    let (range, last) = match (query, from) {
        (Query::Links { host, .. }, None) => (keys::links(host), None),
        (Query::Links { host, .. }, Some(Position::Link(link))) => (
            keys::links(host),
            Some(keys::row(&RowKey::Link(host.clone(), *link))),
        ),
        (Query::Pending { host, .. }, None) => (keys::pending(host), None),
        (Query::Pending { host, .. }, Some(Position::Pending(at, member))) => (
            keys::pending(host),
            Some(keys::pending_index(host, *at, member)),
        ),
        (Query::Members { host, .. }, None) => (keys::members(host), None),
        (Query::Members { host, .. }, Some(Position::Member(member))) => {
            let key = RowKey::Membership(host.clone(), member.clone());
            (keys::members(host), Some(keys::row(&key)))
        }
        (Query::MembershipsOf { member, .. }, None) => (keys::hosts(member), None),
        (Query::MembershipsOf { member, .. }, Some(Position::Host(host))) => {
            (keys::hosts(member), Some(keys::hosts_index(member, host)))
        }
        (Query::Uses { host, link }, None) => (keys::uses(host, *link), None),
        (Query::Uses { host, link }, Some(Position::Member(member))) => {
            let key = RowKey::LinkUse(host.clone(), *link, member.clone());
            (keys::uses(host, *link), Some(keys::row(&key)))
        }
        (Query::Invites { host, .. }, None) => (keys::invites(host), None),
        (Query::Invites { host, .. }, Some(Position::Invite(of, invite))) if of == host => (
            keys::invites(host),
            Some(keys::row(&RowKey::Invite(host.clone(), *invite))),
        ),
        (Query::InvitesTo { address, .. }, None) => (keys::invites_to(address), None),
        (Query::InvitesTo { address, .. }, Some(Position::Invite(host, invite))) => (
            keys::invites_to(address),
            Some(keys::invites_to_index(address, host, *invite)),
        ),
        (Query::Discover { .. }, None) => (keys::discover(), None),
        (Query::Discover { .. }, Some(Position::Name(name))) => {
            (keys::discover(), Some(keys::discover_index(name)))
        }
        (Query::Endpoints { organization }, None) => (keys::endpoints(organization.as_ref()), None),
        (Query::Endpoints { organization }, Some(Position::Endpoint(of, endpoint))) => (
            keys::endpoints(organization.as_ref()),
            Some(keys::endpoint_index(of, *endpoint)),
        ),
        (Query::Parked { consumer }, None) => (keys::parked(consumer), None),
        (Query::Parked { consumer }, Some(Position::Event(sequence))) => (
            keys::parked(consumer),
            Some(keys::row(&RowKey::Parked(consumer.clone(), *sequence))),
        ),
        (Query::Groups { organization }, None) => (keys::groups(organization), None),
        (Query::Groups { organization }, Some(Position::Group(group))) => {
            let key = RowKey::Group(organization.clone(), *group);
            (keys::groups(organization), Some(keys::row(&key)))
        }
        (Query::Grants { organization }, None) => (keys::grants(organization), None),
        (Query::Grants { organization }, Some(Position::Grant(grant))) => {
            let key = RowKey::Grant(organization.clone(), *grant);
            (keys::grants(organization), Some(keys::row(&key)))
        }
        _ => return None,
    };
    Some(match last {
        Some(last) => keys::behind(range, last),
        None => range,
    })
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value).map_err(|error| StoreError::Fatal(Box::new(error)))
}

/// Revision, format, then the row; behind it the key of rows that lists can't name otherwise.
fn row_value(revision: Revision, key: &RowKey, row: &Row) -> Result<Vec<u8>, StoreError> {
    let mut value = Vec::with_capacity(256);
    value.extend(revision.get().to_be_bytes());
    value.push(FORMAT);
    match key {
        RowKey::GroupMember(_, group, member) => value.extend(encode(&(group, member))?),
        RowKey::LinkUse(_, _, member) => value.extend(encode(&(row, member))?),
        RowKey::Parked(_, sequence) => value.extend(encode(&(row, sequence))?),
        _ => value.extend(encode(row)?),
    }
    Ok(value)
}

fn number(value: Option<&[u8]>) -> Result<u64, StoreError> {
    let Some(value) = value else { return Ok(0) };
    value
        .first_chunk::<8>()
        .map(|number| u64::from_be_bytes(*number))
        .ok_or_else(|| StoreError::corrupt("a value without a number"))
}

/// What is behind revision and format.
fn payload(value: &[u8]) -> Result<&[u8], StoreError> {
    match value.get(8..).and_then(<[u8]>::split_first) {
        Some((&FORMAT, payload)) => Ok(payload),
        Some((&format, _)) if format > FORMAT => Err(StoreError::NewerSchema {
            found: i64::from(format),
            known: i64::from(FORMAT),
        }),
        Some((&format, _)) => Err(StoreError::corrupt(format!("a row of layout {format}"))),
        None => Err(StoreError::corrupt("a value without a format")),
    }
}

fn decode_row(value: &[u8]) -> Result<(Revision, Row), StoreError> {
    let revision = Revision::new(number(Some(value))?);
    match postcard::take_from_bytes(payload(value)?) {
        Ok((row, _)) => Ok((revision, row)),
        Err(_) => Err(StoreError::corrupt("a row")),
    }
}

fn decode(key: &RowKey, value: Option<&[u8]>) -> Result<Option<(Revision, Row)>, StoreError> {
    let count = number(value)?;
    match (key, value) {
        (RowKey::UseCount(..), _) => Ok(Some((Revision::ABSENT, Row::UseCount(count)))),
        (_, None) => Ok(None),
        (RowKey::LinkTally(..) | RowKey::SeatTally(_) | RowKey::PreviewTally(..), Some(_)) => {
            Ok(Some((Revision::new(count), Row::Tally(count))))
        }
        (RowKey::GroupMember(..), Some(_)) => Ok(Some((Revision::new(count), Row::GroupMember))),
        (_, Some(value)) => {
            let (revision, row) = decode_row(value)?;
            // A row that is read in another one's place would be a fact that nobody decided.
            if is_of(key, &row) {
                Ok(Some((revision, row)))
            } else {
                Err(StoreError::corrupt("a row of another key"))
            }
        }
    }
}

/// Whether this is a row for this key, as far as the row says so itself.
fn is_of(key: &RowKey, row: &Row) -> bool {
    match (key, row) {
        (RowKey::Organization(id), Row::Organization(row)) => row.id == *id,
        (RowKey::Link(host, id), Row::Link(row)) => row.host == *host && row.id == *id,
        (RowKey::Token(selector), Row::Token(row)) => row.selector == *selector,
        (RowKey::Invite(host, id), Row::Invite(row)) => row.host == *host && row.id == *id,
        (RowKey::Endpoint(of, id), Row::Endpoint(row)) => row.organization == *of && row.id == *id,
        (RowKey::Membership(host, member), Row::Membership(row)) => {
            row.host == *host && row.member == *member
        }
        (RowKey::Group(_, id), Row::Group(row)) => row.id == *id,
        (RowKey::Grant(_, id), Row::Grant(row)) => row.id == *id,
        (RowKey::Name(_), Row::Name(_))
        | (RowKey::Owners(_), Row::Owners(_))
        | (
            RowKey::SeatTally(_) | RowKey::LinkTally(..) | RowKey::PreviewTally(..),
            Row::Tally(_),
        )
        | (RowKey::Address(..), Row::Address(_))
        | (RowKey::Consumer(_), Row::Consumer(_))
        | (RowKey::Parked(..), Row::Parked(_))
        | (RowKey::AccessHead(_), Row::AccessHead(_))
        | (RowKey::LinkUse(..), Row::LinkUse(_))
        | (RowKey::Acting(..), Row::Acting(_))
        | (RowKey::GroupMember(..), Row::GroupMember)
        | (RowKey::UseCount(..), Row::UseCount(_))
        | (RowKey::SeatCount(_), Row::SeatCount(_)) => true,
        _ => false,
    }
}

fn decode_receipt(value: &[u8]) -> Result<Receipt, StoreError> {
    postcard::from_bytes(value.get(8..).unwrap_or_default())
        .map_err(|_| StoreError::corrupt("a receipt"))
}

fn index_target(value: &[u8]) -> Result<RowKey, StoreError> {
    postcard::from_bytes(value.get(8..).unwrap_or_default())
        .map_err(|_| StoreError::corrupt("an index entry"))
}

fn entry(commit: &Commit) -> Result<Vec<u8>, StoreError> {
    let organization = match &commit.home {
        Home::Organization(org) => org.clone(),
        Home::Consumer(_) => {
            return Err(StoreError::Malformed {
                what: "events of a consumer",
            });
        }
        Home::Name(_) => match commit.events.first() {
            Some(Event::Organization(
                guestlist_membership::organization::OrganizationEvent::NameReserved {
                    organization,
                    ..
                },
            )) => organization.clone(),
            _ => {
                return Err(StoreError::Malformed {
                    what: "a name with other events",
                });
            }
        },
    };
    let entry = Entry {
        commit: commit.id,
        organization,
        stamp: commit.stamp.clone(),
        events: commit.events.clone(),
        erased: BTreeMap::new(),
    };
    entry_value(1, &entry)
}

fn entry_value(number: u64, entry: &Entry) -> Result<Vec<u8>, StoreError> {
    let mut value = number.to_be_bytes().to_vec();
    value.push(FORMAT);
    value.extend(encode(entry)?);
    Ok(value)
}

/// The key of a row that a list found.
fn key_of(query: &Query, value: &[u8], row: &Row) -> Result<RowKey, StoreError> {
    let unexpected = || StoreError::corrupt("a row of another kind in a list");
    Ok(match (query, row) {
        (_, Row::Link(link)) => RowKey::Link(link.host.clone(), link.id),
        (_, Row::Membership(membership)) => {
            RowKey::Membership(membership.host.clone(), membership.member.clone())
        }
        (_, Row::Token(token)) => RowKey::Token(token.selector),
        (_, Row::Invite(invite)) => RowKey::Invite(invite.host.clone(), invite.id),
        (Query::Parked { consumer }, Row::Parked(_)) => {
            let (_, sequence): (Row, Sequence) =
                postcard::from_bytes(value.get(9..).unwrap_or_default())
                    .map_err(|_| unexpected())?;
            RowKey::Parked(consumer.clone(), sequence)
        }
        (Query::Groups { organization }, Row::Group(group)) => {
            RowKey::Group(organization.clone(), group.id)
        }
        (Query::Grants { organization }, Row::Grant(grant)) => {
            RowKey::Grant(organization.clone(), grant.id)
        }
        (Query::Uses { host, link }, Row::LinkUse(_)) => {
            let (_, member): (Row, Member) =
                postcard::from_bytes(value.get(9..).unwrap_or_default())
                    .map_err(|_| unexpected())?;
            RowKey::LinkUse(host.clone(), *link, member)
        }
        _ => return Err(unexpected()),
    })
}

fn write_ops(write: &Write, ops: &mut Vec<KvOp>) -> Result<(), StoreError> {
    match write {
        Write::Put {
            key,
            row: Row::Tally(count),
            ..
        } => {
            ops.push(KvOp::Put {
                key: keys::row(key),
                value: count.to_be_bytes().to_vec(),
            });
        }
        Write::Put {
            key,
            row,
            revision,
            before,
        } => {
            let value = row_value(*revision, key, row)?;
            ops.push(KvOp::Put {
                key: keys::row(key),
                value,
            });
            derived_ops(key, before.as_deref(), Some(row), ops)?;
        }
        Write::Delete { key, before } => {
            ops.push(KvOp::Delete {
                key: keys::row(key),
            });
            derived_ops(key, before.as_deref(), None, ops)?;
        }
        // The log is rewritten apart.
        Write::Erase { .. } => {}
        Write::Take { key, below } => {
            ops.push(KvOp::Add {
                key: keys::row(key),
                by: 1,
                below: Some(*below),
            });
        }
        Write::Give { key } => {
            ops.push(KvOp::Add {
                key: keys::row(key),
                by: -1,
                below: None,
            });
        }
    }
    Ok(())
}

/// What a row's change does to the counts and indexes that are kept of such rows.
fn derived_ops(
    key: &RowKey,
    before: Option<&Row>,
    after: Option<&Row>,
    ops: &mut Vec<KvOp>,
) -> Result<(), StoreError> {
    let mut add = |key: Vec<u8>, before: bool, after: bool| {
        let by = i64::from(after) - i64::from(before);
        if by != 0 {
            ops.push(KvOp::Add {
                key,
                by,
                below: None,
            });
        }
    };
    match key {
        RowKey::LinkUse(org, link, _) => {
            let counts = |row: Option<&Row>| match row {
                Some(Row::LinkUse(held)) => held.state.counts(),
                _ => false,
            };
            let key = keys::row(&RowKey::UseCount(org.clone(), *link));
            add(key, counts(before), counts(after));
        }
        RowKey::Membership(org, _) => {
            let (before, after) = (membership(before), membership(after));
            let is = |row: Option<&Membership>, status| {
                row.is_some_and(|row| row.status == Some(status))
            };
            for status in [Status::Pending, Status::Approved] {
                let key = keys::seat_count(org, status == Status::Approved);
                add(key, is(before, status), is(after, status));
            }
            for index in [pending_entry, hosts_entry, run_out_entry] {
                index_ops(key, before.and_then(index), after.and_then(index), ops)?;
            }
        }
        RowKey::Link(..) => {
            let link = |row: Option<&Row>| match row {
                Some(Row::Link(link)) => run_out_link_entry(link),
                _ => None,
            };
            index_ops(key, link(before), link(after), ops)?;
        }
        RowKey::Invite(..) => {
            for index in [invites_to_entry, run_out_invite_entry] {
                let invite = |row: Option<&Row>| match row {
                    Some(Row::Invite(invite)) => index(invite),
                    _ => None,
                };
                index_ops(key, invite(before), invite(after), ops)?;
            }
        }
        RowKey::Endpoint(..) => {
            let endpoint = |row: Option<&Row>| match row {
                Some(Row::Endpoint(row)) => endpoint_entry(row),
                _ => None,
            };
            index_ops(key, endpoint(before), endpoint(after), ops)?;
        }
        RowKey::Organization(_) => {
            let organization = |row: Option<&Row>| match row {
                Some(Row::Organization(row)) => discover_entry(row),
                _ => None,
            };
            index_ops(key, organization(before), organization(after), ops)?;
        }
        _ => {}
    }
    Ok(())
}

/// Moves a row in an index.
fn index_ops(
    key: &RowKey,
    old: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
    ops: &mut Vec<KvOp>,
) -> Result<(), StoreError> {
    if old != new {
        ops.extend(old.map(|key| KvOp::Delete { key }));
        if let Some(entry) = new {
            let mut value = 1_u64.to_be_bytes().to_vec();
            value.extend(encode(key)?);
            ops.push(KvOp::Put { key: entry, value });
        }
    }
    Ok(())
}

/// When, where and what has run out: the order of such lists.
fn place_of(position: &Position) -> Option<(Timestamp, OrgId, Vec<u8>)> {
    match position {
        Position::RunOut(at, host, member) => Some((
            *at,
            host.clone(),
            keys::row(&RowKey::Membership(host.clone(), member.clone())),
        )),
        Position::RunOutLink(at, host, link) => Some((*at, host.clone(), link.as_bytes().to_vec())),
        Position::RunOutInvite(at, host, invite) => {
            Some((*at, host.clone(), invite.as_bytes().to_vec()))
        }
        Position::Link(_)
        | Position::Member(_)
        | Position::Pending(..)
        | Position::Host(_)
        | Position::Group(_)
        | Position::Grant(_)
        | Position::Token(_)
        | Position::Event(_)
        | Position::Endpoint(..)
        | Position::Invite(..)
        | Position::Name(_) => None,
    }
}

fn run_out_link_entry(link: &Link) -> Option<Vec<u8>> {
    (link.deleted_at.is_none() && link.expired_at.is_none())
        .then_some(link.config.expires_at)
        .flatten()
        .map(|at| keys::run_out_link_index(&link.host, at, link.id))
}

fn run_out_invite_entry(invite: &EmailInvite) -> Option<Vec<u8>> {
    (invite.closed.is_none() && invite.expired_at.is_none())
        .then_some(invite.expires_at)
        .flatten()
        .map(|at| keys::run_out_invite_index(&invite.host, at, invite.id))
}

/// The address is that of the one who was invited, in whatever state the invite is.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an index may leave rows out, this one doesn't"
)]
fn invites_to_entry(invite: &EmailInvite) -> Option<Vec<u8>> {
    Some(keys::invites_to_index(
        &invite.address,
        &invite.host,
        invite.id,
    ))
}

fn endpoint_entry(endpoint: &Endpoint) -> Option<Vec<u8>> {
    endpoint
        .deleted_at
        .is_none()
        .then(|| keys::endpoint_index(&endpoint.organization, endpoint.id))
}

fn discover_entry(organization: &Organization) -> Option<Vec<u8>> {
    (organization.settings.discoverable && organization.status == OrgStatus::Active)
        .then(|| keys::discover_index(&organization.name))
}

fn membership(row: Option<&Row>) -> Option<&Membership> {
    match row {
        Some(Row::Membership(membership)) => Some(membership),
        _ => None,
    }
}

fn pending_entry(row: &Membership) -> Option<Vec<u8>> {
    (row.status == Some(Status::Pending))
        .then(|| keys::pending_index(&row.host, row.opened_at, &row.member))
}

fn hosts_entry(row: &Membership) -> Option<Vec<u8>> {
    row.status
        .map(|_| keys::hosts_index(&row.member, &row.host))
}

fn run_out_entry(row: &Membership) -> Option<Vec<u8>> {
    matches!(row.status, Some(Status::Pending | Status::Approved))
        .then_some(row.expires_at)
        .flatten()
        .map(|at| keys::run_out_index(&row.host, at, &row.member))
}

#[cfg(test)]
mod tests;
