//! A parsed URL.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::{Host, Parameters, Secret};
use crate::{Error, Result};

/// The parts of a store's URL: `scheme://user:password@host:port,host:port/path?name=value`,
/// or `scheme:path?name=value` for a store without hosts.
///
/// Every part but the scheme may be percent-encoded. Some characters must be:
///
/// - an `@` or a `/` in the user, the password or the path of a URL with hosts
/// - a `?` anywhere before the parameters
/// - a `,` in a host
/// - an `@` in a parameter
///
/// White space at both ends is ignored.
/// `Debug` hides the password, the parameters, and the path of a URL without hosts.
///
/// ```
/// use rsvp_core::url::StoreUrl;
///
/// let url = StoreUrl::parse("postgres://app:secret@db1,db2:5433/rsvp")?;
/// assert_eq!((url.scheme(), url.path(), url.hosts().len()), ("postgres", "rsvp", 2));
/// assert!(!format!("{url:?}").contains("secret"));
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone)]
pub struct StoreUrl {
    scheme: String,
    user: Option<String>,
    password: Option<Secret>,
    hosts: Vec<Host>,
    path: String,
    parameters: Parameters,
}

impl StoreUrl {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `url`. The message never repeats the URL.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url
            .trim()
            .split_once(':')
            .filter(|(scheme, _)| is_scheme(scheme))
            .ok_or_else(|| malformed("does not begin with a scheme and a colon"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parameters = Parameters::parse(query)?;
        let scheme = scheme.to_ascii_lowercase();
        let Some(rest) = rest.strip_prefix("//") else {
            let (user, password, hosts) = Default::default();
            return Ok(Self { scheme, user, password, hosts, path: decoded(rest)?, parameters });
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Without an authority, as in `scheme:///a/b`, a `/` cannot be that of a password.
        let slashes = path.contains('/') && !authority.is_empty();
        if slashes || path.contains('@') || authority.matches('@').count() > 1 {
            return Err(malformed("has an @ or a / that is not percent-encoded"));
        }
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (decoded(user)?, Some(Secret::new(decoded(password)?))),
            None => (decoded(credentials)?, None),
        };
        let hosts: Result<Vec<_>> = hosts.split(',').map(Host::from_str).collect();
        Ok(Self {
            scheme,
            user: Some(user).filter(|user| !user.is_empty()),
            password,
            hosts: hosts.map_err(|_| malformed("has a malformed host"))?,
            path: decoded(path)?,
            parameters,
        })
    }

    /// Returns the scheme, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Returns the user, if the URL names one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns the password, if the URL has one. It is empty if nothing follows the colon.
    #[must_use]
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// Returns the hosts in order.
    /// `scheme://` without a host means `localhost`, and a URL without `//` has no hosts.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Returns the path after the hosts, without its slash, or
    /// after the colon of a URL without hosts. It may be empty.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the parameters, for taking them out.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StoreUrl");
        shown.field("scheme", &self.scheme);
        if !self.hosts.is_empty() {
            shown.field("user", &self.user).field("password", &self.password);
            shown.field("hosts", &self.hosts).field("path", &self.path);
        }
        // A text that is no URL may have a password anywhere else.
        shown.finish_non_exhaustive()
    }
}

pub(super) fn malformed(reason: &str) -> Error {
    Error::invalid_input("url", reason)
}

/// Whether a text is a scheme by RFC 3986.
/// Without this check a whole URL without a scheme, password included, could pass for a scheme.
fn is_scheme(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(legal)
}

