//! Loading the facts of a scope.

use std::sync::Arc;

use guestlist_access::{AccessBook, AccessChange, Episode, GroupMember};
use guestlist_membership::{Home, Row, RowKey, Scope, SeatCount};
use guestlist_store::columns::{self, Value};
use guestlist_store::{AccessChanges, FoundBook, KnownBooks, Load, Revision, Snapshot, StoreError};
use guestlist_types::{CommitId, GroupId, Member, OrgId, UserId};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row as SqlRow};

use crate::apply;
use crate::error::{Failure, unsigned};
use crate::rows;
use crate::value::bound;

const GROUPS: &str =
    "select body from guestlist_groups where bucket = ? and host = ? order by group_id";
const GROUP_MEMBERS: &str = "select group_id, kind, member, episode from guestlist_group_members \
    where bucket = ? and host = ? order by group_id, kind, member, episode";
const GRANTS: &str =
    "select body from guestlist_grants where bucket = ? and host = ? order by grant_id";

const CHANGES: &str = "select access_revision, body from guestlist_events \
    indexed by guestlist_events_of_access \
    where bucket = ? and host = ? and access_revision > ? and access_revision <= ? \
    order by access_revision, ordinal";

/// A [`Load`] that can be sent elsewhere.
#[derive(Debug)]
pub(crate) struct OwnedLoad {
    scope: Scope,
    receipt: Option<CommitId>,
    known_books: Option<Arc<dyn KnownBooks>>,
}

impl OwnedLoad {
    pub(crate) fn of(load: &Load<'_>) -> Self {
        Self {
            scope: load.scope.clone(),
            receipt: load.receipt,
            known_books: load.known_books.cloned(),
        }
    }

    pub(crate) fn load(&self, connection: &Connection) -> Result<Snapshot, Failure> {
        let mut load = Load::of(&self.scope);
        load.receipt = self.receipt;
        load.known_books = self.known_books.as_ref();
        self::load(connection, &load)
    }
}

/// Reads a scope; the connection is inside a transaction, so that all is of one instant.
pub(crate) fn load(connection: &Connection, load: &Load<'_>) -> Result<Snapshot, Failure> {
    let mut snapshot = Snapshot::new();
    loop {
        let missing = load.scope.missing(&snapshot);
        if missing.is_empty() {
            break;
        }
        for key in missing {
            let found = row(connection, &key)?;
            snapshot.insert(key, found);
        }
    }
    if let Some(host) = load.scope.host(snapshot.records()) {
        if let Some(id) = load.receipt {
            let mut key = columns::home_values(&Home::Organization(host.clone()));
            key.push(id.as_bytes().into());
            snapshot.set_receipt(apply::receipt(connection, &key)?);
        }
        snapshot.set_host(host);
    }
    for organization in load.scope.books(snapshot.records()) {
        let revision = snapshot
            .revision(&RowKey::AccessHead(organization.clone()))
            .unwrap_or(Revision::ABSENT);
        let known = load.known(&organization);
        let found = if known == Some(revision) {
            FoundBook::Known
        } else if let Some(since) = known
            && let Some(found) = changes(connection, &organization, since, revision)?
        {
            found
        } else {
            let book = book(connection, &snapshot, &organization, revision)?;
            FoundBook::Whole(Arc::new(book))
        };
        snapshot.insert_book(organization, found);
    }
    Ok(snapshot)
}

fn row(connection: &Connection, key: &RowKey) -> Result<Option<(Revision, Row)>, Failure> {
    let Some(call) = rows::read(key) else {
        return counted(connection, key).map(|row| Some((Revision::ABSENT, row)));
    };
    let mut statement = connection.prepare_cached(call.sql)?;
    let mut found = statement.query(bound(&call.values))?;
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    let number = unsigned(row.get(0)?)?;
    let row = match key {
        key if key.is_counter() => Row::Tally(number),
        RowKey::GroupMember(..) => Row::GroupMember,
        _ => columns::decode(key, text(row, 1)?)?,
    };
    Ok(Some((Revision::new(number), row)))
}

