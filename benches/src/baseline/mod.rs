//! The baselines: a careful developer's own code against the same servers.

mod memory;
mod postgres;
mod redis;
mod sqlite;

pub use self::memory::MemoryBaseline;
pub use self::postgres::PostgresBaseline;
pub use self::redis::RedisBaseline;
pub use self::sqlite::SqliteBaseline;
