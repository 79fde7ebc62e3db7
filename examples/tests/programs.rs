//! Each example prints what its documentation promises.
#![expect(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::process::Command;

fn output(example: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().join("../examples").join(example);
    assert!(program.exists(), "missing: cargo build -p rsvp-examples --examples");
    let output = Command::new(program).current_dir("/").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn layers_may_come_from_a_url_or_from_code() {
    let line = "rsvp = Applied, repeated = false, count = 1\n";
    assert_eq!(output("layers"), line.repeat(3));
}

#[test]
fn shards_divide_a_hot_event_and_one_more_moves_little() {
    let text = output("sharded");
    assert!(text.starts_with("count = 1000\n"), "{text}");
    let parts: Vec<u32> = text
        .lines()
        .filter_map(|line| line.split_once(" holds ")?.1.parse().ok())
        .filter(|part| *part > 0)
        .collect();
    assert_eq!((parts.len(), parts.iter().sum()), (2, 1000), "{text}");
    let moved = text.lines().last().unwrap();
    let number = moved.split(' ').nth(1).unwrap().parse::<u32>().unwrap();
    assert!((1_800..2_200).contains(&number) && moved.ends_with("all to eu5: true"), "{moved}");
}

#[test]
fn a_layer_of_ones_own_refuses_some_entries() {
    let text = output("custom_layer");
    assert!(text.starts_with("open: Applied\nclosed: write failed"), "{text}");
    assert!(text.ends_with("in the closed event: false\n"), "{text}");
}
