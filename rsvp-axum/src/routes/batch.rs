//! Batches, with a result for each entry.

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use rsvp_core::{
    Action, Consistency, Count, Error, EventId, ReadOptions, Result, Rsvp, UserId, Write, Written,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::{Forbidden, Repeated, Unsupported};
use super::reads::whole_milliseconds;
use super::writes::{WrittenOutcome, with_token};
use crate::config::PathUsers;
use crate::extract::{Batch, Caller, Entries, IdempotencyKey, Session, TimeLimit, not_the_caller};
use crate::idempotency::HasFailures;
use crate::problem::Problem;
use crate::{Api, log};

// Ids are plain strings here, because a typed id would refuse the whole batch for one wrong entry.

#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct CountBatch {
    /// The events.
    #[schema(min_items = 1, max_items = 1000)]
    event_ids: Vec<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct MembershipBatch {
    /// The pairs of an event and a user.
    #[schema(min_items = 1, max_items = 1000)]
    pairs: Vec<Pair>,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(super) struct Pair {
    event_id: String,
    user_id: String,
}

#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct WriteBatch {
    /// The writes. They take effect as if one after another.
    #[schema(min_items = 1, max_items = 1000)]
    writes: Vec<Change>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Change {
    action: ChangeAction,
    event_id: String,
    user_id: String,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChangeAction {
    /// The user is coming.
    Rsvp,
    /// The user is not coming.
    Cancel,
}

macro_rules! batch {
    ($name:ident, $field:ident) => {
        impl Batch for $name {
            const FIELD: &'static str = stringify!($field);

            fn len(&self) -> usize {
                self.$field.len()
            }
        }
    };
}

batch!(CountBatch, event_ids);
batch!(MembershipBatch, pairs);
batch!(WriteBatch, writes);

/// The answer to a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Results<T> {
    /// One result for each entry, in their order.
    results: Vec<T>,
}

/// The result of an entry has `count` and `age_ms`, or `problem`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountResult {
    event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    count: Option<u64>,
    /// The count was exact at a moment within the last `age_ms` milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Problem, required = false)]
    problem: Option<Problem>,
}

/// The result of an entry has `rsvped` or `problem`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MembershipResult {
    #[serde(flatten)]
    pair: Pair,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    rsvped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Problem, required = false)]
    problem: Option<Problem>,
}

/// The result of an entry has `outcome` or `problem`.
#[derive(Debug, Serialize, ToSchema)]
struct WriteResult {
    #[serde(flatten)]
    pair: Pair,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = WrittenOutcome, required = false)]
    outcome: Option<WrittenOutcome>,
    /// Present and true if the store repeated the write after an attempt of unknown effect.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    repeated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Problem, required = false)]
    problem: Option<Problem>,
}

/// The number of attendees of each event. Without a session it is at most 5 seconds old.
#[utoipa::path(
    post, path = "/rsvp_counts", params(Session, TimeLimit), request_body = CountBatch,
    responses(
        (status = 200, description = "A result for each event", body = Results<CountResult>),
        Problem, Unsupported,
    )
)]
pub(super) async fn rsvp_counts(
    State(api): State<Api>,
    session: Session,
    limit: TimeLimit,
    entries: Entries<CountBatch>,
) -> Result<Json<Results<CountResult>>, Problem> {
    let bounded = ReadOptions::bounded(Consistency::DEFAULT_COUNT_BOUND);
    let options = limit.read(session.read_or(bounded));
    let ids = entries.batch.event_ids;
    let (legal, checked) = partition(ids.iter().map(|id| Ok(EventId::new(id)?)));
    let counts = match legal.is_empty() {
        true => Vec::new(),
        false => api.store().rsvp_count_batch(&legal, &options).await?,
    };
    let results = ids.into_iter().zip(merge(checked, counts)).map(|(event_id, result)| {
        let (count, problem) = split::<Count>(result);
        let age_ms = count.map(|count| whole_milliseconds(count.age));
        CountResult { event_id, count: count.map(|count| count.value), age_ms, problem }
    });
    Ok(Json(Results { results: results.collect() }))
}

/// Whether some users are coming to some events.
#[utoipa::path(
    post, path = "/memberships", params(Session, TimeLimit), request_body = MembershipBatch,
    responses(
        (status = 200, description = "A result for each pair", body = Results<MembershipResult>),
        Problem, Unsupported,
    )
)]
pub(super) async fn memberships(
    State(api): State<Api>,
    session: Session,
    limit: TimeLimit,
    entries: Entries<MembershipBatch>,
) -> Result<Json<Results<MembershipResult>>, Problem> {
    let options = limit.read(session.read_or(ReadOptions::strong()));
    let pairs = entries.batch.pairs;
    let (legal, checked) = partition(pairs.iter().map(|pair| Ok(pair.rsvp()?)));
    let answers = match legal.is_empty() {
        true => Vec::new(),
        false => api.store().has_rsvped_batch(&legal, &options).await?,
    };
    let results = pairs.into_iter().zip(merge(checked, answers)).map(|(pair, result)| {
        let (rsvped, problem) = split(result);
        MembershipResult { pair, rsvped, problem }
    });
    Ok(Json(Results { results: results.collect() }))
}

