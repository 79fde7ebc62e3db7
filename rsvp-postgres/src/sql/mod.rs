//! The SQL statements, with the name of the schema.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::config::SchemaName;

/// A statement, cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Statement(Arc<str>);

impl Statement {
    fn new(template: &str, schema: &SchemaName) -> Self {
        Self(template.replace("{schema}", &schema.quoted()).into())
    }
}

impl SqlSafeStr for &Statement {
    /// Safe, because a schema's name has only letters, digits and underscores.
    fn into_sql_str(self) -> SqlStr {
        AssertSqlSafe(self.0.clone()).into_sql_str()
    }
}

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        #[derive(Clone, Debug)]
        pub(crate) struct Statements { $($(#[$doc])* pub(crate) $name: Statement,)* }

        impl Statements {
            pub(crate) fn new(schema: &SchemaName) -> Self {
                Self { $($name: Statement::new($sql, schema),)* }
            }
        }
    };
}

statements! {
    /// Adds absent pairs, and answers the added ones.
    ///
    /// The arrays are sorted, so that writers lock rows in one order.
    /// `counted` needs all of `added` before it locks its first slot, again in one order.
    /// So no two writers can wait for each other.
    ///
    /// Every statement for a change has two more arguments:
    ///
    /// - the latest server time for its beginning, in microseconds since 1970.
    ///   After it, the statement does nothing and says so, because a suspended process may read
    ///   the statement late.
    /// - the longest wait for a lock.
    ///   The statement sets it, so that it needs no setting of the session.
    ///
    /// A commit waits for the synchronous standby only if its transaction wrote something.
    /// A statement may change nothing because of an earlier commit.
    /// It then writes a message to the log, so that the standby confirms its answer, too.
    add = include_str!("add.sql");
    /// Cancels present pairs, and answers the cancelled ones.
    /// Answers the events with possibly no RSVP left, too. Locks as `add` does.
    cancel = include_str!("cancel.sql");
    /// Tells whether pairs exist.
    /// As `has_rsvped_one` and `counts`, it also tells whether the server is read-only.
    has_rsvped = include_str!("has_rsvped.sql");
    /// Answers the attendees of one event among some users. It needs one partition only.
    has_rsvped_one = include_str!("has_rsvped_one.sql");
    counts = include_str!("counts.sql");
    attendees = "SELECT user_id FROM {schema}.rsvps WHERE event_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3";
    events_of = "SELECT event_id FROM {schema}.rsvps WHERE user_id = $1 AND event_id > $2 ORDER BY event_id LIMIT $3";
    scan = "SELECT event_id, user_id FROM {schema}.rsvps WHERE (event_id, user_id) > ($1, $2) ORDER BY event_id, user_id LIMIT $3";
    /// Removes RSVPs of an event after a user.
    /// Answers their number, the last user, and the event's count before the removal.
    remove_event = include_str!("remove_event.sql");
    remove_user = include_str!("remove_user.sql");
    drop_slots = include_str!("drop_slots.sql");
    /// Waits until the synchronous standby has every commit up to now.
    confirm = "SELECT pg_logical_emit_message(true, 'rsvp', ''::text)::text";
    label = "SELECT value FROM {schema}.labels WHERE name = $1";
    replace_label = include_str!("replace_label.sql");
    set_label = include_str!("set_label.sql");
    ready = "INSERT INTO {schema}.readiness (slot, at) VALUES (pg_backend_pid() % 16, now()) ON CONFLICT (slot) DO UPDATE SET at = now()";
    record_timeline = include_str!("record_timeline.sql");
    recorded_timeline = "SELECT value::bigint FROM {schema}.labels WHERE name = 'timeline of the log'";
    /// Answers the version of the tables, and the oldest compatible version.
    /// A ledger of the first versions has no column for the latter.
    version = "SELECT coalesce(max(version), 0), (SELECT (to_jsonb(m) ->> 'needs_at_least')::integer FROM {schema}.migrations m ORDER BY version DESC LIMIT 1) FROM {schema}.migrations";
    audit = include_str!("audit.sql");
    repair = include_str!("repair.sql");
}
