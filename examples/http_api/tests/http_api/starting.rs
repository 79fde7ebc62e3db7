//! Where the store's URL comes from, when the store is opened, and what is served where.

use hyper::Method;

use crate::raw;
use crate::service::{Service, command, get};
use rsvp_load::check::Client;

/// Whether the service observes a store of this name.
async fn has_store(service: &Service, name: &str) -> bool {
    assert_eq!(get(&mut service.client().await, "/readyz").await.status, 200);
    let request = "GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let metrics = raw::exchange(&service.address, request).await;
    metrics.contains(&format!("store=\"{name}\""))
}

#[tokio::test]
async fn the_url_may_come_from_the_environment_or_a_file() {
    let listen = ["--listen", "127.0.0.1:0"];
    let mut environment = command();
    environment.args(listen).env("RSVP_STORE", "memory:?observe=environment");
    assert!(has_store(&Service::start_with(&mut environment), "environment").await);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    std::fs::write(&path, "memory:?observe=file\n").unwrap();
    let mut file = command();
    file.args(listen).env("RSVP_STORE", "memory:?observe=environment");
    file.arg("--store-file").arg(&path);
    assert!(has_store(&Service::start_with(&mut file), "file").await);

    let help = command().arg("--help").env("RSVP_STORE", "secret").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    assert!(help.contains("RSVP_STORE") && !help.contains("secret"), "{help}");
}

#[tokio::test]
async fn admin_routes_and_metrics_have_an_address_of_their_own() {
    let mut flags = command();
    flags.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let service = Service::start_with(flags.env("RSVP_ADMIN_TOKEN", "s3cret"));
    let mut public = service.client().await;
    let mut admin = Client::connect(service.admin.as_ref().unwrap()).await.unwrap();
    for path in ["/metrics", "/health"] {
        assert_eq!(get(&mut public, path).await.status, 404, "{path}");
        assert_eq!(get(&mut admin, path).await.status, 401, "{path}");
        let token = [("Authorization", b"Bearer s3cret".as_slice())];
        assert_eq!(admin.send(Method::GET, path, &token).await.unwrap().status, 200, "{path}");
    }
    let erase = public.send(Method::DELETE, "/users/1", &[]).await.unwrap();
    assert_eq!(erase.status, 404);
}

#[tokio::test]
async fn any_client_can_send_any_id_if_the_header_is_encoded() {
    let flags = ["--listen", "127.0.0.1:0", "--percent-encoded-user-id"];
    let service = Service::start_with(command().args(flags));
    let mut client = service.client().await;
    let jose = [("X-User-Id", b"Jos%C3%A9".as_slice())];
    let answer = client.send(Method::POST, "/events/1/rsvp", &jose).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.json["user_id"].as_str()), (201, Some("José")));
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_database_that_starts_later_is_waited_for() {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    let server = rsvp_testkit::servers::RedisServer::builder().start().await;
    server.kill().await;
    let url = server.url();
    let flags = ["--listen", "127.0.0.1:0", "--wait-for-store", "60s", "--store", &url];
    let service = Service::start_with(command().args(flags));
    let mut client = service.client().await;
    assert_eq!(get(&mut client, "/healthz").await.status, 200);
    assert_eq!(get(&mut client, "/readyz").await.status, 503);
    assert_eq!(get(&mut client, "/events/1/rsvp_count").await.status, 503);

    server.start_again().await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while get(&mut client, "/readyz").await.status != 200 {
        assert!(Instant::now() < deadline, "it is there now");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(crate::service::rsvp(&mut client, "1", "1").await.status, 201);
}
