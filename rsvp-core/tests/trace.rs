//! What an observed store traces. Alone in its process, which remembers whether a span is wanted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use std::fmt;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use rsvp_core::RsvpStoreExt;
use rsvp_core::layers::{CoalesceConfig, LayerExt};
use rsvp_memory::MemoryStore;
use rsvp_testkit::hostile_ids;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

/// Keeps whatever spans and events say, and numbers the spans.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<String>>, Arc<Mutex<Spans>>);

#[derive(Default)]
struct Spans {
    all: Vec<&'static Metadata<'static>>,
    entered: Vec<Id>,
    /// Which span follows from which.
    links: Vec<(Numbered, Numbered)>,
}

/// The name and the number of a span.
type Numbered = (&'static str, u64);

impl Spans {
    fn name(&self, id: &Id) -> Numbered {
        let number = id.into_u64();
        (self.all[number as usize - 1].name(), number)
    }
}

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.lock().unwrap().push_str(&format!("{field}={value:?} "));
    }
}

impl Subscriber for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.lock().unwrap().push_str(&format!("{} ", span.metadata().target()));
        span.record(&mut self.clone());
        let mut spans = self.1.lock().unwrap();
        spans.all.push(span.metadata());
        Id::from_u64(spans.all.len() as u64)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        let mut spans = self.1.lock().unwrap();
        let link = (spans.name(span), spans.name(follows));
        spans.links.push(link);
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, span: &Id) {
        self.1.lock().unwrap().entered.push(span.clone());
    }

    fn exit(&self, _: &Id) {
        self.1.lock().unwrap().entered.pop();
    }

    fn current_span(&self) -> Current {
        let spans = self.1.lock().unwrap();
        match spans.entered.last() {
            Some(id) => Current::new(id.clone(), spans.all[id.into_u64() as usize - 1]),
            None => Current::none(),
        }
    }
}

#[test]
fn a_call_is_a_span_with_its_result_and_no_id() {
    let heard = Heard::default();
    let ids: Vec<String> = hostile_ids().into_iter().filter(|id| id.len() > 4).collect();
    tracing::subscriber::with_default(heard.clone(), || {
        let store = MemoryStore::new().with_observer("tickets").unwrap();
        for id in &ids {
            let (user, event) = (id.parse().unwrap(), id.parse().unwrap());
            store.rsvp(&user, &event).now_or_never().unwrap().unwrap();
            store.has_rsvped(&user, &event).now_or_never().unwrap().unwrap();
        }
    });
    let heard = heard.0.lock().unwrap();
    let write = "rsvp store=\"tickets\" operation=\"write\" entries=1 result=\"ok\" ";
    assert!(heard.starts_with(write), "{heard}");
    assert_eq!(heard.matches("result=").count(), 2 * ids.len(), "{heard}");
    for id in ids {
        assert!(!heard.contains(&id), "{id:?} in {heard}");
    }
}

#[test]
fn the_span_of_a_batch_is_linked_to_those_of_its_callers() {
    let heard = Heard::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tracing::subscriber::with_default(heard.clone(), || {
        let inside = MemoryStore::new().with_observer("inside").unwrap();
        let store = inside.with_coalescing(CoalesceConfig::default()).unwrap();
        let store = store.with_observer("outside").unwrap();
        let (ann, bob, fair) =
            ("ann".parse().unwrap(), "bob".parse().unwrap(), "fair".parse().unwrap());
        runtime.block_on(async {
            let (ann, bob) = tokio::join!(store.rsvp(&ann, &fair), store.rsvp(&bob, &fair));
            ann.and(bob).unwrap();
            store.has_rsvped(&"ann".parse().unwrap(), &fair).await.unwrap();
        });
    });
    let spans = heard.1.lock().unwrap();
    let names: Vec<_> = spans.all.iter().map(|span| span.name()).collect();
    let write = ["rsvp", "rsvp", "rsvp_batch", "rsvp"];
    assert_eq!(names, [&write[..], &["rsvp", "rsvp_batch", "rsvp"]].concat());
    let links = [(3, 1), (3, 2), (6, 5)];
    assert_eq!(spans.links, links.map(|(batch, caller)| (("rsvp_batch", batch), ("rsvp", caller))));
    assert!(heard.0.lock().unwrap().contains("rsvp operation=\"write\" entries=2 "));
}
