//! Lists: keyset pages, read off an index in the order of the list.

use guestlist_access::{Grant, Group};
use guestlist_membership::link::LinkUse;
use guestlist_membership::{Row, RowKey, Sequence};
use guestlist_store::{Cursor, Listed, Page, Position, Query, StoreError};
use guestlist_token::Selector;
use guestlist_types::{EndpointId, InviteId, LinkId, Member, OrgId, Timestamp};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::error::{During, OTHER_LIST, signed, store_error, unsigned};
use crate::flush::fetch;
use crate::read::{id, member, organization, text};
use crate::rows::{self, parse};
use crate::sql::{Names, Sql};
use crate::table::{
    ENDPOINTS, GRANTS, GROUPS, INVITES, JOINED, LINK_USES, LINKS, MEMBERSHIPS, ORGANIZATIONS,
    PARKED, TOKENS, Table,
};
use crate::value::{Kind, Value, kind_name, member_bucket, member_values};

/// Rows are asked for again, more each time, until a page is full: most lists leave out few.
const MOST: usize = 4096;

/// One page.
pub(crate) async fn list(
    connection: &mut PgConnection,
    names: &Names,
    query: &Query,
    page: &Page,
    now: Timestamp,
) -> Result<Listed, StoreError> {
    let mut from = query.start(page).map_err(|_| OTHER_LIST)?;
    let mut rows = Vec::with_capacity(page.limit().min(128));
    let mut chunk = page.limit().saturating_add(1).min(MOST);
    loop {
        let sql = statement(names, query, from.as_ref(), now, chunk)?;
        let found = fetch(connection, sql)
            .await
            .map_err(|error| store_error(error, During::Reading))?;
        let is_last = found.len() < chunk;
        for row in &found {
            let (key, row) = decode(query, row)?;
            let position = query.position_of(&key, &row);
            if query.matches(&row, now) {
                if rows.len() == page.limit() {
                    let next = rows
                        .last()
                        .and_then(|(key, row)| query.position_of(key, row))
                        .map(|position| Cursor::new(query.fingerprint(), &position));
                    return Ok(Listed { rows, next });
                }
                rows.push((key, row));
            }
            from = position.or(from);
        }
        if is_last {
            return Ok(Listed { rows, next: None });
        }
        chunk = chunk.saturating_mul(2).min(MOST);
    }
}

/// A list in its parts.
struct Select<'a> {
    sql: Sql<'a>,
    order: &'static str,
}

impl<'a> Select<'a> {
    /// Of the rows of one bucket, if it is given, and of one host.
    fn new(
        names: &'a Names,
        columns: &str,
        table: &Table,
        bucket: Option<(&str, Value)>,
        order: &'static str,
    ) -> Self {
        let number = bucket.as_ref().and_then(|(_, bucket)| match bucket {
            Value::Int(number) => Some(*number),
            _ => None,
        });
        let mut sql = Sql::new(names, number);
        sql.add("select ")
            .add(columns)
            .add(" from ")
            .table(table)
            .add(" t where true");
        if let Some((name, value)) = bucket {
            sql.add(" and ").add(name).add(" = ");
            if names.one_bucket {
                sql.number(1, Kind::Int);
            } else {
                sql.value(Kind::Int, &value);
            }
        }
        Self { sql, order }
    }

    fn of_host(
        names: &'a Names,
        columns: &str,
        table: &Table,
        host: &OrgId,
        order: &'static str,
    ) -> Self {
        let bucket = guestlist_types::Bucket::of(host);
        Self::new(
            names,
            columns,
            table,
            Some(("bucket", bucket.into())),
            order,
        )
        .is("host", Kind::Text, &host.as_str().into())
    }

    fn when(mut self, condition: &str) -> Self {
        self.sql.add(" and ").add(condition);
        self
    }

    fn is(mut self, column: &str, kind: Kind, value: &Value) -> Self {
        self.sql
            .add(" and ")
            .add(column)
            .add(" = ")
            .value(kind, value);
        self
    }

    /// If something is asked for.
    fn maybe(self, column: &str, kind: Kind, value: &Value) -> Self {
        if *value == Value::Null {
            self
        } else {
            self.is(column, kind, value)
        }
    }

    fn until(mut self, column: &str, value: &Value) -> Self {
        self.sql
            .add(" and ")
            .add(column)
            .add(" <= ")
            .value(Kind::Big, value);
        self
    }

