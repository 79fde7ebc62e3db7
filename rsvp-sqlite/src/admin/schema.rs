//! The owner, the version and the migration of the tables.

use rsvp_core::{Error, Operation, Result};
use rusqlite::Connection;

use super::opening::engine_failed;

/// Marks the files of this store (`PRAGMA application_id`). The bytes spell "RSVP".
pub(crate) const APPLICATION_ID: i64 = 0x5253_5650;

/// The migrations, beginning with an empty file. Each one leads to the next version.
const STEPS: &[&str] = &[include_str!("../sql/schema_1.sql")];

/// Returns the version after all migrations (`PRAGMA user_version`).
fn latest() -> i64 {
    STEPS.len() as i64
}

/// The application of a file.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// The file is empty.
    Nobody,
    /// This store, with tables of this version.
    Rsvp(i64),
    Another,
}

/// Checks for a file of this store, or an empty one. Changes nothing.
///
/// # Errors
///
/// [`Error::InvalidInput`] with the field `path`.
pub(crate) fn check(connection: &Connection) -> Result<()> {
    let owner = match owner(connection) {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Owner::Another
        }
        owner => owner.map_err(engine_failed(Operation::Open))?,
    };
    match owner {
        Owner::Nobody => Ok(()),
        Owner::Rsvp(version) if (1..=latest()).contains(&version) => Ok(()),
        Owner::Rsvp(version) => {
            let latest = latest();
            let reason = format!(
                "is a file of version {version}, and this release knows {latest}: use a later release"
            );
            Err(Error::invalid_input("path", reason))
        }
        Owner::Another => {
            let reason = "is the file of another application, which stays as it is; give a file that \
                          does not exist yet";
            Err(Error::invalid_input("path", reason))
        }
    }
}

/// Checks for a file of this store. An empty one is refused, too. Changes nothing.
///
/// # Errors
///
/// [`Error::InvalidInput`] with the field `path`.
pub(crate) fn check_present(connection: &Connection) -> Result<()> {
    check(connection)?;
    match owner(connection).map_err(engine_failed(Operation::Open))? {
        Owner::Nobody => Err(Error::invalid_input("path", "is an empty file, without a store")),
        _ => Ok(()),
    }
}

/// Migrates the tables from any version to the latest, in one transaction.
///
/// # Errors
///
/// Any error of SQLite.
pub(crate) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let version = pragma(connection, "user_version")?;
    if version >= latest() {
        return Ok(());
    }
    // The statement takes the write lock at once, so no other program can migrate at the same time.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let migrated = STEPS
        .iter()
        .skip(usize::try_from(version).unwrap_or_default())
        .try_for_each(|step| connection.execute_batch(step))
        .and_then(|()| connection.pragma_update(None, "application_id", APPLICATION_ID))
        .and_then(|()| connection.pragma_update(None, "user_version", latest()))
        .and_then(|()| connection.execute_batch("COMMIT"));
    // Some failures make SQLite roll back by itself. Then there is nothing to roll back.
    if migrated.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    migrated
}

fn owner(connection: &Connection) -> rusqlite::Result<Owner> {
    let application = pragma(connection, "application_id")?;
    let version = pragma(connection, "user_version")?;
    if application == APPLICATION_ID {
        return Ok(Owner::Rsvp(version));
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)";
    let used: bool = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(if application == 0 && version == 0 && !used { Owner::Nobody } else { Owner::Another })
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gets_the_latest_tables_once() {
        let connection = Connection::open_in_memory().unwrap();
        assert_eq!(owner(&connection).unwrap(), Owner::Nobody);
        check(&connection).unwrap();
        for _ in 0..2 {
            migrate(&connection).unwrap();
            assert_eq!(owner(&connection).unwrap(), Owner::Rsvp(latest()));
            check(&connection).unwrap();
        }
        assert!(connection.is_autocommit());
    }

    #[test]
    fn what_is_of_another_application_or_a_later_release_is_refused() {
        for (sql, reason) in [
            ("CREATE TABLE theirs (id INTEGER)", "another application"),
            ("PRAGMA application_id = 7", "another application"),
            ("PRAGMA user_version = 7", "another application"),
            ("PRAGMA application_id = 0x52535650; PRAGMA user_version = 7", "of version 7"),
            ("PRAGMA application_id = 0x52535650", "of version 0"),
        ] {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(sql).unwrap();
            let error = check(&connection).unwrap_err().to_string();
            assert!(error.starts_with("invalid path: ") && error.contains(reason), "{error}");
        }
    }
}
