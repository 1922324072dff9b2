//! Loading the facts of a scope: all of them in one statement.
//!
//! A fact may be found through others ("who has created the link of this token"). The statement
//! follows the columns that these are found by; [`Scope::missing`] then names the rows, and says
//! what a row that was not found means.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use guestlist_access::{AccessBook, AccessChange, Episode, GroupMember};
use guestlist_membership::{Event, Fact, InviteRef, LinkRef, Root, Row, RowKey, Scope, SeatCount};
use guestlist_store::{
    AccessChanges, CommandDigest, FoundBook, Load, Receipt, Revision, Snapshot, StoreError,
};
use guestlist_types::{Bucket, GroupId, LinkId, Member, OrgId, UserId};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row as _, ValueRef as _};

use crate::error::{During, store_error, unsigned};
use crate::flush::fetch;
use crate::lookup::{self, Request};
use crate::rows;
use crate::sql::{Names, Sql};
use crate::table::{
    ACCESS_HEADS, ACTING, ADDRESSES, COMMITS, GRANTS, GROUP_MEMBERS, GROUPS, INVITES, LINK_TALLIES,
    LINK_USES, LINKS, MEMBERSHIPS, NAMES, ORGANIZATIONS, OWNERS, SEAT_TALLIES, TOKENS, Table,
    table_of,
};
use crate::value::{Kind, Value, member_values};

/// How often access rules may turn out to be needed after all.
const MAX_STATEMENTS: usize = 4;

/// What a row of the answer is.
#[derive(Debug, Clone)]
pub(crate) enum Tag {
    /// This row.
    Row(RowKey),
    /// A row whose body tells which.
    Token,
    /// The same, and not the one that the host is found by.
    OtherToken,
    Link,
    Invite,
    Membership,
    /// Rows whose body doesn't.
    Use(Member),
    Tally,
    Address,
    UseCount,
    SeatCount,
    SeatTally,
    Organization,
    Owners,
    Head,
    ActingOf(OrgId),
    ActingIn(OrgId),
    PreviewTally(LinkId, guestlist_membership::link::Generation),
    Endpoint,
    Receipt,
    Group(OrgId),
    GroupMember(OrgId),
    Grant(OrgId),
    /// What happened to access rules.
    AccessEvent(OrgId),
}

/// Where the columns of a row are in an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cells {
    number: usize,
    body: usize,
    text: usize,
    id: usize,
}

impl Cells {
    /// One behind the other.
    pub(crate) const fn at(first: usize) -> Self {
        Self {
            number: first,
            body: first + 1,
            text: first + 2,
            id: first + 3,
        }
    }
}

/// What answers a request for rows: with one row, or none if nothing was found.
pub(crate) trait Ask {
    async fn ask(&mut self, request: Request) -> Result<Option<PgRow>, StoreError>;
}

/// On a connection of one's own.
struct Alone<'a> {
    connection: &'a mut PgConnection,
    names: &'a Names,
}

impl Ask for Alone<'_> {
    async fn ask(&mut self, request: Request) -> Result<Option<PgRow>, StoreError> {
        let rows = fetch(self.connection, request.statement(self.names))
            .await
            .map_err(reading)?;
        Ok(rows.into_iter().next())
    }
}

pub(crate) async fn load(
    connection: &mut PgConnection,
    names: &Names,
    load: &Load<'_>,
) -> Result<Snapshot, StoreError> {
    let mut alone = Alone {
        connection: &mut *connection,
        names,
    };
    match look_up(&mut alone, load).await? {
        Some(snapshot) => Ok(snapshot),
        None => load_lists(connection, names, load).await,
    }
}

/// A scope of which nothing is a list; `None` if something is.
pub(crate) async fn look_up(
    ask: &mut impl Ask,
    load: &Load<'_>,
) -> Result<Option<Snapshot>, StoreError> {
    for all in [false, true] {
        let Some(asked) = lookup::asked(load, all) else {
            return Ok(None);
        };
        let row = ask.ask(asked.request).await?;
        let found = Found::of_row(load.scope, &asked.tags, row.as_ref())?;
        // What it leads to was not asked for.
        if asked.unless.iter().any(|member| found.has(member)) {
            continue;
        }
        let (snapshot, missing) = found.snapshot(load, &[]);
        return Ok(missing.is_empty().then_some(snapshot));
    }
    Ok(None)
}

/// Any scope.
pub(crate) async fn load_lists(
    connection: &mut PgConnection,
    names: &Names,
    load: &Load<'_>,
) -> Result<Snapshot, StoreError> {
    let mut books: Vec<(OrgId, Option<Revision>)> = Vec::new();
    if let (Root::Organization(host), true) =
        (&load.scope.root, load.scope.facts.contains(&Fact::Book))
    {
        books.push((host.clone(), load.known(host)));
    }
    for _ in 0..MAX_STATEMENTS {
        let (sql, tags) = Loader::statement(names, load, &books);
        let found = fetch(connection, sql)
            .await
            .map_err(|error| store_error(error, During::Reading))?;
        let found = Found::read(load.scope, &tags, &found)?;
        let (snapshot, missing) = found.snapshot(load, &books);
        if missing.is_empty() {
            return Ok(snapshot);
        }
        // Those that were asked for stay asked for: all are to be of one instant.
        for organization in missing {
            let asked = books.iter_mut().find(|(of, _)| *of == organization);
            if let Some((_, known)) = asked {
                // What was known was no help.
                *known = None;
            } else {
                let known = load.known(&organization);
                books.push((organization, known));
            }
        }
    }
    Err(StoreError::Retryable(
        "access rules were added while they were read, again and again".into(),
    ))
}

