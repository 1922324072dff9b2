//! What each kind of row puts into the columns of a table, for adapters to SQL databases (feature
//! `sql`).
//!
//! A row is kept under its key, with a revision, its body as JSON, and columns that lists and
//! conditions look at. Here is which values these are, in one order; an adapter names the columns.
//! Columns that only some adapters have come last, so that the others leave them out.

use guestlist_access::GroupMember;
use guestlist_membership::invite::EmailInvite;
use guestlist_membership::link::{Link, TokenRecord, TokenSubject};
use guestlist_membership::member::{Door, Membership};
use guestlist_membership::organization::OrganizationEvent;
use guestlist_membership::{By, Event, Home, Row, RowKey};
use guestlist_types::{Bucket, ConsumerName, Member, MemberKind, OrgId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::commit::Commit;
use crate::error::StoreError;

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every adapter must place a new kind of value"
)]
pub enum Value {
    /// None.
    Null,
    /// No bytes at all: before every id.
    Nothing,
    /// A number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// One of a few words.
    Name(&'static str),
    /// Text.
    Text(String),
    /// An id.
    Id([u8; 16]),
    /// A digest.
    Digest([u8; 32]),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<Bucket> for Value {
    fn from(bucket: Bucket) -> Self {
        Self::Int(bucket.get().into())
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Int(time.as_micros())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8; 16]> for Value {
    fn from(bytes: &[u8; 16]) -> Self {
        Self::Id(*bytes)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The name of a kind of member; organizations sort before users.
#[must_use]
pub const fn kind_name(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::Org => "org",
        MemberKind::User => "user",
    }
}

/// The two columns of a member.
#[must_use]
pub fn member_values(member: &Member) -> [Value; 2] {
    [Value::Name(kind_name(member.kind())), member.id().into()]
}

const NOT_COUNTED: StoreError = StoreError::Malformed {
    what: "a counter that is none",
};

const OTHER_ROW: StoreError = StoreError::Malformed {
    what: "a row under the key of another one",
};

fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Malformed {
        what: "a number of more than 63 bits",
    })
}

/// The two columns that a host's rows begin with: bucket and id.
#[must_use]
pub fn host_values(host: &OrgId) -> Vec<Value> {
    let mut values = Vec::with_capacity(20);
    values.extend([Bucket::of(host).into(), host.as_str().into()]);
    values
}

/// The two columns that a consumer's rows begin with: bucket and name.
#[must_use]
pub fn consumer_values(name: &ConsumerName) -> [Value; 2] {
    let bucket = Home::Consumer(name.clone()).bucket();
    [bucket.into(), name.as_str().into()]
}

/// The columns of a key; of a token its bucket and its selector.
#[must_use]
pub fn key_values(key: &RowKey) -> Vec<Value> {
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
        RowKey::Consumer(name) => consumer_values(name).into(),
        RowKey::Parked(name, sequence) => {
            let mut values: Vec<Value> = consumer_values(name).into();
            let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
            values.extend([number(sequence.commit), number(sequence.ordinal)]);
            values
        }
        RowKey::Token(selector) => vec![selector.bucket().into(), selector.as_i64().into()],
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

/// The columns of a row behind its key: revision, body, and what its kind has besides; of a counter
/// its count.
///
/// # Errors
///
/// [`StoreError::Malformed`] for a row under the key of another one.
pub fn row_values(key: &RowKey, row: &Row, revision: u64) -> Result<Vec<Value>, StoreError> {
    if let (true, Row::Tally(count)) = (key.is_counter(), row) {
        return Ok(vec![signed(*count)?.into()]);
    }
    let mut values = Vec::with_capacity(18);
    values.push(signed(revision)?.into());
    match (key, row) {
        (RowKey::Name(_), Row::Name(record)) => {
            values.extend([
                json(record)?,
                record.organization.as_str().into(),
                Bucket::of(&record.organization).into(),
            ]);
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
            // The one whose membership is loaded with the address.
            record
                .members
                .first()
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
    Ok(values)
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
        selectors(link),
    ]);
}

/// All tokens that open a link now, as an array.
fn selectors(link: &Link) -> Value {
    let numbers = link.token.iter().chain(&link.overlapping);
    let texts: Vec<String> = numbers.map(|token| token.as_i64().to_string()).collect();
    Value::Text(format!("{{{}}}", texts.join(",")))
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
    let door_invite = row.door.invite();
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
        door_invite
            .as_ref()
            .map(guestlist_types::InviteId::as_bytes)
            .into(),
        row.profile
            .email
            .as_ref()
            .map(guestlist_types::EmailAddress::as_str)
            .into(),
    ]);
}

/// The row of a key, from its body.
///
/// # Errors
///
/// [`StoreError::Corrupt`] for a body that is none, or that is of another row.
pub fn decode(key: &RowKey, body: &str) -> Result<Row, StoreError> {
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
    if fits(key, &row) {
        Ok(row)
    } else {
        Err(StoreError::corrupt("a row under the key of another one"))
    }
}

/// The three columns that a receipt's key begins with: bucket, kind and name of the home.
#[must_use]
pub fn home_values(home: &Home) -> Vec<Value> {
    let (kind, text) = match home {
        Home::Organization(org) => ("organization", org.as_str()),
        Home::Name(name) => ("name", name.as_str()),
        // Never written: what consumers commit keeps no receipt.
        Home::Consumer(name) => ("consumer", name.as_str()),
    };
    vec![home.bucket().into(), Value::Name(kind), text.into()]
}

/// Whether a row says of itself what its key says.
#[must_use]
pub fn fits(key: &RowKey, row: &Row) -> bool {
    match (key, row) {
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
    }
}

/// A body.
///
/// # Errors
///
/// [`StoreError::Fatal`] for what JSON can't say.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Value, StoreError> {
    serde_json::to_string(value)
        .map(Value::Text)
        .map_err(|error| StoreError::Fatal(Box::new(error)))
}

