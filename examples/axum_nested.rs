//! An axum app of its own, with its own authentication, that has the RSVP routes in it.
//!
//! ```text
//! cargo run --example axum_nested -- 127.0.0.1:8080
//! curl -X POST -d ada 127.0.0.1:8080/login                              # answers a token
//! curl -X POST -H 'Authorization: Bearer TOKEN' 127.0.0.1:8080/rsvp/events/101a/rsvp
//! ```

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::{StatusCode, header::AUTHORIZATION, request::Parts};
use axum::routing::{get, post};
use rsvp::UserId;
use rsvp_axum::{Api, App, Config, Identity, Problem, Server, ServerConfig, Stop};
use tokio::net::TcpListener;

/// The sessions of the app: a token for each user who is logged in.
#[derive(Clone, Debug, Default)]
struct Sessions(Arc<RwLock<HashMap<String, UserId>>>);

/// The user of a request, known by a token of this app.
struct Member(UserId);

impl From<Member> for UserId {
    fn from(member: Member) -> Self {
        member.0
    }
}

impl<S: Sync> FromRequestParts<S> for Member
where
    Sessions: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
        let sessions = Sessions::from_ref(state).0;
        let user = sessions.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned();
        user.map(Member).ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "log in first"))
    }
}

/// A real app asks for a password.
async fn login(State(sessions): State<Sessions>, name: String) -> Result<String, StatusCode> {
    let user = UserId::new(&name).map_err(|_| StatusCode::BAD_REQUEST)?;
    let token = format!("{:016x}", RandomState::new().hash_one(&name));
    sessions.0.write().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), user);
    Ok(token)
}

async fn greet(Member(user): Member) -> String {
    format!("Hello, {user}!")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = rsvp::open("memory:?coalesce=true&count_cache=5s").await?;
    let sessions = Sessions::default();
    let identity = Identity::extractor::<Member, Sessions>(sessions.clone());
    let api = Api::new(store, Config::default().with_identity(identity));
    let router = Router::new()
        .route("/login", post(login))
        .route("/", get(greet))
        .nest("/rsvp", api.router())
        .with_state(sessions);

    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let app = async { Ok(App::new(api).with_router(router)) };
    Server::new(listener, ServerConfig::default()).run(app, Stop::on_signals()?).await?;
    Ok(())
}
