//! The health of a store's parts, and the policy that turns it into readiness.

use std::str::FromStr;

use crate::backend::combine_errors;
use crate::{Error, Result};

/// The health of each part of a store: a shard, a node of a cluster, or the store as a whole.
/// A healthy part accepts writes.
///
/// ```
/// use rsvp_core::{Error, Health, Operation, PartHealth, ReadyPolicy};
///
/// let down = Error::unavailable(Operation::Ready, rsvp_core::Effect::NotApplied, None);
/// let health = Health::new([PartHealth::new("eu1", Ok(())), PartHealth::new("eu2", Err(down))]);
/// assert!(health.check(ReadyPolicy::Half).is_ok());
/// assert!(health.check(ReadyPolicy::All).is_err());
/// assert_eq!(health.down().next().unwrap().name, "eu2");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// The parts. There is at least one.
    pub parts: Vec<PartHealth>,
}

/// The health of one part of a store.
///
/// ```
/// use rsvp_core::PartHealth;
///
/// let node = PartHealth::new("10.0.0.7:6379", Ok(()));
/// assert!(node.result.is_ok());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartHealth {
    /// The name of the shard, the address of the node, or `store` for the whole.
    pub name: String,
    /// `Ok` if the part accepts writes, otherwise the reason.
    pub result: Result<()>,
}

/// How much of a store must be up for an instance to receive traffic.
///
/// A failed part is down for every instance of a service.
/// A balancer that takes every instance out of service turns the failure
/// of one part into an outage of everything.
/// So an instance should leave the balancer only if it can reach hardly any part.
///
/// ```
/// use rsvp_core::{Health, PartHealth, ReadyPolicy};
///
/// let policy: ReadyPolicy = "any".parse()?;
/// let health = Health::new([PartHealth::new("eu1", Ok(()))]);
/// assert!(health.check(policy).is_ok());
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadyPolicy {
    /// Every part.
    All,
    /// At least half of the parts.
    #[default]
    Half,
    /// At least one part.
    Any,
}

impl Health {
    /// Makes the health of several parts.
    pub fn new(parts: impl IntoIterator<Item = PartHealth>) -> Self {
        Self { parts: parts.into_iter().collect() }
    }

    /// Makes the health of a store without parts.
    #[must_use]
    pub fn of_whole(result: Result<()>) -> Self {
        Self::new([PartHealth::new("store", result)])
    }

    /// Returns the failed parts.
    pub fn down(&self) -> impl Iterator<Item = &PartHealth> {
        self.parts.iter().filter(|part| part.result.is_err())
    }

    /// Checks that as many parts are up as the policy demands.
    ///
    /// # Errors
    ///
    /// The errors of the parts, combined as those of a batch.
    pub fn check(&self, policy: ReadyPolicy) -> Result<()> {
        let (all, down) = (self.parts.len(), self.down().count());
        let is_ready = policy.is_met(all - down, all);
        let errors = self.parts.iter().filter_map(|part| part.result.clone().err());
        match combine_errors(errors, false) {
            Some(error) if !is_ready => Err(error),
            _ => Ok(()),
        }
    }
}

impl ReadyPolicy {
    /// Tells whether `ready` of `all` parts are enough.
    ///
    /// ```
    /// use rsvp_core::ReadyPolicy;
    ///
    /// assert!(ReadyPolicy::Half.is_met(2, 4));
    /// assert!(!ReadyPolicy::All.is_met(3, 4));
    /// ```
    #[must_use]
    pub fn is_met(self, ready: usize, all: usize) -> bool {
        match self {
            Self::All => ready == all,
            Self::Half => ready == all || 2 * ready >= all && ready > 0,
            Self::Any => ready == all || ready > 0,
        }
    }
}

impl PartHealth {
    /// Makes the health of the part with this name.
    pub fn new(name: impl Into<String>, result: Result<()>) -> Self {
        Self { name: name.into(), result }
    }
}

impl FromStr for ReadyPolicy {
    type Err = Error;

    /// Reads `all`, `half` or `any`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `ready`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "all" => Ok(Self::All),
            "half" => Ok(Self::Half),
            "any" => Ok(Self::Any),
            _ => Err(Error::invalid_input("ready", "is not one of all, half and any")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effect, Operation};

    #[test]
    fn a_policy_decides_how_much_must_be_up() {
        let down = || Err(Error::unavailable(Operation::Ready, Effect::NotApplied, None));
        let health = |up: usize, all: usize| {
            Health::new(
                (0..all).map(|n| PartHealth::new("p", if n < up { Ok(()) } else { down() })),
            )
        };
        for (up, all, expected) in [
            (1, 1, [true, true, true]),
            (0, 1, [false, false, false]),
            (1, 2, [false, true, true]),
            (0, 2, [false, false, false]),
            (1, 3, [false, false, true]),
            (2, 3, [false, true, true]),
            (5, 6, [false, true, true]),
            (3, 3, [true, true, true]),
        ] {
            let policies = [ReadyPolicy::All, ReadyPolicy::Half, ReadyPolicy::Any];
            let ready = policies.map(|policy| health(up, all).check(policy).is_ok());
            assert_eq!(ready, expected, "{up} of {all}");
        }
    }

    #[test]
    fn policies_are_read_by_name() {
        assert_eq!("half".parse::<ReadyPolicy>().unwrap(), ReadyPolicy::Half);
        assert!("most".parse::<ReadyPolicy>().is_err());
    }
}
