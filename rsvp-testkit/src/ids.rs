//! Difficult ids.

use rsvp_core::{EventId, UserId};

/// Legal texts that a careless backend changes, splits or executes.
///
/// Each is a valid id. No two are equal.
pub const HOSTILE_IDS: &[&str] = &[
    " ",
    "  leading and trailing  ",
    "/",
    "../../etc/passwd",
    "a/b",
    "{",
    "}",
    "{}",
    "{user}",
    "}{",
    "a{b}c{d}",
    "%",
    "%2F",
    "%s%n",
    "%00",
    "*",
    "?",
    "[a-z]",
    "a_b",
    "a%b",
    "\\",
    "\\0",
    "\\x00",
    "'",
    "''",
    "\"",
    "`",
    "' OR '1'='1",
    "'; DROP TABLE rsvps; --",
    "$1",
    "$$",
    "E'\\\\'",
    "]] return redis.call('FLUSHALL') --[[",
    "\"})redis.call('KEYS','*')",
    "KEYS *",
    "a:b",
    "a,b",
    "a|b",
    "a;b",
    "a&b=c",
    "a+b",
    "#",
    "null",
    "NULL",
    "true",
    "0",
    "00",
    "-1",
    "1e3",
    "NaN",
    "é",
    "e\u{301}",
    "ﬁ",
    "fi",
    "I",
    "ı",
    "İ",
    "ß",
    "SS",
    "ss",
    "🎉",
    "👩‍👩‍👧‍👦",
    "שלום",
    "مرحبا بالعالم",
    "\u{202e}desrever",
    "\u{200b}",
    "\u{feff}",
    "\u{a0}",
    "\u{2028}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{10ffff}",
    "你好",
    "<script>alert(1)</script>",
    "https://example.com/?a=b#c",
    "user@example.com",
];

/// Returns [`HOSTILE_IDS`], and ids of the greatest length in one, two and four bytes a character.
///
/// ```
/// use rsvp_core::UserId;
///
/// assert!(rsvp_testkit::hostile_ids().into_iter().all(|id| UserId::new(id).is_ok()));
/// ```
pub fn hostile_ids() -> Vec<String> {
    // 255 bytes each. Only the first has 255 characters too.
    let longest = ["x".repeat(255), "é".repeat(127) + "x", "🎉".repeat(63) + "xyz"];
    HOSTILE_IDS.iter().map(ToString::to_string).chain(longest).collect()
}

pub(crate) fn user(id: impl ToString) -> UserId {
    UserId::new(id.to_string()).expect("a legal user id")
}

pub(crate) fn event(id: impl ToString) -> EventId {
    EventId::new(id.to_string()).expect("a legal event id")
}
