//! Passwords from a provider or a file instead of the URL.

use std::sync::{Arc, Mutex};

use rsvp_core::url::Secret;
use rsvp_core::{Error, EventId, RsvpStore, RsvpStoreExt, UserId, async_trait};
use rsvp_postgres::{Login, PasswordError, PasswordProvider, PostgresConfig, PostgresStore};
use rsvp_testkit::servers::PostgresServer;

/// A token that is valid until somebody changes it.
#[derive(Clone)]
struct Token(Arc<Mutex<Result<&'static str, &'static str>>>);

#[async_trait]
impl PasswordProvider for Token {
    async fn password(&self, login: Login<'_>) -> Result<Secret, PasswordError> {
        assert_eq!((login.user, login.database), ("postgres", "postgres"));
        let token = *self.0.lock().unwrap();
        token.map(Secret::new).map_err(PasswordError::from)
    }
}

async fn server() -> PostgresServer {
    PostgresServer::builder().password("first").start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_new_connection_has_the_password_of_its_time() {
    let server = server().await;
    let token = Token(Arc::new(Mutex::new(Ok("first"))));
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres?migrate=true", server.port());
    let config = PostgresConfig::from_url(&url).unwrap().with_password_provider(token.clone());
    assert!(!format!("{config:?}").contains("first"));
    let store = PostgresStore::open(config).await.unwrap();
    store.rsvp(&UserId::from(1), &EventId::from(1)).await.unwrap();

    server.execute("ALTER ROLE postgres PASSWORD 'second'").await;
    store.rsvp(&UserId::from(2), &EventId::from(1)).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name LIKE 'rsvp%'";
    server.execute(end).await;
    *token.0.lock().unwrap() = Ok("second");
    store.rsvp(&UserId::from(3), &EventId::from(1)).await.unwrap();

    // The provider is away for a while, so the call may be repeated.
    server.execute(end).await;
    *token.0.lock().unwrap() = Err("the metadata service does not answer");
    let error = store.ready().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    *token.0.lock().unwrap() = Ok("second");
    store.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_file_is_read_for_each_connection() {
    let server = server().await;
    let file = std::env::temp_dir().join(format!("rsvp-pgpass-{}", server.port()));
    let line = |password| format!("# of this test\n127.0.0.1:*:*:postgres:{password}\n");
    std::fs::write(&file, line("first")).unwrap();
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/postgres?migrate=true&passfile={}",
        server.port(),
        file.display()
    );
    let config = PostgresConfig::from_url(&url).unwrap();
    let opened = PostgresStore::open(config.clone()).await;
    std::fs::write(&file, line("second")).unwrap();
    let refused = PostgresStore::open(config).await;
    std::fs::remove_file(&file).unwrap();
    opened.unwrap();
    let error = refused.unwrap_err();
    assert!(!error.is_retryable() && !format!("{error:?}").contains("second"), "{error:?}");
}
