//! Ids read from an engine.

use crate::{Error, Operation, Result};

/// Checks an id read from an engine.
///
/// A store writes checked ids only.
/// So an illegal id means that another program has written to the engine.
///
/// ```
/// use rsvp_core::backend::stored_id;
/// use rsvp_core::{EventId, Operation};
///
/// let event = stored_id(Operation::Scan, EventId::new("101a"))?;
/// assert!(stored_id(Operation::Scan, EventId::new("")).is_err());
/// # Ok::<(), rsvp_core::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Corrupt`] if the id is illegal.
pub fn stored_id<T>(operation: Operation, id: Result<T>) -> Result<T> {
    id.map_err(|error| Error::corrupt(operation, format!("a stored id: {error}")))
}
