//! The users and events of a run.

use std::collections::HashSet;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::moves::Moves;

/// All users and events of a run.
#[derive(Debug)]
pub struct World {
    /// The users.
    pub users: Vec<Name>,
    /// The events.
    pub events: Vec<Event>,
    user_ids: HashSet<String>,
}

/// An event of a run.
#[derive(Debug)]
pub struct Event {
    /// Its id.
    pub name: Name,
    pub(crate) moves: Moves,
}

/// The id of a user or an event.
#[derive(Debug)]
pub struct Name {
    /// Its place among the users or the events.
    pub index: usize,
    /// The id.
    pub id: String,
    /// The id as a segment of a path.
    pub segment: String,
}

impl World {
    /// So many users and events, with ids that begin with `prefix`.
    pub fn new(prefix: &str, users: usize, events: usize) -> Self {
        let name = |kind: &str, index| {
            // Every id has characters that some layer could take for its own.
            let id = format!("{prefix}/{kind} {index} {{100%}} ü🎉");
            let segment = utf8_percent_encode(&id, NON_ALPHANUMERIC).to_string();
            Name { index, id, segment }
        };
        let users: Vec<_> = (0..users).map(|index| name("user", index)).collect();
        let event = |index| Event { name: name("event", index), moves: Moves::default() };
        let user_ids = users.iter().map(|user| user.id.clone()).collect();
        Self { users, events: (0..events).map(event).collect(), user_ids }
    }

    pub(crate) fn has_user(&self, id: &str) -> bool {
        self.user_ids.contains(id)
    }
}
