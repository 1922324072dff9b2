//! Lists: keyset pages, read off an index in the order of the list.

use guestlist_access::{Grant, Group};
use guestlist_membership::link::LinkUse;
use guestlist_membership::{Row, RowKey, Sequence};
use guestlist_store::columns::{self, Value, host_values, kind_name, member_values, parse};
use guestlist_store::{Cursor, Listed, Page, Position, Query, StoreError};
use guestlist_token::Selector;
use guestlist_types::{EndpointId, InviteId, LinkId, Member, OrgId, Timestamp};
use rusqlite::{Connection, Row as SqlRow};

use crate::error::{Failure, OTHER_LIST};
use crate::events::sequence;
use crate::read::{id, member, organization, text};
use crate::value::bound;

// The first conditions of each are the place in the index that the page begins behind; the rest
// leaves out early what the columns tell. `Query::matches` decides.

const LINKS: &str = "select link, body from guestlist_links \
    where bucket = ?1 and host = ?2 and link > ?3 \
    and deleted_at is null and (?4 is null or status = ?4) and (?5 is null or creator = ?5) \
    order by link";
const PENDING: &str = "select member_kind, member_id, body from guestlist_memberships \
    indexed by guestlist_memberships_by_status \
    where bucket = ?1 and host = ?2 and status = 'pending' \
    and (opened_at, member_kind, member_id) > (?3, ?4, ?5) \
    and (?6 is null or door_link = ?6) \
    order by opened_at, member_kind, member_id";
const MEMBERS: &str = "select member_kind, member_id, body from guestlist_memberships \
    where bucket = ?1 and host = ?2 and (member_kind, member_id) > (?3, ?4) \
    and +status is not null \
    and (?5 is null or status = ?5 or (?5 = 'cancelled' and expires_at is not null)) \
    and (?6 is null or member_kind = ?6) \
    and (?7 is null or role = ?7) and (?8 is null or door_link = ?8) \
    order by member_kind, member_id";
const MEMBERSHIPS_OF: &str = "select host, body from guestlist_memberships \
    indexed by guestlist_memberships_of_member \
    where member_kind = ?1 and member_id = ?2 and host > ?3 and status is not null \
    order by host";
const USES: &str = "select member_kind, member_id, body from guestlist_link_uses \
    where bucket = ?1 and host = ?2 and link = ?3 and (member_kind, member_id) > (?4, ?5) \
    order by member_kind, member_id";
const GROUPS: &str = "select body from guestlist_groups \
    where bucket = ?1 and host = ?2 and group_id > ?3 order by group_id";
const GRANTS: &str = "select body from guestlist_grants \
    where bucket = ?1 and host = ?2 and grant_id > ?3 order by grant_id";
const RUN_OUT: &str = "select host, member_kind, member_id, body from guestlist_memberships \
    indexed by guestlist_memberships_run_out \
    where expires_at is not null and expires_at <= ?1 \
    and (expires_at, host, member_kind, member_id) > (?2, ?3, ?4, ?5) \
    and (?6 is null or host = ?6) and +status in ('pending', 'approved') \
    order by expires_at, host, member_kind, member_id";
const INVITES: &str = "select host, invite, body from guestlist_invites \
    where bucket = ?1 and host = ?2 and invite > ?3 \
    and (?4 is null or address = ?4) and (?5 is null or creator = ?5) \
    order by invite";
const INVITES_TO: &str = "select host, invite, body from guestlist_invites \
    indexed by guestlist_invites_to_address \
    where address = ?1 and (host, invite) > (?2, ?3) order by host, invite";
const DISCOVER: &str = "select host, body from guestlist_organizations \
    indexed by guestlist_organizations_discoverable \
    where discoverable = 1 and status = 'active' and name > ?1 order by name";
const RUN_OUT_LINKS: &str = "select host, link, body from guestlist_links \
    indexed by guestlist_links_run_out \
    where expires_at is not null and expired_at is null and deleted_at is null \
    and expires_at <= ?1 and (expires_at, host, link) > (?2, ?3, ?4) \
    and (?5 is null or host = ?5) order by expires_at, host, link";
const RUN_OUT_INVITES: &str = "select host, invite, body from guestlist_invites \
    indexed by guestlist_invites_run_out \
    where expires_at is not null and expired_at is null and status = 'pending' \
    and expires_at <= ?1 and (expires_at, host, invite) > (?2, ?3, ?4) \
    and (?5 is null or host = ?5) order by expires_at, host, invite";
const ENDPOINTS: &str = "select host, endpoint, body from guestlist_endpoints \
    indexed by guestlist_endpoints_all \
    where deleted_at is null and (host, endpoint) > (?1, ?2) and (?3 is null or host = ?3) \
    order by host, endpoint";
const PARKED: &str = "select position, ordinal, body from guestlist_parked \
    where bucket = ?1 and consumer = ?2 and (position, ordinal) > (?3, ?4) \
    order by position, ordinal";
