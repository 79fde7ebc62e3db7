//! The commands.

use std::path::Path;
use std::time::Duration;

use rsvp::{Error, FindingKind, PageLimit, RemovalStep, RsvpStore, WriteOptions};
use serde_json::json;

use crate::output::{Output, with_causes};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// The number of steps of a removal or an audit between two reports of its progress.
const STEPS_BETWEEN_REPORTS: u64 = 10;

/// Prints for each part of the store whether it is ready. Returns whether all parts are.
pub(crate) async fn ping(store: &dyn RsvpStore, output: &Output) -> Result<bool, Failure> {
    let health = store.health().await;
    for part in &health.parts {
        let error = part.result.as_ref().err().map(|error| with_causes(error));
        let text = match &error {
            None => format!("{}: ready", part.name),
            Some(error) => format!("{}: not ready: {error}", part.name),
        };
        let mut object = json!({"part": part.name, "ready": error.is_none()});
        if let (Some(error), Some(members)) = (error, object.as_object_mut()) {
            members.insert("error".to_owned(), json!(error));
        }
        output.result(&text, &object)?;
    }
    let all = health.down().next().is_none();
    Ok(all)
}

/// Compares or repairs step by step.
///
/// It prints each difference when it finds it, so that many differences take no memory.
pub(crate) async fn audit(
    store: &dyn RsvpStore,
    repairs: bool,
    output: &Output,
) -> Result<bool, Failure> {
    let (mut checked, mut found, mut cursor) = (0_u64, 0_u64, None);
    let Some(maintenance) = store.maintenance() else {
        let reason = "names a store that derives nothing, so there is nothing to compare";
        return Err(Error::invalid_input("store", reason).into());
    };
    for step in 1_u64.. {
        let done = match repairs {
            true => maintenance.repair_step(cursor.as_ref()).await?,
            false => maintenance.audit_step(cursor.as_ref()).await?,
        };
        checked = checked.saturating_add(done.checked);
        for finding in done.findings {
            found = found.saturating_add(1);
            let (event, user) = (finding.event, finding.user);
            let of_user = user.as_ref().map_or(String::new(), |user| format!(", user {user}"));
            let (kind, text, numbers) = describe(finding.kind);
            let mut object = json!({"finding": kind, "event_id": event.as_str()});
            if let Some(members) = object.as_object_mut() {
                members.extend(user.map(|user| ("user_id".to_owned(), json!(user.as_str()))));
                members.extend(numbers);
            }
            output.result(&format!("event {event}{of_user}: {text}"), &object)?;
        }
        cursor = done.next;
        if cursor.is_none() {
            break;
        }
        if step % STEPS_BETWEEN_REPORTS == 0 {
            output.progress(&format!("{checked} entries compared, {found} differences"));
        }
    }
    let verb = if repairs { "mended" } else { "found" };
    let text = format!("{checked} entries compared, {found} differences {verb}");
    output.result(&text, &json!({"checked": checked, "findings": found, "repaired": repairs}))?;
    // After a repair nothing differs any more, so it succeeds with any number of differences.
    Ok(repairs || found == 0)
}

type Members = Vec<(String, serde_json::Value)>;

/// Returns the name of a kind of difference, a sentence about it and its numbers.
fn describe(kind: FindingKind) -> (&'static str, String, Members) {
    match kind {
        FindingKind::Count { held, counted } => {
            let text = format!("the count is {counted}, but there are {held} RSVPs");
            let numbers = [("held", json!(held)), ("counted", json!(counted))];
            ("count", text, numbers.map(|(name, number)| (name.to_owned(), number)).into())
        }
        FindingKind::Missing => {
            ("missing", "the RSVP is not in the list of its user".to_owned(), Vec::new())
        }
        FindingKind::LeftOver => {
            let text = "the list of the user has an entry without an RSVP";
            ("left_over", text.to_owned(), Vec::new())
        }
        // The kinds may grow in a later version of `rsvp`.
        kind => ("other", format!("{kind:?}"), Vec::new()),
    }
}

/// Removes RSVPs step by step.
pub(crate) async fn erase(
    mut step: impl AsyncFnMut(PageLimit, WriteOptions) -> rsvp::Result<RemovalStep>,
    timeout: Duration,
    output: &Output,
) -> Result<bool, Failure> {
    let (mut removed, mut repeated) = (0_u64, false);
    for number in 1_u64.. {
        // Each step has a deadline of its own, because a large event takes any number of steps.
        let options = WriteOptions::default().with_timeout(timeout);
        let done = step(PageLimit::default(), options).await.inspect_err(|_| {
            output.progress(&format!("{removed} RSVPs removed before the failure"));
        })?;
        removed = removed.saturating_add(done.removed);
        repeated |= done.repeated;
        if !done.more {
            break;
        }
        if number % STEPS_BETWEEN_REPORTS == 0 {
            output.progress(&format!("{removed} RSVPs removed so far"));
        }
    }
    let object = json!({"removed": removed, "repeated": repeated});
    output.result(&format!("{removed} RSVPs removed, none is left"), &object)?;
    Ok(true)
}

/// Prints the SQL of the tables of a Postgres store.
#[cfg(feature = "postgres")]
pub(crate) fn schema(url: &str, output: &Output) -> Result<bool, Failure> {
    use rsvp::layers::Layers;
    use rsvp::postgres::{PostgresConfig, schema_sql};
    use rsvp::url::StoreUrl;

    let mut url = StoreUrl::parse(url)?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(no_schema().into());
    }
    // Layers change nothing in the tables, so take their parameters out of the URL.
    Layers::take_from(url.parameters_mut())?;
    let sql = schema_sql(&PostgresConfig::from_store_url(url)?)?;
    output.result(sql.trim_end(), &json!({"sql": sql}))?;
    Ok(true)
}

/// Refuses the command, because the feature `postgres` is off.
#[cfg(not(feature = "postgres"))]
pub(crate) fn schema(_url: &str, _output: &Output) -> Result<bool, Failure> {
    Err(no_schema().into())
}

fn no_schema() -> Error {
    let reason = "is not of a store with a schema for an administrator; one URL of Postgres is \
                  (with the feature `postgres`)";
    Error::invalid_input("url", reason)
}

/// Copies the file of a SQLite store.
#[cfg(feature = "sqlite")]
pub(crate) async fn backup(url: &str, to: &Path, output: &Output) -> Result<bool, Failure> {
    use rsvp::layers::Layers;
    use rsvp::sqlite::SqliteConfig;
    use rsvp::url::StoreUrl;

    let mut url = StoreUrl::parse(url)?;
    if url.scheme() != "sqlite" {
        return Err(no_file().into());
    }
    // Layers change nothing in the file, so take their parameters out of the URL.
    Layers::take_from(url.parameters_mut())?;
    let bytes = rsvp::sqlite::backup(SqliteConfig::from_store_url(url)?, to).await?;
    output.result(&format!("{bytes} bytes copied"), &json!({"bytes": bytes}))?;
    Ok(true)
}

/// Refuses the command, because the feature `sqlite` is off.
#[cfg(not(feature = "sqlite"))]
pub(crate) async fn backup(_url: &str, _to: &Path, _output: &Output) -> Result<bool, Failure> {
    Err(no_file().into())
}

fn no_file() -> Error {
    let reason = "is not of a store in a file, `sqlite:path/to/rsvp.db` (with the feature `sqlite`): \
                  back up a server with its own tools, such as `pg_dump`";
    Error::invalid_input("url", reason)
}
