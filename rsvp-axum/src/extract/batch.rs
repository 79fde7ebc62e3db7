//! The entries of a batch, from a JSON body.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use rsvp_core::{Error, Operation};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};

use crate::Api;
use crate::body;
use crate::problem::Problem;

/// The maximum number of bytes of JSON for an entry, on average.
///
/// It is enough for two ids of 255 bytes with some escapes, and for the names of the members.
const BYTES_PER_ENTRY: usize = 1200;

/// The maximum number of bytes of a small body. Only a larger one needs a permit while it arrives.
const SMALL_BYTES: u64 = 64 * 1024;

/// A JSON body with a batch.
pub(crate) trait Batch: DeserializeOwned {
    /// The name of the member with the entries.
    const FIELD: &'static str;

    fn len(&self) -> usize;
}

/// A batch of a request, with the permit to keep it in memory.
#[derive(Debug)]
pub(crate) struct Entries<B> {
    pub(crate) batch: B,
    /// The hash of the body.
    pub(crate) fingerprint: u64,
    /// Held as long as the batch, because the number of batches in memory is bounded.
    pub(crate) slot: OwnedSemaphorePermit,
}

impl<B: Batch> FromRequest<Api> for Entries<B> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        // 1. Check the head of the request, before its body arrives.
        if !is_json(&request) {
            let detail = "the body must be JSON (Content-Type: application/json)";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        // 2. Read the body. A large one needs a permit while it arrives,
        //    so that clients that never send their bodies can hold up large batches only.
        let (body, max) = (request.into_body(), api.config().max_batch);
        let is_large = body.size_hint().upper().is_none_or(|bytes| bytes > SMALL_BYTES);
        let arriving = match is_large {
            true => Some(api.large_bodies().try_acquire().map_err(refused)?),
            false => None,
        };
        let bytes = body::read(body, max.saturating_mul(BYTES_PER_ENTRY)).await?;
        let slot = Arc::clone(api.batch_slots()).try_acquire_owned().map_err(refused)?;
        drop(arriving);
        let batch: B = serde_json::from_slice(&bytes).map_err(|error| {
            let detail = format!("the body is not such a batch: {error}");
            Problem::new(StatusCode::BAD_REQUEST, detail).of_field(B::FIELD)
        })?;

        // 3. Check the number of entries. Each entry is checked later, and fails alone.
        if !(1..=max).contains(&batch.len()) {
            let reason = format!("has {} entries; a batch has 1 to {max}", batch.len());
            return Err(Error::invalid_input(B::FIELD, reason).into());
        }
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Ok(Self { batch, fingerprint: hasher.finish(), slot })
    }
}

fn refused(_: TryAcquireError) -> Error {
    Error::overloaded(Operation::Write)
}

fn is_json(request: &Request) -> bool {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}
