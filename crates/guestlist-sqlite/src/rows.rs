//! Where each kind of row is kept: its statements, its columns, and what is read back.

use guestlist_access::GroupMember;
use guestlist_membership::link::{Link, TokenRecord};
use guestlist_membership::member::{Door, Membership};
use guestlist_membership::{Home, Row, RowKey};
use guestlist_store::StoreError;
use guestlist_types::{Bucket, OrgId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::signed;
use crate::value::{Value, member_values};

/// A statement with its parameters.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) sql: &'static str,
    pub(crate) values: Vec<Value>,
}

/// The statements of one kind of row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statements {
    /// The revision, or the count of a counter.
    pub(crate) number: &'static str,
    /// The same and the body.
    pub(crate) read: &'static str,
    put: &'static str,
    delete: &'static str,
}

macro_rules! statements {
    (@condition $first:ident $(, $key:ident)*) => {
        concat!(" where ", stringify!($first), " = ?" $(, " and ", stringify!($key), " = ?")*)
    };
    (@list $first:ident $(, $column:ident)*) => {
        concat!(stringify!($first) $(, ", ", stringify!($column))*)
    };
    (@marks $first:ident $(, $column:ident)*) => {
        concat!("?" $(, statements!(@mark $column))*)
    };
    (@mark $column:ident) => { ", ?" };
    (@sets $first:ident $(, $column:ident)*) => {
        concat!(
            stringify!($first), " = excluded.", stringify!($first)
            $(, ", ", stringify!($column), " = excluded.", stringify!($column))*
        )
    };
    ($table:literal, $body:literal, [$($key:ident),*], [$number:ident $(, $column:ident)*]) => {
        Statements {
            number: concat!(
                "select ", stringify!($number), " from guestlist_", $table,
                statements!(@condition $($key),*)
            ),
            read: concat!(
                "select ", stringify!($number), ", ", $body, " from guestlist_", $table,
                statements!(@condition $($key),*)
            ),
            put: concat!(
                "insert into guestlist_", $table,
                " (", statements!(@list $($key,)* $number $(, $column)*), ") values (",
                statements!(@marks $($key,)* $number $(, $column)*), ") on conflict (",
                statements!(@list $($key),*), ") do update set ",
                statements!(@sets $number $(, $column)*)
            ),
            delete: concat!(
                "delete from guestlist_", $table, statements!(@condition $($key),*)
            ),
        }
    };
}

const NAMES: Statements = statements!(
    "names",
    "body",
    [bucket, name],
    [revision, body, organization]
);
const ORGANIZATIONS: Statements = statements!(
    "organizations",
    "body",
    [bucket, host],
    [
        revision,
        body,
        name,
        status,
        default_link,
        created_at,
        updated_at
    ]
);
const OWNERS: Statements = statements!("owners", "body", [bucket, host], [revision, body]);
const SEAT_TALLIES: Statements = statements!("seat_tallies", "null", [bucket, host], [taken]);
const ACCESS_HEADS: Statements = statements!(
    "access_heads",
    "body",
    [bucket, host],
    [revision, body, external_group]
);
const LINKS: Statements = statements!(
    "links",
    "body",
    [bucket, host, link],
    [
        revision, body, status, generation, token, creator, expires_at, created_at, updated_at,
        deleted_at
    ]
);
const LINK_TALLIES: Statements = statements!("link_tallies", "null", [bucket, host, link], [uses]);
const LINK_USES: Statements = statements!(
    "link_uses",
    "body",
    [bucket, host, link, member_kind, member_id],
    [revision, body, generation, state, at]
);
const TOKENS: Statements = statements!(
    "tokens",
    "body",
    [selector],
    [
        revision,
        body,
        bucket,
        host,
        link,
        generation,
        issued_at,
        valid_until,
        pepper
    ]
);
const MEMBERSHIPS: Statements = statements!(
    "memberships",
    "body",
    [bucket, host, member_kind, member_id],
    [
        revision,
        body,
        status,
        episode,
        door_link,
        door_generation,
        role,
        opened_at,
        approved_at,
        expires_at,
        ended_cause,
        ended_at,
        proxy_id,
        proxy_name,
        updated_at
    ]
);
const ACTING: Statements = statements!("acting", "body", [bucket, host, target], [revision, body]);
const GROUPS: Statements = statements!(
    "groups",
    "body",
    [bucket, host, group_id],
    [revision, body, name, internal, created_at]
);
const GROUP_MEMBERS: Statements = statements!(
    "group_members",
    "null",
    [bucket, host, group_id, kind, member, episode],
    [revision]
);
const GRANTS: Statements = statements!(
    "grants",
    "body",
    [bucket, host, grant_id],
    [revision, body, at, expires_at]
);

