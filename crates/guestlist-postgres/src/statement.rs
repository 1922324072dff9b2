//! Many commits as one statement.
//!
//! It looks at what was committed before, locks the rows that the commits rely on and compares
//! their revisions, looks at counters, and writes the rows of those of which everything holds. What
//! misses is answered as a row. What a row was checked for holds until the transaction ends, because
//! the row is locked; a row that has to be new is new, because its key is unique: if another
//! transaction was faster, the statement fails as a whole ([`OVERTAKEN`]) and is run again.

use guestlist_store::{CommandDigest, Receipt, StoreError};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::error::{During, OVERTAKEN, store_error};
use crate::options::Dialect;
use crate::place::TICK;
use crate::plan::{Counted, Counter, Fact, Outcome, Plan, Put};
use crate::sql::{Names, Scope, Sql, list};
use crate::table::{COMMITS, COUNTERS, LINK_USES, MEMBERSHIPS, ORDER, Table};
use crate::value::{Column, Kind, Value};

/// Which commit a row is of.
const C: Column = Column {
    name: "c",
    kind: Kind::Int,
};
/// Which check of it.
const N: Column = Column {
    name: "n",
    kind: Kind::Int,
};

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

/// The columns of an event, behind commit and ordinal.
pub(crate) const EVENT: &[Column] = &[
    column("bucket", Kind::Int),
    column("host", Kind::Text),
    column("commit_id", Kind::Uuid),
    column("name", Kind::Text),
    column("member_kind", Kind::Text),
    column("member_id", Kind::Text),
    column("link", Kind::Uuid),
    column("invite", Kind::Uuid),
    column("at", Kind::Big),
    column("by_user", Kind::Text),
    column("by", Kind::Text),
    column("body", Kind::Json),
    column("access_revision", Kind::Big),
];

/// That the commit of a row is applied.
const IS_OK: &str = "(select flags from ok)[u.c + 1]";

/// What became of one commit.
pub(crate) enum Verdict {
    Is(Outcome),
    /// A counter has room, but not behind the others: it is to be looked at again.
    Again,
}

struct Writer<'a> {
    sql: Sql<'a>,
    numbers: Vec<Value>,
    plans: &'a [&'a Plan],
    /// What counts the rows that had to be written.
    counts: Vec<String>,
}

/// The statement for these commits. No two of them write the same row, and none reads what another
/// one writes; of counters see [`Counter::is_simple`].
pub(crate) fn commit<'a>(names: &'a Names, plans: &'a [&'a Plan], bucket: Option<i64>) -> Sql<'a> {
    let numbers = (0_i64..).map(Value::Int).take(plans.len()).collect();
    let mut writer = Writer {
        sql: Sql::new(names, bucket),
        numbers,
        plans,
        counts: Vec::new(),
    };
    writer.requests();
    let has_receipts = writer.receipts();
    writer.facts();
    writer.verdict(has_receipts);
    let counters = writer.counters();
    writer.accepted(&counters);
    writer.puts();
    writer.deletes();
    writer.take(&counters);
    writer.keep();
    writer.events();
    writer.answer(has_receipts, &counters);
    writer.sql
}

/// Locks what a commit relies on, so that what is counted is counted while nobody can change it.
/// Answers how the transaction is isolated: see [`sees_anew`].
pub(crate) fn lock<'a>(names: &'a Names, plan: &'a Plan, bucket: Option<i64>) -> Sql<'a> {
    let plans = [plan];
    let mut sql = Sql::new(names, bucket);
    sql.add("select count(*), current_setting('transaction_isolation') from (");
    let mut first = true;
    let number = Value::Int(0);
    for (table, written) in locks() {
        let facts = facts_of(&plans, table, |fact| {
            fact.written == written && fact.revision > 0
        });
        if facts.is_empty() {
            continue;
        }
        if !first {
            sql.add(" union all ");
        }
        first = false;
        let rows: Vec<Vec<&Value>> = facts
            .iter()
            .map(|(_, fact)| core::iter::once(&number).chain(&fact.key).collect())
            .collect();
        let columns = with(&[C], table.key);
        sql.add("select 1 from ").rows(&columns, &rows);
        sql.add(" cross join lateral (select 1 from ").table(table);
        sql.add(" t where ").is_key("t", table.key);
        sql.add(if written {
            " for no key update"
        } else {
            " for share"
        });
        sql.add(") t");
    }
    if first {
        sql.add("select 1");
    }
    sql.add(") locked");
    sql
}

