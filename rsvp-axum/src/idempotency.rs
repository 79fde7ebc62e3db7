//! Answers that are kept for repeated requests (`Idempotency-Key`).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use rsvp_core::UserId;
use tokio::time::Instant;

use crate::config::Idempotency;
use crate::extract::{SESSION_HEADER, Session};
use crate::problem::Problem;

/// Told by an answer that was kept.
const REPLAYED_HEADER: &str = "idempotency-replayed";

/// Marks an answer of which a part has failed in the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HasFailures;

/// A key of a client, which means nothing to other users.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) user: Option<UserId>,
    pub(crate) text: String,
}

/// The answers that are kept.
#[derive(Debug)]
pub(crate) struct Answers {
    config: Idempotency,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    slots: HashMap<Key, Slot>,
    /// The keys of the answers that are there, oldest first.
    order: VecDeque<(Instant, Key)>,
    bytes: usize,
}

/// The state of the request of a key.
#[derive(Debug)]
struct Slot {
    /// Tells the request from another one that has the same key by mistake.
    fingerprint: u64,
    /// `None` while the request runs.
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answers {
    pub(crate) fn new(config: Idempotency) -> Self {
        Self { config, kept: Mutex::default() }
    }

    /// Runs `request` unless its key has an answer or is running.
    pub(crate) async fn once(
        self: Arc<Self>,
        key: Key,
        fingerprint: u64,
        session: Session,
        request: impl Future<Output = Response>,
    ) -> Response {
        let running = match self.begin(&key, fingerprint, &session) {
            Ok(running) => running,
            Err(answer) => return *answer,
        };
        let (parts, body) = request.await.into_parts();
        // The bodies of the routes are in memory already.
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return crate::api::lost_answer().into_response(),
        };
        // A failure of the store is not kept, nor that of an entry: the client repeats the request to have
        // it done.
        if !parts.status.is_server_error() && parts.extensions.get::<HasFailures>().is_none() {
            let headers = parts.headers.clone();
            running.keep(Answer { status: parts.status, headers, body: body.clone() });
        }
        Response::from_parts(parts, Body::from(body))
    }

    /// Takes the key for a request that runs now, or returns the answer.
    fn begin(
        self: &Arc<Self>,
        key: &Key,
        fingerprint: u64,
        session: &Session,
    ) -> Result<Running, Box<Response>> {
        let mut kept = self.lock();
        kept.forget(&self.config, Instant::now());
        let Some(slot) = kept.slots.get(key) else {
            kept.slots.insert(key.clone(), Slot { fingerprint, answer: None });
            return Ok(Running { answers: Arc::clone(self), key: key.clone(), fingerprint });
        };
        let conflict = |detail| {
            let problem = Problem::new(StatusCode::CONFLICT, detail).of_field("idempotency_key");
            problem.into_response()
        };
        Err(Box::new(match &slot.answer {
            _ if slot.fingerprint != fingerprint => {
                conflict("another request has had this key; take a new one for each request")
            }
            None => {
                let detail = "the request of this key is running; repeat it after a pause";
                let retry_after = [(RETRY_AFTER, HeaderValue::from_static("1"))];
                (retry_after, conflict(detail)).into_response()
            }
            Some(answer) => answer.clone().replayed(session),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Forgets what is too old, and the oldest answers beyond the bounds.
    fn forget(&mut self, config: &Idempotency, now: Instant) {
        while let Some((at, key)) = self.order.front() {
            let old = now.saturating_duration_since(*at) >= config.time;
            if !old && self.order.len() <= config.answers && self.bytes <= config.bytes {
                return;
            }
            let answer = self.slots.remove(key).and_then(|slot| slot.answer);
            self.bytes = self.bytes.saturating_sub(answer.map_or(0, |answer| answer.bytes()));
            self.order.pop_front();
        }
    }
}

impl Answer {
    /// What it takes in memory, roughly, its key included.
    fn bytes(&self) -> usize {
        let headers = self.headers.values().map(HeaderValue::len).sum::<usize>();
        self.body.len() + headers + 2048
    }

    /// The answer again. Its token includes that of the request, which may be later.
    fn replayed(mut self, session: &Session) -> Response {
        let kept = self.headers.get(SESSION_HEADER).and_then(|token| token.to_str().ok());
        let kept = kept.and_then(|token| token.parse().ok());
        if let Some(token) = kept.and_then(|token| session.header(token)) {
            self.headers.insert(SESSION_HEADER, token);
        }
        self.headers.insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
        (self.status, self.headers, self.body).into_response()
    }
}

/// The right to answer for a key. Dropped without an answer, it gives the key back.
#[derive(Debug)]
struct Running {
    answers: Arc<Answers>,
    key: Key,
    fingerprint: u64,
}

impl Running {
    fn keep(self, answer: Answer) {
        let now = Instant::now();
        let mut kept = self.answers.lock();
        kept.bytes = kept.bytes.saturating_add(answer.bytes());
        let slot = Slot { fingerprint: self.fingerprint, answer: Some(answer) };
        kept.slots.insert(self.key.clone(), slot);
        kept.order.push_back((now, self.key.clone()));
        kept.forget(&self.answers.config, now);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut kept = self.answers.lock();
        if kept.slots.get(&self.key).is_some_and(|slot| slot.answer.is_none()) {
            kept.slots.remove(&self.key);
        }
    }
}
