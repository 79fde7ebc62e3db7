//! Session tokens: the positions that a read must have reached to see a session's own writes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

const FIELD: &str = "session_token";
const VERSION: &str = "r1";

/// The writes of a session, as positions in the logs of the engines.
///
/// A host does not look inside.
/// It keeps the token of a write, [merges](Self::merge) it with the session's other tokens,
/// and passes it to later reads as [`Consistency::Session`](crate::Consistency::Session).
/// A token prints as visible ASCII, fit for a header or a cookie: the letters `r . -`
/// and hexadecimal digits, 34 bytes per engine. Most hosts have one engine.
/// A token holds no ids and no secrets. It is not authenticated.
/// A forged token can only slow the reads of its bearer down.
///
/// To a backend a token is a map from an *origin* to a *position*.
/// The origin names a log with comparable positions,
/// such as the system identifier of a Postgres cluster. Positions grow.
///
/// ```
/// use rsvp_core::SessionToken;
///
/// let mut session: SessionToken = "r1.2a-10".parse()?;
/// session.merge(&SessionToken::at(0x2a, 0x11));
/// assert_eq!(session.to_string(), "r1.2a-11");
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct SessionToken {
    positions: BTreeMap<u64, u64>,
}

impl SessionToken {
    /// The greatest length of a token's text, in bytes. It has room for some 240 engines.
    pub const MAX_BYTES: usize = 8192;

    /// Makes a token without positions: of no write,
    /// or of writes to an engine without log positions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the token of the writes to `origin` up to `position`.
    pub fn at(origin: u64, position: u64) -> Self {
        Self { positions: BTreeMap::from([(origin, position)]) }
    }

    /// Returns the position that a read of `origin` must have reached.
    /// `None` if the session did not write there.
    pub fn position(&self, origin: u64) -> Option<u64> {
        self.positions.get(&origin).copied()
    }

    /// Returns whether the token holds no position.
    /// An empty token does not prove that there was no write.
    /// Only the store that issued it can tell.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Returns whether each position of this token is
    /// before the position of `other` in the same log.
    #[cfg(feature = "layers")]
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        let before = |(&origin, &position)| other.position(origin).is_some_and(|at| position < at);
        self.positions.iter().all(before)
    }

    /// Adds the writes of another token. Merging is commutative, associative and idempotent.
    pub fn merge(&mut self, other: &Self) {
        for (&origin, &position) in &other.positions {
            let reached = self.positions.entry(origin).or_insert(position);
            *reached = position.max(*reached);
        }
    }

    /// Returns whether a session with the writes behind `other` has seen the writes behind this
    /// token.
    ///
    /// ```
    /// use rsvp_core::SessionToken;
    ///
    /// let (earlier, later) = (SessionToken::at(0x2a, 16), SessionToken::at(0x2a, 17));
    /// assert!(earlier.is_within(&later) && !later.is_within(&earlier));
    /// assert!(!SessionToken::at(0x2b, 1).is_within(&later), "of another engine");
    /// ```
    pub fn is_within(&self, other: &Self) -> bool {
        let reached = |origin| other.positions.get(origin);
        self.positions
            .iter()
            .all(|(origin, position)| reached(origin).is_some_and(|reached| position <= reached))
    }

    /// Returns the number of engines with a position.
    #[cfg(feature = "layers")]
    pub(crate) fn origins(&self) -> usize {
        self.positions.len()
    }
}

impl fmt::Display for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        self.positions
            .iter()
            .try_for_each(|(origin, position)| write!(f, ".{origin:x}-{position:x}"))
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken({self})")
    }
}

impl FromStr for SessionToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let none = || Error::invalid_input(FIELD, "is not a token that a write has returned");
        if text.len() > Self::MAX_BYTES {
            return Err(none());
        }
        let mut parts = text.split('.');
        if parts.next() != Some(VERSION) {
            return Err(none());
        }
        let mut token = Self::new();
        for part in parts {
            let (origin, position) = part.split_once('-').ok_or_else(none)?;
            let origin = hexadecimal(origin).ok_or_else(none)?;
            let position = hexadecimal(position).ok_or_else(none)?;
            token.merge(&Self::at(origin, position));
        }
        Ok(token)
    }
}

/// Parses hexadecimal digits. `u64::from_str_radix` would also accept a sign.
fn hexadecimal(digits: &str) -> Option<u64> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if all_digits { u64::from_str_radix(digits, 16).ok() } else { None }
}

super::text::serde_as_text!(SessionToken);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> impl Strategy<Value = SessionToken> {
        let positions = proptest::collection::btree_map(0..4_u64, any::<u64>(), 0..4);
        positions.prop_map(|positions| SessionToken { positions })
    }

    fn merged(a: &SessionToken, b: &SessionToken) -> SessionToken {
        let mut merged = a.clone();
        merged.merge(b);
        merged
    }

    proptest! {
        #[test]
        fn a_token_survives_printing(token in tokens()) {
            let text = token.to_string();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(text.parse::<SessionToken>().unwrap(), token);
        }

        #[test]
        fn merging_is_commutative_associative_and_idempotent(a in tokens(), b in tokens(), c in tokens()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&merged(&a, &b), &b), merged(&a, &b));
        }

        #[test]
        fn any_text_is_a_token_or_refused(text in "\\PC*|r1[.0-9a-f-]{0,40}") {
            if let Err(error) = text.parse::<SessionToken>() {
                let refused = matches!(error, Error::InvalidInput { field: "session_token", .. });
                prop_assert!(refused);
            }
        }
    }

    #[cfg(feature = "layers")]
    #[test]
    fn a_token_is_before_another_if_each_position_is() {
        let reached = merged(&SessionToken::at(1, 10), &SessionToken::at(2, 10));
        for (positions, before) in [
            ([(1, 9), (2, 9)], true),
            ([(1, 9), (1, 9)], true),
            ([(1, 9), (2, 10)], false),
            ([(1, 9), (3, 0)], false),
            ([(1, 9), (2, u64::MAX)], false),
        ] {
            let token = SessionToken { positions: positions.into_iter().collect() };
            assert_eq!(token.is_before(&reached), before, "{token}");
        }
        let never = SessionToken::at(1, u64::MAX);
        assert!(!never.is_before(&never), "a position that no read is known to have reached");
    }

    #[test]
    fn what_no_write_returned_is_refused() {
        for text in
            ["", "r", "r2", "r1.", "r1.-", "r1.1", "r1.+1-1", "r1.1-11112222333344445", "r1 "]
        {
            assert!(text.parse::<SessionToken>().is_err(), "{text:?}");
        }
        assert!(format!("r1{}", ".1-1".repeat(3000)).parse::<SessionToken>().is_err());
    }
}
