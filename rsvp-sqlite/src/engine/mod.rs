//! The threads that do the work, and the way to them.

mod backup;
mod reader;
mod threads;
mod transaction;
mod writer;

pub(crate) use self::backup::BackupJob;
pub(crate) use self::threads::{Parts, Threads};
