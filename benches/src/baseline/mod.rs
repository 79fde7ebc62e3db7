//! The baselines: a careful developer's own code against the same servers.

mod postgres;
mod redis;

pub use self::postgres::PostgresBaseline;
pub use self::redis::RedisBaseline;
