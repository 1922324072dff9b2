//! Writing statements: text and parameters, side by side.

use core::fmt::Write as _;

use crate::options::Dialect;
use crate::table::Table;
use crate::value::{Column, Kind, Parameters, Value};

/// How an installation's tables are called, and how its engine differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// `"schema".`, or nothing: what the search path finds.
    pub(crate) prefix: String,
    /// The table that says which migrations were taken.
    pub(crate) migrations: String,
    /// Whether each statement keeps to one bucket, so that one partition has all of it.
    pub(crate) one_bucket: bool,
    /// Whether what is sent goes to connections that plan it once for any number of rows.
    pub(crate) planned_once: bool,
    /// What it is written for.
    pub(crate) dialect: Dialect,
}

/// The bucket of all rows of a statement, if it keeps to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Each row says its own.
    Any,
    /// The parameter `$1`.
    One,
}

/// A statement under construction.
pub(crate) struct Sql<'a> {
    pub(crate) names: &'a Names,
    pub(crate) scope: Scope,
    pub(crate) text: String,
    pub(crate) parameters: Parameters,
    count: usize,
}

impl Names {
    /// What turns a parameter into a column of this kind.
    pub(crate) const fn cast(&self, kind: Kind) -> &'static str {
        match (self.dialect, kind) {
            // It is kept as the text that it is.
            (Dialect::CockroachDb, Kind::Json) => "",
            (_, kind) => kind.cast(),
        }
    }

    /// How a connection is set up that sends the same statements again and again.
    pub(crate) const fn settings(&self, settings: &'static str) -> &'static str {
        match self.dialect {
            // Its planner has other ones.
            Dialect::CockroachDb => "select 1",
            Dialect::PostgreSql | Dialect::Citus | Dialect::YugabyteDb => settings,
        }
    }
}

impl<'a> Sql<'a> {
    pub(crate) fn new(names: &'a Names, bucket: Option<i64>) -> Self {
        let mut sql = Self {
            names,
            scope: Scope::Any,
            text: String::with_capacity(4096),
            parameters: Parameters::default(),
            count: 0,
        };
        if let (true, Some(bucket)) = (names.one_bucket, bucket) {
            sql.scope = Scope::One;
            sql.bind(Kind::Int, &Value::Int(bucket));
        }
        sql
    }

    /// Adds text.
    pub(crate) fn add(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds the name of a table.
    pub(crate) fn table(&mut self, table: &Table) -> &mut Self {
        self.text.push_str(&self.names.prefix);
        self.text.push_str("guestlist_");
        self.text.push_str(table.name);
        self
    }

    /// A parameter's number.
    pub(crate) fn bind(&mut self, kind: Kind, value: &Value) -> usize {
        self.parameters.push(kind, value);
        self.count += 1;
        self.count
    }

    /// The same of an array of values.
    pub(crate) fn bind_all<'v>(
        &mut self,
        kind: Kind,
        values: impl Iterator<Item = &'v Value>,
    ) -> usize {
        self.parameters.push_all(kind, values);
        self.count += 1;
        self.count
    }

    /// The number of a parameter that is an array of numbers.
    pub(crate) fn bind_bigs(&mut self, values: Vec<Option<i64>>) -> usize {
        self.parameters.push_bigs(values);
        self.count += 1;
        self.count
    }

    /// Adds a parameter that is bound already, where its type is plain.
    pub(crate) fn parameter(&mut self, number: usize) -> &mut Self {
        let _ = write!(self.text, "${number}");
        self
    }

    /// Adds a parameter.
    pub(crate) fn value(&mut self, kind: Kind, value: &Value) -> &mut Self {
        let number = self.bind(kind, value);
        self.number(number, kind)
    }

    /// Adds a parameter that is bound already.
    pub(crate) fn number(&mut self, number: usize, kind: Kind) -> &mut Self {
        let _ = write!(self.text, "${number}::{}", kind.parameter());
        self
    }

    /// Adds rows as a table `u`: a column for each of `columns`, but for the bucket, if all have one.
    ///
    /// One row is written as such, so that the plan is that of a look-up. Of several, the planner
    /// must not see how many they are: it would make another plan each time.
    pub(crate) fn rows(&mut self, columns: &[Column], rows: &[Vec<&Value>]) -> &mut Self {
        let alone = rows.len() == 1;
        self.add(if alone { "(values (" } else { "unnest(" });
        let mut names = String::new();
        for (index, column) in columns.iter().enumerate() {
            if self.has_one(*column) {
                continue;
            }
            if !names.is_empty() {
                self.add(", ");
                names.push_str(", ");
            }
            names.push_str(column.name);
            let mut values = rows.iter().filter_map(|row| row.get(index).copied());
            self.count += 1;
            let (number, kind) = (self.count, column.kind.parameter());
            if alone {
                let value = values.next().unwrap_or(&Value::Null);
                self.parameters.push(column.kind, value);
                let _ = write!(self.text, "${number}::{kind}");
            } else {
                self.parameters.push_all(column.kind, values);
                let _ = if self.names.planned_once {
                    write!(self.text, "${number}")
                } else {
                    write!(self.text, "(select ${number}::{kind}[])")
                };
            }
        }
        let _ = write!(self.text, "{}) as u({names})", if alone { ")" } else { "" });
        self
    }

    /// Adds that the columns of a key are those of `u`.
    pub(crate) fn is_key(&mut self, alias: &str, key: &[Column]) -> &mut Self {
        for (index, column) in key.iter().enumerate() {
            if index > 0 {
                self.add(" and ");
            }
            let name = column.name;
            if self.has_one(*column) {
                let _ = write!(self.text, "{alias}.{name} = $1");
            } else {
                let _ = write!(self.text, "{alias}.{name} = u.{name}");
            }
        }
        self
    }

    /// Adds the columns of `u`, as those of a table.
    pub(crate) fn of_rows<'c>(&mut self, columns: impl Iterator<Item = &'c Column>) -> &mut Self {
        for (index, column) in columns.enumerate() {
            if index > 0 {
                self.add(", ");
            }
            if self.has_one(*column) {
                self.add("$1");
            } else {
                let cast = self.names.cast(column.kind);
                let _ = write!(self.text, "u.{}{cast}", column.name);
            }
        }
        self
    }

    fn has_one(&self, column: Column) -> bool {
        self.scope == Scope::One && column.name == "bucket"
    }
}

/// Adds the names of columns.
pub(crate) fn list<'c>(columns: impl Iterator<Item = &'c Column>) -> String {
    let names: Vec<&str> = columns.map(|column| column.name).collect();
    names.join(", ")
}
