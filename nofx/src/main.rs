//! The program `nofx`.

use std::process::ExitCode;

fn main() -> ExitCode {
    nofx::cli::main()
}
