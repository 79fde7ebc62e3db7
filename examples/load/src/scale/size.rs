//! How many bytes a store takes.

use std::path::PathBuf;

use crate::Failure;
use crate::environment::bytes;

/// Where the size of a store is read.
#[derive(Debug)]
pub enum Size {
    /// The memory of this process.
    Process,
    /// A file, with its log.
    File(PathBuf),
    /// The memory of a Redis server.
    #[cfg(feature = "redis")]
    Redis(redis::aio::MultiplexedConnection),
    /// The database of a Postgres server.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    /// Several stores, or a cluster.
    Unknown,
}

impl Size {
    /// That of the store at `url`.
    pub(super) async fn of(url: &str) -> Result<Self, Failure> {
        let url = url.trim();
        let address = url.split('?').next().unwrap_or_default();
        if address.contains(' ') {
            return Ok(Self::Unknown);
        }
        if let Some(path) = address.strip_prefix("sqlite:") {
            return Ok(Self::File(PathBuf::from(path)));
        }
        match address.split(':').next() {
            Some("memory") => Ok(Self::Process),
            #[cfg(feature = "redis")]
            Some("redis") => {
                let client = redis::Client::open(address)?;
                Ok(Self::Redis(client.get_multiplexed_async_connection().await?))
            }
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => {
                Ok(Self::Postgres(sqlx::PgPool::connect(address).await?))
            }
            _ => Ok(Self::Unknown),
        }
    }

    /// The bytes now. `None` if nobody can tell.
    pub(super) async fn bytes(&self) -> Result<Option<u64>, Failure> {
        match self {
            Self::Process => Ok(bytes("/proc/self/status", "VmRSS")),
            Self::File(path) => {
                let mut log = path.clone().into_os_string();
                log.push("-wal");
                let length = |path| std::fs::metadata(path).map_or(0, |file| file.len());
                Ok(Some(length(path.clone()) + length(log.into())))
            }
            #[cfg(feature = "redis")]
            Self::Redis(connection) => {
                let mut info = redis::cmd("INFO");
                let info: String = info.arg("memory").query_async(&mut connection.clone()).await?;
                let used = info.lines().find_map(|line| line.trim().strip_prefix("used_memory:"));
                Ok(used.and_then(|used| used.parse().ok()))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => {
                let sql = "SELECT pg_database_size(current_database())";
                let bytes: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
                Ok(u64::try_from(bytes).ok())
            }
            Self::Unknown => Ok(None),
        }
    }
}
