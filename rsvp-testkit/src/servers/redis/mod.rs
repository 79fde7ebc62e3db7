//! Redis servers started from the installed binaries.

mod builder;
mod cluster;
mod config;
mod node;
mod replicated;
mod sentinels;
mod server;
mod topology;

pub use self::builder::RedisBuilder;
pub use self::cluster::RedisCluster;
pub use self::config::{Persistence, RedisTls};
pub use self::replicated::ReplicatedRedis;
pub use self::sentinels::RedisSentinels;
pub use self::server::RedisServer;
