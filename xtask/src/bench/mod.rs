//! `cargo xtask bench`: speed, always beside a peer in the same run.
//!
//! Machines are noisy and their disks differ, so nothing here is judged in seconds: each contestant takes its turn in
//! each round, and what counts is the ratio to the first one within a round. Flushes and bytes are exact.

mod append;
mod files;
mod listing;
mod load;
mod migrate;
mod round;
mod search;
mod sqlite;

use std::process::{Command, ExitCode};
use std::time::Duration;

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
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    /// Durable appends of 500-byte messages by 1, 16 and 256 sessions at once.
    Append,
    /// The same on a store of files, by 1 and 16 sessions at once, beside SQLite.
    Files,
    /// Opening a store of 10,000 sessions and showing 50 of them.
    Listing,
    /// The memory of a store that 16 agents write and others read, list, search and clean up, minute by minute.
    Load,
    /// Migrating and verifying a legacy workspace of 170 MiB, beside a parser that reads the same files; with its memory.
    Migrate,
    /// Searching 200 MB of conversations, beside grep and others over the same bytes.
    Search,
}

/// Runs the benchmark, optimised: a debug build hands over to a release build of itself.
pub(crate) fn run(args: &Args) -> crate::Result<ExitCode> {
    if cfg!(debug_assertions) {
        let mut release = Command::new(env!("CARGO"));
        release.args(["run", "--quiet", "--release", "--package", "xtask", "--"]).args(std::env::args_os().skip(1));
        let status = release.status()?;
        return Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from));
    }
    let turn = Duration::from_millis(args.turn);
    match args.what {
        What::Append => append::run(args.rounds, turn)?,
        What::Files => files::run(args.rounds, turn)?,
        What::Listing => listing::run(args.rounds, turn)?,
        What::Load => load::run(args.minutes)?,
        What::Migrate => migrate::run(args.rounds)?,
        What::Search => search::run(args.rounds, turn)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns a number of bytes that the system tells of this process's memory by a name, and zero where it does not.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}