/// How many of a link's uses count.
const USE_COUNT: &str = "select count(*) from guestlist_link_uses \
    where bucket = ? and host = ? and link = ? and state in ('reserved', 'settled')";

/// How many memberships of a host have one status.
pub(crate) const STATUS_COUNT: &str = "select count(*) from guestlist_memberships \
    where bucket = ? and host = ? and status = ?";

const TAKE_LINK: &str = "insert into guestlist_link_tallies (bucket, host, link, uses) \
    values (?, ?, ?, 1) on conflict (bucket, host, link) do update set uses = uses + 1";
const TAKE_SEAT: &str = "insert into guestlist_seat_tallies (bucket, host, taken) \
    values (?, ?, 1) on conflict (bucket, host) do update set taken = taken + 1";
const GIVE_LINK: &str = "insert into guestlist_link_tallies (bucket, host, link, uses) \
    values (?, ?, ?, 0) on conflict (bucket, host, link) do update set uses = max(uses - 1, 0)";
const GIVE_SEAT: &str = "insert into guestlist_seat_tallies (bucket, host, taken) \
    values (?, ?, 0) on conflict (bucket, host) do update set taken = max(taken - 1, 0)";

pub(crate) const NOT_COUNTED: StoreError = StoreError::Malformed {
    what: "a counter that is none",
};

const OTHER_ROW: StoreError = StoreError::Malformed {
    what: "a row under the key of another one",
};

const fn statements_of(key: &RowKey) -> Option<Statements> {
    Some(match key {
        RowKey::Name(_) => NAMES,
        RowKey::Organization(_) => ORGANIZATIONS,
        RowKey::Owners(_) => OWNERS,
        RowKey::SeatTally(_) => SEAT_TALLIES,
        RowKey::AccessHead(_) => ACCESS_HEADS,
        RowKey::Link(..) => LINKS,
        RowKey::LinkTally(..) => LINK_TALLIES,
        RowKey::LinkUse(..) => LINK_USES,
        RowKey::Token(_) => TOKENS,
        RowKey::Membership(..) => MEMBERSHIPS,
        RowKey::Acting(..) => ACTING,
        RowKey::Group(..) => GROUPS,
        RowKey::GroupMember(..) => GROUP_MEMBERS,
        RowKey::Grant(..) => GRANTS,
        RowKey::UseCount(..) | RowKey::SeatCount(_) => return None,
    })
}

/// The two columns that a host's rows begin with.
pub(crate) fn host_values(host: &OrgId) -> Vec<Value> {
    let mut values = Vec::with_capacity(20);
    values.extend([Bucket::of(host).into(), host.as_str().into()]);
    values
}

/// The columns of a key.
fn key_values(key: &RowKey) -> Vec<Value> {
    match key {
        RowKey::Name(name) => vec![
            Bucket::of_bytes(name.as_str().as_bytes()).into(),
            name.as_str().into(),
        ],
        RowKey::Organization(org)
        | RowKey::Owners(org)
        | RowKey::SeatTally(org)
        | RowKey::AccessHead(org)
        | RowKey::SeatCount(org) => host_values(org),
        RowKey::Link(org, link) | RowKey::LinkTally(org, link) | RowKey::UseCount(org, link) => {
            let mut values = host_values(org);
            values.push(link.as_bytes().into());
            values
        }
        RowKey::LinkUse(org, link, member) => {
            let mut values = host_values(org);
            values.push(link.as_bytes().into());
            values.extend(member_values(member));
            values
        }
        RowKey::Token(selector) => vec![selector.as_i64().into()],
        RowKey::Membership(org, member) => {
            let mut values = host_values(org);
            values.extend(member_values(member));
            values
        }
        RowKey::Acting(org, host) => {
            let mut values = host_values(org);
            values.push(host.as_str().into());
            values
        }
        RowKey::Group(org, group) => {
            let mut values = host_values(org);
            values.push(group.as_bytes().into());
            values
        }
        RowKey::GroupMember(org, group, member) => {
            let mut values = host_values(org);
            values.push(group.as_bytes().into());
            match member {
                GroupMember::Group(inner) => values.extend([
                    Value::Name("group"),
                    inner.to_string().into(),
                    Value::Int(0),
                ]),
                GroupMember::Member { member, episode } => {
                    values.extend(member_values(member));
                    values.push(episode.get().into());
                }
            }
            values
        }
        RowKey::Grant(org, grant) => {
            let mut values = host_values(org);
            values.push(grant.as_bytes().into());
            values
        }
    }
}

