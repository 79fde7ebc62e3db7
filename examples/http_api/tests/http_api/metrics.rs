//! The metrics for Prometheus, and the dashboard for Grafana.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::raw;
use crate::service::{Service, command, get, rsvp};

/// A service on three shards, with everything in front of them, after some requests.
async fn busy_service() -> Service {
    let store = "a=memory:?observe=a b=memory:?observe=b c=memory:?observe=c \
                 ?coalesce=true&count_cache=5s";
    let service = Service::start_with(command().args([
        "--listen",
        "127.0.0.1:0",
        "--store",
        store,
        "--max-connections",
        "3",
    ]));
    let mut client = service.client().await;
    for n in 0..20 {
        assert_eq!(
            rsvp(&mut client, "somebody's fair", &format!("somebody {n}")).await.status,
            201
        );
        for path in ["rsvp_count", "users/somebody", "users"] {
            let path = format!("/events/somebody%27s%20fair/{path}");
            assert_eq!(get(&mut client, &path).await.status, 200);
        }
    }
    assert_eq!(get(&mut client, "/readyz").await.status, 200);
    // The service ends a connection: more wait than it has room for.
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(tokio::net::TcpStream::connect(&service.address).await.unwrap());
    }
    raw::rest(waiting.remove(0)).await;
    service
}

async fn metrics(service: &Service) -> String {
    let request = "GET /metrics HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n";
    let answer = raw::exchange(&service.address, request).await;
    let (head, metrics) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    metrics.to_owned()
}

/// The value of the sample that has all these labels.
fn sample(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let found = metrics.lines().find(|line| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    });
    let line = found.unwrap_or_else(|| panic!("no {name} with {labels:?} in {metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn calls_are_counted_outside_and_inside() {
    let metrics = metrics(&busy_service().await).await;
    let calls = "rsvp_store_calls_total";
    let ok = r#"result="ok""#;
    let of = |store, operation| sample(&metrics, calls, &[store, operation, ok]);
    assert_eq!(of(r#"store="api""#, r#"operation="write""#), 20.0);
    assert_eq!(of(r#"store="api""#, r#"operation="rsvp_count""#), 20.0);
    let lines = metrics.lines().filter(|line| {
        line.starts_with(calls) && line.contains("rsvp_count") && !line.contains(r#""api""#)
    });
    let inside: f64 =
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert_eq!(inside, 1.0, "one read of one shard, and all others from memory");
    let duration = "rsvp_store_call_duration_seconds";
    let within = |le: &str| {
        let labels = [r#"store="api""#, r#"operation="write""#, le];
        sample(&metrics, &format!("{duration}_bucket"), &labels)
    };
    assert_eq!((within(r#"le="5""#), within(r#"le="+Inf""#)), (20.0, 20.0));
    assert!(!metrics.contains("somebody"), "no id in {metrics}");
}

/// The names of metrics in a query, without functions and labels.
fn names(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| word.starts_with("rsvp_store_") || word.starts_with("rsvp_http_");
    words.filter(is_metric).map(str::to_owned).collect()
}

/// The names of the metrics that the service shows.
fn exported(metrics: &str) -> BTreeSet<&str> {
    let mut there: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    // Recorded from the first failure on.
    there.insert("rsvp_store_entry_failures_total");
    there
}

#[tokio::test]
async fn every_metric_of_the_dashboard_is_there() {
    let metrics = metrics(&busy_service().await).await;
    let there = exported(&metrics);
    let dashboard: Value = serde_json::from_str(include_str!("../../grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<_> = queries.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() >= panels.len(), "{queries:?}");
    let mut shown = BTreeSet::new();
    for query in queries {
        let names = names(query);
        assert!(!names.is_empty(), "{query}");
        for name in names {
            assert!(there.contains(name.as_str()), "{name} of {query} is not in {metrics}");
            shown.insert(name);
        }
    }
    for label in ["store", "operation", "result", "le", "route", "method", "status", "reason"] {
        assert!(metrics.contains(&format!("{label}=\"")), "{label}");
    }
    for name in there.iter().filter(|name| name.starts_with("rsvp_")) {
        let is_shown = shown.contains(*name) || *name == "rsvp_http_request_duration_seconds_sum";
        assert!(is_shown, "{name} is on no panel");
    }
}

#[tokio::test]
async fn every_metric_of_the_alerts_is_there() {
    let metrics = metrics(&busy_service().await).await;
    let (there, alerts) = (exported(&metrics), include_str!("../../alerts.yaml"));
    // An expression is one line, or follows `>-` on two.
    let lines: Vec<_> = alerts.lines().collect();
    let expressions = lines.iter().enumerate().filter(|(_, line)| line.contains("expr:"));
    let mut alerted = 0;
    for (at, line) in expressions {
        let rest = lines.iter().skip(at + 1).take_while(|line| !line.contains(": "));
        let expression: Vec<&str> = std::iter::once(line).chain(rest).copied().collect();
        let names = names(&expression.join(" "));
        assert!(!names.is_empty(), "{line}");
        for name in names {
            assert!(there.contains(name.as_str()), "{name} of {expression:?} is not there");
            alerted += 1;
        }
    }
    assert!(alerted >= 9, "{alerted}");
}

#[tokio::test]
async fn the_buckets_are_those_of_the_library() {
    let metrics = metrics(&busy_service().await).await;
    for le in rsvp_axum::LATENCY_BUCKETS {
        for name in ["rsvp_store_call_duration_seconds", "rsvp_http_request_duration_seconds"] {
            sample(&metrics, &format!("{name}_bucket"), &[&format!("le=\"{le}\"")]);
        }
    }
}

#[tokio::test]
async fn a_client_makes_no_series_of_its_own() {
    let service = Service::start();
    for n in 0..20 {
        let request = format!("MADEUP{n} /zzz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        raw::exchange(&service.address, request).await;
    }
    let metrics = metrics(&service).await;
    assert!(metrics.contains("method=\"other\"") && !metrics.contains("MADEUP"), "{metrics}");
}
