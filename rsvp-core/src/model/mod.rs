//! The values of calls and answers: ids, writes, outcomes, consistency, pages, errors.

mod consistency;
mod deadline;
mod effect;
mod error;
mod health;
mod id;
mod label;
mod name;
mod operation;
mod options;
mod page;
mod rsvp;
#[cfg(feature = "serde")]
mod serial;
mod source;
mod text;
mod token;

pub use self::consistency::{Consistency, Count};
pub use self::deadline::Deadline;
pub use self::effect::Effect;
pub use self::error::{Error, Result};
pub use self::health::{Health, PartHealth, ReadyPolicy};
pub use self::id::{EventId, MAX_ID_BYTES, UserId};
pub use self::label::{Label, LabelName};
pub use self::name::{MAX_NAME_BYTES, check_name};
pub use self::operation::Operation;
pub use self::options::{ReadOptions, WriteOptions};
pub use self::page::{Cursor, Page, PageLimit, PageRequest};
pub use self::rsvp::{
    Action, BatchReceipt, Outcome, Receipt, Removal, RemovalStep, Rsvp, Write, Written,
};
pub use self::source::Source;
pub use self::token::SessionToken;
