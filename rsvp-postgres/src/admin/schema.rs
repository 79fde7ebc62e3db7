//! The creation and upgrades of the tables, recorded in a ledger in the same schema.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rsvp_core::{Error, Operation, Result};
use sqlx::{AssertSqlSafe, raw_sql};
use tokio::time::{Instant, sleep};

use crate::config::{PostgresConfig, SchemaName};
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::connector::Connector;
use crate::wire::election::Latest;
use crate::wire::failure::{WorkError, waited_for_lock};
use crate::wire::pool::{Limits, Pool};
use crate::wire::server_session::in_transaction;
use crate::wire::work::Work;

/// The additions of each version, and the oldest version compatible with it.
/// A release can use the new version if it knows the compatible one.
/// Released entries never change.
const MIGRATIONS: &[(&str, i32)] =
    &[(include_str!("../../migrations/1.sql"), 1), (include_str!("../../migrations/2.sql"), 1)];

/// The longest time of a migration, including its wait for another one.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Returns the version of this release.
fn latest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Creates the schema and its tables, or upgrades them.
///
/// ```no_run
/// use rsvp_postgres::{PostgresConfig, PostgresStore, migrate};
///
/// # async fn example() -> rsvp_core::Result<()> {
/// // A deploy job migrates as the owner of the tables.
/// migrate(&PostgresConfig::from_url("postgres://owner:secret@db/tickets")?).await?;
/// // The service needs no right to change them.
/// let config = PostgresConfig::from_url("postgres://app:secret@db/tickets")?;
/// let store = PostgresStore::open(config).await?;
/// # Ok(())
/// # }
/// ```
///
/// Many instances may call it at once. One of them works, and the others wait for it.
/// The role needs the right to create a schema in the database, or the ownership of the schema.
/// All versions are one transaction.
///
/// A change of the tables waits for its lock for two seconds at most,
/// because every other call queues behind it. It is tried again for up to five minutes.
/// If the caller drops the future, the server cancels the migration.
///
/// # Rolling deploys
///
/// Each version records the oldest version compatible with it.
/// A release can use the tables if it knows that version.
///
/// 1. Migrate with the new release.
/// 2. Deploy the new release host by host.
///
/// Hosts of a compatible old release go on meanwhile, and a deploy can be taken back.
/// A store of an incompatible release cannot be opened.
///
/// # Errors
///
/// - [`Error::InvalidInput`] with the field of a wrong setting
/// - [`Error::Unavailable`] if no host accepts writes
/// - any other error of the server
pub async fn migrate(config: &PostgresConfig) -> Result<()> {
    config.check()?;
    let schema = config.schema_name()?;
    let timeout = TIMEOUT;
    let limits = Limits {
        size: 1,
        acquire_timeout: timeout,
        statement_timeout: timeout,
        lock_timeout: timeout,
        cancels_dropped: true,
    };
    let sql = Arc::new(Statements::new(&schema));
    let pool = Pool::new(Connector::maintenance(config, &Latest::default()), limits, &sql)?;
    let began = Instant::now();
    // Each wait for a lock is short, so that calls of stores run between the tries.
    let migrated = loop {
        match pool.run(Migrate { schema: schema.clone() }, None).await {
            Err(error) if waited_for_lock(&error) && began.elapsed() < TIMEOUT => {
                sleep(PAUSE).await;
            }
            migrated => break migrated,
        }
    };
    pool.close().await;
    migrated
}

/// Returns the SQL of [`migrate`] on an empty database, for an administrator.
///
/// It is for `psql`, run as the owner of the database. The schema comes from `config`.
///
/// ```
/// use rsvp_postgres::{PostgresConfig, schema_sql};
///
/// let config = PostgresConfig::from_url("postgres://db/tickets?schema=rsvp")?;
/// let sql = schema_sql(&config)?;
/// assert!(sql.starts_with("BEGIN;") && sql.ends_with("COMMIT;\n"));
/// # Ok::<(), rsvp_core::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::InvalidInput`] with the field `schema` if its name is illegal.
pub fn schema_sql(config: &PostgresConfig) -> Result<String> {
    upgrade_sql(config, 0..=latest())
}

