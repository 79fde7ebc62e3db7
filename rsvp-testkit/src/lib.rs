//! The conformance suite of the RSVP store.
