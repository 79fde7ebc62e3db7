//! A server process and all its children, found by their working folder.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::{poll, wait_until};

/// The bound on actions of the kernel, on a busy machine too.
const KERNEL_LIMIT: Duration = Duration::from_secs(30);

/// The greatest number of log bytes in a panic message.
const LOG_TAIL: usize = 4_000;

/// A server process, started and stopped any number of times in one folder.
///
/// Its children are the processes that work in the folder.
/// Process groups would not find them, because each Postgres backend leads one of its own.
/// Parents would not find them after the kill of the server. Dropping kills them all.
#[derive(Debug)]
pub(super) struct ServerProcess {
    folder: PathBuf,
    child: Mutex<Option<Child>>,
}

impl ServerProcess {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), child: Mutex::new(None) }
    }

    /// Starts `command` with its output in the log. It must work in the folder or below.
    pub(super) fn spawn(&self, mut command: Command) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the server's log opens");
        command
            .current_dir(&self.folder)
            // A process group of its own keeps Ctrl-C at a terminal away from the server.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the server's log opens twice"))
            .stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let before = self.child().replace(child);
        assert!(before.is_none(), "the server in {} runs already", self.folder.display());
    }

    /// Returns the id of the server's first process while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// Returns whether the server was started and is neither killed nor paused.
    pub(super) fn is_running(&self) -> bool {
        self.id().is_some_and(|id| !is_stopped(to_pid(id)))
    }

    /// Returns the exit status of a server that ended by itself.
    pub(super) fn exited(&self) -> Option<ExitStatus> {
        let mut child = self.child();
        let status = child.as_mut()?.try_wait().expect("the server is our child")?;
        *child = None;
        Some(status)
    }

    /// Kills the server and all its children with SIGKILL, and returns after their end.
    pub(super) fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            // Kill it first, so that it starts no more children and does not react to their end.
            let _ = child.kill();
            let _ = child.wait();
        }
        wait_until("killed processes to go", KERNEL_LIMIT, || {
            // A process may start another one between the list and the signal.
            // So repeat this until no process is left.
            let left = processes_in(&self.folder);
            send(&left, Signal::SIGKILL);
            left.is_empty()
        });
    }

    /// Stops the server and all its children with SIGSTOP, and returns after they have stopped.
    pub(super) fn pause(&self) {
        wait_until("processes to pause", KERNEL_LIMIT, || {
            let running: Vec<Pid> =
                processes_in(&self.folder).into_iter().filter(|pid| !is_stopped(*pid)).collect();
            send(&running, Signal::SIGSTOP);
            running.is_empty()
        });
    }

    /// Lets a paused server run again.
    pub(super) fn resume(&self) {
        send(&processes_in(&self.folder), Signal::SIGCONT);
    }

    /// Asks the server to end with `signal` and waits until it has, at most `limit`.
    pub(super) fn stop(&self, signal: Signal, limit: Duration) {
        let Some(id) = self.id() else { return };
        // A stopped process would not handle the signal.
        self.resume();
        send(&[to_pid(id)], signal);
        if poll(limit, || self.exited()).is_none() {
            panic!("no end of the server within {limit:?}; its log ends:\n{}", self.log_tail());
        }
        // A child that is left after an orderly end has missed it.
        self.kill();
    }

    /// Returns the path of the log of the server's output.
    pub(super) fn log_path(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Returns the last part of the log.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL)..]).into_owned()
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn to_pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().expect("process ids are positive"))
}

fn send(processes: &[Pid], signal: Signal) {
    for process in processes {
        // A process that has just ended is no error.
        let _ = kill(*process, signal);
    }
}

/// Returns the living processes that work in `folder` or below it. A zombie has no working folder.
fn processes_in(folder: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("/proc is readable");
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let id: i32 = entry.file_name().to_str()?.parse().ok()?;
            let works_in = fs::read_link(entry.path().join("cwd")).ok()?;
            works_in.starts_with(folder).then(|| Pid::from_raw(id))
        })
        .collect()
}

/// Returns whether a process is stopped or has ended.
fn is_stopped(process: Pid) -> bool {
    match fs::read_to_string(format!("/proc/{process}/stat")) {
        // The state follows the name. The name is in parentheses, and may have parentheses itself.
        Ok(stat) => {
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't', 'Z', 'X']))
        }
        Err(error) => error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(3),
    }
}
