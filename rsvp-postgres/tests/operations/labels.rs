//! Labels are set by comparison, even if many writers set them at the same time.

use std::sync::Arc;

use rsvp_core::{Label, LabelName, ReadOptions, RsvpStore, RsvpStoreExt, WriteOptions};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::PostgresServer;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const WRITERS: usize = 16;
const ROUNDS: usize = 40;

async fn fresh() -> PostgresStore {
    let url = PostgresServer::shared().await.create_database().await;
    let url = format!("{url}?migrate=true&pool_size={WRITERS}");
    PostgresStore::open(PostgresConfig::from_url(&url).unwrap()).await.unwrap()
}

fn label(value: String) -> Label {
    Label::new(value).unwrap()
}

/// All writers at once replace `expected` by a label of their own. Returns those that succeeded.
async fn race(store: &PostgresStore, name: &LabelName, expected: Option<&Label>) -> Vec<Label> {
    let begin = Arc::new(Barrier::new(WRITERS));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, name, begin) = (store.clone(), name.clone(), begin.clone());
        let expected = expected.cloned();
        writers.spawn(async move {
            let value = match &expected {
                Some(expected) => label(format!("{expected}.{writer}")),
                None => label(writer.to_string()),
            };
            begin.wait().await;
            let before = store
                .replace_label(&name, expected.as_ref(), &value, &WriteOptions::default())
                .await
                .unwrap();
            (before == expected).then_some(value)
        });
    }
    writers.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_writers_one_sets_a_label_and_one_replaces_it() {
    let store = fresh().await;
    for round in 0..ROUNDS {
        let name = LabelName::new(&format!("label-{round}")).unwrap();
        let mut held = None;
        for _ in 0..2 {
            let winners = race(&store, &name, held.as_ref()).await;
            assert_eq!(winners.len(), 1, "{winners:?}");
            held = store.label(&name, &ReadOptions::strong()).await.unwrap();
            assert_eq!(held.as_ref(), winners.first());
        }
    }
}

#[tokio::test]
async fn a_label_that_is_not_as_expected_stays_and_is_returned() {
    let store = fresh().await;
    let name = LabelName::new("shard").unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|value| label(value.to_owned()));
    let options = WriteOptions::default();
    let replace = async |expected, value| {
        store.replace_label(&name, expected, value, &options).await.unwrap()
    };
    assert_eq!(replace(Some(&a), &b).await, None, "there is none to replace");
    assert_eq!(store.label(&name, &ReadOptions::strong()).await.unwrap(), None);
    assert_eq!(replace(None, &a).await, None);
    assert_eq!(replace(None, &b).await, Some(a.clone()));
    assert_eq!(replace(Some(&c), &b).await, Some(a.clone()));
    assert_eq!(replace(Some(&a), &a).await, Some(a.clone()), "replaced by itself");
    assert_eq!(replace(Some(&a), &b).await, Some(a.clone()));
    store.remove_event(&1.into()).await.unwrap();
    store.remove_user(&1.into()).await.unwrap();
    assert_eq!(store.label(&name, &ReadOptions::strong()).await.unwrap(), Some(b));
}

#[tokio::test]
async fn a_label_of_the_longest_value_is_kept() {
    let store = fresh().await;
    let name = LabelName::new("long").unwrap();
    let long = label("é".repeat(Label::MAX_BYTES / 2));
    store.replace_label(&name, None, &long, &WriteOptions::default()).await.unwrap();
    assert_eq!(store.label(&name, &ReadOptions::strong()).await.unwrap(), Some(long));
}
