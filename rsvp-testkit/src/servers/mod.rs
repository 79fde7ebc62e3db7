//! Real servers for tests, started from the installed binaries, and a proxy with network faults.
//!
//! Every server listens on a port of its own on 127.0.0.1
//! and keeps its data in a temporary folder with durable settings on.
//! It ends when its handle is dropped, when the test panics, or
//! when the test process itself is killed.
//! Linux only, because it finds processes in `/proc`.
//!
//! ```no_run
//! # async fn example() {
//! use rsvp_testkit::servers::PostgresServer;
//!
//! let server = PostgresServer::shared().await;
//! let url = server.create_database().await;
//! # let _ = url;
//! # }
//! ```
//!
//! # Panics
//!
//! This is test support. Every failure panics, with the end of the server's log or the command
//! that installs a missing program. Every wait is bounded, and panics at its end.

mod bounded;
mod client;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod proxy;
mod redis;
mod round_trips;
mod temp_dir;
mod wait;

pub use bounded::{Bounds, Silence, Unbounded, unbounded_calls};
pub use pgbouncer::{Lending, PgBouncer};
pub use postgres::{
    PostgresBuilder, PostgresServer, ReplicatedPostgres, ReplicatedPostgresBuilder, Replication,
};
pub use proxy::{Proxy, Turns};
pub use redis::{
    Persistence, RedisBuilder, RedisCluster, RedisSentinels, RedisServer, RedisTls, ReplicatedRedis,
};
pub use round_trips::{Cost, round_trips};
