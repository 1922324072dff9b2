//! Where each kind of row is kept: its statements, its columns, and what is read back.

use guestlist_access::GroupMember;
use guestlist_membership::invite::EmailInvite;
use guestlist_membership::link::{Link, TokenRecord, TokenSubject};
use guestlist_membership::member::{Door, Membership};
use guestlist_membership::{Event, Home, Row, RowKey, Sequence};
use guestlist_store::StoreError;
use guestlist_types::{Bucket, CommitId, ConsumerName, OrgId};
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
        discoverable,
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
        revision, body, status, generation, token, creator, expires_at, expired_at, created_at,
        updated_at, deleted_at
    ]
);
const PREVIEW_TALLIES: Statements = statements!(
    "preview_tallies",
    "null",
    [bucket, host, link, generation],
    [previews]
);
const INVITES: Statements = statements!(
    "invites",
    "body",
    [bucket, host, invite],
    [
        revision, body, address, status, generation, token, creator, delivery, expires_at,
        expired_at, created_at, updated_at
    ]
);
const ADDRESSES: Statements = statements!(
    "addresses",
    "body",
    [bucket, host, address],
    [revision, body, invite, member]
);
const ENDPOINTS: Statements = statements!(
    "endpoints",
    "body",
    [bucket, host, endpoint],
    [revision, body, created_at, deleted_at]
);
const CONSUMERS: Statements =
    statements!("consumers", "body", [bucket, consumer], [revision, body]);
