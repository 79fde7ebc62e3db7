//! The keys of events and users, and their slots.

use std::fmt;

use rsvp_core::{EventId, LabelName, Result, Rsvp, UserId};

use crate::wire::slot::slot_of;

/// A key and its slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) slot: u16,
    pub(crate) name: String,
}

/// Maps ids to keys. Changing the mapping would lose data.
///
/// No brace stands before the hash tag, and an id cannot close the tag, since its `}` are escaped.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
    spread: u16,
}

/// The type and meaning of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A set of the users of a part of an event.
    Event,
    /// A hash with the events of a user as fields.
    User,
}

/// The event or user of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Event(EventId),
    User(UserId),
}

impl Keys {
    /// `prefix` has no braces.
    pub(crate) fn new(prefix: &str, spread: u16) -> Self {
        Self { prefix: prefix.to_owned(), spread: spread.max(1) }
    }

    /// The number of parts of every event.
    pub(crate) fn parts(&self) -> u16 {
        self.spread
    }

    /// The part of a user within an event, the slot of the id modulo the number of parts.
    pub(crate) fn part_of(&self, user: &UserId) -> u16 {
        slot_of(user.as_str()) % self.spread
    }

    /// The set of the users in a part of an event.
    pub(crate) fn event(&self, event: &EventId, part: u16) -> Key {
        self.tagged(Kind::Event, format!("{part}:{}", escaped(event.as_str())))
    }

    /// The hash of a user's events.
    pub(crate) fn user(&self, user: &UserId) -> Key {
        self.tagged(Kind::User, escaped(user.as_str()))
    }

    /// The string with the progress of the sweep for a user.
    pub(crate) fn sweep(&self, user: &UserId) -> Key {
        let tag = escaped(user.as_str());
        Key { slot: slot_of(&tag), name: format!("{}:s:{{{tag}}}", self.prefix) }
    }

    /// The key of the layout of this prefix, and its value.
    pub(crate) fn layout(&self) -> (Key, String) {
        let name = format!("{}:layout", self.prefix);
        (Key { slot: slot_of(&name), name }, format!("1 event_spread={}", self.spread))
    }

    /// The key of a label. The name has no braces.
    pub(crate) fn label(&self, name: &LabelName) -> Key {
        Key { slot: slot_of(name.as_str()), name: format!("{}:l:{{{name}}}", self.prefix) }
    }

    /// An empty key, to test whether writes are accepted. The numbers spread over all slots.
    pub(crate) fn probe(&self, number: u32) -> Key {
        let tag = number.to_string();
        Key { slot: slot_of(&tag), name: format!("{}:ready:{{{tag}}}", self.prefix) }
    }

    fn tagged(&self, kind: Kind, tag: String) -> Key {
        Key { slot: slot_of(&tag), name: format!("{}:{kind}:{{{tag}}}", self.prefix) }
    }

    /// A glob for every key of a kind. The prefix has no special characters.
    pub(crate) fn pattern(&self, kind: Kind) -> String {
        format!("{}:{kind}:{{*", self.prefix)
    }

    /// The owner of the key `name`. `None` if it is not a key of this layout.
    pub(crate) fn parse(&self, kind: Kind, name: &[u8]) -> Option<(Owner, Key)> {
        let name = std::str::from_utf8(name).ok()?;
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix(':')?;
        let tag = rest.strip_prefix(&kind.to_string())?.strip_prefix(":{")?.strip_suffix('}')?;
        let (owner, key) = match kind {
            Kind::Event => {
                let (part, id) = tag.split_once(':')?;
                let (event, part) = (EventId::new(unescaped(id)).ok()?, part.parse().ok()?);
                let key = self.event(&event, part);
                (Owner::Event(event), key)
            }
            Kind::User => {
                let user = UserId::new(unescaped(tag)).ok()?;
                let key = self.user(&user);
                (Owner::User(user), key)
            }
        };
        // A name may parse and still be another key, for example a part beyond the spread or with
        // leading zeros. Only the name that this layout would write is a key of it.
        (key.name == name).then_some((owner, key))
    }
}

impl Owner {
    /// The pair of the owner and a member of its set or hash.
    pub(crate) fn with(&self, member: &str) -> Result<Rsvp> {
        Ok(match self {
            Self::Event(event) => Rsvp::new(UserId::new(member)?, event.clone()),
            Self::User(user) => Rsvp::new(user.clone(), EventId::new(member)?),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Event => "e",
            Self::User => "u",
        })
    }
}

fn escaped(id: &str) -> String {
    if id.contains(['%', '}']) { id.replace('%', "%25").replace('}', "%7D") } else { id.to_owned() }
}

fn unescaped(text: &str) -> String {
    text.replace("%7D", "}").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Redis does: the text between the first brace and the next closing one, if any.
    fn slot_by_redis(key: &str) -> u16 {
        let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        match tag {
            Some((tag, _)) if !tag.is_empty() => slot_of(tag),
            _ => slot_of(key),
        }
    }

    #[test]
    fn the_layout_is_pinned() {
        let keys = Keys::new("rsvp", 4);
        let (event, user) = (EventId::new("101a").unwrap(), UserId::new("a}b%7D{c}").unwrap());
        assert_eq!(keys.event(&event, 3).name, "rsvp:e:{3:101a}");
        assert_eq!(keys.user(&user).name, "rsvp:u:{a%7Db%257D{c%7D}");
        assert_eq!(keys.layout().0.name, "rsvp:layout");
        assert_eq!(keys.layout().1, "1 event_spread=4");
        let label = keys.label(&LabelName::new("shard").unwrap());
        assert_eq!(
            (label.name.as_str(), label.slot),
            ("rsvp:l:{shard}", slot_by_redis(&label.name))
        );
        for (id, part) in [("alice", 1), ("bob", 3), ("1", 2), ("🎉", 3)] {
            assert_eq!(keys.part_of(&UserId::new(id).unwrap()), part, "{id}");
        }
    }

    proptest! {
        #[test]
        fn keys_are_in_their_slot_and_can_be_read_back(id in "[{}%7D0-9:é🎉 ]{1,20}", part in 0..9_u16) {
            let keys = Keys::new("a.b", 9);
            let (event, user) = (EventId::new(&id).unwrap(), UserId::new(&id).unwrap());
            for (kind, key, owner) in [
                (Kind::Event, keys.event(&event, part), Owner::Event(event)),
                (Kind::User, keys.user(&user), Owner::User(user)),
            ] {
                prop_assert_eq!(slot_by_redis(&key.name), key.slot);
                prop_assert_eq!(keys.parse(kind, key.name.as_bytes()), Some((owner, key)));
            }
        }
    }

    #[test]
    fn other_keys_have_no_owner() {
        let keys = Keys::new("rsvp", 1);
        for name in
            ["", "rsvp:e:{0:}", "rsvp:e:{x:1}", "rsvp:e:{00:1}", "rsvp:e:{0:a}b}", "rsvp:e:{0:%}"]
        {
            assert_eq!(keys.parse(Kind::Event, name.as_bytes()), None, "{name}");
        }
        assert_eq!(keys.parse(Kind::User, b"rsvp:u:{\xff}"), None);
    }
}
