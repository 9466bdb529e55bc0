//! `cargo xtask bench`: speed, always beside a peer in the same run.
//!
//! Machines are noisy and their disks differ, so nothing here is judged in seconds: each contestant takes its turn in
//! each round, and what counts is the ratio to the first one within a round. Flushes and bytes are exact.

#[cfg(feature = "bench")]
mod measured;

use std::process::{Command, ExitCode};

/// Measures the store beside its peers and prints ratios.
///
/// Example: `cargo xtask bench append --rounds 5`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to measure.
    #[arg(value_enum, default_value = "append")]
    what: What,
    /// How often each contestant takes its turn; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a turn takes, in milliseconds.
    #[arg(long, default_value_t = 500)]
    turn: u64,
    /// How many minutes `load` works.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Writes what was measured to `docs/performance.md`, with its pictures.
    #[arg(long)]
    write: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Everything below but `load`, for a machine that does nothing else.
    All,
    /// Durable appends of 500-byte messages by 1, 16 and 64 sessions at once.
    Append,
    /// How long one message takes, alone and beside others.
    Latency,
    /// Opening a store of 10,000 sessions and showing 50 of them.
    Listing,
    /// Adding a message, listing and opening in stores of 10 to 1,000,000 sessions.
    Sizes,
    /// Sessions of many messages, and forks of forks.
    Long,
    /// What conversations take on the disk, beside SQLite and zstd.
    Disk,
    /// Opening a store of 1 GB whose host was killed.
    Crash,
    /// Searching 200 MB of conversations, beside grep and others over the same bytes.
    Search,
    /// Migrating and verifying a legacy workspace of 170 MiB, beside a parser that reads the same files; with its memory.
    Migrate,
    /// The memory of a store that 16 agents write and others read, list, search and clean up, minute by minute.
    Load,
}

/// Runs the benchmark, optimised and with the peers: any other build hands over to such a build of itself.
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
