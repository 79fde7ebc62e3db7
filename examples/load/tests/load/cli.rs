//! The program, as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rsvp_load::Summary;

/// `target/<profile>/examples/load`, next to the folder of this test.
fn load(arguments: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let binary: PathBuf = test.parent().unwrap().join("../examples/load");
    assert!(
        binary.exists(),
        "{} is missing: cargo build -p rsvp-load --examples",
        binary.display()
    );
    let mut command = Command::new(binary);
    command.args(arguments.split_whitespace());
    command
}

fn run(folder: &Path, arguments: &str) -> Output {
    load(arguments).current_dir(folder).output().unwrap()
}

fn read(folder: &Path, file: &str) -> Summary {
    serde_json::from_str(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap()
}

#[test]
fn a_run_writes_json_and_a_report_and_reaches_its_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let first = "--seconds 0.6 --rate 500 --json a.json --report a.html --compare by-hand --seed 7";
    let output = run(folder.path(), first);
    assert!(output.status.success(), "{output:?}");
    let summary = read(folder.path(), "a.json");
    assert_eq!((summary.store.as_str(), summary.seed), ("memory", 7));
    assert!(summary.by_hand.is_some() && summary.ratio.is_some(), "{summary:?}");
    let report = std::fs::read_to_string(folder.path().join("a.html")).unwrap();
    assert!(report.starts_with("<!doctype html>") && report.contains("memory, by hand"));

    // Nothing is as bad as this.
    let second = "--seconds 0.6 --rate 500 --baseline a.json --fail-on-regression 100000%";
    let output = run(folder.path(), second);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_regression_is_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), "--seconds 0.3 --scenario reads --json a.json").status.success());
    let better = Summary { calls_per_second: 1e12, ..read(folder.path(), "a.json") };
    std::fs::write(folder.path().join("a.json"), serde_json::to_string(&better).unwrap()).unwrap();
    let again = "--seconds 0.3 --scenario reads --baseline a.json";
    let output = run(folder.path(), again);
    assert!(output.status.success(), "it is only printed: {output:?}");
    let output = run(folder.path(), &format!("{again} --fail-on-regression 20%"));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("regression: reads of memory: calls"), "{text}");
}

#[test]
fn several_stores_are_an_array_and_a_store_that_does_not_open_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let two = "--seconds 0.2 --store a=memory: --store b=memory:?coalesce=true --json a.json";
    let output = run(folder.path(), two);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(folder.path().join("a.json")).unwrap();
    let names: Vec<_> =
        serde_json::from_str::<Vec<Summary>>(&text).unwrap().into_iter().map(|s| s.store).collect();
    assert_eq!(names, ["a", "b"]);

    let output = run(folder.path(), "--store redis://:hunter2@h?x=1");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !text.contains("hunter2"), "{text}");
}

#[test]
fn the_highest_rate_is_found_and_in_the_json() {
    let folder = tempfile::tempdir().unwrap();
    // One caller cannot hold every rate.
    let search = "--seconds 0.2 --find-max --rate 20000 --callers 1 --scenario reads --json a.json";
    let output = run(folder.path(), search);
    assert!(output.status.success(), "{output:?}");
    let summary = read(folder.path(), "a.json");
    assert!(summary.max_rate.is_some_and(|rate| Some(rate) == summary.rate), "{summary:?}");
}

#[test]
fn ctrl_c_ends_a_run_early_with_its_measurements() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = load("--seconds 40 --rate 200 --json a.json");
    command.current_dir(folder.path()).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut process = command.spawn().unwrap();
    // A line of figures means that the run has begun.
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(process.stderr.take().unwrap()));
    assert!(lines.next().unwrap().unwrap().contains("calls/s"));
    let id = process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert!(process.wait().unwrap().success());
    let summary = read(folder.path(), "a.json");
    assert!(summary.seconds < 20.0 && summary.calls_per_second > 0.0, "{summary:?}");
}

#[test]
fn a_check_of_no_service_fails() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "--check --url http://127.0.0.1:1 --operations 10");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
