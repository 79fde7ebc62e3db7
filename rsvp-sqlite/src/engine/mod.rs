//! The reader and writer threads.

mod backup;
mod reader;
mod threads;
mod transaction;
mod writer;

pub(crate) use self::backup::BackupJob;
pub(crate) use self::threads::{Parts, Threads};
