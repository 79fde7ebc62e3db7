#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
//!
//! [`router`] creates the routes of any [`RsvpStore`](rsvp_core::RsvpStore).
//! A host nests them behind its own authentication:
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
//! | `GET /events/{event_id}/rsvp_count` | the number of attendees |
//! | `GET /events/{event_id}/users`, `GET /users/{user_id}/events` | a page of a list |
//! | `POST /writes`, `/memberships`, `/rsvp_counts` | a result for each entry of a batch |
//! | `GET /healthz`, `/readyz`, `/openapi.json` | for balancers and clients |
//! | `DELETE /events/{event_id}`, `DELETE /users/{user_id}` | removal, see [`Api::admin_router`] |
//! | `GET /health`, `GET /metrics` | for operators, see [`Api::admin_router`] |
//!
//! # Guarantees of the routes
//!
//! - **Failures** are `application/problem+json`. A retryable failure is 503, or 504 after the
//!   deadline, each with `Retry-After`. Names of shards and texts of drivers never reach a client.
//! - **Deadlines** come from the header `Request-Timeout`.
//! - **A disconnect of the client** cancels its read. Its write runs to the end.
//! - **A repeated `POST`** with the same `Idempotency-Key` gets the first answer again,
//!   from the same process and within some minutes.
//! - **Caching** is off, unless [`Config::with_count_max_age`] allows it.
//!
//! # Serving them
//!
//! The feature `serve` is on by default. Its `Server` protects the routes against hostile clients,
//! and a deploy of it fails no requests. `axum::serve` has no cap on connections,
//! no time-out for the head of a request, and none for a client that does not read its answer.
//!
//! # Read access
//!
//! [`Identity`] decides who writes. Reads and lists are open to all clients of the routes, because
//! attendance is public in many services. For private lists a host adds its own check, such as
//! `api.router().route_layer(middleware::from_extractor_with_state::<Member, _>(sessions))`.
//! It can also forward only some of the routes.
//!
//! # Cargo features
//!
//! - `serve` (default) adds `Server`.
//! - `prometheus` adds `prometheus::install`.
//!   This recorder uses the buckets of the dashboard and of the alerts in the repository.
//!   It needs Rust 1.90.

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
