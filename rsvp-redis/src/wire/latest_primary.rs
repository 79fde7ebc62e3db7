//! The choice of the latest among several primaries.
//!
//! A replaced primary may go on, or come back, before it is told to follow its successor. Both
//! servers then claim to be the primary. Four things tell them apart:
//!
//! 1. **Replication ids.** A promoted replica keeps the id of its earlier history as its second id
//!    (`master_replid2`). So it has replaced the server with this first id.
//! 2. **The record.** A restart gives a server a new id. Therefore the store writes a record into
//!    the data, with the process of the primary and the number of known promotions. Replicas have
//!    the record too. After a promotion the new primary finds its own history in it and counts one
//!    more. A restarted primary keeps the lower number for ever.
//! 3. **Sentinels** number their failovers.
//! 4. **Memory.** A store does not go back from a known primary to an earlier one, unless the known
//!    one has become a replica.
//!
//! A replica restarted without `replicaof` is a primary as well, and also has the id of its earlier
//! history as its second id. It was not promoted, and its former primary keeps its place as long as
//! it answers. The replication backlog tells the two cases apart. The backlog of a promoted replica
//! begins before the promotion, and the backlog of a restarted one begins with the restart. Writes
//! push the beginning out of the backlog later. By then the record is in the data.
//!
//! The record is written like any other data, so a failover may lose it. Then the others tell
//! enough, unless a server is restarted and a store is started in just that moment.

use std::sync::{Mutex, PoisonError};

use crate::wire::handshake::field;

/// The latest primary known to the stores, as the data has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The number of known promotions, plus one.
    epoch: u64,
    /// The process of the server.
    server: u64,
    /// Its replication id.
    history: String,
    /// Its address.
    address: String,
}

impl Record {
    pub(crate) fn key(prefix: &str) -> String {
        format!("{prefix}:primary")
    }

    /// Reads `epoch=2 server=1f… history=9c… address=redis1:6379`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(' ').filter_map(|field| field.split_once('='));
        let mut field =
            |name| fields.next().filter(|(own, _)| *own == name).map(|(_, value)| value);
        Some(Self {
            epoch: field("epoch")?.parse().ok()?,
            server: u64::from_str_radix(field("server")?, 16).ok()?,
            history: field("history")?.to_owned(),
            address: field("address")?.to_owned(),
        })
    }

    pub(crate) fn text(&self) -> String {
        let Self { epoch, server, history, address } = self;
        format!("epoch={epoch} server={server:016x} history={history} address={address}")
    }
}

/// The claim of a server to be the latest primary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claim {
    pub(crate) server: u64,
    /// The number of promotions by its data and its replication ids, plus one.
    pub(crate) epoch: u64,
    history: String,
    /// The history before its promotion.
    followed: String,
    pub(crate) address: String,
    /// Set if the server may have been restarted rather than promoted. It is the address of the
    /// former primary in its data.
    unproven: Option<String>,
    /// The record to write into its data, if it has another one.
    pub(crate) due: Option<Record>,
}

impl Claim {
    /// The claim of a primary, by its reply to `INFO replication` and the record in its data.
    pub(crate) fn new(
        replication: &str,
        server: u64,
        address: &str,
        record: Option<Record>,
    ) -> Self {
        let id = |name| field(replication, name).unwrap_or_default().to_owned();
        let (history, followed) = (id("master_replid"), id("master_replid2"));
        let passed = |record: &Record| {
            if record.server == server {
                // A process gets another history when it is replaced, and one more when it is
                // promoted again. Without a replica for an hour it also gets another one, but has
                // no second one then.
                return if record.history == history || is_none(&followed) { 0 } else { 2 };
            }
            // A server that loads a snapshot after a restart also has its earlier id as the second
            // one, but at the same address.
            u64::from(record.history == followed && record.address != address)
        };
        let known = record.as_ref().map_or(1, |record| record.epoch);
        let epoch = known.saturating_add(record.as_ref().map_or(0, passed));
        let address = address.replace(' ', "_");
        let is_met = record.as_ref().is_some_and(|record| record.server == server);
        let unproven = (!is_met && !is_none(&followed) && !has_backlog_of_followed(replication))
            .then(|| record.as_ref().map(|record| record.address.clone()).unwrap_or_default())
            .filter(|recorded| *recorded != address);
        let own = Record { epoch, server, history: history.clone(), address: address.clone() };
        let is_noted = record.is_some_and(|record| {
            (record.epoch, record.server) == (epoch, server) && record.history == history
        });
        let due = (!is_noted).then_some(own);
        Self { server, epoch, history, followed, address, unproven, due }
    }

