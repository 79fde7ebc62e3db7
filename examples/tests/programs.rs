//! Every example runs from any folder and prints what its text promises.
#![expect(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::process::Command;

/// The conformance suite runs on the backend of the example.
#[path = "../custom_backend.rs"]
#[allow(dead_code, reason = "the program runs as a program")]
mod custom_backend;
/// The example has tests of its own.
#[path = "../testing.rs"]
#[allow(dead_code, reason = "the program runs as a program")]
mod testing;

/// Runs an example to its end and returns what it printed.
fn output_of(name: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().join("../examples").join(name);
    assert!(program.exists(), "missing: cargo build -p rsvp-examples --example {name}");
    let output = Command::new(program).current_dir("/").output().unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn layers_by_code_and_by_url_count_the_same_crowd() {
    let text = output_of("layers");
    assert_eq!(text, "by code: 1000\nby URL:  1000\nrefused: invalid url\n");
}

#[test]
fn a_fourth_shard_takes_its_share_and_moves_nothing_else() {
    let text = output_of("sharded");
    let numbers: Vec<u64> =
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    let [a, b, c, moved, to_d, _event, count] = numbers[..] else { panic!("{text}") };
    assert_eq!((a + b + c, count), (3_000, 1), "{text}");
    assert!(moved == to_d && (650..850).contains(&moved), "{text}");
}

#[test]
fn a_custom_backend_opens_by_url() {
    assert_eq!(output_of("custom_backend"), "rsvp(1, 101a) = Applied\nrsvp_count(101a) = 1\n");
}

#[test]
fn a_custom_layer_refuses_the_closed_event_only() {
    let text = output_of("custom_layer");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("101a: Applied"));
    assert!(lines.next().unwrap().starts_with("sold-out: write failed: nothing was applied"));
    assert_eq!(lines.next(), Some("rsvp_count(sold-out) = 0"));
}

#[test]
fn the_code_under_test_runs_as_a_program() {
    assert_eq!(output_of("testing"), "Welcome\nWelcomeBack\n");
}
