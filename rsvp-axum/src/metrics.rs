//! The metrics of the routes and of the connections.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use metrics::{Unit, describe_histogram, histogram};
use tokio::time::Instant;

const DURATION: &str = "rsvp_http_request_duration_seconds";

/// The buckets of all histograms with the suffix `_seconds`.
///
/// The values are the upper ends of the buckets, in seconds. The service levels are among them.
/// The dashboard and the alerts need a recorder with these buckets.
/// Without buckets the exporter for Prometheus creates summaries,
/// and summaries of several instances cannot be aggregated.
pub const LATENCY_BUCKETS: [f64; 12] =
    [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.5, 1.0, 5.0];

pub(crate) fn describe() {
    describe_histogram!(DURATION, Unit::Seconds, "Time to answer a request, by route and status");
}

/// Measures the time of a request by its route. The route has no ids.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("unknown", MatchedPath::as_str).to_owned();
    let method = known(request.method());
    let mut observed = Observed { route, method, status: None, began: Instant::now() };
    let response = next.run(request).await;
    observed.status = Some(response.status().as_u16());
    response
}

/// Returns the name of a known method.
///
/// A client may send any word as a method, and each one would become a series of its own.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// A measured request. It is recorded when it is dropped, also after a disconnect of the client.
struct Observed {
    route: String,
    method: &'static str,
    /// `None` if the client has hung up.
    status: Option<u16>,
    began: Instant,
}

impl Drop for Observed {
    fn drop(&mut self) {
        let status = self.status.map_or("hung_up".to_owned(), |status| status.to_string());
        let labels = [
            ("route", std::mem::take(&mut self.route)),
            ("method", self.method.to_owned()),
            ("status", status),
        ];
        let took: Duration = self.began.elapsed();
        histogram!(DURATION, &labels).record(took.as_secs_f64());
    }
}
