//! Schemes, and the parameters of each backend.

async fn refused(url: &str) -> String {
    rsvp::open(url).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_unknown_scheme_lists_the_known_ones_and_never_repeats_the_url() {
    for url in ["", "secret", "secret:hunter2", "mysql://secret:hunter2@host/db", "::", "é:"] {
        let message = refused(url).await;
        assert!(
            message.starts_with("invalid url: unknown scheme; supported: `memory`"),
            "{message}"
        );
        for scheme in
            ["postgres", "postgresql", "redis", "redis+cluster", "rediss+cluster", "sqlite"]
        {
            assert!(message.contains(&format!(", `{scheme}`")), "{message}");
        }
        assert!(!message.contains("secret") && !message.contains("hunter2"), "{message}");
    }
}

#[cfg(not(feature = "memory"))]
#[tokio::test]
async fn a_scheme_without_its_feature_names_the_feature() {
    let message = refused("memory:").await;
    assert!(message.contains("needs the cargo feature `memory`"), "{message}");
    assert!(message.contains("`memory` (enable feature `memory`)"), "{message}");
}

#[cfg(not(feature = "postgres"))]
#[tokio::test]
async fn both_schemes_of_postgres_name_its_feature() {
    for scheme in ["postgres", "postgresql"] {
        let message = refused(&format!("{scheme}://u:hunter2@h/d")).await;
        let expected =
            format!("invalid url: scheme `{scheme}` needs the cargo feature `postgres` ");
        assert!(message.starts_with(&expected) && !message.contains("hunter2"), "{message}");
    }
}

#[cfg(all(feature = "redis", not(feature = "tls")))]
#[tokio::test]
async fn a_scheme_over_tls_names_its_feature() {
    for scheme in ["rediss", "rediss+cluster"] {
        let message = refused(&format!("{scheme}://h")).await;
        assert!(message.contains("needs the cargo feature `redis,tls`"), "{message}");
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_wrong_postgres_url_is_refused_without_being_repeated() {
    for url in ["postgres:hunter2", "postgres://u:hunter2@h:x/d", "postgres://h/d?hunter2=1"] {
        let message = refused(url).await;
        assert!(message.starts_with("invalid url: "), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn an_unknown_parameter_lists_those_of_postgres_and_of_the_layers() {
    for scheme in ["postgres", "postgresql"] {
        let message = refused(&format!("{scheme}://h/d?coalese=true&pool_size=2")).await;
        assert!(message.starts_with("invalid url: unknown parameter `coalese`; "), "{message}");
        assert!(message.contains("`coalesce`") && message.contains("`pool_size`"), "{message}");
    }
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_wrong_redis_url_is_refused_without_being_repeated() {
    for url in ["redis:hunter2", "redis://:hunter2@h:x", "redis+cluster://h?hunter2=1"] {
        let message = refused(url).await;
        assert!(message.starts_with("invalid url: "), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn an_unknown_parameter_lists_those_of_redis_and_of_the_layers() {
    let message = refused("redis://h?coalese=true&connections=2").await;
    assert!(message.starts_with("invalid url: unknown parameter `coalese`; "), "{message}");
    assert!(message.contains("`coalesce`") && message.contains("`connections`"), "{message}");
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn memory_opens_and_takes_nothing_more() {
    for url in ["memory:", "MEMORY:", "memory:?", " memory:\n"] {
        rsvp::open(url).await.unwrap().ready().await.unwrap();
    }
    for url in ["memory://", "memory://secret", "memory:secret", "memory:?Secret=hunter2"] {
        let message = refused(url).await;
        assert!(!message.to_lowercase().contains("secret"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn an_unknown_parameter_lists_those_of_the_layers() {
    let message = refused("memory:?coalese=hunter2").await;
    assert!(message.starts_with("invalid url: unknown parameter `coalese`; "), "{message}");
    assert!(message.contains("`coalesce`") && !message.contains("hunter2"), "{message}");
}

#[cfg(not(feature = "sqlite"))]
#[tokio::test]
async fn a_file_without_its_feature_names_the_feature() {
    let message = refused("sqlite:rsvp.db").await;
    assert!(message.contains("needs the cargo feature `sqlite`"), "{message}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_unknown_parameter_lists_those_of_sqlite_and_of_the_layers() {
    let message = refused("sqlite:rsvp.db?coalese=true&readers=2").await;
    assert!(message.starts_with("invalid url: unknown parameter `coalese`; "), "{message}");
    assert!(message.contains("`coalesce`") && message.contains("`readers`"), "{message}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_database_in_memory_is_refused_with_the_url_of_memory() {
    let message = refused("sqlite::memory:").await;
    assert!(message.starts_with("invalid url: ") && message.contains("`memory:`"), "{message}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_file_keeps_rsvps_from_one_opening_to_the_next() {
    use rsvp::{EventId, RsvpStore, RsvpStoreExt, UserId};

    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/rsvp.db?coalesce=true", folder.path().display());
    let (ann, fair) = (UserId::new("ann").unwrap(), EventId::new("fair").unwrap());
    for first in [true, false] {
        let store = rsvp::open(&url).await.unwrap();
        assert_eq!(store.rsvp(&ann, &fair).await.unwrap().outcome.is_applied(), first);
        store.close().await.unwrap();
    }
    let message =
        refused(&format!("sqlite:{}/none.db?create=false", folder.path().display())).await;
    assert!(message.starts_with("invalid path: does not exist"), "{message}");
}