const PARKED: Statements = statements!(
    "parked",
    "body",
    [bucket, consumer, position, ordinal],
    [revision, body]
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
        subject_kind,
        subject,
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
const TAKE_PREVIEW: &str = "insert into guestlist_preview_tallies \
    (bucket, host, link, generation, previews) values (?, ?, ?, ?, 1) \
    on conflict (bucket, host, link, generation) do update set previews = previews + 1";
const GIVE_LINK: &str = "insert into guestlist_link_tallies (bucket, host, link, uses) \
    values (?, ?, ?, 0) on conflict (bucket, host, link) do update set uses = max(uses - 1, 0)";
const GIVE_SEAT: &str = "insert into guestlist_seat_tallies (bucket, host, taken) \
    values (?, ?, 0) on conflict (bucket, host) do update set taken = max(taken - 1, 0)";

const GIVE_PREVIEW: &str = "insert into guestlist_preview_tallies \
    (bucket, host, link, generation, previews) values (?, ?, ?, ?, 0) \
    on conflict (bucket, host, link, generation) do update set previews = max(previews - 1, 0)";

/// Replaces an event of the log by one without personal data.
const ERASE_EVENT: &str = "update guestlist_events set body = ?, erased = ? \
    where position = ? and ordinal = ? and bucket = ? and host = ? and commit_id = ?";
/// Empties the answer that is kept with a commit.
const ERASE_REPLY: &str = "update guestlist_commits set reply = '' \
    where bucket = ? and home_kind = ? and home = ? and commit_id = ?";

pub(crate) const NOT_COUNTED: StoreError = StoreError::Malformed {
    what: "a counter that is none",
};

pub(crate) const NO_SUCH_EVENT: StoreError = StoreError::Malformed {
    what: "an erasure of an event that is not there",
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
        RowKey::PreviewTally(..) => PREVIEW_TALLIES,
        RowKey::Invite(..) => INVITES,
        RowKey::Address(..) => ADDRESSES,
        RowKey::Endpoint(..) => ENDPOINTS,
        RowKey::Consumer(_) => CONSUMERS,
        RowKey::Parked(..) => PARKED,
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

/// The two columns that a consumer's rows begin with.
pub(crate) fn consumer_values(name: &ConsumerName) -> Vec<Value> {
    let bucket = Home::Consumer(name.clone()).bucket();
    vec![bucket.into(), name.as_str().into()]
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
        RowKey::PreviewTally(org, link, generation) => {
            let mut values = host_values(org);
            values.extend([link.as_bytes().into(), generation.get().into()]);
            values
        }
        RowKey::Invite(org, invite) => {
            let mut values = host_values(org);
            values.push(invite.as_bytes().into());
            values
        }
        RowKey::Endpoint(org, endpoint) => {
            let mut values = host_values(org);
            values.push(endpoint.as_bytes().into());
            values
        }
        RowKey::Address(org, address) => {
            let mut values = host_values(org);
            values.push(address.as_str().into());
            values
        }
        RowKey::Consumer(name) => consumer_values(name),
        RowKey::Parked(name, sequence) => {
            let mut values = consumer_values(name);
            let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
            values.extend([number(sequence.commit), number(sequence.ordinal)]);
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
        RowKey::PreviewTally(..) => TAKE_PREVIEW,
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
        RowKey::PreviewTally(..) => GIVE_PREVIEW,
        _ => return Err(NOT_COUNTED),
    };
    Ok(Call {
        sql,
        values: key_values(key),
    })
}

/// Erases personal data from an event of a home, and from the answer that is kept with it.
pub(crate) fn erase(
    home: &Home,
    sequence: Sequence,
    commit: CommitId,
    event: &Event,
    mark: [u8; 32],
) -> Result<[Call; 2], StoreError> {
    let Home::Organization(host) = home else {
        return Err(NO_SUCH_EVENT);
    };
    let mut values = vec![
        json(event)?,
        Value::Digest(mark),
        signed(sequence.commit)?.into(),
        signed(sequence.ordinal)?.into(),
    ];
    values.extend(host_values(host));
    values.push(commit.as_bytes().into());
    let mut kept = home_values(home);
    kept.push(commit.as_bytes().into());
    Ok([
        Call {
            sql: ERASE_EVENT,
            values,
        },
        Call {
            sql: ERASE_REPLY,
            values: kept,
        },
    ])
}

/// Writes a row.
pub(crate) fn put(key: &RowKey, row: &Row, revision: u64) -> Result<Call, StoreError> {
    let statements = statements_of(key).ok_or(OTHER_ROW)?;
    let mut values = key_values(key);
    if let (true, Row::Tally(count)) = (key.is_counter(), row) {
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
            row.settings.discoverable.into(),
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
        (RowKey::Invite(host, id), Row::Invite(invite))
            if invite.host == *host && invite.id == *id =>
        {
            values.push(json(invite)?);
            push_invite(&mut values, invite);
        }
        (RowKey::Address(..), Row::Address(record)) => values.extend([
            json(record)?,
            record
                .invite
                .as_ref()
                .map(guestlist_types::InviteId::as_bytes)
                .into(),
            record
                .member
                .as_ref()
                .map(guestlist_types::UserId::as_str)
                .into(),
        ]),
        (RowKey::Endpoint(org, id), Row::Endpoint(endpoint))
            if endpoint.organization == *org && endpoint.id == *id =>
        {
            values.extend([
                json(endpoint)?,
                endpoint.created_at.into(),
                endpoint.deleted_at.into(),
            ]);
        }
        (RowKey::Consumer(_), Row::Consumer(record)) => values.push(json(record)?),
        (RowKey::Parked(..), Row::Parked(record)) => values.push(json(record)?),
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
        link.expired_at.into(),
        link.created_at.into(),
        link.updated_at.into(),
        link.deleted_at.into(),
    ]);
}

fn push_invite(values: &mut Vec<Value>, invite: &EmailInvite) {
    values.extend([
        invite.address.as_str().into(),
        Value::Name(invite.status.as_str()),
        invite.generation.get().into(),
        invite.token.map(guestlist_token::Selector::as_i64).into(),
        invite
            .creator
            .as_ref()
            .map(guestlist_types::UserId::as_str)
            .into(),
        Value::Name(invite.delivery.as_str()),
        invite.expires_at.into(),
        invite.expired_at.into(),
        invite.created_at.into(),
        invite.updated_at.into(),
    ]);
}

fn push_token(values: &mut Vec<Value>, token: &TokenRecord) {
    let pepper = token.tag.map(|tag| i64::from(tag.pepper().get()));
    values.extend([
        token.selector.bucket().into(),
        token.host.as_str().into(),
        Value::Name(match token.subject {
            TokenSubject::Link(_) => "link",
            TokenSubject::Invite(_) => "invite",
        }),
        token.subject.as_bytes().into(),
        token.generation.get().into(),
        token.issued_at.into(),
        token.valid_until.into(),
        pepper.into(),
    ]);
}

fn push_membership(values: &mut Vec<Value>, row: &Membership) {
    let (door_link, door_generation) = match &row.door {
        Door::Link { link, generation } => (link.as_bytes().into(), generation.get().into()),
        Door::Invite { .. } | Door::Request | Door::Added | Door::Founded => {
            (Value::Null, Value::Null)
        }
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
        RowKey::Invite(..) => Row::Invite(parse(body, "an invite")?),
        RowKey::Address(..) => Row::Address(parse(body, "an address")?),
        RowKey::Endpoint(..) => Row::Endpoint(parse(body, "an endpoint")?),
        RowKey::Consumer(_) => Row::Consumer(parse(body, "a consumer")?),
        RowKey::Parked(..) => Row::Parked(parse(body, "a parked event")?),
        RowKey::Token(_) => Row::Token(parse(body, "a token")?),
        RowKey::Membership(..) => Row::Membership(parse(body, "a membership")?),
        RowKey::Acting(..) => Row::Acting(parse(body, "an acting rule")?),
        RowKey::Group(..) => Row::Group(parse(body, "a group")?),
        RowKey::GroupMember(..) => Row::GroupMember,
        RowKey::Grant(..) => Row::Grant(parse(body, "a grant")?),
        RowKey::SeatTally(_)
        | RowKey::LinkTally(..)
        | RowKey::PreviewTally(..)
        | RowKey::UseCount(..)
        | RowKey::SeatCount(_) => return Err(NOT_COUNTED),
    };
    let fits = match (key, &row) {
        (RowKey::Organization(id), Row::Organization(row)) => row.id == *id,
        (RowKey::Link(host, id), Row::Link(row)) => row.host == *host && row.id == *id,
        (RowKey::Invite(host, id), Row::Invite(row)) => row.host == *host && row.id == *id,
        (RowKey::Endpoint(org, id), Row::Endpoint(row)) => {
            row.organization == *org && row.id == *id
        }
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
        // Never written: what consumers commit keeps no receipt.
        Home::Consumer(name) => ("consumer", name.as_str()),
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