    /// Raises the number of promotions, if a store knows of more than its data.
    pub(crate) fn raise(&mut self, epoch: u64) {
        if self.epoch < epoch {
            self.epoch = epoch;
            let (server, history, address) =
                (self.server, self.history.clone(), self.address.clone());
            self.due = Some(Record { epoch, server, history, address });
        }
    }

    /// Whether the server was promoted in the place of `other`.
    fn succeeds(&self, other: &Self) -> bool {
        self.followed(other) && self.unproven.is_none()
    }

    /// Whether the server may only have been restarted, and `other` is its former primary.
    fn yields_to(&self, other: &Self) -> bool {
        let is_other = self.server != other.server;
        self.unproven
            .as_ref()
            .is_some_and(|recorded| self.followed(other) || is_other && *recorded == other.address)
    }

    fn followed(&self, other: &Self) -> bool {
        !other.history.is_empty() && self.followed == other.history && self.server != other.server
    }
}

/// Whether a replication id stands for no history.
fn is_none(id: &str) -> bool {
    id.bytes().all(|digit| digit == b'0')
}

/// Whether the backlog has a part of the earlier history. Without the fields nothing speaks against
/// a promotion.
fn has_backlog_of_followed(replication: &str) -> bool {
    let number = |name| field(replication, name).and_then(|value| value.parse::<i64>().ok());
    match (number("repl_backlog_first_byte_offset"), number("second_repl_offset")) {
        (Some(first), Some(second)) => first < second,
        _ => true,
    }
}

/// The place of the claim of the latest primary. `None` if two of them have an equal right to it.
pub(crate) fn latest(claims: &[&Claim]) -> Option<usize> {
    let mut fit: Vec<(usize, &&Claim)> = claims.iter().enumerate().collect();
    let is_behind = |claim: &Claim, other: &Claim| other.succeeds(claim) || claim.yields_to(other);
    fit.retain(|(_, claim)| !claims.iter().any(|other| is_behind(claim, other)));
    let (at, best) = fit.iter().max_by_key(|(_, claim)| claim.epoch)?;
    // Two names of one server are no dispute.
    let disputed =
        fit.iter().any(|(_, other)| other.epoch == best.epoch && other.server != best.server);
    (!disputed).then_some(*at)
}

/// The latest primary known to this store.
#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<Option<Known>>);

/// A primary known to this store.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) epoch: u64,
    pub(crate) server: u64,
    history: String,
    pub(crate) address: String,
}

impl Known {
    pub(crate) fn new(epoch: u64, claim: &Claim) -> Self {
        let (history, address) = (claim.history.clone(), claim.address.clone());
        Self { epoch, server: claim.server, history, address }
    }

    /// Whether a primary was promoted in its place.
    pub(crate) fn is_succeeded_by(&self, claim: &Claim) -> bool {
        !self.history.is_empty() && claim.followed == self.history && claim.server != self.server
    }
}

