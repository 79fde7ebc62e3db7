//! The servers, their connections, the owners of the slots, and the path of a request to its owner.

pub(crate) mod call;
pub(crate) mod client;
pub(crate) mod compare;
pub(crate) mod connection;
pub(crate) mod connector;
pub(crate) mod discovery;
pub(crate) mod exchange;
pub(crate) mod failure;
pub(crate) mod fence;
pub(crate) mod handshake;
pub(crate) mod node;
pub(crate) mod patience;
pub(crate) mod peer;
pub(crate) mod redirect;
pub(crate) mod request;
pub(crate) mod route;
pub(crate) mod sentinel;
pub(crate) mod settle;
pub(crate) mod slot;
pub(crate) mod slot_keys;
pub(crate) mod succession;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod topology;
