//! What an observed store traces. Alone in its process, which remembers whether a span is wanted.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fmt;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use rsvp_core::RsvpStoreExt;
use rsvp_core::layers::LayerExt;
use rsvp_memory::MemoryStore;
use rsvp_testkit::hostile_ids;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps whatever spans and events say.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<String>>);

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
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
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
