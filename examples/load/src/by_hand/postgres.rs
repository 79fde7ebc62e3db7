//! By hand on Postgres: one statement for each operation.

use async_trait::async_trait;
use rsvp::{Action, EventId, Outcome, Rsvp, UserId, Write};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, raw_sql};

use crate::target::{Answer, Failed, PAGE, Target};

/// As many as the store opens.
const POOL_SIZE: u32 = 32;

const CREATE: &str = "\
CREATE TABLE IF NOT EXISTS load_rsvps (
    event_id text NOT NULL,
    user_id  text NOT NULL,
    PRIMARY KEY (event_id, user_id)
);
CREATE INDEX IF NOT EXISTS load_rsvps_of_users ON load_rsvps (user_id, event_id);
CREATE TABLE IF NOT EXISTS load_counts (
    event_id text PRIMARY KEY,
    count    bigint NOT NULL
) WITH (fillfactor = 50);
TRUNCATE load_rsvps, load_counts";

const RSVP: &str = "\
WITH changed AS (
    INSERT INTO load_rsvps (event_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING
    RETURNING event_id
), counted AS (
    INSERT INTO load_counts AS c (event_id, count) SELECT event_id, 1 FROM changed
    ON CONFLICT (event_id) DO UPDATE SET count = c.count + 1
)
SELECT EXISTS (SELECT FROM changed)";

const CANCEL: &str = "\
WITH changed AS (
    DELETE FROM load_rsvps WHERE event_id = $1 AND user_id = $2 RETURNING event_id
), counted AS (
    UPDATE load_counts c SET count = c.count - 1 FROM changed WHERE c.event_id = changed.event_id
)
SELECT EXISTS (SELECT FROM changed)";

const HAS_RSVPED: &str =
    "SELECT EXISTS (SELECT FROM load_rsvps WHERE event_id = $1 AND user_id = $2)";

const COUNT: &str = "SELECT coalesce((SELECT count FROM load_counts WHERE event_id = $1), 0)";

const ATTENDEES: &str =
    "SELECT user_id FROM load_rsvps WHERE event_id = $1 ORDER BY user_id LIMIT $2";

const EVENTS_OF: &str =
    "SELECT event_id FROM load_rsvps WHERE user_id = $1 ORDER BY event_id LIMIT $2";

const FILL: &str = "\
WITH added AS (
    INSERT INTO load_rsvps SELECT * FROM unnest($1::text[], $2::text[]) RETURNING event_id
)
INSERT INTO load_counts SELECT event_id, count(*) FROM added GROUP BY event_id";

/// A pool, which does not ask a connection whether it lives before each use.
#[derive(Clone, Debug)]
pub(super) struct PostgresByHand(PgPool);

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::new("backend", error)
    }
}

impl PostgresByHand {
    pub(super) async fn connect(url: &str, pool_size: Option<u32>) -> Answer<Self> {
        let options: PgConnectOptions = url.parse()?;
        let pool = PgPoolOptions::new()
            .max_connections(pool_size.unwrap_or(POOL_SIZE))
            .test_before_acquire(false)
            .connect_with(options.disable_statement_logging())
            .await?;
        raw_sql(CREATE).execute(&pool).await?;
        Ok(Self(pool))
    }

    async fn page(&self, sql: &'static str, id: &str) -> Answer<usize> {
        let query = sqlx::query_scalar::<_, String>(sql).bind(id).bind(i64::from(PAGE));
        Ok(query.fetch_all(&self.0).await?.len())
    }
}

/// The version and the settings of durability.
pub(super) async fn server(url: &str) -> Answer<String> {
    let options: PgConnectOptions = url.parse()?;
    let mut connection = options.disable_statement_logging().connect().await?;
    let sql = "SELECT 'PostgreSQL ' || current_setting('server_version') || ', fsync '
               || current_setting('fsync') || ', synchronous_commit '
               || current_setting('synchronous_commit') || ', shared_buffers '
               || current_setting('shared_buffers')";
    Ok(sqlx::query_scalar(sql).fetch_one(&mut connection).await?)
}

#[async_trait]
impl Target for PostgresByHand {
    async fn write(&self, Write { action, rsvp, .. }: &Write) -> Answer<Outcome> {
        let sql = match action {
            Action::Rsvp => RSVP,
            Action::Cancel => CANCEL,
        };
        let query = sqlx::query_scalar(sql).bind(rsvp.event.as_str()).bind(rsvp.user.as_str());
        Ok(Outcome::from_changed(query.fetch_one(&self.0).await?))
    }

    async fn has_rsvped(&self, Rsvp { user, event }: &Rsvp) -> Answer<bool> {
        let query = sqlx::query_scalar(HAS_RSVPED).bind(event.as_str()).bind(user.as_str());
        Ok(query.fetch_one(&self.0).await?)
    }

    async fn rsvp_count(&self, event: &EventId) -> Answer<u64> {
        let query = sqlx::query_scalar::<_, i64>(COUNT).bind(event.as_str());
        let count = query.fetch_one(&self.0).await?;
        u64::try_from(count).map_err(|_| Failed::new("corrupt", "a count below zero"))
    }

    async fn attendees(&self, event: &EventId) -> Answer<usize> {
        self.page(ATTENDEES, event.as_str()).await
    }

    async fn events_of(&self, user: &UserId) -> Answer<usize> {
        self.page(EVENTS_OF, user.as_str()).await
    }

    async fn fill(&self, pairs: &[Rsvp]) -> Answer<()> {
        let events: Vec<&str> = pairs.iter().map(|pair| pair.event.as_str()).collect();
        let users: Vec<&str> = pairs.iter().map(|pair| pair.user.as_str()).collect();
        sqlx::query(FILL).bind(events).bind(users).execute(&self.0).await?;
        Ok(())
    }

    async fn clear(&self, _events: &[EventId], _users: &[UserId]) -> Answer<()> {
        raw_sql("TRUNCATE load_rsvps, load_counts").execute(&self.0).await?;
        Ok(())
    }

    async fn close(&self) -> Answer<()> {
        raw_sql("DROP TABLE load_rsvps, load_counts").execute(&self.0).await?;
        self.0.close().await;
        Ok(())
    }
}
