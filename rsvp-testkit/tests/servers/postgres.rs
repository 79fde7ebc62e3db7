//! The Postgres servers that tests start.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use rsvp_testkit::servers::{PostgresServer, ReplicatedPostgres, Replication};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::victim::{LIMIT, VICTIM, assert_gone, await_the_end, kill_the_owner, processes_in};

/// Asks whether TLS is on, the shortest question that a Postgres server answers.
async fn ask(port: u16) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
    stream.read_u8().await
}

#[tokio::test]
async fn a_server_is_durable_and_takes_settings() {
    let server = PostgresServer::builder().setting("work_mem", "7MB").start().await;
    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("max_connections", "200"),
        ("work_mem", "7MB"),
    ] {
        assert_eq!(server.execute(&format!("SHOW {setting}")).await, value, "{setting}");
    }
}

#[tokio::test]
async fn tests_share_a_server_and_not_their_databases() {
    let server = PostgresServer::shared().await;
    assert_eq!(server.port(), PostgresServer::shared().await.port());
    let (one, other) = (server.create_database().await, server.create_database().await);
    server.execute_in(&one, "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)").await;
    assert_eq!(
        server.execute_in(&one, "SELECT n, NULL, 'x' FROM t ORDER BY n").await,
        "1||x\n2||x"
    );
    let error = server.try_execute_in(&other, "SELECT n FROM t").await.unwrap_err();
    assert!(error.contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_password_is_demanded_and_not_shown() {
    let password = "it's a s3cret/:@%";
    let builder = PostgresServer::builder().password(password);
    assert!(!format!("{builder:?}").contains("s3cret"));
    let server = builder.start().await;
    let url = server.url("postgres");
    assert!(url.contains("%3A%40"), "{url}");
    assert_eq!(server.execute_in(&url, "SELECT 1").await, "1");
    let without =
        url.replace(&url[url.find("postgres:it").unwrap() + 8..url.find('@').unwrap()], "");
    let error = server.try_execute_in(&without, "SELECT 1").await.unwrap_err();
    assert!(error.contains("no password supplied"), "{error}");
    assert!(!format!("{server:?}").contains("s3cret"));
    assert!(!std::fs::read_to_string(server.log_path()).unwrap().contains("s3cret"));
}

#[tokio::test]
async fn a_dropped_server_leaves_no_process() {
    let server = PostgresServer::start().await;
    let folder = server.folder().to_owned();
    assert!(processes_in(&folder).len() > 1);
    drop(server);
    assert_eq!(processes_in(&folder), Vec::<String>::new());
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_server_whose_owner_panics_leaves_no_process() {
    let (send, folder) = tokio::sync::oneshot::channel::<PathBuf>();
    let owner = tokio::spawn(async move {
        let server = PostgresServer::start().await;
        send.send(server.folder().to_owned()).unwrap();
        panic!("on purpose");
    });
    let folder = folder.await.unwrap();
    assert!(owner.await.unwrap_err().is_panic());
    assert_eq!(processes_in(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn a_killed_test_process_leaves_no_server() {
    for victim in ["victim_with_a_shared_server", "victim_with_a_paused_and_a_busy_server"]
        .map(|name| format!("postgres::{name}"))
    {
        let folder = tokio::task::spawn_blocking(move || kill_the_owner(&victim)).await.unwrap();
        // The folder of the whole process.
        assert_gone(folder.parent().unwrap()).await;
    }
}

#[test]
#[ignore = "runs in a process of its own, which is killed"]
fn victim_with_a_shared_server() {
    if env::var_os(VICTIM).is_none() {
        return;
    }
    // The thread that starts the server, and its runtime, end before the process does.
    let starter = std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(PostgresServer::shared()).folder().to_owned()
    });
    await_the_end(&starter.join().unwrap());
}

#[tokio::test]
#[ignore = "runs in a process of its own, which is killed"]
async fn victim_with_a_paused_and_a_busy_server() {
    if env::var_os(VICTIM).is_none() {
        return;
    }
    let (paused, busy) = tokio::join!(PostgresServer::start(), PostgresServer::start());
    paused.pause().await;
    let busy = std::sync::Arc::new(busy);
    let working = busy.clone();
    tokio::spawn(
        async move { working.execute("SELECT sum(n) FROM generate_series(1, 1e9) n").await },
    );
    let started = async {
        while busy.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%1e9%'").await
            != "2"
        {}
    };
    timeout(LIMIT, started).await.unwrap();
    await_the_end(paused.folder());
}

#[tokio::test]
async fn what_was_committed_outlives_a_kill() {
    let server = PostgresServer::start().await;
    server.execute("CREATE TABLE t (n int)").await;
    for n in 0..3 {
        server.execute(&format!("INSERT INTO t VALUES ({n})")).await;
        server.kill().await;
        assert_eq!(processes_in(server.folder()), Vec::<String>::new());
        assert!(ask(server.port()).await.is_err());
        server.start_again().await;
        assert_eq!(server.execute("SELECT count(*) FROM t").await, (n + 1).to_string());
    }
    server.restart().await;
    server.stop().await;
    server.start_again().await;
    assert_eq!(server.execute("SELECT sum(n) FROM t").await, "3");
}

#[tokio::test]
async fn a_paused_server_is_silent_until_it_resumes() {
    let server = PostgresServer::start().await;
    assert_eq!(ask(server.port()).await.unwrap(), b'N');
    server.pause().await;
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    connection.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
    let silence = timeout(Duration::from_millis(300), connection.read_u8()).await;
    assert!(silence.is_err(), "{silence:?}");
    server.resume().await;
    assert_eq!(timeout(LIMIT, connection.read_u8()).await.unwrap().unwrap(), b'N');
    assert_eq!(server.execute("SELECT 1").await, "1");
}

#[tokio::test]
async fn a_standby_streams_and_lags_when_told_to() {
    let pair = ReplicatedPostgres::start().await;
    pair.primary().execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await;
    pair.wait_caught_up().await;
    assert_eq!(pair.standby().execute("SELECT n FROM t").await, "1");
    let refused = pair.standby().try_execute_in("postgres", "INSERT INTO t VALUES (2)").await;
    assert!(refused.unwrap_err().contains("read-only"));

    pair.pause_replay().await;
    pair.primary().execute("INSERT INTO t VALUES (2)").await;
    assert_eq!(pair.standby().execute("SELECT count(*) FROM t").await, "1");
    pair.resume_replay().await;
    pair.wait_caught_up().await;
    assert_eq!(pair.standby().execute("SELECT count(*) FROM t").await, "2");
}

#[tokio::test]
async fn five_failovers_in_a_row_lose_nothing_acknowledged() {
    let pair = ReplicatedPostgres::builder()
        .replication(Replication::Synchronous)
        .password("s3cret")
        .start()
        .await;
    pair.primary().execute("CREATE TABLE t (n int)").await;
    for n in 0..5 {
        let before = pair.primary().port();
        pair.primary().execute(&format!("INSERT INTO t VALUES ({n})")).await;
        pair.fail_over().await;
        assert_eq!(pair.standby().port(), before);
        assert_eq!(pair.primary().execute("SELECT count(*) FROM t").await, (n + 1).to_string());
    }
    assert_eq!(pair.primary().execute("SELECT sum(n) FROM t").await, "10");
}

#[tokio::test]
async fn a_commit_of_synchronous_apply_shows_at_once_on_the_standby() {
    let pair =
        ReplicatedPostgres::builder().replication(Replication::SynchronousApply).start().await;
    pair.primary().execute("CREATE TABLE t (n int)").await;
    for n in 1..=20 {
        pair.primary().execute(&format!("INSERT INTO t VALUES ({n})")).await;
        assert_eq!(pair.standby().execute("SELECT count(*) FROM t").await, n.to_string());
    }
}

#[tokio::test]
async fn servers_start_side_by_side() {
    let (a, b, c) =
        tokio::join!(PostgresServer::start(), PostgresServer::start(), PostgresServer::start());
    assert!(a.port() != b.port() && b.port() != c.port() && a.port() != c.port());
    for server in [a, b, c] {
        assert_eq!(server.execute("SELECT 1").await, "1");
    }
}
