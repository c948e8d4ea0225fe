//! `ploopconv completions SHELL`: a script that lets a shell complete the command line.

use anyhow::Context;

use super::outcome::Verdict;
use super::output::{Stdout, finish, results};

/// Print a script that lets a shell complete the command line
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &CompletionsArgs, mut program: clap::Command) -> anyhow::Result<Verdict> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "ploopconv", &mut script);
    let mut out = results();
    std::io::Write::write_all(&mut out, &script)
        .context(Stdout)
        .and_then(|()| finish(out))?;
    Ok(Verdict::Done)
}
