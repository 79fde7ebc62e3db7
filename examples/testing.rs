//! A host's function and its tests, with a store in memory and one that fails on purpose.
//!
//! ```text
//! cargo run  --example testing
//! cargo test --example testing
//! ```
//!
//! `rsvp-testkit` is a development dependency.
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::sync::Arc;

use rsvp::{Effect, Error, EventId, Outcome, RsvpStore, RsvpStoreExt, UserId};

/// What the page shows after a click on the button.
#[derive(Debug, PartialEq, Eq)]
enum Page {
    /// The user is coming.
    Welcome,
    /// The user was coming already.
    WelcomeBack,
    /// Nothing has happened. The user may click again.
    TryAgain,
    /// Nobody knows yet. The page asks again later.
    Checking,
}

/// The code under test. It takes the store as a trait object, so that a test can give it any store.
async fn click(store: &Arc<dyn RsvpStore>, user: &UserId, event: &EventId) -> Result<Page, Error> {
    match store.rsvp(user, event).await {
        Ok(receipt) if receipt.outcome == Outcome::Applied => Ok(Page::Welcome),
        Ok(_) => Ok(Page::WelcomeBack),
        Err(error) if !error.is_retryable() => Err(error),
        Err(error) if error.effect() == Effect::NotApplied => Ok(Page::TryAgain),
        Err(_) => Ok(Page::Checking),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let store = rsvp::open("memory:").await?;
    let (user, event) = (UserId::from(1), EventId::new("101a")?);
    println!("{:?}", click(&store, &user, &event).await?);
    println!("{:?}", click(&store, &user, &event).await?);
    store.close().await
}

#[cfg(test)]
mod tests {
    use rsvp::{MemoryStore, Operation};
    use rsvp_testkit::FaultStore;

    use super::*;

    fn ids() -> (UserId, EventId) {
        (UserId::from(1), EventId::new("101a").unwrap())
    }

    #[tokio::test]
    async fn a_second_click_changes_nothing() {
        let store: Arc<dyn RsvpStore> = Arc::new(MemoryStore::new());
        let (user, event) = ids();
        assert_eq!(click(&store, &user, &event).await.unwrap(), Page::Welcome);
        assert_eq!(click(&store, &user, &event).await.unwrap(), Page::WelcomeBack);
        assert_eq!(store.rsvp_count(&event).await.unwrap().value, 1);
    }

    #[tokio::test]
    async fn each_failure_has_its_page() {
        // The seed is for faults by chance. These faults are chosen.
        let faults = Arc::new(FaultStore::new(MemoryStore::new(), 1));
        let store: Arc<dyn RsvpStore> = faults.clone();
        let (user, event) = ids();

        faults.fail_next(Operation::Write, Error::overloaded(Operation::Write));
        assert_eq!(click(&store, &user, &event).await.unwrap(), Page::TryAgain);

        let unknown = Error::unavailable(Operation::Write, Effect::Unknown, None);
        faults.fail_next(Operation::Write, unknown);
        assert_eq!(click(&store, &user, &event).await.unwrap(), Page::Checking);

        faults.fail_next(Operation::Write, Error::closed(Operation::Write));
        assert!(matches!(click(&store, &user, &event).await, Err(Error::Closed { .. })));
    }

    #[tokio::test]
    async fn a_store_that_is_down_loses_nothing() {
        let faults = Arc::new(FaultStore::new(MemoryStore::new(), 1));
        let store: Arc<dyn RsvpStore> = faults.clone();
        let (user, event) = ids();
        faults.set_down(true);
        assert_eq!(click(&store, &user, &event).await.unwrap(), Page::TryAgain);
        faults.set_down(false);
        assert_eq!(click(&store, &user, &event).await.unwrap(), Page::Welcome);
    }
}