fn counted(connection: &Connection, key: &RowKey) -> Result<Row, Failure> {
    if let RowKey::SeatCount(host) = key {
        let count = |status| {
            let mut values = columns::host_values(host);
            values.push(Value::Name(status));
            unsigned(apply::count(connection, rows::STATUS_COUNT, &values)?)
        };
        return Ok(Row::SeatCount(SeatCount {
            pending: count("pending")?,
            approved: count("approved")?,
        }));
    }
    let call = rows::number(key)?;
    let count = apply::count(connection, call.sql, &call.values)?;
    Ok(Row::UseCount(unsigned(count)?))
}

/// What happened to access rules since the caller has read them, off the log; `None` if they are
/// to be read whole.
fn changes(
    connection: &Connection,
    host: &OrgId,
    since: Revision,
    until: Revision,
) -> Result<Option<FoundBook>, Failure> {
    let Some(mut changes) = AccessChanges::between(since, until) else {
        return Ok(None);
    };
    let mut values = columns::host_values(host);
    for revision in [since, until] {
        values.push(i64::try_from(revision.get()).unwrap_or(i64::MAX).into());
    }
    let mut statement = connection.prepare_cached(CHANGES)?;
    let mut found = statement.query(bound(&values))?;
    while let Some(row) = found.next()? {
        let revision = Revision::new(unsigned(row.get(0)?)?);
        changes.push(revision, columns::parse(text(row, 1)?, "an event")?);
    }
    Ok(changes.into_found())
}

fn book(
    connection: &Connection,
    snapshot: &Snapshot,
    host: &OrgId,
    revision: Revision,
) -> Result<AccessBook, Failure> {
    let mut book = AccessBook::new();
    book.set_revision(revision.get());
    if let Some(head) = snapshot.records().access_head(host) {
        book.apply(&AccessChange::Head(*head));
    }
    let values = columns::host_values(host);
    let mut statement = connection.prepare_cached(GROUPS)?;
    let mut found = statement.query(bound(&values))?;
    while let Some(row) = found.next()? {
        let group = columns::parse(text(row, 0)?, "a group")?;
        book.apply(&AccessChange::PutGroup(group));
    }
    let mut statement = connection.prepare_cached(GROUP_MEMBERS)?;
    let mut found = statement.query(bound(&values))?;
    while let Some(row) = found.next()? {
        let (group, member) = group_member(row)?;
        book.apply(&AccessChange::PutGroupMember { group, member });
    }
    let mut statement = connection.prepare_cached(GRANTS)?;
    let mut found = statement.query(bound(&values))?;
    while let Some(row) = found.next()? {
        let grant = columns::parse(text(row, 0)?, "a grant")?;
        book.apply(&AccessChange::PutGrant(grant));
    }
    Ok(book)
}

fn group_member(row: &SqlRow<'_>) -> Result<(GroupId, GroupMember), Failure> {
    let group = GroupId::from_bytes(id(row, 0)?);
    let (kind, name) = (text(row, 1)?, text(row, 2)?);
    let member = if kind == "group" {
        GroupMember::Group(GroupId::parse(name).map_err(|_| damaged("a group's member"))?)
    } else {
        let episode: i64 = row.get(3)?;
        let episode = u32::try_from(episode).map_err(|_| damaged("an episode"))?;
        GroupMember::Member {
            member: member(kind, name)?,
            episode: Episode::new(episode),
        }
    };
    Ok((group, member))
}

/// A text column, as it is in the page.
pub(crate) fn text<'a>(row: &'a SqlRow<'_>, column: usize) -> Result<&'a str, Failure> {
    let value = row.get_ref(column)?;
    value.as_str().map_err(|_| damaged("a text column"))
}

/// A column of an id.
pub(crate) fn id(row: &SqlRow<'_>, column: usize) -> Result<[u8; 16], Failure> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => bytes.try_into().map_err(|_| damaged("an id")),
        _ => Err(damaged("an id")),
    }
}

pub(crate) fn organization(text: &str) -> Result<OrgId, Failure> {
    OrgId::parse(text).map_err(|_| damaged("an organization's id"))
}

pub(crate) fn member(kind: &str, id: &str) -> Result<Member, Failure> {
    match kind {
        "org" => organization(id).map(Member::Org),
        "user" => match UserId::parse(id) {
            Ok(id) => Ok(Member::User(id)),
            Err(_) => Err(damaged("a user's id")),
        },
        _ => Err(damaged("a kind of member")),
    }
}

pub(crate) fn damaged(what: &str) -> Failure {
    Failure::Store(StoreError::corrupt(what))
}
