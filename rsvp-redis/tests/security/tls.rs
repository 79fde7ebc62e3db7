//! Over TLS the store trusts only servers whose certificate the given root has signed.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use crate::support::authority::{Authority, parameters};
use crate::support::{config, event, eventually, open, user};
use rsvp_core::{Effect, Error, RsvpStore, RsvpStoreExt};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{Proxy, RedisServer};
use tokio::time::Instant;

struct Server {
    server: RedisServer,
    port: u16,
    /// Keeps the port from others.
    _lease: Proxy,
    files: tempfile::TempDir,
}

impl Server {
    /// A server that calls itself `name`, with a password.
    async fn start(authority: &Authority, name: &str) -> Self {
        let lease = Proxy::start(1).await;
        lease.refuse().await;
        let (port, files) = (lease.port(), tempfile::tempdir().unwrap());
        let write = |file: &str, text: &str| {
            let path = files.path().join(file);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (certificate, key) = authority.certify(name);
        let server = RedisServer::builder()
            .password("hunter2")
            .setting("tls-port", &port.to_string())
            .setting("tls-cert-file", &write("server.pem", &certificate))
            .setting("tls-key-file", &write("server.key", &key))
            .setting("tls-ca-cert-file", &write("ca.pem", &authority.root))
            .setting("tls-auth-clients", "no")
            .start()
            .await;
        Self { server, port, _lease: lease, files }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://:hunter2@127.0.0.1:{}?connect_timeout=5s", self.port)
    }

    fn trusting(&self, ca: &Path) -> String {
        format!("{}&tls_ca={}", self.url("rediss"), ca.display())
    }
}

async fn assert_refused(url: &str) -> Error {
    let begin = Instant::now();
    let error = RedisStore::open(config(url)).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
    let shown = format!("{error} {error:?} {:?}", error.source());
    assert!(!shown.contains("hunter2"), "{shown}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_root_vouches_for_is_used() {
    let authority = Authority::new();
    let server = Server::start(&authority, "127.0.0.1").await;
    let url = server.trusting(&server.files.path().join("ca.pem"));
    let store = open(&url).await;
    assert!(!format!("{store:?}").contains("hunter2"));
    store.rsvp(&user(1), &event(1)).await.unwrap();
    assert_eq!(store.rsvp_count(&event(1)).await.unwrap().value, 1);
    store.ready().await.unwrap();
    // Connections that were closed are noticed and made again, as without TLS.
    server.server.restart().await;
    assert!(store.has_rsvped(&user(1), &event(1)).await.unwrap());
    // And an attempt that gets no reply is given up.
    server.server.pause().await;
    let impatient = config(&url).with_response_timeout(Duration::from_millis(200));
    let impatient = impatient.with_connect_timeout(Duration::from_millis(200));
    let begin = Instant::now();
    let error = RedisStore::open(impatient).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    server.server.resume().await;
    eventually("the server to be back", async || store.ready().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let authority = Authority::new();
    let server = Server::start(&authority, "127.0.0.1").await;
    let other = server.files.path().join("other.pem");
    std::fs::write(&other, Authority::new().root).unwrap();
    let error = assert_refused(&server.trusting(&other)).await;
    println!("another root: {error} {error:?}");
    // Nor do the platform's roots know it.
    assert_refused(&server.url("rediss")).await;
    let error = assert_refused(&server.trusting(&server.files.path().join("none.pem"))).await;
    assert!(error.to_string().starts_with("invalid tls_ca: "), "{error}");
    std::fs::write(&other, "no certificate").unwrap();
    let error = assert_refused(&server.trusting(&other)).await;
    println!("no certificate: {error} {error:?}");
    // Without TLS at the port of TLS, and the other way round.
    assert_refused(&server.url("redis")).await;
    let plain = server.server.url().replace("redis://", "rediss://");
    let root = server.files.path().join("ca.pem");
    assert_refused(&format!("{plain}?tls_ca={}", root.display())).await;
    open(&server.trusting(&root)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_the_certificate_of_another_host_is_refused() {
    let authority = Authority::new();
    let server = Server::start(&authority, "redis.example").await;
    let error = assert_refused(&server.trusting(&server.files.path().join("ca.pem"))).await;
    println!("another host: {error} {error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.files(folder.path());
    let server = RedisServer::builder().tls(files.clone()).start().await;
    let url = server.url();
    let store = open(&format!("{url}?{}", parameters(&files))).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    let ca = format!("tls_ca={}", files.ca.display());
    let without = assert_refused(&format!("{url}?{ca}&connect_timeout=5s")).await;
    println!("without: {without} {:?}", without.source());
    // Half of it, or a file that is not there, is said by name.
    let (cert, key) = (files.certificate.display(), files.key.display());
    for (query, field) in [
        (format!("tls_cert={cert}"), "tls_cert"),
        (format!("tls_key={key}"), "tls_key"),
        (format!("tls_cert={cert}&tls_key={key}.none"), "tls_key"),
    ] {
        let error = assert_refused(&format!("{url}?{ca}&{query}")).await;
        assert!(error.to_string().starts_with(&format!("invalid {field}: ")), "{error}");
    }
}
