//! Lists in pages.

use std::collections::BTreeSet;

use crate::service::{Service, assert_problem, get, rsvp};
use rsvp_load::check::Client;

const LISTS: [&str; 2] = ["/events/1/users", "/users/1/events"];

/// User 1 goes to 250 events, and 250 users go to event 1.
async fn crowded() -> (Service, Client) {
    let service = Service::start();
    let mut client = service.client().await;
    for n in 1..=250 {
        rsvp(&mut client, "1", &n.to_string()).await;
        rsvp(&mut client, &n.to_string(), "1").await;
    }
    (service, client)
}

#[tokio::test]
async fn pages_of_any_limit_reach_every_item_once() {
    let (_service, mut client) = crowded().await;
    let everything: BTreeSet<String> = (1..=250).map(|n| n.to_string()).collect();
    for list in LISTS {
        for limit in [1, 7, 100, 249, 250, 251, 10_000] {
            let (mut items, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("{list}?limit={limit}&cursor={cursor}");
                let page = get(&mut client, &path).await.json;
                let more: Vec<String> = serde_json::from_value(page["items"].clone()).unwrap();
                assert!(more.len() <= limit, "{} items of {limit}", more.len());
                items.extend(more);
                match page["next_cursor"].as_str() {
                    Some(next) => next.clone_into(&mut cursor),
                    None => break,
                }
            }
            assert_eq!(items.len(), 250, "{list} by {limit}");
            assert_eq!(items.into_iter().collect::<BTreeSet<_>>(), everything);
        }
    }
}

#[tokio::test]
async fn the_limit_is_100_unless_said_otherwise() {
    let (_service, mut client) = crowded().await;
    for list in LISTS {
        for query in
            ["", "?", "?cursor=", "?cursor", "?limit=100", "?limit=%3100", "?x=1&limit=0100"]
        {
            let page = get(&mut client, &format!("{list}{query}")).await;
            assert_eq!(page.json["items"].as_array().unwrap().len(), 100, "{query}");
            assert!(page.json["next_cursor"].is_string(), "{query}");
        }
    }
}

#[tokio::test]
async fn a_wrong_limit_is_400_and_named() {
    let service = Service::start();
    let client = &mut service.client().await;
    for wrong in [
        "limit=0",
        "limit=",
        "limit",
        "limit=-1",
        "limit=+1",
        "limit=1.0",
        "limit=ten",
        "limit=1e2",
        "limit=10001",
        "limit=99999999999999999999999",
        "limit=%FF",
        "limit=%",
        "limit=1&limit=1",
        "limit=%201",
    ] {
        for list in LISTS {
            let answer = get(client, &format!("{list}?{wrong}")).await;
            assert_problem(&answer, 400, Some("limit"));
        }
    }
}

#[tokio::test]
async fn a_wrong_cursor_is_400_and_named() {
    let service = Service::start();
    let client = &mut service.client().await;
    let long = format!("cursor={}", "A".repeat(4097));
    for wrong in [
        "cursor=a",
        "cursor=AAAA",
        "cursor=%00",
        "cursor=%FF",
        "cursor=%",
        "cursor=a%20b",
        "cursor=&cursor=",
        &long,
    ] {
        for list in LISTS {
            let answer = get(client, &format!("{list}?{wrong}")).await;
            assert_problem(&answer, 400, Some("cursor"));
        }
    }
}

#[tokio::test]
async fn the_cursor_of_another_list_is_400() {
    let (_service, mut client) = crowded().await;
    let page = get(&mut client, "/events/1/users?limit=1").await;
    let cursor = page.json["next_cursor"].as_str().unwrap();
    let answer = get(&mut client, &format!("/users/1/events?cursor={cursor}")).await;
    assert_problem(&answer, 400, Some("cursor"));
}

#[tokio::test]
async fn unknown_parameters_are_ignored() {
    let service = Service::start();
    let client = &mut service.client().await;
    for list in LISTS {
        let answer = get(client, &format!("{list}?a=1&a=2&Limit=0&%zz&=&&b")).await;
        assert_eq!(answer.status, 200);
    }
}
