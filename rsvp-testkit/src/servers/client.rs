//! Command-line clients of the servers, with a time limit.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::temp_dir::process_dir;
use super::wait::poll;

/// Runs `command` with `input` and returns its output, or its error output.
///
/// Input and output are files, so that neither can fill a pipe.
pub(super) fn run(mut command: Command, input: &str, limit: Duration) -> Result<String, String> {
    let program = command.get_program().display().to_string();
    let (mut output, mut errors) = (scratch_file(), scratch_file());
    let mut child = command
        // The watchdog kills every process with this working folder.
        .current_dir(process_dir())
        .stdin(Stdio::from(scratch_file_with(input)))
        .stdout(output.try_clone().expect("a file handle"))
        .stderr(errors.try_clone().expect("a file handle"))
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let status = poll(limit, || child.try_wait().expect("the client is our child"));
    match status {
        Some(status) if status.success() => Ok(contents(&mut output)),
        Some(status) => {
            Err(format!("{program}, {status}: {}{}", contents(&mut errors), contents(&mut output)))
        }
        None => {
            // Dropping a `Child` does not end its process.
            let _ = child.kill();
            let _ = child.wait();
            Err(format!("{program}: no answer within {limit:?}"))
        }
    }
}

/// Returns whether `program` can be started.
pub(super) fn is_installed(program: &str) -> bool {
    let outcome = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !matches!(outcome, Err(error) if error.kind() == ErrorKind::NotFound)
}

fn scratch_file() -> File {
    tempfile::tempfile().expect("a temporary file")
}

fn scratch_file_with(text: &str) -> File {
    let mut file = scratch_file();
    file.write_all(text.as_bytes()).expect("the temporary file takes the input");
    rewind(&mut file);
    file
}

fn contents(file: &mut File) -> String {
    rewind(file);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("the temporary file is readable");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn rewind(file: &mut File) {
    file.rewind().expect("a temporary file can be rewound");
}
