//! The time-outs and the cap.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rsvp_axum::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use crate::clients::{HEALTH, Running, head, request, rest, send};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_connection_that_sends_nothing_is_closed_after_the_time_for_a_head() {
    let running = Running::start(ServerConfig::default()).await;
    let mut silent = running.connect().await;
    let begin = Instant::now();
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(begin.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_head_of_one_byte_a_second_is_cut_off() {
    let running = Running::start(ServerConfig::default()).await;
    let mut slow = running.connect().await;
    send(&mut slow, HEALTH).await;
    head(&mut slow).await.unwrap();
    sleep(100 * SECOND).await;
    let begin = Instant::now();
    for byte in HEALTH.as_bytes() {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        if let Ok(closed) = timeout(SECOND, head(&mut slow)).await {
            assert_eq!(closed, None, "no answer to half a head");
            break;
        }
    }
    assert_eq!(begin.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_those_of_balancers() {
    let running = Running::start(ServerConfig::default()).await;
    let mut idle = running.connect().await;
    for _ in 0..3 {
        send(&mut idle, HEALTH).await;
        assert!(head(&mut idle).await.unwrap().starts_with("HTTP/1.1 200 "));
        sleep(619 * SECOND).await;
    }
    let begin = Instant::now();
    assert_eq!(head(&mut idle).await, None);
    assert_eq!(begin.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_longer_than_a_connection_may_idle() {
    let running = Running::start(ServerConfig::default()).await;
    let mut stream = running.connect().await;
    send(&mut stream, request("/long").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
    let answer = rest(&mut stream).await;
    assert_eq!(answer.matches("tick").count(), 100, "{answer}");
}

/// How a server ends whose client does not read, and after how long.
async fn end_with_a_deaf_client(read_timeout: Duration) -> (bool, u64) {
    let config = ServerConfig::default().with_drain(Duration::ZERO);
    let running = Running::start(config.with_read_timeout(read_timeout)).await;
    let mut deaf = running.connect().await;
    send(&mut deaf, request("/large")).await;
    // Answered: the server has taken the request before it.
    let mut other = running.connect().await;
    send(&mut other, HEALTH).await;
    head(&mut other).await.unwrap();
    let begin = Instant::now();
    running.stop();
    let ended = running.ended.await.unwrap();
    (ended.is_ok(), begin.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_let_go() {
    assert_eq!(end_with_a_deaf_client(9 * SECOND).await, (true, 9));
    assert_eq!(
        end_with_a_deaf_client(3600 * SECOND).await,
        (false, 30),
        "only that time-out helps"
    );
}

#[tokio::test(start_paused = true)]
async fn the_client_that_has_not_read_for_longest_makes_room_in_memory() {
    // Each answer has 64 MiB, of which the kernel takes a few.
    let running = Running::start(ServerConfig::default().with_max_unread_bytes(160 << 20)).await;
    let mut deaf = Vec::new();
    for _ in 0..3 {
        let mut stream = running.connect().await;
        send(&mut stream, request("/large")).await;
        sleep(SECOND).await;
        deaf.push(stream);
    }
    let begin = Instant::now();
    let lengths =
        [length(&mut deaf[0]).await, length(&mut deaf[1]).await, length(&mut deaf[2]).await];
    let whole = lengths.map(|length| length > 64 << 20);
    assert_eq!(whole, [false, true, true], "{lengths:?}");
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

/// How much of an answer comes.
async fn length(stream: &mut TcpStream) -> usize {
    let (mut buffer, mut length) = (vec![0; 1 << 20], 0);
    while length <= 64 << 20 {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => length += read,
            _ => break,
        }
    }
    length
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_has_waited_longest_makes_room() {
    let running = Running::start(ServerConfig::default().with_max_connections(3)).await;
    let mut idle = running.connect().await;
    send(&mut idle, HEALTH).await;
    head(&mut idle).await.unwrap();
    let mut silent = running.connect().await;
    let mut busy = running.connect().await;
    send(&mut busy, request("/slow")).await;
    sleep(SECOND).await;

    let begin = Instant::now();
    let mut third = running.connect().await;
    send(&mut third, HEALTH).await;
    assert!(head(&mut third).await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(head(&mut idle).await, None);
    let mut fourth = running.connect().await;
    send(&mut fourth, HEALTH).await;
    assert!(head(&mut fourth).await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert!(head(&mut busy).await.unwrap().starts_with("HTTP/1.1 200 "), "it was not idle");
}

#[tokio::test(start_paused = true)]
async fn beyond_the_cap_new_connections_wait_while_all_are_busy() {
    let running = Running::start(ServerConfig::default().with_max_connections(2)).await;
    let mut busy = [running.connect().await, running.connect().await];
    for stream in &mut busy {
        send(stream, request("/slow")).await;
    }
    sleep(SECOND).await;
    let mut third = running.connect().await;
    send(&mut third, HEALTH).await;
    let begin = Instant::now();
    assert!(head(&mut third).await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(begin.elapsed().as_secs(), 19);
}

/// The reason for a server of our own.
#[tokio::test(start_paused = true)]
async fn axum_serve_waits_for_ever_for_a_client_that_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/healthz", get(async || {}));
    tokio::spawn(async { axum::serve(listener, router).await });
    let mut silent = TcpStream::connect(address).await.unwrap();
    let (first, rest) = HEALTH.split_at(10);
    send(&mut silent, first).await;
    sleep(24 * 3600 * SECOND).await;
    send(&mut silent, rest).await;
    assert!(head(&mut silent).await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test(start_paused = true)]
async fn a_route_of_the_host_waits_for_a_body_only_so_long() {
    let running = Running::start(ServerConfig::default()).await;
    let mut stream = running.connect().await;
    let head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf";
    let begin = Instant::now();
    send(&mut stream, head).await;
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!((20..40).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}