impl Latest {
    /// Notes a primary in use, unless a later one is known.
    pub(crate) fn note(&self, primary: Known) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|known| known.epoch <= primary.epoch) {
            *known = Some(primary);
        }
    }

    /// Whether a primary of this epoch has been replaced.
    pub(crate) fn has_replaced(&self, epoch: u64) -> bool {
        self.known().is_some_and(|known| known.epoch > epoch)
    }

    /// Whether a server is the one in use, or none is yet.
    pub(crate) fn is_current(&self, server: u64) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().is_none_or(|known| known.server == server)
    }

    /// The primary in use.
    pub(crate) fn known(&self) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(server: u64, ids: (&str, &str), record: Option<&Record>) -> Claim {
        let replication =
            format!("role:master\r\nmaster_replid:{}\r\nmaster_replid2:{}\r\n", ids.0, ids.1);
        Claim::new(&replication, server, &format!("h{server}:1"), record.cloned())
    }

    #[test]
    fn a_record_can_be_read_back() {
        let record = claim(7, ("aa", "00"), None).due.unwrap();
        assert_eq!(record.text(), "epoch=1 server=0000000000000007 history=aa address=h7:1");
        assert_eq!(Record::parse(&record.text()), Some(record));
        assert_eq!(Record::parse("epoch=1 server=zz history=aa address=h"), None);
        assert_eq!(Record::parse(""), None);
    }

    #[test]
    fn a_promoted_replica_comes_before_a_primary_that_was_restarted() {
        let record = claim(1, ("aa", "00"), None).due.unwrap();
        let restarted = Claim { epoch: 1, ..claim(9, ("cc", "00"), Some(&record)) };
        let promoted = claim(2, ("bb", "aa"), Some(&record));
        assert_eq!((promoted.epoch, restarted.epoch), (2, 1));
        assert_eq!(latest(&[&restarted, &promoted]), Some(1));
        // The record of the promoted one is kept over its own restart and the next promotion.
        let record = promoted.due.unwrap();
        assert_eq!(claim(2, ("bb", "aa"), Some(&record)).due, None);
        assert_eq!(claim(3, ("dd", "00"), Some(&record)).epoch, 2);
        assert_eq!(claim(4, ("ee", "bb"), Some(&record)).epoch, 3);
    }

    #[test]
    fn replication_ids_tell_who_was_replaced_without_a_record() {
        let (old, new) = (claim(1, ("aa", "00"), None), claim(2, ("bb", "aa"), None));
        assert_eq!(latest(&[&old, &new]), Some(1));
        assert_eq!(latest(&[&new, &old]), Some(0));
    }

    #[test]
    fn two_primaries_that_nothing_tells_apart_are_a_dispute() {
        let (one, other) = (claim(1, ("aa", "00"), None), claim(2, ("bb", "00"), None));
        assert_eq!(latest(&[&one, &other]), None);
        assert_eq!(latest(&[&one, &one.clone()]), Some(1), "one server under two names");
        assert_eq!(latest(&[&one]), Some(0));
    }

    #[test]
    fn a_process_that_was_replaced_and_promoted_again_counts_both() {
        let record = claim(1, ("aa", "00"), None).due.unwrap();
        assert_eq!(claim(1, ("aa", "00"), Some(&record)).epoch, 1);
        assert_eq!(
            claim(1, ("cc", "bb"), Some(&record)).epoch,
            3,
            "the record of server 2 was lost"
        );
    }

    #[test]
    fn a_replica_that_restarts_as_a_primary_yields_to_the_one_that_it_followed() {
        let live = claim(1, ("aa", "00"), None);
        let record = live.due.clone().unwrap();
        let follower = |first: u32| {
            let replication = format!(
                "master_replid:bb\r\nmaster_replid2:aa\r\nsecond_repl_offset:51\r\n\
                 repl_backlog_first_byte_offset:{first}\r\n"
            );
            Claim::new(&replication, 2, "h2:1", Some(record.clone()))
        };
        let (restarted, promoted) = (follower(51), follower(1));
        assert_eq!(latest(&[&live, &restarted]), Some(0));
        assert_eq!(latest(&[&restarted, &live]), Some(1));
        assert_eq!(latest(&[&restarted]), Some(0), "the only one that answers");
        assert_eq!(latest(&[&live, &promoted]), Some(1));
        let both_restarted = Claim { address: "h1:1".to_owned(), ..claim(9, ("cc", "aa"), None) };
        assert_eq!(latest(&[&both_restarted, &restarted]), Some(0));
    }

    #[test]
    fn a_primary_without_replicas_is_not_promoted_when_its_id_expires() {
        let record = claim(1, ("aa", "00"), None).due.unwrap();
        assert_eq!(claim(1, ("cc", "00"), Some(&record)).epoch, 1);
    }

    #[test]
    fn a_store_does_not_go_back() {
        let known = |epoch, server| Known::new(epoch, &claim(server, ("aa", "00"), None));
        let latest = Latest::default();
        assert!(latest.is_current(1) && !latest.has_replaced(0));
        latest.note(known(2, 7));
        latest.note(known(1, 8));
        assert!(latest.is_current(7) && !latest.is_current(8));
        assert!(latest.has_replaced(1) && !latest.has_replaced(2));
        assert!(known(2, 7).is_succeeded_by(&claim(8, ("bb", "aa"), None)));
        assert!(!known(2, 7).is_succeeded_by(&claim(8, ("bb", "00"), None)));
    }
}
