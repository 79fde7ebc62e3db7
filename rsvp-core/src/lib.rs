#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
//!
//! - [`UserId`], [`EventId`]: checked once, at construction.
//! - [`RsvpStore`]: the small object-safe trait that a backend implements, batches first.
//! - [`RsvpStoreExt`]: the verbs that everyone calls, on every store for free.
//! - [`Consistency`], [`SessionToken`], [`Count`]: how fresh a read must be and how old it is.
//! - [`PageRequest`], [`Page`], [`Cursor`]: lists of any length.
//! - `layers`, with the cargo feature of this name: stores around a store, for coalescing, shards, a
//!   count cache, retries, timeouts, limits, metrics and spans.
//! - [`backend`]: the rules that backends share, such as a batch folded into a sorted set.
//! - [`url`]: the parser of a store's URL, for backends that are opened by URL.
//! - [`Error`]: what went wrong, whether it took effect and whether to repeat it.
//!
//! ```
//! use std::sync::Arc;
//! use rsvp_core::{Consistency, EventId, Result, RsvpStore, RsvpStoreExt, UserId};
//!
//! /// Shows a user their own RSVP at once, through whatever replicas the store reads from.
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
