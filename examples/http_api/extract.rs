//! The inputs of the handlers. Each type also documents itself as parameters.

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::HeaderMap;
use axum::http::header::HeaderValue;
use axum::http::request::Parts;
use rsvp::{
    Cursor, Error, EventId, PageLimit, PageRequest, ReadOptions, Result, SessionToken, UserId,
};
use utoipa::IntoParams;

use crate::problem::Problem;

pub(crate) const USER_HEADER: &str = "x-user-id";
pub(crate) const SESSION_HEADER: &str = "rsvp-session";

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct EventPath {
    /// UTF-8, 1 to 255 bytes, no control characters; percent-encoded, `/` too.
    #[param(value_type = String, min_length = 1, max_length = 255)]
    pub(crate) event_id: EventId,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct UserPath {
    /// UTF-8, 1 to 255 bytes, no control characters; percent-encoded, `/` too.
    #[param(value_type = String, min_length = 1, max_length = 255)]
    pub(crate) user_id: UserId,
}

/// The user of the request, authenticated by the gateway.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Caller {
    /// The id's bytes as they are: UTF-8, 1 to 255 bytes, no control characters. HTTP strips
    /// spaces around a header's value, so ids must not begin or end with one here.
    #[param(rename = "X-User-Id", value_type = String, min_length = 1, max_length = 255)]
    pub(crate) user_id: UserId,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Session {
    /// The token that the last write of this session returned. The answer shows at least the
    /// writes behind it. A write returns a token that includes it.
    #[param(rename = "RSVP-Session", value_type = Option<String>)]
    pub(crate) token: Option<SessionToken>,
}

impl Session {
    pub(crate) fn read_or(self, default: ReadOptions) -> ReadOptions {
        self.token.map_or(default, ReadOptions::session)
    }
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The most items of the page.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 10000, default = 100)]
    limit: PageLimit,
    /// The `next_cursor` of the page before. Without it, or with an empty one: the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

impl PageQuery {
    const DEFAULT_LIMIT: usize = 100;

    pub(crate) fn request(self, session: Session) -> PageRequest {
        let options = session.read_or(ReadOptions::strong());
        PageRequest::new(options).with_limit(self.limit).with_cursor(self.cursor)
    }

    fn parse(query: &str) -> Result<Self> {
        let (mut limit, mut cursor) = (None, None);
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (field, slot) = match name {
                "limit" => ("limit", &mut limit),
                "cursor" => ("cursor", &mut cursor),
                _ => continue,
            };
            let value = String::from_utf8_lossy(&percent_decoded(field, value)?).into_owned();
            if slot.replace(value).is_some() {
                return Err(Error::invalid_input(field, "is specified more than once"));
            }
        }
        let limit =
            limit.map_or_else(|| PageLimit::new(Self::DEFAULT_LIMIT), |text| parse_limit(&text));
        let cursor = cursor.filter(|text| !text.is_empty()).map(|text| text.parse()).transpose();
        Ok(Self { limit: limit?, cursor: cursor? })
    }
}

/// `usize::from_str` would also take a plus sign.
fn parse_limit(text: &str) -> Result<PageLimit> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(limit) if digits => PageLimit::new(limit),
        // Too many digits for a `usize` are too many for a limit.
        _ if digits && !text.is_empty() => PageLimit::new(usize::MAX),
        _ => Err(Error::invalid_input("limit", "is not a number")),
    }
}

/// The only value of a header. Taking one of two could be taking the one that the gateway did
/// not set.
fn only_header<'a>(
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

/// The bytes of the path where the route has `{name}`.
///
/// Axum's own extractors decode leniently: they leave `%zz` as it is.
fn path_bytes(parts: &Parts, name: &'static str) -> Result<Vec<u8>> {
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let mut segments = route.split('/').zip(parts.uri.path().split('/'));
    let raw = segments.find(|(expected, _)| placeholder(expected) == Some(name));
    percent_decoded(name, raw.map_or("", |(_, raw)| raw))
}

/// `name` of a route's segment `{name}`.
pub(crate) fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn percent_decoded(field: &'static str, text: &str) -> Result<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let (high, low) = (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit));
            let malformed =
                || Error::invalid_input(field, "has a `%` without two hexadecimal digits");
            high.zip(low).map(|(high, low)| high << 4 | low).ok_or_else(malformed)?
        } else {
            byte
        });
    }
    Ok(decoded)
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn event(parts: &Parts) -> Result<EventPath> {
    let event_id = EventId::from_utf8(&path_bytes(parts, "event_id")?)?;
    Ok(EventPath { event_id })
}

fn user(parts: &Parts) -> Result<UserPath> {
    let user_id = UserId::from_utf8(&path_bytes(parts, "user_id")?)?;
    Ok(UserPath { user_id })
}

fn caller(parts: &Parts) -> Result<Caller> {
    let value = only_header(&parts.headers, USER_HEADER, "user_id")?;
    let value =
        value.ok_or_else(|| Error::invalid_input("user_id", "is missing (header X-User-Id)"))?;
    Ok(Caller { user_id: UserId::from_utf8(value.as_bytes())? })
}

fn session(parts: &Parts) -> Result<Session> {
    let value = only_header(&parts.headers, SESSION_HEADER, "session_token")?;
    // What is not UTF-8 becomes a character that no token has.
    let token = value.map(|value| String::from_utf8_lossy(value.as_bytes()).parse());
    Ok(Session { token: token.transpose()? })
}

fn page(parts: &Parts) -> Result<PageQuery> {
    PageQuery::parse(parts.uri.query().unwrap_or_default())
}

macro_rules! extractor {
    ($type:ty, $from:path) => {
        impl<S: Sync> FromRequestParts<S> for $type {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                Ok($from(parts)?)
            }
        }
    };
}

extractor!(EventPath, event);
extractor!(UserPath, user);
extractor!(Caller, caller);
extractor!(Session, session);
extractor!(PageQuery, page);
