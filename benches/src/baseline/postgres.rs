//! The Postgres statements that a careful developer would write without this library.

use rsvp_core::{EventId, Rsvp, UserId, async_trait};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, raw_sql};

use crate::way::{PAGE, Way};

/// The baseline on Postgres: a plain table, a counter row for each event, and one prepared
/// statement for each RSVP through a pool.
///
/// It has no user index, no partitions, no cancel and no timeouts, and its counter rows exist
/// beforehand. Its pool does not ask a connection whether it lives before using it. All of that is
/// in its favour.
#[derive(Clone, Debug)]
pub struct PostgresBaseline {
    pool: PgPool,
}

const SCHEMA: &str = "\
CREATE TABLE rsvps (
    event_id text NOT NULL,
    user_id  text NOT NULL,
    PRIMARY KEY (event_id, user_id)
);
CREATE TABLE counters (
    event_id text PRIMARY KEY,
    count    bigint NOT NULL
) WITH (fillfactor = 50);
";

const RSVP: &str = "\
WITH added AS (
    INSERT INTO rsvps (event_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING event_id
), counted AS (
    UPDATE counters c SET count = c.count + 1 FROM added WHERE c.event_id = added.event_id
)
SELECT EXISTS (SELECT FROM added)";

const HAS_RSVPED: &str = "SELECT EXISTS (SELECT FROM rsvps WHERE event_id = $1 AND user_id = $2)";

const COUNT: &str = "SELECT coalesce((SELECT count FROM counters WHERE event_id = $1), 0)";

/// Counter rows are made as needed, and locked in the order of their events: two batches that lock them in
/// other orders deadlock.
const RSVP_BATCH: &str = "\
WITH added AS (
    INSERT INTO rsvps (event_id, user_id) SELECT * FROM unnest($1::text[], $2::text[])
    ON CONFLICT DO NOTHING RETURNING event_id
), counted AS (
    SELECT event_id, count(*) AS more FROM added GROUP BY event_id ORDER BY event_id
)
INSERT INTO counters (event_id, count) SELECT event_id, more FROM counted
ON CONFLICT (event_id) DO UPDATE SET count = counters.count + excluded.count";

const HAS_RSVPED_BATCH: &str = "\
SELECT r.event_id IS NOT NULL
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (event_id, user_id, place)
LEFT JOIN rsvps r USING (event_id, user_id) ORDER BY place";

const COUNT_BATCH: &str = "\
SELECT coalesce(c.count, 0)
FROM unnest($1::text[]) WITH ORDINALITY AS asked (event_id, place)
LEFT JOIN counters c USING (event_id) ORDER BY place";

const ATTENDEES: &str = "SELECT user_id FROM rsvps WHERE event_id = $1 ORDER BY user_id LIMIT $2";

const EVENTS_OF: &str = "SELECT event_id FROM rsvps WHERE user_id = $1 ORDER BY event_id LIMIT $2";

impl PostgresBaseline {
    /// Creates the tables in the database at `url`, and connects `clients` times.
    pub async fn create(url: &str, clients: u32) -> Self {
        let baseline = Self::connect(url, clients, false).await;
        raw_sql(SCHEMA).execute(&baseline.pool).await.expect("the tables are new");
        baseline
    }

    /// Connects `clients` times to tables that are there. With `tested`, sqlx's default, a
    /// connection is pinged before each use.
    pub async fn connect(url: &str, clients: u32, tested: bool) -> Self {
        let options: PgConnectOptions = url.parse().expect("a URL");
        let pool = PgPoolOptions::new()
            .min_connections(clients)
            .max_connections(clients)
            .test_before_acquire(tested)
            .connect_with(options.disable_statement_logging())
            .await
            .expect("the server takes connections");
        Self { pool }
    }

    /// Empties the tables and creates counter rows for the first `events` events.
    pub async fn start_over(&self, events: u64) {
        let sql = format!(
            "TRUNCATE rsvps, counters;
             INSERT INTO counters
             SELECT 'e' || lpad(n::text, 12, '0'), 0 FROM generate_series(0, {events} - 1) n;"
        );
        raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.expect("the tables exist");
    }

