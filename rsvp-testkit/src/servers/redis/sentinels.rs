//! Sentinels of a replicated pair.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::node::program;
use super::replicated::ReplicatedRedis;
use crate::servers::client;
use crate::servers::port::PortLease;
use crate::servers::process::ServerProcess;
use crate::servers::temp_dir::new_folder;
use crate::servers::wait::{blocking, wait_until};

const START_LIMIT: Duration = Duration::from_secs(60);
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// The smallest number of sentinels with a majority after the loss of one.
const SENTINELS: usize = 3;

/// Three sentinels.
/// They promote the replica of a pair two seconds after the silence of its primary began.
///
/// ```no_run
/// use rsvp_testkit::servers::{RedisSentinels, ReplicatedRedis};
///
/// # #[tokio::main]
/// # async fn main() {
/// let pair = ReplicatedRedis::start().await;
/// let sentinels = RedisSentinels::start(&pair, None).await;
/// println!("{}", sentinels.url());
/// # }
/// ```
#[derive(Debug)]
pub struct RedisSentinels {
    sentinels: Vec<Arc<Sentinel>>,
    password: Option<String>,
}

#[derive(Debug)]
struct Sentinel {
    process: ServerProcess,
    port: PortLease,
    /// Keeps the folder.
    _folder: TempDir,
    password: Option<String>,
}

impl RedisSentinels {
    /// The name of the primary at the sentinels.
    pub const NAME: &'static str = "tickets";

    /// Starts sentinels of `pair`. Returns after they have found each other and the replica.
    ///
    /// With a password, their own clients must give it.
    pub async fn start(pair: &ReplicatedRedis, password: Option<&str>) -> Self {
        let (primary, password) = (pair.primary().port(), password.map(str::to_owned));
        let own = password.clone();
        let sentinels = blocking(move || {
            let start = |_| Arc::new(Sentinel::start(primary, own.clone()));
            let sentinels: Vec<Arc<Sentinel>> = (0..SENTINELS).map(start).collect();
            // Two of three agree on a failure. Before they know each other they cannot.
            for sentinel in &sentinels {
                wait_until("the sentinels to know each other", START_LIMIT, || {
                    let others = (SENTINELS - 1).to_string();
                    sentinel.field("num-other-sentinels") == Some(others)
                        && sentinel.field("num-slaves").as_deref() == Some("1")
                });
            }
            sentinels
        });
        Self { sentinels: sentinels.await, password }
    }

    /// Returns the URL `redis+sentinel://127.0.0.1:1,127.0.0.1:2,…/tickets`,
    /// with the password of the sentinels if there is one.
    pub fn url(&self) -> String {
        let hosts =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port.port()));
        let hosts: Vec<String> = hosts.collect();
        let password = self.password.as_ref();
        let query = password.map(|password| format!("?sentinel_password={password}"));
        format!("redis+sentinel://{}/{}{}", hosts.join(","), Self::NAME, query.unwrap_or_default())
    }

    /// Stops the process of one sentinel with SIGSTOP. It keeps its old knowledge.
    pub async fn pause(&self, number: usize) {
        let sentinel = Arc::clone(&self.sentinels[number]);
        blocking(move || sentinel.process.pause()).await;
    }

    /// Lets a paused sentinel run again.
    pub async fn resume(&self, number: usize) {
        let sentinel = Arc::clone(&self.sentinels[number]);
        blocking(move || sentinel.process.resume()).await;
    }
}

impl Sentinel {
    fn start(primary: u16, password: Option<String>) -> Self {
        let folder = new_folder("sentinel");
        let port = PortLease::take();
        let name = RedisSentinels::NAME;
        let mut text = format!(
            "bind 127.0.0.1\nport {}\nsentinel monitor {name} 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds {name} 2000\nsentinel failover-timeout {name} 3000\n",
            port.port()
        );
        if let Some(password) = &password {
            text += &format!("requirepass {password}\nsentinel sentinel-pass {password}\n");
        }
        fs::write(folder.path().join("sentinel.conf"), text).expect("the folder takes a file");
        let process = ServerProcess::new(folder.path());
        let mut command = Command::new(program());
        command.args(["sentinel.conf", "--sentinel"]);
        process.spawn(command);
        let sentinel = Self { process, port, _folder: folder, password };
        wait_until("the sentinel to answer", START_LIMIT, || {
            let ended = sentinel.process.exited();
            assert!(ended.is_none(), "it ended; its log ends:\n{}", sentinel.process.log_tail());
            sentinel.field("name").as_deref() == Some(name)
        });
        sentinel
    }

    /// Returns a field of its knowledge of the primary.
    fn field(&self, name: &str) -> Option<String> {
        let mut client = Command::new("redis-cli");
        client.args(["-e", "-h", "127.0.0.1", "-p", &self.port.port().to_string()]);
        client.env_remove("REDISCLI_AUTH");
        if let Some(password) = &self.password {
            client.env("REDISCLI_AUTH", password);
        }
        client.args(["SENTINEL", "MASTER", RedisSentinels::NAME]);
        let answer = client::run(client, "", COMMAND_LIMIT).ok()?;
        let lines: Vec<&str> = answer.lines().collect();
        // The answer alternates between names and values.
        let mut fields = lines.chunks(2);
        fields.find(|field| field[0] == name).and_then(|field| Some((*field.get(1)?).to_owned()))
    }
}