/// Writes of one or many users.
#[utoipa::path(
    post, path = "/writes", params(Caller, Session, TimeLimit, IdempotencyKey),
    request_body = WriteBatch,
    responses(
        (status = 200, description = "A result for each write", body = Results<WriteResult>,
            headers(("RSVP-Session" = String, description = "Reads with it see these writes"))),
        Problem, Forbidden, Repeated, Unsupported,
    )
)]
pub(super) async fn writes(
    State(api): State<Api>,
    session: Session,
    limit: TimeLimit,
    key: IdempotencyKey,
    request: Request,
) -> Result<Response, Response> {
    let (mut parts, body) = request.into_parts();
    // The caller is checked first, so that a refused request does not send its body.
    let caller = match api.config().path_users {
        PathUsers::MustBeCaller => Some(api.config().identity.of(&mut parts).await?),
        PathUsers::GatewayDecides => None,
    };
    let request = Request::from_parts(parts, body);
    let entries = Entries::<WriteBatch>::from_request(request, &api).await;
    let entries = entries.map_err(IntoResponse::into_response)?;
    let fingerprint = entries.fingerprint;
    let write = write(api.clone(), entries, caller.clone(), session.clone(), limit);
    Ok(api.finish_once(key, caller, fingerprint, session, write).await)
}

async fn write(
    api: Api,
    Entries { batch, slot, .. }: Entries<WriteBatch>,
    caller: Option<UserId>,
    session: Session,
    limit: TimeLimit,
) -> Response {
    // 1. Check the entries. A refused one fails alone.
    let checked = batch.writes.iter().map(|change| change.check(caller.as_ref()));
    let (legal, checked) = partition(checked);

    // 2. Send the others to the store as one batch.
    let receipt = match legal.is_empty() {
        true => Ok(rsvp_core::BatchReceipt::default()),
        false => api.store().write_batch(&legal, &limit.write()).await,
    };
    let receipt = match receipt {
        Ok(receipt) => receipt,
        Err(error) => return Problem::from(error).into_response(),
    };

    // 3. Give each entry its result, and release the memory of the batch.
    let results = merge(checked, receipt.results);
    let failed = |result: &Result<_, Problem>| {
        result.as_ref().is_err_and(|problem| problem.status().is_server_error())
    };
    let has_failures = results.iter().any(failed);
    let results = batch.writes.into_iter().zip(results).map(|(change, result)| {
        let (written, problem) = split::<Written>(result);
        let pair = Pair { event_id: change.event_id, user_id: change.user_id };
        let repeated = written.is_some_and(|written| written.repeated);
        let outcome = written.map(|written| written.outcome.into());
        WriteResult { pair, outcome, repeated, problem }
    });
    let mut answer =
        with_token(receipt.token, &session, Json(Results { results: results.collect() }));
    // An answer with failures is not kept for repetitions, so that a repetition runs again.
    if has_failures {
        answer.extensions_mut().insert(HasFailures);
    }
    drop(slot);
    answer
}

impl Pair {
    fn rsvp(&self) -> Result<Rsvp> {
        Ok(Rsvp::new(UserId::new(&self.user_id)?, EventId::new(&self.event_id)?))
    }
}

impl Change {
    fn check(&self, caller: Option<&UserId>) -> Result<Write, Problem> {
        let rsvp = Rsvp::new(UserId::new(&self.user_id)?, EventId::new(&self.event_id)?);
        if caller.is_some_and(|caller| *caller != rsvp.user) {
            return Err(not_the_caller());
        }
        let action = match self.action {
            ChangeAction::Rsvp => Action::Rsvp,
            ChangeAction::Cancel => Action::Cancel,
        };
        Ok(Write::new(action, rsvp))
    }
}

/// Divides entries into those for the store, and the problems of the others.
///
/// The second list has an element for each entry.
fn partition<T>(
    checked: impl Iterator<Item = Result<T, Problem>>,
) -> (Vec<T>, Vec<Option<Problem>>) {
    let mut legal = Vec::new();
    let problems = checked.map(|entry| match entry {
        Ok(entry) => {
            legal.push(entry);
            None
        }
        Err(problem) => Some(problem),
    });
    let problems = problems.collect();
    (legal, problems)
}

/// Merges the answers of the store into the order of all entries, and logs the first failure.
fn merge<T>(checked: Vec<Option<Problem>>, answers: Vec<Result<T>>) -> Vec<Result<T, Problem>> {
    if let Some(Err(first)) = answers.iter().find(|answer| answer.is_err()) {
        log::failure("an entry of a batch failed", first);
    }
    let mut answers = answers.into_iter();
    let result = |problem: Option<Problem>| match problem {
        Some(problem) => Err(problem),
        // Only a store that breaks its contract has fewer answers than entries.
        None => answers.next().unwrap_or_else(missing).map_err(|error| Problem::of(&error)),
    };
    checked.into_iter().map(result).collect()
}

fn missing<T>() -> Result<T> {
    Err(Error::corrupt(rsvp_core::Operation::Write, "an entry has no answer"))
}

fn split<T>(result: Result<T, Problem>) -> (Option<T>, Option<Problem>) {
    match result {
        Ok(answer) => (Some(answer), None),
        Err(problem) => (None, Some(problem)),
    }
}
