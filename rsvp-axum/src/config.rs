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

/// Who may write for the user in a path or in a batch.
///
/// ```
/// use rsvp_axum::{Config, PathUsers};
///
/// // The gateway checks the user in the path, so organizers can cancel for their guests.
/// let config = Config::default().with_path_users(PathUsers::GatewayDecides);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathUsers {
    /// Only this user, according to the [`Identity`]. Other users get 403.
    #[default]
    MustBeCaller,
    /// Every client of the routes. A gateway in front of them decides.
    GatewayDecides,
}

/// How long the process keeps answers to requests with an `Idempotency-Key`, and how many.
///
/// Another instance does not have these answers and repeats the write. Every write allows this.
///
/// ```
/// use std::time::Duration;
/// use rsvp_axum::{Config, Idempotency};
///
/// let kept = Idempotency::default().with_time(Duration::from_secs(3600)).with_bytes(64 << 20);
/// let config = Config::default().with_idempotency(kept);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Idempotency {
    /// The time to keep an answer. Defaults to 10 minutes.
    pub time: Duration,
    /// The maximum number of answers. The oldest are dropped first. Defaults to 10,000.
    pub answers: usize,
    /// The maximum number of bytes of all answers. The oldest are dropped first.
    /// Defaults to 16 MiB.
    pub bytes: usize,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self { time: Duration::from_secs(600), answers: 10_000, bytes: 16 << 20 }
    }
}

impl Idempotency {
    /// Sets the time to keep an answer.
    #[must_use]
    pub fn with_time(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// Sets the maximum number of answers.
    #[must_use]
    pub fn with_answers(self, answers: usize) -> Self {
        Self { answers, ..self }
    }

    /// Sets the maximum number of bytes of all answers.
    #[must_use]
    pub fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }
}

impl Config {
    /// The largest setting of [`with_max_batch`](Self::with_max_batch).
    pub const MAX_BATCH: usize = 10_000;

    /// Sets the source of the user of a request. Defaults to [`Identity::header`].
    #[must_use]
    pub fn with_identity(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    /// Sets who may write for the user in a path or in a batch.
    /// Defaults to [`PathUsers::MustBeCaller`].
    #[must_use]
    pub fn with_path_users(self, path_users: PathUsers) -> Self {
        Self { path_users, ..self }
    }

    /// Sets the header for the time-out of a client. Defaults to `Request-Timeout`.
    ///
    /// Its value is a number of seconds, or has a unit as in `250ms` and `2s`.
    /// If the name ends with `-ms`, as in Envoy's `x-envoy-expected-rq-timeout-ms`,
    /// the value is a number of milliseconds.
    #[must_use]
    pub fn with_timeout_header(self, timeout_header: HeaderName) -> Self {
        Self { timeout_header, ..self }
    }

    /// Sets the longest time of a call. Defaults to 30 s.
    ///
    /// It is the deadline of requests without a time-out, and a bound for the time-out of a client.
    #[must_use]
    pub fn with_longest_call(self, longest_call: Duration) -> Self {
        Self { longest_call, ..self }
    }

    /// Sets the maximum number of entries in a batch, within 1 to [`MAX_BATCH`](Self::MAX_BATCH).
    /// Defaults to 1,000.
    #[must_use]
    pub fn with_max_batch(self, max_batch: usize) -> Self {
        // An illegal number is clamped, because a builder method returns no error.
        Self { max_batch: max_batch.clamp(1, Self::MAX_BATCH), ..self }
    }

    /// Sets the maximum number of batches in memory. Defaults to 64.
    ///
    /// Further batches get 503. A batch of 1,000 entries takes at most 1.2 MB of JSON.
    #[must_use]
    pub fn with_batches_at_once(self, batches_at_once: usize) -> Self {
        Self { batches_at_once: batches_at_once.max(1), ..self }
    }

    /// Sets the maximum number of long pages in progress.
    /// Defaults to half of the processors, and at least to one,
    /// so that short requests do not wait for long ones.
    ///
    /// A long page has more than 1,000 items. Further ones wait until their deadlines.
    #[must_use]
    pub fn with_long_lists_at_once(self, long_lists_at_once: usize) -> Self {
        Self { long_lists_at_once: long_lists_at_once.max(1), ..self }
    }

    /// Lets the caches of clients keep a count up to this age. Defaults to no caching.
    ///
    /// The age is at most [`Consistency::DEFAULT_COUNT_BOUND`].
    /// The answer to a read with a session is never cached.
    #[must_use]
    pub fn with_count_max_age(self, age: Duration) -> Self {
        // An older count would be beyond the staleness bound of the routes themselves.
        Self { count_max_age: Some(age.min(Consistency::DEFAULT_COUNT_BOUND)), ..self }
    }

    /// Sets the bounds of kept answers to requests with an `Idempotency-Key`.
    #[must_use]
    pub fn with_idempotency(self, idempotency: Idempotency) -> Self {
        Self { idempotency, ..self }
    }

    /// Adds `GET /metrics` with the text of `render` to the public routes.
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

/// The settings of the admin routes. [`Api::admin_router`](crate::Api::admin_router) creates them.
///
/// ```
/// use std::time::Duration;
/// use rsvp_axum::{Admin, AdminAccess};
///
/// let admin = Admin::new(AdminAccess::bearer("correct horse battery staple"))
///     .with_step_time(Duration::from_secs(2));
/// ```
#[derive(Clone)]
pub struct Admin {
    pub(crate) access: AdminAccess,
    pub(crate) step_time: Duration,
    pub(crate) metrics: Option<Render>,
}

impl Admin {
    /// Creates the settings of admin routes with this access.
    #[must_use]
    pub fn new(access: AdminAccess) -> Self {
        Self { access, step_time: Duration::from_secs(5), metrics: None }
    }

    /// Sets the longest time of a removal request before it answers. Defaults to 5 s.
    ///
    /// The answer tells the progress. A request always does at least one step.
    #[must_use]
    pub fn with_step_time(self, step_time: Duration) -> Self {
        Self { step_time, ..self }
    }

    /// Adds `GET /metrics` with the text of `render`.
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
