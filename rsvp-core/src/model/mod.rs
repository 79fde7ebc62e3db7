//! The values that calls take and answers are made of: ids, writes, outcomes, consistency, pages, errors.

mod consistency;
mod error;
mod id;
mod operation;
mod page;
mod rsvp;
mod text;
mod token;

pub use self::consistency::{Consistency, Count};
pub use self::error::{Effect, Error, Result, Source};
pub use self::id::{EventId, MAX_ID_BYTES, UserId};
pub use self::operation::Operation;
pub use self::page::{Cursor, Page, PageLimit, PageRequest};
pub use self::rsvp::{Action, BatchReceipt, Outcome, Receipt, Removal, RemovalStep, Rsvp, Write};
pub use self::token::SessionToken;
