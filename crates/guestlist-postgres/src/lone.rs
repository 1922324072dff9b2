//! One commit as one statement, when it goes alone and is of usual size.
//!
//! It does what [`crate::statement`] does for many, without what only many need: its checks are one
//! array that is compared with another one, what it writes comes straight from parameters, and its
//! answer is one row. What it costs the server is mostly to make its plan ready, again each time, so
//! every part that is not in it counts.

use guestlist_store::{CommandDigest, Receipt, StoreError};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::error::{During, OVERTAKEN, store_error};
use crate::place::TICK;
use crate::plan::{Counted, Counter, Fact, Outcome, Plan, Put};
use crate::read::from_hex;
use crate::sql::{Names, Sql, list};
use crate::statement::{EVENT, locks};
use crate::table::{COMMITS, COUNTERS, JOINED, LINK_USES, MEMBERSHIPS, ORDER, Table};
use crate::value::{Kind, Value};

/// More checks or rows than this are a text that few other commits share.
const MOST_CHECKS: usize = 24;
const MOST_PUTS: usize = 12;
const MOST_EVENTS: usize = 4;

/// What each element of the array of checks has to be, behind the number of its check.
pub(crate) struct Wanted(Vec<(i64, Option<i64>)>);

/// The statement for a commit that goes alone; `None` if it is too large for this.
///
/// Unless it is `careful`, it takes for granted what is so nearly always: that the commit was not
/// applied before, and that nobody new is in the list of what they have joined. If not, a key says
/// so, and nothing was applied; or a check misses, and the [receipt] is to be looked for.
pub(crate) fn commit<'a>(
    names: &'a Names,
    plan: &'a Plan,
    careful: bool,
) -> Option<(Sql<'a>, Wanted)> {
    if plan.facts.len() > MOST_CHECKS
        || plan.puts.len() + plan.deletes.len() > MOST_PUTS
        || plan.events.len() > MOST_EVENTS
    {
        return None;
    }
    let mut writer = Writer {
        sql: Sql::new(names, None),
        seen: Vec::new(),
        wanted: Vec::new(),
        plan,
        parts: 0,
        careful,
    };
    writer.found();
    writer.held();
    writer.puts();
    writer.deletes();
    writer.take();
    writer.keep();
    writer.events();
    writer.answer();
    Some((writer.sql, Wanted(writer.wanted)))
}

struct Writer<'a> {
    sql: Sql<'a>,
    /// The parameters that are used again where the same value comes again.
    seen: Vec<(Kind, &'a Value, usize)>,
    wanted: Vec<(i64, Option<i64>)>,
    plan: &'a Plan,
    parts: usize,
    careful: bool,
}

/// The receipt of a commit, if it was applied before.
pub(crate) fn receipt<'a>(names: &'a Names, plan: &'a Plan) -> Sql<'a> {
    let mut sql = Sql::new(names, None);
    sql.add("select encode(t.digest, 'hex') || t.reply from ")
        .table(&COMMITS)
        .add(" t where ");
    for (index, (column, value)) in COMMITS.key.iter().zip(&plan.receipt).enumerate() {
        sql.add(if index > 0 { " and t." } else { "t." })
            .add(column.name)
            .add(" = ")
            .value(column.kind, value);
    }
    sql
}

/// What the statement for a receipt answered.
pub(crate) fn kept(rows: &[PgRow]) -> Result<Option<Receipt>, StoreError> {
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let text: &str = row
        .try_get(0)
        .map_err(|error| store_error(error, During::Reading))?;
    parse_receipt(text)
        .map(Some)
        .ok_or_else(|| StoreError::corrupt("a receipt"))
}

/// Whether a value that comes twice is one parameter. Which values do belongs to the shape of a
/// commit; small numbers are the same by accident, too.
const fn is_shared(value: &Value) -> bool {
    match value {
        Value::Text(_) | Value::Name(_) | Value::Id(_) => true,
        Value::Int(number) => *number > 1 << 32,
        Value::Null | Value::Nothing | Value::Bool(_) | Value::Digest(_) => false,
    }
}

impl<'a> Writer<'a> {
    /// A parameter, as a column of this kind.
    fn value(&mut self, column: &str, kind: Kind, value: &'a Value) {
        let shared = is_shared(value) || (column == "bucket" && *value != Value::Null);
        let known = self
            .seen
            .iter()
            .find(|(of, seen, _)| of.parameter() == kind.parameter() && *seen == value);
        let number = match known {
            Some((_, _, number)) if shared => *number,
            _ => {
                let number = self.sql.bind(kind, value);
                if shared {
                    self.seen.push((kind, value, number));
                }
                number
            }
        };
        self.sql.parameter(number);
        self.sql.add(self.sql.names.cast(kind));
    }

