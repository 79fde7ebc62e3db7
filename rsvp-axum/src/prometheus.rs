//! A metrics recorder for Prometheus.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};

use crate::metrics::LATENCY_BUCKETS;

/// The time between two rounds of putting recorded values into buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// Sets [`LATENCY_BUCKETS`] for all histograms with the suffix `_seconds`.
///
/// Use it with a recorder of the host, or with other settings of its own.
///
/// # Errors
///
/// The errors of the builder.
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

/// Records the metrics of the whole process from now on,
/// with regular upkeep on the current runtime.
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
    // Without upkeep, values between two scrapes would stay in memory one by one.
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
