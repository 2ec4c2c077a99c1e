//! The command line of lastref.

mod command;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match command::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            command::tell(format_args!("{error:#}"));
            ExitCode::from(command::FAILED)
        }
    }
}