/// A load under construction.
struct Loader<'a> {
    sql: Sql<'a>,
    tags: Vec<Tag>,
    /// The conditions that a row is of the host.
    bucket: String,
    host: String,
    root: &'a Root,
    each: Option<Each>,
}

/// Values that the next facts are asked with, each in turn.
struct Each {
    /// Their table `k`, joined with rows that others are found by.
    from: String,
    /// How many of its columns are taken.
    taken: usize,
    /// The conditions of these rows.
    joined: Vec<String>,
}

/// Facts that are the same but for the ids that they name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alike {
    /// Of this bucket, so that they are asked of one machine.
    Token(Bucket),
    Link,
    Tally,
    Invite,
    Known,
    Membership,
}

impl Alike {
    fn of(fact: &Fact) -> Option<Self> {
        Some(match fact {
            Fact::Token(selector) => Self::Token(selector.bucket()),
            Fact::Link(LinkRef::Id(_)) => Self::Link,
            Fact::Tally(LinkRef::Id(_)) => Self::Tally,
            Fact::Invite(InviteRef::Id(_)) => Self::Invite,
            Fact::Known(_) => Self::Known,
            Fact::Membership(_) => Self::Membership,
            _ => return None,
        })
    }
}

/// The facts, those together that are alike.
fn grouped(facts: &[Fact]) -> impl Iterator<Item = Vec<&Fact>> {
    let mut alike: BTreeMap<Alike, Vec<&Fact>> = BTreeMap::new();
    let mut others = Vec::new();
    for fact in facts {
        match Alike::of(fact) {
            Some(kind) => alike.entry(kind).or_default().push(fact),
            None => others.push(vec![fact]),
        }
    }
    others.into_iter().chain(alike.into_values())
}

impl<'a> Loader<'a> {
    /// The statement, and what its rows are by their number.
    fn statement(
        names: &'a Names,
        load: &Load<'a>,
        books: &[(OrgId, Option<Revision>)],
    ) -> (Sql<'a>, Vec<Tag>) {
        let root = &load.scope.root;
        let bucket = match root {
            Root::Organization(host) => Some(Bucket::of(host)),
            Root::Token(selector) => Some(selector.bucket()),
            Root::Name(_) => None,
        };
        let mut sql = Sql::new(names, bucket.map(|bucket| bucket.get().into()));
        let own = match bucket {
            Some(_) if names.one_bucket => "$1".to_owned(),
            Some(bucket) => parameter(&mut sql, Kind::Int, &bucket.into()),
            None => "(select organization_bucket from root)".to_owned(),
        };
        let host = match root {
            Root::Organization(host) => parameter(&mut sql, Kind::Text, &host.as_str().into()),
            Root::Token(_) => "(select host from root)".to_owned(),
            Root::Name(_) => "(select organization from root)".to_owned(),
        };
        let mut loader = Self {
            sql,
            tags: Vec::new(),
            bucket: own,
            host,
            root,
            each: None,
        };
        loader.root();
        for facts in grouped(&load.scope.facts) {
            loader.facts(&facts);
        }
        if let Some(id) = load.receipt {
            let id = parameter(&mut loader.sql, Kind::Uuid, &id.as_bytes().into());
            let (bucket, host) = (loader.bucket.clone(), loader.host.clone());
            loader.arm(
                Tag::Receipt,
                "0::int8",
                "t.reply",
                "encode(t.digest, 'hex')",
                "null::uuid",
            );
            loader.from(&COMMITS, "t");
            loader.sql.add(&format!(
                " where t.bucket = {bucket} and t.home_kind = 'organization' and t.home = {host} \
                and t.commit_id = {id}"
            ));
        }
        for (organization, known) in books {
            loader.book(organization, *known);
        }
        (loader.sql, loader.tags)
    }

    /// The row that the host is found by.
    fn root(&mut self) {
        match self.root {
            Root::Organization(_) => {
                self.sql.add("select null::int4 as tag, null::int8 as number, null::text as body, null::text as key_text, null::uuid as key_id where false");
            }
            Root::Token(selector) => {
                let bucket = self.bucket.clone();
                let number = parameter(&mut self.sql, Kind::Big, &selector.as_i64().into());
                self.sql.add("with root as materialized (select t.* from ");
                self.add_table(&TOKENS, "t");
                self.sql.add(&format!(
                    " where t.bucket = {bucket} and t.selector = {number}) select 0::int4 as tag, \
                    revision as number, body::text as body, null::text as key_text, \
                    null::uuid as key_id from root"
                ));
                self.tags.push(Tag::Token);
            }
            Root::Name(name) => {
                let key = RowKey::Name(name.clone());
                let values = rows::key_values(&key);
                self.sql.add("with root as materialized (select t.* from ");
                self.add_table(&NAMES, "t");
                let is = self.is_key(&NAMES, &values);
                self.sql.add(&format!(" where {is}"));
                self.sql.add(
                    ") select 0::int4 as tag, revision as number, body::text as body, \
                    null::text as key_text, null::uuid as key_id from root",
                );
                self.tags.push(Tag::Row(key));
            }
        }
    }

