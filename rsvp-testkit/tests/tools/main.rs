//! The tools of the kit: the store that fails on purpose, the ledger, and the staleness measurement.

mod fault_store;
mod ledger;
mod staleness;