/// A body, read; `what` says whose it is. The error repeats nothing of it.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if it can't be read.
pub fn parse<T: DeserializeOwned>(body: &str, what: &str) -> Result<T, StoreError> {
    // What serde says may repeat what it read.
    serde_json::from_str(body).map_err(|_| StoreError::corrupt(format!("the body of {what}")))
}

/// The columns of a commit's events behind their place in the log: bucket, host, commit, name,
/// member (two), link, invite, time, user, author, body, and for what happened to access rules the
/// revision that they got by it. `by` is the author as JSON.
///
/// # Errors
///
/// [`StoreError::Malformed`] for events of a home that has none.
pub fn events(commit: &Commit, by: &Value) -> Result<Vec<Vec<Value>>, StoreError> {
    if commit.events.is_empty() {
        return Ok(Vec::new());
    }
    let host = organization(commit)?;
    let user = match &commit.stamp.by {
        By::User { user, .. } => Some(user.as_str()),
        By::Policy | By::Clock | By::System => None,
    };
    let revision = commit.access_revision();
    let revision = revision
        .map(|revision| signed(revision.get()))
        .transpose()?;
    let row = |event: &Event| {
        let revision = revision.filter(|_| matches!(event, Event::Access(_)));
        let [kind, member] = event
            .member()
            .map_or([Value::Null, Value::Null], member_values);
        Ok(vec![
            Bucket::of(host).into(),
            host.as_str().into(),
            commit.id.as_bytes().into(),
            Value::Name(event.name()),
            kind,
            member,
            event
                .link()
                .as_ref()
                .map(guestlist_types::LinkId::as_bytes)
                .into(),
            event
                .invite()
                .as_ref()
                .map(guestlist_types::InviteId::as_bytes)
                .into(),
            commit.stamp.at.into(),
            user.into(),
            by.clone(),
            json(event)?,
            revision.into(),
        ])
    };
    commit.events.iter().map(row).collect()
}

/// The organization that a commit's events happened in.
fn organization(commit: &Commit) -> Result<&OrgId, StoreError> {
    match (&commit.home, commit.events.first()) {
        (Home::Organization(org), _) => Ok(org),
        (
            Home::Name(_),
            Some(Event::Organization(OrganizationEvent::NameReserved { organization, .. })),
        ) => Ok(organization),
        (Home::Name(_), _) => Err(StoreError::Malformed {
            what: "a name with other events",
        }),
        (Home::Consumer(_), _) => Err(StoreError::Malformed {
            what: "events of a consumer",
        }),
    }
}
