//! The versions of servers, and the settings that decide the cost of a write.

use rsvp::url::StoreUrl;

/// The server behind a store's URL, such as `PostgreSQL 15.8, fsync on`. `None` if there is none, or if
/// it does not say.
pub async fn server(url: &str) -> Option<String> {
    let parsed = StoreUrl::parse(url).ok()?;
    let address = url.trim().split('?').next()?;
    match parsed.scheme() {
        #[cfg(feature = "sqlite")]
        "sqlite" => Some(format!("SQLite {}", rusqlite::version())),
        #[cfg(feature = "redis")]
        "redis" => super::redis::RedisByHand::connect(address).await.ok()?.server().await.ok(),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => super::postgres::server(address).await.ok(),
        _ => {
            let _ = address;
            None
        }
    }
}
