//! The command line of lastref.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = command::Cli::parse_or_exit().run().unwrap_or_else(|error| {
        command::tell(format_args!("{error:#}"));
        ExitCode::from(command::FAILED)
    });
    command::settle(command::PATIENCE);
    code
}
