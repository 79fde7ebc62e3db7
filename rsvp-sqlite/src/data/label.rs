//! Labels, the small facts of a store about itself.

use rsvp_core::backend::stored_id;
use rsvp_core::{Label, LabelName, Operation};
use rusqlite::{Connection, OptionalExtension};

use super::change::{Care, Change};
use super::names::Changes;
use super::read::Read;
use crate::wire::failure::Failure;

/// Reads a label.
#[derive(Debug)]
pub(crate) struct ReadLabel {
    pub(crate) name: LabelName,
}

impl Read for ReadLabel {
    type Answer = Option<Label>;

    fn operation(&self) -> Operation {
        Operation::Label
    }

    fn read(&self, connection: &Connection) -> Result<Option<Label>, Failure> {
        stored(connection, &self.name)
    }
}

/// Sets a label if it has the expected value. The answer is the earlier label.
#[derive(Debug)]
pub(crate) struct ReplaceLabel {
    pub(crate) name: LabelName,
    pub(crate) expected: Option<Label>,
    pub(crate) value: Label,
}

impl Change for ReplaceLabel {
    type Answer = Option<Label>;

    fn operation(&self) -> Operation {
        Operation::ReplaceLabel
    }

    fn apply(&self, changes: &mut Changes<'_>, _: Care) -> Result<Option<Label>, Failure> {
        let connection = changes.connection();
        // The transaction holds the write lock, so no other writer changes the label in between.
        let before = stored(connection, &self.name)?;
        if before == self.expected {
            let sql = "INSERT INTO labels (name, value) VALUES (?1, ?2)
                       ON CONFLICT DO UPDATE SET value = excluded.value";
            connection.prepare_cached(sql)?.execute([self.name.as_str(), self.value.as_str()])?;
        }
        Ok(before)
    }
}

fn stored(connection: &Connection, name: &LabelName) -> Result<Option<Label>, Failure> {
    let mut query = connection.prepare_cached("SELECT value FROM labels WHERE name = ?1")?;
    let value = query.query_row([name.as_str()], |row| row.get::<_, String>(0)).optional()?;
    let label = |value| stored_id(Operation::Label, Label::new(value));
    let label = value.map(label).transpose();
    label.map_err(Failure::stored)
}
