//! A host's own tests: a store in memory, and errors on demand.
//!
//! ```text
//! cargo run --example testing       # the host's function
//! cargo test --example testing      # its tests
//! ```
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use rsvp::{EventId, MemoryStore, Result, RsvpStore, RsvpStoreExt, UserId};

/// The host's answer to a click on "join".
#[derive(Debug, PartialEq, Eq)]
enum Joined {
    /// The user is new, so a mail goes out.
    SendMail,
    /// The user was in already.
    Already,
    /// The client is asked to repeat the click.
    TryLater,
}

async fn join(store: &impl RsvpStore, user: &UserId, event: &EventId) -> Result<Joined> {
    match store.rsvp(user, event).await {
        // A write that the store repeated may have been applied by the first attempt.
        Ok(receipt) if receipt.outcome.is_applied() || receipt.repeated => Ok(Joined::SendMail),
        Ok(_) => Ok(Joined::Already),
        Err(error) if error.is_retryable() => Ok(Joined::TryLater),
        Err(error) => Err(error),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let store = MemoryStore::new();
    let (user, event) = (UserId::new("ada")?, EventId::new("101a")?);
    println!("first = {:?}", join(&store, &user, &event).await?);
    println!("again = {:?}", join(&store, &user, &event).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use rsvp::{Error, Operation};
    use rsvp_testkit::FaultStore;

    use super::*;

    fn ids() -> (UserId, EventId) {
        (UserId::from(1), EventId::from(2))
    }

    #[tokio::test]
    async fn a_mail_is_sent_once() {
        let (store, (user, event)) = (MemoryStore::new(), ids());
        assert_eq!(join(&store, &user, &event).await.unwrap(), Joined::SendMail);
        assert_eq!(join(&store, &user, &event).await.unwrap(), Joined::Already);
    }

    #[tokio::test]
    async fn an_overloaded_store_asks_the_client_to_wait() {
        let (store, (user, event)) = (FaultStore::new(MemoryStore::new(), 1), ids());
        store.fail_next(Operation::Write, Error::overloaded(Operation::Write));
        assert_eq!(join(&store, &user, &event).await.unwrap(), Joined::TryLater);
        assert_eq!(join(&store, &user, &event).await.unwrap(), Joined::SendMail);
    }
}
