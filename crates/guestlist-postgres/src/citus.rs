//! What distributes the tables on Citus.

use guestlist_store::StoreError;

use crate::options::PgOptions;
use crate::table::{COUNTERS, ORDER};

/// What all others are placed beside.
const FIRST: &str = "memberships";

/// The statements that spread guestlist's tables over the shards of a Citus cluster: all of them by
/// bucket and placed together, so that one organization's rows are on one machine. They are for
/// tables that were [made](crate::migrate) without [partitions](PgOptions::partitions) and are
/// empty, and are run once, in this order, on the coordinator.
///
/// **Not run on Citus by guestlist's tests**, which hold them against the tables in PostgreSQL:
/// each names a table and a column of all its keys. A store does not run on Citus yet;
/// `docs/scale.md` says what is missing.
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
///     r#"select create_distributed_table('"guests".guestlist_memberships', 'bucket')"#
/// );
/// # Ok::<(), guestlist_store::StoreError>(())
/// ```
pub fn citus_statements(options: &PgOptions) -> Result<Vec<String>, StoreError> {
    if options.partitions > 0 {
        return Err(StoreError::Misuse {
            what: "tables on Citus are spread by Citus, and have no partitions of their own",
        });
    }
    let prefix = options.names(true)?.prefix;
    let name = |table: &str| format!("'{}guestlist_{table}'", prefix.replace('\'', "''"));
    let mut statements = vec![format!(
        "select create_distributed_table({}, 'bucket')",
        name(FIRST)
    )];
    let tables = ORDER.iter().chain(COUNTERS);
    let others = tables
        .map(|table| (table.name, table.key[0].name))
        .chain([("events", "bucket"), ("unplaced", "bucket")])
        .filter(|(table, _)| *table != FIRST);
    for (table, column) in others {
        statements.push(format!(
            "select create_distributed_table({}, '{column}', colocate_with => {})",
            name(table),
            name(FIRST)
        ));
    }
    // One row, which whoever gives places and whoever reads the log asks.
    statements.push(format!("select create_reference_table({})", name("places")));
    Ok(statements)
}
