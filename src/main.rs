//! The command line of ploopconv.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