    /// One fact, or several that are alike. The statement is as long for a page of them as for two:
    /// what the server keeps of one grows faster than it does.
    fn facts(&mut self, facts: &[&Fact]) {
        let first = match facts {
            [] => return,
            [one] => return self.fact(one),
            [first, ..] => first,
        };
        let parameters: Vec<_> = facts.iter().map(|fact| asked_with(fact)).collect();
        let mut arrays = Vec::new();
        for (place, (kind, _)) in parameters.first().into_iter().flatten().enumerate() {
            let values = parameters.iter().filter_map(|of| of.get(place));
            let number = self.sql.bind_all(*kind, values.map(|(_, value)| value));
            arrays.push(format!("${number}::{}[]", kind.parameter()));
        }
        let columns: Vec<_> = (0..arrays.len()).map(|place| format!("p{place}")).collect();
        self.each = Some(Each {
            from: format!("unnest({}) k ({})", arrays.join(", "), columns.join(", ")),
            taken: 0,
            joined: Vec::new(),
        });
        self.fact(first);
        self.each = None;
    }

    /// A value that a fact is asked with, as an expression.
    fn parameter(&mut self, kind: Kind, value: &Value) -> String {
        let Some(each) = &mut self.each else {
            return parameter(&mut self.sql, kind, value);
        };
        each.taken += 1;
        format!("k.p{}", each.taken - 1)
    }

    fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Name(name) => self.key(RowKey::Name(name.clone())),
            Fact::Token(selector) => {
                let bucket = parameter(&mut self.sql, Kind::Int, &selector.bucket().into());
                let selector = self.parameter(Kind::Big, &selector.as_i64().into());
                let is = format!("t.bucket = {bucket} and t.selector = {selector}");
                self.rows(Tag::OtherToken, &TOKENS, &is);
            }
            Fact::OrganizationOf(org) => self.key(RowKey::Organization(org.clone())),
            Fact::MembershipIn(org, member) => {
                self.key(RowKey::Membership(org.clone(), member.clone()));
            }
            Fact::Consumer(name) => self.key(RowKey::Consumer(name.clone())),
            Fact::Parked(name, sequence) => self.key(RowKey::Parked(name.clone(), *sequence)),
            Fact::BookForActing(org) => self.key(RowKey::AccessHead(org.clone())),
            Fact::Organization => self.of_host(Tag::Organization, &ORGANIZATIONS, ""),
            Fact::Owners => self.of_host(Tag::Owners, &OWNERS, ""),
            Fact::Seats => self.of_host(Tag::SeatTally, &SEAT_TALLIES, ""),
            Fact::Book | Fact::BookForLink(_) | Fact::BookForInvite(_) | Fact::BookForRequests => {
                self.of_host(Tag::Head, &ACCESS_HEADS, "");
            }
            Fact::SeatCount => self.seat_count(),
            Fact::Link(link) => {
                let link = self.link(link);
                self.of_host(Tag::Link, &LINKS, &format!(" and t.link = {link}"));
            }
            Fact::Tokens(link) => self.tokens(link),
            Fact::Tally(link) => {
                let link = self.link(link);
                self.of_host(Tag::Tally, &LINK_TALLIES, &format!(" and t.link = {link}"));
            }
            Fact::Use(link, member) => {
                let link = self.link(link);
                let member_is = self.member(member);
                let condition = format!(" and t.link = {link}{member_is}");
                self.of_host(Tag::Use(member.clone()), &LINK_USES, &condition);
            }
            Fact::UseCount(link) => self.use_count(link),
            Fact::Creator(link) => {
                let link = self.link(link);
                let creator = self.column("creator", &LINKS, &format!(" and t.link = {link}"));
                self.user(&creator);
            }
            Fact::PreviewTally(link, generation) => {
                let id = parameter(&mut self.sql, Kind::Uuid, &link.as_bytes().into());
                let number = parameter(&mut self.sql, Kind::Big, &generation.get().into());
                let condition = format!(" and t.link = {id} and t.generation = {number}");
                let tag = Tag::PreviewTally(*link, *generation);
                self.of_host(tag, &crate::table::PREVIEW_TALLIES, &condition);
            }
            Fact::Invite(invite) => {
                let invite = self.invite(invite);
                self.of_host(Tag::Invite, &INVITES, &format!(" and t.invite = {invite}"));
            }
            Fact::InviteToken(invite) => {
                let invite = self.invite(invite);
                let token = self.column("token", &INVITES, &format!(" and t.invite = {invite}"));
                self.token(&token);
            }
            Fact::InviteCreator(invite) => {
                let invite = self.invite(invite);
                let creator =
                    self.column("creator", &INVITES, &format!(" and t.invite = {invite}"));
                self.user(&creator);
            }
            Fact::Address(address) => {
                let address = parameter(&mut self.sql, Kind::Text, &address.as_str().into());
                self.address(&address);
            }
            Fact::AddressOf(member) => {
                let member_is = self.member(member);
                let address = self.column("email", &MEMBERSHIPS, &member_is);
                self.address(&address);
            }
            Fact::Known(address) => {
                let address = self.parameter(Kind::Text, &address.as_str().into());
                self.known(&address);
            }
            Fact::KnownOf(invite) => {
                let invite = self.invite(invite);
                let address =
                    self.column("address", &INVITES, &format!(" and t.invite = {invite}"));
                self.known(&address);
            }
            Fact::Membership(member) => {
                let member_is = self.member(member);
                self.of_host(Tag::Membership, &MEMBERSHIPS, &member_is);
            }
            Fact::Endpoint(endpoint) => {
                let id = parameter(&mut self.sql, Kind::Uuid, &endpoint.as_bytes().into());
                let condition = format!(" and t.endpoint = {id}");
                self.of_host(Tag::Endpoint, &crate::table::ENDPOINTS, &condition);
            }
            // In the rows of the member organization.
            Fact::Acting(org) => {
                let bucket = parameter(&mut self.sql, Kind::Int, &Bucket::of(org).into());
                let of = parameter(&mut self.sql, Kind::Text, &org.as_str().into());
                let host = self.host.clone();
                let is = format!("t.bucket = {bucket} and t.host = {of} and t.target = {host}");
                self.rows(Tag::ActingOf(org.clone()), &ACTING, &is);
            }
            Fact::ActingIn(other) => {
                let target = parameter(&mut self.sql, Kind::Text, &other.as_str().into());
                let tag = Tag::ActingIn(other.clone());
                self.of_host(tag, &ACTING, &format!(" and t.target = {target}"));
            }
        }
    }

    fn tokens(&mut self, link: &LinkRef) {
        let link = self.link(link);
        let bucket = self.bucket.clone();
        let tokens = self.column("tokens", &LINKS, &format!(" and t.link = {link}"));
        let is = format!("t.bucket = {bucket} and t.selector = any ({tokens}::int8[])");
        self.rows(Tag::Token, &TOKENS, &is);
    }

    fn use_count(&mut self, link: &LinkRef) {
        let link = self.link(link);
        let (bucket, host) = (self.bucket.clone(), self.host.clone());
        self.arm(Tag::UseCount, "count(*)", "null::text", "null::text", &link);
        self.from(&LINK_USES, "t");
        self.sql.add(&format!(
            " where t.bucket = {bucket} and t.host = {host} and t.link = {link} \
            and t.state in ('reserved', 'settled')"
        ));
    }

    fn seat_count(&mut self) {
        let (bucket, host) = (self.bucket.clone(), self.host.clone());
        let count = |status: &str| format!("count(*) filter (where t.status = '{status}')");
        let approved = format!("({})::text", count("approved"));
        self.arm(
            Tag::SeatCount,
            &count("pending"),
            &approved,
            "null::text",
            "null::uuid",
        );
        self.from(&MEMBERSHIPS, "t");
        self.sql.add(&format!(
            " where t.bucket = {bucket} and t.host = {host} and t.status in ('pending', 'approved')"
        ));
    }

    /// What is known of an address, with the invite and the membership that it leads to.
    fn known(&mut self, address: &str) {
        self.address(address);
        let at = format!(" and t.address = {address}");
        let invite = self.column("invite", &ADDRESSES, &at);
        let member = self.column("member", &ADDRESSES, &at);
        let is = format!(" and t.invite = {invite}");
        self.of_host(Tag::Invite, &INVITES, &is);
        self.user(&member);
        let token = self.column("token", &INVITES, &is);
        self.token(&token);
    }

    fn address(&mut self, address: &str) {
        self.of_host(
            Tag::Address,
            &ADDRESSES,
            &format!(" and t.address = {address}"),
        );
    }

    fn user(&mut self, user: &str) {
        let is = format!(" and t.member_kind = 'user' and t.member_id = {user}");
        self.of_host(Tag::Membership, &MEMBERSHIPS, &is);
    }

    fn token(&mut self, selector: &str) {
        let is = format!("t.bucket = {} and t.selector = {selector}", self.bucket);
        self.rows(Tag::Token, &TOKENS, &is);
    }

    fn member(&mut self, member: &Member) -> String {
        let [kind, id] = member_values(member);
        let kind = self.parameter(Kind::Text, &kind);
        let id = self.parameter(Kind::Text, &id);
        format!(" and t.member_kind = {kind} and t.member_id = {id}")
    }

    /// The id of a link, as an expression.
    fn link(&mut self, link: &LinkRef) -> String {
        match link {
            LinkRef::Id(id) => self.parameter(Kind::Uuid, &id.as_bytes().into()),
            LinkRef::OfToken => self.subject("link"),
            LinkRef::OfMembership(member) => {
                let member_is = self.member(member);
                self.column("door_link", &MEMBERSHIPS, &member_is)
            }
            LinkRef::Default => self.column("default_link", &ORGANIZATIONS, ""),
        }
    }

    fn invite(&mut self, invite: &InviteRef) -> String {
        match invite {
            InviteRef::Id(id) => self.parameter(Kind::Uuid, &id.as_bytes().into()),
            InviteRef::OfToken => self.subject("invite"),
            InviteRef::OfMembership(member) => {
                let member_is = self.member(member);
                self.column("door_invite", &MEMBERSHIPS, &member_is)
            }
            InviteRef::OfAddress(address) => {
                let address = parameter(&mut self.sql, Kind::Text, &address.as_str().into());
                self.column("invite", &ADDRESSES, &format!(" and t.address = {address}"))
            }
        }
    }

    fn subject(&self, kind: &str) -> String {
        match self.root {
            Root::Token(_) => format!("(select subject from root where subject_kind = '{kind}')"),
            Root::Organization(_) | Root::Name(_) => "null::uuid".to_owned(),
        }
    }

    /// A column of a row of the host, as an expression.
    fn column(&mut self, column: &str, table: &Table, condition: &str) -> String {
        let (prefix, bucket, host) = (&self.sql.names.prefix, &self.bucket, &self.host);
        let row = format!(
            "from {prefix}guestlist_{} t where t.bucket = {bucket} and t.host = {host}{condition}",
            table.name
        );
        let Some(each) = &mut self.each else {
            return format!("(select t.{column} {row})");
        };
        // Not a query in the condition of another one: PostgreSQL 15 may keep the answer of such a
        // one for all values that follow the first.
        let known = each.joined.iter().position(|joined| *joined == row);
        let place = known.unwrap_or_else(|| {
            let place = each.joined.len();
            let _ = write!(
                each.from,
                " left join lateral (select * {row} limit 1) j{place} on true"
            );
            each.joined.push(row);
            place
        });
        format!("j{place}.{column}")
    }

    /// A row that is known by its key.
    fn key(&mut self, key: RowKey) {
        let Some(table) = table_of(&key) else {
            return;
        };
        let is = self.is_key(table, &rows::key_values(&key));
        self.rows(Tag::Row(key), table, &is);
    }

    fn is_key(&mut self, table: &Table, values: &[Value]) -> String {
        let columns = table.key.iter().zip(values);
        let is = columns.map(|(column, value)| {
            let value = parameter(&mut self.sql, column.kind, value);
            format!("t.{} = {value}", column.name)
        });
        is.collect::<Vec<_>>().join(" and ")
    }

    /// A row of the host.
    fn of_host(&mut self, tag: Tag, table: &'static Table, condition: &str) {
        let is = format!(
            "t.bucket = {} and t.host = {}{condition}",
            self.bucket, self.host
        );
        self.rows(tag, table, &is);
    }

    /// What is told of the rows of which a condition holds.
    fn rows(&mut self, tag: Tag, table: &'static Table, is: &str) {
        let number = format!("t.{}", table.number());
        let body = if table.has_body() {
            "t.body::text"
        } else {
            "null::text"
        };
        let has = |name: &str| table.key.iter().any(|column| column.name == name);
        let text = if has("address") {
            "t.address"
        } else {
            "null::text"
        };
        let id = if has("link") { "t.link" } else { "null::uuid" };
        self.arm(tag, &number, body, text, id);
        match &self.each {
            None => {
                self.from(table, "t");
                self.sql.add(&format!(" where {is}"));
            }
            // Each by a query of its own, so that it is looked up by its whole key.
            Some(each) => {
                let (from, prefix) = (&each.from, &self.sql.names.prefix);
                let sql = format!(
                    " from {from} cross join lateral (select * from {prefix}guestlist_{} t \
                    where {is} limit 1) t",
                    table.name
                );
                self.sql.add(&sql);
            }
        }
    }

    fn arm(&mut self, tag: Tag, number: &str, body: &str, text: &str, id: &str) {
        let place = self.tags.len();
        self.tags.push(tag);
        self.sql.add(&format!(
            " union all select {place}::int4, {number}, {body}, {text}, {id}"
        ));
    }

    fn from(&mut self, table: &Table, alias: &str) {
        self.sql.add(" from ");
        self.add_table(table, alias);
    }

    fn add_table(&mut self, table: &Table, alias: &str) {
        self.sql.table(table).add(" ").add(alias);
    }

    /// Access rules: all of them, or what has happened since they were as they are known.
    fn book(&mut self, organization: &OrgId, known: Option<Revision>) {
        let bucket = parameter(&mut self.sql, Kind::Int, &Bucket::of(organization).into());
        let host = parameter(&mut self.sql, Kind::Text, &organization.as_str().into());
        let is = format!(" where t.bucket = {bucket} and t.host = {host}");
        let mut whole = String::new();
        if let Some(known) = known {
            let known = i64::try_from(known.get()).unwrap_or(i64::MAX);
            let known = parameter(&mut self.sql, Kind::Big, &Value::Int(known));
            let (prefix, most) = (self.sql.names.prefix.clone(), AccessChanges::MOST);
            let now = format!(
                "coalesce((select t.revision from {prefix}guestlist_access_heads t{is}), 0)"
            );
            // An event that waits for its place has happened, too.
            let tables: &[&str] = if self.sql.names.places_later() {
                &["events", "unplaced"]
            } else {
                &["events"]
            };
            for table in tables {
                self.arm(
                    Tag::AccessEvent(organization.clone()),
                    "t.access_revision",
                    "t.body::text",
                    "t.ordinal::text",
                    "null::uuid",
                );
                self.sql.add(&format!(
                    " from {prefix}guestlist_{table} t{is} and t.access_revision > {known} \
                    and {now} <= {known} + {most}"
                ));
            }
            whole = format!(" and ({now} < {known} or {now} > {known} + {most})");
        }
        let condition = format!("{is}{whole}");
        self.arm(
            Tag::Group(organization.clone()),
            "0::int8",
            "t.body::text",
            "null::text",
            "null::uuid",
        );
        self.from(&GROUPS, "t");
        self.sql.add(&condition);
        self.arm(
            Tag::GroupMember(organization.clone()),
            "t.episode",
            "t.member",
            "t.kind",
            "t.group_id",
        );
        self.from(&GROUP_MEMBERS, "t");
        self.sql.add(&condition);
        self.arm(
            Tag::Grant(organization.clone()),
            "0::int8",
            "t.body::text",
            "null::text",
            "null::uuid",
        );
        self.from(&GRANTS, "t");
        self.sql.add(&condition);
    }
}

