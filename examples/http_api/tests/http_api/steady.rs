//! A steady load, and how it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Method;
use tokio::task::JoinSet;
use tokio::time::interval;

use rsvp_load::check::Client;

const CONNECTIONS: u32 = 16;

/// Requests at a steady rate, half of them writes, until it is stopped.
#[derive(Debug)]
pub(crate) struct Steady {
    stop: Arc<AtomicBool>,
    connections: JoinSet<Answered>,
}

/// How the requests were answered.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// The time of each answer.
    pub(crate) took: Vec<Duration>,
    /// What went wrong.
    pub(crate) failed: Vec<String>,
}

impl Steady {
    /// Sends `rate` requests a second to `address`.
    pub(crate) fn start(address: &str, rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut connections = JoinSet::new();
        for connection in 0..CONNECTIONS {
            let period = Duration::from_secs(1) * CONNECTIONS / rate;
            connections.spawn(send(address.to_owned(), connection, period, stop.clone()));
        }
        Self { stop, connections }
    }

    pub(crate) async fn stop(self) -> Answered {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Answered::default();
        for answered in self.connections.join_all().await {
            all.took.extend(answered.took);
            all.failed.extend(answered.failed);
        }
        all.took.sort_unstable();
        all
    }
}

impl Answered {
    /// The time in which this share of the answers came, in hundredths.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let place = (self.took.len() * percent).div_ceil(100).saturating_sub(1);
        self.took.get(place).copied().unwrap_or_default()
    }
}

/// What one connection sends and gets. It connects again after a failure.
async fn send(
    address: String,
    connection: u32,
    period: Duration,
    stop: Arc<AtomicBool>,
) -> Answered {
    let (mut answered, mut client) = (Answered::default(), None);
    // A request that has to wait for the one before it has begun all the same.
    let mut ticks = interval(period);
    let user = connection.to_string();
    for event in 0_u64.. {
        let begin = ticks.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let request = async {
            let mut open = match client.take() {
                Some(open) => open,
                None => Client::connect(&address).await?,
            };
            let (method, path) = match event % 2 {
                0 => (Method::POST, format!("/events/{}/rsvp", event % 1000)),
                _ => (Method::GET, format!("/events/{}/rsvp_count", event % 1000)),
            };
            let answer = open.send(method, &path, &[("X-User-Id", user.as_bytes())]).await?;
            if answer.status.is_success() { Ok(open) } else { Err(format!("{answer:?}").into()) }
        };
        let request: Result<Client, rsvp_load::check::Failure> = request.await;
        match request {
            Ok(open) => {
                client = Some(open);
                answered.took.push(begin.elapsed());
            }
            Err(error) => answered.failed.push(error.to_string()),
        }
    }
    answered
}
