//! How the service starts and ends.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::raw;
use crate::service::{Service, command};

/// All but the last byte of a write.
const UNFINISHED: &str =
    "POST /events/1/rsvp HTTP/1.1\r\nHost: h\r\nX-User-Id: 1\r\nContent-Length: 2\r\n\r\na";

#[tokio::test]
async fn a_signal_lets_a_request_in_flight_finish() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut service = Service::start();
        let mut in_flight = raw::connect(&service.address, UNFINISHED).await;
        // Answered: the service has this connection, and so the one before it.
        let mut idle =
            raw::connect(&service.address, "GET /users/1/events HTTP/1.1\r\nHost: h\r\n\r\n").await;
        raw::answer(&mut idle).await;

        service.signal(signal);
        assert_eq!(raw::rest(idle).await, "", "an idle connection is closed");
        while TcpStream::connect(&service.address).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
        raw::send(&mut in_flight, "b").await;
        let answer = raw::rest(in_flight).await;
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        assert!(service.end().await.success());
    }
}

#[tokio::test]
async fn a_request_that_never_finishes_does_not_hold_the_end_up_for_ever() {
    let mut command = command();
    command.args(["--listen", "127.0.0.1:0", "--shutdown-seconds", "1"]);
    let mut service = Service::start_with(command.stderr(Stdio::piped()));
    let _in_flight = raw::connect(&service.address, UNFINISHED).await;
    let mut last =
        raw::connect(&service.address, "GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n").await;
    raw::answer(&mut last).await;

    service.signal(Signal::SIGTERM);
    assert_eq!(service.end().await.code(), Some(1));
    assert_eq!(service.stderr(), "stopped: requests were still in flight after 1s\n");
}

#[test]
fn a_wrong_store_url_is_refused_and_never_repeated() {
    for url in ["carrier-pigeon://user:secret@coop", "secret", ""] {
        let output = command().args(["--listen", "127.0.0.1:0", "--store", url]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with("cannot open the store: invalid url"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn an_address_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command().args(["--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
}
