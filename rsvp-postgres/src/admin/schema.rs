//! Creating and upgrading the tables, with a ledger of our own.

use std::time::Duration;

use rsvp_core::{Effect, Error, Operation, Result};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, raw_sql};
use tokio::time::timeout;

use crate::PostgresConfig;
use crate::config::SchemaName;
use crate::wire::connection::{Connector, Session};
use crate::wire::failure::{connect_error, failure};

/// What each version adds to the one before. Never changed once released: a new one follows.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/1.sql")];

/// How long a migration may wait for another one and then run.
const PATIENCE: Duration = Duration::from_secs(300);

/// The version that this release works with.
fn latest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Creates the schema and its tables, or upgrades them.
///
/// Safe when many instances call it at once: one works, the others wait and find it done. The
/// role needs the right to create a schema in the database, or the schema's ownership; a store
/// needs only SELECT, INSERT, UPDATE and DELETE afterwards. Each version is a transaction.
///
/// # Errors
///
/// [`Error::Unavailable`] if no host accepts writes, otherwise what the server reports.
pub async fn migrate(config: &PostgresConfig) -> Result<()> {
    let operation = Operation::Migrate;
    let mut session = maintenance(config, operation).await?;
    match timeout(PATIENCE, apply(&mut session.connection, &config.schema)).await {
        Ok(done) => done.map_err(|error| failure(operation, error, PATIENCE).error),
        Err(_) => Err(Error::timed_out(operation, PATIENCE, Effect::Unknown)),
    }
}

/// Everything that [`migrate`] runs on an empty database, for those whose administrators run it.
///
/// It is for the database's owner, in `psql`; the schema is that of `config`.
pub fn schema_sql(config: &PostgresConfig) -> String {
    let mut sql = format!("BEGIN;\n{}", with_schema(LEDGER, &config.schema));
    for (version, migration) in (1..).zip(MIGRATIONS) {
        sql.push_str(&with_schema(migration, &config.schema));
        sql.push_str(&with_schema(RECORD, &config.schema).replace("$1", &format!("{version}")));
    }
    sql.push_str("COMMIT;\n");
    sql
}

const LEDGER: &str = "\
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.migrations (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
";
const RECORD: &str = "INSERT INTO {schema}.migrations (version) VALUES ($1);\n";
const VERSION: &str = "SELECT coalesce(max(version), 0) FROM {schema}.migrations";

fn with_schema(sql: &str, schema: &SchemaName) -> String {
    sql.replace("{schema}", &schema.quoted())
}

/// A connection of its own, with which statements may take as long as they need.
pub(crate) async fn maintenance(config: &PostgresConfig, operation: Operation) -> Result<Session> {
    let connector = Connector::maintenance(config);
    connector.connect().await.map_err(|error| connect_error(operation, error))
}

async fn apply(connection: &mut PgConnection, schema: &SchemaName) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('rsvp migrations of ' || $1, 0))")
        .bind(schema.as_str())
        .execute(&mut *transaction)
        .await?;
    // Making what is there already takes rights that a role without anything to do lacks.
    let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(with_schema("{schema}.migrations", schema))
        .fetch_one(&mut *transaction)
        .await?;
    if !there {
        raw_sql(AssertSqlSafe(with_schema(LEDGER, schema))).execute(&mut *transaction).await?;
    }
    let version: i32 = sqlx::query_scalar(AssertSqlSafe(with_schema(VERSION, schema)))
        .fetch_one(&mut *transaction)
        .await?;
    for (number, migration) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > version) {
        raw_sql(AssertSqlSafe(with_schema(migration, schema))).execute(&mut *transaction).await?;
        sqlx::query(AssertSqlSafe(with_schema(RECORD, schema)))
            .bind(number)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

/// Fails unless the tables are those of this release.
pub(crate) async fn check(session: &mut Session, schema: &SchemaName) -> sqlx::Result<Result<()>> {
    let query = sqlx::query_scalar(AssertSqlSafe(with_schema(VERSION, schema)));
    let version: i32 = match query.fetch_one(&mut session.connection).await {
        Ok(version) => version,
        // Undefined table, undefined schema.
        Err(sqlx::Error::Database(error))
            if matches!(error.code().as_deref(), Some("42P01" | "3F000")) =>
        {
            0
        }
        Err(error) => return Err(error),
    };
    let latest = latest();
    let wrong = if version < latest {
        let what = if version == 0 {
            "does not exist".to_owned()
        } else {
            format!("is of version {version}")
        };
        format!(
            "{what} in this database and version {latest} is needed: call rsvp_postgres::migrate, \
             add migrate=true to the URL, or have the SQL of rsvp_postgres::schema_sql run"
        )
    } else if version > latest {
        format!("is of version {version}, which is newer than the {latest} that this release knows")
    } else {
        return Ok(Ok(()));
    };
    Ok(Err(Error::invalid_input("schema", format!("{} {wrong}", schema.as_str()))))
}