    /// Adds the index for the events of a user.
    pub async fn index_users(&self) {
        let sql =
            "CREATE INDEX rsvps_by_user ON rsvps (user_id, event_id); ANALYZE rsvps, counters";
        raw_sql(sql).execute(&self.pool).await.expect("the tables exist");
    }

    /// Copies what the store holds.
    pub async fn copy_store(&self) {
        let sql = "TRUNCATE rsvps, counters;
             INSERT INTO rsvps SELECT event_id, user_id FROM rsvp.rsvps ORDER BY random();
             INSERT INTO counters SELECT event_id, count(*) FROM rsvps GROUP BY event_id;
             VACUUM ANALYZE rsvps, counters;";
        for statement in sql.split_inclusive(';') {
            raw_sql(statement).execute(&self.pool).await.expect("the store is in this database");
        }
    }

    /// Adds a pair; whether it was new.
    pub async fn rsvp(&self, Rsvp { user, event }: &Rsvp) -> bool {
        let query = sqlx::query_scalar(RSVP).bind(event.as_str()).bind(user.as_str());
        query.fetch_one(&self.pool).await.expect("an RSVP of the baseline")
    }

    /// Whether the pair exists.
    pub async fn has_rsvped(&self, Rsvp { user, event }: &Rsvp) -> bool {
        let query = sqlx::query_scalar(HAS_RSVPED).bind(event.as_str()).bind(user.as_str());
        query.fetch_one(&self.pool).await.expect("a read of the baseline")
    }

    /// How many RSVPs the event has.
    pub async fn count(&self, event: &EventId) -> i64 {
        let query = sqlx::query_scalar(COUNT).bind(event.as_str());
        query.fetch_one(&self.pool).await.expect("a count of the baseline")
    }
}

#[async_trait]
impl Way for PostgresBaseline {
    async fn rsvp(&self, pairs: &[Rsvp]) {
        if let [pair] = pairs {
            self.rsvp(pair).await;
            return;
        }
        let query = sqlx::query(RSVP_BATCH).bind(events(pairs)).bind(users(pairs));
        query.execute(&self.pool).await.expect("a batch of the baseline");
    }

    async fn has_rsvped(&self, pairs: &[Rsvp]) -> Vec<bool> {
        if let [pair] = pairs {
            return vec![self.has_rsvped(pair).await];
        }
        let query = sqlx::query_scalar(HAS_RSVPED_BATCH).bind(events(pairs)).bind(users(pairs));
        query.fetch_all(&self.pool).await.expect("reads of the baseline")
    }

    async fn rsvp_count(&self, events: &[EventId]) -> Vec<u64> {
        let counts: Vec<i64> = match events {
            [event] => vec![self.count(event).await],
            events => {
                let events: Vec<&str> = events.iter().map(EventId::as_str).collect();
                let query = sqlx::query_scalar(COUNT_BATCH).bind(events);
                query.fetch_all(&self.pool).await.expect("counts of the baseline")
            }
        };
        counts.into_iter().map(i64::unsigned_abs).collect()
    }

    async fn attendees(&self, event: &EventId) -> usize {
        let query = sqlx::query_scalar(ATTENDEES).bind(event.as_str()).bind(PAGE as i64);
        let page: Vec<String> = query.fetch_all(&self.pool).await.expect("a page");
        page.len()
    }

    async fn events_of(&self, user: &UserId) -> usize {
        let query = sqlx::query_scalar(EVENTS_OF).bind(user.as_str()).bind(PAGE as i64);
        let page: Vec<String> = query.fetch_all(&self.pool).await.expect("a page");
        page.len()
    }
}

fn events(pairs: &[Rsvp]) -> Vec<&str> {
    pairs.iter().map(|pair| pair.event.as_str()).collect()
}

fn users(pairs: &[Rsvp]) -> Vec<&str> {
    pairs.iter().map(|pair| pair.user.as_str()).collect()
}
