//! The statements, with the schema's name in them.

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
    /// Adds pairs that are absent; answers those added.
    ///
    /// The arrays are sorted, so that writers lock rows in one order. `counted` needs all of
    /// `added` before it locks its first slot, again in one order: no two writers can wait for
    /// each other.
    ///
    /// As in every statement that changes what the store holds, an argument is the latest
    /// time of the server at which it may begin, in microseconds since 1970. It does nothing after
    /// that, and says so: a process that was stopped may read it late.
    ///
    /// The argument after it is the longest time that the statement waits for a lock. It is set by
    /// the statement itself, so that it needs no setting of the session.
    ///
    /// A commit waits for the synchronous standby only if its transaction has written something. So a
    /// statement that has changed nothing, because an earlier commit already had, writes a message
    /// to the log: its answer is confirmed by the standby too.
    add = include_str!("add.sql");
    /// Cancels pairs that are present; answers those cancelled, and the events that may have lost
    /// their last RSVP by it. Locks as `add` does.
    cancel = include_str!("cancel.sql");
    /// As every statement of reads that are strong by default, it tells as well whether the server
    /// takes no writes.
    has_rsvped = include_str!("has_rsvped.sql");
    /// Which of some users come to one event: half the server's work of the statement for pairs
    /// of any events.
    has_rsvped_one = include_str!("has_rsvped_one.sql");
    counts = include_str!("counts.sql");
    attendees = "SELECT user_id FROM {schema}.rsvps WHERE event_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3";
    events_of = "SELECT event_id FROM {schema}.rsvps WHERE user_id = $1 AND event_id > $2 ORDER BY event_id LIMIT $3";
    scan = "SELECT event_id, user_id FROM {schema}.rsvps WHERE (event_id, user_id) > ($1, $2) ORDER BY event_id, user_id LIMIT $3";
    /// Removes RSVPs of an event after a user; answers their number, the last user, and the event's
    /// count before that.
    remove_event = include_str!("remove_event.sql");
    remove_user = include_str!("remove_user.sql");
    drop_slots = include_str!("drop_slots.sql");
    /// Waits for the synchronous standby to have all that is committed by now.
    confirm = "SELECT pg_logical_emit_message(true, 'rsvp', ''::text)::text";
    label = "SELECT value FROM {schema}.labels WHERE name = $1";
    replace_label = include_str!("replace_label.sql");
    set_label = include_str!("set_label.sql");
    ready = "INSERT INTO {schema}.readiness (slot, at) VALUES (pg_backend_pid() % 16, now()) ON CONFLICT (slot) DO UPDATE SET at = now()";
    record_timeline = include_str!("record_timeline.sql");
    recorded_timeline = "SELECT value::bigint FROM {schema}.labels WHERE name = 'timeline of the log'";
    /// The version of the tables, and the least version that a release must know to use them. A ledger
    /// of the first versions has no column for it.
    version = "SELECT coalesce(max(version), 0), (SELECT (to_jsonb(m) ->> 'needs_at_least')::integer FROM {schema}.migrations m ORDER BY version DESC LIMIT 1) FROM {schema}.migrations";
    audit = include_str!("audit.sql");
    repair = include_str!("repair.sql");
}