    fn is_key(&mut self, table: &'static Table, values: &'a [Value]) {
        for (index, (column, value)) in table.key.iter().zip(values).enumerate() {
            self.sql.add(if index > 0 { " and t." } else { "t." });
            self.sql.add(column.name).add(" = ");
            self.value(column.name, column.kind, value);
        }
    }

    fn looked_up(&mut self, what: &str, table: &'static Table, key: &'a [Value], lock: &str) {
        self.sql
            .add("(select ")
            .add(what)
            .add(" from ")
            .table(table);
        self.sql.add(" t where ");
        self.is_key(table, key);
        self.sql.add(lock).add(")");
    }

    fn check(&mut self, n: i64, wanted: Option<i64>) {
        if !self.wanted.is_empty() {
            self.sql.add(", ");
        }
        self.wanted.push((n, wanted));
    }

    /// What there is, locked in the order of everybody.
    fn found(&mut self) {
        let plan = self.plan;
        self.sql
            .add("with held as materialized (select f, done, f = ");
        let wanted_at = self.sql.text.len();
        self.sql.add(" as ok from (select array[");
        for (table, written) in locks() {
            let facts = facts_of(plan, table, |fact| {
                fact.written == written && fact.revision > 0
            });
            for fact in facts {
                self.check(fact.n, Some(fact.revision));
                let lock = if written {
                    " for no key update"
                } else {
                    " for share"
                };
                self.looked_up("t.revision", table, &fact.key, lock);
            }
        }
        for table in ORDER {
            for fact in facts_of(plan, table, |fact| fact.revision == 0) {
                self.check(fact.n, None);
                self.looked_up("t.revision", table, &fact.key, "");
            }
        }
        for counted in &plan.counted {
            self.counted(counted);
        }
        self.sql.add("]::int8[] as f, ");
        if plan.kept.is_some() && self.careful {
            let what = "encode(t.digest, 'hex') || t.reply";
            self.looked_up(what, &COMMITS, &plan.receipt, "");
        } else {
            self.sql.add("null::text");
        }
        // What is pulled up is looked up as often as it is named.
        self.sql.add(" as done offset 0) found)");
        let wanted: Vec<Option<i64>> = self.wanted.iter().map(|(_, wanted)| *wanted).collect();
        let number = self.sql.bind_bigs(wanted);
        let holds = format!("${number} and done is null");
        self.sql.text.insert_str(wanted_at, &holds);
    }

    fn counted(&mut self, counted: &'a Counted) {
        match counted {
            Counted::Uses { n, key, count } => {
                self.check(*n, Some(*count));
                self.count(&LINK_USES, key, " and t.state in ('reserved', 'settled')");
            }
            Counted::Seats {
                n,
                key,
                pending,
                approved,
            } => {
                self.check(*n, Some(*pending));
                self.count(&MEMBERSHIPS, key, " and t.status = 'pending'");
                self.check(*n, Some(*approved));
                self.count(&MEMBERSHIPS, key, " and t.status = 'approved'");
            }
        }
    }

    fn count(&mut self, table: &'static Table, key: &'a [Value], which: &str) {
        self.looked_up("count(*)", table, key, which);
    }

    /// The counters, locked until the end, if all else holds.
    fn held(&mut self) {
        let plan = self.plan;
        if plan.counters.is_empty() {
            return;
        }
        self.sql.add(", counted as materialized (select held.*");
        let mut index = 0;
        for table in COUNTERS.iter().copied() {
            for counter in counters_of(plan, table) {
                self.sql.add(", case when ok then ");
                let number = format!("t.{}", table.number());
                self.looked_up(&number, table, &counter.key, " for no key update");
                self.sql.add(&format!(" end as n{index}"));
                index += 1;
            }
        }
        self.sql
            .add(" from held), room as materialized (select *, ok");
        let mut index = 0;
        for table in COUNTERS.iter().copied() {
            for counter in counters_of(plan, table) {
                self.sql.add(&format!(" and coalesce(n{index}, 0) <= "));
                self.big(counter.most);
                if let Some(same) = counter.same {
                    self.sql.add(&format!(" and coalesce(n{index}, 0) = "));
                    self.big(same);
                }
                index += 1;
            }
        }
        self.sql.add(" as fits from counted)");
    }

    fn big(&mut self, number: i64) {
        let number = self.sql.bind(Kind::Big, &Value::Int(number));
        self.sql.parameter(number);
    }

