//! The server in the background: a process of its own, started from the same command line.
//!
//! The server says on its standard output what is to be printed, and `.` when it is ready. Until
//! then it complains where the user sees it, and its status is that of the command.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::Context;

use super::super::output::{finish, line, results, write_message};
use crate::cli::outcome::Verdict;

const READY: &str = ".";

/// Starts the server of this command, waits until it is ready and prints what it has to say.
pub(in crate::cli) fn start(command: &str) -> anyhow::Result<Verdict> {
    // The command is the first word: no option goes in front of it.
    let rest = std::env::args_os().skip(2);
    let args = [command, "--in-background"].map(OsString::from);
    // The program that runs, whatever has become of its file.
    let mut child = Command::new("/proc/self/exe")
        .arg0("ploopconv")
        .args(args.into_iter().chain(rest))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the server")?;
    let said = BufReader::new(child.stdout.take().context("starting the server")?);
    let mut lines: Vec<String> = Vec::new();
    for text in said.lines() {
        let text = text.context("listening to the server")?;
        if text == READY {
            let mut out = results();
            for text in &lines {
                line(&mut out, text)?;
            }
            finish(out)?;
            return Ok(Verdict::Done);
        }
        lines.push(text);
    }
    let status = child.wait().context("waiting for the server")?;
    // It has said why.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(match code {
        Some(code) if code != 0 => Verdict::Status(code),
        _ => {
            write_message(&format!("the server ended before it was ready: {status}"));
            Verdict::Status(1)
        }
    })
}

/// Makes the server, which has just been started, a process of its own: it goes by the program's
/// name, which starting it as `/proc/self/exe` hid from ps(1), and keeps no file open that the
/// shell or the script around the command has, and perhaps has locked.
pub(in crate::cli) fn settle() {
    let _ = nix::sys::prctl::set_name(c"ploopconv");
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let open = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let open: Vec<i32> = open.collect();
    // Nothing was opened here so far, but for the list itself, which is closed by now.
    for inherited in open.into_iter().filter(|&fd| fd > 2) {
        let _ = nix::unistd::close(inherited);
    }
}

/// Tells the waiting command that the server is ready, and leaves the terminal: from here on
/// standard error is the log.
pub(in crate::cli) fn report(lines: &[String], log: &File) -> anyhow::Result<()> {
    let mut text = String::new();
    for line in lines.iter().map(String::as_str).chain([READY]) {
        text += line;
        text.push('\n');
    }
    io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush())
        .context("telling the command that the server is ready")?;
    // The server holds no directory and no terminal of its caller, and no pipe that the caller
    // reads to its end.
    nix::unistd::chdir("/").context("changing to /")?;
    let nothing = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .context("opening /dev/null")?;
    nix::unistd::dup2_stderr(log).context("opening the log")?;
    nix::unistd::dup2_stdout(&nothing).context("leaving the terminal")?;
    // Refused only to the leader of a process group, which a child of the command is not.
    let _ = nix::unistd::setsid();
    Ok(())
}
