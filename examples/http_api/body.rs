//! Request bodies, which no route needs and which are bounded in size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::time::timeout;

use crate::problem::Problem;

/// The largest body that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// How long a body may take to arrive.
const DEADLINE: Duration = Duration::from_secs(10);

/// Reads the body of a request, and drops it, before anything else is done.
///
/// Requests in flight thus wait for the store alone, never for their clients.
pub(crate) async fn read(request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if !body.is_end_stream() {
        drain(body).await?;
    }
    Ok(next.run(Request::from_parts(parts, Body::empty())).await)
}

async fn drain(body: Body) -> Result<(), Problem> {
    // Refused before the client is told to go on sending.
    if usize::try_from(body.size_hint().lower()).is_ok_and(|bytes| bytes <= MAX_BYTES) {
        match timeout(DEADLINE, Limited::new(body, MAX_BYTES).collect()).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if !error.is::<LengthLimitError>() => {
                return Err(Problem::new(StatusCode::BAD_REQUEST, "the body cannot be read"));
            }
            Ok(Err(_)) => {}
            Err(_) => {
                let detail = format!("the body did not come within {DEADLINE:?}");
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
            }
        }
    }
    let detail = format!("the body has more than {MAX_BYTES} bytes");
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
}