    /// Behind the last row of the page before, if there was one.
    fn behind(mut self, values: &[(Kind, Value)]) -> Self {
        if values.is_empty() {
            return self;
        }
        self.sql.add(" and (").add(self.order).add(") > (");
        for (index, (kind, value)) in values.iter().enumerate() {
            if index > 0 {
                self.sql.add(", ");
            }
            self.sql.value(*kind, value);
        }
        self.sql.add(")");
        self
    }

    fn limit(mut self, rows: usize) -> Sql<'a> {
        let rows = Value::Int(i64::try_from(rows).unwrap_or(i64::MAX));
        self.sql
            .add(" order by ")
            .add(self.order)
            .add(" limit ")
            .value(Kind::Big, &rows);
        self.sql
    }
}

pub(crate) fn statement<'a>(
    names: &'a Names,
    query: &Query,
    from: Option<&Position>,
    now: Timestamp,
    rows: usize,
) -> Result<Sql<'a>, StoreError> {
    let from = behind(query, from)?;
    let uuid = |id: Option<&[u8; 16]>| Value::from(id);
    let select = match query {
        Query::Links {
            host,
            status,
            creator,
        } => Select::of_host(names, "link, body::text", &LINKS, host, "link")
            .when("deleted_at is null")
            .maybe(
                "status",
                Kind::Text,
                &name(status.map(guestlist_membership::link::LinkStatus::as_str)),
            )
            .maybe(
                "creator",
                Kind::Text,
                &creator.as_ref().map(guestlist_types::UserId::as_str).into(),
            ),
        Query::Pending { host, link } => Select::of_host(
            names,
            "member_kind, member_id, body::text",
            &MEMBERSHIPS,
            host,
            "opened_at, member_kind, member_id",
        )
        .when("status = 'pending'")
        .maybe(
            "door_link",
            Kind::Uuid,
            &uuid(link.as_ref().map(LinkId::as_bytes)),
        ),
        Query::Members { host, filter } => {
            let mut select = Select::of_host(
                names,
                "member_kind, member_id, body::text",
                &MEMBERSHIPS,
                host,
                "member_kind, member_id",
            )
            .when("status is not null");
            if let Some(status) = filter.status {
                select
                    .sql
                    .add(" and (status = ")
                    .value(Kind::Text, &Value::Name(status.as_str()));
                if status == guestlist_membership::member::Status::Cancelled {
                    // What has run out is cancelled, whatever is written.
                    select.sql.add(" or expires_at is not null");
                }
                select.sql.add(")");
            }
            select
                .maybe("member_kind", Kind::Text, &name(filter.kind.map(kind_name)))
                .maybe(
                    "role",
                    Kind::Text,
                    &filter
                        .role
                        .as_ref()
                        .map(guestlist_types::RoleName::as_str)
                        .into(),
                )
                .maybe(
                    "door_link",
                    Kind::Uuid,
                    &uuid(filter.link.as_ref().map(LinkId::as_bytes)),
                )
        }
        Query::MembershipsOf { member, .. } => {
            let [kind, id] = member_values(member);
            let bucket = Some(("member_bucket", member_bucket(member).into()));
            Select::new(names, "host, body::text", &JOINED, bucket, "host")
                .is("member_kind", Kind::Text, &kind)
                .is("member_id", Kind::Text, &id)
        }
        Query::Uses { host, link } => Select::of_host(
            names,
            "member_kind, member_id, body::text",
            &LINK_USES,
            host,
            "member_kind, member_id",
        )
        .is("link", Kind::Uuid, &uuid(Some(link.as_bytes()))),
        Query::Groups { organization } => {
            Select::of_host(names, "body::text", &GROUPS, organization, "group_id")
        }
        Query::Grants { organization } => {
            Select::of_host(names, "body::text", &GRANTS, organization, "grant_id")
        }
        Query::RunOut { host } => Select::new(
            names,
            "host, member_kind, member_id, body::text",
            &MEMBERSHIPS,
            None,
            "expires_at, host, member_kind, member_id",
        )
        .when("expires_at is not null and status in ('pending', 'approved')")
        .until("expires_at", &now.into())
        .maybe("host", Kind::Text, &host.as_ref().map(OrgId::as_str).into()),
        Query::Invites { host, filter } => {
            Select::of_host(names, "host, invite, body::text", &INVITES, host, "invite")
                .maybe(
                    "address",
                    Kind::Text,
                    &filter.address.as_ref().map(AsRef::<str>::as_ref).into(),
                )
                .maybe(
                    "creator",
                    Kind::Text,
                    &filter.creator.as_ref().map(AsRef::<str>::as_ref).into(),
                )
        }
        Query::InvitesTo { address, .. } => Select::new(
            names,
            "host, invite, body::text",
            &INVITES,
            None,
            "host, invite",
        )
        .is("address", Kind::Text, &address.as_str().into()),
        Query::Discover { .. } => {
            Select::new(names, "host, body::text", &ORGANIZATIONS, None, "name")
                .when("discoverable and status = 'active'")
        }
        Query::RunOutLinks { host } => Select::new(
            names,
            "host, link, body::text",
            &LINKS,
            None,
            "expires_at, host, link",
        )
        .when("expires_at is not null and expired_at is null and deleted_at is null")
        .until("expires_at", &now.into())
        .maybe("host", Kind::Text, &host.as_ref().map(OrgId::as_str).into()),
        Query::RunOutInvites { host } => Select::new(
            names,
            "host, invite, body::text",
            &INVITES,
            None,
            "expires_at, host, invite",
        )
        .when("expires_at is not null and expired_at is null and status = 'pending'")
        .until("expires_at", &now.into())
        .maybe("host", Kind::Text, &host.as_ref().map(OrgId::as_str).into()),
        Query::Endpoints { organization } => Select::new(
            names,
            "host, endpoint, body::text",
            &ENDPOINTS,
            None,
            "host, endpoint",
        )
        .when("deleted_at is null")
        .maybe(
            "host",
            Kind::Text,
            &organization.as_ref().map(OrgId::as_str).into(),
        ),
        Query::Parked { consumer } => {
            let [bucket, consumer] = rows::consumer_values(consumer);
            let bucket = Some(("bucket", bucket));
            Select::new(
                names,
                "position, ordinal, body::text",
                &PARKED,
                bucket,
                "position, ordinal",
            )
            .is("consumer", Kind::Text, &consumer)
        }
        Query::Tokens { pepper } => {
            let pepper = pepper.map(|pepper| i64::from(pepper.get()));
            Select::new(
                names,
                "selector, body::text",
                &TOKENS,
                None,
                "bucket, selector",
            )
            .maybe("pepper", Kind::Int, &pepper.into())
        }
    };
    Ok(select.behind(&from).limit(rows))
}

