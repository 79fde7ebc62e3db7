//! The settings of the routes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderName;
use rsvp_core::Consistency;

use crate::identity::{AdminAccess, Identity};

/// Prints the metrics of the process in the text format of Prometheus.
pub(crate) type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// The settings of the routes.
///
/// ```
/// use std::time::Duration;
/// use rsvp_axum::{Config, Identity, PathUsers};
///
/// let config = Config::default()
///     .with_identity(Identity::percent_encoded_header())
///     .with_path_users(PathUsers::GatewayDecides)
///     .with_count_max_age(Duration::from_secs(2));
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) identity: Identity,
    pub(crate) path_users: PathUsers,
    pub(crate) timeout_header: HeaderName,
    pub(crate) longest_call: Duration,
    pub(crate) max_batch: usize,
    pub(crate) batches_at_once: usize,
    pub(crate) long_lists_at_once: usize,
    pub(crate) count_max_age: Option<Duration>,
    pub(crate) idempotency: Idempotency,
    pub(crate) metrics: Option<Render>,
}

/// Who may write for the user that a path or a batch names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathUsers {
    /// The user of the request, as the [`Identity`] tells, and nobody else: others get 403.
    #[default]
    MustBeCaller,
    /// Whoever reaches the routes: a gateway in front of them decides.
    GatewayDecides,
}

/// How answers to requests with an `Idempotency-Key` are kept: in this process, so a repetition that
/// reaches another instance is done again, which every write of the store allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Idempotency {
    /// How long an answer is kept. Defaults to 10 minutes.
    pub time: Duration,
    /// The most answers that are kept. The oldest go first. Defaults to 10,000.
    pub answers: usize,
    /// The most bytes of answers that are kept. The oldest go first. Defaults to 16 MiB.
    pub bytes: usize,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self { time: Duration::from_secs(600), answers: 10_000, bytes: 16 << 20 }
    }
}

impl Idempotency {
    /// Sets how long an answer is kept.
    #[must_use]
    pub fn with_time(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// Sets the most answers that are kept.
    #[must_use]
    pub fn with_answers(self, answers: usize) -> Self {
        Self { answers, ..self }
    }

    /// Sets the most bytes of answers that are kept.
    #[must_use]
    pub fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }
}

impl Config {
    /// The largest setting of [`with_max_batch`](Self::with_max_batch).
    pub const MAX_BATCH: usize = 10_000;

    /// Sets who a request comes from. Defaults to [`Identity::header`].
    #[must_use]
    pub fn with_identity(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    /// Sets who may write for the user that a path or a batch names. Defaults to
    /// [`PathUsers::MustBeCaller`].
    #[must_use]
    pub fn with_path_users(self, path_users: PathUsers) -> Self {
        Self { path_users, ..self }
    }

    /// Sets the header that tells how long a client waits for its answer. Defaults to
    /// `Request-Timeout`.
    ///
    /// Its value is a number of seconds, or has a unit as `250ms` and `2s`. If the name ends with
    /// `-ms`, as Envoy's `x-envoy-expected-rq-timeout-ms`, the value is a number of milliseconds.
    #[must_use]
    pub fn with_timeout_header(self, timeout_header: HeaderName) -> Self {
        Self { timeout_header, ..self }
    }

    /// Sets the deadline of calls whose client sets none, and the latest one of those that do.
    /// Defaults to 30 s.
    #[must_use]
    pub fn with_longest_call(self, longest_call: Duration) -> Self {
        Self { longest_call, ..self }
    }

    /// Sets the most entries of a batch, within 1 to [`MAX_BATCH`](Self::MAX_BATCH). Defaults to
    /// 1,000.
    #[must_use]
    pub fn with_max_batch(self, max_batch: usize) -> Self {
        Self { max_batch: max_batch.clamp(1, Self::MAX_BATCH), ..self }
    }

    /// Sets how many batches may be in memory at once; more are refused with 503. Defaults to 64. A
    /// batch of 1,000 entries takes at most 1.2 MB of JSON.
    #[must_use]
    pub fn with_batches_at_once(self, batches_at_once: usize) -> Self {
        Self { batches_at_once: batches_at_once.max(1), ..self }
    }

    /// Sets how many pages of more than 1,000 items are made at once; others wait for their turn until
    /// their deadlines. Defaults to half of the processors, at least one, so that short requests do not
    /// wait for long ones.
    #[must_use]
    pub fn with_long_lists_at_once(self, long_lists_at_once: usize) -> Self {
        Self { long_lists_at_once: long_lists_at_once.max(1), ..self }
    }

    /// Lets the caches of clients keep a count as long as it is no older than this, and no older
    /// than [`Consistency::DEFAULT_COUNT_BOUND`]. Defaults to not at all. The answer to a read with a
    /// session is never kept.
    #[must_use]
    pub fn with_count_max_age(self, age: Duration) -> Self {
        Self { count_max_age: Some(age.min(Consistency::DEFAULT_COUNT_BOUND)), ..self }
    }

    /// Sets how answers to requests with an `Idempotency-Key` are kept.
    #[must_use]
    pub fn with_idempotency(self, idempotency: Idempotency) -> Self {
        Self { idempotency, ..self }
    }

    /// Adds `GET /metrics` with what `render` prints, for everybody who reaches the routes.
    /// [`Admin::with_metrics`] adds it to the admin routes only.
    #[must_use]
    pub fn with_metrics(self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { metrics: Some(Arc::new(render)), ..self }
    }
}

fn half_of_the_processors() -> usize {
    std::thread::available_parallelism().map_or(1, |number| number.get().div_ceil(2))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            identity: Identity::default(),
            path_users: PathUsers::default(),
            timeout_header: HeaderName::from_static("request-timeout"),
            longest_call: Duration::from_secs(30),
            max_batch: 1000,
            batches_at_once: 64,
            long_lists_at_once: half_of_the_processors(),
            count_max_age: None,
            idempotency: Idempotency::default(),
            metrics: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("identity", &self.identity)
            .field("path_users", &self.path_users)
            .field("timeout_header", &self.timeout_header)
            .field("longest_call", &self.longest_call)
            .field("max_batch", &self.max_batch)
            .field("batches_at_once", &self.batches_at_once)
            .field("long_lists_at_once", &self.long_lists_at_once)
            .field("count_max_age", &self.count_max_age)
            .field("idempotency", &self.idempotency)
            .field("metrics", &self.metrics.is_some())
            .finish()
    }
}

/// The settings of the admin routes, which are there only if the host asks for them: see
/// [`Api::admin_router`](crate::Api::admin_router).
#[derive(Clone)]
pub struct Admin {
    pub(crate) access: AdminAccess,
    pub(crate) step_time: Duration,
    pub(crate) metrics: Option<Render>,
}

impl Admin {
    /// Admin routes for those whom `access` lets in.
    #[must_use]
    pub fn new(access: AdminAccess) -> Self {
        Self { access, step_time: Duration::from_secs(5), metrics: None }
    }

    /// Sets for how long one request removes RSVPs before it answers how far it has got. Defaults to
    /// 5 s. It always does one step.
    #[must_use]
    pub fn with_step_time(self, step_time: Duration) -> Self {
        Self { step_time, ..self }
    }

    /// Adds `GET /metrics` with what `render` prints.
    #[must_use]
    pub fn with_metrics(self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { metrics: Some(Arc::new(render)), ..self }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("access", &self.access)
            .field("step_time", &self.step_time)
            .field("metrics", &self.metrics.is_some())
            .finish()
    }
}
