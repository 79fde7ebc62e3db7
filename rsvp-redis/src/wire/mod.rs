//! The servers, their connections, the owners of the slots, and the path of a request to its owner.

pub(crate) mod call_deadline;
pub(crate) mod client;
pub(crate) mod compare_and_set;
pub(crate) mod connection;
pub(crate) mod connection_fence;
pub(crate) mod connection_identity;
pub(crate) mod connector;
pub(crate) mod failure;
pub(crate) mod handshake;
pub(crate) mod latest_primary;
pub(crate) mod node;
pub(crate) mod pipeline;
pub(crate) mod redirect;
pub(crate) mod replica_wait;
pub(crate) mod reply_timeout;
pub(crate) mod request;
pub(crate) mod route;
pub(crate) mod sentinel;
pub(crate) mod slot;
pub(crate) mod slot_keys;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod topology;
pub(crate) mod topology_refresh;
pub(crate) mod unanswered_writes;