/// Returns the SQL that upgrades the tables from the first to the last of some versions,
/// for an administrator. Version 0 is an empty database.
///
/// ```
/// use rsvp_postgres::{PostgresConfig, upgrade_sql};
///
/// let config = PostgresConfig::from_url("postgres://db/tickets")?;
/// println!("{}", upgrade_sql(&config, 1..=2)?);
/// assert!(upgrade_sql(&config, 1..=99).is_err());
/// # Ok::<(), rsvp_core::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::InvalidInput`] with the field `schema`, or with the field `versions` if this release
/// does not know one of them or the last is before the first.
pub fn upgrade_sql(config: &PostgresConfig, versions: RangeInclusive<i32>) -> Result<String> {
    let schema = config.schema_name()?;
    let (first, last) = versions.into_inner();
    if first < 0 || first > last || last > latest() {
        let rule = format!("are not from 0 to {} and upwards", latest());
        return Err(Error::invalid_input("versions", rule));
    }
    let ledger = if first == 0 { [SCHEMA, LEDGER].concat() } else { LEDGER_COLUMN.to_owned() };
    let steps = (first + 1..=last).map(|version| step(version, &schema));
    let steps: String = steps.collect();
    Ok(format!("BEGIN;\n{LOCK_TIMEOUT}{}{steps}COMMIT;\n", with_schema(&ledger, &schema)))
}

/// Returns the additions of a version and its record.
fn step(version: i32, schema: &SchemaName) -> String {
    let place = usize::try_from(version - 1).unwrap_or(usize::MAX);
    let Some((additions, needed)) = MIGRATIONS.get(place) else { return String::new() };
    let record =
        RECORD.replace("{version}", &version.to_string()).replace("{needed}", &needed.to_string());
    with_schema(additions, schema) + &with_schema(&record, schema)
}

const SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS {schema};\n";
const LEDGER: &str = "\
CREATE TABLE IF NOT EXISTS {schema}.migrations (
    version        integer PRIMARY KEY,
    applied_at     timestamptz NOT NULL DEFAULT now(),
    needs_at_least integer
);
";
/// Upgrades a ledger of the first versions.
const LEDGER_COLUMN: &str =
    "ALTER TABLE {schema}.migrations ADD COLUMN IF NOT EXISTS needs_at_least integer;\n";
const RECORD: &str =
    "INSERT INTO {schema}.migrations (version, needs_at_least) VALUES ({version}, {needed});\n";

/// A change waits for a lock only briefly, because every other call queues behind it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s';\n";

/// The pause before a migration is tried again after it has waited for a lock in vain.
const PAUSE: Duration = Duration::from_secs(1);

fn with_schema(sql: &str, schema: &SchemaName) -> String {
    sql.replace("{schema}", &schema.quoted())
}

/// Brings the tables from any version to the latest.
#[derive(Clone, Debug)]
struct Migrate {
    schema: SchemaName,
}

impl Work for Migrate {
    type Answer = ();

