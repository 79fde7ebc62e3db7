//! Session tokens in headers.

use hyper::Method;
use rsvp::SessionToken;

use crate::service::{Service, assert_problem, cancel, rsvp};

const READS: [&str; 4] =
    ["/events/1/rsvp_count", "/events/1/users/1", "/events/1/users", "/users/1/events"];

#[tokio::test]
async fn a_write_answers_a_token_that_every_read_accepts() {
    let service = Service::start();
    let client = &mut service.client().await;
    for answer in [rsvp(client, "1", "1").await, cancel(client, "1", "1").await] {
        let token = answer.headers["RSVP-Session"].as_bytes();
        for path in READS {
            let read = client.send(Method::GET, path, &[("RSVP-Session", token)]).await.unwrap();
            assert_eq!(read.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn the_token_of_a_write_includes_the_one_it_was_sent_with() {
    let service = Service::start();
    let client = &mut service.client().await;
    let headers: [(&str, &[u8]); 2] = [("X-User-Id", b"1"), ("RSVP-Session", b"r1.2a-10")];
    let answer = client.send(Method::POST, "/events/1/rsvp", &headers).await.unwrap();
    let token: SessionToken = answer.headers["RSVP-Session"].to_str().unwrap().parse().unwrap();
    assert_eq!(token.position(0x2a), Some(0x10));
}

#[tokio::test]
async fn what_is_no_token_is_400_and_named() {
    let service = Service::start();
    let client = &mut service.client().await;
    let long = format!("r1{}", ".1-1".repeat(2048));
    let wrong: [&[u8]; 5] = [b"", b"r1.zz-1", b"token", b"r1.1-1\xff", long.as_bytes()];
    for token in wrong {
        let headers = [("RSVP-Session", token)];
        for path in READS {
            let answer = client.send(Method::GET, path, &headers).await.unwrap();
            assert_problem(&answer, 400, Some("session_token"));
        }
        let headers = [("X-User-Id", b"1".as_slice()), ("RSVP-Session", token)];
        for method in [Method::POST, Method::DELETE] {
            let answer = client.send(method, "/events/1/rsvp", &headers).await.unwrap();
            assert_problem(&answer, 400, Some("session_token"));
        }
    }
}

#[tokio::test]
async fn two_tokens_are_400() {
    let service = Service::start();
    let client = &mut service.client().await;
    let headers: [(&str, &[u8]); 2] = [("RSVP-Session", b"r1.1-1"), ("RSVP-Session", b"r1.1-1")];
    for path in READS {
        let answer = client.send(Method::GET, path, &headers).await.unwrap();
        assert_problem(&answer, 400, Some("session_token"));
    }
}
