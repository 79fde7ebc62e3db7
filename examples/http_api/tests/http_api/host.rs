//! The apps of `examples/axum.rs` and `examples/axum_nested.rs`, used by an ordinary HTTP client.

use nix::sys::signal::Signal;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::service::{Service, example};

async fn log_in(client: &Client, app: &str, name: &str) -> String {
    let answer = client.post(format!("{app}/login")).body(name.to_owned()).send().await.unwrap();
    answer.text().await.unwrap()
}

#[tokio::test]
async fn a_host_nests_the_routes_behind_its_own_authentication() {
    let mut service = Service::start_with(example("axum_nested").arg("127.0.0.1:0"));
    let (client, app) = (Client::new(), format!("http://{}", service.address));
    let (ada, jose) = (log_in(&client, &app, "ada").await, log_in(&client, &app, "José 🎉").await);
    let greeting = client.get(&app).bearer_auth(&jose).send().await.unwrap();
    assert_eq!(greeting.text().await.unwrap(), "Hello, José 🎉!");

    // 1. The app tells who writes, whatever the id is.
    let rsvp = format!("{app}/rsvp/events/101a/rsvp");
    let refused = client.post(&rsvp).header("X-User-Id", "ada").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.json::<Value>().await.unwrap()["detail"], "log in first");
    for token in [&ada, &jose] {
        let answer = client.post(&rsvp).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
    }
    let own = format!("{app}/rsvp/events/102/users/José 🎉");
    assert_eq!(client.put(&own).bearer_auth(&ada).send().await.unwrap().status(), 403);
    assert_eq!(client.put(&own).bearer_auth(&jose).send().await.unwrap().status(), 201);

    // 2. Batches and reads.
    let writes = json!({"writes": [
        {"action": "cancel", "event_id": "101a", "user_id": "ada"},
        {"action": "cancel", "event_id": "101a", "user_id": "José 🎉"},
    ]});
    let batch = client.post(format!("{app}/rsvp/writes")).bearer_auth(&ada).json(&writes);
    let results: Value = batch.send().await.unwrap().json().await.unwrap();
    assert_eq!(results["results"][0]["outcome"], "applied");
    assert_eq!(results["results"][1]["problem"]["status"], 403);
    let events = client.get(format!("{app}/rsvp/users/José 🎉/events")).send().await.unwrap();
    let events: Value = events.json().await.unwrap();
    assert_eq!(events["items"].as_array().unwrap().len(), 2);

    service.signal(Signal::SIGTERM);
    assert!(service.end().await.success());
}

#[tokio::test]
async fn an_app_has_the_verbs_as_routes_of_its_own() {
    let mut service = Service::start_with(example("axum").arg("127.0.0.1:0"));
    let (client, app) = (Client::new(), format!("http://{}", service.address));
    let rsvp = format!("{app}/events/101a/users/José 🎉");
    let put = |url: String| client.put(url).send();
    assert_eq!(put(rsvp.clone()).await.unwrap().text().await.unwrap(), "\"applied\"");
    assert_eq!(put(rsvp.clone()).await.unwrap().text().await.unwrap(), "\"unchanged\"");
    assert_eq!(client.get(&rsvp).send().await.unwrap().text().await.unwrap(), "true");
    let count = client.get(format!("{app}/events/101a/rsvp_count")).send().await.unwrap();
    assert_eq!(count.text().await.unwrap(), "1");
    let cancel = client.delete(&rsvp).send().await.unwrap();
    assert_eq!(cancel.text().await.unwrap(), "\"applied\"");
    let illegal = put(format!("{app}/events/101a/users/%00")).await.unwrap();
    assert_eq!(illegal.status(), StatusCode::BAD_REQUEST);

    // A terminal and an orchestrator end it in order, and the store is closed.
    service.signal(Signal::SIGINT);
    assert!(service.end().await.success());
    let mut service = Service::start_with(example("axum").arg("127.0.0.1:0"));
    service.signal(Signal::SIGTERM);
    assert!(service.end().await.success());
}

#[test]
fn the_readme_shows_a_part_of_the_app() {
    let (readme, app) = (include_str!("../../../../README.md"), include_str!("../../../axum.rs"));
    let (_, fragment) = readme.split_once("```rust,ignore\n").unwrap();
    let (fragment, _) = fragment.split_once("```").unwrap();
    // The README leaves out the verbs that look alike.
    for item in fragment.trim().split("\n\n") {
        assert!(app.contains(item), "not in examples/axum.rs:\n{item}");
    }
}