/// Whether the next statement of a transaction sees what was committed before it begins, by the
/// answer of [`lock`].
pub(crate) fn sees_anew(locked: &[PgRow]) -> Result<bool, sqlx::Error> {
    let isolation: &str = locked.first().ok_or(sqlx::Error::RowNotFound)?.try_get(1)?;
    Ok(["read committed", "read uncommitted"].contains(&isolation))
}

/// Whether what is counted is what stays, by the answer of [`lock`]. Where every transaction is
/// serializable, one that has counted something else is not committed.
pub(crate) fn counts_what_stays(names: &Names, locked: &[PgRow]) -> Result<bool, sqlx::Error> {
    let isolation: &str = locked.first().ok_or(sqlx::Error::RowNotFound)?.try_get(1)?;
    let is_always_so = names.dialect == Dialect::CockroachDb;
    Ok((is_always_so && isolation == "serializable") || sees_anew(locked)?)
}

/// What is erased: the event, whose row is answered, and before it the answer that was kept with it.
pub(crate) fn erase<'a>(names: &'a Names, columns: &[Value]) -> [Sql<'a>; 2] {
    let at = |index: usize| columns.get(index).unwrap_or(&Value::Null);
    let mut reply = Sql::new(names, None);
    reply
        .add("update ")
        .table(&COMMITS)
        .add(" set reply = '' where bucket = ")
        .value(Kind::Int, at(0))
        .add(" and home_kind = 'organization' and home = ")
        .value(Kind::Text, at(1))
        .add(" and commit_id = ")
        .value(Kind::Uuid, at(4));
    let mut event = Sql::new(names, None);
    event
        .add("update ")
        .add(&names.prefix)
        .add("guestlist_events set body = ")
        .value(Kind::Json, at(5))
        .add(names.cast(Kind::Json))
        .add(", erased = ")
        .value(Kind::Bytes, at(6))
        .add(" where bucket = ")
        .value(Kind::Int, at(0))
        .add(" and host = ")
        .value(Kind::Text, at(1))
        .add(" and position = ")
        .value(Kind::Big, at(2))
        .add(" and ordinal = ")
        .value(Kind::Big, at(3))
        .add(" and commit_id = ")
        .value(Kind::Uuid, at(4))
        .add(" returning 1");
    [reply, event]
}

/// What the statement answered, by commit.
pub(crate) fn verdicts(plans: &[&Plan], rows: &[PgRow]) -> Result<Vec<Verdict>, StoreError> {
    let answer = Answer::read(plans.len(), rows)?;
    (0..plans.len())
        .zip(plans)
        .map(|(c, plan)| answer.verdict(c, plan))
        .collect()
}

/// The rows of the answer.
struct Answer {
    applied: Vec<bool>,
    /// The checks that hold, of commits that were refused.
    hits: Vec<Vec<i64>>,
    /// The counters that have no room, and whether they have if nobody is before.
    full: Vec<Vec<(i64, bool)>>,
    done: Vec<Option<Receipt>>,
}

impl Answer {
    fn read(commits: usize, rows: &[PgRow]) -> Result<Self, StoreError> {
        let mut answer = Self {
            applied: Vec::new(),
            hits: vec![Vec::new(); commits],
            full: vec![Vec::new(); commits],
            done: vec![None; commits],
        };
        for row in rows {
            answer
                .enter(row)
                .map_err(|error| store_error(error, During::Reading))?;
        }
        Ok(answer)
    }

    fn enter(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        let kind: i32 = row.try_get(0)?;
        let c: i32 = row.try_get(1)?;
        let c = usize::try_from(c).unwrap_or(usize::MAX);
        let n: Option<i32> = row.try_get(2)?;
        let n = i64::from(n.unwrap_or(-1));
        match kind {
            0 => self.applied = row.try_get(6)?,
            1 => {
                if let Some(hits) = self.hits.get_mut(c) {
                    hits.push(n);
                }
            }
            2 => {
                let again: bool = row.try_get(3)?;
                if let Some(full) = self.full.get_mut(c) {
                    full.push((n, again));
                }
            }
            _ => {
                let digest: Vec<u8> = row.try_get(4)?;
                let reply: String = row.try_get(5)?;
                if let (Some(done), Ok(digest)) = (self.done.get_mut(c), digest.try_into()) {
                    *done = Some(Receipt {
                        digest: CommandDigest(digest),
                        reply,
                    });
                }
            }
        }
        Ok(())
    }

