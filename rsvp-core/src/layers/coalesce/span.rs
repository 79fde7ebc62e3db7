//! The span of a batch, linked to the spans of its callers.

use tracing::{Span, debug_span, field};

use crate::Operation;

/// The greatest number of links of a span.
const MOST_LINKS: usize = 128;

/// The span of a batch under construction.
pub(super) struct BatchSpan {
    span: Span,
    links: usize,
}

impl BatchSpan {
    /// Makes a span without a parent, because a batch has many callers.
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

    /// Links the span to the span of a caller.
    pub(super) fn link(&mut self, caller: &Span) {
        if !self.span.is_disabled() && self.links < MOST_LINKS {
            self.links += 1;
            self.span.follows_from(caller.id());
        }
    }

    /// Returns the span, with the number of entries of the batch.
    pub(super) fn of(self, entries: usize) -> Span {
        self.span.record("entries", entries);
        self.span
    }
}
