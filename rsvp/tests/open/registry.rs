//! Backends of other crates, by schemes of their own.

use std::time::Duration;

use rsvp::url::StoreUrl;
use rsvp::{EventId, Outcome, Registry, Result, RsvpStore, RsvpStoreExt, UserId};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{FaultStore, Faults};

/// A backend that takes one parameter.
pub(crate) async fn other(mut url: StoreUrl) -> Result<MemoryStore> {
    let _color = url.parameters_mut().take("color")?;
    url.parameters_mut().finish()?;
    Ok(MemoryStore::new())
}

/// A backend that now and then refuses a write.
async fn faulty(_url: StoreUrl) -> Result<FaultStore<MemoryStore>> {
    let writes = Faults { before: 0.5, ..Faults::default() };
    Ok(FaultStore::new(MemoryStore::new(), 1).with_writes(writes))
}

mod conformance {
    use super::*;

    const STORES: &str = "a=other:?color=red b*2=other://host/path c=other: \
                          ?spread=2&timeout=60s&retry=1s&coalesce=true&count_cache=5s&limit=500";

    rsvp_testkit::conformance!(
        Registry::empty().with_scheme("other", other).open(STORES).await.unwrap(),
        except {
            a_store_that_cannot_write_is_not_ready => "there is no engine that could stop",
            an_entry_that_fails_takes_no_other_down => "there is no engine that could refuse an entry",
        }
    );
}

#[tokio::test]
async fn a_third_party_store_takes_its_own_parameters_and_those_of_layers() {
    let registry = Registry::default().with_scheme("Other", other);
    let store = registry.open("oTher:?coalesce=true&color=red&retry=1s").await.unwrap();
    let shown = format!("{store:?}");
    assert!(shown.starts_with("CoalescedStore { store: Layered { layer: Retry {"), "{shown}");
    assert!(shown.contains("}, store: MemoryStore {"), "{shown}");

    let message = registry.open("other:?coalese=true").await.unwrap_err().to_string();
    assert!(message.starts_with("invalid url: unknown parameter `coalese`; "), "{message}");
    assert!(message.contains("`coalesce`") && message.contains("`color`"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn layers_work_around_a_third_party_store() {
    let registry = Registry::empty().with_scheme("faulty", faulty);
    let bare = registry.open("faulty:").await.unwrap();
    let retried = registry.open("faulty:?retry=60s&retry_attempts=100").await.unwrap();
    let event = EventId::from(1);
    let mut failed = 0;
    for user in (0..100_u32).map(UserId::from) {
        failed += u32::from(bare.rsvp(&user, &event).await.is_err());
        let receipt = retried.rsvp(&user, &event).await.unwrap();
        assert_eq!(receipt.outcome, Outcome::Applied);
    }
    assert!((20..80).contains(&failed), "{failed}");
}

#[tokio::test]
async fn the_later_of_two_backends_has_the_scheme() {
    let registry = Registry::empty().with_scheme("a", faulty).with_scheme("A", other);
    let shown = format!("{:?}", registry.open("a:").await.unwrap());
    assert!(shown.starts_with("MemoryStore"), "{shown}");
}

#[tokio::test]
async fn a_pointer_to_a_store_can_be_opened() {
    let registry = Registry::empty().with_scheme("dyn", |url| async {
        Ok(std::sync::Arc::new(other(url).await?) as std::sync::Arc<dyn RsvpStore>)
    });
    registry.open("dyn:").await.unwrap().ready().await.unwrap();
}

#[tokio::test]
async fn an_unknown_scheme_lists_the_registered_ones() {
    let registry = Registry::empty().with_scheme("other", other).with_scheme("faulty", faulty);
    let message = registry.open("memory:").await.unwrap_err().to_string();
    assert_eq!(message, "invalid url: unknown scheme; supported: `faulty`, `other`");
    assert_eq!(format!("{registry:?}"), "{\"faulty\", \"other\"}");
    let message = Registry::empty().open("memory:").await.unwrap_err().to_string();
    assert_eq!(message, "invalid url: unknown scheme; no scheme is registered");
}

#[tokio::test]
async fn a_store_can_be_opened_on_a_task() {
    let open = async {
        let registry = Registry::default().with_scheme("other", other);
        registry.open("a=other: b=other: ?retry=1s").await
    };
    tokio::time::timeout(Duration::from_secs(60), tokio::spawn(open))
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
