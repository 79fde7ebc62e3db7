//! The user of a request, and the access to the admin routes.

use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rsvp_core::{Error, UserId};

use crate::extract::{only_header, percent_decoded};
use crate::problem::Problem;

pub(crate) const USER_HEADER: &str = "x-user-id";

/// Calls an extractor of the host.
type Hook<T> = dyn for<'a> Fn(&'a mut Parts) -> BoxFuture<'a, Result<T, Response>> + Send + Sync;

/// The source of the user of a request.
///
/// Defaults to the header `X-User-Id`. A gateway must authenticate the user and set this header.
/// Do not expose a service with this identity without such a gateway.
///
/// ```
/// use rsvp_axum::{Config, Identity};
///
/// // Behind a gateway that percent-encodes the id:
/// let config = Config::default().with_identity(Identity::percent_encoded_header());
/// ```
#[derive(Clone)]
pub struct Identity {
    hook: Arc<Hook<UserId>>,
    /// The coding of the header `X-User-Id`, or `None` if it is not read.
    pub(crate) header: Option<HeaderCoding>,
}

/// The coding of an id in the header `X-User-Id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderCoding {
    /// The bytes of the id.
    Bytes,
    /// Percent-encoded. Any client can send any id this way.
    Percent,
}

impl Identity {
    /// Takes the bytes of the header `X-User-Id`.
    ///
    /// Ordinary HTTP clients send header values as Latin-1,
    /// so they can send ids of ASCII characters only. Spaces around the value are not part of it.
    #[must_use]
    pub fn header() -> Self {
        Self::of_header(HeaderCoding::Bytes)
    }

    /// Takes the percent-encoded header `X-User-Id`.
    ///
    /// Any client can send any id this way. A `%` must be sent as `%25`.
    #[must_use]
    pub fn percent_encoded_header() -> Self {
        Self::of_header(HeaderCoding::Percent)
    }

    /// Takes the user from an extractor of the host, such as the claims of a JWT or a session.
    ///
    /// The extractor gets `state`. If it rejects a request, its rejection is the answer.
    ///
    /// ```
    /// use axum::extract::FromRequestParts;
    /// use axum::http::{StatusCode, request::Parts};
    /// use rsvp_axum::{Config, Identity};
    /// use rsvp_core::UserId;
    ///
    /// struct Member(UserId);
    ///
    /// impl From<Member> for UserId {
    ///     fn from(member: Member) -> Self {
    ///         member.0
    ///     }
    /// }
    ///
    /// impl<S: Sync> FromRequestParts<S> for Member {
    ///     type Rejection = StatusCode;
    ///
    ///     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
    ///         // The host's own middleware has put the id there.
    ///         let id = parts.extensions.get::<UserId>().cloned();
    ///         id.map(Member).ok_or(StatusCode::UNAUTHORIZED)
    ///     }
    /// }
    ///
    /// let config = Config::default().with_identity(Identity::extractor::<Member, ()>(()));
    /// ```
    #[must_use]
    pub fn extractor<T, S>(state: S) -> Self
    where
        T: FromRequestParts<S> + Into<UserId> + Send + 'static,
        S: Send + Sync + 'static,
    {
        Self { hook: extractor::<T, S, UserId>(state, T::into), header: None }
    }

    fn of_header(coding: HeaderCoding) -> Self {
        let hook: Arc<Hook<UserId>> = Arc::new(move |parts: &mut Parts| {
            let user = from_header(parts, coding);
            let user = user.map_err(|error| Problem::from(error).into_response());
            std::future::ready(user).boxed()
        });
        Self { hook, header: Some(coding) }
    }

    /// Returns the user of a request.
    pub(crate) async fn of(&self, parts: &mut Parts) -> Result<UserId, Response> {
        (self.hook)(parts).await
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::header()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("header", &self.header).finish_non_exhaustive()
    }
}

fn from_header(parts: &Parts, coding: HeaderCoding) -> rsvp_core::Result<UserId> {
    let value = only_header(&parts.headers, USER_HEADER, "user_id")?;
    let value =
        value.ok_or_else(|| Error::invalid_input("user_id", "is missing (header X-User-Id)"))?;
    match coding {
        HeaderCoding::Bytes => UserId::from_utf8(value.as_bytes()),
        HeaderCoding::Percent => UserId::from_utf8(&percent_decoded("user_id", value.as_bytes())?),
    }
}

/// Turns an extractor into a hook.
fn extractor<T, S, U>(state: S, into: fn(T) -> U) -> Arc<Hook<U>>
where
    T: FromRequestParts<S> + Send + 'static,
    S: Send + Sync + 'static,
    U: 'static,
{
    let state = Arc::new(state);
    Arc::new(move |parts: &mut Parts| {
        // The state is shared by all requests, and each request has a future of its own.
        let state = Arc::clone(&state);
        async move {
            let extracted = T::from_request_parts(parts, &state).await;
            extracted.map(into).map_err(IntoResponse::into_response)
        }
        .boxed()
    })
}

/// The access to the admin routes.
///
/// ```
/// use rsvp_axum::AdminAccess;
///
/// let access = AdminAccess::bearer("correct horse battery staple");
/// assert!(!format!("{access:?}").contains("horse"));
/// ```
#[derive(Clone)]
pub struct AdminAccess(Arc<Hook<()>>);

impl AdminAccess {
    /// Accepts every request. Use it on an address for operators only.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::new(|_: &mut Parts| std::future::ready(Ok(())).boxed()))
    }

    /// Accepts requests with `Authorization: Bearer` and this token. Others get 401.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        let expected: Arc<str> = format!("Bearer {}", token.into()).into();
        Self(Arc::new(move |parts: &mut Parts| {
            let given = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
            let known = given.is_some_and(|given| same(given, expected.as_bytes()));
            let refused = || {
                let detail = "the header Authorization has no token of an administrator";
                // RFC 9110 requires a challenge in every 401.
                let challenge = [("www-authenticate", "Bearer")];
                (challenge, Problem::new(StatusCode::UNAUTHORIZED, detail)).into_response()
            };
            std::future::ready(known.then_some(()).ok_or_else(refused)).boxed()
        }))
    }

    /// Accepts the requests of an extractor of the host.
    ///
    /// The extractor gets `state`. If it rejects a request, its rejection is the answer.
    #[must_use]
    pub fn extractor<T, S>(state: S) -> Self
    where
        T: FromRequestParts<S> + Send + 'static,
        S: Send + Sync + 'static,
    {
        Self(extractor::<T, S, ()>(state, drop))
    }

    /// Checks the access of a request.
    pub(crate) async fn check(&self, parts: &mut Parts) -> Result<(), Response> {
        (self.0)(parts).await
    }
}

impl fmt::Debug for AdminAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminAccess").finish_non_exhaustive()
    }
}

/// Compares every byte. Otherwise the time would tell how many bytes of a guess are right.
fn same(one: &[u8], other: &[u8]) -> bool {
    let different = one.iter().zip(other).fold(0, |different, (a, b)| different | (a ^ b));
    one.len() == other.len() && different == 0
}
