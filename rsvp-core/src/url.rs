//! A store's URL, taken apart: for authors of backends that are opened by URL.
//!
//! Every backend reads its URL the same way and refuses what is wrong in the same words; what a
//! path, a port that is not given and each parameter mean is the backend's own. Whatever is
//! refused, nothing of a URL is repeated in a message, because it may hold a password.
//!
//! ```
//! use std::time::Duration;
//! use rsvp_core::url::{StoreUrl, check_timeout, parse_duration};
//!
//! let url = StoreUrl::parse("redis://app:p%40ss@cache1,[::1]:7000/0?connect_timeout=500ms")?;
//! assert_eq!((url.scheme(), url.user(), url.path()), ("redis", Some("app"), "0"));
//! assert_eq!(url.password().map(|password| password.expose()), Some("p@ss"));
//! let ports: Vec<_> = url.hosts().iter().map(|host| host.port.unwrap_or(6379)).collect();
//! assert_eq!(ports, [6379, 7000]);
//! for (name, value) in url.parameters() {
//!     assert_eq!(name, "connect_timeout");
//!     let timeout = check_timeout("connect_timeout", parse_duration("connect_timeout", value)?)?;
//!     assert_eq!(timeout, Duration::from_millis(500));
//! }
//! # Ok::<(), rsvp_core::Error>(())
//! ```

mod host;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

pub use self::host::Host;
use crate::{Error, Result};

/// A store's URL, taken apart: `scheme://user:password@host:port,host:port/path?parameter=value`.
///
/// Everything but the scheme and the names of parameters may be percent-encoded. An `@` or a `/`
/// of the user, the password or the path must be, and so must a `?` anywhere before the
/// parameters and a `,` of a host. `Debug` shows neither the password nor the parameters.
#[derive(Clone)]
pub struct StoreUrl {
    scheme: String,
    user: Option<String>,
    password: Option<Secret>,
    hosts: Vec<Host>,
    path: String,
    parameters: Vec<(String, String)>,
}

impl StoreUrl {
    /// Takes a URL apart.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `url`. The URL is never repeated.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url
            .split_once("://")
            .filter(|(scheme, _)| is_scheme(scheme))
            .ok_or_else(|| wrong("does not begin with a scheme and ://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains(['/', '@']) || authority.matches('@').count() > 1 {
            return Err(wrong("has an @ or a / that is not percent-encoded"));
        }
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (decoded(user)?, Some(Secret(decoded(password)?))),
            None => (decoded(credentials)?, None),
        };
        let hosts: Result<Vec<_>> = hosts.split(',').map(Host::from_str).collect();
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            user: Some(user).filter(|user| !user.is_empty()),
            password,
            hosts: hosts.map_err(|_| wrong("has a host that is none"))?,
            path: decoded(path)?,
            parameters: parameters.map(parameter).collect::<Result<_>>()?,
        })
    }

    /// What stands before the `://`, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The user, if one is named.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password, if there is one; an empty one if nothing follows the colon.
    #[must_use]
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// The hosts in order, at least one: a URL without any means `localhost`.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// What follows the slash after the hosts; empty if nothing does.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The parameters and their values, in order and as often as they are given.
    ///
    /// A parameter without `=` has an empty value.
    #[must_use]
    pub fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }
}

impl fmt::Debug for StoreUrl {
    /// Without the parameters: after a `?` that was not encoded, a password goes on there, in
    /// the names too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreUrl")
            .field("scheme", &self.scheme)
            .field("user", &self.user)
            .field("password", &self.password)
            .field("hosts", &self.hosts)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A text that nothing prints: `Debug` gives `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the driver and nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The duration that a parameter gives, in whole milliseconds or seconds: `500ms` or `2s`.
///
/// # Errors
///
/// [`Error::InvalidInput`] with this field if it is none.
pub fn parse_duration(field: &'static str, text: &str) -> Result<Duration> {
    let number = |digits: &str| digits.parse::<u32>().ok().map(u64::from);
    let duration = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => number(digits).map(Duration::from_millis),
        (None, Some(digits)) => number(digits).map(Duration::from_secs),
        (None, None) => None,
    };
    duration.ok_or_else(|| Error::invalid_input(field, "is not a duration such as 500ms or 2s"))
}

/// The timeout itself, if it is one that a store can keep.
///
/// # Errors
///
/// [`Error::InvalidInput`] with this field unless it is within 1 ms to 1 h.
pub fn check_timeout(field: &'static str, timeout: Duration) -> Result<Duration> {
    if (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&timeout) {
        Ok(timeout)
    } else {
        Err(Error::invalid_input(field, "is not within 1ms to 3600s"))
    }
}

fn wrong(reason: &str) -> Error {
    Error::invalid_input("url", reason)
}

/// As RFC 3986 has it. Anything more would take a whole URL without a scheme, password and all,
/// for the scheme if a `://` stands somewhere in it.
fn is_scheme(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(legal)
}

fn decoded(text: &str) -> Result<String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(String::from).map_err(|_| wrong("is not UTF-8 after percent-decoding"))
}

