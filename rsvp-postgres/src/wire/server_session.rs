//! The session of a connection on the server, with its settings and transactions.
//!
//! A session is the connection's own, or lent by a pooler for one transaction.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, FromRow, raw_sql};

use super::backend_process::{Backend, Tag};
use super::connection::Connection;
use super::failure::WorkError;
use super::server_clock::ServerClock;
use super::work::Work;
use crate::config::{Keepalives, PostgresConfig};
use crate::sql::Statements;

/// Settings for one good plan of each statement, prepared once, with nested loops over index
/// look-ups. Without them, a plan from the time of empty tables would scan the tables until they
/// are next analyzed. `jit` is off, because compiling a plan takes longer than running it.
const ONE_PLAN: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("jit", "off"),
];

/// The process of a session and its start, and the clock.
const SELF: &str = include_str!("../sql/backend_identity.sql");

/// How a connection's statements get a session with the settings of the store.
///
/// The settings are made by statements, because poolers refuse them in the start-up packet.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Makes the settings, for the session or for the transaction.
    settings: Arc<str>,
    /// Lent by a pooler for one transaction, instead of the connection's own.
    lent: bool,
    /// The name of the connection.
    name: Arc<str>,
}

/// The longest name of a connection. After a longer one, the server would cut off the mark.
const NAME: usize = 40;

impl Session {
    /// Makes a session. Without a `statement_timeout` it is for maintenance.
    /// Then statements may run for any time, and the planner is free.
    pub(crate) fn new(config: &PostgresConfig, statement_timeout: Option<Duration>) -> Self {
        let (name, lent) = (&config.application_name, config.transaction_pooler);
        let timeout = statement_timeout.map_or(0, |timeout| timeout.as_millis()).to_string();
        let mut settings = vec![
            ("statement_timeout", timeout.as_str()),
            // The statements need this level, and a database may have another default.
            ("default_transaction_isolation", "read committed"),
        ];
        if statement_timeout.is_some() {
            settings.extend(ONE_PLAN);
        }
        let keepalives = config.keepalives.filter(|_| !lent).map(|keepalives| {
            let Keepalives { idle, interval, count } = keepalives;
            [
                ("tcp_keepalives_idle", idle.to_string()),
                ("tcp_keepalives_interval", interval.to_string()),
                ("tcp_keepalives_count", count.to_string()),
            ]
        });
        for (name, value) in keepalives.iter().flatten() {
            settings.push((name, value));
        }
        if lent {
            // A vanished client holds no locks, even if its pooler does not notice.
            settings.push(("idle_in_transaction_session_timeout", "10s"));
        }
        let settings = settings.iter();
        let settings =
            settings.map(|(name, value)| format!("set_config('{name}', '{value}', {lent})"));
        let settings = format!("SELECT {}", settings.collect::<Vec<_>>().join(", ")).into();
        let name = name.chars().filter(char::is_ascii).take(NAME).collect::<String>().into();
        Self { settings, lent, name }
    }

    /// Whether it is lent for one transaction.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent
    }

    /// Returns the SQL to begin a transaction with the settings of the store.
    /// In a lent session, it shows a mark.
    fn begin_transaction(&self, tag: Option<Tag>) -> String {
        let settings = &self.settings;
        let name = tag.map(|tag| {
            let name = self.name.replace('\'', "''");
            format!(", set_config('application_name', '{name}{}', true)", tag.suffix())
        });
        let name = name.unwrap_or_default();
        format!("BEGIN ISOLATION LEVEL READ COMMITTED; {settings}{name}; {SELF}")
    }

    /// Makes the settings of a connection's own session, and answers `question` in the same round
    /// trip.
    pub(crate) async fn begin<R>(&self, pg: &mut PgConnection, question: &str) -> sqlx::Result<R>
    where
        R: for<'r> FromRow<'r, PgRow>,
    {
        let settings = &self.settings;
        match self.lent {
            true => ask(pg, format!("BEGIN; {settings}; {question}; COMMIT")).await,
            false => ask(pg, format!("{settings}; {question}")).await,
        }
    }
}

