//! The routes in a host's app, behind the host's own authentication.

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use rsvp::UserId;
use rsvp_axum::{Config, Identity, PathUsers};
use serde_json::Value;
use utoipa::openapi::{InfoBuilder, OpenApiBuilder};

use crate::calls::{api, as_user, get, routes, send};

/// The prefix of the tokens that the host has given out.
#[derive(Clone, Debug)]
struct Host(&'static str);

/// A member of the host, by a token.
struct Member(UserId);

impl From<Member> for UserId {
    fn from(member: Member) -> Self {
        member.0
    }
}

impl FromRequestParts<Host> for Member {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, StatusCode> {
        let token = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let name = token.and_then(|token| token.strip_prefix(host.0));
        let id = name.and_then(|name| UserId::new(name).ok());
        id.map(Member).ok_or(StatusCode::UNAUTHORIZED)
    }
}

fn nested(config: Config) -> Router {
    Router::new().nest("/{tenant}/rsvp", routes(config))
}

#[tokio::test]
async fn ids_are_read_behind_any_prefix() {
    let host = nested(Config::default());
    let post = as_user(&host, "a", Method::POST, "/acme/rsvp/events/a%2Fb/rsvp").await;
    assert_eq!((post.status.as_u16(), post.json["event_id"].as_str()), (201, Some("a/b")));
    let put = as_user(&host, "b", Method::PUT, "/acme/rsvp/events/a%2Fb/users/b").await;
    assert_eq!(put.status, 201);
    assert_eq!(get(&host, "/acme/rsvp/events/a%2Fb/rsvp_count").await.json["count"], 2);
    assert_eq!(get(&host, "/acme/rsvp/users/b/events").await.json["items"][0], "a/b");
}

#[tokio::test]
async fn wrong_paths_behind_a_prefix_are_problems_too() {
    let host = nested(Config::default());
    for (method, path, status) in [
        (Method::GET, "/acme/rsvp/nothing", 404),
        (Method::GET, "/acme/rsvp/events//rsvp_count", 400),
        (Method::PATCH, "/acme/rsvp/events/1/rsvp", 405),
    ] {
        let answer = send(&host, method, path, &[], Body::empty()).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
}

#[tokio::test]
async fn the_identity_is_an_extractor_of_the_host() {
    let identity = Identity::extractor::<Member, Host>(Host("Member "));
    let host = nested(Config::default().with_identity(identity));
    let path = "/acme/rsvp/events/101a/rsvp";
    let member = [("authorization", "Member 7")];
    let answer = send(&host, Method::POST, path, &member, Body::empty()).await;
    assert_eq!((answer.status.as_u16(), answer.json["user_id"].as_str()), (201, Some("7")));

    let header = as_user(&host, "7", Method::POST, path).await;
    assert_eq!(header.status, 401, "the default header means nothing");
    let path = "/acme/rsvp/events/101a/users/8";
    let other = send(&host, Method::PUT, path, &member, Body::empty()).await;
    assert_eq!(other.status, 403);
}

#[tokio::test]
async fn the_description_merges_into_that_of_the_host() {
    let identity = Identity::extractor::<Member, Host>(Host("Member "));
    let config = Config::default()
        .with_identity(identity)
        .with_timeout_header("x-envoy-expected-rq-timeout-ms".parse().unwrap())
        .with_max_batch(7);
    let info = InfoBuilder::new().title("Tickets").build();
    let host = OpenApiBuilder::new().info(info).build().nest("/rsvp", api(config).openapi());
    let text = serde_json::to_string(&host).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(document["paths"]["/rsvp/events/{event_id}/rsvp"]["post"].is_object());
    assert!(document["components"]["schemas"]["Problem"].is_object());
    assert!(!text.contains("X-User-Id"), "a header that is not read");
    assert!(!text.contains("Request-Timeout") && text.contains("x-envoy-expected-rq-timeout-ms"));
    let batch = &document["components"]["schemas"]["WriteBatch"]["properties"]["writes"];
    assert_eq!(batch["maxItems"], 7);

    let gateway = Config::default().with_path_users(PathUsers::GatewayDecides);
    let document = serde_json::to_value(api(gateway).openapi()).unwrap();
    let asks = |path: &str, method: &str| {
        document["paths"][path][method]["parameters"].to_string().contains("X-User-Id")
    };
    assert!(asks("/events/{event_id}/rsvp", "post"));
    assert!(!asks("/events/{event_id}/users/{user_id}", "put") && !asks("/writes", "post"));
}
