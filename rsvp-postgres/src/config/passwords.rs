//! The password of each new connection, from a provider or a file.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fmt};

use rsvp_core::async_trait;
use rsvp_core::url::Secret;
use tokio::task::spawn_blocking;

/// The reason for a missing password. Its text must have no secret in it.
pub type PasswordError = Box<dyn StdError + Send + Sync>;

/// The login of a new connection.
///
/// ```
/// use rsvp_postgres::Login;
///
/// /// The key of a login in a cache of tokens.
/// fn cache_key(login: Login<'_>) -> String {
///     format!("{}@{}:{}", login.user, login.host, login.port)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Login<'a> {
    /// The name or address of the host.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// The role of the login.
    pub user: &'a str,
    /// The database.
    pub database: &'a str,
}

/// Gives the password of each new connection, such as a short-lived token of a cloud provider.
///
/// The store asks for every connection, within the `connect_timeout`.
/// So an implementation should cache a valid token.
/// Open connections stay open after a token expires.
///
/// ```
/// use rsvp_core::async_trait;
/// use rsvp_core::url::Secret;
/// use rsvp_postgres::{Login, PasswordError, PasswordProvider, PostgresConfig};
///
/// struct Tokens;
///
/// #[async_trait]
/// impl PasswordProvider for Tokens {
///     async fn password(&self, login: Login<'_>) -> Result<Secret, PasswordError> {
///         Ok(Secret::new(format!("token for {} at {}", login.user, login.host)))
///     }
/// }
///
/// let config = PostgresConfig::from_url("postgres://app@db.example/tickets")?
///     .with_password_provider(Tokens);
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[async_trait]
pub trait PasswordProvider: Send + Sync + 'static {
    /// Returns the password for a login.
    ///
    /// # Errors
    ///
    /// Any error of the provider. The connection fails, and the store may try it again.
    /// The text of the error must have no secret in it.
    async fn password(&self, login: Login<'_>) -> Result<Secret, PasswordError>;
}

/// A provider. `Debug` shows nothing of it.
#[derive(Clone)]
pub(crate) struct Provider(pub(super) Arc<dyn PasswordProvider>);

impl Provider {
    pub(crate) async fn password(&self, login: Login<'_>) -> Result<Secret, PasswordError> {
        self.0.password(login).await
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordProvider")
    }
}

/// The passwords of a file in the format of libpq's `.pgpass`.
/// It is read again for each connection, so a changed password needs no restart.
#[derive(Debug)]
pub(super) struct PassFile(PathBuf);

/// No line of the file matches the login.
#[derive(Debug, thiserror::Error)]
#[error("the password file has no line for this host, port, database and user")]
struct NoLine;

/// The environment names no file.
#[derive(Debug, thiserror::Error)]
#[error("neither PGPASSFILE nor HOME is set")]
pub(super) struct NoFile;

impl PassFile {
    /// Opens the file at a path. `env` stands for the file of `PGPASSFILE`, or else `~/.pgpass`.
    pub(super) fn new(path: &str) -> Result<Self, NoFile> {
        if path != "env" {
            return Ok(Self(path.into()));
        }
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".pgpass"));
        let named = env::var_os("PGPASSFILE").map(PathBuf::from);
        named.or_else(home).map(Self).ok_or(NoFile)
    }
}

#[async_trait]
impl PasswordProvider for PassFile {
    async fn password(&self, login: Login<'_>) -> Result<Secret, PasswordError> {
        // Reading a file blocks, and must not hold up the other tasks of the thread.
        let path = self.0.clone();
        let text = spawn_blocking(move || std::fs::read_to_string(path)).await??;
        text.lines().find_map(|line| password_in(line, login)).ok_or_else(|| NoLine.into())
    }
}

/// Returns the password of a line `host:port:database:user:password`, if it matches the login.
/// A `*` matches anything. `\:` and `\\` stand for the characters themselves.
fn password_in(line: &str, login: Login<'_>) -> Option<Secret> {
    // 1. The five fields, without their escapes. A colon in the password needs no escape.
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut()?.extend(characters.next()),
            character => fields.last_mut()?.push(character),
        }
    }
    let [host, port, database, user, password] = fields.as_slice() else { return None };
    // 2. Each field against the login. The folder of a socket is written as localhost.
    let number = login.port.to_string();
    let local = login.host.starts_with('/') && host == "localhost";
    let own = [(port, number.as_str()), (database, login.database), (user, login.user)];
    let is_host = host == "*" || host == login.host || local;
    let fits = is_host && own.iter().all(|(field, own)| *field == "*" || field == own);
    fits.then(|| Secret::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let login = Login { host: "db", port: 5432, user: "app", database: "a:b" };
        let found = |line| password_in(line, login).map(|password| password.expose().to_owned());
        assert_eq!(found("db:5432:*:app:hunter2").as_deref(), Some("hunter2"));
        assert_eq!(found(r"*:*:a\:b:app:hun\\t:er2").as_deref(), Some(r"hun\t:er2"));
        for other in ["", "# a comment", "db2:5432:*:app:x", "db:1:*:app:x", "db:5432:b:app:x"] {
            assert_eq!(found(other), None, "{other}");
        }
        let socket = Login { host: "/run/postgresql", ..login };
        assert!(password_in("localhost:*:*:app:x", socket).is_some());
    }
}
