//! The binary: arguments in, an exit status out. The only file that ends the process.

use std::process::ExitCode;

fn main() -> ExitCode {
    aggd::cli::run(std::env::args_os())
}
