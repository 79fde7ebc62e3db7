//! Making connections to the primary, the latest one among several hosts.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rsvp_core::url::Host;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{DEFAULT_PORT, RedisConfig};
use crate::wire::connection::{Connection, connect_to};
use crate::wire::connection_fence::Fences;
use crate::wire::failure::ConnectError;
use crate::wire::latest_primary::{Claim, Known, Latest, latest};
use crate::wire::sentinel;

/// The time after the first answer of a primary for other hosts to answer as a later one.
const GRACE: Duration = Duration::from_millis(250);

/// The interval between two looks for a later primary than the one in use.
const LOOK: Duration = Duration::from_secs(1);

/// Makes connections to the only host, or to the latest primary among several.
pub(crate) struct Connector {
    config: Arc<RedisConfig>,
    hosts: Vec<Host>,
    /// The abandoned connections to the same hosts.
    fences: Arc<Fences>,
    latest: Latest,
    /// The moment of the last look for a later primary.
    looked: Mutex<Instant>,
}

impl Connector {
    pub(crate) fn new(config: Arc<RedisConfig>, hosts: Vec<Host>, fences: Arc<Fences>) -> Self {
        let looked = Mutex::new(Instant::now());
        Self { config, hosts, fences, latest: Latest::default(), looked }
    }

    /// Connects, each host for at most the connect timeout.
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectError> {
        let connection = match self.hosts.as_slice() {
            [only] if !self.has_choice() => {
                self.reach(only).await.map(|(connection, _)| connection)
            }
            _ => self.elect(GRACE, |server| self.latest.is_current(server)).await,
        };
        connection.map_err(|error| error.of_hosts(&self.hosts))
    }

    /// Whether a connection leads to the latest known primary.
    pub(crate) fn is_current(&self, connection: &Connection) -> bool {
        !self.has_choice() || self.latest.is_current(connection.identity.server)
    }

    /// Looks for a later primary from time to time, in the background.
    pub(crate) fn look_around(self: &Arc<Self>) {
        if !self.has_choice() {
            return;
        }
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.elapsed() < LOOK {
            return;
        }
        *looked = Instant::now();
        let connector = Arc::clone(self);
        tokio::spawn(async move {
            // `elect` notes the primary found. Connections to other servers are not used any more.
            let found = connector.elect(Duration::MAX, |_| false).await;
            if let Err(error) = found {
                tracing::debug!(%error, "looking for a later primary");
            }
        });
    }

    /// Whether there is more than one server to choose from.
    fn has_choice(&self) -> bool {
        self.config.sentinel.is_some() || self.hosts.len() > 1
    }

    async fn reach(&self, host: &Host) -> Result<(Connection, Claim), ConnectError> {
        let limit = self.config.connect_timeout;
        let reached = timeout(limit, connect_to(&self.config, host, &self.fences)).await;
        reached.unwrap_or(Err(ConnectError::TimedOut(limit)))
    }

    /// The servers to choose from, the hosts or the servers known to sentinels. If a sentinel names
    /// a server the primary, it has the number of its failover.
    async fn candidates(&self) -> Result<Vec<(Host, Option<u64>)>, ConnectError> {
        let hosts = self.hosts.iter().map(|host| host.clone().with_default_port(DEFAULT_PORT));
        match &self.config.sentinel {
            Some(sentinel) => sentinel::servers(&self.config, sentinel).await,
            None => Ok(hosts.map(|host| (host, None)).collect()),
        }
    }

    /// Asks all servers at once and chooses the latest primary. If a primary `is_known`, it is
    /// taken at once. After the first primary, the others have the grace.
    ///
    /// A slow server cannot be told from a stopped one. If it is the latest primary, and this
    /// store has never met it, an earlier one is used.
    async fn elect(
        &self,
        grace: Duration,
        is_known: impl Fn(u64) -> bool,
    ) -> Result<Connection, ConnectError> {
        let candidates = self.candidates().await?;
        let known = self.latest.known();
        let ask = async |(host, named): &(Host, Option<u64>)| {
            (host.to_string(), *named, self.reach(host).await)
        };
        let mut asking: FuturesUnordered<_> = candidates.iter().map(ask).collect();
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        let mut is_deposed = false;
        // Step 1: ask all servers. When one is a primary, the others get the grace.
        let mut end = Instant::now() + self.config.connect_timeout * 2;
        while let Ok(Some((address, named, answer))) = timeout_at(end, asking.next()).await {
            match answer {
                Ok((connection, mut claim)) => {
                    if known.is_some() && is_known(claim.server) {
                        return Ok(connection);
                    }
                    // A look around waits for all: one far away may be the latest primary.
                    end = Instant::now().checked_add(grace).map_or(end, |limit| end.min(limit));
                    // Failovers of sentinels are counted from 0.
                    claim.raise(named.map_or(0, |failovers| failovers.saturating_add(1)));
                    found.push((connection, claim, named));
                }
                Err(error) => {
                    is_deposed |= matches!(error, ConnectError::ReadOnly)
                        && known.as_ref().is_some_and(|known| known.address == address);
                    failures.push(error);
                }
            }
        }
        // Step 2: raise the epochs in the claims. This store may know of more promotions than the
        // data, since a failover can have lost their records.
        let is_only = found.len() == 1;
        if let Some(known) = &known {
            // At its own address it is no earlier one, though a restart may have lost its data.
            let own = found.iter_mut().map(|(_, claim, _)| claim);
            own.filter(|claim| claim.address == known.address)
                .for_each(|claim| claim.raise(known.epoch));
            let later = found.iter_mut().map(|(_, claim, _)| claim);
            let later = later.filter(|claim| known.is_succeeded_by(claim) || is_deposed && is_only);
            later.for_each(|claim| claim.raise(known.epoch + 1));
        }
        // Step 3: choose the latest of the primaries that were not replaced.
        let is_any = !found.is_empty();
        found.retain(|(_, claim, _)| !self.latest.has_replaced(claim.epoch));
        if found.is_empty() {
            return Err(match is_any {
                false => ConnectError::of_all(failures),
                true => ConnectError::Replaced,
            });
        }
        let claims: Vec<&Claim> = found.iter().map(|(_, claim, _)| claim).collect();
        // In a dispute the sentinels are right: they will demote the other one.
        let named = || {
            let named = found.iter().enumerate().filter(|(_, (.., named))| named.is_some());
            named.max_by_key(|(_, (.., named))| *named).map(|(at, _)| at)
        };
        let at = latest(&claims).or_else(named).ok_or(ConnectError::TwoPrimaries)?;
        let (connection, claim, _) = found.swap_remove(at);
        // Step 4: record the choice in its data and in this store.
        if let Some(record) = &claim.due {
            connection.note(&self.config.prefix, record);
        }
        self.latest.note(Known::new(claim.epoch, &claim));
        Ok(connection)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector").field(&self.hosts).finish()
    }
}
