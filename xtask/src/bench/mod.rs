//! `cargo xtask bench`: speed, always compared with a peer in the same run.
//!
//! Machines are noisy and their disks differ, so nothing here is judged in seconds: each contestant takes a turn in
//! each round, and what counts is the ratio to the first contestant within a round. Flushes and bytes are exact.

#[cfg(feature = "bench")]
mod measured;

use std::process::{Command, ExitCode};

/// Measure the store and its peers and print ratios.
///
/// Example: `cargo xtask bench append --rounds 5`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to measure.
    #[arg(value_enum, default_value = "append")]
    what: What,
    /// How often each contestant takes a turn; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The length of a turn, in milliseconds.
    #[arg(long, default_value_t = 500)]
    turn: u64,
    /// How many minutes `load` runs.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Write the results to `docs/performance.md`, with its charts.
    #[arg(long)]
    write: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Everything below except `load`, for an otherwise idle machine.
    All,
    /// Durable appends of 500-byte messages by 1, 16 and 64 concurrent sessions.
    Append,
    /// The latency of one message, alone and beside other callers.
    Latency,
    /// Opening a store of 10,000 sessions and showing 50 of them.
    Listing,
    /// Adding a message, listing and opening in stores of 10 to 1,000,000 sessions.
    Sizes,
    /// Sessions of many messages, and forks of forks.
    Long,
    /// The disk space of conversations, compared with SQLite and zstd.
    Disk,
    /// Opening a store of 256 MiB whose host was killed.
    Crash,
    /// Searching 200 MB of conversations, compared with grep and others on the same bytes.
    Search,
    /// Migrating and verifying a legacy workspace of 170 MiB, compared with a parser that reads the same files; with its memory.
    Migrate,
    /// The memory of a store that 16 agents write to and others read, list, search and clean up, minute by minute.
    Load,
}

/// Runs the benchmark, optimised and with the peers: any other build runs such a build of itself.
pub(crate) fn run(args: &Args) -> crate::Result<ExitCode> {
    #[cfg(feature = "bench")]
    if !cfg!(debug_assertions) {
        measured::run(args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut release = Command::new(env!("CARGO"));
    release.args(["run", "--quiet", "--release", "--package", "xtask", "--features", "bench", "--"]);
    let status = release.args(std::env::args_os().skip(1)).status()?;
    _ = args;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
