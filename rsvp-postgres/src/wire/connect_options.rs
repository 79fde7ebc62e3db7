//! The driver's options for a connection to a host, from the configuration.

use rsvp_core::url::{Host, Secret};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::{DEFAULT_PORT, PostgresConfig, SslMode};

/// Makes the options for connections to `host`.
/// They have no settings of the session. [`Session`](super::server_session::Session) makes these.
pub(super) fn options(config: &PostgresConfig, host: &Host) -> PgConnectOptions {
    // 1. The address and the login. They override the environment variables of libpq, except
    //    PGOPTIONS. Its settings are refused once the connection is open. ~/.pgpass is not read.
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&host.name)
        .port(host.port.unwrap_or(DEFAULT_PORT))
        .username(&config.user)
        // Set even if there is none, because PGPASSWORD may be for another server.
        .password(config.password.as_ref().map_or("", Secret::expose))
        .database(&config.database)
        .application_name(&config.application_name)
        // Poolers refuse the setting, and no number with a fraction is read.
        .extra_float_digits(None);
    // A path is the folder of a Unix socket.
    if host.name.starts_with('/') {
        options = options.socket(&host.name);
    }

    // 2. Encryption.
    options = options.ssl_mode(ssl_mode(config.ssl_mode));
    if let Some(file) = &config.ssl_root_cert {
        options = options.ssl_root_cert(file);
    }
    if let (Some(cert), Some(key)) = (&config.ssl_cert, &config.ssl_key) {
        options = options.ssl_client_cert(cert).ssl_client_key(key);
    }

    // 3. The endpoint behind a proxy. An empty list would be sent, too, and poolers refuse it.
    if !config.startup_options.is_empty() {
        options = options.options(config.startup_options.iter().map(|(name, value)| (name, value)));
    }
    options.disable_statement_logging()
}

fn ssl_mode(mode: SslMode) -> PgSslMode {
    match mode {
        SslMode::Disable => PgSslMode::Disable,
        #[cfg(feature = "tls")]
        SslMode::Allow => PgSslMode::Allow,
        #[cfg(feature = "tls")]
        SslMode::Prefer => PgSslMode::Prefer,
        #[cfg(feature = "tls")]
        SslMode::Require => PgSslMode::Require,
        #[cfg(feature = "tls")]
        SslMode::VerifyCa => PgSslMode::VerifyCa,
        #[cfg(feature = "tls")]
        SslMode::VerifyFull => PgSslMode::VerifyFull,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_at_the_start_unless_a_proxy_is_to_know_it() {
        let sent = |query| {
            let url = format!("postgres://db/d{query}");
            let config = PostgresConfig::from_url(&url).unwrap();
            let options = options(&config, config.hosts.first().unwrap());
            options.get_options().map(str::to_owned)
        };
        assert_eq!(sent(""), None);
        assert_eq!(sent("?options=endpoint%3Dep-x").as_deref(), Some("-c endpoint=ep-x"));
    }
}
