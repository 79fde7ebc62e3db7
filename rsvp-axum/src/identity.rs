//! Who a request comes from, and who may use the admin routes.

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

/// Asks an extractor of the host.
type Hook<T> = dyn for<'a> Fn(&'a mut Parts) -> BoxFuture<'a, Result<T, Response>> + Send + Sync;

/// Who a request comes from.
///
/// Defaults to the header `X-User-Id`, which a gateway that has authenticated the user must set. Do not
/// expose a service with this identity without such a gateway.
#[derive(Clone)]
pub struct Identity {
    hook: Arc<Hook<UserId>>,
    /// Whether the header `X-User-Id` is read, and how.
    pub(crate) header: Option<HeaderCoding>,
}

/// How the header `X-User-Id` holds an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderCoding {
    /// The bytes of the id.
    Bytes,
    /// Percent-encoded, so that any client can send any id.
    Percent,
}

impl Identity {
    /// The bytes of the header `X-User-Id`.
    ///
    /// Ordinary HTTP clients send header values as Latin-1, so they can send ids of ASCII characters
    /// only. Spaces around the value are not part of it.
    #[must_use]
    pub fn header() -> Self {
        Self::of_header(HeaderCoding::Bytes)
    }

    /// The header `X-User-Id`, percent-encoded: any client can send any id.
    ///
    /// A `%` must be sent as `%25`.
    #[must_use]
    pub fn percent_encoded_header() -> Self {
        Self::of_header(HeaderCoding::Percent)
    }

    /// An extractor of the host, such as the claims of a JWT or a session, which gets `state`.
    ///
    /// Its rejection is the answer to a request that it does not accept.
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

    /// The user of a request.
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

/// An extractor as a hook.
fn extractor<T, S, U>(state: S, into: fn(T) -> U) -> Arc<Hook<U>>
where
    T: FromRequestParts<S> + Send + 'static,
    S: Send + Sync + 'static,
    U: 'static,
{
    let state = Arc::new(state);
    Arc::new(move |parts: &mut Parts| {
        let state = Arc::clone(&state);
        async move {
            let extracted = T::from_request_parts(parts, &state).await;
            extracted.map(into).map_err(IntoResponse::into_response)
        }
        .boxed()
    })
}

/// Who may use the admin routes.
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
    /// Everyone who reaches the routes: for an address that only operators reach.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::new(|_: &mut Parts| std::future::ready(Ok(())).boxed()))
    }

    /// Those who send `Authorization: Bearer` with this token. Others get 401.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        let expected: Arc<str> = format!("Bearer {}", token.into()).into();
        Self(Arc::new(move |parts: &mut Parts| {
            let given = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
            let known = given.is_some_and(|given| same(given, expected.as_bytes()));
            let refused = || {
                let detail = "the header Authorization has no token of an administrator";
                let challenge = [("www-authenticate", "Bearer")];
                (challenge, Problem::new(StatusCode::UNAUTHORIZED, detail)).into_response()
            };
            std::future::ready(known.then_some(()).ok_or_else(refused)).boxed()
        }))
    }

    /// Those whom an extractor of the host accepts, which gets `state`. Its rejection is the answer
    /// to all others.
    #[must_use]
    pub fn extractor<T, S>(state: S) -> Self
    where
        T: FromRequestParts<S> + Send + 'static,
        S: Send + Sync + 'static,
    {
        Self(extractor::<T, S, ()>(state, drop))
    }

    /// Refuses a request that may not use the admin routes.
    pub(crate) async fn check(&self, parts: &mut Parts) -> Result<(), Response> {
        (self.0)(parts).await
    }
}

impl fmt::Debug for AdminAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminAccess").finish_non_exhaustive()
    }
}

/// Compares every byte, so that the time tells nothing about how much of a guess is right.
fn same(one: &[u8], other: &[u8]) -> bool {
    let different = one.iter().zip(other).fold(0, |different, (a, b)| different | (a ^ b));
    one.len() == other.len() && different == 0
}
