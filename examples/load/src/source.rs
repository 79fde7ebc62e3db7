//! The stores on the command line, and how they are shown.

use std::fmt;
use std::str::FromStr;

/// A parameter whose name contains one of these is not shown.
const SECRET: [&str; 5] = ["pass", "secret", "token", "key", "auth"];

/// A store on the command line: `URL` or `NAME=URL`.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// The name. Defaults to the URL without secrets.
    pub name: String,
    /// The URL with everything that the store needs.
    pub url: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("url", &redacted(&self.url))
            .finish()
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let is_name = |name: &str| !name.is_empty() && !name.contains([':', '/', '?', '@', ' ']);
        let named = text.split_once('=').filter(|(name, url)| {
            // The first of several shards has a name too: `a=memory: b=memory:`.
            let first = url.split_whitespace().next().unwrap_or_default();
            let shards = url.split_whitespace().count() > 1;
            is_name(name)
                && (!shards || first.split_once('=').is_some_and(|(shard, _)| is_name(shard)))
        });
        let (name, url) = named.map_or_else(
            || (redacted(text).trim_end_matches(':').to_owned(), text),
            |(name, url)| (name.to_owned(), url),
        );
        if url.is_empty() {
            return Err("the store has no URL".to_owned());
        }
        Ok(Self { name, url: url.to_owned() })
    }
}

/// A URL, or the URLs of several shards, without passwords and secrets.
#[must_use]
pub fn redacted(text: &str) -> String {
    let urls = text.split_whitespace().map(|url| {
        let (address, query) = url.split_once('?').map_or((url, None), |(a, q)| (a, Some(q)));
        let address = without_password(address);
        match query {
            None => address,
            Some(query) => format!("{address}?{}", without_secrets(query)),
        }
    });
    urls.collect::<Vec<_>>().join(" ")
}

/// `scheme://user:password@host` with stars in the place of the password.
fn without_password(address: &str) -> String {
    let parts = address.split_once("://").and_then(|(scheme, rest)| {
        let (credentials, host) = rest.rsplit_once('@')?;
        Some((scheme, credentials, host))
    });
    let Some((scheme, credentials, host)) = parts else { return address.to_owned() };
    match credentials.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
        None => address.to_owned(),
    }
}

fn without_secrets(query: &str) -> String {
    let parameters = query.split('&').map(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let secret = SECRET.iter().any(|word| lower.contains(word));
        if secret { format!("{name}=***") } else { parameter.to_owned() }
    });
    parameters.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String) {
        let Source { name, url } = text.parse().unwrap();
        (name, url)
    }

    #[test]
    fn a_name_may_come_before_the_url() {
        let plain = "redis://h/1?coalesce=true";
        assert_eq!(parsed(plain), (plain.to_owned(), plain.to_owned()));
        assert_eq!(parsed(&format!("fast={plain}")), ("fast".to_owned(), plain.to_owned()));
    }

    #[test]
    fn shards_have_names_of_their_own() {
        let shards = "a=memory: b*2=memory: ?spread=2";
        assert_eq!(parsed(shards).1, shards);
        assert_eq!(parsed(&format!("both={shards}")), ("both".to_owned(), shards.to_owned()));
    }

    #[test]
    fn no_password_is_shown() {
        for url in [
            "postgres://app:hunter2@db/tickets?coalesce=true",
            "a=postgres://app:hunter2@db/t b=postgres://app:hunter2@e/t ?spread=2",
            "postgres://db/tickets?password=hunter2&migrate=true",
            "redis+sentinel://:hunter2@h/main?sentinel_password=hunter2",
        ] {
            let source: Source = url.parse().unwrap();
            let shown = format!("{} {source:?} {}", source.name, redacted(url));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(redacted("postgres://a:b@h/d?pool_size=4"), "postgres://a:***@h/d?pool_size=4");
    }
}