/// The values that tell a fact from those that are alike, in the order in which they are asked for.
fn asked_with(fact: &Fact) -> Vec<(Kind, Value)> {
    match fact {
        Fact::Token(selector) => vec![(Kind::Big, selector.as_i64().into())],
        Fact::Link(LinkRef::Id(id)) | Fact::Tally(LinkRef::Id(id)) => {
            vec![(Kind::Uuid, id.as_bytes().into())]
        }
        Fact::Invite(InviteRef::Id(id)) => vec![(Kind::Uuid, id.as_bytes().into())],
        Fact::Known(address) => vec![(Kind::Text, address.as_str().into())],
        Fact::Membership(member) => member_values(member)
            .map(|value| (Kind::Text, value))
            .into(),
        _ => Vec::new(),
    }
}

fn parameter(sql: &mut Sql<'_>, kind: Kind, value: &Value) -> String {
    let number = sql.bind(kind, value);
    format!("${number}::{}", kind.parameter())
}

/// What one statement has found.
struct Found {
    rows: BTreeMap<RowKey, (Revision, Row)>,
    receipt: Option<Receipt>,
    changes: BTreeMap<OrgId, Vec<AccessChange>>,
    /// By the revision that they made, and their order in the log.
    events: BTreeMap<OrgId, BTreeMap<(Revision, u64), Event>>,
}

