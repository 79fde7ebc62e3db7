//! Runs of every scenario on memory, and their summaries.

use std::sync::Arc;
use std::time::Duration;

use rsvp_load::{Load, Measured, Plan, Scenario, Stop, StoreTarget, Summary};
use serde_json::{Value, json};

async fn load(plan: &Plan) -> Load {
    let store = rsvp::open("memory:").await.unwrap();
    Load::new(Arc::new(StoreTarget::new(store)), plan.clone())
}

async fn run(plan: &Plan) -> Measured {
    load(plan).await.run().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_in_both_loops_is_free_of_errors_and_misses_on_memory() {
    for scenario in Scenario::ALL {
        for rate in [None, Some(2_000.0)] {
            let plan = Plan::new(scenario, Duration::from_millis(400)).with_rate(rate);
            let measured = run(&plan).await;
            let wrong = (measured.failed(), measured.read_your_writes_misses);
            assert_eq!(wrong, (0, 0), "{scenario} at {rate:?}: {:?}", measured.messages);
            assert!(measured.messages.is_empty(), "{:?}", measured.messages);
            assert!(measured.completed() > 100, "{scenario} at {rate:?}");
            assert!(measured.max_count_staleness.is_zero(), "{scenario} at {rate:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_leaves_nothing_behind() {
    use futures_util::TryStreamExt;
    use rsvp::RsvpStoreExt;

    let store = rsvp::open("memory:").await.unwrap();
    let target = Arc::new(StoreTarget::new(store.clone()));
    let plan = Plan::new(Scenario::TicketDrop, Duration::from_millis(300));
    Load::new(target, plan).run().await.unwrap();
    assert_eq!(store.scan().try_collect::<Vec<_>>().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_summary_has_the_documented_fields() {
    let plan = Plan::new(Scenario::Steady, Duration::from_millis(300)).with_rate(Some(1_000.0));
    let summary = Summary::new("memory", &plan, &run(&plan).await);
    let json = serde_json::to_value(&summary).unwrap();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    for key in ["scenario", "store", "callers", "rate", "seconds", "saturated", "operations", "slo"]
    {
        assert!(keys(&json).iter().any(|name| name == key), "{key} in {json}");
    }
    assert_eq!(json["scenario"], json!("steady"));
    assert_eq!(json["rate"], json!(1000.0));
    assert_eq!(json["read_your_writes_misses"], json!(0));
    assert_eq!(json["max_count_staleness_ms"], json!(0.0));
    assert_eq!(keys(&json["operations"]), ["cancel", "has_rsvped", "rsvp", "rsvp_count"]);
    let mut fields = keys(&json["operations"]["has_rsvped"]);
    fields.sort();
    let expected =
        ["completed", "errors", "max_us", "p50_us", "p95_us", "p999_us", "p99_us", "per_second"];
    assert_eq!(fields, expected);
    assert!(json["slo"]["met"].is_boolean());
    assert_eq!(json["slo"]["has_rsvped_p95_ms"]["target"], json!(50.0));
    assert!(json["slo"]["has_rsvped_p95_ms"]["measured"].is_number());
    let read: Summary = serde_json::from_value(json).unwrap();
    assert_eq!(read, summary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_run_ends_early_with_its_measurements() {
    let plan = Plan::new(Scenario::Steady, Duration::from_secs(600)).with_rate(Some(500.0));
    let stop = Stop::new();
    let load = load(&plan).await.with_stop(stop.clone()).with_ticks(move |_| stop.stop());
    let measured = load.run().await.unwrap();
    assert!(measured.completed() > 0);
    assert!(measured.elapsed < Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_beyond_any_store_is_reported_as_saturated() {
    let plan = Plan::new(Scenario::Steady, Duration::from_secs(1)).with_rate(Some(1e8));
    assert!(run(&plan).await.saturated);
}