    /// Of which everything holds.
    fn accepted(&self) -> &'static str {
        if self.plan.counters.is_empty() {
            " from held where ok"
        } else {
            " from room where fits"
        }
    }

    fn part(&mut self) {
        let part = self.parts;
        self.parts += 1;
        self.sql.add(&format!(", w{part} as ("));
    }

    fn puts(&mut self) {
        for put in self.plan.puts_in_order() {
            self.put(put);
        }
    }

    fn put(&mut self, put: &'a Put) {
        let table = put.table;
        self.part();
        self.insert(table, &put.values);
        // If it is there after all, its unique key says so: see `is_overtaken`.
        if !put.is_new || (put.blind && self.careful) {
            self.sql.add(" on conflict (");
            self.sql.add(&list(table.key.iter()));
            self.sql.add(") do update set ");
            for (index, column) in table.columns.iter().enumerate() {
                if index > 0 {
                    self.sql.add(", ");
                }
                self.sql.add(column.name).add(" = excluded.");
                self.sql.add(column.name);
            }
            if put.blind && core::ptr::eq(table, &raw const JOINED) {
                self.sql.add(" where t.revision < excluded.revision");
            }
        }
        self.sql.add(")");
    }

    fn insert(&mut self, table: &'static Table, values: &'a [Value]) {
        self.sql.add("insert into ").table(table).add(" as t (");
        self.sql.add(&list(table.all())).add(") select ");
        self.values(table, values);
        self.sql.add(self.accepted());
    }

    fn values(&mut self, table: &'static Table, values: &'a [Value]) {
        for (index, (column, value)) in table.all().zip(values).enumerate() {
            if index > 0 {
                self.sql.add(", ");
            }
            self.value(column.name, column.kind, value);
        }
    }

    fn deletes(&mut self) {
        for (table, key) in self.plan.deletes_in_order() {
            self.part();
            self.sql.add("delete from ").table(table).add(" t where ");
            self.is_key(table, key);
            self.sql.add(" and (select true");
            self.sql.add(self.accepted());
            self.sql.add("))");
        }
    }

    /// What is added to counters and taken from them.
    fn take(&mut self) {
        let plan = self.plan;
        let mut index = 0;
        for table in COUNTERS.iter().copied() {
            for counter in counters_of(plan, table) {
                if counter.written {
                    let name = table.number();
                    self.part();
                    self.sql.add("insert into ").table(table).add(" as t (");
                    self.sql.add(&list(table.all())).add(") select ");
                    self.values(table, &counter.key);
                    self.sql
                        .add(&format!(", greatest(coalesce(n{index}, 0) + "));
                    self.big(counter.add);
                    self.sql.add(", ");
                    self.big(counter.least);
                    self.sql.add(")");
                    self.sql.add(self.accepted());
                    self.sql.add(" on conflict (");
                    self.sql.add(&list(table.key.iter()));
                    // One that was not there when it was looked at was not locked.
                    self.sql.add(&format!(
                        ") do update set {name} = case when (select n{index} from room) is null \
                        then ('{OVERTAKEN} ' || t.{name})::int8 else excluded.{name} end)"
                    ));
                }
                index += 1;
            }
        }
    }

    /// The receipt.
    fn keep(&mut self) {
        let plan = self.plan;
        let Some(kept) = &plan.kept else {
            return;
        };
        self.part();
        self.sql.add("insert into ").table(&COMMITS).add(" (");
        self.sql.add(&list(COMMITS.all())).add(") select ");
        let values = plan.receipt.iter().chain(kept);
        for (index, (column, value)) in COMMITS.all().zip(values).enumerate() {
            if index > 0 {
                self.sql.add(", ");
            }
            self.value(column.name, column.kind, value);
        }
        self.sql.add(self.accepted());
        self.sql.add(")");
    }

    fn events(&mut self) {
        let plan = self.plan;
        if plan.events.is_empty() {
            return;
        }
        let prefix = self.sql.names.prefix.clone();
        // Asked for when every row is locked, so that events are in the order of their commits.
        self.sql.add(", place as materialized (select ");
        if plan.basis.is_some() {
            self.sql.add(TICK);
        } else {
            self.sql
                .add(&prefix)
                .add("guestlist_place((select added from ");
            self.sql.add(&prefix).add("guestlist_epoch), ");
            self.sql.add(&plan.events.len().to_string()).add(")");
        }
        let accepted = self.accepted();
        self.sql.add(" as p").add(accepted).add(")");
        self.part();
        self.sql.add("insert into ").add(&prefix);
        let columns = list(EVENT.iter());
        let alone = plan.events.len() == 1;
        if let Some(basis) = &plan.basis {
            self.sql.add("guestlist_unplaced (tick, basis, ordinal, ");
            self.sql.add(&columns).add(") select p, ");
            self.sql.add(if alone {
                ""
            } else {
                "case u.ordinal when 0 then "
            });
            self.sql.value(Kind::Text, basis);
            self.sql.add(if alone { ", " } else { " end, " });
        } else {
            self.sql.add("guestlist_events (position, ordinal, ");
            self.sql.add(&columns).add(") select p[1], p[2] + ");
        }
        if let [event] = plan.events.as_slice() {
            self.sql.add("0, ");
            self.event(event);
            self.sql.add(" from place)");
            return;
        }
        self.sql.add("u.ordinal, ");
        for (index, column) in EVENT.iter().enumerate() {
            if index > 0 {
                self.sql.add(", ");
            }
            self.sql.add("u.").add(column.name);
        }
        self.sql.add(" from place cross join (values ");
        for (index, event) in plan.events.iter().enumerate() {
            if index > 0 {
                self.sql.add(", ");
            }
            self.sql.add(&format!("({index}, "));
            self.event(event);
            self.sql.add(")");
        }
        self.sql.add(") u (ordinal, ").add(&list(EVENT.iter()));
        self.sql.add("))");
    }

    fn event(&mut self, event: &'a [Value]) {
        for (index, (column, value)) in EVENT.iter().zip(event).enumerate() {
            if index > 0 {
                self.sql.add(", ");
            }
            self.value(column.name, column.kind, value);
        }
    }

    fn answer(&mut self) {
        if self.plan.counters.is_empty() {
            self.sql.add(" select ok, f, done from held");
            return;
        }
        self.sql.add(" select fits, f, done, array[");
        let count = self.plan.counters.len();
        for index in 0..count {
            self.sql.add(if index > 0 { ", " } else { "" });
            self.sql.add(&format!("coalesce(n{index}, 0)"));
        }
        self.sql.add("]::int8[] from room");
    }
}

