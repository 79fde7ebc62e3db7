//! A server's reply to a login is not repeated in errors.

use std::error::Error;

use crate::support::config;
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::RedisServer;

/// The error with everything behind it, as a log would show it.
fn shown(error: &dyn Error) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        shown.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    shown
}

#[tokio::test]
async fn a_server_that_repeats_the_login_does_not_bring_the_password_into_an_error() {
    // It answers: unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'app' 'hunter2'.
    let server = RedisServer::builder().setting("rename-command HELLO", "").start().await;
    let url = format!("redis://app:hunter2@127.0.0.1:{}", server.port());
    let error = RedisStore::open(config(&url)).await.unwrap_err();
    let shown = shown(&error);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("refused the login"), "{shown}");
}
