//! Session tokens, deadlines and idempotency keys in headers.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::HeaderValue;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use rsvp_core::{Deadline, Error, ReadOptions, Result, SessionToken, WriteOptions};
use tokio::time::Instant;
use utoipa::IntoParams;

use crate::Api;
use crate::problem::Problem;

pub(crate) const SESSION_HEADER: &str = "rsvp-session";
const IDEMPOTENCY_HEADER: &str = "idempotency-key";

#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Session {
    /// The token of the last write of this session. The answer shows at least the writes behind it.
    /// The token of a write includes it.
    #[param(rename = "RSVP-Session", value_type = String, required = false, max_length = 8192, pattern = r"^r1(\.[0-9a-fA-F]{1,16}-[0-9a-fA-F]{1,16})*$")]
    pub(crate) token: Option<SessionToken>,
}

impl Session {
    pub(crate) fn read_or(self, default: ReadOptions) -> ReadOptions {
        self.token.map_or(default, ReadOptions::session)
    }

    /// Returns the header of an answer, with the token of a write and the token of this session.
    /// The text of a token is always a legal value.
    pub(crate) fn header(&self, mut token: SessionToken) -> Option<HeaderValue> {
        if let Some(own) = &self.token {
            token.merge(own);
        }
        HeaderValue::try_from(token.to_string()).ok()
    }
}

/// The deadline of a request.
#[derive(Clone, Copy, Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct TimeLimit {
    /// The longest time to wait for the answer. It is a number of seconds from 0.1 on, as `2` and
    /// `1.5s`, or a whole number of milliseconds as `250ms`. Work begins only within this time.
    #[param(rename = "Request-Timeout", value_type = String, required = false, pattern = r"^((0\.[1-9][0-9]{0,8}|[1-9][0-9]{0,8}(\.[0-9]{1,9})?)s?|[1-9][0-9]{0,8}ms)$")]
    deadline: Deadline,
}

impl TimeLimit {
    pub(crate) fn read(self, options: ReadOptions) -> ReadOptions {
        options.with_deadline(self.deadline)
    }

    pub(crate) fn write(self) -> WriteOptions {
        WriteOptions::default().with_deadline(self.deadline)
    }

    /// Returns the moment of the deadline.
    #[must_use]
    pub(crate) fn instant(self) -> Instant {
        self.deadline.instant()
    }

    /// Returns whether the client has given up.
    pub(crate) fn has_passed(self) -> bool {
        self.deadline.has_passed()
    }
}

/// The key of a kept answer to a POST.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// A name for this request and its repetitions, chosen by the client. Within some minutes, a
    /// repetition to the same instance gets the answer of the first request.
    #[param(rename = "Idempotency-Key", value_type = String, required = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    pub(crate) key: Option<String>,
}

/// Returns the only value of a header.
///
/// Two values are an error, because a client may have added one beside the value of the gateway.
pub(crate) fn only_header<'a>(
    headers: &'a HeaderMap,
    name: &str,
    field: &'static str,
) -> Result<Option<&'a HeaderValue>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => {
            Err(Error::invalid_input(field, format!("is specified more than once ({name})")))
        }
    }
}

fn session(parts: &Parts) -> Result<Session> {
    let value = only_header(&parts.headers, SESSION_HEADER, "session_token")?;
    // Bytes other than UTF-8 become a character that no token has.
    let token = value.map(|value| String::from_utf8_lossy(value.as_bytes()).parse());
    Ok(Session { token: token.transpose()? })
}

/// Returns the time-out of the client, within the limit of the host.
fn time_limit(parts: &Parts, header: &HeaderName, longest: Duration) -> Result<TimeLimit> {
    let value = only_header(&parts.headers, header.as_str(), "request_timeout")?;
    let asked = match value {
        Some(value) => {
            let text = value.to_str().unwrap_or_default();
            // Envoy's header has its unit in its name.
            let is_milliseconds = header.as_str().ends_with("-ms");
            parse_timeout(text, is_milliseconds).ok_or_else(not_a_timeout)?
        }
        None => longest,
    };
    Ok(TimeLimit { deadline: Deadline::after(asked.min(longest)) })
}

fn not_a_timeout() -> Error {
    let reason =
        "is not a number of seconds from 0.1 on, such as 2 or 1.5s, nor milliseconds as 50ms";
    Error::invalid_input("request_timeout", reason)
}

/// Parses a number of seconds of at least 0.1, or a whole number of milliseconds.
///
/// It accepts the documented syntax of `TimeLimit` only.
/// `f64::from_str` would also accept `inf`, signs and exponents.
fn parse_timeout(text: &str, is_milliseconds: bool) -> Option<Duration> {
    // Nine digits fit into every number type here, so a longer number is refused, not rounded.
    let digits = |part: &str| {
        (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let milliseconds = text.strip_suffix("ms").or(is_milliseconds.then_some(text));
    if let Some(number) = milliseconds {
        let legal = digits(number) && !number.starts_with('0');
        return legal.then(|| number.parse().ok().map(Duration::from_millis))?;
    }
    let number = text.strip_suffix('s').unwrap_or(text);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let legal = digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'));
    let seconds: f64 = legal.then(|| number.parse().ok())??;
    (seconds >= 0.1).then(|| Duration::try_from_secs_f64(seconds).ok())?
}

fn idempotency_key(parts: &Parts) -> Result<IdempotencyKey> {
    let value = only_header(&parts.headers, IDEMPOTENCY_HEADER, "idempotency_key")?;
    let Some(value) = value else { return Ok(IdempotencyKey { key: None }) };
    let visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
    match value.to_str() {
        Ok(key) if visible && (1..=255).contains(&key.len()) => {
            Ok(IdempotencyKey { key: Some(key.to_owned()) })
        }
        _ => {
            let reason = "is not 1 to 255 visible ASCII characters";
            Err(Error::invalid_input("idempotency_key", reason))
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(session(parts)?)
    }
}

impl FromRequestParts<Api> for TimeLimit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let config = api.config();
        Ok(time_limit(parts, &config.timeout_header, config.longest_call)?)
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(idempotency_key(parts)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_seconds_unless_its_unit_says_otherwise() {
        for (text, milliseconds) in
            [("2", 2000), ("2s", 2000), ("0.25", 250), ("0.1s", 100), ("250ms", 250), ("1ms", 1)]
        {
            let parsed = parse_timeout(text, false).map(|time| time.as_millis());
            assert_eq!(parsed, Some(milliseconds), "{text}");
        }
        assert_eq!(parse_timeout("300", true), Some(Duration::from_millis(300)));
        for wrong in [
            "",
            "s",
            "ms",
            "-1",
            "+1",
            "1e3",
            "inf",
            "NaN",
            ".5",
            "1.",
            "1 s",
            "1m",
            "0",
            "0.05",
            "01",
            "00.5",
            "1.5ms",
            "0ms",
            "1234567890",
        ] {
            assert_eq!(parse_timeout(wrong, false), None, "{wrong}");
        }
    }
}