const TOKENS: &str = "select selector, body from guestlist_tokens \
    where selector > ?1 and (?2 is null or pepper = ?2) order by selector";

/// Before every text and every id.
const FIRST: Value = Value::Name("");
/// Before every id.
const FIRST_ID: Value = Value::Nothing;

/// One page.
pub(crate) fn list(
    connection: &Connection,
    query: &Query,
    page: &Page,
    now: Timestamp,
) -> Result<Listed, Failure> {
    let from = query.start(page).map_err(|_| OTHER_LIST)?;
    let (sql, values) = select(query, from.as_ref(), now)?;
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(bound(&values))?;
    let mut rows = Vec::with_capacity(page.limit().min(128));
    let mut next = None;
    while let Some(row) = found.next()? {
        let (key, row) = decode(query, row)?;
        if !query.matches(&row, now) {
            continue;
        }
        if rows.len() == page.limit() {
            next = rows
                .last()
                .and_then(|(key, row)| query.position_of(key, row))
                .map(|position| Cursor::new(query.fingerprint(), &position));
            break;
        }
        rows.push((key, row));
    }
    Ok(Listed { rows, next })
}

fn select(
    query: &Query,
    from: Option<&Position>,
    now: Timestamp,
) -> Result<(&'static str, Vec<Value>), StoreError> {
    let behind_member = |values: &mut Vec<Value>| match from {
        None => {
            values.extend([FIRST, FIRST]);
            Ok(())
        }
        Some(Position::Member(member)) => {
            values.extend(member_values(member));
            Ok(())
        }
        Some(_) => Err(OTHER_LIST),
    };
    Ok(match query {
        Query::Links {
            host,
            status,
            creator,
        } => {
            let mut values = host_values(host);
            values.push(match from {
                None => FIRST_ID,
                Some(Position::Link(link)) => link.as_bytes().into(),
                Some(_) => return Err(OTHER_LIST),
            });
            values.push(name(
                status.map(guestlist_membership::link::LinkStatus::as_str),
            ));
            values.push(creator.as_ref().map(guestlist_types::UserId::as_str).into());
            (LINKS, values)
        }
        Query::Pending { host, link } => {
            let mut values = host_values(host);
            match from {
                None => values.extend([Value::Int(i64::MIN), FIRST, FIRST]),
                Some(Position::Pending(at, member)) => {
                    values.push((*at).into());
                    values.extend(member_values(member));
                }
                Some(_) => return Err(OTHER_LIST),
            }
            values.push(link.as_ref().map(LinkId::as_bytes).into());
            (PENDING, values)
        }
        Query::Members { host, filter } => {
            let mut values = host_values(host);
            behind_member(&mut values)?;
            values.push(name(
                filter
                    .status
                    .map(guestlist_membership::member::Status::as_str),
            ));
            values.push(name(filter.kind.map(kind_name)));
            values.push(
                filter
                    .role
                    .as_ref()
                    .map(guestlist_types::RoleName::as_str)
                    .into(),
            );
            values.push(filter.link.as_ref().map(LinkId::as_bytes).into());
            (MEMBERS, values)
        }
        Query::MembershipsOf { member, .. } => {
            let mut values = Vec::from(member_values(member));
            values.push(match from {
                None => FIRST,
                Some(Position::Host(host)) => host.as_str().into(),
                Some(_) => return Err(OTHER_LIST),
            });
            (MEMBERSHIPS_OF, values)
        }
        Query::Uses { host, link } => {
            let mut values = host_values(host);
            values.push(link.as_bytes().into());
            behind_member(&mut values)?;
            (USES, values)
        }
        Query::Groups { organization } => {
            let mut values = host_values(organization);
            values.push(match from {
                None => FIRST_ID,
                Some(Position::Group(group)) => group.as_bytes().into(),
                Some(_) => return Err(OTHER_LIST),
            });
            (GROUPS, values)
        }
        Query::Grants { organization } => {
            let mut values = host_values(organization);
            values.push(match from {
                None => FIRST_ID,
                Some(Position::Grant(grant)) => grant.as_bytes().into(),
                Some(_) => return Err(OTHER_LIST),
            });
            (GRANTS, values)
        }
        Query::RunOut { host } => {
            let mut values = vec![now.into()];
            match from {
                None => values.extend([Value::Int(i64::MIN), FIRST, FIRST, FIRST]),
                Some(Position::RunOut(at, host, member)) => {
                    values.extend([(*at).into(), host.as_str().into()]);
                    values.extend(member_values(member));
                }
                Some(_) => return Err(OTHER_LIST),
            }
            values.push(host.as_ref().map(OrgId::as_str).into());
            (RUN_OUT, values)
        }
        Query::Invites { host, filter } => {
            let mut values = host_values(host);
            values.push(match from {
                None => FIRST_ID,
                Some(Position::Invite(_, invite)) => invite.as_bytes().into(),
                Some(_) => return Err(OTHER_LIST),
            });
            values.push(filter.address.as_ref().map(AsRef::<str>::as_ref).into());
            values.push(filter.creator.as_ref().map(AsRef::<str>::as_ref).into());
            (INVITES, values)
        }
        Query::InvitesTo { address, .. } => {
            let mut values = vec![address.as_str().into()];
            match from {
                None => values.extend([FIRST, FIRST_ID]),
                Some(Position::Invite(host, invite)) => {
                    values.extend([host.as_str().into(), invite.as_bytes().into()]);
                }
                Some(_) => return Err(OTHER_LIST),
            }
            (INVITES_TO, values)
        }
        Query::Discover { .. } => {
            let from = match from {
                None => FIRST,
                Some(Position::Name(name)) => name.as_str().into(),
                Some(_) => return Err(OTHER_LIST),
            };
            (DISCOVER, vec![from])
        }
        Query::RunOutLinks { host } | Query::RunOutInvites { host } => {
            let mut values = vec![now.into()];
            match from {
                None => values.extend([Value::Int(i64::MIN), FIRST, FIRST_ID]),
                Some(Position::RunOutLink(at, host, link)) => {
                    values.extend([(*at).into(), host.as_str().into(), link.as_bytes().into()]);
                }
                Some(Position::RunOutInvite(at, host, invite)) => {
                    values.extend([(*at).into(), host.as_str().into(), invite.as_bytes().into()]);
                }
                Some(_) => return Err(OTHER_LIST),
            }
            values.push(host.as_ref().map(OrgId::as_str).into());
            match query {
                Query::RunOutLinks { .. } => (RUN_OUT_LINKS, values),
                _ => (RUN_OUT_INVITES, values),
            }
        }
        Query::Endpoints { organization } => {
            // An organization's own begin behind everything before it.
            let first = organization.as_ref().map_or("", OrgId::as_str);
            let mut values: Vec<Value> = match from {
                None => vec![first.into(), FIRST_ID],
                Some(Position::Endpoint(of, endpoint)) => {
                    vec![of.as_str().into(), endpoint.as_bytes().into()]
                }
                Some(_) => return Err(OTHER_LIST),
            };
            values.push(organization.as_ref().map(OrgId::as_str).into());
            (ENDPOINTS, values)
        }
        Query::Parked { consumer } => {
            let mut values = columns::consumer_values(consumer).to_vec();
            let from = match from {
                None => Sequence::default(),
                Some(Position::Event(sequence)) => *sequence,
                Some(_) => return Err(OTHER_LIST),
            };
            let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
            values.extend([number(from.commit), number(from.ordinal)]);
            (PARKED, values)
        }
        Query::Tokens { pepper } => {
            let from = match from {
                None => Value::Int(-1),
                Some(Position::Token(selector)) => selector.as_i64().into(),
                Some(_) => return Err(OTHER_LIST),
            };
            let pepper = pepper.map(|pepper| i64::from(pepper.get()));
            (TOKENS, vec![from, pepper.into()])
        }
    })
}

