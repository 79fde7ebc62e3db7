//! Where the password of each new connection comes from.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fmt};

use rsvp_core::async_trait;
use rsvp_core::url::Secret;
use tokio::task::spawn_blocking;

/// Why a password could not be had.
pub type PasswordError = Box<dyn StdError + Send + Sync>;

/// The login of a connection that is about to be opened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Login<'a> {
    /// The name or address of the host.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// The role that logs in.
    pub user: &'a str,
    /// The database.
    pub database: &'a str,
}

/// Gives the password of each new connection, such as a token of a cloud provider, which expires in
/// minutes.
///
/// It is asked for every connection, within the `connect_timeout`, so it should keep what is still
/// valid. Connections that are open stay open when a token expires.
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
    /// The password for a login.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being had. The connection fails, and may be tried again. The text of the
    /// error must have no secret in it.
    async fn password(&self, login: Login<'_>) -> Result<Secret, PasswordError>;
}

/// A provider that nothing prints.
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

/// The passwords of a file in the format of libpq's `.pgpass`, which is read for each connection.
#[derive(Debug)]
pub(super) struct PassFile(PathBuf);

/// No line of the file is of the login.
#[derive(Debug, thiserror::Error)]
#[error("the password file has no line for this host, port, database and user")]
struct NoLine;

/// The environment names no file.
#[derive(Debug, thiserror::Error)]
#[error("neither PGPASSFILE nor HOME is set")]
pub(super) struct NoFile;

impl PassFile {
    /// The file at a path. `env` is the file that `PGPASSFILE` names, and otherwise `~/.pgpass`.
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
        let path = self.0.clone();
        let text = spawn_blocking(move || std::fs::read_to_string(path)).await??;
        text.lines().find_map(|line| password_in(line, login)).ok_or_else(|| NoLine.into())
    }
}

/// The password in a line `host:port:database:user:password`, if it is of the login. A `*` is
/// anything; `\:` and `\\` stand for the characters themselves.
fn password_in(line: &str, login: Login<'_>) -> Option<Secret> {
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
    let number = login.port.to_string();
    // A socket's folder is written as localhost.
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
