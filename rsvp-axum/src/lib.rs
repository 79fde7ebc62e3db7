#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
//!
//! [`router`] makes the routes of any [`RsvpStore`](rsvp_core::RsvpStore). A host nests them behind
//! its own authentication:
//!
//! ```
//! use std::sync::Arc;
//! use rsvp::MemoryStore;
//! use rsvp_axum::{Config, Identity};
//!
//! let config = Config::default().with_identity(Identity::percent_encoded_header());
//! let rsvps = rsvp_axum::router(Arc::new(MemoryStore::new()), config);
//! let app: axum::Router = axum::Router::new().nest("/rsvp", rsvps);
//! ```
//!
//! | route | answer |
//! |---|---|
//! | `POST`, `DELETE /events/{event_id}/rsvp` | the user of the request is coming, or not |
//! | `PUT`, `DELETE /events/{event_id}/users/{user_id}` | the same with the user in the path |
//! | `GET /events/{event_id}/users/{user_id}` | whether the user is coming |
//! | `GET /events/{event_id}/rsvp_count` | how many are coming |
//! | `GET /events/{event_id}/users`, `GET /users/{user_id}/events` | a page of a list |
//! | `POST /writes`, `/memberships`, `/rsvp_counts` | a result for each entry of a batch |
//! | `GET /healthz`, `/readyz`, `/openapi.json` | for balancers and clients |
//! | admin: `DELETE /events/{event_id}`, `DELETE /users/{user_id}`, `GET /health`, `GET /metrics` | for operators: [`Api::admin_router`] |
//!
//! # What the routes promise
//!
//! - **Failures** are `application/problem+json`. What is worth repeating is 503 with `Retry-After`,
//!   or 504 if the time was up, each with `Retry-After`. No name of a shard and no text of a driver reaches a client.
//! - **Deadlines**: the header `Request-Timeout` becomes the deadline of the call.
//! - **A client that hangs up** cancels its read. Its write is done to its end.
//! - **A repeated `POST`** with the same `Idempotency-Key` is answered as the first was, by the same
//!   process and within some minutes.
//! - **Nothing is cached** unless [`Config::with_count_max_age`] says so.
//!
//! # Serving them
//!
//! With the feature `serve`, which is on by default, `Server` serves the routes to clients that may be
//! hostile, and through deploys. `axum::serve` has no time-out for the head of a request, no cap on
//! connections, and none on the time that a client takes to read its answer.
//!
//! # Who may read
//!
//! [`Identity`] decides who writes. Reads and lists are open to everybody who reaches the routes, because
//! attendance is public in many services. A host with private lists puts its own check in front, such as
//! `api.router().route_layer(middleware::from_extractor_with_state::<Member, _>(sessions))`, or serves only
//! the routes that it wants.
//!
//! # Cargo features
//!
//! - `serve` (default): `Server`.
//! - `prometheus`: `prometheus::install`, a recorder with the buckets that the dashboard and the alerts
//!   of the repository need. Needs Rust 1.90.

mod api;
mod body;
mod config;
mod extract;
mod idempotency;
mod identity;
mod log;
mod metrics;
mod problem;
#[cfg(feature = "prometheus")]
pub mod prometheus;
mod routes;
#[cfg(feature = "serve")]
mod serve;

pub use self::api::{Api, router};
pub use self::config::{Admin, Config, Idempotency, PathUsers};
pub use self::identity::{AdminAccess, Identity};
pub use self::log::line as error_line;
pub use self::metrics::LATENCY_BUCKETS;
pub use self::problem::Problem;
#[cfg(feature = "serve")]
pub use self::serve::{App, ServeError, Server, ServerConfig, Stop, wait_for};
