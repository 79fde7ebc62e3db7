//! The conformance suite of the RSVP store.

#[cfg(feature = "servers")]
pub mod servers;
