//! The program: its output, its refusals, and the laws that its numbers keep.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use std::process::{Command, Output};

use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().join("../examples/capacity");
    assert!(program.exists(), "missing: cargo build -p rsvp-capacity --example capacity");
    Command::new(program).args(arguments).current_dir("/").output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The text of a refusal. A panic would have another exit code.
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn cost(report: &Value) -> f64 {
    report["plans"][0]["cost"]["total"].as_f64().unwrap()
}

#[test]
fn the_defaults_are_those_of_the_question() {
    let given = [
        "--users",
        "100M",
        "--rsvps-per-user",
        "10",
        "--events",
        "10M",
        "--peak-factor",
        "10",
        "--hottest-event-rps",
        "20k",
    ];
    assert_eq!(json(&given), json(&[]));
    let text = String::from_utf8(run(&[]).stdout).unwrap();
    for part in ["stored RSVPs", "1,000,000,000", "cost of a month", "Restore", "Outages"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_backend_is_planned_alone() {
    for backend in ["memory", "sqlite", "postgres", "redis"] {
        let report = json(&["--backend", backend]);
        assert_eq!(report["plans"].as_array().unwrap().len(), 1);
        assert_eq!(report["plans"][0]["backend"], backend);
    }
    assert!(
        refused(&["--backend", "dynamo"]).contains("backends: memory, sqlite, postgres, redis")
    );
}

#[test]
fn wrong_numbers_are_refused_and_named() {
    for flag in ["--users", "--rsvps-per-user", "--events", "--peak-factor", "--hottest-event-rps"]
    {
        for wrong in ["0", "-1", "NaN", "inf", "1e400", "", "many", "9999999T"] {
            let error = refused(&[flag, wrong]);
            assert!(error.contains(flag), "{flag} {wrong}: {error}");
        }
    }
    for (arguments, reason) in [
        (["--rsvps-per-user", "11M"], "a user can RSVP to an event once"),
        (["--peak-factor", "0.5"], "a peak is at least the average"),
        (["--case", "worst"], "low, expected, high"),
        (["--assume", "moon=1"], "there is no assumption `moon`"),
        (["--assume", "commit"], "is not of the form NAME=NUMBER"),
        (["--assume", "commit=-1"], "is not a number"),
        (["--assume", "utilisation=2"], "must be at most 1"),
        (["--price", "vcpu=free"], "is not a number"),
        (["--price", "gold=1"], "there is no price `gold`"),
        (["--prices", "/nowhere/prices.json"], "/nowhere/prices.json"),
    ] {
        let error = refused(&arguments);
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}

#[test]
fn the_largest_and_the_smallest_numbers_have_an_answer() {
    let largest = [
        "--users",
        "1T",
        "--rsvps-per-user",
        "1T",
        "--events",
        "1T",
        "--peak-factor",
        "1T",
        "--hottest-event-rps",
        "1T",
    ];
    let smallest = [
        "--users",
        "0.000001",
        "--rsvps-per-user",
        "0.000001",
        "--events",
        "0.000001",
        "--peak-factor",
        "1",
        "--hottest-event-rps",
        "0.000001",
    ];
    for numbers in [largest, smallest] {
        for case in ["low", "expected", "high"] {
            let report = json(&[&numbers[..], &["--case", case]].concat());
            for plan in report["plans"].as_array().unwrap() {
                let fits = numbers == smallest;
                assert_eq!(plan["fits"], fits, "{plan}");
                assert!(fits || !plan["remarks"].as_array().unwrap().is_empty());
                assert!(plan["cost"]["total"].as_f64().unwrap().is_finite());
            }
            assert!(run(&[&numbers[..], &["--case", case]].concat()).status.success());
        }
    }
}

#[test]
fn more_users_never_cost_less() {
    for backend in ["sqlite", "postgres", "redis"] {
        let costs = ["10k", "1M", "10M", "100M", "1G"]
            .map(|users| cost(&json(&["--users", users, "--backend", backend])));
        assert!(costs.is_sorted(), "{backend}: {costs:?}");
    }
}

#[test]
fn a_case_that_needs_more_costs_more() {
    for backend in ["sqlite", "postgres", "redis"] {
        let costs = ["low", "expected", "high"]
            .map(|case| cost(&json(&["--backend", backend, "--case", case])));
        assert!(costs.is_sorted() && costs[0] < costs[2], "{backend}: {costs:?}");
    }
}

#[test]
fn prices_and_assumptions_can_be_set() {
    let postgres = ["--backend", "postgres"];
    let before = json(&postgres);
    let twice = ["--price", "vcpu=50", "--price", "memory_gb=6"];
    let after = json(&[&postgres[..], &twice].concat());
    let servers = |report: &Value| report["plans"][0]["cost"]["store"].as_f64().unwrap();
    assert!((servers(&after) / servers(&before) - 2.0).abs() < 1e-9);
    let pages = json(&["--assume", "pages_a_day=8"]);
    assert_eq!(pages["assumptions"]["pages_a_day"]["high"], 8.0);
    let free = std::env::temp_dir().join(format!("prices-{}.json", std::process::id()));
    std::fs::write(
        &free,
        r#"{"vcpu": 0, "memory_gb": 0, "disk_gb": 0, "backup_gb": 0, "balancer": 0}"#,
    )
    .unwrap();
    let nothing = json(&[&postgres[..], &["--prices", free.to_str().unwrap()]].concat());
    std::fs::remove_file(&free).unwrap();
    assert_eq!(cost(&nothing), 0.0);
}

#[test]
fn every_constant_has_its_command() {
    let constants = json(&["--constants"]);
    for constant in constants.as_array().unwrap() {
        for key in ["name", "unit", "meaning", "command", "source"] {
            assert!(!constant[key].as_str().unwrap().is_empty(), "{constant}");
        }
    }
    let text = String::from_utf8(run(&["--constants"]).stdout).unwrap();
    assert!(text.contains("cargo bench -p rsvp-benches --bench sizes -- postgres"), "{text}");
}
