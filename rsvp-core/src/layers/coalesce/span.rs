//! The span of a batch, which is linked to those of its callers.

use tracing::{Span, debug_span, field};

use crate::Operation;

/// The most callers that the span of a batch is linked to.
const MOST_LINKS: usize = 128;

/// The span of a batch that is put together.
pub(super) struct BatchSpan {
    span: Span,
    links: usize,
}

impl BatchSpan {
    /// A span without a parent, since a batch has many callers.
    pub(super) fn new(operation: Operation) -> Self {
        let span = debug_span!(
            target: "rsvp",
            parent: None,
            "rsvp_batch",
            operation = operation.as_str(),
            entries = field::Empty,
        );
        Self { span, links: 0 }
    }

    /// Links it to the span of a caller.
    pub(super) fn link(&mut self, caller: &Span) {
        if !self.span.is_disabled() && self.links < MOST_LINKS {
            self.links += 1;
            self.span.follows_from(caller.id());
        }
    }

    /// The span of a batch of so many entries.
    pub(super) fn of(self, entries: usize) -> Span {
        self.span.record("entries", entries);
        self.span
    }
}
