//! One commit as a call of a function, which Citus runs where the bucket is.
//!
//! What the function does is said in `migrations/citus.sql`: here is what it is told, and what is
//! made of its answer.

use core::fmt::Write as _;

use guestlist_store::{CommandDigest, Receipt, StoreError};
use serde::{Serialize, Serializer};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::error::{During, store_error};
use crate::lone::{counters_of, facts_of};
use crate::options::PgOptions;
use crate::plan::{Counted, Counter, Fact, Outcome, Plan};
use crate::read::from_hex;
use crate::rows;
use crate::sql::{Names, Sql};
use crate::statement::{EVENT, How, locks};
use crate::table::{COMMITS, COUNTERS, LINK_USES, MEMBERSHIPS, ORDER, Table};
use crate::value::{Column, Kind, Value};

const TEXT: &str = include_str!("../migrations/citus.sql");

/// Its name and its arguments, which say which of its versions it is.
const NAME: &str = "guestlist_commit_1";
const ARGUMENTS: &str = "(integer, text)";

/// What a row has in its columns, as text: an object in their order.
struct Columns(Vec<(&'static str, Option<String>)>);

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[derive(Serialize)]
struct Asked {
    facts: Vec<Found>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Columns>,
    counted: Vec<Count>,
    counters: Vec<Number>,
    writes: Vec<Step>,
    events: Vec<Columns>,
}

#[derive(Serialize)]
struct Found {
    n: i64,
    table: &'static str,
    key: Columns,
    /// `None`: there must be no row, and there is none to be locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<bool>,
}

#[derive(Serialize)]
struct Count {
    n: i64,
    table: &'static str,
    key: Columns,
    column: &'static str,
    r#in: &'static [&'static str],
    are: i64,
}

#[derive(Serialize)]
struct Number {
    n: i64,
    table: &'static str,
    key: Columns,
    column: &'static str,
    most: i64,
    same: Option<i64>,
    add: i64,
    least: i64,
    written: bool,
}

#[derive(Serialize)]
struct Step {
    how: &'static str,
    table: &'static str,
    key: Columns,
    row: Columns,
}

/// The statement that makes the function.
pub(crate) fn definition(options: &PgOptions, names: &Names) -> String {
    // What temporary tables are called must not matter.
    let path = match &options.schema {
        Some(schema) => format!("= {}, pg_temp", crate::options::quoted(schema)),
        None => "from current".to_owned(),
    };
    // From behind, so that no name is looked into.
    TEXT.replacen("@search_path", &path, 1)
        .replacen('@', &names.prefix, 1)
}

/// The function as it is told apart from others: its name, and the types of its arguments.
pub(crate) fn signature(names: &Names) -> String {
    format!("{}{NAME}{ARGUMENTS}", names.prefix)
}

/// Whether the function is there.
pub(crate) async fn check(connection: &mut PgConnection, names: &Names) -> Result<(), StoreError> {
    let is_there: bool = sqlx::query_scalar("select to_regprocedure($1) is not null")
        .bind(signature(names))
        .fetch_one(connection)
        .await
        .map_err(|error| store_error(error, During::Reading))?;
    if is_there {
        return Ok(());
    }
    Err(StoreError::Misuse {
        what: "the function that commits on Citus is missing or old: run what `citus_statements` gives",
    })
}

/// The call for a commit.
pub(crate) fn commit<'a>(names: &'a Names, plan: &Plan) -> Result<Sql<'a>, StoreError> {
    // Its receipt is where it belongs, whether one is kept or not.
    let bucket = plan.receipt.first().unwrap_or(&Value::Null);
    let asked = rows::json(&asked(plan))?;
    let mut sql = Sql::new(names, None);
    // Nothing beside the call: what has more in it is not sent to where the bucket is.
    sql.add("select ").add(&names.prefix).add(NAME).add("(");
    sql.value(Kind::Int, bucket).add(", ");
    sql.value(Kind::Text, &asked).add(")");
    Ok(sql)
}

fn asked(plan: &Plan) -> Asked {
    let locked = locks().flat_map(|(table, written)| {
        facts_of(plan, table, move |fact| {
            fact.written == written && fact.revision > 0
        })
    });
    let absent = ORDER
        .iter()
        .flat_map(|table| facts_of(plan, table, |fact| fact.revision == 0));
    let counters = COUNTERS
        .iter()
        .flat_map(|table| counters_of(plan, table))
        .map(number);
    Asked {
        facts: locked.chain(absent).map(found).collect(),
        receipt: plan.kept.is_some().then(|| key(&COMMITS, &plan.receipt)),
        counted: plan.counted.iter().flat_map(counted).collect(),
        counters: counters.collect(),
        writes: writes(plan),
        events: events(plan),
    }
}

fn found(fact: &Fact) -> Found {
    let is_there = fact.revision > 0;
    Found {
        n: fact.n,
        table: fact.table.name,
        key: key(fact.table, &fact.key),
        revision: is_there.then_some(fact.revision),
        written: is_there.then_some(fact.written),
    }
}

