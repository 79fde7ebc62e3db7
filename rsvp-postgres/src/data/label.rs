//! Labels, which are small facts that the store keeps about itself.

use std::time::Duration;

use rsvp_core::{Label, LabelName, Operation};

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::work::Work;
use crate::wire::write_set::WriteSet;

/// Reads a label.
#[derive(Clone, Debug)]
pub(crate) struct ReadLabel {
    pub(crate) name: LabelName,
}

impl Work for ReadLabel {
    /// The stored value.
    type Answer = Option<String>;

    fn operation(&self) -> Operation {
        Operation::Label
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Option<String>, WorkError> {
        let query = sqlx::query_scalar(&sql.label).bind(self.name.as_str());
        let query = query.persistent(connection.keeps_statements());
        Ok(query.fetch_optional(&mut connection.pg).await?)
    }
}

/// Sets a label if it holds the expected value.
///
/// There is one statement for a new label and another for a label with a value,
/// because each can lock only the row that it expects.
#[derive(Clone, Debug)]
pub(crate) struct ReplaceLabel {
    pub(crate) name: LabelName,
    pub(crate) expected: Option<Label>,
    pub(crate) value: Label,
}

impl Work for ReplaceLabel {
    /// The stored value before the call.
    type Answer = Option<String>;

    fn operation(&self) -> Operation {
        Operation::ReplaceLabel
    }

    fn write_set(&self) -> WriteSet {
        WriteSet::of_label(&self.name)
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Option<String>, WorkError> {
        let statement = match self.expected {
            Some(_) => &sql.replace_label,
            None => &sql.set_label,
        };
        let mut query = sqlx::query_as(statement).bind(self.name.as_str());
        if let Some(expected) = &self.expected {
            query = query.bind(expected.as_str());
        }
        let query = query
            .bind(self.value.as_str())
            .bind(connection.latest_begin())
            .bind(connection.lock_timeout(Duration::MAX));
        let (in_time, synchronous, before) = connection.change(query).await?;
        connection.take_turn(in_time, synchronous)?;
        Ok(before)
    }
}
