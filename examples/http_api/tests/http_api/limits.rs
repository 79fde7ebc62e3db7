//! The limits against hostile and broken clients.

use std::process::{Command, Stdio};
use std::time::Duration;

use hyper::StatusCode;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::raw;
use crate::service::{Service, binary, command, get, rsvp};

fn post(event: &str, headers: &str, body: &str) -> String {
    format!(
        "POST /events/{event}/rsvp HTTP/1.1\r\nHost: h\r\nX-User-Id: 1\r\nConnection: close\r\n\
         {headers}\r\n{body}"
    )
}

#[track_caller]
fn assert_status(answer: &str, status: StatusCode) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {} ", status.as_u16())), "{answer}");
    if status.is_client_error() && status != StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}

#[tokio::test]
async fn headers_of_more_than_16_kib_are_431() {
    let service = Service::start();
    let large = format!("X-Large: {}\r\n", "a".repeat(17 * 1024));
    let many = "X-Many: 1\r\n".repeat(1000);
    for headers in [large, many] {
        let answer = raw::exchange(&service.address, post("1", &headers, "")).await;
        assert_status(&answer, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let count = get(&mut service.client().await, "/events/1/rsvp_count").await;
    assert_eq!(count.json["count"], 0);
}

#[tokio::test]
async fn a_body_of_16_kib_is_read_and_ignored() {
    let service = Service::start();
    let body = "a".repeat(16 * 1024);
    let known = post("known", "Content-Length: 16384\r\n", &body);
    let chunked = post("chunked", "Transfer-Encoding: chunked\r\n", &chunk(&body));
    for request in [known, chunked] {
        let answer = raw::exchange(&service.address, request).await;
        assert_status(&answer, StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_larger_body_is_413_and_writes_nothing() {
    let service = Service::start();
    let body = "a".repeat(16 * 1024 + 1);
    let known = post("1", "Content-Length: 16385\r\n", &body);
    let chunked = post("1", "Transfer-Encoding: chunked\r\n", &chunk(&body));
    let huge = post("1", "Transfer-Encoding: chunked\r\n", &chunk(&"a".repeat(1 << 20)));
    let announced = post("1", "Content-Length: 99999999999\r\nExpect: 100-continue\r\n", "");
    for request in [known, chunked, huge, announced] {
        let answer = raw::exchange(&service.address, request).await;
        assert_status(&answer, StatusCode::PAYLOAD_TOO_LARGE);
    }
    let count = get(&mut service.client().await, "/events/1/rsvp_count").await;
    assert_eq!(count.json["count"], 0);
}

fn chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

#[tokio::test]
async fn a_malformed_body_is_400() {
    let service = Service::start();
    let request = post("1", "Transfer-Encoding: chunked\r\n", "not hexadecimal\r\n");
    assert_status(&raw::exchange(&service.address, request).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_slow_client_is_cut_off_and_holds_nobody_up() {
    let listen = ["--listen", "127.0.0.1:0", "--idle-seconds", "2"];
    let service = Service::start_with(command().args(listen));
    let begin = Instant::now();
    let slow_body = post("1", "Content-Length: 100\r\n", "a");
    let slow_body = raw::exchange(&service.address, slow_body);
    let slow_head = raw::exchange(&service.address, "GET /healthz HTTP/1.1\r\nHost");
    let idle = raw::exchange(&service.address, "GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n");
    let others = async {
        let answer = get(&mut service.client().await, "/healthz").await;
        assert_eq!(answer.status, 200);
        assert!(begin.elapsed() < Duration::from_secs(5));
    };
    let (slow_body, _, idle, ()) = tokio::join!(slow_body, slow_head, idle, others);
    assert_status(&slow_body, StatusCode::REQUEST_TIMEOUT);
    assert_status(&idle, StatusCode::OK);
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_a_whole_write_or_none() {
    let service = Service::start();
    let request = |user: usize| {
        format!("POST /events/1/rsvp HTTP/1.1\r\nHost: h\r\nX-User-Id: {user}\r\n\r\n")
    };
    for user in 0..200 {
        drop(raw::connect(&service.address, request(user)).await);
    }
    // Of those who hang up, a busy service may never hear.
    let client = &mut service.client().await;
    assert_eq!(rsvp(client, "1", "200").await.status, StatusCode::CREATED);
    let mut count = 0;
    loop {
        sleep(Duration::from_millis(200)).await;
        let now = get(client, "/events/1/rsvp_count").await.json["count"].as_u64().unwrap();
        if now == count {
            break;
        }
        count = now;
    }
    let attendees = get(client, "/events/1/users?limit=1000").await;
    assert_eq!(attendees.json["items"].as_array().unwrap().len() as u64, count);
    let mut members = 0;
    for user in 0..=200 {
        let rsvped = get(client, &format!("/events/1/users/{user}")).await.json["rsvped"].clone();
        let events = get(client, &format!("/users/{user}/events")).await.json["items"].clone();
        assert_eq!(rsvped, !events.as_array().unwrap().is_empty());
        members += u64::from(rsvped == true);
    }
    assert_eq!(members, count);
}

#[tokio::test]
async fn running_out_of_file_descriptors_is_survived() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 24; exec \"$0\" --listen 127.0.0.1:0"]).arg(binary());
    let mut service = Service::start_with(limited.stderr(Stdio::piped()));
    let mut connections = Vec::new();
    for _ in 0..40 {
        connections.push(TcpStream::connect(&service.address).await.unwrap());
    }
    sleep(Duration::from_millis(300)).await;
    drop(connections);
    assert_eq!(get(&mut service.client().await, "/healthz").await.status, 200);

    service.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(service.end().await.success());
    assert!(service.stderr().contains("cannot accept a connection"));
}
