//! Every number of `docs/scaling.md` is one that the program computes, or is named here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use std::fs;
use std::path::PathBuf;

use rsvp_capacity::{Document, fill};

const HINT: &str = "cargo run --example capacity -- --fill docs/scaling.md";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/scaling.md")
}

fn document() -> String {
    fs::read_to_string(path()).unwrap()
}

#[test]
fn the_document_has_the_numbers_that_the_program_computes() {
    let document = document();
    let filled = fill(&document, &Document::new()).unwrap();
    let differences: Vec<String> = document
        .lines()
        .zip(filled.lines())
        .filter(|(here, computed)| here != computed)
        .map(|(here, computed)| format!("document: {here}\nprogram:  {computed}"))
        .collect();
    assert!(differences.is_empty(), "{}\nmend: {HINT}", differences.join("\n"));
    assert!(document == filled, "lines are missing; mend: {HINT}");
}

#[test]
fn the_document_has_the_five_headings_of_the_design() {
    let document = document();
    let headings: Vec<&str> =
        document.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let expected = [
        "Clarifying Questions",
        "NALSD (Back-of-the-envelope math)",
        "Component Interaction",
        "Logical Patterns",
        "Trade-offs",
    ];
    assert_eq!(headings, expected);
}

/// Numbers that are given and not computed, longer ones before those that they contain.
const GIVEN: &[&str] = &[
    // The question, and the service levels.
    "100 million users",
    "99.9 %",
    "p95",
    "150 ms",
    "50 ms",
    "100 ms",
    "about 1 s",
    "about 5 s",
    // Settings, and the parameters of measurements.
    "up to 2 s",
    "of 2 s",
    "the 2 s",
    "15 s",
    "of 5 s",
    "16 slots",
    "up to 64 at once",
    "13 bytes",
    "batches of 256",
    "10,000 events",
    "200,000 users",
    "1,000 callers",
    // Names.
    "95 of 100",
    "p99",
    "503",
    "504",
    "Postgres 15",
    "Redis 7.0",
];

#[test]
fn a_number_that_is_not_computed_is_given() {
    let mut prose = String::new();
    let mut is_code = false;
    for line in document().lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    let prose = outside(&outside(&prose, "<!-- =", "<!-- / -->"), "`", "`");
    let mut rest = prose.clone();
    for given in GIVEN {
        assert!(rest.contains(given), "`{given}` is not in the document");
        rest = rest.replace(given, "");
    }
    let unknown: Vec<&str> =
        rest.lines().filter(|line| line.contains(|c: char| c.is_ascii_digit())).collect();
    assert!(unknown.is_empty(), "neither computed nor given:\n{}", unknown.join("\n"));
}

/// The text without the parts between two marks.
fn outside(text: &str, begin: &str, end: &str) -> String {
    let (mut left, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(begin) {
        left.push_str(before);
        rest = after.split_once(end).map_or("", |(_, after)| after);
    }
    left.push_str(rest);
    left
}

/// A line that begins with a comment ends the paragraph before it.
#[test]
fn a_number_in_a_sentence_does_not_begin_a_line() {
    for line in document().lines().filter(|line| line.starts_with("<!-- =")) {
        assert!(line.ends_with(" -->") && !line.contains("<!-- / -->"), "{line}");
    }
}

#[test]
fn the_modules_that_the_document_names_exist() {
    let root = path().parent().unwrap().join("..");
    let document = document();
    let names = document.split('`').skip(1).step_by(2);
    let files: Vec<&str> = names
        .filter(|name| name.contains('/') && !name.contains([' ', ':', '*', '{']))
        .filter(|name| name.ends_with(".rs") || name.ends_with('/') || name.ends_with(".md"))
        .collect();
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        assert!(root.join(file).exists(), "{file} does not exist");
    }
}

#[test]
fn a_wrong_mark_is_an_error_and_not_a_gap() {
    let document = Document::new();
    for (text, reason) in [
        ("a <!-- =nothing -->1<!-- / -->", "there is no `nothing`"),
        ("a <!-- =budget -->1", "`budget` is not closed"),
        ("a <!-- =budget", "a mark without an end"),
    ] {
        assert_eq!(fill(text, &document).unwrap_err(), reason);
    }
    let filled = fill("a <!-- =budget -->1<!-- / -->.", &document).unwrap();
    assert_eq!(filled, "a <!-- =budget -->43.2 min<!-- / -->.");
    assert_eq!(fill(&filled, &document).unwrap(), filled);
}
