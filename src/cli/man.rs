//! `ploopconv man DIR`: the manual pages, made from what the commands say of themselves.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::outcome::Verdict;

/// Write the manual pages of all commands into a directory
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Where to; made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// As in the README.
const STATUSES: [(&str, &str); 7] = [
    ("0", "Done, clean, equal, verified."),
    (
        "1",
        "It could not be done, or compare and verify found a difference.",
    ),
    ("2", "The command line is wrong."),
    (
        "3",
        "The image is damaged: check found it, or a reading command refused it.",
    ),
    (
        "4",
        "The image is in use: marked dirty, or attached on this host.",
    ),
    ("5", "Done, but with parts replaced by zeros (--salvage)."),
    (
        "129, 130, 143",
        "Ended by SIGHUP, SIGINT or SIGTERM; nothing is left behind.",
    ),
];

pub(crate) fn run(args: &ManArgs, mut program: clap::Command) -> anyhow::Result<Verdict> {
    let failed = || format!("writing the manual to {}", args.dir.display());
    std::fs::create_dir_all(&args.dir).with_context(failed)?;
    program = program.disable_help_subcommand(true);
    // Gives every command its full name and the options it shares.
    program.build();
    let commands = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let commands: Vec<_> = commands.cloned().collect();
    for command in &commands {
        write(&args.dir, command.clone(), &["ploopconv".to_owned()]).with_context(failed)?;
    }
    let see_also = commands
        .iter()
        .map(|command| format!("ploopconv-{}", command.get_name()));
    let see_also: Vec<_> = see_also.collect();
    write(&args.dir, program, &see_also).with_context(failed)?;
    Ok(Verdict::Done)
}

fn write(dir: &Path, command: clap::Command, see_also: &[String]) -> std::io::Result<()> {
    let man = Man::new(command)
        .manual("ploopconv")
        .source(concat!("ploopconv ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    more(see_also).to_writer(&mut page)?;
    let mut file = std::fs::File::create(dir.join(man.get_filename()))?;
    file.write_all(&page)
}

/// What is the same for every page.
fn more(see_also: &[String]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in STATUSES {
        roff.control("TP", []);
        roff.text([bold(status)]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut names: Vec<Inline> = Vec::new();
    for name in see_also {
        if !names.is_empty() {
            names.push(roman(", "));
        }
        names.extend([bold(name), roman("(1)")]);
    }
    roff.text(names);
    roff
}
