//! The work of each kind of call, with its statements, arguments and answers.

pub(crate) mod batch;
mod count_slots;
pub(crate) mod counts;
pub(crate) mod label;
pub(crate) mod list_page;
pub(crate) mod listing;
pub(crate) mod locked_events;
pub(crate) mod membership;
pub(crate) mod ready;
pub(crate) mod removal_keys;
pub(crate) mod remove;
pub(crate) mod write;
