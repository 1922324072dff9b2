//! Where each kind of row is kept: its statements, its columns, and what is read back.

use guestlist_membership::{Event, Home, Row, RowKey, Sequence};
use guestlist_store::StoreError;
use guestlist_store::columns::{self, Value};
use guestlist_types::CommitId;

use crate::error::signed;

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
    /// How many columns that writes.
    columns: usize,
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
            columns: [$(stringify!($key),)* stringify!($number) $(, stringify!($column))*].len(),
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

/// The columns of a key. A token's bucket is no part of it here.
fn key_values(key: &RowKey) -> Vec<Value> {
    let mut values = columns::key_values(key);
    if let RowKey::Token(_) = key {
        values.remove(0);
    }
    values
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
        columns::json(event)?,
        Value::Digest(mark),
        signed(sequence.commit)?.into(),
        signed(sequence.ordinal)?.into(),
    ];
    values.extend(columns::host_values(host));
    values.push(commit.as_bytes().into());
    let mut kept = columns::home_values(home);
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
    let mut values = columns::key_values(key);
    values.extend(columns::row_values(key, row, revision)?);
    if let RowKey::Token(_) = key {
        // Selector, revision, body and then the bucket.
        values[..4].rotate_left(1);
    }
    // Without the columns that are not kept here.
    values.truncate(statements.columns);
    Ok(Call {
        sql: statements.put,
        values,
    })
}