pub(super) fn decoded(text: &str) -> Result<String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(String::from).map_err(|_| malformed("is not UTF-8 after percent-decoding"))
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
        for url in ["a://", "a:///", "a://@", "a://?", " a://localhost\n", "a://localhost/?&"] {
            let mut url = parsed(url);
            assert_eq!((url.scheme(), url.user(), url.path()), ("a", None, ""));
            url.parameters_mut().finish().unwrap();
            assert!(url.password().is_none(), "{url:?}");
            assert_eq!(url.hosts(), [Host { name: "localhost".to_owned(), port: None }]);
        }
    }

    #[test]
    fn a_url_without_slashes_has_a_path_and_no_host() {
        let mut url = parsed("sqlite:data/my%20rsvp.db?create=false");
        assert_eq!((url.scheme(), url.path()), ("sqlite", "data/my rsvp.db"));
        assert!(url.hosts().is_empty());
        assert_eq!(url.parameters_mut().take_flag("create").unwrap(), Some(false));
        assert_eq!(parsed("memory:").path(), "");
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
    fn a_malformed_host_is_refused() {
        for host in ["h:0", "[::1", "%FF"] {
            let message = StoreUrl::parse(&format!("a://b,{host}")).unwrap_err().to_string();
            assert_eq!(message, "invalid url: has a malformed host");
        }
    }

    #[test]
    fn a_url_without_a_scheme_is_refused() {
        for url in ["", "h", "://h", "1a://h", "é://h", "u@h:p"] {
            let message = StoreUrl::parse(url).unwrap_err().to_string();
            assert_eq!(message, "invalid url: does not begin with a scheme and a colon");
        }
    }

    #[test]
    fn what_should_be_encoded_is_refused() {
        for url in
            ["a://u:p/w@h", "a://u:p@w@h", "a://u@h/d/e", "a://h/d@e", "a://u:p?w@h", "a:b?c@h"]
        {
            let message = StoreUrl::parse(url).unwrap_err().to_string();
            assert_eq!(message, "invalid url: has an @ or a / that is not percent-encoded");
        }
        for url in ["a://%FF@h", "a://u:%FF@h", "a://h/%FF", "a://h?x=%FF"] {
            let message = StoreUrl::parse(url).unwrap_err().to_string();
            assert_eq!(message, "invalid url: is not UTF-8 after percent-decoding");
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
            let mut url = parsed(&format!("a://{u}:{p}@{n}:{port},{n}:{port}/{d}?x={v}&y&x={v}"));
            prop_assert_eq!(url.user().unwrap_or_default(), user);
            prop_assert_eq!(url.password(), Some(&Secret::new(password)));
            let host = Host { name, port: Some(port) };
            prop_assert_eq!(url.hosts(), [host.clone(), host]);
            prop_assert_eq!(url.path(), path);
            let parameters = url.parameters_mut();
            prop_assert_eq!(parameters.take_all("x"), [value.clone(), value]);
            prop_assert_eq!(parameters.take("y").unwrap(), Some(String::new()));
        }

        #[test]
        fn any_text_is_taken_or_refused(text in any::<String>(), scheme in "(a://)?") {
            let _ = StoreUrl::parse(&format!("{scheme}{text}"));
        }

        #[test]
        fn a_password_is_repeated_by_nothing(
            before in "([aé]?:(//)?)?[aé1:/@?&=%,\\[\\]]{0,8}:?",
            after in "@?[aé1:/@?&=%,\\[\\]]{0,8}(%FF)?",
        ) {
            let parsed = StoreUrl::parse(&format!("{before}hunter2{after}"));
            if let Ok(url) = &parsed {
                let unknown = format!("{:?}", url.parameters.finish());
                prop_assert!(!unknown.contains("hunter2"), "{}", unknown);
                // In these places it is no password.
                let path = if url.hosts().is_empty() { "" } else { url.path() };
                let public = format!("{} {:?} {:?} {path}", url.scheme(), url.user(), url.hosts());
                prop_assume!(!public.contains("hunter2"));
            }
            let error = parsed.as_ref().err().map(ToString::to_string);
            let shown = format!("{parsed:?} {parsed:#?} {error:?}");
            prop_assert!(!shown.contains("hunter2"), "{}", shown);
        }
    }
}