impl Wanted {
    /// What the statement answered.
    pub(crate) fn outcome(&self, plan: &Plan, rows: &[PgRow]) -> Result<Outcome, StoreError> {
        self.read(plan, rows)
            .map_err(|error| store_error(error, During::Reading))?
            .ok_or_else(|| StoreError::corrupt("a commit without an answer"))
    }

    fn read(&self, plan: &Plan, rows: &[PgRow]) -> Result<Option<Outcome>, sqlx::Error> {
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        if row.try_get(0)? {
            return Ok(Some(Outcome::Applied));
        }
        let done: Option<&str> = row.try_get(2)?;
        if let Some(done) = done {
            return Ok(parse_receipt(done).map(Outcome::Already));
        }
        let found: Vec<Option<i64>> = row.try_get(1)?;
        let missed = self
            .0
            .iter()
            .zip(found)
            .filter(|((_, wanted), found)| wanted != found)
            .map(|((n, _), _)| *n)
            .min();
        let missed = if missed.is_none() && !plan.counters.is_empty() {
            full(plan, &row.try_get::<Vec<i64>, _>(3)?)
        } else {
            missed
        };
        Ok(missed
            .and_then(|n| usize::try_from(n).ok())
            .map(Outcome::Missed))
    }
}

/// Which check or take finds no room.
fn full(plan: &Plan, numbers: &[i64]) -> Option<i64> {
    COUNTERS
        .iter()
        .flat_map(|table| counters_of(plan, table))
        .zip(numbers)
        .filter(|(counter, number)| {
            **number > counter.most || counter.same.is_some_and(|same| same != **number)
        })
        .map(|(counter, _)| counter.n)
        .min()
}

/// A digest in hexadecimal, and behind it the reply.
fn parse_receipt(text: &str) -> Option<Receipt> {
    let (hex, reply) = text.split_at_checked(64)?;
    Some(Receipt {
        digest: CommandDigest(from_hex(hex)?),
        reply: reply.to_owned(),
    })
}

/// The facts of one table, by key.
pub(crate) fn facts_of<'a>(
    plan: &'a Plan,
    table: &'static Table,
    wanted: impl Fn(&Fact) -> bool,
) -> Vec<&'a Fact> {
    let mut facts: Vec<&Fact> = plan
        .facts
        .iter()
        .filter(|fact| core::ptr::eq(fact.table, table) && wanted(fact))
        .collect();
    facts.sort_by(|one, other| one.key.cmp(&other.key));
    facts
}

/// The counters of one table, by key.
pub(crate) fn counters_of<'a>(plan: &'a Plan, table: &'static Table) -> Vec<&'a Counter> {
    let mut counters: Vec<&Counter> = plan
        .counters
        .iter()
        .filter(|counter| core::ptr::eq(counter.table, table))
        .collect();
    counters.sort_by(|one, other| one.key.cmp(&other.key));
    counters
}
