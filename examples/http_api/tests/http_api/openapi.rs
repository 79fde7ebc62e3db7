//! The OpenAPI description matches the routes.

use serde_json::{Value, json};

use crate::service::{Service, get};

#[tokio::test]
async fn every_endpoint_is_described() {
    let service = Service::start();
    let document = get(&mut service.client().await, "/openapi.json").await.json;
    let mut described: Vec<String> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        described
            .extend(methods.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
    }
    described.sort();
    let expected = [
        "delete /events/{event_id}/rsvp",
        "delete /events/{event_id}/users/{user_id}",
        "get /events/{event_id}/rsvp_count",
        "get /events/{event_id}/users",
        "get /events/{event_id}/users/{user_id}",
        "get /healthz",
        "get /metrics",
        "get /openapi.json",
        "get /readyz",
        "get /users/{user_id}/events",
        "post /events/{event_id}/rsvp",
        "post /memberships",
        "post /rsvp_counts",
        "post /writes",
        "put /events/{event_id}/users/{user_id}",
    ];
    assert_eq!(described, expected);
}

#[tokio::test]
async fn parameters_headers_and_problems_are_described() {
    let service = Service::start();
    let document = get(&mut service.client().await, "/openapi.json").await.json;
    let paths = &document["paths"];
    let rsvp = &paths["/events/{event_id}/rsvp"]["post"];
    assert_eq!(
        parameters(rsvp),
        json!([
            ["event_id", "path", true],
            ["X-User-Id", "header", true],
            ["RSVP-Session", "header", false],
            ["Request-Timeout", "header", false],
            ["Idempotency-Key", "header", false]
        ])
    );
    let list = &paths["/events/{event_id}/users"]["get"];
    assert_eq!(
        parameters(list),
        json!([
            ["event_id", "path", true],
            ["limit", "query", false],
            ["cursor", "query", false],
            ["RSVP-Session", "header", false],
            ["Request-Timeout", "header", false]
        ])
    );
    for status in ["200", "201"] {
        assert!(rsvp["responses"][status]["headers"]["RSVP-Session"].is_object());
    }
    assert!(rsvp["responses"]["503"]["headers"]["Retry-After"].is_object());
    for status in ["400", "408", "413", "500", "503", "504"] {
        let schema =
            &rsvp["responses"][status]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/Problem");
    }
    let written = &document["components"]["schemas"]["Written"];
    assert_eq!(written["required"], json!(["event_id", "user_id", "outcome"]));
    assert!(written["properties"]["repeated"]["description"].is_string());
    let problem = &document["components"]["schemas"]["Problem"];
    for pending in ["effect", "retry_after"] {
        assert!(problem["properties"][pending]["description"].is_string());
    }
    assert_eq!(problem["required"], json!(["type", "title", "status", "detail"]));
}

fn parameters(endpoint: &Value) -> Value {
    let parameters = endpoint["parameters"].as_array().unwrap().iter();
    parameters.map(|p| json!([p["name"], p["in"], p["required"]])).collect()
}
