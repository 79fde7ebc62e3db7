//! The page parameters of a list.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use rsvp_core::{Cursor, Error, PageLimit, PageRequest, ReadOptions, Result};
use utoipa::IntoParams;

use super::percent_decoded;
use crate::problem::Problem;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The maximum number of items in the page.
    #[param(value_type = u16, required = false, minimum = 1, maximum = 10000, default = 100)]
    limit: PageLimit,
    /// The `next_cursor` of the page before. The first page needs no cursor, or an empty one.
    #[param(value_type = String, required = false, max_length = 4096)]
    cursor: Option<Cursor>,
}

impl PageQuery {
    const DEFAULT_LIMIT: usize = 100;

    pub(crate) fn request(self, options: ReadOptions) -> PageRequest {
        PageRequest::new(options).with_limit(self.limit).with_cursor(self.cursor)
    }

    fn parse(query: &str) -> Result<Self> {
        let (mut limit, mut cursor) = (None, None);
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (field, slot) = match name {
                "limit" => ("limit", &mut limit),
                "cursor" => ("cursor", &mut cursor),
                // Unknown parameters are ignored, as axum's `Query` does.
                _ => continue,
            };
            let value = percent_decoded(field, value.as_bytes())?;
            let value = String::from_utf8_lossy(&value).into_owned();
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

/// Parses digits only. `usize::from_str` would also accept a plus sign.
fn parse_limit(text: &str) -> Result<PageLimit> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(limit) if digits => PageLimit::new(limit),
        // Too many digits for a `usize` are too many for a limit, and the error must say so.
        _ if digits && !text.is_empty() => PageLimit::new(usize::MAX),
        _ => Err(Error::invalid_input("limit", "is not a number")),
    }
}

impl<S: Sync> FromRequestParts<S> for PageQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default())?)
    }
}