/// Reads the number and the body of a row.
pub(crate) fn read(key: &RowKey) -> Option<Call> {
    statements_of(key).map(|statements| Call {
        sql: statements.read,
        values: key_values(key),
    })
}

/// Reads the revision of a row, or the count of a counter or of what is counted.
pub(crate) fn number(key: &RowKey) -> Result<Call, StoreError> {
    let sql = match (key, statements_of(key)) {
        (_, Some(statements)) => statements.number,
        (RowKey::UseCount(..), None) => USE_COUNT,
        (_, None) => return Err(NOT_COUNTED),
    };
    Ok(Call {
        sql,
        values: key_values(key),
    })
}

pub(crate) fn delete(key: &RowKey) -> Result<Call, StoreError> {
    let statements = statements_of(key).ok_or(OTHER_ROW)?;
    Ok(Call {
        sql: statements.delete,
        values: key_values(key),
    })
}

pub(crate) fn take(key: &RowKey) -> Result<Call, StoreError> {
    let sql = match key {
        RowKey::LinkTally(..) => TAKE_LINK,
        RowKey::SeatTally(_) => TAKE_SEAT,
        _ => return Err(NOT_COUNTED),
    };
    Ok(Call {
        sql,
        values: key_values(key),
    })
}

pub(crate) fn give(key: &RowKey) -> Result<Call, StoreError> {
    let sql = match key {
        RowKey::LinkTally(..) => GIVE_LINK,
        RowKey::SeatTally(_) => GIVE_SEAT,
        _ => return Err(NOT_COUNTED),
    };
    Ok(Call {
        sql,
        values: key_values(key),
    })
}

/// Writes a row.
pub(crate) fn put(key: &RowKey, row: &Row, revision: u64) -> Result<Call, StoreError> {
    let statements = statements_of(key).ok_or(OTHER_ROW)?;
    let mut values = key_values(key);
    if let (RowKey::LinkTally(..) | RowKey::SeatTally(_), Row::Tally(count)) = (key, row) {
        values.push(signed(*count)?.into());
        return Ok(Call {
            sql: statements.put,
            values,
        });
    }
    values.push(signed(revision)?.into());
    match (key, row) {
        (RowKey::Name(_), Row::Name(record)) => {
            values.extend([json(record)?, record.organization.as_str().into()]);
        }
        (RowKey::Organization(id), Row::Organization(row)) if row.id == *id => values.extend([
            json(row)?,
            row.name.as_str().into(),
            Value::Name(row.status.as_str()),
            row.default_link
                .as_ref()
                .map(guestlist_types::LinkId::as_bytes)
                .into(),
            row.created_at.into(),
            row.updated_at.into(),
        ]),
        (RowKey::Owners(_), Row::Owners(owners)) => values.push(json(owners)?),
        (RowKey::AccessHead(_), Row::AccessHead(head)) => values.extend([
            json(head)?,
            head.external_group
                .as_ref()
                .map(guestlist_types::GroupId::as_bytes)
                .into(),
        ]),
        (RowKey::Link(host, id), Row::Link(link)) if link.host == *host && link.id == *id => {
            values.push(json(link)?);
            push_link(&mut values, link);
        }
        (RowKey::LinkUse(..), Row::LinkUse(held)) => values.extend([
            json(held)?,
            held.generation.get().into(),
            Value::Name(held.state.as_str()),
            held.at.into(),
        ]),
        (RowKey::Token(selector), Row::Token(token)) if token.selector == *selector => {
            values.push(json(token)?);
            push_token(&mut values, token);
        }
        (RowKey::Membership(host, member), Row::Membership(row))
            if row.host == *host && row.member == *member =>
        {
            values.push(json(row)?);
            push_membership(&mut values, row);
        }
        (RowKey::Acting(..), Row::Acting(rule)) => values.push(json(rule)?),
        (RowKey::Group(_, id), Row::Group(group)) if group.id == *id => values.extend([
            json(group)?,
            group.name.as_str().into(),
            group.internal.into(),
            group.created_at.into(),
        ]),
        (RowKey::GroupMember(..), Row::GroupMember) => {}
        (RowKey::Grant(_, id), Row::Grant(grant)) if grant.id == *id => {
            values.extend([json(grant)?, grant.at.into(), grant.expires_at.into()]);
        }
        _ => return Err(OTHER_ROW),
    }
    Ok(Call {
        sql: statements.put,
        values,
    })
}

