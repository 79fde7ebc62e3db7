//! A test process that another test starts in order to kill it.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// More than any server needs on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Set in a test process that another test starts in order to kill it.
pub(crate) const VICTIM: &str = "RSVP_TESTKIT_VICTIM";

/// What a victim prints in front of its server's folder.
const ANNOUNCEMENT: &str = "server folder: ";

/// The command lines of the processes that work in `folder`.
pub(crate) fn processes_in(folder: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| {
            let works_in = fs::read_link(process.path().join("cwd"));
            works_in.is_ok_and(|path| path.starts_with(folder))
        })
        .map(|process| fs::read_to_string(process.path().join("cmdline")).unwrap_or_default())
        .collect()
}

/// Waits until a folder and every process in it are gone.
pub(crate) async fn assert_gone(folder: &Path) {
    let gone = async {
        while folder.exists() || !processes_in(folder).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(LIMIT, gone).await.is_err() {
        panic!("left in {}: {:?}", folder.display(), processes_in(folder));
    }
}

/// Runs the ignored test `name` in a process of its own, kills that with SIGKILL once it has
/// announced a server, and returns the server's folder.
pub(crate) fn kill_the_owner(name: &str) -> PathBuf {
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", name])
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    // The test harness writes the test's name to the same line.
    let folder = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once(ANNOUNCEMENT).map(|(_, folder)| PathBuf::from(folder)));
    let folder = folder.expect("the victim announces a server");
    assert!(!processes_in(&folder).is_empty(), "the server runs while its owner lives");
    owner.kill().unwrap();
    owner.wait().unwrap();
    folder
}

/// Announces a server to the test that started this process, and waits to be killed by it.
pub(crate) fn await_the_end(folder: &Path) {
    println!("{ANNOUNCEMENT}{}", folder.display());
    // The end of the input means that the other test has failed.
    let _ = std::io::stdin().read_line(&mut String::new());
}
