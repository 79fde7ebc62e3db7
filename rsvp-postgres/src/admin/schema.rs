//! Creating and upgrading the tables, recorded in a ledger in the same schema.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::{Error, Operation, Result};
use sqlx::{AssertSqlSafe, raw_sql};

use crate::config::{PostgresConfig, SchemaName};
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::connector::Connector;
use crate::wire::failure::WorkError;
use crate::wire::pool::{Limits, Pool};
use crate::wire::session::in_transaction;
use crate::wire::work::Work;

/// The additions of each version to the one before. Released ones never change.
const MIGRATIONS: &[&str] =
    &[include_str!("../../migrations/1.sql"), include_str!("../../migrations/2.sql")];

/// The longest time that a migration may wait for another one and then run.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The version that this release works with.
fn latest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Creates the schema and its tables, or upgrades them.
///
/// Many instances may call it at once: one works, the others wait and find it done. The role needs
/// the right to create a schema in the database, or the schema's ownership. A store needs only
/// SELECT, INSERT, UPDATE and DELETE afterwards. Each version is a transaction.
///
/// # Errors
///
/// [`Error::InvalidInput`] with the field of the setting that is wrong, [`Error::Unavailable`] if
/// no host accepts writes, otherwise the error that the server reports.
pub async fn migrate(config: &PostgresConfig) -> Result<()> {
    config.check()?;
    let schema = config.schema_name()?;
    let timeout = TIMEOUT;
    let limits = Limits {
        size: 1,
        acquire_timeout: timeout,
        statement_timeout: timeout,
        lock_timeout: timeout,
    };
    let sql = Arc::new(Statements::new(&schema));
    let pool = Pool::new(Connector::maintenance(config), limits, &sql)?;
    let migrated = pool.run(Migrate { schema }, None).await;
    pool.close().await;
    migrated
}

/// The SQL that [`migrate`] runs on an empty database, for an administrator to run.
///
/// It is for `psql`, run as the owner of the database. The schema is that of `config`.
///
/// # Errors
///
/// [`Error::InvalidInput`] with the field `schema` if its name is illegal.
pub fn schema_sql(config: &PostgresConfig) -> Result<String> {
    let schema = config.schema_name()?;
    let mut sql = format!("BEGIN;\n{}", with_schema(SCHEMA, &schema));
    sql.push_str(&with_schema(LEDGER, &schema));
    for (version, migration) in (1..).zip(MIGRATIONS) {
        sql.push_str(&with_schema(migration, &schema));
        sql.push_str(&with_schema(RECORD, &schema).replace("$1", &format!("{version}")));
    }
    sql.push_str("COMMIT;\n");
    Ok(sql)
}

const SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS {schema};\n";
const LEDGER: &str = "\
CREATE TABLE IF NOT EXISTS {schema}.migrations (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
";
const RECORD: &str = "INSERT INTO {schema}.migrations (version) VALUES ($1);\n";

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
        // 2. The schema and the ledger, only if they are missing: even `IF NOT EXISTS` needs the
        //    right to create, which the owner of the schema alone, or a role without anything to do,
        //    may lack.
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
        // 3. The versions that are missing, each recorded in the ledger.
        let version = sqlx::query_scalar(&sql.version).persistent(false);
        let version: i32 = version.fetch_one(&mut *pg).await?;
        for (number, migration) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > version) {
            raw_sql(with_schema(migration)).execute(&mut *pg).await?;
            let record = sqlx::query(with_schema(RECORD)).bind(number).persistent(false);
            record.execute(&mut *pg).await?;
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

/// Reads the version of the tables, 0 if there are none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentVersion;

impl Work for CurrentVersion {
    type Answer = i32;

    fn operation(&self) -> Operation {
        Operation::Open
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> Result<i32, WorkError> {
        let version = sqlx::query_scalar(&sql.version).persistent(connection.keeps_statements());
        match version.fetch_one(&mut connection.pg).await {
            // Undefined table, undefined schema.
            Err(sqlx::Error::Database(error))
                if matches!(error.code().as_deref(), Some("42P01" | "3F000")) =>
            {
                Ok(0)
            }
            version => Ok(version?),
        }
    }
}

/// Fails unless the tables in `schema` are those of this release.
///
/// # Errors
///
/// [`Error::InvalidInput`] with the field `schema`, and the ways to make the tables.
pub(crate) fn check_version(schema: &SchemaName, version: i32) -> Result<()> {
    let (schema, latest) = (schema.as_str(), latest());
    if version > latest {
        let reason = format!(
            "{schema} is of version {version}, which is newer than the {latest} that this release \
             supports"
        );
        return Err(Error::invalid_input("schema", reason));
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
         rsvp_postgres::migrate, add migrate=true to the URL, or run the SQL of \
         rsvp_postgres::schema_sql"
    );
    Err(Error::invalid_input("schema", reason))
}
