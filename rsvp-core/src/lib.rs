#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
//!
//! - [`UserId`] and [`EventId`] are checked at construction.
//! - [`RsvpStore`] is the small object-safe trait of a backend. Its calls are batches.
//! - [`RsvpStoreExt`] has the verbs of hosts. Every store has them.
//! - [`Consistency`], [`SessionToken`] and [`Count`] say how fresh a read must be,
//!   and how old a count is.
//! - [`PageRequest`], [`Page`] and [`Cursor`] read lists of any length.
//! - `layers`, with the cargo feature of this name, has stores around a store.
//!   They coalesce, shard, cache counts, retry, limit time and concurrency, and report metrics
//!   and spans.
//! - [`backend`] has the rules shared by backends, such as folding a batch into a sorted set.
//! - [`url`] parses the URL of a store, for backends opened by URL.
//! - [`Error`] says whether a failed call took effect, and whether to repeat it.
//!
//! ```
//! use std::sync::Arc;
//! use rsvp_core::{Consistency, EventId, Result, RsvpStore, RsvpStoreExt, UserId};
//!
//! /// Shows a user their own RSVP at once, even if the store reads from replicas.
//! async fn rsvp_and_show(store: Arc<dyn RsvpStore>) -> Result<bool> {
//!     let (user, event) = (UserId::from(1_u64), EventId::new("101a")?);
//!     let receipt = store.rsvp(&user, &event).await?;
//!     let session = Consistency::Session(receipt.token);
//!     store.has_rsvped_with(&user, &event, session).await
//! }
//! ```

pub mod backend;
#[cfg(feature = "layers")]
pub mod layers;
mod model;
mod store;
pub mod url;

pub use async_trait::async_trait;

pub use self::model::{
    Action, BatchReceipt, Consistency, Count, Cursor, Deadline, Effect, Error, EventId, Health,
    Label, LabelName, MAX_ID_BYTES, Operation, Outcome, Page, PageLimit, PageRequest, PartHealth,
    ReadOptions, ReadyPolicy, Receipt, Removal, RemovalStep, Result, Rsvp, SessionToken, Source,
    UserId, Write, WriteOptions, Written,
};
pub use self::store::{
    Audit, AuditStep, Finding, FindingKind, Maintenance, RsvpStore, RsvpStoreExt,
};
