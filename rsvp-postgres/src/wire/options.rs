//! The driver's options for a host, made from the configuration.

use std::time::Duration;

use rsvp_core::url::{Host, Secret};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::{DEFAULT_PORT, PostgresConfig, SslMode};

/// Settings that give each statement of a call one good plan, prepared once: nested loops over
/// index look-ups. Without them, the plan made while the tables were empty would scan them, and
/// would be kept until the tables are next analyzed.
const ONE_PLAN: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
];

/// Options for connections to `host`. Without a `statement_timeout` they are for maintenance:
/// statements may run for any time, and the planner is free.
pub(super) fn options(
    config: &PostgresConfig,
    host: &Host,
    statement_timeout: Option<Duration>,
) -> PgConnectOptions {
    // 1. The address and the login. These override libpq's environment variables; PGOPTIONS is
    //    prepended by the driver, and ~/.pgpass is not read.
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&host.name)
        .port(host.port.unwrap_or(DEFAULT_PORT))
        .username(&config.user)
        // Also if there is none: PGPASSWORD may be meant for another server.
        .password(config.password.as_ref().map_or("", Secret::expose))
        .database(&config.database)
        .application_name(&config.application_name);
    // A path is the folder of a Unix socket.
    if host.name.starts_with('/') {
        options = options.socket(&host.name);
    }

    // 2. Encryption.
    options = options.ssl_mode(ssl_mode(config.ssl_mode));
    if let Some(file) = &config.ssl_root_cert {
        options = options.ssl_root_cert(file);
    }

    // 3. Settings of the server's session; a timeout of 0 is none.
    let timeout = statement_timeout.map_or(0, |timeout| timeout.as_millis()).to_string();
    options = options.options([
        ("statement_timeout", timeout.as_str()),
        // The statements are written for this level, whatever the database's default is.
        ("default_transaction_isolation", "read committed"),
    ]);
    if statement_timeout.is_some() {
        options = options.options(ONE_PLAN);
    }
    options.disable_statement_logging()
}

fn ssl_mode(mode: SslMode) -> PgSslMode {
    match mode {
        SslMode::Disable => PgSslMode::Disable,
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
