//! What distributes the tables on Citus.

use guestlist_store::StoreError;

use crate::delegated;
use crate::options::PgOptions;
use crate::table::{COUNTERS, ORDER};

/// What all others are placed beside.
const FIRST: &str = "memberships";

/// The statements that spread guestlist's tables over the shards of a Citus cluster: all of them by
/// bucket and placed together, so that one organization's rows are on one machine; and behind them
/// the function that commits there, which a store with [`Dialect::Citus`](crate::Dialect::Citus)
/// calls and Citus runs where the bucket is.
///
/// They are for tables that were [made](crate::migrate) without
/// [partitions](PgOptions::partitions) and are empty, and are run once, in this order, on the
/// coordinator. The last two make the function, and are run again when a newer guestlist has
/// another one: opening a store says so.
///
/// **Not run on Citus by guestlist's tests**, which hold them against the tables in PostgreSQL, and
/// run the function there. `docs/scale.md` says what is missing.
///
/// # Errors
///
/// [`StoreError::Misuse`] for a name that PostgreSQL doesn't take, and if there are to be partitions.
///
/// ```
/// use guestlist_postgres::{PgOptions, citus_statements};
///
/// let statements = citus_statements(&PgOptions::new().schema("guests"))?;
/// assert_eq!(
///     statements[0],
///     r#"alter table "guests".guestlist_memberships alter column bucket type integer"#
/// );
/// assert_eq!(
///     statements[1],
///     r#"select create_distributed_table('"guests".guestlist_memberships', 'bucket')"#
/// );
/// assert_eq!(
///     statements.last().map(String::as_str),
///     Some(
///         r#"select create_distributed_function('"guests".guestlist_commit_1(integer, text)', '$1', colocate_with => '"guests".guestlist_memberships')"#
///     )
/// );
/// # Ok::<(), guestlist_store::StoreError>(())
/// ```
pub fn citus_statements(options: &PgOptions) -> Result<Vec<String>, StoreError> {
    if options.partitions > 0 {
        return Err(StoreError::Misuse {
            what: "tables on Citus are spread by Citus, and have no partitions of their own",
        });
    }
    let names = options.names(true)?;
    let quoted = |name: &str| format!("'{}'", name.replace('\'', "''"));
    let table = |table: &str| format!("{}guestlist_{table}", names.prefix);
    let first = quoted(&table(FIRST));
    let tables = ORDER.iter().chain(COUNTERS);
    let others = tables
        .map(|table| (table.name, table.key[0].name))
        .chain([("events", "bucket"), ("unplaced", "bucket")])
        .filter(|(table, _)| *table != FIRST);
    let mut statements = Vec::new();
    for (name, column) in [(FIRST, "bucket")].into_iter().chain(others) {
        let name = table(name);
        // What is placed together has to be of one type, and this is that of the function, too.
        statements.push(format!(
            "alter table {name} alter column {column} type integer"
        ));
        let name = quoted(&name);
        let beside = if name == first {
            String::new()
        } else {
            format!(", colocate_with => {first}")
        };
        statements.push(format!(
            "select create_distributed_table({name}, '{column}'{beside})"
        ));
    }
    // One row, which whoever gives places and whoever reads the log asks.
    statements.push(format!(
        "select create_reference_table({})",
        quoted(&table("places"))
    ));
    statements.push(delegated::definition(options, &names));
    statements.push(format!(
        "select create_distributed_function({}, '$1', colocate_with => {first})",
        quoted(&delegated::signature(&names))
    ));
    Ok(statements)
}
