//! No error repeats a part of a URL that may be a password.

use proptest::prelude::*;
use rsvp::Registry;

use crate::registry::other;

/// Whether the word stands for the name of a shard, which errors repeat.
fn names_a_shard(text: &str, word: &str) -> bool {
    let named = |part: &str| {
        part.split_once('=').is_some_and(|(name, _)| {
            let name = name.split_once('*').map_or(name, |(name, _)| name);
            name.contains(word) && !name.contains(|byte: char| !byte.is_ascii_alphanumeric())
        })
    };
    text.split_ascii_whitespace().any(named)
}

proptest! {
    #[test]
    fn a_password_is_repeated_by_nothing(
        before in "(b=a: )?(c\\*?=)?([aé]?:(//)?)?[aé1:/@?&=%*,\\[\\]]{0,8}:?",
        after in "@?[aé1:/@?&=%*, \\[\\]]{0,8}(%FF)?( [bd]=a:)?",
    ) {
        let text = format!("{before}hunter2{after}");
        prop_assume!(!names_a_shard(&text, "hunter2"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let registry = Registry::default().with_scheme("a", other);
        if let Err(error) = runtime.block_on(registry.open(&text)) {
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains("hunter2"), "{}", shown);
        }
    }
}