/// The place in the order of the list that a page begins behind.
fn behind(query: &Query, from: Option<&Position>) -> Result<Vec<(Kind, Value)>, StoreError> {
    let Some(from) = from else {
        return Ok(Vec::new());
    };
    let text = |text: &str| (Kind::Text, Value::from(text));
    let uuid = |id: &[u8; 16]| (Kind::Uuid, Value::from(id));
    let time = |at: &Timestamp| (Kind::Big, Value::from(*at));
    let of = |member: &Member| member_values(member).map(|value| (Kind::Text, value));
    Ok(match (query, from) {
        (Query::Links { .. }, Position::Link(link)) => vec![uuid(link.as_bytes())],
        (Query::Pending { .. }, Position::Pending(at, member)) => {
            let mut values = vec![time(at)];
            values.extend(of(member));
            values
        }
        (Query::Members { .. } | Query::Uses { .. }, Position::Member(member)) => {
            of(member).to_vec()
        }
        (Query::MembershipsOf { .. }, Position::Host(host)) => vec![text(host.as_str())],
        (Query::Groups { .. }, Position::Group(group)) => vec![uuid(group.as_bytes())],
        (Query::Grants { .. }, Position::Grant(grant)) => vec![uuid(grant.as_bytes())],
        (Query::RunOut { .. }, Position::RunOut(at, host, member)) => {
            let mut values = vec![time(at), text(host.as_str())];
            values.extend(of(member));
            values
        }
        (Query::Invites { .. }, Position::Invite(_, invite)) => vec![uuid(invite.as_bytes())],
        (Query::InvitesTo { .. }, Position::Invite(host, invite)) => {
            vec![text(host.as_str()), uuid(invite.as_bytes())]
        }
        (Query::Discover { .. }, Position::Name(name)) => vec![text(name.as_str())],
        (Query::RunOutLinks { .. }, Position::RunOutLink(at, host, link)) => {
            vec![time(at), text(host.as_str()), uuid(link.as_bytes())]
        }
        (Query::RunOutInvites { .. }, Position::RunOutInvite(at, host, invite)) => {
            vec![time(at), text(host.as_str()), uuid(invite.as_bytes())]
        }
        (Query::Endpoints { .. }, Position::Endpoint(host, endpoint)) => {
            vec![text(host.as_str()), uuid(endpoint.as_bytes())]
        }
        (Query::Parked { .. }, Position::Event(sequence)) => vec![
            (Kind::Big, signed(sequence.commit)?.into()),
            (Kind::Big, signed(sequence.ordinal)?.into()),
        ],
        (Query::Tokens { .. }, Position::Token(selector)) => vec![
            (Kind::Int, selector.bucket().into()),
            (Kind::Big, selector.as_i64().into()),
        ],
        _ => return Err(OTHER_LIST),
    })
}

