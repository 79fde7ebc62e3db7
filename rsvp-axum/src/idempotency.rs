//! Keeps answers for repeated requests (`Idempotency-Key`).

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

/// The header of a kept answer.
const REPLAYED_HEADER: &str = "idempotency-replayed";

/// Marks an answer with a failed part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HasFailures;

/// The key of a request. Each user has keys of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) user: Option<UserId>,
    pub(crate) text: String,
}

/// The kept answers.
#[derive(Debug)]
pub(crate) struct Answers {
    config: Idempotency,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    slots: HashMap<Key, Slot>,
    /// The keys of the kept answers, oldest first.
    order: VecDeque<(Instant, Key)>,
    bytes: usize,
}

/// The state of the request of a key.
#[derive(Debug)]
struct Slot {
    /// Detects a different request with the same key by mistake.
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
        // The bodies of the routes are in memory already, so this waits for nothing.
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return crate::api::lost_answer().into_response(),
        };
        // A failed request or entry must run again when the client repeats the request.
        if !parts.status.is_server_error() && parts.extensions.get::<HasFailures>().is_none() {
            let headers = parts.headers.clone();
            running.keep(Answer { status: parts.status, headers, body: body.clone() });
        }
        Response::from_parts(parts, Body::from(body))
    }

    /// Takes the key for a new request, or returns the answer to a repetition.
    fn begin(
        self: &Arc<Self>,
        key: &Key,
        fingerprint: u64,
        session: &Session,
    ) -> Result<Running, Box<Response>> {
        // Within one lock, so that only one of two equal requests can take the key.
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
    /// Drops expired answers, and the oldest ones above the bounds.
    fn forget(&mut self, config: &Idempotency, now: Instant) {
        // Running requests are not in `order`, so they keep their keys.
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
    /// Returns the approximate memory of the answer and its key.
    fn bytes(&self) -> usize {
        let headers = self.headers.values().map(HeaderValue::len).sum::<usize>();
        // The constant stands for the key, the names of the headers and the maps.
        self.body.len() + headers + 2048
    }

    /// Returns the answer for a repetition. Its token includes the token of the repetition.
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

/// The right to answer for a key. Without an answer, dropping it frees the key.
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
        // The request has failed or was dropped, so the next one with this key may run at once.
        let mut kept = self.answers.lock();
        if kept.slots.get(&self.key).is_some_and(|slot| slot.answer.is_none()) {
            kept.slots.remove(&self.key);
        }
    }
}