    fn operation(&self) -> Operation {
        Operation::Migrate
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> Result<(), WorkError> {
        connection.changes();
        let schema = &self.schema;
        let pg = &mut connection.pg;
        let with_schema = |sql| AssertSqlSafe(with_schema(sql, schema));
        // 1. Instances take turns.
        sqlx::query(
            "SELECT pg_advisory_xact_lock(hashtextextended('rsvp migrations of ' || $1, 0))",
        )
        .bind(schema.as_str())
        .persistent(false)
        .execute(&mut *pg)
        .await?;
        // 2. The schema and the ledger, only if they are missing. Even `IF NOT EXISTS` needs the
        //    right to create. The owner of the schema alone, or a role with nothing to do, may lack
        //    it.
        let exists = "SELECT to_regnamespace($1) IS NOT NULL, to_regclass($2) IS NOT NULL";
        let (schema_exists, ledger_exists): (bool, bool) = sqlx::query_as(exists)
            .bind(with_schema("{schema}").0)
            .bind(with_schema("{schema}.migrations").0)
            .persistent(false)
            .fetch_one(&mut *pg)
            .await?;
        if !schema_exists {
            raw_sql(with_schema(SCHEMA)).execute(&mut *pg).await?;
        }
        if !ledger_exists {
            raw_sql(with_schema(LEDGER)).execute(&mut *pg).await?;
        }
        // 3. The missing versions, each recorded in the ledger.
        let version = sqlx::query_as(&sql.version).persistent(false);
        let (version, _): (i32, Option<i32>) = version.fetch_one(&mut *pg).await?;
        if version < latest() {
            raw_sql(LOCK_TIMEOUT).execute(&mut *pg).await?;
            raw_sql(with_schema(LEDGER_COLUMN)).execute(&mut *pg).await?;
        }
        for number in version + 1..=latest() {
            raw_sql(AssertSqlSafe(step(number, schema))).execute(&mut *pg).await?;
        }
        Ok(())
    }

    async fn perform(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<(), WorkError> {
        in_transaction(self, connection, sql).await
    }
}

/// The record of the tables in the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The version of the tables, 0 if there are none.
    pub(crate) version: i32,
    /// The oldest compatible version, if the ledger has it.
    pub(crate) needs_at_least: Option<i32>,
}

/// Fails unless this release can use the tables in `schema`.
///
/// # Errors
///
/// [`Error::InvalidInput`] with the field `schema`. The message has the ways to make the tables.
pub(crate) fn check_version(schema: &SchemaName, ledger: Ledger) -> Result<()> {
    let (schema, latest, Ledger { version, needs_at_least }) = (schema.as_str(), latest(), ledger);
    if version > latest {
        return match needs_at_least {
            Some(needed) if needed <= latest => Ok(()),
            needed => {
                let needed = needed.unwrap_or(version);
                let reason = format!(
                    "{schema} is of version {version}, which needs a release that knows version \
                     {needed}; this one knows {latest}"
                );
                Err(Error::invalid_input("schema", reason))
            }
        };
    }
    if version == latest {
        return Ok(());
    }
    let found = match version {
        0 => "does not exist".to_owned(),
        version => format!("is of version {version}"),
    };
    let reason = format!(
        "{schema} {found} in this database and version {latest} is needed: call \
         rsvp::postgres::migrate, add migrate=true to the URL, or run the SQL of \
         rsvp::postgres::schema_sql"
    );
    Err(Error::invalid_input("schema", reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_is_used_if_it_says_that_this_release_may() {
        let schema = PostgresConfig::from_url("postgres://db").unwrap().schema_name().unwrap();
        let check = |version, needs_at_least| {
            check_version(&schema, Ledger { version, needs_at_least }).map_err(|e| e.to_string())
        };
        let latest = latest();
        check(latest, None).unwrap();
        check(latest + 1, Some(latest)).unwrap();
        check(latest + 7, Some(1)).unwrap();
        for (version, needs_at_least) in [(latest + 1, Some(latest + 1)), (latest + 1, None)] {
            let error = check(version, needs_at_least).unwrap_err();
            assert!(error.contains(&format!("version {}", latest + 1)), "{error}");
        }
        assert!(check(latest - 1, Some(1)).unwrap_err().contains("migrate"));
    }

    #[test]
    fn the_sql_between_two_versions_is_that_of_the_versions_after_the_first() {
        let config = PostgresConfig::from_url("postgres://db?schema=tickets").unwrap();
        let all = schema_sql(&config).unwrap();
        assert_eq!(upgrade_sql(&config, 0..=latest()).unwrap(), all);
        let last = upgrade_sql(&config, 1..=2).unwrap();
        assert!(last.contains("\"tickets\".labels") && !last.contains("PARTITION BY"), "{last}");
        assert!(last.contains("lock_timeout") && last.contains("(2, 1)"), "{last}");
        for wrong in [RangeInclusive::new(1, 0), 0..=latest() + 1, -1..=1] {
            let error = upgrade_sql(&config, wrong).unwrap_err().to_string();
            assert!(error.starts_with("invalid versions: "), "{error}");
        }
    }
}
