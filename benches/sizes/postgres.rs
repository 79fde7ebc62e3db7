//! How many bytes an RSVP takes on disk, beside the bare table.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench sizes -- postgres
//! ```
//!
//! 1,000,000 RSVPs of 200,000 users to 10,000 events, with ids of 13 bytes, written in random order
//! in batches of 2,048 from 4 callers. The bare table has the pair as its primary key and nothing
//! else; a user's events cannot be listed from it without a second index, which the third row adds.
use std::sync::Arc;

use rsvp_benches::{Database, Invocation, Pairs};

const SIZES: &str = "
    SELECT part, round(sum(bytes) / RSVPS::numeric, 1) FROM (
        SELECT CASE WHEN c.relname LIKE 'rsvps%' AND c.relkind = 'r' THEN '1 heap'
                    WHEN c.relname LIKE 'rsvps%pkey' THEN '2 primary key'
                    WHEN c.relname LIKE 'rsvps%user%' THEN '3 user index'
                    ELSE '4 counts' END AS part,
               CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE pg_relation_size(c.oid) END
                   AS bytes
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'NAMESPACE' AND c.relkind IN ('r', 'i')
          AND c.relname ~ '^(rsvps|counts)'
    ) sizes GROUP BY ROLLUP (part) ORDER BY part NULLS LAST";

async fn report(database: &Database, title: &str, namespace: &str, rsvps: u64) {
    let sql = SIZES.replace("RSVPS", &rsvps.to_string()).replace("NAMESPACE", namespace);
    println!("\n{title}, bytes per RSVP");
    for line in database.execute(&sql).await.lines() {
        let (part, bytes) = line.split_once('|').unwrap_or((line, ""));
        let part = part.split_once(' ').map_or("all", |(_, part)| part);
        println!("  {part:<12} {bytes:>8}");
    }
}

pub(crate) async fn run() {
    let rsvps: u64 = match Invocation::of("postgres") {
        Invocation::Skip => return,
        Invocation::Try => 10_000,
        Invocation::Measure => 1_000_000,
    };
    let database = Database::start().await;
    let pairs = Arc::new(Pairs::of(10_000).with_users(200_000));
    database.load(&pairs, rsvps).await;
    let held = database.execute("SELECT count(*) FROM rsvp.rsvps").await;
    let held: u64 = held.trim().parse().expect("a number of rows");
    println!("{held} RSVPs");
    report(&database, "this store", "rsvp", held).await;
    database.baseline.copy_store().await;
    report(&database, "the bare table", "public", held).await;
    database.execute("CREATE INDEX rsvps_by_user ON rsvps (user_id, event_id)").await;
    report(&database, "the bare table with a user index", "public", held).await;
}
