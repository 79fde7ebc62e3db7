//! The service as a process, and its requests.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use hyper::Method;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use rsvp_load::check::{Answer, Client};

/// A running service, killed when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    process: Child,
    pub(crate) address: String,
    /// Where the admin routes are, if they were asked for.
    pub(crate) admin: Option<String>,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::start_with(command().args(["--listen", "127.0.0.1:0"]))
    }

    pub(crate) fn start_with(command: &mut Command) -> Self {
        let has_admin = command.get_args().any(|argument| argument == "--admin-listen");
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
        let mut address = |announcement: &str| {
            let line = lines.next().map(Result::unwrap).unwrap_or_default();
            let address = line.strip_prefix(announcement).map(str::to_owned);
            address.unwrap_or_else(|| panic!("not {announcement:?}, but {line:?}"))
        };
        let public = address("listening on http://");
        let admin = has_admin.then(|| address("admin routes on http://"));
        Self { process, address: public, admin }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address).await.unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id().try_into().unwrap()), signal).unwrap();
    }

    /// How it ends, within a few seconds.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(8);
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the service does not end");
    }

    /// All it has written to a piped stderr, once it has ended.
    pub(crate) fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.process.stderr.as_mut().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn command() -> Command {
    Command::new(binary())
}

pub(crate) fn binary() -> PathBuf {
    path_of("http_api")
}

pub(crate) fn example(name: &str) -> Command {
    Command::new(path_of(name))
}

/// `target/<profile>/examples/<name>`, next to the folder of this test.
fn path_of(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().join("../examples").join(name);
    let release = if test.iter().any(|part| part == "release") { " --release" } else { "" };
    assert!(
        binary.exists(),
        "{} is missing: cargo build -p rsvp-http-api --example {name}{release}",
        binary.display()
    );
    binary
}

pub(crate) fn segment(id: &str) -> String {
    utf8_percent_encode(id, NON_ALPHANUMERIC).to_string()
}

pub(crate) async fn get(client: &mut Client, path: &str) -> Answer {
    client.send(Method::GET, path, &[]).await.unwrap()
}

pub(crate) async fn rsvp(client: &mut Client, event: &str, user: &str) -> Answer {
    write(client, Method::POST, event, user).await
}

pub(crate) async fn cancel(client: &mut Client, event: &str, user: &str) -> Answer {
    write(client, Method::DELETE, event, user).await
}

async fn write(client: &mut Client, method: Method, event: &str, user: &str) -> Answer {
    let path = format!("/events/{}/rsvp", segment(event));
    client.send(method, &path, &[("X-User-Id", user.as_bytes())]).await.unwrap()
}

#[track_caller]
pub(crate) fn assert_problem(answer: &Answer, status: u16, field: Option<&str>) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{answer:?}");
    assert_eq!(answer.json["type"], "about:blank", "{answer:?}");
    assert_eq!(answer.json["status"], status, "{answer:?}");
    assert_eq!(answer.json["title"].as_str(), answer.status.canonical_reason(), "{answer:?}");
    assert!(answer.json["detail"].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
    assert_eq!(answer.json.get("field").and_then(Value::as_str), field, "{answer:?}");
}
