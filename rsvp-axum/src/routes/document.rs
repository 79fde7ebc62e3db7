//! The OpenAPI description.

use std::collections::BTreeMap;

use rsvp_core::{Effect, Error, Health, Operation};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation as Endpoint, Parameter};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{
    ContentBuilder, OpenApi as Document, Ref, RefOr, Response as ResponseDoc, ResponseBuilder,
};
use utoipa::{IntoResponses, OpenApi};

use super::public_routes;
use crate::Api;
use crate::config::PathUsers;
use crate::problem::{MEDIA_TYPE, Problem};

#[derive(OpenApi)]
#[openapi(info(license(name = "MIT OR Apache-2.0")), components(schemas(Problem)))]
struct Information;

pub(super) fn information(title: &str, description: &str) -> Document {
    let mut document = Information::openapi();
    document.info.title = title.to_owned();
    document.info.description = Some(description.to_owned());
    document
}

/// Returns the description of the public routes with these settings.
pub(crate) fn public_document(api: &Api) -> Document {
    let config = api.config();
    let mut document = public_routes(api).into_openapi();
    for (path, item) in &mut document.paths.paths {
        // These routes compare the caller with the user in the request. Behind a deciding gateway
        // they do not ask for the caller.
        let compares = path.ends_with("/users/{user_id}") || path == "/writes";
        let hides_user = config.identity.header.is_none()
            || compares && config.path_users == PathUsers::GatewayDecides;
        let endpoints = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for endpoint in endpoints.into_iter().filter_map(Option::as_mut) {
            describe_headers(endpoint, hides_user, config.timeout_header.as_str());
        }
    }
    for (name, member) in
        [("CountBatch", "event_ids"), ("MembershipBatch", "pairs"), ("WriteBatch", "writes")]
    {
        limit_items(&mut document, name, member, config.max_batch);
    }
    document
}

/// Removes the unused header of the identity, and sets the name of the header of the deadline.
fn describe_headers(endpoint: &mut Endpoint, hides_user: bool, timeout_header: &str) {
    let Some(parameters) = &mut endpoint.parameters else { return };
    let is = |parameter: &RefOr<Parameter>, name: &str| match parameter {
        RefOr::T(parameter) => parameter.name == name,
        RefOr::Ref(_) => false,
    };
    parameters.retain(|parameter| !(hides_user && is(parameter, "X-User-Id")));
    for parameter in parameters {
        if is(parameter, "Request-Timeout")
            && !timeout_header.eq_ignore_ascii_case("Request-Timeout")
            && let RefOr::T(parameter) = parameter
        {
            timeout_header.clone_into(&mut parameter.name);
        }
    }
}

/// Sets the maximum number of entries in a batch.
fn limit_items(document: &mut Document, name: &str, member: &str, max: usize) {
    let components = document.components.as_mut();
    let schema = components.and_then(|components| components.schemas.get_mut(name));
    if let Some(RefOr::T(Schema::Object(object))) = schema
        && let Some(RefOr::T(Schema::Array(array))) = object.properties.get_mut(member)
    {
        // The attribute of the type has the default of the setting.
        array.max_items = Some(max);
    }
}

type Responses = BTreeMap<String, RefOr<ResponseDoc>>;

/// The possible problems of every request to the store.
impl IntoResponses for Problem {
    fn responses() -> Responses {
        problems([
            ("400", "An input is wrong; `field` names it"),
            ("408", "The body did not come in time"),
            ("413", "The body is too large"),
            ("431", "The headers are too large (without a body)"),
            ("500", "The store failed"),
            ("503", "The store is overloaded, unavailable or closed"),
            ("504", "The store did not answer in time"),
        ])
    }
}

/// The problem of a write for another user.
pub(super) struct Forbidden;

impl IntoResponses for Forbidden {
    fn responses() -> Responses {
        problems([("403", "The user of the request may not write for this user")])
    }
}

/// The problems of a request with an `Idempotency-Key`.
pub(super) struct Repeated;

impl IntoResponses for Repeated {
    fn responses() -> Responses {
        problems([("409", "The request of this `Idempotency-Key` is running, or was another one")])
    }
}

/// The problem of a body with another media type.
pub(super) struct Unsupported;

impl IntoResponses for Unsupported {
    fn responses() -> Responses {
        problems([("415", "The body is not JSON")])
    }
}

/// The problem of a request without access to the admin routes.
/// The hook of the host may answer otherwise.
pub(super) struct Unauthorized;

impl IntoResponses for Unauthorized {
    fn responses() -> Responses {
        problems([("401", "The request is not an operator's")])
    }
}

fn problems<const N: usize>(listed: [(&str, &str); N]) -> Responses {
    listed
        .map(|(status, description)| (status.to_owned(), documented(status, description).into()))
        .into()
}

fn documented(status: &str, description: &str) -> ResponseDoc {
    let response = ResponseBuilder::new().description(description);
    match status {
        // Hyper answers this itself, before the routes, so there is no problem in its body.
        "431" => return response.build(),
        "503" | "504" => response.header("Retry-After", seconds("Seconds to wait")),
        "409" => {
            response.header("Retry-After", seconds("Seconds to wait, if the request is running"))
        }
        "500" => {
            response.header("Retry-After", seconds("As `retry_after`, if the effect is pending"))
        }
        _ => response,
    }
    .content(MEDIA_TYPE, problem_content())
    .build()
}

fn seconds(description: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().description(Some(description)).build()
}

fn problem_content() -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build()
}

/// Returns the health of a store without an answer in time.
pub(super) fn health_unavailable() -> Health {
    Health::of_whole(Err(Error::unavailable(Operation::Ready, Effect::NotApplied, None)))
}
