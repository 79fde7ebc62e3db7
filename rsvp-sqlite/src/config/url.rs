//! Reading the settings from a URL.

use rsvp_core::url::{Host, StoreUrl};
use rsvp_core::{Error, Result};

use super::{Durability, SqliteConfig};

impl SqliteConfig {
    /// Reads the settings from a URL, in one of these forms:
    ///
    /// - `sqlite:path/to/rsvp.db?parameter=value`
    /// - `sqlite:/absolute/path/to/rsvp.db`
    /// - `sqlite:///absolute/path/to/rsvp.db`
    ///
    /// A relative path begins at the working directory of the process. Characters such as `?`, `#`
    /// and `%` in the path must be percent-encoded.
    ///
    /// | parameter | meaning | default |
    /// |---|---|---|
    /// | `create` | whether to create a missing file | `true` |
    /// | `durability` | `full`, or `normal` (can lose writes when the power fails) | `full` |
    /// | `cache_size` | memory for pages of each connection, in MiB | 32 |
    /// | `busy_timeout` | wait for a lock of another process, such as `500ms` or `2s` | 5s |
    /// | `call_timeout` | longest time of a call | 30s |
    /// | `readers` | reader threads | 4 |
    /// | `queue` | entries in the queue of the writer, and in the queue of the readers | 65536 |
    /// | `checkpoint` | `false` if another program does it, such as Litestream | `true` |
    ///
    /// ```
    /// use rsvp_sqlite::SqliteConfig;
    ///
    /// let config = SqliteConfig::from_url("sqlite:data/my%20rsvp.db?durability=normal")?;
    /// assert_eq!(config.path().to_str(), Some("data/my rsvp.db"));
    /// assert!(SqliteConfig::from_url("sqlite::memory:").is_err());
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `url`, or with the field of a wrong parameter.
    pub fn from_url(url: &str) -> Result<Self> {
        Self::from_store_url(StoreUrl::parse(url)?)
    }

    /// Reads the settings from a parsed URL, as [`from_url`](Self::from_url) does.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_store_url(mut url: StoreUrl) -> Result<Self> {
        // As in a `file:` URL, the text between `//` and the next `/` is a host.
        // Only this host can open a file.
        let local = |host: &Host| host.name == "localhost" && host.port.is_none();
        let path = match url.hosts() {
            [] if url.scheme() == "sqlite" => url.path().to_owned(),
            [host] if url.scheme() == "sqlite" && local(host) && url.user().is_none() => {
                format!("/{}", url.path())
            }
            _ => {
                let reason =
                    "is not `sqlite:path/to/rsvp.db` or `sqlite:///absolute/path/to/rsvp.db`";
                return Err(Error::invalid_input("url", reason));
            }
        };
        // A file called `:memory:` would be private to each connection, and lost when they close.
        if path.trim_start_matches('/').is_empty() || path.contains(":memory:") {
            let reason = "names no file, as in `sqlite:path/to/rsvp.db`; for a store in memory use \
                          `memory:`";
            return Err(Error::invalid_input("url", reason));
        }
        let mut config = Self::new(path);
        let parameters = url.parameters_mut();
        config.durability = match parameters.take("durability")?.as_deref() {
            None | Some("full") => Durability::Full,
            Some("normal") => Durability::Normal,
            Some(_) => return Err(Error::invalid_input("durability", "is not `full` or `normal`")),
        };
        override_with(&mut config.create, parameters.take_flag("create")?);
        let cache_size = parameters.take_parsed("cache_size", "a number of MiB")?;
        override_with(&mut config.cache_size, cache_size);
        override_with(&mut config.busy_timeout, parameters.take_duration("busy_timeout")?);
        override_with(&mut config.call_timeout, parameters.take_duration("call_timeout")?);
        override_with(&mut config.readers, parameters.take_parsed("readers", "a number")?);
        override_with(&mut config.queue, parameters.take_parsed("queue", "a number")?);
        override_with(&mut config.checkpoint, parameters.take_flag("checkpoint")?);
        // After the known parameters are taken, any other one is an error.
        parameters.finish()?;
        config.check()?;
        Ok(config)
    }
}

fn override_with<T>(setting: &mut T, parameter: Option<T>) {
    if let Some(value) = parameter {
        *setting = value;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_parameter_is_read() {
        let url = "sqlite:/var/lib/rsvp.db?create=false&durability=normal&cache_size=8&readers=2\
                   &busy_timeout=20ms&call_timeout=1s&queue=10&checkpoint=false";
        let config = SqliteConfig::from_url(url).unwrap();
        assert_eq!(config.path().to_str(), Some("/var/lib/rsvp.db"));
        assert!(!config.create && !config.checkpoint);
        assert_eq!(config.durability, Durability::Normal);
        assert_eq!((config.cache_size, config.readers, config.queue), (8, 2, 10));
        assert_eq!(config.busy_timeout, Duration::from_millis(20));
        assert_eq!(config.call_timeout, Duration::from_secs(1));
    }

    #[test]
    fn an_absolute_path_may_begin_as_in_the_url_of_a_file() {
        for url in ["sqlite:/var/lib/a.db", "sqlite:///var/lib/a.db"] {
            let config = SqliteConfig::from_url(url).unwrap();
            assert_eq!(config.path().to_str(), Some("/var/lib/a.db"), "{url}");
        }
    }

    #[test]
    fn a_wrong_url_says_what_is_wrong() {
        for (url, wrong) in [
            ("sqlite::memory:", "`memory:`"),
            ("sqlite:", "names no file"),
            ("sqlite:///", "names no file"),
            ("sqlite://:memory:", "url"),
            ("sqlite:///:memory:", "`memory:`"),
            ("sqlite://rsvp.db", "or `sqlite:///absolute/path/to/rsvp.db`"),
            ("sqlite://user@localhost/rsvp.db", "or `sqlite:///absolute"),
            ("sqlite://host/rsvp.db", "or `sqlite:///absolute"),
            ("sqlite:a.db?durability=off", "invalid durability: is not `full` or `normal`"),
            ("sqlite:a.db?readers=0", "invalid readers: "),
            ("sqlite:a.db?mode=rwc", "unknown parameter `mode`; supported: `durability`"),
        ] {
            let error = SqliteConfig::from_url(url).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