fn decode(query: &Query, row: &PgRow) -> Result<(RowKey, Row), StoreError> {
    let at = |column: usize| -> Result<Member, StoreError> {
        member(text(row, column)?, text(row, column + 1)?)
    };
    let (key, body) = match query {
        Query::Links { host, .. } => (
            RowKey::Link(host.clone(), LinkId::from_bytes(id(row, 0)?)),
            1,
        ),
        Query::Pending { host, .. } | Query::Members { host, .. } => {
            (RowKey::Membership(host.clone(), at(0)?), 2)
        }
        Query::MembershipsOf { member, .. } => (
            RowKey::Membership(organization(text(row, 0)?)?, member.clone()),
            1,
        ),
        Query::Uses { host, link } => {
            let held: LinkUse = parse(text(row, 2)?, "a use of a link")?;
            return Ok((
                RowKey::LinkUse(host.clone(), *link, at(0)?),
                Row::LinkUse(held),
            ));
        }
        Query::Groups { organization } => {
            let group: Group = parse(text(row, 0)?, "a group")?;
            return Ok((
                RowKey::Group(organization.clone(), group.id),
                Row::Group(group),
            ));
        }
        Query::Grants { organization } => {
            let grant: Box<Grant> = parse(text(row, 0)?, "a grant")?;
            return Ok((
                RowKey::Grant(organization.clone(), grant.id),
                Row::Grant(grant),
            ));
        }
        Query::Invites { .. } | Query::InvitesTo { .. } | Query::RunOutInvites { .. } => (
            RowKey::Invite(
                organization(text(row, 0)?)?,
                InviteId::from_bytes(id(row, 1)?),
            ),
            2,
        ),
        Query::Endpoints { .. } => (
            RowKey::Endpoint(
                organization(text(row, 0)?)?,
                EndpointId::from_bytes(id(row, 1)?),
            ),
            2,
        ),
        Query::Discover { .. } => (RowKey::Organization(organization(text(row, 0)?)?), 1),
        Query::RunOutLinks { .. } => (
            RowKey::Link(
                organization(text(row, 0)?)?,
                LinkId::from_bytes(id(row, 1)?),
            ),
            2,
        ),
        Query::Parked { consumer } => (RowKey::Parked(consumer.clone(), sequence(row, 0)?), 2),
        Query::RunOut { .. } => (RowKey::Membership(organization(text(row, 0)?)?, at(1)?), 3),
        Query::Tokens { .. } => {
            let number: i64 = get(row, 0)?;
            let selector =
                Selector::from_i64(number).ok_or_else(|| StoreError::corrupt("a selector"))?;
            (RowKey::Token(selector), 1)
        }
    };
    let row = rows::decode(&key, text(row, body)?)?;
    Ok((key, row))
}

/// Where an event stands, in two columns.
pub(crate) fn sequence(row: &PgRow, column: usize) -> Result<Sequence, StoreError> {
    Ok(Sequence {
        commit: unsigned(get(row, column)?)?,
        ordinal: unsigned(get(row, column + 1)?)?,
    })
}

pub(crate) fn get(row: &PgRow, column: usize) -> Result<i64, StoreError> {
    row.try_get(column)
        .map_err(|error| store_error(error, During::Reading))
}

fn name(text: Option<&'static str>) -> Value {
    text.map_or(Value::Null, Value::Name)
}
