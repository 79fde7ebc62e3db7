//! Deploys: two instances behind a balancer are restarted in turn, under a steady load.
//!
//! `RSVP_RESTARTS` sets the number of restarts, which defaults to 4.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::raw;
use crate::service::{Service, command};
use crate::steady::Steady;

const RATE: u32 = 500;

/// HAProxy in front of two instances, killed when dropped.
#[derive(Debug)]
struct Balancer {
    process: Child,
    address: String,
    status: String,
}

impl Balancer {
    fn start(folder: &Path, instances: &[Service; 2]) -> Self {
        let (address, status) = (free_address(), free_address());
        let [a, b] = instances.each_ref().map(|instance| &instance.address);
        // It repeats no request, so that each one that an instance does not answer is seen.
        let config = format!(
            "defaults\n mode http\n retries 0\n timeout connect 1s\n timeout client 30s\n \
             timeout server 30s\n timeout check 5s\n\
             frontend all\n bind {address}\n default_backend instances\n\
             backend instances\n balance roundrobin\n http-reuse always\n \
             option httpchk GET /readyz\n default-server check inter 200ms fall 1 rise 1\n \
             server a {a}\n server b {b}\n\
             listen status\n bind {status}\n stats enable\n stats uri /\n"
        );
        let path = folder.join("haproxy.cfg");
        std::fs::write(&path, config).unwrap();
        let mut haproxy = Command::new("haproxy");
        haproxy.args(["-db", "-f"]).arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        let process = haproxy
            .spawn()
            .unwrap_or_else(|error| panic!("apt-get install haproxy, please ({error})"));
        Self { process, address, status }
    }

    /// Waits until it sends requests to both instances.
    async fn wait_for_both(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if tokio::net::TcpStream::connect(&self.status).await.is_ok() {
                let request = "GET /;csv HTTP/1.0\r\n\r\n";
                let status = raw::exchange(&self.status, request).await;
                let servers = status.lines().filter(|line| line.starts_with("instances,"));
                let up = servers.filter(|line| line.contains(",UP,")).count();
                // The instances and the backend itself.
                if up == 3 {
                    return;
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the balancer does not see both instances");
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn instance(address: &str) -> Service {
    Service::start_with(command().args(["--listen", address, "--drain-seconds", "2"]))
}

#[tokio::test]
#[ignore = "needs haproxy and the machine for itself: cargo test --release -p rsvp-http-api -- --ignored rolling"]
async fn a_rolling_restart_fails_no_request() {
    let restarts = std::env::var("RSVP_RESTARTS").map_or(4, |number| number.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut instances = [instance("127.0.0.1:0"), instance("127.0.0.1:0")];
    let balancer = Balancer::start(folder.path(), &instances);
    balancer.wait_for_both().await;
    let load = Steady::start(&balancer.address, RATE);
    for restart in 0..restarts {
        let service = instances.get_mut(restart % 2).unwrap();
        service.signal(Signal::SIGTERM);
        assert!(service.end().await.success());
        *service = instance(&service.address.clone());
        balancer.wait_for_both().await;
    }
    let answered = load.stop().await;
    let (number, failed) = (answered.took.len(), answered.failed.len());
    let (p50, p95) = (answered.percentile(50), answered.percentile(95));
    println!("{restarts} restarts: {number} answered, {failed} failed, p50 {p50:?}, p95 {p95:?}");
    assert_eq!(answered.failed, Vec::<String>::new());
    assert!(number > restarts * RATE as usize, "there was a load: {number}");
}
