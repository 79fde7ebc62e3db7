//! A running service.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hyper::{Method, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rsvp::{Action, Effect, EventId, Outcome, Rsvp, UserId, Write};
use serde_json::Value;
use tokio::time::timeout;

use super::{Answer, Failed, PAGE, Target};
use crate::Failure;
use crate::check::Client;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running service, over connections that are kept alive. There are as many as calls at once.
#[derive(Debug)]
pub struct HttpTarget {
    address: String,
    /// The path that the routes are nested at.
    path: String,
    idle: Mutex<Vec<Client>>,
}

impl HttpTarget {
    /// The service at `url`, such as `http://127.0.0.1:8080`, perhaps with a path before its routes.
    ///
    /// # Errors
    ///
    /// If the URL has no host, or does not begin with `http:`.
    pub fn new(url: &str) -> Result<Self, Failure> {
        let url: Uri = url.parse()?;
        if url.scheme_str() != Some("http") {
            return Err("the URL of the service must begin with http://".into());
        }
        let authority = url.authority().ok_or("the URL of the service has no host")?;
        let port = authority.port_u16().unwrap_or(80);
        let address = format!("{}:{port}", authority.host());
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { address, path, idle: Mutex::default() })
    }

    async fn send(&self, method: Method, path: &str, user: Option<&UserId>) -> Answer<Value> {
        let path = format!("{}{path}", self.path);
        let headers = user.map(|user| ("X-User-Id", user.as_str().as_bytes()));
        let exchange = async {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            // A connection that the service has closed in the meantime is not an error of the call.
            let mut client = match idle.filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => Client::connect(&self.address).await?,
            };
            let answer = client.send(method, &path, headers.as_slice()).await?;
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
            Ok::<_, Failure>(answer)
        };
        let late = |_| Failed::new("timed_out", "no answer in time");
        let answer = timeout(TIMEOUT, exchange).await.map_err(late)?;
        let answer = answer.map_err(|error| Failed::new("connection", error))?;
        if answer.status.is_success() {
            return Ok(answer.json);
        }
        let kind = format!("http_{}", answer.status.as_u16());
        Err(Failed { effect: effect(&answer.json), ..Failed::new(&kind, answer.json) })
    }
}

/// Whether a refused write took effect, as the problem details say.
fn effect(problem: &Value) -> Effect {
    match problem.get("effect").and_then(Value::as_str) {
        Some("not_applied") => Effect::NotApplied,
        _ => Effect::Unknown,
    }
}

fn segment(id: &str) -> impl std::fmt::Display {
    utf8_percent_encode(id, NON_ALPHANUMERIC)
}

fn field<'a>(json: &'a Value, name: &str) -> Answer<&'a Value> {
    json.get(name).ok_or_else(|| Failed::new("corrupt", format!("no {name} in {json}")))
}

fn items(page: &Value) -> Answer<usize> {
    Ok(field(page, "items")?.as_array().map_or(0, Vec::len))
}

#[async_trait]
impl Target for HttpTarget {
    async fn write(&self, Write { action, rsvp, .. }: &Write) -> Answer<Outcome> {
        let method = match action {
            Action::Rsvp => Method::POST,
            Action::Cancel => Method::DELETE,
        };
        let path = format!("/events/{}/rsvp", segment(rsvp.event.as_str()));
        let written = self.send(method, &path, Some(&rsvp.user)).await?;
        Ok(Outcome::from_changed(field(&written, "outcome")? == "applied"))
    }

    async fn has_rsvped(&self, Rsvp { user, event }: &Rsvp) -> Answer<bool> {
        let (event, id) = (segment(event.as_str()), segment(user.as_str()));
        let path = format!("/events/{event}/users/{id}");
        let membership = self.send(Method::GET, &path, None).await?;
        Ok(field(&membership, "rsvped")? == true)
    }

    async fn rsvp_count(&self, event: &EventId) -> Answer<u64> {
        let path = format!("/events/{}/rsvp_count", segment(event.as_str()));
        let counted = self.send(Method::GET, &path, None).await?;
        let count = field(&counted, "count")?.as_u64();
        count.ok_or_else(|| Failed::new("corrupt", "a count that is no number"))
    }

    async fn attendees(&self, event: &EventId) -> Answer<usize> {
        let path = format!("/events/{}/users?limit={PAGE}", segment(event.as_str()));
        items(&self.send(Method::GET, &path, None).await?)
    }

    async fn events_of(&self, user: &UserId) -> Answer<usize> {
        let path = format!("/users/{}/events?limit={PAGE}", segment(user.as_str()));
        items(&self.send(Method::GET, &path, Some(user)).await?)
    }

    /// The service removes events for operators only, so that they stay.
    async fn clear(&self, _events: &[EventId], _users: &[UserId]) -> Answer<()> {
        Ok(())
    }
}
