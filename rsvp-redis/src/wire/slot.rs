//! Hash slots (Redis Cluster specification, "Key distribution model").

use crc::{CRC_16_XMODEM, Crc};

/// The number of slots of a cluster.
pub(crate) const SLOTS: u16 = 16_384;

const CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// The slot of a hash tag, or of a whole key without one. It is the CRC16 modulo the number of
/// slots.
pub(crate) fn slot_of(tag: &str) -> u16 {
    CRC16.checksum(tag.as_bytes()) % SLOTS
}

/// Consecutive slots of one owner, from `first` to `last` inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotRange<O> {
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) owner: O,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of the specification, and an id on a real server.
    #[test]
    fn slots_are_those_of_cluster_keyslot() {
        assert_eq!(slot_of("123456789"), 12_739);
        assert_eq!(slot_of("alice"), 749);
    }
}
