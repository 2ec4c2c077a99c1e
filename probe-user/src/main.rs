//! The command line of lastref.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    match command::Cli::parse_or_exit().run() {
        Ok(code) => code,
        Err(error) => {
            command::tell(format_args!("{error:#}"));
            ExitCode::from(command::FAILED)
        }
    }
}