    fn verdict(&self, c: usize, plan: &Plan) -> Result<Verdict, StoreError> {
        let unanswered = || StoreError::corrupt("a commit without an answer");
        if *self.applied.get(c).ok_or_else(unanswered)? {
            return Ok(Verdict::Is(Outcome::Applied));
        }
        if let Some(receipt) = self.done.get(c).and_then(Option::as_ref) {
            return Ok(Verdict::Is(Outcome::Already(receipt.clone())));
        }
        let hits = self.hits.get(c).ok_or_else(unanswered)?;
        let checks = plan.facts.iter().map(|fact| fact.n);
        let missed = checks
            .chain(plan.counted.iter().map(Counted::n))
            .filter(|n| !hits.contains(n))
            .min();
        let full = self.full.get(c).ok_or_else(unanswered)?;
        let missed = match missed {
            Some(n) => n,
            // Refused for others that may not have been applied themselves.
            None if !full.is_empty() && full.iter().all(|(_, again)| *again) => {
                return Ok(Verdict::Again);
            }
            None => full
                .iter()
                .filter(|(_, again)| !again)
                .map(|(n, _)| *n)
                .min()
                .ok_or_else(unanswered)?,
        };
        let missed = usize::try_from(missed).map_err(|_| unanswered())?;
        Ok(Verdict::Is(Outcome::Missed(missed)))
    }
}

impl Counted {
    const fn n(&self) -> i64 {
        match self {
            Self::Uses { n, .. } | Self::Seats { n, .. } => *n,
        }
    }
}