fn counted(counted: &Counted) -> Vec<Count> {
    match counted {
        Counted::Uses {
            n,
            key: values,
            count,
        } => vec![Count {
            n: *n,
            table: LINK_USES.name,
            key: key(&LINK_USES, values),
            column: "state",
            r#in: &["reserved", "settled"],
            are: *count,
        }],
        Counted::Seats {
            n,
            key: values,
            pending,
            approved,
        } => {
            let seats = |status, count: &i64| Count {
                n: *n,
                table: MEMBERSHIPS.name,
                key: key(&MEMBERSHIPS, values),
                column: "status",
                r#in: status,
                are: *count,
            };
            vec![seats(&["pending"], pending), seats(&["approved"], approved)]
        }
    }
}

fn number(counter: &Counter) -> Number {
    Number {
        n: counter.n,
        table: counter.table.name,
        key: key(counter.table, &counter.key),
        column: counter.table.number(),
        most: counter.most,
        same: counter.same,
        add: counter.add,
        least: counter.least,
        written: counter.written,
    }
}

/// In the order of everybody.
fn writes(plan: &Plan) -> Vec<Step> {
    let row = |how, table: &'static Table, values: &[Value]| Step {
        how,
        table: table.name,
        key: key(table, values),
        row: columns(
            table.columns.iter(),
            values.get(table.key.len()..).unwrap_or_default(),
        ),
    };
    let mut steps = Vec::new();
    for put in plan.puts_in_order() {
        let how = match How::of(put) {
            How::New => "new",
            How::Change => "change",
            How::Blindly => "blind",
        };
        steps.push(row(how, put.table, &put.values));
    }
    for (table, values) in plan.deletes_in_order() {
        steps.push(row("delete", table, values));
    }
    if let Some(kept) = &plan.kept {
        let values: Vec<Value> = plan.receipt.iter().chain(kept).cloned().collect();
        steps.push(row("new", &COMMITS, &values));
    }
    steps
}

/// They are given their places later: see [`crate::place`].
fn events(plan: &Plan) -> Vec<Columns> {
    let mut basis = plan.basis.as_ref();
    let with_number = plan.events.iter().zip(0_i64..).map(|(event, ordinal)| {
        let mut row = columns(EVENT.iter(), event);
        row.0.push(("ordinal", Some(ordinal.to_string())));
        row.0.push(("basis", basis.take().and_then(text)));
        row
    });
    with_number.collect()
}

/// As many columns of the key as there are values.
fn key(table: &'static Table, values: &[Value]) -> Columns {
    columns(table.key.iter(), values)
}

fn columns(columns: impl Iterator<Item = &'static Column>, values: &[Value]) -> Columns {
    let named = columns.zip(values);
    Columns(
        named
            .map(|(column, value)| (column.name, text(value)))
            .collect(),
    )
}

/// A value as the server reads it where a value of its column's type is expected.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Nothing => None,
        Value::Int(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Name(text) => Some((*text).to_owned()),
        Value::Text(text) => Some(text.clone()),
        Value::Id(bytes) => Some(hex(String::new(), bytes)),
        Value::Digest(bytes) => Some(hex("\\x".to_owned(), bytes)),
    }
}

fn hex(mut text: String, bytes: &[u8]) -> String {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What the function has answered.
pub(crate) fn outcome(rows: &[PgRow]) -> Result<Outcome, StoreError> {
    let row = rows
        .first()
        .ok_or_else(|| StoreError::corrupt("a commit without an answer"))?;
    let answer: Vec<String> = row
        .try_get(0)
        .map_err(|error| store_error(error, During::Reading))?;
    let answer: Vec<&str> = answer.iter().map(String::as_str).collect();
    let outcome = match answer.as_slice() {
        ["applied"] => Some(Outcome::Applied),
        ["done", digest, reply] => from_hex(digest).map(|digest| {
            Outcome::Already(Receipt {
                digest: CommandDigest(digest),
                reply: (*reply).to_owned(),
            })
        }),
        ["missed", n] => n.parse().ok().map(Outcome::Missed),
        _ => None,
    };
    outcome.ok_or_else(|| StoreError::corrupt("an answer to a commit that is none"))
}

#[cfg(test)]
mod tests {
    use super::{NAME, TEXT, definition};
    use crate::error::OVERTAKEN;
    use crate::options::PgOptions;
    use crate::schema::checksum;

    /// A function that was released never changes: it gets the next number in its name.
    #[test]
    fn the_function_of_a_name_is_what_it_was() {
        assert_eq!(
            (NAME, checksum(TEXT)),
            ("guestlist_commit_1", 3_015_656_408)
        );
    }

    #[test]
    fn it_says_the_same_as_the_statements_when_it_was_overtaken() {
        assert!(TEXT.contains(&format!("raise exception '{OVERTAKEN}'")));
    }

    #[test]
    fn names_of_schemas_are_not_looked_into() {
        let definition = |options: &PgOptions| definition(options, &options.names(true).unwrap());
        let in_path = definition(&PgOptions::new());
        assert!(in_path.contains("create or replace function guestlist_commit_1(bucket integer"));
        assert!(in_path.contains("set search_path from current\n"));
        assert!(!in_path.contains('@'));
        let odd = definition(&PgOptions::new().schema("@search_path @ $$ \"%"));
        let name = "\"@search_path @ $$ \"\"%\"";
        assert!(odd.contains(&format!(
            "function {name}.guestlist_commit_1(bucket integer"
        )));
        assert!(odd.contains(&format!("set search_path = {name}, pg_temp\n")));
        assert_eq!(
            odd.split_once("as $$").unwrap().1,
            in_path.split_once("as $$").unwrap().1
        );
    }
}
