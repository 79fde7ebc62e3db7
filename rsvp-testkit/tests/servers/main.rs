//! The servers that tests start, and their end with the process that started them.

mod postgres;
mod redis;
mod victim;