impl Found {
    fn read(scope: &Scope, tags: &[Tag], rows: &[PgRow]) -> Result<Self, StoreError> {
        let mut found = Self {
            rows: BTreeMap::new(),
            receipt: None,
            changes: BTreeMap::new(),
            events: BTreeMap::new(),
        };
        let mut host = match &scope.root {
            Root::Organization(host) => Some(host.clone()),
            Root::Token(_) | Root::Name(_) => None,
        };
        for row in rows {
            let tag: i32 = row.try_get(0).map_err(reading)?;
            let tag = usize::try_from(tag)
                .ok()
                .and_then(|tag| tags.get(tag))
                .ok_or_else(|| StoreError::corrupt("the number of a row"))?;
            found.enter(tag, row, Cells::at(1), &mut host)?;
        }
        Ok(found)
    }

    /// What is told in one row, each where it is said to be.
    fn of_row(
        scope: &Scope,
        tags: &[(Tag, Cells)],
        row: Option<&PgRow>,
    ) -> Result<Self, StoreError> {
        let mut found = Self {
            rows: BTreeMap::new(),
            receipt: None,
            changes: BTreeMap::new(),
            events: BTreeMap::new(),
        };
        let mut host = match &scope.root {
            Root::Organization(host) => Some(host.clone()),
            Root::Token(_) | Root::Name(_) => None,
        };
        if let Some(row) = row {
            for (tag, cells) in tags {
                if !is_null(row, cells.number)? {
                    found.enter(tag, row, *cells, &mut host)?;
                }
            }
        }
        Ok(found)
    }

    /// Whether this member has a membership, wherever.
    fn has(&self, member: &Member) -> bool {
        self.rows
            .keys()
            .any(|key| matches!(key, RowKey::Membership(_, of) if of == member))
    }

