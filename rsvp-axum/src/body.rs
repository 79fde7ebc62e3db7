//! Request bodies, bounded in size and time.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::problem::Problem;

/// The largest body of a request that needs none, in bytes.
const MAX_UNUSED_BYTES: usize = 16 * 1024;
/// The longest time of a body to arrive.
const DEADLINE: Duration = Duration::from_secs(10);

/// Reads and drops the body of a request that needs none, before anything else.
///
/// Then requests in flight wait for the store alone, never for their clients.
pub(crate) async fn drain(request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    read(body, MAX_UNUSED_BYTES).await?;
    Ok(next.run(Request::from_parts(parts, Body::empty())).await)
}

/// Reads a body of at most `max` bytes.
pub(crate) async fn read(body: Body, max: usize) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let too_large = || {
        let detail = format!("the body has more than {max} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    // This check is before the first read, because a read sends `100 Continue` to the client.
    if usize::try_from(body.size_hint().lower()).map_or(true, |bytes| bytes > max) {
        return Err(too_large());
    }
    match timeout(DEADLINE, Limited::new(body, max).collect()).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body cannot be read")),
        Err(_) => {
            let detail = format!("the body did not come within {DEADLINE:?}");
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}
