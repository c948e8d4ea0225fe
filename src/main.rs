//! The command line of ploopconv.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        reason = "a test that meets the unexpected fails where it stands"
    )
)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
