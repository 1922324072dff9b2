//! The tables as `CockroachDB` takes them.
//!
//! It has no domains, calls no function in a check, compares text byte by byte and knows no collation
//! that says so, keeps JSON in a form of its own and not as it was written, and means eight bytes by
//! `integer`. So the same migrations are written out: what a domain says is said of each column.
//! PostgreSQL takes the result, too, which is how it is tested.

use std::collections::BTreeMap;

/// The function that a check of memberships is in.
const FITS: &str = "@guestlist_membership_fits";

/// A migration, `text`, out of `all`, which have what is defined for it.
pub(crate) fn migration(text: &str, all: &[&str]) -> String {
    let (domains, fits) = definitions(all);
    statements(text)
        .filter(|statement| !is_definition(statement))
        .map(|statement| {
            let statement = match (statement.find(FITS), &fits) {
                (Some(start), Some(fits)) => called(statement, start, fits),
                _ => statement.to_owned(),
            };
            let lines = statement.split_inclusive('\n');
            lines.map(|line| column(line, &domains)).collect::<String>()
        })
        .collect()
}

fn statements(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(";\n\n")
}

fn is_definition(statement: &str) -> bool {
    ["\ncreate domain ", "\ncreate function "]
        .iter()
        .any(|begin| statement.contains(begin) || statement.starts_with(begin.trim_start()))
}

/// The domains, by name: their type and what they check; and the expression that the check of
/// memberships comes to.
fn definitions<'a>(all: &[&'a str]) -> (BTreeMap<&'a str, (&'a str, &'a str)>, Option<&'a str>) {
    let mut domains = BTreeMap::new();
    let mut fits = None;
    for statement in all.iter().flat_map(|text| statements(text)) {
        if let Some((_, rest)) = statement.split_once("create domain ")
            && let Some((name, rest)) = rest.split_once(" as ")
            && let Some((kind, rest)) = rest.split_once(" check (")
        {
            let kind = kind.trim().trim_end_matches(" collate \"C\"");
            let check = rest.trim_end().trim_end_matches(';');
            domains.insert(name, (kind, check.strip_suffix(')').unwrap_or(check)));
        }
        if statement.contains("create function @guestlist_membership_fits(") {
            fits = statement
                .split_once("return ")
                .and_then(|(_, rest)| rest.split_once(';'))
                .map(|(expression, _)| expression);
        }
    }
    (domains, fits)
}

/// A statement with the expression in place of the call. What the function calls its arguments are
/// the columns.
fn called(statement: &str, start: usize, fits: &str) -> String {
    let (before, call) = statement.split_at(start);
    let after = call.split_once(')').map_or("", |(_, after)| after);
    format!("{before}{fits}{after}")
}

/// A line, of which the column has a plain type and its own check.
fn column(line: &str, domains: &BTreeMap<&str, (&str, &str)>) -> String {
    let mut words = line.split_whitespace();
    let (name, kind) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let kind = kind.trim_end_matches(',');
    let line = match domains.get(kind) {
        Some((plain, check)) => {
            let check = check.replace("value", name);
            let end = line.trim_end();
            let comma = if end.ends_with(',') { "," } else { "" };
            let column = end.trim_end_matches(',').replace(kind, plain);
            format!("{column} check ({check}){comma}\n")
        }
        None => line.to_owned(),
    };
    line.replace(" collate \"C\"", "")
        .replace(" json", " text")
        .replace(" integer", " int4")
}

#[cfg(test)]
mod tests {
    use super::migration;
    use crate::schema::MIGRATIONS;

    #[test]
    fn nothing_is_left_that_it_has_not() {
        for text in MIGRATIONS {
            let sql = migration(text, MIGRATIONS);
            for word in [
                "domain",
                "function",
                "collate",
                "json",
                "integer",
                "plpgsql",
                "value ",
                "serial",
                "trigger",
                "references",
            ] {
                let code = sql
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("--"));
                for line in code {
                    assert!(!line.contains(word), "{word}: {line}");
                }
            }
            // What is left of the names in the schema are tables and their columns.
            assert_eq!(
                sql.matches("create table").count(),
                text.matches("create table").count()
            );
            assert_eq!(
                sql.matches("create index").count(),
                text.matches("create index").count()
            );
        }
    }

    #[test]
    fn what_a_domain_says_is_said_of_the_column() {
        let sql = migration(MIGRATIONS[0], MIGRATIONS);
        for line in [
            "    bucket int4 not null check (bucket between 0 and 3843),\n",
            "    creator text check (creator <> ''),\n",
            "    status text check (status in ('pending', 'approved', 'rejected', 'removed', 'cancelled')),\n",
            "    erased bytea check (octet_length(erased) = 32),\n",
            "    body text not null,\n",
        ] {
            assert!(sql.contains(line), "{line}");
        }
        assert!(
            sql.contains("check (\n        not (member_kind = 'org' and member_id = host) and")
        );
    }
}