/// Sends statements without arguments in one message. Returns the last row of their answers.
pub(crate) async fn ask<R>(pg: &mut PgConnection, statements: String) -> sqlx::Result<R>
where
    R: for<'r> FromRow<'r, PgRow>,
{
    let rows = raw_sql(AssertSqlSafe(statements)).fetch_all(pg).await?;
    R::from_row(rows.last().ok_or(sqlx::Error::RowNotFound)?)
}

/// Runs a work in a session with the settings of the store.
pub(crate) async fn in_session<W: Work>(
    work: &W,
    connection: &mut Connection,
    sql: &Statements,
) -> Result<W::Answer, WorkError> {
    match connection.session.is_lent() {
        true => in_transaction(work, connection, sql).await,
        false => work.run(connection, sql).await,
    }
}

/// Runs a work in its own transaction with the settings of the store.
pub(crate) async fn in_transaction<W: Work>(
    work: &W,
    connection: &mut Connection,
    sql: &Statements,
) -> Result<W::Answer, WorkError> {
    // 1. The transaction, its settings, and its process. Behind a pooler the process may be another
    //    one each time, and the control connection needs it to stop the call.
    let lent = connection.session.is_lent();
    let transaction = lent.then(Tag::new);
    let begin = connection.session.begin_transaction(transaction);
    let (pid, started, micros): (i32, Option<i64>, i64) = ask(&mut connection.pg, begin).await?;
    let backend = Backend { pid, started, transaction, begun_by: i64::MAX };
    connection.begin_on(backend, ServerClock::just_read(micros));
    // 2. The work. Its effect is open until the answer to `COMMIT`.
    let answer = work.run(connection, sql).await;
    let end = match answer {
        Ok(_) => "COMMIT",
        Err(_) => "ROLLBACK",
    };
    connection.unanswered |= connection.changed;
    let ended = raw_sql(end).execute(&mut connection.pg).await;
    if lent && ended.is_ok() {
        connection.running_on.set(None);
    }
    // 3. The first failure counts. A connection that cannot end its transaction is useless.
    match answer {
        Ok(answer) => {
            connection.end_transaction(ended)?;
            Ok(answer)
        }
        Err(error) => {
            connection.stale |= ended.is_err();
            connection.unanswered &= ended.is_err();
            connection.applied &= ended.is_err();
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(lent: bool) -> PostgresConfig {
        let config = PostgresConfig::from_url("postgres://db").unwrap();
        if lent { config.with_transaction_pooler() } else { config }
    }

    #[test]
    fn settings_of_a_lent_session_end_with_the_transaction() {
        let timeout = Some(Duration::from_secs(5));
        let own = Session::new(&config(false), timeout).settings;
        assert!(own.contains("set_config('statement_timeout', '5000', false)"), "{own}");
        assert!(own.contains("set_config('jit', 'off', false)"), "{own}");
        assert!(own.contains("set_config('tcp_keepalives_idle', '30', false)"), "{own}");
        let lent = Session::new(&config(true), timeout).settings;
        assert!(!lent.contains("false") && !lent.contains("tcp_"), "{lent}");
        let maintenance = Session::new(&config(false), None).settings;
        assert!(maintenance.contains("('statement_timeout', '0', false)"), "{maintenance}");
        assert!(!maintenance.contains("seqscan"), "{maintenance}");
    }

    #[test]
    fn the_name_of_a_lent_session_ends_with_the_mark_of_the_transaction() {
        let name = format!("it's {}", "x".repeat(100));
        let session = Session::new(&config(true).with_application_name(name), None);
        let (tag, other) = (Tag::new(), Tag::new());
        let begin = session.begin_transaction(Some(tag));
        let short = format!("'it''s {}{}'", "x".repeat(NAME - 5), tag.suffix());
        assert!(begin.contains(&short), "{begin}");
        assert!(!begin.contains(&other.suffix()), "{begin}");
    }
}