    fn enter(
        &mut self,
        tag: &Tag,
        row: &PgRow,
        cells: Cells,
        host: &mut Option<OrgId>,
    ) -> Result<(), StoreError> {
        let number = unsigned(row.try_get(cells.number).map_err(reading)?)?;
        let own = || {
            host.clone()
                .ok_or_else(|| StoreError::corrupt("a row of an organization that is not known"))
        };
        let link = || Ok::<_, StoreError>(LinkId::from_bytes(id(row, cells.id)?));
        let key = match tag {
            Tag::Row(key) => key.clone(),
            Tag::Token => {
                let token: guestlist_membership::link::TokenRecord =
                    rows::parse(text(row, cells.body)?, "a token")?;
                host.get_or_insert_with(|| token.host.clone());
                let key = RowKey::Token(token.selector);
                self.rows
                    .insert(key, (Revision::new(number), Row::Token(token)));
                return Ok(());
            }
            Tag::OtherToken => {
                let row: guestlist_membership::link::TokenRecord =
                    rows::parse(text(row, cells.body)?, "a token")?;
                return self.put(RowKey::Token(row.selector), number, Row::Token(row));
            }
            Tag::Link => {
                let row: Box<guestlist_membership::link::Link> =
                    rows::parse(text(row, cells.body)?, "a link")?;
                let key = RowKey::Link(own()?, row.id);
                return self.put(key, number, Row::Link(row));
            }
            Tag::Invite => {
                let row: Box<guestlist_membership::invite::EmailInvite> =
                    rows::parse(text(row, cells.body)?, "an invite")?;
                let key = RowKey::Invite(own()?, row.id);
                return self.put(key, number, Row::Invite(row));
            }
            Tag::Membership => {
                let row: Box<guestlist_membership::member::Membership> =
                    rows::parse(text(row, cells.body)?, "a membership")?;
                let key = RowKey::Membership(own()?, row.member.clone());
                return self.put(key, number, Row::Membership(row));
            }
            Tag::Endpoint => {
                let row: Box<guestlist_membership::webhook::Endpoint> =
                    rows::parse(text(row, cells.body)?, "an endpoint")?;
                let key = RowKey::Endpoint(own()?, row.id);
                return self.put(key, number, Row::Endpoint(row));
            }
            Tag::Use(member) => RowKey::LinkUse(own()?, link()?, member.clone()),
            Tag::Tally => RowKey::LinkTally(own()?, link()?),
            Tag::PreviewTally(link, generation) => RowKey::PreviewTally(own()?, *link, *generation),
            Tag::Address => {
                let address = text(row, cells.text)?
                    .parse()
                    .map_err(|_| StoreError::corrupt("an address"))?;
                RowKey::Address(own()?, address)
            }
            Tag::UseCount => {
                // A count is a row also where there is nothing to be counted.
                let (Some(host), false) = (host.clone(), is_null(row, cells.id)?) else {
                    return Ok(());
                };
                let key = RowKey::UseCount(host, link()?);
                self.rows
                    .insert(key, (Revision::ABSENT, Row::UseCount(number)));
                return Ok(());
            }
            Tag::SeatCount => {
                let Some(host) = host.clone() else {
                    return Ok(());
                };
                let approved = text(row, cells.body)?
                    .parse()
                    .map_err(|_| StoreError::corrupt("a count"))?;
                let count = SeatCount {
                    pending: number,
                    approved,
                };
                self.rows.insert(
                    RowKey::SeatCount(host),
                    (Revision::ABSENT, Row::SeatCount(count)),
                );
                return Ok(());
            }
            Tag::SeatTally => RowKey::SeatTally(own()?),
            Tag::Organization => RowKey::Organization(own()?),
            Tag::Owners => RowKey::Owners(own()?),
            Tag::Head => RowKey::AccessHead(own()?),
            Tag::ActingOf(org) => RowKey::Acting(org.clone(), own()?),
            Tag::ActingIn(other) => RowKey::Acting(own()?, other.clone()),
            Tag::Receipt => {
                self.receipt = Some(receipt(row, cells)?);
                return Ok(());
            }
            Tag::Group(organization) => {
                let group = rows::parse(text(row, cells.body)?, "a group")?;
                self.change(organization, AccessChange::PutGroup(group));
                return Ok(());
            }
            Tag::GroupMember(organization) => {
                let (group, member) = group_member(row, cells, number)?;
                self.change(organization, AccessChange::PutGroupMember { group, member });
                return Ok(());
            }
            Tag::AccessEvent(organization) => {
                let event = rows::parse(text(row, cells.body)?, "an event")?;
                let ordinal = text(row, cells.text)?.parse();
                let ordinal = ordinal.map_err(|_| StoreError::corrupt("an event's place"))?;
                self.events
                    .entry(organization.clone())
                    .or_default()
                    .insert((Revision::new(number), ordinal), event);
                return Ok(());
            }
            Tag::Grant(organization) => {
                let grant = rows::parse(text(row, cells.body)?, "a grant")?;
                self.change(organization, AccessChange::PutGrant(grant));
                return Ok(());
            }
        };
        let row = if key.is_counter() {
            Row::Tally(number)
        } else {
            rows::decode(&key, text(row, cells.body)?)?
        };
        if let (RowKey::Name(_), Row::Name(record)) = (&key, &row) {
            host.get_or_insert_with(|| record.organization.clone());
        }
        self.put(key, number, row)
    }

    fn put(&mut self, key: RowKey, number: u64, row: Row) -> Result<(), StoreError> {
        if rows::fits(&key, &row) {
            self.rows.insert(key, (Revision::new(number), row));
            Ok(())
        } else {
            Err(StoreError::corrupt("a row under the key of another one"))
        }
    }

