//! Several reads at one time, with different counts. Nobody knows which one saw more writes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsvp_core::layers::{CountCacheConfig, LayerExt};
use rsvp_core::{Consistency, Count, EventId, RsvpStoreExt, SessionToken};
use rsvp_memory::MemoryStore;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::coalesce::settle;
use crate::event;
use crate::hooked::{Counted, Hook, Hooked};

/// The answers to the next reads of counts, in their order.
type Answers = Mutex<VecDeque<oneshot::Receiver<Count>>>;

/// A store whose counts the test gives.
#[derive(Debug, Default)]
struct Scripted {
    store: MemoryStore,
    answers: Answers,
}

impl Scripted {
    fn next(&self) -> oneshot::Sender<Count> {
        let (send, receive) = oneshot::channel();
        self.answers.lock().unwrap().push_back(receive);
        send
    }
}

impl Hook for Scripted {
    fn store(&self) -> &MemoryStore {
        &self.store
    }

    async fn count(
        &self,
        _: &[EventId],
        _: &Consistency,
        _: impl Future<Output = Counted> + Send,
    ) -> Counted {
        let next = self.answers.lock().unwrap().pop_front().expect("an unexpected read");
        Ok(vec![Ok(next.await.unwrap())])
    }
}

fn aged(value: u64, ms: u64) -> Count {
    Count::aged(value, Duration::from_millis(ms))
}

/// Returns a function that asks a cache of the store for the count, on a task.
fn asking(inner: &Arc<Hooked<Scripted>>) -> impl Fn(Consistency) -> JoinHandle<u64> {
    let cache = Arc::new(inner.clone().with_count_cache(CountCacheConfig::default()).unwrap());
    move |level| {
        let cache = cache.clone();
        tokio::spawn(
            async move { cache.rsvp_count_with(&event(1_u64), level).await.unwrap().value },
        )
    }
}

fn bounded() -> Consistency {
    Consistency::Bounded(Duration::from_secs(5))
}

/// Two session reads of two replicas during a refresh.
#[tokio::test(start_paused = true)]
async fn a_second_replica_does_not_undo_what_the_first_one_told() {
    let inner = Arc::new(Hooked(Scripted::default()));
    let ask = asking(&inner);
    let session = || Consistency::Session(SessionToken::at(1, 1));
    let (refresh, first, second) = (inner.next(), inner.next(), inner.next());
    let refreshed = ask(bounded());
    settle().await;
    let ann = ask(session());
    settle().await;
    first.send(aged(8, 20)).unwrap();
    assert_eq!(ann.await.unwrap(), 8, "ann has seen 8");
    let bob = ask(session());
    settle().await;
    second.send(aged(7, 30)).unwrap();
    assert_eq!(bob.await.unwrap(), 7);
    // The refresh had read the primary before the eighth came.
    refresh.send(aged(7, 0)).unwrap();
    assert_eq!(refreshed.await.unwrap(), 7);
    let again = inner.next();
    let _ = again.send(aged(8, 0));
    assert_eq!(ask(bounded()).await.unwrap(), 8, "ann saw 8 and now reads less");
}

/// Two strong reads during a refresh, all three during the write of another instance.
#[tokio::test(start_paused = true)]
async fn three_reads_at_one_time() {
    let inner = Arc::new(Hooked(Scripted::default()));
    let ask = asking(&inner);
    inner.next().send(aged(7, 0)).unwrap();
    assert_eq!(ask(bounded()).await.unwrap(), 7);
    tokio::time::advance(Duration::from_secs(6)).await;
    let (first, second, refresh) = (inner.next(), inner.next(), inner.next());
    let ann = ask(Consistency::Strong);
    settle().await;
    let bob = ask(Consistency::Strong);
    settle().await;
    let refreshed = ask(bounded());
    settle().await;
    first.send(aged(8, 0)).unwrap();
    assert_eq!(ann.await.unwrap(), 8, "ann has seen 8");
    second.send(aged(7, 0)).unwrap();
    assert_eq!(bob.await.unwrap(), 7);
    refresh.send(aged(7, 0)).unwrap();
    assert_eq!(refreshed.await.unwrap(), 7);
    let again = inner.next();
    let _ = again.send(aged(8, 0));
    assert_eq!(ask(bounded()).await.unwrap(), 8, "ann saw 8 and now reads less");
}
