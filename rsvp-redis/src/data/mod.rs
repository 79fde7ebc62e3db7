//! The data with its keys, and the commands to read and write it.

pub(crate) mod counts;
pub(crate) mod cursor;
pub(crate) mod event_writes;
pub(crate) mod keys;
pub(crate) mod labels;
pub(crate) mod listing;
pub(crate) mod membership;
pub(crate) mod ready;
pub(crate) mod remove;
pub(crate) mod reply;
pub(crate) mod scan_all;
pub(crate) mod scan_key;
mod scan_server;
mod scan_slots;
pub(crate) mod sweep;
pub(crate) mod transaction;
pub(crate) mod user_index;
pub(crate) mod write;

/// The most entries of a batch to send at once. The rest follows in pieces.
const MAX_PIECE: usize = 10_000;

fn set<T>(all: &mut [T], index: usize, value: T) {
    if let Some(place) = all.get_mut(index) {
        *place = value;
    }
}