fn decode(query: &Query, row: &SqlRow<'_>) -> Result<(RowKey, Row), Failure> {
    let at = |column: usize| -> Result<Member, Failure> {
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
        Query::Parked { consumer } => (RowKey::Parked(consumer.clone(), sequence(row)?), 2),
        Query::RunOut { .. } => (RowKey::Membership(organization(text(row, 0)?)?, at(1)?), 3),
        Query::Tokens { .. } => {
            let selector =
                Selector::from_i64(row.get(0)?).ok_or_else(|| StoreError::corrupt("a selector"))?;
            (RowKey::Token(selector), 1)
        }
    };
    let row = columns::decode(&key, text(row, body)?)?;
    Ok((key, row))
}

fn name(text: Option<&'static str>) -> Value {
    text.map_or(Value::Null, Value::Name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::migrate;

    /// Every page begins in the middle of an index and is read off it in order.
    #[test]
    fn no_list_is_sorted_or_scanned() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection).unwrap();
        for sql in [
            LINKS,
            PENDING,
            MEMBERS,
            MEMBERSHIPS_OF,
            USES,
            GROUPS,
            GRANTS,
            RUN_OUT,
            INVITES,
            INVITES_TO,
            DISCOVER,
            RUN_OUT_LINKS,
            RUN_OUT_INVITES,
            ENDPOINTS,
            PARKED,
            TOKENS,
        ] {
            let mut statement = connection
                .prepare(&format!("explain query plan {sql}"))
                .unwrap();
            let mut plan: Vec<String> = Vec::new();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().unwrap() {
                plan.push(row.get(3).unwrap());
            }
            assert_eq!(plan.len(), 1, "{plan:?}");
            assert!(plan[0].starts_with("SEARCH"), "{plan:?}");
            assert!(
                plan[0].contains('>') || plan[0].contains('<'),
                "{plan:?} does not begin behind the last page"
            );
        }
    }
}
