//! A recorder of metrics for Prometheus.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};

use crate::metrics::LATENCY_BUCKETS;

/// How often recorded values are put into buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// Sets [`LATENCY_BUCKETS`] for all histograms whose names end with `_seconds`.
///
/// For a host that has a recorder already, or other settings of its own.
///
/// # Errors
///
/// Those of the builder.
///
/// ```
/// use metrics_exporter_prometheus::PrometheusBuilder;
///
/// let builder = rsvp_axum::prometheus::with_buckets(PrometheusBuilder::new())?;
/// # Ok::<(), metrics_exporter_prometheus::BuildError>(())
/// ```
pub fn with_buckets(builder: PrometheusBuilder) -> Result<PrometheusBuilder, BuildError> {
    let durations = Matcher::Suffix("_seconds".to_owned());
    builder.set_buckets_for_metric(durations, &LATENCY_BUCKETS)
}

/// Records the metrics of the whole process from now on, and keeps them up on the current runtime.
///
/// # Errors
///
/// If the process has a recorder already.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let metrics = rsvp_axum::prometheus::install()?;
/// let config = rsvp_axum::Config::default().with_metrics(move || metrics.render());
/// # Ok(())
/// # }
/// ```
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = with_buckets(PrometheusBuilder::new())?.install_recorder()?;
    let kept_up = handle.clone();
    tokio::spawn(async move {
        let mut ticks = interval(UPKEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            kept_up.run_upkeep();
        }
    });
    Ok(handle)
}