impl Writer<'_> {
    /// What is asked for: how many checks each commit has, and how many rows it must have written.
    fn requests(&mut self) {
        let needed: Vec<Value> = self
            .plans
            .iter()
            .map(|plan| {
                Value::from(
                    u32::try_from(plan.facts.len() + plan.counted.len()).unwrap_or(u32::MAX),
                )
            })
            .collect();
        let written: Vec<Value> = self
            .plans
            .iter()
            .map(|plan| Value::Int(plan.rows()))
            .collect();
        let rows: Vec<Vec<&Value>> = self
            .numbers
            .iter()
            .zip(&needed)
            .zip(&written)
            .map(|((c, needed), written)| vec![c, needed, written])
            .collect();
        let columns = [C, column("needed", Kind::Big), column("written", Kind::Big)];
        self.sql
            .add("with request as materialized (select u.c, u.needed, u.written from ");
        self.sql.rows(&columns, &rows).add(")");
    }

    /// Commits of which a receipt is kept that were applied before.
    fn receipts(&mut self) -> bool {
        let plans = self.plans;
        let numbers = self.numbers.clone();
        let rows: Vec<Vec<&Value>> = plans
            .iter()
            .zip(&numbers)
            .filter(|(plan, _)| plan.kept.is_some())
            .map(|(plan, c)| core::iter::once(c).chain(&plan.receipt).collect())
            .collect();
        if rows.is_empty() {
            return false;
        }
        let columns = with(&[C], COMMITS.key);
        self.sql
            .add(", done as materialized (select u.c, t.digest, t.reply from ");
        self.sql.rows(&columns, &rows);
        self.sql
            .add(" cross join lateral (select t.digest, t.reply from ")
            .table(&COMMITS);
        self.sql
            .add(" t where ")
            .is_key("t", COMMITS.key)
            .add(" limit 1) t)");
        true
    }

    /// The checks that hold. Rows are locked in one order by everybody: that of the tables, and
    /// within a table those that are written first, by key.
    fn facts(&mut self) {
        let plans = self.plans;
        let numbers = self.numbers.clone();
        self.sql
            .add(", hit as materialized (select null::int4 as c, null::int4 as n where false");
        for (table, written) in locks() {
            let facts = facts_of(plans, table, |fact| {
                fact.written == written && fact.revision > 0
            });
            if facts.is_empty() {
                continue;
            }
            self.locked(table, written, &facts, &numbers);
        }
        for table in ORDER {
            let facts = facts_of(plans, table, |fact| fact.revision == 0);
            if facts.is_empty() {
                continue;
            }
            let wants: Vec<Value> = facts.iter().map(|(_, fact)| fact.n.into()).collect();
            let rows: Vec<Vec<&Value>> = facts
                .iter()
                .zip(&wants)
                .filter_map(|((c, fact), n)| {
                    Some(
                        core::iter::once(numbers.get(*c)?)
                            .chain([n])
                            .chain(&fact.key)
                            .collect(),
                    )
                })
                .collect();
            let columns = with(&[C, N], table.key);
            self.sql
                .add(" union all select u.c, u.n from ")
                .rows(&columns, &rows);
            self.sql.add(" where (select 1 from ").table(table);
            self.sql
                .add(" t where ")
                .is_key("t", table.key)
                .add(") is null");
        }
        self.counted(&numbers);
        self.sql.add(")");
    }

    /// Rows that have to be at a revision: each is looked at once, however many commits rely on it.
    fn locked(
        &mut self,
        table: &'static Table,
        written: bool,
        facts: &[(usize, &Fact)],
        numbers: &[Value],
    ) {
        let mut rows: Vec<&Fact> = Vec::with_capacity(facts.len());
        // Which check of which commit is about which of the rows.
        let mut checks: Vec<[Value; 3]> = Vec::with_capacity(facts.len());
        for (c, fact) in facts {
            let is_same = |last: &&Fact| last.key == fact.key && last.revision == fact.revision;
            if !rows.last().is_some_and(is_same) {
                rows.push(fact);
            }
            let row = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            let c = numbers.get(*c).cloned().unwrap_or(Value::Null);
            checks.push([c, fact.n.into(), row.into()]);
        }
        let is_shared = rows.len() < facts.len();
        let asked: Vec<[Value; 2]> = rows
            .iter()
            .zip(&checks)
            .zip(1_i64..)
            .map(|((fact, [_, n, _]), row)| {
                let number = if is_shared { row.into() } else { n.clone() };
                [number, fact.revision.into()]
            })
            .collect();
        let values: Vec<Vec<&Value>> = rows
            .iter()
            .zip(&checks)
            .zip(&asked)
            .map(|((fact, [c, _, _]), asked)| {
                core::iter::once(c).chain(asked).chain(&fact.key).collect()
            })
            .collect();
        self.sql.add(" union all select ");
        if is_shared {
            let columns = [C, N, column("r", Kind::Int)];
            let checks: Vec<Vec<&Value>> = checks.iter().map(|row| row.iter().collect()).collect();
            self.sql.add("k.c, k.n from (select u.n as r from ");
            self.rows_at(table, written, &values);
            self.sql.add(") f join (select u.c, u.n, u.r from ");
            self.sql.rows(&columns, &checks);
            self.sql.add(") k on k.r = f.r");
        } else {
            self.sql.add("u.c, u.n from ");
            self.rows_at(table, written, &values);
        }
    }

    /// Those of these rows that are at their revision, locked.
    fn rows_at(&mut self, table: &'static Table, written: bool, values: &[Vec<&Value>]) {
        let columns = with(&[C, N, column("want", Kind::Big)], table.key);
        self.sql.rows(&columns, values);
        self.sql
            .add(" cross join lateral (select t.revision from ")
            .table(table);
        self.sql.add(" t where ").is_key("t", table.key);
        self.sql.add(if written {
            " for no key update"
        } else {
            " for share"
        });
        self.sql.add(") t where t.revision = u.want");
    }

    fn counted(&mut self, numbers: &[Value]) {
        let key =
            |table: &'static Table, length: usize| table.key.get(..length).unwrap_or(table.key);
        for (plan, c) in self.plans.iter().zip(numbers) {
            for counted in &plan.counted {
                match counted {
                    Counted::Uses {
                        n,
                        key: values,
                        count,
                    } => {
                        let (n, count) = (Value::Int(*n), Value::Int(*count));
                        let row: Vec<&Value> = [c, &n, &count].into_iter().chain(values).collect();
                        let key = key(&LINK_USES, 3);
                        let columns = with(&[C, N, column("want", Kind::Big)], key);
                        self.sql
                            .add(" union all select u.c, u.n from ")
                            .rows(&columns, &[row]);
                        self.sql
                            .add(" where u.want = (select count(*) from ")
                            .table(&LINK_USES);
                        self.sql.add(" t where ").is_key("t", key);
                        self.sql.add(" and t.state in ('reserved', 'settled'))");
                    }
                    Counted::Seats {
                        n,
                        key: values,
                        pending,
                        approved,
                    } => {
                        let (n, pending, approved) =
                            (Value::Int(*n), Value::Int(*pending), Value::Int(*approved));
                        let row: Vec<&Value> = [c, &n, &pending, &approved]
                            .into_iter()
                            .chain(values)
                            .collect();
                        let key = key(&MEMBERSHIPS, 2);
                        let wants = [
                            C,
                            N,
                            column("pending", Kind::Big),
                            column("approved", Kind::Big),
                        ];
                        let columns = with(&wants, key);
                        self.sql
                            .add(" union all select u.c, u.n from ")
                            .rows(&columns, &[row]);
                        for status in ["pending", "approved"] {
                            self.sql.add(if status == "pending" {
                                " where "
                            } else {
                                " and "
                            });
                            self.sql
                                .add("u.")
                                .add(status)
                                .add(" = (select count(*) from ");
                            self.sql
                                .table(&MEMBERSHIPS)
                                .add(" t where ")
                                .is_key("t", key);
                            self.sql.add(" and t.status = '").add(status).add("')");
                        }
                    }
                }
            }
        }
    }

    /// Of which every check holds, and that were not applied before: a flag for each commit.
    fn verdict(&mut self, has_receipts: bool) {
        self.sql
            .add(", held as materialized (select array_agg(coalesce(h.n, 0) = r.needed");
        if has_receipts {
            self.sql
                .add(" and not exists (select 1 from done d where d.c = r.c)");
        }
        self.sql.add(
            " order by r.c) as flags from request r left join \
            (select c, count(*) as n from hit group by c) h on h.c = r.c)",
        );
    }

    /// Counters, locked until the end.
    fn counters(&mut self) -> Vec<&'static Table> {
        let plans = self.plans;
        let numbers = self.numbers.clone();
        let mut used = Vec::new();
        for table in COUNTERS.iter().copied() {
            let mut counters: Vec<(usize, &Counter)> = plans
                .iter()
                .enumerate()
                .flat_map(|(c, plan)| plan.counters.iter().map(move |counter| (c, counter)))
                .filter(|(_, counter)| core::ptr::eq(counter.table, table))
                .collect();
            if counters.is_empty() {
                continue;
            }
            counters.sort_by(|(c, one), (d, other)| one.key.cmp(&other.key).then(c.cmp(d)));
            let asked: Vec<[Value; 6]> = counters
                .iter()
                .map(|(_, counter)| {
                    [
                        Value::Int(counter.n.min(i64::from(i32::MAX))),
                        counter.most.into(),
                        counter.same.into(),
                        counter.add.into(),
                        counter.least.into(),
                        counter.written.into(),
                    ]
                })
                .collect();
            let rows: Vec<Vec<&Value>> = counters
                .iter()
                .zip(&asked)
                .filter_map(|((c, counter), asked)| {
                    Some(
                        core::iter::once(numbers.get(*c)?)
                            .chain(asked)
                            .chain(&counter.key)
                            .collect(),
                    )
                })
                .collect();
            let columns = with(
                &[
                    C,
                    N,
                    column("most", Kind::Big),
                    column("same", Kind::Big),
                    column("addition", Kind::Big),
                    column("least", Kind::Big),
                    column("writes", Kind::Bool),
                ],
                table.key,
            );
            let name = table.name;
            self.sql
                .add(", ")
                .add(name)
                .add("_seen as materialized (select ");
            let keys: Vec<Column> = columns.clone();
            self.sql
                .of_rows(keys.iter().filter(|column| column.name != "bucket"));
            if self.sql.scope == Scope::Any {
                self.sql.add(", u.bucket");
            }
            self.sql
                .add(", t.number is not null as there, coalesce(t.number, 0) as number from ");
            self.sql.rows(&columns, &rows);
            self.sql.add(" left join lateral (select t.");
            self.sql
                .add(table.number())
                .add(" as number from ")
                .table(table);
            self.sql
                .add(" t where ")
                .is_key("t", table.key)
                .add(" for no key update) t on true where (select flags from held)[u.c + 1])");
            // Those before it may have been refused for another reason, so what has no room behind
            // them is looked at again.
            let key = self.key_list(table, "");
            self.sql
                .add(", ")
                .add(name)
                .add("_full as materialized (select s.c, s.n, ");
            self.sql.add(
                "s.number <= s.most and (s.same is null or s.number = s.same) as again from (",
            );
            self.sql
                .add("select *, coalesce(sum(addition) over (partition by ")
                .add(&key);
            self.sql.add(
                " order by c rows between unbounded preceding and 1 preceding), 0) as before from ",
            );
            self.sql
                .add(name)
                .add("_seen) s where s.number + s.before > s.most ");
            self.sql
                .add("or (s.same is not null and s.number <> s.same))");
            used.push(table);
        }
        used
    }

    /// Those that are applied: a flag for each.
    fn accepted(&mut self, counters: &[&'static Table]) {
        if counters.is_empty() {
            self.sql
                .add(", ok as materialized (select flags from held)");
            return;
        }
        self.sql
            .add(", ok as materialized (select array_agg((select flags from held)[r.c + 1]");
        for table in counters {
            self.sql
                .add(" and r.c <> all (coalesce((select array_agg(f.c) from ");
            self.sql.add(table.name).add("_full f), '{}'))");
        }
        self.sql.add(" order by r.c) as flags from request r)");
    }

    fn puts(&mut self) {
        let plans = self.plans;
        let numbers = self.numbers.clone();
        for table in ORDER.iter().chain(COUNTERS).copied() {
            for how in [How::New, How::Change, How::Blindly] {
                let mut puts: Vec<(usize, &Put)> = plans
                    .iter()
                    .enumerate()
                    .flat_map(|(c, plan)| plan.puts.iter().map(move |put| (c, put)))
                    .filter(|(_, put)| core::ptr::eq(put.table, table) && How::of(put) == how)
                    .collect();
                if puts.is_empty() {
                    continue;
                }
                puts.sort_by(|(_, one), (_, other)| one.values.cmp(&other.values));
                let rows: Vec<Vec<&Value>> = puts
                    .iter()
                    .filter_map(|(c, put)| {
                        Some(
                            core::iter::once(numbers.get(*c)?)
                                .chain(&put.values)
                                .collect(),
                        )
                    })
                    .collect();
                self.put(table, how, &rows);
            }
        }
    }

    fn put(&mut self, table: &'static Table, how: How, rows: &[Vec<&Value>]) {
        let behind = match how {
            How::New => "_new",
            How::Change => "",
            How::Blindly => "_blindly",
        };
        let name = format!("put_{}{behind}", table.name);
        let columns: Vec<Column> = core::iter::once(&C).chain(table.all()).copied().collect();
        self.sql
            .add(", ")
            .add(&name)
            .add(" as (insert into ")
            .table(table);
        self.sql
            .add(" as t (")
            .add(&list(table.all()))
            .add(") select ");
        self.sql.of_rows(table.all());
        self.sql.add(" from ").rows(&columns, rows);
        self.sql.add(" where ").add(IS_OK);
        if how == How::New {
            // If it is there after all, its unique key says so.
            self.sql.add(")");
            return;
        }
        self.sql.add(" on conflict (").add(&list(table.key.iter()));
        self.sql.add(") do update set ");
        for (index, column) in table.columns.iter().enumerate() {
            if index > 0 {
                self.sql.add(", ");
            }
            self.sql
                .add(column.name)
                .add(" = excluded.")
                .add(column.name);
        }
        // One that is changed has been compared and locked; the list may be ahead.
        if how == How::Change || core::ptr::eq(table, &raw const crate::table::JOINED) {
            self.sql.add(" where t.revision < excluded.revision");
        }
        self.sql.add(" returning 1)");
        if how == How::Change {
            self.counts.push(name);
        }
    }

    fn deletes(&mut self) {
        let plans = self.plans;
        let numbers = self.numbers.clone();
        for table in ORDER.iter().chain(COUNTERS).copied() {
            let mut deletes: Vec<(usize, &Vec<Value>)> = plans
                .iter()
                .enumerate()
                .flat_map(|(c, plan)| plan.deletes.iter().map(move |delete| (c, delete)))
                .filter(|(_, (of, _))| core::ptr::eq(*of, table))
                .map(|(c, (_, key))| (c, key))
                .collect();
            if deletes.is_empty() {
                continue;
            }
            deletes.sort_by_key(|(_, key)| *key);
            let rows: Vec<Vec<&Value>> = deletes
                .iter()
                .filter_map(|(c, key)| {
                    Some(
                        core::iter::once(numbers.get(*c)?)
                            .chain(key.iter())
                            .collect(),
                    )
                })
                .collect();
            let columns = with(&[C], table.key);
            self.sql
                .add(", delete_")
                .add(table.name)
                .add(" as (delete from ")
                .table(table);
            self.sql.add(" t using ").rows(&columns, &rows);
            self.sql
                .add(" where ")
                .add(IS_OK)
                .add(" and ")
                .is_key("t", table.key)
                .add(")");
        }
    }

    /// What accepted commits add to counters and take from them.
    fn take(&mut self, counters: &[&'static Table]) {
        for table in counters {
            let name = table.name;
            let key = self.key_list(table, "s.");
            self.sql
                .add(", put_")
                .add(name)
                .add(" as (insert into ")
                .table(table);
            self.sql
                .add(" as t (")
                .add(&list(table.all()))
                .add(") select ");
            if self.sql.scope == Scope::One {
                self.sql.add("$1, ");
            }
            self.sql
                .add(&key)
                .add(", greatest(max(s.number) + sum(s.addition), max(s.least)) from ");
            self.sql
                .add(name)
                .add("_seen s where s.writes and (select flags from ok)[s.c + 1] group by ")
                .add(&key);
            self.sql
                .add(" on conflict (")
                .add(&list(table.key.iter()))
                .add(") do update set ");
            self.sql
                .add(table.number())
                .add(" = excluded.")
                .add(table.number());
            self.sql
                .add(" where exists (select 1 from ")
                .add(name)
                .add("_seen s where s.there");
            for column in table.key {
                if !(self.sql.scope == Scope::One && column.name == "bucket") {
                    self.sql
                        .add(" and s.")
                        .add(column.name)
                        .add(" = t.")
                        .add(column.name);
                }
            }
            self.sql.add(") returning 1)");
            self.counts.push(format!("put_{name}"));
        }
    }

    fn key_list(&self, table: &Table, alias: &str) -> String {
        let one = self.sql.scope == Scope::One;
        let names: Vec<String> = table
            .key
            .iter()
            .filter(|column| !(one && column.name == "bucket"))
            .map(|column| format!("{alias}{}", column.name))
            .collect();
        names.join(", ")
    }

    /// The receipts.
    fn keep(&mut self) {
        let plans = self.plans;
        let numbers = self.numbers.clone();
        let mut kept: Vec<(&Value, &Plan, &Vec<Value>)> = plans
            .iter()
            .zip(&numbers)
            .filter_map(|(plan, c)| Some((c, *plan, plan.kept.as_ref()?)))
            .collect();
        if kept.is_empty() {
            return;
        }
        kept.sort_by(|(_, one, _), (_, other, _)| one.receipt.cmp(&other.receipt));
        let rows: Vec<Vec<&Value>> = kept
            .iter()
            .map(|(c, plan, kept)| {
                core::iter::once(*c)
                    .chain(&plan.receipt)
                    .chain(kept.iter())
                    .collect()
            })
            .collect();
        let columns: Vec<Column> = core::iter::once(&C).chain(COMMITS.all()).copied().collect();
        self.sql.add(", kept as (insert into ").table(&COMMITS);
        self.sql
            .add(" (")
            .add(&list(COMMITS.all()))
            .add(") select ");
        self.sql.of_rows(COMMITS.all());
        self.sql.add(" from ").rows(&columns, &rows);
        self.sql.add(" where ").add(IS_OK).add(")");
    }

    fn events(&mut self) {
        let plans = self.plans;
        let numbers = self.numbers.clone();
        let events = plans.iter().map(|plan| plan.events.len()).sum();
        if events == 0 {
            return;
        }
        let later = self.sql.names.places_later();
        // Where they are placed, those of all commits have one position.
        let ordinals: Vec<Value> = (0_i64..).map(Value::Int).take(events).collect();
        let mut rows: Vec<Vec<&Value>> = Vec::with_capacity(events);
        for (plan, c) in plans.iter().zip(&numbers) {
            let first = if later { 0 } else { rows.len() };
            for (event, ordinal) in plan.events.iter().zip(ordinals.iter().skip(first)) {
                let mut row = vec![c, ordinal];
                if later {
                    let basis = plan.basis.as_ref().filter(|_| *ordinal == Value::Int(0));
                    row.push(basis.unwrap_or(&Value::Null));
                }
                row.extend(event);
                rows.push(row);
            }
        }
        let mut columns = vec![C, column("ordinal", Kind::Big)];
        if later {
            columns.push(column("basis", Kind::Text));
        }
        columns.extend(EVENT);
        let prefix = self.sql.names.prefix.clone();
        let columns_of_events = list(EVENT.iter());
        // Asked for when every row is locked, so that events are in the order of their commits.
        if later {
            self.sql.add(", place as materialized (select ").add(TICK);
            self.sql.add(
                " as tick from (select count(*) as n from ok where true = any (flags)) o where o.n > 0)",
            );
            self.sql.add(", told as (insert into ").add(&prefix);
            self.sql.add("guestlist_unplaced (tick, ordinal, basis, ");
            self.sql
                .add(&columns_of_events)
                .add(") select p.tick, u.ordinal, u.basis, ");
        } else {
            let number = Value::Int(i64::try_from(events).unwrap_or(i64::MAX));
            self.sql.add(", place as materialized (select p.place[1] as position, p.place[2] as first from (select ");
            self.sql
                .add(&prefix)
                .add("guestlist_place(e.added, o.n - o.n + ")
                .value(Kind::Big, &number)
                .add(") as place from ")
                .add(&prefix)
                .add("guestlist_epoch e cross join (select count(*) as n from ok where true = any (flags)) o where o.n > 0) p)");
            self.sql.add(", told as (insert into ").add(&prefix);
            self.sql.add("guestlist_events (position, ordinal, ");
            self.sql
                .add(&columns_of_events)
                .add(") select p.position, p.first + u.ordinal, ");
        }
        self.sql.of_rows(EVENT.iter());
        self.sql.add(" from ").rows(&columns, &rows);
        self.sql
            .add(" cross join place p where ")
            .add(IS_OK)
            .add(")");
    }

    fn answer(&mut self, has_receipts: bool, counters: &[&'static Table]) {
        self.sql
            .add(", written as materialized (select case when 0");
        let counts = core::mem::take(&mut self.counts);
        for name in &counts {
            self.sql.add(" + (select count(*) from ").add(name).add(")");
        }
        self.sql
            .add(" = coalesce((select sum(u.written) from request u where ")
            .add(IS_OK)
            .add("), 0)");
        for table in counters {
            let key = self.key_list(table, "u.");
            self.sql
                .add(" + (select count(*) from (select distinct ")
                .add(&key)
                .add(" from ");
            self.sql
                .add(table.name)
                .add("_seen u where u.writes and ")
                .add(IS_OK)
                .add(") w)");
        }
        self.sql
            .add(" then 0 else ('")
            .add(OVERTAKEN)
            .add(" ' || (select count(*) from request)::text)::int4 end as x)");
        self.sql.add(" select 0::int4 as kind, 0::int4 as c, w.x as n, null::bool as again, null::bytea as digest, null::text as reply, k.flags from written w, ok k");
        self.sql
            .add(
                " union all select 1::int4, u.c, u.n, null, null, null, null from hit u where not ",
            )
            .add(IS_OK);
        for table in counters {
            self.sql
                .add(" union all select 2::int4, c, n, again, null, null, null from ");
            self.sql.add(table.name).add("_full");
        }
        if has_receipts {
            self.sql
                .add(" union all select 3::int4, c, null, null, digest, reply, null from done");
        }
    }
}

/// How a row is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It was not there.
    New,
    /// It was there, and is locked.
    Change,
    /// Whatever is there.
    Blindly,
}

impl How {
    pub(crate) const fn of(put: &Put) -> Self {
        if put.blind {
            Self::Blindly
        } else if put.is_new {
            Self::New
        } else {
            Self::Change
        }
    }
}

/// Tables in the order in which their rows are locked: in each those that are written first.
pub(crate) fn locks() -> impl Iterator<Item = (&'static Table, bool)> {
    ORDER
        .iter()
        .flat_map(|table| [(*table, true), (*table, false)])
}

/// The facts of one table, by key.
fn facts_of<'p>(
    plans: &[&'p Plan],
    table: &'static Table,
    wanted: impl Fn(&Fact) -> bool,
) -> Vec<(usize, &'p Fact)> {
    let mut facts: Vec<(usize, &Fact)> = plans
        .iter()
        .enumerate()
        .flat_map(|(c, plan)| plan.facts.iter().map(move |fact| (c, fact)))
        .filter(|(_, fact)| core::ptr::eq(fact.table, table) && wanted(fact))
        .collect();
    facts.sort_by(|(_, one), (_, other)| one.key.cmp(&other.key));
    facts
}

fn with(first: &[Column], rest: &[Column]) -> Vec<Column> {
    first.iter().chain(rest).copied().collect()
}
