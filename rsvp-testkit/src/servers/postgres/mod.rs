//! Postgres servers started from the installed binaries.

mod config;
mod data;
mod installation;
mod node;
mod replicated;
mod server;
pub(super) mod unprivileged;

pub use self::replicated::{ReplicatedPostgres, ReplicatedPostgresBuilder, Replication};
pub use self::server::{PostgresBuilder, PostgresServer};
