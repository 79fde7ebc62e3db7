//! The quickstart prints the calls and counts that the documentation promises.

use std::process::Command;

#[test]
fn the_quickstart_shows_each_call_and_the_largest_event() {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().join("../examples/quickstart");
    assert!(program.exists(), "missing: cargo build -p rsvp-examples --example quickstart");
    // From any folder.
    let output = Command::new(program).current_dir("/").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let calls = "\
rsvp(1, 101a) = Applied
rsvp(2, 101a) = Applied
rsvp(3, 102) = Applied
has_rsvped(1, 101a) = true
has_rsvped(2, 101a) = true
has_rsvped(3, 102) = true
rsvp_count(101a) = 2
cancel(1, 101a) = Applied
rsvp_count(101a) = 1
";
    assert!(text.starts_with(calls), "{text}");
    let counts = text.lines().filter(|line| line.starts_with("rsvp_count(E"));
    let counts: Vec<&str> =
        counts.filter_map(|line| line.split_once(" = ")).map(|(_, n)| n).collect();
    assert_eq!(counts.join(" "), "3 3 6 4 8 8 10 14 12 5 4 6 3 3");
    let (_, people) = text.split_once("The 14 people of E8:\n").unwrap();
    assert_eq!(people.lines().count(), 14);
    assert!(people.lines().all(|person| person.starts_with("  ")));
}

#[cfg(feature = "sqlite")]
#[test]
fn a_file_keeps_rsvps_from_one_run_to_the_next() {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().join("../examples/quickstart");
    let folder = tempfile::tempdir().unwrap();
    for outcome in ["Applied", "Unchanged"] {
        let mut command = Command::new(&program);
        command.args(["--store", "sqlite:demo.db"]).current_dir(folder.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("rsvp(2, 101a) = {outcome}")), "{text}");
        assert!(text.contains("rsvp_count(101a) = 2"), "{text}");
    }
}
