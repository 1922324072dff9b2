//! The rows of a scope, each looked up by its key, as one row of one statement.
//!
//! Where nothing of a scope is a list, its rows are joined one to the other in the order in which
//! they are found: the token, its organization and link, who has created that. Such a statement
//! costs the server least, and the same one answers many scopes of one shape at once.

use guestlist_membership::{Fact, InviteRef, LinkRef, Root, RowKey};
use guestlist_store::Load;
use guestlist_types::{Bucket, Member};

use crate::read::{Cells, Tag};
use crate::rows;
use crate::sql::{Names, Sql};
use crate::table::{
    ACCESS_HEADS, ACTING, ADDRESSES, COMMITS, ENDPOINTS, INVITES, LINK_TALLIES, LINK_USES, LINKS,
    MEMBERSHIPS, ORGANIZATIONS, OWNERS, PREVIEW_TALLIES, SEAT_TALLIES, TOKENS, Table, table_of,
};
use crate::value::{Kind, Value, member_values};

/// As many rows as are joined in one statement, at most. The server keeps of a join every column of
/// all that is joined before, so that memory for a statement grows with the square of this.
const MAX_LOOKUPS: usize = 32;

/// What a column of a key is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Parameter(usize),
    /// A column of a row that was looked up before.
    Column(usize, &'static str),
    Word(&'static str),
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lookup {
    table: &'static str,
    on: Vec<(&'static str, Is)>,
    /// Whether it is told, or others are only found by it.
    is_told: bool,
}

/// What is looked up. Of those with the same look-ups, many are one statement.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    lookups: Vec<Lookup>,
    parameters: Vec<(Kind, Value)>,
}

/// The rows of a scope.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    /// What the rows are that are told, in their order, and where their columns are.
    pub(crate) tags: Vec<(Tag, Cells)>,
    /// Nothing was asked that is found by the memberships of these: if they have one, ask again.
    pub(crate) unless: Vec<Member>,
}

/// The rows of a scope, if all of them can be asked for like this.
///
/// Who comes with a token is new, mostly. So unless `all` is asked for, what an earlier membership
/// leads to is left out.
pub(crate) fn asked(load: &Load<'_>, all: bool) -> Option<Asked> {
    if load.scope.facts.len() > MAX_LOOKUPS {
        return None;
    }
    let root = &load.scope.root;
    let mut asking = Asking {
        lookups: Vec::new(),
        tags: Vec::new(),
        parameters: Vec::new(),
        unless: Vec::new(),
        bucket: Is::Parameter(0),
        host: Is::Parameter(1),
        is_token: matches!(root, Root::Token(_)),
        all,
    };
    match root {
        Root::Organization(host) => {
            asking.bucket = asking.parameter(Kind::Int, Bucket::of(host).into());
            asking.host = asking.parameter(Kind::Text, host.as_str().into());
        }
        Root::Token(selector) => {
            asking.bucket = asking.parameter(Kind::Int, selector.bucket().into());
            let selector = asking.parameter(Kind::Big, selector.as_i64().into());
            let token = asking.token(selector);
            asking.host = Is::Column(token, "host");
        }
        Root::Name(_) => return None,
    }
    for fact in &load.scope.facts {
        asking.fact(fact)?;
    }
    if let Some(id) = load.receipt {
        let id = asking.parameter(Kind::Uuid, id.as_bytes().into());
        let on = vec![
            ("bucket", asking.bucket),
            ("home_kind", Is::Word("organization")),
            ("home", asking.host),
            ("commit_id", id),
        ];
        asking.tell(Tag::Receipt, &COMMITS, on);
    }
    (asking.lookups.len() <= MAX_LOOKUPS).then(|| asking.done())
}

struct Asking {
    lookups: Vec<Lookup>,
    tags: Vec<(Tag, usize)>,
    parameters: Vec<(Kind, Value)>,
    unless: Vec<Member>,
    bucket: Is,
    host: Is,
    is_token: bool,
    all: bool,
}

impl Asking {
    fn parameter(&mut self, kind: Kind, value: Value) -> Is {
        let parameter = (kind, value);
        let known = self.parameters.iter().position(|of| *of == parameter);
        Is::Parameter(known.unwrap_or_else(|| {
            self.parameters.push(parameter);
            self.parameters.len() - 1
        }))
    }

    fn lookup(&mut self, table: &'static Table, on: Vec<(&'static str, Is)>) -> usize {
        let known = self
            .lookups
            .iter()
            .position(|lookup| lookup.table == table.name && lookup.on == on);
        known.unwrap_or_else(|| {
            self.lookups.push(Lookup {
                table: table.name,
                on,
                is_told: false,
            });
            self.lookups.len() - 1
        })
    }

    fn tell(&mut self, tag: Tag, table: &'static Table, on: Vec<(&'static str, Is)>) -> usize {
        let place = self.lookup(table, on);
        if let Some(lookup) = self.lookups.get_mut(place)
            && !lookup.is_told
        {
            lookup.is_told = true;
            self.tags.push((tag, place));
        }
        place
    }

    fn on(&self, more: &[(&'static str, Is)]) -> Vec<(&'static str, Is)> {
        let mut on = vec![("bucket", self.bucket), ("host", self.host)];
        on.extend(more);
        on
    }

    fn of_host(&mut self, tag: Tag, table: &'static Table, more: &[(&'static str, Is)]) -> usize {
        let on = self.on(more);
        self.tell(tag, table, on)
    }

    /// A column of a row of the host.
    fn column(
        &mut self,
        column: &'static str,
        table: &'static Table,
        more: &[(&'static str, Is)],
    ) -> Is {
        let on = self.on(more);
        Is::Column(self.lookup(table, on), column)
    }

    fn token(&mut self, selector: Is) -> usize {
        let on = vec![("bucket", self.bucket), ("selector", selector)];
        self.tell(Tag::Token, &TOKENS, on)
    }

    fn member(&mut self, member: &Member) -> [(&'static str, Is); 2] {
        let [kind, id] = member_values(member);
        [
            ("member_kind", self.parameter(Kind::Text, kind)),
            ("member_id", self.parameter(Kind::Text, id)),
        ]
    }

    fn user(&mut self, id: Is) {
        let on = [("member_kind", Is::Word("user")), ("member_id", id)];
        self.of_host(Tag::Membership, &MEMBERSHIPS, &on);
    }

    /// Whether what this member's membership leads to is left out.
    fn leaves_out(&mut self, member: &Member) -> bool {
        if !self.is_token || self.all {
            return false;
        }
        if !self.unless.contains(member) {
            self.unless.push(member.clone());
        }
        true
    }

    /// The id of a link; `None` if it is left out.
    fn link(&mut self, link: &LinkRef) -> Option<Is> {
        Some(match link {
            LinkRef::Id(id) => self.parameter(Kind::Uuid, id.as_bytes().into()),
            // Of an invite's token there is no link of this id.
            LinkRef::OfToken if self.is_token => Is::Column(0, "subject"),
            LinkRef::OfToken => return None,
            LinkRef::OfMembership(member) => {
                if self.leaves_out(member) {
                    return None;
                }
                let is = self.member(member);
                self.column("door_link", &MEMBERSHIPS, &is)
            }
            LinkRef::Default => self.column("default_link", &ORGANIZATIONS, &[]),
        })
    }

    fn invite(&mut self, invite: &InviteRef) -> Option<Is> {
        Some(match invite {
            InviteRef::Id(id) => self.parameter(Kind::Uuid, id.as_bytes().into()),
            InviteRef::OfToken if self.is_token => Is::Column(0, "subject"),
            InviteRef::OfToken => return None,
            InviteRef::OfMembership(member) => {
                if self.leaves_out(member) {
                    return None;
                }
                let is = self.member(member);
                self.column("door_invite", &MEMBERSHIPS, &is)
            }
            InviteRef::OfAddress(address) => {
                let address = self.parameter(Kind::Text, address.as_str().into());
                self.column("invite", &ADDRESSES, &[("address", address)])
            }
        })
    }

    fn address(&mut self, address: Is) {
        self.of_host(Tag::Address, &ADDRESSES, &[("address", address)]);
    }

    /// What is known of an address, with the invite and the membership that it leads to.
    fn known(&mut self, address: Is) {
        self.address(address);
        let at = [("address", address)];
        let invite = self.column("invite", &ADDRESSES, &at);
        let member = self.column("member", &ADDRESSES, &at);
        let is = [("invite", invite)];
        self.of_host(Tag::Invite, &INVITES, &is);
        let token = self.column("token", &INVITES, &is);
        self.token(token);
        self.user(member);
    }

    fn key(&mut self, key: RowKey) -> Option<()> {
        let table = table_of(&key)?;
        let values = rows::key_values(&key);
        let mut on = Vec::with_capacity(values.len());
        for (column, value) in table.key.iter().zip(values) {
            on.push((column.name, self.parameter(column.kind, value)));
        }
        self.tell(Tag::Row(key), table, on);
        Some(())
    }

    /// A row, or more that lead to each other; `None` if it is none of both.
    fn fact(&mut self, fact: &Fact) -> Option<()> {
        match fact {
            Fact::Name(name) => self.key(RowKey::Name(name.clone()))?,
            Fact::Token(selector) => self.key(RowKey::Token(*selector))?,
            Fact::OrganizationOf(org) => self.key(RowKey::Organization(org.clone()))?,
            Fact::MembershipIn(org, member) => {
                self.key(RowKey::Membership(org.clone(), member.clone()))?;
            }
            Fact::Consumer(name) => self.key(RowKey::Consumer(name.clone()))?,
            Fact::Parked(name, sequence) => self.key(RowKey::Parked(name.clone(), *sequence))?,
            Fact::BookForActing(org) => self.key(RowKey::AccessHead(org.clone()))?,
            Fact::Organization => {
                self.of_host(Tag::Organization, &ORGANIZATIONS, &[]);
            }
            Fact::Owners => {
                self.of_host(Tag::Owners, &OWNERS, &[]);
            }
            Fact::Seats => {
                self.of_host(Tag::SeatTally, &SEAT_TALLIES, &[]);
            }
            Fact::Book | Fact::BookForLink(_) | Fact::BookForInvite(_) | Fact::BookForRequests => {
                self.of_host(Tag::Head, &ACCESS_HEADS, &[]);
            }
            Fact::Link(link) => {
                if let Some(link) = self.link(link) {
                    self.of_host(Tag::Link, &LINKS, &[("link", link)]);
                }
            }
            Fact::Tally(link) => {
                if let Some(link) = self.link(link) {
                    self.of_host(Tag::Tally, &LINK_TALLIES, &[("link", link)]);
                }
            }
            Fact::Use(link, member) => {
                if let Some(link) = self.link(link) {
                    let [kind, id] = self.member(member);
                    let tag = Tag::Use(member.clone());
                    self.of_host(tag, &LINK_USES, &[("link", link), kind, id]);
                }
            }
            Fact::Creator(link) => {
                if let Some(link) = self.link(link) {
                    let creator = self.column("creator", &LINKS, &[("link", link)]);
                    self.user(creator);
                }
            }
            Fact::PreviewTally(link, generation) => {
                let id = self.parameter(Kind::Uuid, link.as_bytes().into());
                let number = self.parameter(Kind::Big, generation.get().into());
                let tag = Tag::PreviewTally(*link, *generation);
                let on = [("link", id), ("generation", number)];
                self.of_host(tag, &PREVIEW_TALLIES, &on);
            }
            Fact::Invite(invite) => {
                if let Some(invite) = self.invite(invite) {
                    self.of_host(Tag::Invite, &INVITES, &[("invite", invite)]);
                }
            }
            Fact::InviteToken(invite) => {
                if let Some(invite) = self.invite(invite) {
                    let token = self.column("token", &INVITES, &[("invite", invite)]);
                    self.token(token);
                }
            }
            Fact::InviteCreator(invite) => {
                if let Some(invite) = self.invite(invite) {
                    let creator = self.column("creator", &INVITES, &[("invite", invite)]);
                    self.user(creator);
                }
            }
            Fact::Address(address) => {
                let address = self.parameter(Kind::Text, address.as_str().into());
                self.address(address);
            }
            Fact::AddressOf(member) => {
                if !self.leaves_out(member) {
                    let is = self.member(member);
                    let address = self.column("email", &MEMBERSHIPS, &is);
                    self.address(address);
                }
            }
            Fact::Known(address) => {
                let address = self.parameter(Kind::Text, address.as_str().into());
                self.known(address);
            }
            Fact::KnownOf(invite) => {
                if let Some(invite) = self.invite(invite) {
                    let address = self.column("address", &INVITES, &[("invite", invite)]);
                    self.known(address);
                }
            }
            Fact::Membership(member) => {
                let is = self.member(member);
                self.of_host(Tag::Membership, &MEMBERSHIPS, &is);
            }
            Fact::Endpoint(endpoint) => {
                let id = self.parameter(Kind::Uuid, endpoint.as_bytes().into());
                self.of_host(Tag::Endpoint, &ENDPOINTS, &[("endpoint", id)]);
            }
            // In the rows of the member organization.
            Fact::Acting(org) => {
                let bucket = self.parameter(Kind::Int, Bucket::of(org).into());
                let of = self.parameter(Kind::Text, org.as_str().into());
                let on = vec![("bucket", bucket), ("host", of), ("target", self.host)];
                self.tell(Tag::ActingOf(org.clone()), &ACTING, on);
            }
            Fact::ActingIn(other) => {
                let target = self.parameter(Kind::Text, other.as_str().into());
                let tag = Tag::ActingIn(other.clone());
                self.of_host(tag, &ACTING, &[("target", target)]);
            }
            Fact::Tokens(_) | Fact::UseCount(_) | Fact::SeatCount => return None,
        }
        Some(())
    }

    fn done(self) -> Asked {
        let request = Request {
            lookups: self.lookups,
            parameters: self.parameters,
        };
        let mut places = Vec::new();
        let mut at = 0;
        for lookup in &request.lookups {
            places.push(at);
            at += lookup.columns().len();
        }
        // In the order in which they are found: the organization is known by the token.
        let mut tags = self.tags;
        tags.sort_by_key(|(_, place)| *place);
        let tags = tags
            .into_iter()
            .filter_map(|(tag, place)| Some((tag, Cells::at(*places.get(place)?))))
            .collect();
        Asked {
            request,
            tags,
            unless: self.unless,
        }
    }
}

impl Lookup {
    /// What is told of the row: its number, and as far as there are some its body, a text and an id
    /// of its key.
    fn columns(&self) -> &'static [&'static str] {
        if !self.is_told {
            return &[];
        }
        match self.table {
            "commits" => &["at", "reply", "digest"],
            "addresses" => &["revision", "body", "address"],
            "link_uses" => &["revision", "body", "body", "link"],
            "link_tallies" => &["uses", "uses", "uses", "link"],
            "preview_tallies" => &["previews"],
            "seat_tallies" => &["taken"],
            _ => &["revision", "body"],
        }
    }
}

impl Request {
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let kinds = |request: &Self| -> Vec<Kind> {
            request.parameters.iter().map(|(kind, _)| *kind).collect()
        };
        self.lookups == other.lookups && kinds(self) == kinds(other)
    }

    /// The statement for one. Its answer is a row, or none.
    pub(crate) fn statement<'a>(&self, names: &'a Names) -> Sql<'a> {
        let mut sql = Sql::new(names, None);
        for (kind, value) in &self.parameters {
            sql.bind(*kind, value);
        }
        let parameter = |place: usize| format!("${}", place + 1);
        self.select(&mut sql);
        sql.add(" from (select) u");
        self.joins(&mut sql, &parameter);
        sql
    }

    /// The statement for many that are like this one. Its answer is a row for each,
    /// with its number, from one on, behind all else.
    pub(crate) fn statement_for_all<'a>(&self, names: &'a Names, all: &[&Self]) -> Sql<'a> {
        let mut sql = Sql::new(names, None);
        for (place, (kind, _)) in self.parameters.iter().enumerate() {
            let values = all
                .iter()
                .filter_map(|request| request.parameters.get(place).map(|(_, value)| value));
            let _ = sql.bind_all(*kind, values);
        }
        let parameter = |place: usize| format!("u.p{place}");
        self.select(&mut sql);
        sql.add(", u.n from unnest(");
        for place in 0..self.parameters.len() {
            sql.add(if place > 0 { ", " } else { "" });
            sql.parameter(place + 1);
        }
        sql.add(") with ordinality u (");
        for place in 0..self.parameters.len() {
            sql.add(&format!("p{place}, "));
        }
        sql.add("n)");
        self.joins(&mut sql, &parameter);
        sql
    }

    /// Where the number of a row is, in the answer of a statement for many.
    pub(crate) fn number_at(&self) -> usize {
        self.lookups
            .iter()
            .map(|lookup| lookup.columns().len())
            .sum()
    }

    fn select(&self, sql: &mut Sql<'_>) {
        sql.add("select ");
        let mut first = true;
        for (place, lookup) in self.lookups.iter().enumerate() {
            for column in lookup.columns() {
                sql.add(if first { "" } else { ", " });
                first = false;
                sql.add(&format!("t{place}.{column}"));
            }
        }
    }

    /// Each row by a query of its own, so that it is looked up by its whole key: as a plain join, an
    /// index that has some of the key's columns can be taken for as good.
    fn joins(&self, sql: &mut Sql<'_>, parameter: &dyn Fn(usize) -> String) {
        for (place, lookup) in self.lookups.iter().enumerate() {
            let prefix = &sql.names.prefix;
            let table = lookup.table;
            sql.add(&format!(
                " left join lateral (select * from {prefix}guestlist_{table} t where "
            ));
            for (index, (column, is)) in lookup.on.iter().enumerate() {
                let is = match is {
                    Is::Parameter(number) => parameter(*number),
                    Is::Column(of, name) => format!("t{of}.{name}"),
                    Is::Word(word) => format!("'{word}'"),
                };
                sql.add(if index > 0 { " and " } else { "" });
                sql.add(&format!("t.{column} = {is}"));
            }
            sql.add(&format!(" limit 1) t{place} on true"));
        }
    }
}
