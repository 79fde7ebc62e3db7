//! The serialized form of values in a host's API, if it differs from their fields.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::{Action, BatchReceipt, Error, EventId, Result, Rsvp, UserId, Write, Written};

/// The fields of a [`Write`], side by side.
#[derive(Serialize, Deserialize)]
pub(super) struct Fields {
    action: Action,
    user: UserId,
    event: EventId,
}

impl From<Fields> for Write {
    fn from(Fields { action, user, event }: Fields) -> Self {
        Self::new(action, Rsvp::new(user, event))
    }
}

impl From<Write> for Fields {
    fn from(Write { action, rsvp: Rsvp { user, event } }: Write) -> Self {
        Self { action, user, event }
    }
}

/// A duration as a whole number of milliseconds.
pub(super) mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Rounds up, because the age of a count is an upper bound.
    pub(in crate::model) fn whole(duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    pub(in crate::model) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(whole(*duration))
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// The result of one write: the fields of [`Written`], or `error`.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Written(&'a Written),
    Failed { error: &'a Error },
}

impl<'a> From<&'a Result<Written>> for Entry<'a> {
    fn from(result: &'a Result<Written>) -> Self {
        match result {
            Ok(written) => Self::Written(written),
            Err(error) => Self::Failed { error },
        }
    }
}

impl Serialize for BatchReceipt {
    /// Writes the fields `results` and `token`.
    /// A result has the fields of [`Written`], or the one field `error`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let results: Vec<Entry<'_>> = self.results.iter().map(Entry::from).collect();
        let mut receipt = serializer.serialize_struct("BatchReceipt", 2)?;
        receipt.serialize_field("results", &results)?;
        receipt.serialize_field("token", &self.token)?;
        receipt.end()
    }
}

impl Serialize for Error {
    /// Writes the fields `kind`, `message`, `field`, `effect`, `retryable` and `retry_after_ms`.
    /// `field` is null unless the input is wrong.
    /// `retry_after_ms` is null unless the effect is pending. The source stays inside.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let field = match self {
            Self::InvalidInput { field, .. } => Some(*field),
            _ => None,
        };
        let retry_after = self.retry_at().map(|at| milliseconds::whole(at.remaining()));
        let mut error = serializer.serialize_struct("Error", 6)?;
        error.serialize_field("kind", self.kind())?;
        error.serialize_field("message", &self.to_string())?;
        error.serialize_field("field", &field)?;
        error.serialize_field("effect", self.effect().as_str())?;
        error.serialize_field("retryable", &self.is_retryable())?;
        error.serialize_field("retry_after_ms", &retry_after)?;
        error.end()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::time::Duration;

    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        Count, Cursor, Deadline, Effect, Operation, Outcome, Page, Receipt, Removal, RemovalStep,
        SessionToken,
    };

    #[track_caller]
    fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, form: Value) {
        assert_eq!(serde_json::to_value(value).unwrap(), form);
        assert_eq!(serde_json::from_value::<T>(form).unwrap(), *value);
    }

    fn pair() -> Rsvp {
        Rsvp::new(UserId::from(1), EventId::new("101a").unwrap())
    }

    #[test]
    fn a_write_is_its_action_user_and_event() {
        let form = json!({"action": "rsvp", "user": "1", "event": "101a"});
        survives(&Write::new(Action::Rsvp, pair()), form);
        let form = json!({"action": "cancel", "user": 1, "event": "101a"});
        let cancel: Write = serde_json::from_value(form).unwrap();
        assert_eq!(cancel, Write::new(Action::Cancel, pair()));
        survives(&pair(), json!({"user": "1", "event": "101a"}));
        let empty = json!({"action": "rsvp", "user": "", "event": "101a"});
        assert!(serde_json::from_value::<Write>(empty).is_err());
    }

    #[test]
    fn the_answers_to_a_write_survive_the_journey() {
        let written = Written::new(Outcome::Unchanged).after_repetition();
        survives(&written, json!({"outcome": "unchanged", "repeated": true}));
        let receipt = Receipt::new(Written::new(Outcome::Applied), SessionToken::at(0x2a, 0x11));
        let form = json!({"outcome": "applied", "repeated": false, "token": "r1.2a-11"});
        survives(&receipt, form);
        let short: Written = serde_json::from_value(json!({"outcome": "applied"})).unwrap();
        assert!(!short.repeated);
        survives(
            &RemovalStep::new(3, true, SessionToken::new()),
            json!({"removed": 3, "more": true, "repeated": false, "token": "r1"}),
        );
        let form = json!({"removed": 0, "repeated": false, "token": "r1"});
        survives(&Removal::default(), form);
        let short: Removal = serde_json::from_value(json!({"removed": 2, "token": "r1"})).unwrap();
        assert_eq!((short.removed, short.repeated), (2, false));
    }

    #[test]
    fn the_age_of_a_count_is_never_rounded_down() {
        survives(&Count::fresh(7), json!({"value": 7, "age_ms": 0}));
        survives(&Count::aged(7, Duration::from_secs(5)), json!({"value": 7, "age_ms": 5000}));
        let young = Count::aged(7, Duration::from_nanos(1));
        assert_eq!(serde_json::to_value(young).unwrap(), json!({"value": 7, "age_ms": 1}));
    }

    #[test]
    fn a_page_is_its_items_and_where_the_next_one_begins() {
        let user = UserId::from(1);
        survives(&Page::last(vec![user.clone()]), json!({"items": ["1"], "next": null}));
        let next = Cursor::new([1, 2, 3]);
        survives(&Page::new(vec![user], Some(next)), json!({"items": ["1"], "next": "AQID"}));
    }

    #[test]
    fn every_entry_of_a_batch_has_its_answer_or_its_error() {
        let source = std::io::Error::other("connection to 10.1.2.3 refused");
        let lost = Error::unavailable(Operation::Write, Effect::Unknown, Some(source.into()));
        let results = vec![Ok(Written::new(Outcome::Applied)), Err(lost.clone())];
        let receipt = BatchReceipt::new(results, SessionToken::new());
        let error = json!({
            "kind": "unavailable",
            "message": lost.to_string(),
            "field": null,
            "effect": "unknown",
            "retryable": true,
            "retry_after_ms": null,
        });
        let results = json!([{"outcome": "applied", "repeated": false}, {"error": error}]);
        let form = serde_json::to_value(&receipt).unwrap();
        assert_eq!(form, json!({"results": results, "token": "r1"}));
        assert!(!form.to_string().contains("10.1.2.3"), "sources stay inside");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pending_effect_says_from_when_on_to_repeat() {
        let until = Deadline::after(Duration::from_millis(2500));
        let error = Error::unavailable(Operation::Write, Effect::Pending(until), None);
        let form = serde_json::to_value(&error).unwrap();
        assert_eq!((&form["effect"], &form["retry_after_ms"]), (&json!("pending"), &json!(2500)));
        let wrong = serde_json::to_value(Error::invalid_input("limit", "is zero")).unwrap();
        assert_eq!((&wrong["effect"], &wrong["field"]), (&json!("not_applied"), &json!("limit")));
    }
}
