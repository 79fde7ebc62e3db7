//! The program as operators run it, on a store in a file.
#![expect(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::process::{Command, Output};

use rsvp::{EventId, RsvpStoreExt, UserId};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A store in a file, with three users at one event and one of them at another.
struct Subject {
    folder: TempDir,
    url: String,
}

impl Subject {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("rsvps.db").display());
        let subject = Self { folder, url };
        subject.with_store(async |store| {
            for (user, event) in [("a", "1"), ("b", "1"), ("José 🎉", "1"), ("a", "2")] {
                store.rsvp(&UserId::new(user)?, &EventId::new(event)?).await?;
            }
            Ok(())
        });
        subject
    }

    fn with_store<T>(&self, work: impl AsyncFnOnce(&dyn rsvp::RsvpStore) -> rsvp::Result<T>) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = rsvp::open(&self.url).await.unwrap();
            let done = work(&*store).await.unwrap();
            store.close().await.unwrap();
            done
        })
    }

    fn count(&self, event: &str) -> u64 {
        let event = EventId::new(event).unwrap();
        self.with_store(async |store| Ok(store.rsvp_count(&event).await?.value))
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(
            Command::new(env!("CARGO_BIN_EXE_rsvpctl"))
                .env("RSVP_STORE", &self.url)
                .args(arguments),
        )
    }
}

/// What the program answered.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        Self { code: status.code(), stdout, stderr }
    }

    fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_store_that_is_ready_is_told_so() {
    let subject = Subject::new();
    let ran = subject.run(&["ping"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "store: ready\n"));
    let ran = subject.run(&["ping", "--json"]);
    assert_eq!(ran.json(), [json!({"part": "store", "ready": true})]);
}

#[test]
fn a_user_and_an_event_are_erased() {
    let subject = Subject::new();
    let ran = subject.run(&["--json", "erase-user", "a"]);
    assert_eq!((ran.code, ran.json()), (Some(0), vec![json!({"removed": 2, "repeated": false})]));
    assert_eq!((subject.count("1"), subject.count("2")), (2, 0));
    let ran = subject.run(&["erase-event", "1"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "2 RSVPs removed, none is left\n"));
    assert_eq!(subject.count("1"), 0);
    assert_eq!(subject.run(&["erase-user", "José 🎉"]).code, Some(0), "again and again");
}

#[test]
fn a_wrong_count_is_found_then_mended() {
    let subject = Subject::new();
    let ran = subject.run(&["audit", "--json"]);
    assert_eq!((ran.code, ran.json().last().unwrap()["findings"].clone()), (Some(0), json!(0)));

    let file = rusqlite::Connection::open(subject.folder.path().join("rsvps.db")).unwrap();
    file.execute_batch("UPDATE events SET count = 7 WHERE name = '1'").unwrap();
    drop(file);
    let ran = subject.run(&["audit", "--json"]);
    let finding = json!({"finding": "count", "event_id": "1", "held": 3, "counted": 7});
    assert_eq!((ran.code, &ran.json()[0]), (Some(1), &finding));
    let ran = subject.run(&["audit"]);
    assert!(ran.stdout.starts_with("event 1: the count is 7, but there are 3 RSVPs\n"), "{ran:?}");
    assert_eq!(subject.run(&["repair"]).code, Some(0));
    assert_eq!((subject.run(&["audit"]).code, subject.count("1")), (Some(0), 3));
}

#[test]
fn a_file_is_copied_while_a_service_has_it() {
    let subject = Subject::new();
    let copy = subject.folder.path().join("copy.db");
    let copy = copy.to_str().unwrap();
    subject.with_store(async |running| {
        running.rsvp(&UserId::new("late")?, &EventId::new("1")?).await?;
        let ran = subject.run(&["backup", copy, "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.json()[0]["bytes"].as_u64() > Some(0), "{ran:?}");
        running.rsvp(&UserId::new("later")?, &EventId::new("1")?).await?;
        Ok(())
    });
    let of_copy = Subject { folder: tempfile::tempdir().unwrap(), url: format!("sqlite:{copy}") };
    assert_eq!((of_copy.count("1"), subject.count("1")), (4, 5));
    assert_eq!(of_copy.run(&["audit"]).code, Some(0));

    // It replaces nothing, and copies no store that there is not.
    assert_eq!(subject.run(&["backup", copy]).code, Some(2));
    let to = subject.folder.path().join("none.db");
    let other = subject.folder.path().join("text");
    std::fs::write(&other, "a text of another application, which is long enough").unwrap();
    for url in ["memory:", "sqlite:/nowhere/a.db", &format!("sqlite:{}", other.display())] {
        let ran = subject.run(&["backup", to.to_str().unwrap(), "--store", url]);
        assert_eq!((ran.code, to.exists()), (Some(2), false), "{ran:?}");
    }
}

#[test]
fn the_url_may_come_from_a_file_and_is_never_repeated() {
    let subject = Subject::new();
    let path = subject.folder.path().join("url");
    std::fs::write(&path, format!("{}\n", subject.url)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsvpctl"));
    command.env_remove("RSVP_STORE").arg("--store-file").arg(&path).arg("ping");
    assert_eq!(Ran::of(&mut command).code, Some(0));
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsvpctl"));
    command.env("RSVP_STORE", "pigeon://coop").arg("--store-file").arg(&path).arg("ping");
    assert_eq!(Ran::of(&mut command).code, Some(0), "the file comes first");

    for arguments in [
        &["--store", "pigeon://user:secret@coop", "ping"][..],
        &["--store-file", "/nowhere/url", "ping"],
        &["ping"],
        &["--store", "memory:", "erase-user", ""],
        &["--store", "memory:", "schema"],
        &["--store", "memory:", "audit"],
        &["--store", "memory:", "fly"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rsvpctl"));
        let ran = Ran::of(command.env_remove("RSVP_STORE").args(arguments));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty() && !ran.stderr.contains("secret"), "{ran:?}");
    }
}

#[test]
fn a_reader_that_has_enough_does_not_fail_a_command() {
    let subject = Subject::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsvpctl"));
    let command = command.args(["--store", &subject.url, "erase-user", "ann"]).stdout(writer);
    let code = command.status().unwrap().code();
    assert_eq!(code, Some(0));
}

#[cfg(feature = "postgres")]
#[test]
fn the_schema_is_printed_without_a_server() {
    let subject = Subject::new();
    let url = "postgres://app:secret@nowhere/tickets?schema=ours&coalesce=true";
    let ran = subject.run(&["--store", url, "schema"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("CREATE SCHEMA") && ran.stdout.contains("ours"), "{ran:?}");
    assert!(!ran.stdout.contains("secret"));
}

#[cfg(feature = "postgres")]
#[test]
fn a_store_that_is_away_is_a_failure_that_says_whether_to_repeat() {
    let subject = Subject::new();
    let url = "postgres://app:secret@127.0.0.1:1/tickets?connect_timeout=1s";
    let ran = subject.run(&["--json", "--store", url, "ping"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
    let failure: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(failure["details"]["retryable"], true, "{failure}");
    assert!(!ran.stderr.contains("secret"));
}
