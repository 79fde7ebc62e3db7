//! The code that a good developer writes first, without this library.

#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use rsvp::url::StoreUrl;

pub use self::server::server;
use crate::{Failure, Target};

/// Opens the way by hand on the server of a store's URL.
///
/// | scheme | by hand |
/// |---|---|
/// | `memory` | a `DashSet<(String, String)>` with a `DashMap` of counts |
/// | `sqlite` | one connection in a mutex, prepared statements, a transaction for each write, a counter row; a file beside that of the store |
/// | `redis` | one multiplexed connection, `SADD` to both sets, `SISMEMBER`, `SCARD` |
/// | `postgres` | a pool, prepared statements, one for each operation, with one counter row for each event |
///
/// # Errors
///
/// If the URL is malformed or of several hosts, if its feature is off, and if the server takes no
/// connection.
pub async fn open(url: &str) -> Result<Arc<dyn Target>, Failure> {
    let mut parsed = StoreUrl::parse(url)?;
    if parsed.hosts().len() > 1 {
        return Err("the way by hand knows one host only".into());
    }
    let pool_size = parsed.parameters_mut().take_parsed::<u32>("pool_size", "a number")?;
    // The parameters are those of the store.
    let address = url.trim().split('?').next().unwrap_or_default();
    match parsed.scheme() {
        #[cfg(feature = "memory")]
        "memory" => Ok(Arc::new(memory::MemoryByHand::default())),
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(sqlite::SqliteByHand::create(parsed.path())?)),
        #[cfg(feature = "redis")]
        "redis" => Ok(Arc::new(redis::RedisByHand::connect(address).await?)),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            Ok(Arc::new(postgres::PostgresByHand::connect(address, pool_size).await?))
        }
        scheme => {
            let _ = (address, pool_size);
            Err(format!("there is no way by hand for {scheme}, or its feature is off").into())
        }
    }
}
