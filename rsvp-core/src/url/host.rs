//! The hosts of a URL.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::{Error, Result};

/// The address of a server: `name`, `name:port` or `[address]:port`.
/// An IPv6 address stands in brackets.
///
/// The name may be percent-encoded, so that it can be a path.
/// The output of `Display` parses as the same host, unless the host needs percent-encoding.
///
/// ```
/// use rsvp_core::url::Host;
///
/// let host: Host = "[::1]:5433".parse()?;
/// assert_eq!((host.name.as_str(), host.port), ("::1", Some(5433)));
/// let default = "db.example".parse::<Host>()?.with_default_port(5432);
/// assert_eq!(default.to_string(), "db.example:5432");
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Host {
    /// A host name, an address without brackets, or another name that the backend accepts.
    pub name: String,
    /// The port, if specified. Parsing never returns port 0.
    pub port: Option<u16>,
}

impl Host {
    /// Sets the port, unless the host has one.
    #[must_use]
    pub fn with_default_port(self, port: u16) -> Self {
        Self { port: self.port.or(Some(port)), ..self }
    }
}

impl FromStr for Host {
    type Err = Error;

    /// Parses a host. An empty name means `localhost`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `host`. The message never repeats the text.
    fn from_str(text: &str) -> Result<Self> {
        host(text).ok_or_else(|| Error::invalid_input("host", "is not a host, or a host:port"))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]", self.name)?;
        } else {
            f.write_str(&self.name)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Host {
    /// Shows the fields without brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn host(text: &str) -> Option<Host> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.rfind(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None if port.is_empty() => None,
        None => return None,
    };
    let name = if name.is_empty() { "localhost" } else { name };
    Some(Host { name: name.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_of_ipv6_stands_in_brackets() {
        let host: Host = "[::1]:5433".parse().unwrap();
        assert_eq!((host.name.as_str(), host.port), ("::1", Some(5433)));
        assert_eq!(
            (format!("{host:?}").as_str(), format!("{host}").as_str()),
            ("::1:5433", "[::1]:5433")
        );
    }

    #[test]
    fn a_malformed_host_is_refused_without_being_repeated() {
        for text in ["h:0", "h:", "h:x", "h:65536", "[::1", "[::1]5", "[::1]:0", "%FF"] {
            let message = text.parse::<Host>().unwrap_err().to_string();
            assert_eq!(message, "invalid host: is not a host, or a host:port");
        }
    }

    proptest! {
        #[test]
        fn a_host_is_written_as_it_is_read(name in "[a-z0-9.-]+|[0-9a-f:]*:", port: Option<u16>) {
            let host = Host { name, port: port.filter(|port| *port != 0) };
            prop_assert_eq!(host.to_string().parse::<Host>().unwrap(), host);
        }

        #[test]
        fn any_text_is_taken_or_refused(text: String) {
            let _ = text.parse::<Host>();
        }
    }
}
