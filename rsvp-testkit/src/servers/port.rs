//! TCP ports for servers with restarts.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The first port of the range.
///
/// The range ends below Linux's ephemeral ports (32768 and up).
/// In the ephemeral range, a client that tries
/// to reach a stopped server may get the server's port as its own.
/// It then connects to itself, and the server cannot start again.
const FIRST: u16 = 11_000;
const COUNT: u16 = 10_000;

/// The distance of Redis Cluster's second port. No lease is in that second range.
pub(super) const CLUSTER_BUS_OFFSET: u16 = 10_000;

/// A port reserved for one test process while this value lives, even without a listening server.
#[derive(Debug)]
pub(super) struct PortLease {
    port: u16,
    /// Two processes cannot bind one abstract name. The kernel frees it with its owner.
    _claim: UnixListener,
}

impl PortLease {
    /// Reserves a port. Nothing listens on it, or on the port [`CLUSTER_BUS_OFFSET`] above it.
    pub(super) fn take() -> Self {
        // A fresh `RandomState` is the standard library's source of randomness.
        let start = (RandomState::new().hash_one(0) % u64::from(COUNT)) as u16;
        // From a random start, test processes rarely compete for the same ports.
        (0..COUNT)
            .map(|step| FIRST + (start + step) % COUNT)
            .find_map(Self::claim)
            .expect("a free TCP port between 11000 and 21000")
    }

    fn claim(port: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("rsvp-testkit-port-{port}")).ok()?;
        let claim = UnixListener::bind_addr(&name).ok()?;
        // Another program may listen without a lease. The probes are closed at once.
        for probe in [port, port + CLUSTER_BUS_OFFSET] {
            TcpListener::bind((Ipv4Addr::LOCALHOST, probe)).ok()?;
        }
        Some(Self { port, _claim: claim })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}
