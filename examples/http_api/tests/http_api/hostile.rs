//! Many clients that do nothing good, and how the others fare.

use std::time::Duration;

use hyper::Method;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::raw;
use crate::service::{Service, command};
use crate::steady::{Answered, Steady};
use rsvp_load::check::Client;

const RATE: u32 = 200;

/// The connections that never read, and the users in the lists that they ask for. A service that is not
/// optimised would be busy with more lists for as long as the test takes; `RSVP_HOSTILE=all` sends all.
fn deaf_clients() -> (usize, usize) {
    let all = !cfg!(debug_assertions) || std::env::var_os("RSVP_HOSTILE").is_some();
    if all { (200, 10_000) } else { (20, 2000) }
}

/// A load of some seconds.
async fn load(service: &Service, seconds: u64) -> Answered {
    let load = Steady::start(&service.address, RATE);
    sleep(Duration::from_secs(seconds)).await;
    load.stop().await
}

/// The memory that the process holds, in MiB.
fn resident(service: &Service) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<usize>().unwrap() / 1024
}

/// Many users with long ids come to one event.
async fn crowd(service: &Service, users: usize) {
    let mut client = Client::connect(&service.address).await.unwrap();
    for user in 0..users {
        let id = format!("{user:0>200}");
        let path = format!("/events/crowd/users/{id}");
        let answer = client.send(Method::PUT, &path, &[]).await.unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let count = client.send(Method::GET, "/events/crowd/rsvp_count", &[]).await.unwrap();
    assert_eq!(count.json["count"], json!(users));
}

#[tokio::test]
#[ignore = "compares latencies, so it wants the machine for itself: cargo test --release -p rsvp-http-api -- --ignored hostile"]
async fn others_are_served_beside_hostile_clients() {
    let flags = ["--listen", "127.0.0.1:0", "--gateway-decides"];
    let service = Service::start_with(command().args(flags));
    let (deaf_number, users) = deaf_clients();
    crowd(&service, users).await;
    let (before, memory_before) = (load(&service, 4).await, resident(&service));

    // 1. 2,000 send nothing.
    let mut silent = Vec::new();
    for _ in 0..2000 {
        silent.push(TcpStream::connect(&service.address).await.unwrap());
    }
    // 2. Some ask for lists of up to 2 MB, twice, and never read.
    let request = "GET /events/crowd/users?limit=10000 HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2);
    let mut deaf = Vec::new();
    for _ in 0..deaf_number {
        deaf.push(raw::connect(&service.address, &request).await);
    }
    // 3. One sends a byte a second.
    let address = service.address.clone();
    let slow = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        for byte in "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n".as_bytes() {
            raw::send(&mut stream, [*byte]).await;
            sleep(Duration::from_secs(1)).await;
        }
    });
    let (beside, memory) = (load(&service, 8).await, resident(&service));
    slow.abort();
    drop((silent, deaf));

    let [p95_before, p95] = [&before, &beside].map(|answered| answered.percentile(95));
    let number = beside.took.len();
    println!("p95 alone {p95_before:?}, beside hostile clients {p95:?} ({number} requests)");
    println!("memory alone {memory_before} MiB, beside hostile clients {memory} MiB");
    assert_eq!((before.failed.len(), beside.failed.len()), (0, 0), "{:?}", beside.failed.first());
    assert!(memory < 512, "{memory} MiB");
    // Twice as long at most, where nothing else runs; other tests do.
    assert!(p95 < 2 * p95_before + Duration::from_millis(100), "{p95:?}, alone {p95_before:?}");
}
