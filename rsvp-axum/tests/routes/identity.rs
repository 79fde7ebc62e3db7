//! Who may write for whom, and with which ids.

use axum::body::Body;
use axum::http::Method;
use rsvp_axum::{Config, Identity, PathUsers};
use serde_json::json;

use crate::calls::{as_user, get, routes, send};

#[tokio::test]
async fn a_user_in_the_path_is_the_user_of_the_request() {
    let routes = routes(Config::default());
    let path = "/events/101a/users/1";
    let put = as_user(&routes, "1", Method::PUT, path).await;
    assert_eq!(put.status, 201);
    assert_eq!(put.json, json!({"event_id": "101a", "user_id": "1", "outcome": "applied"}));
    assert!(put.header("rsvp-session").is_some());
    assert_eq!(as_user(&routes, "1", Method::PUT, path).await.status, 200);
    for method in [Method::PUT, Method::DELETE] {
        let refused = as_user(&routes, "2", method.clone(), path).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json["field"].as_str()),
            (403, Some("user_id"))
        );
        let unknown = send(&routes, method, path, &[], Body::empty()).await;
        assert_eq!(unknown.status, 400, "no identity is not any identity");
    }
    assert_eq!(get(&routes, path).await.json["rsvped"], true, "refused means nothing was done");
    assert_eq!(as_user(&routes, "1", Method::DELETE, path).await.json["outcome"], "applied");
    assert_eq!(get(&routes, path).await.json["rsvped"], false);
}

#[tokio::test]
async fn a_gateway_may_decide_who_writes_for_whom() {
    let config = Config::default().with_path_users(PathUsers::GatewayDecides);
    let routes = routes(config);
    let path = "/events/101a/users/Jos%C3%A9%2F%F0%9F%8E%89";
    for (method, rsvped) in [(Method::PUT, true), (Method::DELETE, false)] {
        let answer = send(&routes, method, path, &[], Body::empty()).await;
        assert_eq!(answer.json["user_id"], "José/🎉");
        assert_eq!(get(&routes, path).await.json["rsvped"], rsvped);
    }
}

#[tokio::test]
async fn a_percent_encoded_header_holds_any_id() {
    let routes = routes(Config::default().with_identity(Identity::percent_encoded_header()));
    for (header, id) in [("Jos%C3%A9", "José"), ("%20x%20", " x "), ("100%25", "100%"), ("1", "1")]
    {
        let answer = as_user(&routes, header, Method::POST, "/events/101a/rsvp").await;
        assert_eq!((answer.status.as_u16(), answer.json["user_id"].as_str()), (201, Some(id)));
    }
    for wrong in ["100%", "%zz", "%00", "%FF", ""] {
        let answer = as_user(&routes, wrong, Method::POST, "/events/101a/rsvp").await;
        assert_eq!((answer.status.as_u16(), answer.json["field"].as_str()), (400, Some("user_id")));
    }
}
