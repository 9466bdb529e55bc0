//! The program `nofx`.

use std::process::ExitCode;

// glibc's keeps what one thread freed from the others, which doubled the memory of a migration.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nofx::cli::main()
}