    fn change(&mut self, organization: &OrgId, change: AccessChange) {
        self.changes
            .entry(organization.clone())
            .or_default()
            .push(change);
    }

    /// What was found as a snapshot, and the access rules that are needed as well.
    fn snapshot(
        mut self,
        load: &Load<'_>,
        asked: &[(OrgId, Option<Revision>)],
    ) -> (Snapshot, Vec<OrgId>) {
        let mut snapshot = Snapshot::new();
        loop {
            let missing = load.scope.missing(&snapshot);
            if missing.is_empty() {
                break;
            }
            for key in missing {
                let found = self.rows.remove(&key);
                snapshot.insert(key, found);
            }
        }
        snapshot.set_receipt(self.receipt.take());
        if let Some(host) = load.scope.host(snapshot.records()) {
            snapshot.set_host(host);
        }
        let mut missing = Vec::new();
        for organization in load.scope.books(snapshot.records()) {
            let head = RowKey::AccessHead(organization.clone());
            let revision = snapshot.revision(&head).unwrap_or(Revision::ABSENT);
            if load.known(&organization) == Some(revision) {
                snapshot.insert_book(organization, FoundBook::Known);
                continue;
            }
            let asked = asked.iter().find(|(of, _)| *of == organization);
            let since = asked.and_then(|(_, known)| *known);
            let changes = since.and_then(|since| AccessChanges::between(since, revision));
            if let Some(mut changes) = changes {
                for ((revision, _), event) in self.events.remove(&organization).unwrap_or_default()
                {
                    changes.push(revision, event);
                }
                match changes.into_found() {
                    Some(found) => snapshot.insert_book(organization, found),
                    None => missing.push(organization),
                }
            } else if asked.is_some() && since != Some(revision) {
                let mut book = AccessBook::new();
                book.set_revision(revision.get());
                if let Some(head) = snapshot.records().access_head(&organization) {
                    book.apply(&AccessChange::Head(*head));
                }
                for change in self.changes.remove(&organization).unwrap_or_default() {
                    book.apply(&change);
                }
                snapshot.insert_book(organization, FoundBook::Whole(Arc::new(book)));
            } else {
                missing.push(organization);
            }
        }
        (snapshot, missing)
    }
}

fn group_member(
    row: &PgRow,
    cells: Cells,
    episode: u64,
) -> Result<(GroupId, GroupMember), StoreError> {
    let group = GroupId::from_bytes(id(row, cells.id)?);
    let (name, kind) = (text(row, cells.body)?, text(row, cells.text)?);
    let member = if kind == "group" {
        let group = GroupId::parse(name);
        GroupMember::Group(group.map_err(|_| StoreError::corrupt("a group's member"))?)
    } else {
        let episode = u32::try_from(episode).map_err(|_| StoreError::corrupt("an episode"))?;
        GroupMember::Member {
            member: member(kind, name)?,
            episode: Episode::new(episode),
        }
    };
    Ok((group, member))
}

fn receipt(row: &PgRow, cells: Cells) -> Result<Receipt, StoreError> {
    let value = row.try_get_raw(cells.text).map_err(reading)?;
    let bytes = value.as_bytes().unwrap_or_default();
    let digest = bytes
        .try_into()
        .ok()
        .or_else(|| from_hex(core::str::from_utf8(bytes).ok()?))
        .ok_or_else(|| StoreError::corrupt("a receipt"))?;
    Ok(Receipt {
        digest: CommandDigest(digest),
        reply: text(row, cells.body)?.to_owned(),
    })
}

/// A digest, as the server writes it.
pub(crate) fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0_u8; 32];
    for (place, byte) in digest.iter_mut().enumerate() {
        let digits = hex.get(2 * place..2 * place + 2)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(digest)
}

fn reading(error: sqlx::Error) -> StoreError {
    store_error(error, During::Reading)
}

/// A column of text or JSON, as it was received.
pub(crate) fn text(row: &PgRow, column: usize) -> Result<&str, StoreError> {
    row.try_get_raw(column)
        .map_err(reading)?
        .as_str()
        .map_err(|_| StoreError::corrupt("a column of another type"))
}

pub(crate) fn is_null(row: &PgRow, column: usize) -> Result<bool, StoreError> {
    Ok(row.try_get_raw(column).map_err(reading)?.is_null())
}

/// A column of an id.
pub(crate) fn id(row: &PgRow, column: usize) -> Result<[u8; 16], StoreError> {
    let value = row.try_get_raw(column).map_err(reading)?;
    value
        .as_bytes()
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| StoreError::corrupt("an id"))
}

pub(crate) fn organization(text: &str) -> Result<OrgId, StoreError> {
    OrgId::parse(text).map_err(|_| StoreError::corrupt("an organization's id"))
}

pub(crate) fn member(kind: &str, id: &str) -> Result<Member, StoreError> {
    match kind {
        "org" => organization(id).map(Member::Org),
        "user" => match UserId::parse(id) {
            Ok(id) => Ok(Member::User(id)),
            Err(_) => Err(StoreError::corrupt("a user's id")),
        },
        _ => Err(StoreError::corrupt("a kind of member")),
    }
}