fn parameter(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((name.to_owned(), decoded(value)?))
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn parsed(url: &str) -> StoreUrl {
        StoreUrl::parse(url).unwrap()
    }

    fn encoded(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    fn hosts(url: &str) -> Vec<(String, Option<u16>)> {
        parsed(url).hosts().iter().map(|host| (host.name.clone(), host.port)).collect()
    }

    fn host(name: &str, port: Option<u16>) -> (String, Option<u16>) {
        (name.to_owned(), port)
    }

    #[test]
    fn a_short_url_has_nothing_but_a_host() {
        for url in ["a://", "a:///", "a://@", "a://?", "a://localhost", "a://localhost/?&"] {
            let url = parsed(url);
            assert_eq!((url.scheme(), url.user(), url.path()), ("a", None, ""));
            assert!(url.password().is_none() && url.parameters().is_empty(), "{url:?}");
            assert_eq!(url.hosts(), [Host { name: "localhost".to_owned(), port: None }]);
        }
    }

    #[test]
    fn a_scheme_is_lower_case() {
        assert_eq!(parsed("Redis+CLUSTER://h").scheme(), "redis+cluster");
    }

    #[test]
    fn user_and_password_may_be_missing() {
        let credentials = |url| {
            let url = parsed(url);
            let password = url.password().map(|password| password.expose().to_owned());
            (url.user().map(str::to_owned), password)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(credentials("a://u@h"), (some("u"), None));
        assert_eq!(credentials("a://:p@h"), (None, some("p")));
        assert_eq!(credentials("a://u:@h"), (some("u"), some("")));
        assert_eq!(credentials("a://u:p:q@h"), (some("u"), some("p:q")));
    }

    #[test]
    fn there_may_be_many_hosts() {
        let expected = [
            host("a", None),
            host("b.example", Some(65535)),
            host("::1", Some(5433)),
            host("fe80::1", None),
            host("/run/a,b", Some(5)),
            host("localhost", None),
        ];
        let url = "x://u@a,b.example:65535,[::1]:5433,%5Bfe80%3A%3A1%5D,%2Frun%2Fa%2Cb:5,/d";
        assert_eq!(hosts(url), expected);
        assert_eq!(format!("{:?}", &parsed(url).hosts()[..3]), "[a, b.example:65535, ::1:5433]");
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        for host in ["h:0", "[::1", "%FF"] {
            let message = StoreUrl::parse(&format!("a://b,{host}")).unwrap_err().to_string();
            assert_eq!(message, "invalid url: has a host that is none");
        }
    }

    #[test]
    fn a_url_without_a_scheme_is_refused() {
        for url in ["", "h", "a:h", "a:/h", "://h", "1a://h", "é://h", "u:p@h/d?x=://"] {
            let message = StoreUrl::parse(url).unwrap_err().to_string();
            assert_eq!(message, "invalid url: does not begin with a scheme and ://");
        }
    }

    #[test]
    fn what_should_be_encoded_is_refused() {
        for url in ["a://u:p/w@h", "a://u:p@w@h", "a://u@h/d/e", "a://h/d@e"] {
            let message = StoreUrl::parse(url).unwrap_err().to_string();
            assert_eq!(message, "invalid url: has an @ or a / that is not percent-encoded");
        }
        for url in ["a://%FF@h", "a://u:%FF@h", "a://h/%FF", "a://h?x=%FF"] {
            let message = StoreUrl::parse(url).unwrap_err().to_string();
            assert_eq!(message, "invalid url: is not UTF-8 after percent-decoding");
        }
    }

    #[test]
    fn durations_are_whole_and_timeouts_are_bounded() {
        let timeout = |text| parse_duration("t", text).and_then(|it| check_timeout("t", it));
        assert_eq!(timeout("1ms").unwrap(), Duration::from_millis(1));
        assert_eq!(timeout("3600s").unwrap(), Duration::from_secs(3600));
        for text in ["0ms", "0s", "3601s", "3600001ms"] {
            let message = timeout(text).unwrap_err().to_string();
            assert_eq!(message, "invalid t: is not within 1ms to 3600s");
        }
        for text in ["", "s", "ms", "2", "1m", "1.5s", "-1s", "4294967296s", "2 s"] {
            let message = timeout(text).unwrap_err().to_string();
            assert_eq!(message, "invalid t: is not a duration such as 500ms or 2s");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(
            [user, password, name, path, value] in prop::array::uniform5(any::<String>()),
            port in 1..=u16::MAX,
        ) {
            prop_assume!(!name.starts_with('[') && !name.is_empty());
            let [u, p, n, d, v] = [&user, &password, &name, &path, &value].map(|it| encoded(it));
            let url = parsed(&format!("a://{u}:{p}@{n}:{port},{n}:{port}/{d}?x={v}&y&x={v}"));
            prop_assert_eq!(url.user().unwrap_or_default(), user);
            prop_assert_eq!(url.password(), Some(&Secret::new(password)));
            let host = Host { name, port: Some(port) };
            prop_assert_eq!(url.hosts(), [host.clone(), host]);
            prop_assert_eq!(url.path(), path);
            let x = ("x".to_owned(), value);
            prop_assert_eq!(url.parameters(), [x.clone(), ("y".to_owned(), String::new()), x]);
        }

        #[test]
        fn any_text_is_taken_or_refused(text in any::<String>(), scheme in "(a://)?") {
            let _ = StoreUrl::parse(&format!("{scheme}{text}"));
            let _ = parse_duration("t", &text);
        }

        #[test]
        fn a_password_is_repeated_by_nothing(
            before in "([aé]?://)?[aé1:/@?&=%,\\[\\]]{0,8}:?",
            after in "@?[aé1:/@?&=%,\\[\\]]{0,8}(%FF)?",
        ) {
            let parsed = StoreUrl::parse(&format!("{before}hunter2{after}"));
            if let Ok(url) = &parsed {
                let password = url.password().map(Secret::expose);
                let hidden = format!("{password:?} {:?}", url.parameters());
                // In any other place it is no password.
                prop_assume!(hidden.contains("hunter2"));
            }
            let error = parsed.as_ref().err().map(ToString::to_string);
            let shown = format!("{parsed:?} {parsed:#?} {error:?}");
            prop_assert!(!shown.contains("hunter2"), "{}", shown);
        }
    }
}
