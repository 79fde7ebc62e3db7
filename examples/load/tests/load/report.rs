//! The report as a file of its own.

use std::sync::Arc;
use std::time::Duration;

use rsvp_load::report::{Run, html};
use rsvp_load::{Environment, Load, Plan, Scenario, StoreTarget, Summary};

/// A run with one by hand, whose store has a name that is not HTML.
async fn report() -> String {
    let plan = Plan::new(Scenario::TicketDrop, Duration::from_millis(600)).with_rate(Some(500.0));
    let store = rsvp::open("memory:").await.unwrap();
    let measured = Load::new(Arc::new(StoreTarget::new(store)), plan.clone()).run().await.unwrap();
    let by_hand = rsvp_load::by_hand::open("memory:").await.unwrap();
    let other = Load::new(by_hand, plan.clone()).run().await.unwrap();
    let summary = Summary::new("<b>&\"", &plan, &measured);
    let summary = summary.with_by_hand(Summary::new("by hand", &plan, &other));
    let runs = [Run { summary, measured, by_hand: Some(other) }];
    let words = ["load", "--store", "postgres://app:hunter2@db/tickets"].map(str::to_owned);
    html(&runs, &plan, &Environment::here(words))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_needs_nothing_from_elsewhere_and_has_no_script() {
    let report = report().await;
    for reference in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!report.contains(reference), "{reference}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_shows_names_as_they_are_and_no_password() {
    let report = report().await;
    assert!(report.contains("&lt;b&gt;&amp;&quot;") && !report.contains("<b>&\""), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_has_each_part_in_its_place() {
    let report = report().await;
    let parts = [
        "class=\"verdicts\"",
        "Service levels",
        "Latency by percentile",
        "class=\"burst\"",
        "p99.9 of all calls over time",
        "Staleness of counts",
        "How this was measured",
        "seed",
    ];
    let places = parts.map(|part| report.find(part).unwrap_or_else(|| panic!("no {part}")));
    assert!(places.is_sorted(), "{places:?}");
    assert!(report.contains("by-hand"), "both are in the same axes");
    for number in ["NaN", "inf"] {
        assert!(!report.contains(number), "{number}");
    }
}
