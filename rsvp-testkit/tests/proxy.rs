//! The proxy between clients and servers.

use std::io::ErrorKind;
use std::time::Duration;

use rsvp_testkit::servers::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

const LIMIT: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_millis(200);

/// A server that answers each byte with one that is `step` greater.
async fn server(step: u8) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(byte) = stream.read_u8().await {
                    if stream.write_u8(byte + step).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap()
}

async fn ask(stream: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
    stream.write_u8(byte).await?;
    timeout(LIMIT, stream.read_u8()).await.expect("an answer in time")
}

#[tokio::test]
async fn it_forwards_both_ways_and_counts() {
    let proxy = Proxy::start(server(1).await).await;
    let (mut one, mut other) = (connect(&proxy).await, connect(&proxy).await);
    assert_eq!(ask(&mut one, 1).await.unwrap(), 2);
    assert_eq!(ask(&mut other, 5).await.unwrap(), 6);
    assert_eq!((proxy.accepted(), proxy.open()), (2, 2));
    drop(one);
    let closed = async {
        while proxy.open() > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, closed).await.unwrap();
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn the_end_of_one_side_reaches_the_other() {
    let proxy = Proxy::start(server(1).await).await;
    let mut stream = connect(&proxy).await;
    stream.write_all(&[1, 2, 3]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answers = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answers)).await.unwrap().unwrap();
    assert_eq!(answers, [2, 3, 4]);
}

#[tokio::test]
async fn much_data_passes_unchanged() {
    let proxy = Proxy::start(server(0).await).await;
    let (mut read, mut write) = connect(&proxy).await.into_split();
    let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let copy = sent.clone();
    let writer = tokio::spawn(async move { write.write_all(&copy).await });
    let mut received = vec![0; sent.len()];
    timeout(LIMIT, read.read_exact(&mut received)).await.unwrap().unwrap();
    assert!(received == sent);
    writer.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stalled_proxy_keeps_connections_and_says_nothing_until_it_resumes() {
    let proxy = Proxy::start(server(1).await).await;
    let mut old = connect(&proxy).await;
    assert_eq!(ask(&mut old, 1).await.unwrap(), 2);
    proxy.stall().await;
    let mut new = connect(&proxy).await;
    for stream in [&mut old, &mut new] {
        stream.write_u8(7).await.unwrap();
        assert!(timeout(SILENCE, stream.read_u8()).await.is_err());
    }
    proxy.resume().await;
    for stream in [&mut old, &mut new] {
        assert_eq!(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap(), 8);
    }
}

#[tokio::test]
async fn connections_that_exist_can_stall_while_new_ones_are_forwarded() {
    let proxy = Proxy::start(server(1).await).await;
    let mut old = connect(&proxy).await;
    assert_eq!(ask(&mut old, 1).await.unwrap(), 2);
    proxy.stall_existing();
    old.write_u8(7).await.unwrap();
    assert_eq!(ask(&mut connect(&proxy).await, 1).await.unwrap(), 2);
    assert!(timeout(SILENCE, old.read_u8()).await.is_err());
    proxy.resume().await;
    assert_eq!(timeout(LIMIT, old.read_u8()).await.unwrap().unwrap(), 8);
}

#[tokio::test]
async fn a_cut_resets_connections_also_stalled_ones_and_new_ones_are_served() {
    let proxy = Proxy::start(server(1).await).await;
    for stalled in [false, true] {
        let mut stream = connect(&proxy).await;
        assert_eq!(ask(&mut stream, 1).await.unwrap(), 2);
        if stalled {
            proxy.stall().await;
        }
        proxy.cut().await;
        assert_eq!(proxy.open(), 0);
        let error = timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        proxy.resume().await;
        assert_eq!(ask(&mut connect(&proxy).await, 1).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_refusing_proxy_has_no_connections_until_it_resumes() {
    let proxy = Proxy::start(server(1).await).await;
    let mut stream = connect(&proxy).await;
    assert_eq!(ask(&mut stream, 1).await.unwrap(), 2);
    proxy.refuse().await;
    let error = timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let error = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    proxy.resume().await;
    assert_eq!(ask(&mut connect(&proxy).await, 1).await.unwrap(), 2);
}

#[tokio::test]
async fn a_delay_holds_each_way_up_and_not_the_throughput() {
    let proxy = Proxy::start(server(1).await).await;
    let mut stream = connect(&proxy).await;
    proxy.set_delay(Duration::from_millis(100));
    let begin = Instant::now();
    for byte in 0..10 {
        stream.write_u8(byte).await.unwrap();
        tokio::task::yield_now().await;
    }
    for byte in 0..10 {
        assert_eq!(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap(), byte + 1);
    }
    let taken = begin.elapsed();
    assert!(taken >= Duration::from_millis(200), "{taken:?}");
    assert!(taken < Duration::from_millis(1_500), "one delay for each byte: {taken:?}");
}

#[tokio::test]
async fn new_connections_go_to_a_new_target_and_a_missing_one_resets_them() {
    let proxy = Proxy::start(server(1).await).await;
    let mut old = connect(&proxy).await;
    assert_eq!(ask(&mut old, 1).await.unwrap(), 2);
    proxy.retarget(server(2).await);
    assert_eq!(ask(&mut connect(&proxy).await, 1).await.unwrap(), 3);
    assert_eq!(ask(&mut old, 1).await.unwrap(), 2);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    proxy.retarget(nobody);
    let mut lost = connect(&proxy).await;
    let error = timeout(LIMIT, lost.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_dropped_proxy_closes_everything() {
    let proxy = Proxy::start(server(1).await).await;
    let mut stream = connect(&proxy).await;
    assert_eq!(ask(&mut stream, 1).await.unwrap(), 2);
    let port = proxy.port();
    drop(proxy);
    let end = timeout(LIMIT, stream.read_u8()).await.unwrap();
    assert!(end.is_err());
    let refused = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, refused).await.unwrap();
}

#[tokio::test]
async fn a_pipeline_is_one_turn_and_each_question_after_an_answer_another() {
    let proxy = Proxy::start(server(1).await).await;
    let (mut one, mut other) = (connect(&proxy).await, connect(&proxy).await);
    proxy.set_delay(Duration::from_millis(50));
    one.write_all(&[1, 2, 3]).await.unwrap();
    one.write_u8(4).await.unwrap();
    for byte in 2..6 {
        assert_eq!(timeout(LIMIT, one.read_u8()).await.unwrap().unwrap(), byte);
    }
    for byte in 0..3 {
        ask(&mut other, byte).await.unwrap();
    }
    let turns = proxy.take_turns();
    assert_eq!((turns.total, turns.longest), (4, 3));
    drop(one);
    ask(&mut other, 1).await.unwrap();
    assert_eq!(proxy.take_turns().total, 1, "since the last time");
}

#[tokio::test]
async fn a_truncated_answer_ends_its_connection_in_the_middle() {
    let proxy = Proxy::start(server(1).await).await;
    let mut stream = connect(&proxy).await;
    assert_eq!(ask(&mut stream, 1).await.unwrap(), 2);
    proxy.set_truncated_answers(true);
    stream.write_all(&[1, 2, 3, 4]).await.unwrap();
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.len() < 4, "{answer:?}");
    proxy.set_truncated_answers(false);
    assert_eq!(ask(&mut connect(&proxy).await, 1).await.unwrap(), 2);
}
