//! Every call returns by its deadline, whatever the server does or does not.

use std::time::Duration;

use crate::support::open;
use rsvp_testkit::servers::{Bounds, Proxy, RedisServer, unbounded_calls};

#[tokio::test(flavor = "multi_thread")]
async fn every_call_returns_by_its_deadline() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    // Longer than the deadline, so that a call that loses its deadline is late.
    let own = Duration::from_millis(1_500);
    let bounds = Bounds {
        deadline: Duration::from_millis(300),
        without_deadline: own,
        grace: Duration::from_millis(700),
    };
    let url = format!(
        "redis://127.0.0.1:{}?connections=2&connect_timeout=400ms&response_timeout=1500ms",
        proxy.port()
    );
    let late = unbounded_calls(&proxy, async || open(&url).await, bounds).await;
    assert!(late.is_empty(), "{late:#?}");
}
