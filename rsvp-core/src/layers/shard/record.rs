//! The text of a shard's label in its own store.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Placement;
use crate::{Label, Result};

/// A shard's name and its placement, as in a label:
/// `name=eu1 placement=0123456789abcdef spread=2 shards=eu1,eu2*2.5`.
///
/// `placement` is the fingerprint. It decides.
/// The rest is for people and errors: the names of the shards in alphabetical order,
/// each with its weight unless the weight is 1.
/// A list too long for a label ends in the number of missing shards, such as `+12`.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) fingerprint: u64,
    spread: u64,
    shards: BTreeMap<String, f64>,
    /// The number of shards missing in `shards`.
    left_out: usize,
}

impl Record {
    /// The greatest number of bytes of the list of shards.
    /// The rest of the label takes less than 200.
    const MAX_LIST_BYTES: usize = Label::MAX_BYTES - 200;
    /// The greatest number of differences in an error.
    const MAX_DIFFERENCES: usize = 8;

    /// Makes the record of a shard.
    pub(super) fn new(name: &str, placement: &Placement) -> Self {
        let mut all: Vec<(&str, f64)> = placement.shards().collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        let (mut shards, mut bytes) = (BTreeMap::new(), 0);
        for (name, weight) in &all {
            bytes += shown(name, *weight).len() + 1;
            if bytes > Self::MAX_LIST_BYTES {
                break;
            }
            shards.insert((*name).to_owned(), *weight);
        }
        let left_out = all.len() - shards.len();
        let (fingerprint, spread) = (placement.fingerprint(), placement.spread() as u64);
        Self { name: name.to_owned(), fingerprint, spread, shards, left_out }
    }

    /// Parses a label. `None` if it is not the label of a shard.
    pub(super) fn parse(label: &Label) -> Option<Self> {
        // Ignore fields of later versions.
        let fields: BTreeMap<&str, &str> =
            label.as_str().split(' ').filter_map(|field| field.split_once('=')).collect();
        let (mut shards, mut left_out) = (BTreeMap::new(), 0);
        for shard in fields.get("shards")?.split(',') {
            if let Some(number) = shard.strip_prefix('+') {
                left_out = number.parse().ok()?;
                continue;
            }
            let (name, weight) = shard.split_once('*').unwrap_or((shard, "1"));
            shards.insert(name.to_owned(), weight.parse().ok()?);
        }
        Some(Self {
            name: (*fields.get("name")?).to_owned(),
            fingerprint: u64::from_str_radix(fields.get("placement")?, 16).ok()?,
            spread: fields.get("spread")?.parse().ok()?,
            shards,
            left_out,
        })
    }

    /// Makes the label.
    pub(super) fn print(&self) -> Result<Label> {
        let Self { name, fingerprint, spread, shards, left_out } = self;
        let mut list: Vec<_> = shards.iter().map(|(name, weight)| shown(name, *weight)).collect();
        if *left_out > 0 {
            list.push(format!("+{left_out}"));
        }
        let list = list.join(",");
        Label::new(format!(
            "name={name} placement={fingerprint:016x} spread={spread} shards={list}"
        ))
    }

    /// Describes the differences of this placement from the `stored` one, for an error.
    pub(super) fn differences(&self, stored: &Self) -> String {
        let mut all = Vec::new();
        if self.spread != stored.spread {
            all.push(format!("the spread is {}, stored is {}", self.spread, stored.spread));
        }
        for (name, weight) in &self.shards {
            match stored.shards.get(name) {
                Some(before) if before.total_cmp(weight).is_eq() => {}
                Some(before) => {
                    all.push(format!("the weight of {name:?} is {weight}, stored is {before}"));
                }
                None if stored.left_out == 0 => all.push(format!("{name:?} is not stored")),
                None => {}
            }
        }
        if self.left_out == 0 {
            let missing = stored.shards.keys().filter(|name| !self.shards.contains_key(*name));
            all.extend(missing.map(|name| format!("{name:?} is stored and missing")));
        }
        if all.is_empty() {
            return "the shards differ beyond the stored list".to_owned();
        }
        let more = all.len().saturating_sub(Self::MAX_DIFFERENCES);
        all.truncate(Self::MAX_DIFFERENCES);
        let mut text = all.join(", ");
        if more > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, " and {more} more differences");
        }
        text
    }
}

/// Formats a shard as in the URL of several.
fn shown(name: &str, weight: f64) -> String {
    if weight.total_cmp(&1.0).is_eq() { name.to_owned() } else { format!("{name}*{weight}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(shards: &[(&str, f64)], spread: usize) -> Placement {
        Placement::new(shards.iter().copied(), spread).unwrap()
    }

    /// Stores of hosts have this text, so it must not change.
    #[test]
    fn a_record_is_pinned() {
        let record = Record::new("eu2", &placement(&[("eu2", 2.5), ("eu1", 1.0)], 2));
        let label = record.print().unwrap();
        assert_eq!(
            label.as_str(),
            "name=eu2 placement=8ae3cb777a9024f3 spread=2 shards=eu1,eu2*2.5"
        );
        assert_eq!(Record::parse(&label), Some(record));
        let later = Label::new(format!("format=9 {label} more=yes")).unwrap();
        assert_eq!(Record::parse(&later), Record::parse(&label));
    }

    #[test]
    fn the_largest_placement_fits_into_a_label() {
        let names =
            (0..Placement::MAX_SHARDS).map(|n| (format!("{n:0>64}"), 0.001 + n as f64 / 7.0));
        let largest =
            Placement::new(names.map(|(name, weight)| (name, weight.min(999.9))), usize::MAX);
        let record = Record::new(&"0".repeat(64), &largest.unwrap());
        assert!(record.left_out > 0);
        let label = record.print().unwrap();
        assert!(label.as_str().len() > Label::MAX_BYTES - 300, "as much as there is room for");
        assert_eq!(Record::parse(&label), Some(record));
    }

    #[test]
    fn another_text_is_no_record() {
        for text in ["eu1", "name=a", "name=a placement=x spread=1 shards=a", "= = ="] {
            assert_eq!(Record::parse(&Label::new(text).unwrap()), None, "{text}");
        }
    }

    #[test]
    fn differences_are_listed_up_to_a_bound() {
        let stored = Record::new("a", &placement(&[("a", 1.0), ("b", 2.0), ("c", 1.0)], 1));
        let given = Record::new("a", &placement(&[("a", 1.0), ("b", 3.5), ("d", 1.0)], 2));
        assert_eq!(
            given.differences(&stored),
            "the spread is 2, stored is 1, the weight of \"b\" is 3.5, stored is 2, \"d\" is not \
             stored, \"c\" is stored and missing"
        );
        let many: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
        let many: Vec<(&str, f64)> = many.iter().map(|name| (name.as_str(), 1.0)).collect();
        let text = Record::new("a", &placement(&many, 1)).differences(&stored);
        assert!(text.ends_with(" and 15 more differences"), "{text}");
    }

    #[test]
    fn of_lists_that_were_cut_off_only_the_known_part_is_compared() {
        let whole = Record::new("a", &placement(&[("a", 1.0), ("b", 1.0)], 1));
        let mut cut = Record::new("a", &placement(&[("a", 1.0)], 1));
        cut.left_out = 1;
        for (given, stored) in [(&whole, &cut), (&cut, &whole)] {
            assert_eq!(given.differences(stored), "the shards differ beyond the stored list");
        }
    }
}
