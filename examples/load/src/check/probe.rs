//! Requests whose answers are measured and compared.

use std::collections::HashSet;

use hyper::{Method, StatusCode};
use rsvp::SessionToken;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Answer, Client, Failure};
use super::report::Tally;
use super::world::{Event, Name};

/// No list takes more pages than this, unless its cursors go round in circles.
const MOST_PAGES: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Probe {
    client: Client,
    pub(crate) session: SessionToken,
    pub(crate) tally: Tally,
}

impl Probe {
    pub(crate) async fn connect(address: &str, session: SessionToken) -> Result<Self, Failure> {
        let client = Client::connect(address).await?;
        Ok(Self { client, session, tally: Tally::default() })
    }

    pub(crate) async fn write(
        &mut self,
        rsvp: bool,
        user: &Name,
        event: &Event,
        applies: bool,
    ) -> Result<(), Failure> {
        let (verb, method) = if rsvp { ("rsvp", Method::POST) } else { ("cancel", Method::DELETE) };
        let path = format!("/events/{}/rsvp", event.name.segment);
        let headers = [("X-User-Id", user.id.as_bytes())];
        let answer = self.send(verb, method, &path, &headers).await?;

        // After a repetition `unchanged` is right too, since an earlier attempt may have applied it.
        let repeated = answer.json.get("repeated").is_some();
        let unchanged = answer.json.get("outcome").is_some_and(|outcome| outcome == "unchanged");
        let applies = applies && !(repeated && unchanged);
        let status = if rsvp && applies { StatusCode::CREATED } else { StatusCode::OK };
        let outcome = if applies { "applied" } else { "unchanged" };
        let (event_id, user_id) = (&event.name.id, &user.id);
        let mut body = json!({"event_id": event_id, "user_id": user_id, "outcome": outcome});
        if let (true, Some(body)) = (repeated, body.as_object_mut()) {
            body.insert("repeated".to_owned(), json!(true));
        }
        self.compare(verb, &answer, status, &body);

        let token = answer.headers.get("RSVP-Session").and_then(|value| value.to_str().ok());
        let token = token.and_then(|text| text.parse::<SessionToken>().ok());
        self.tally.check(token.is_some(), || format!("{verb}: no session in {answer:?}"));
        self.session.merge(&token.unwrap_or_default());
        Ok(())
    }

    pub(crate) async fn has_rsvped(
        &mut self,
        user: &Name,
        event: &Event,
        expected: bool,
        in_session: bool,
    ) -> Result<(), Failure> {
        let path = format!("/events/{}/users/{}", event.name.segment, user.segment);
        let answer = self.get("has_rsvped", &path, in_session).await?;
        let body = json!({"event_id": event.name.id, "user_id": user.id, "rsvped": expected});
        self.compare("has_rsvped", &answer, StatusCode::OK, &body);
        Ok(())
    }

    /// Asks for a count, and returns it with its age in milliseconds.
    pub(crate) async fn rsvp_count(
        &mut self,
        event: &Event,
        in_session: bool,
    ) -> Result<(u64, u64), Failure> {
        let path = format!("/events/{}/rsvp_count", event.name.segment);
        let answer = self.get("rsvp_count", &path, in_session).await?;
        let number = |name| answer.json.get(name).and_then(Value::as_u64);
        let (count, age) = (number("count").unwrap_or(u64::MAX), number("age_ms").unwrap_or(0));
        let body = json!({"event_id": event.name.id, "count": count, "age_ms": age});
        self.compare("rsvp_count", &answer, StatusCode::OK, &body);
        Ok((count, age))
    }

    /// Reads a whole list, in pages of at most `limit`.
    pub(crate) async fn list(
        &mut self,
        verb: &'static str,
        path: &str,
        limit: usize,
        in_session: bool,
    ) -> Result<Vec<String>, Failure> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        for _ in 0..MOST_PAGES {
            let page = format!("{path}?limit={limit}&cursor={cursor}");
            let answer = self.get(verb, &page, in_session).await?;
            let items: Vec<String> = member(&answer.json, "items")?;
            let fits = answer.status == StatusCode::OK && items.len() <= limit;
            self.tally.check(fits, || format!("{verb} of {limit}: {answer:?}"));
            all.extend(items);
            match member(&answer.json, "next_cursor")? {
                Some(next) => cursor = next,
                None => return Ok(all),
            }
        }
        Err(format!("{path} has no last page").into())
    }

    /// Compares a list in which nothing changed while it was read.
    pub(crate) fn compare_list(&mut self, what: &str, list: &[String], expected: &HashSet<&str>) {
        let listed: HashSet<&str> = list.iter().map(String::as_str).collect();
        let same = listed == *expected && list.len() == expected.len();
        let sizes = (list.len(), listed.len(), expected.len());
        self.tally.check(same, || format!("{what}: items, distinct, expected: {sizes:?}"));
    }

    fn compare(&mut self, verb: &str, answer: &Answer, status: StatusCode, body: &Value) {
        let same = answer.status == status && answer.json == *body;
        self.tally.check(same, || format!("{verb}: expected {status} {body}, got {answer:?}"));
    }

    async fn get(
        &mut self,
        verb: &'static str,
        path: &str,
        in_session: bool,
    ) -> Result<Answer, Failure> {
        let session = in_session.then(|| self.session.to_string());
        let header = session.as_ref().map(|token| ("RSVP-Session", token.as_bytes()));
        self.send(verb, Method::GET, path, header.as_slice()).await
    }

    async fn send(
        &mut self,
        verb: &'static str,
        method: Method,
        path: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Answer, Failure> {
        let begin = Instant::now();
        let answer = self.client.send(method, path, headers).await?;
        self.tally.took(verb, begin.elapsed());
        Ok(answer)
    }
}

fn member<T: serde::de::DeserializeOwned>(json: &Value, name: &str) -> Result<T, Failure> {
    let member = json.get(name).ok_or_else(|| format!("no {name} in {json}"))?;
    Ok(T::deserialize(member)?)
}