fn push_link(values: &mut Vec<Value>, link: &Link) {
    values.extend([
        Value::Name(link.status.as_str()),
        link.generation.get().into(),
        link.token.map(guestlist_token::Selector::as_i64).into(),
        link.creator
            .as_ref()
            .map(guestlist_types::UserId::as_str)
            .into(),
        link.config.expires_at.into(),
        link.created_at.into(),
        link.updated_at.into(),
        link.deleted_at.into(),
    ]);
}

fn push_token(values: &mut Vec<Value>, token: &TokenRecord) {
    let pepper = token.tag.map(|tag| i64::from(tag.pepper().get()));
    values.extend([
        token.selector.bucket().into(),
        token.host.as_str().into(),
        token.link.as_bytes().into(),
        token.generation.get().into(),
        token.issued_at.into(),
        token.valid_until.into(),
        pepper.into(),
    ]);
}

fn push_membership(values: &mut Vec<Value>, row: &Membership) {
    let (door_link, door_generation) = match &row.door {
        Door::Link { link, generation } => (link.as_bytes().into(), generation.get().into()),
        Door::Added | Door::Founded => (Value::Null, Value::Null),
    };
    let status = row.status.map(|status| Value::Name(status.as_str()));
    let ended = row.ended.as_ref();
    let cause = ended.map(|ended| Value::Name(ended.cause.as_str()));
    let proxy = row.proxy.as_ref();
    values.extend([
        status.unwrap_or(Value::Null),
        row.episode.get().into(),
        door_link,
        door_generation,
        row.role
            .as_ref()
            .map(guestlist_types::RoleName::as_str)
            .into(),
        row.opened_at.into(),
        row.approved_at.into(),
        row.expires_at.into(),
        cause.unwrap_or(Value::Null),
        ended.map(|ended| ended.at).into(),
        proxy.map(|proxy| proxy.id.as_bytes()).into(),
        proxy.map(|proxy| proxy.user_name.as_str()).into(),
        row.updated_at.into(),
    ]);
}

/// The row of a key, from its body.
pub(crate) fn decode(key: &RowKey, body: &str) -> Result<Row, StoreError> {
    let row = match key {
        RowKey::Name(_) => Row::Name(parse(body, "a name")?),
        RowKey::Organization(_) => Row::Organization(parse(body, "an organization")?),
        RowKey::Owners(_) => Row::Owners(parse(body, "owners")?),
        RowKey::AccessHead(_) => Row::AccessHead(parse(body, "a head of access rules")?),
        RowKey::Link(..) => Row::Link(parse(body, "a link")?),
        RowKey::LinkUse(..) => Row::LinkUse(parse(body, "a use of a link")?),
        RowKey::Token(_) => Row::Token(parse(body, "a token")?),
        RowKey::Membership(..) => Row::Membership(parse(body, "a membership")?),
        RowKey::Acting(..) => Row::Acting(parse(body, "an acting rule")?),
        RowKey::Group(..) => Row::Group(parse(body, "a group")?),
        RowKey::GroupMember(..) => Row::GroupMember,
        RowKey::Grant(..) => Row::Grant(parse(body, "a grant")?),
        RowKey::SeatTally(_)
        | RowKey::LinkTally(..)
        | RowKey::UseCount(..)
        | RowKey::SeatCount(_) => return Err(NOT_COUNTED),
    };
    let fits = match (key, &row) {
        (RowKey::Organization(id), Row::Organization(row)) => row.id == *id,
        (RowKey::Link(host, id), Row::Link(row)) => row.host == *host && row.id == *id,
        (RowKey::Token(selector), Row::Token(row)) => row.selector == *selector,
        (RowKey::Membership(host, member), Row::Membership(row)) => {
            row.host == *host && row.member == *member
        }
        (RowKey::Group(_, id), Row::Group(row)) => row.id == *id,
        (RowKey::Grant(_, id), Row::Grant(row)) => row.id == *id,
        _ => true,
    };
    if fits {
        Ok(row)
    } else {
        Err(StoreError::corrupt("a row under the key of another one"))
    }
}

/// The three columns that a receipt's key begins with.
pub(crate) fn home_values(home: &Home) -> Vec<Value> {
    let (kind, text) = match home {
        Home::Organization(org) => ("organization", org.as_str()),
        Home::Name(name) => ("name", name.as_str()),
    };
    vec![home.bucket().into(), Value::Name(kind), text.into()]
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<Value, StoreError> {
    serde_json::to_string(value)
        .map(Value::Text)
        .map_err(|error| StoreError::Fatal(Box::new(error)))
}

pub(crate) fn parse<T: DeserializeOwned>(body: &str, what: &str) -> Result<T, StoreError> {
    // What serde says may repeat what it read.
    serde_json::from_str(body).map_err(|_| StoreError::corrupt(format!("the body of {what}")))
}
