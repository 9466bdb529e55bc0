//! The benchmarks, one file each.

mod append;
mod crash;
mod disk;
mod latency;
mod listing;
mod load;
mod long;
mod migrate;
mod page;
mod peers;
mod report;
mod round;
mod search;
mod sizes;
mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use report::Section;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Args, What};
use crate::Result;
use crate::workspace::root;

/// The benchmarks that `all` runs, in the order of the page.
const ALL: [What; 9] = [
    What::Append,
    What::Latency,
    What::Listing,
    What::Sizes,
    What::Long,
    What::Disk,
    What::Crash,
    What::Search,
    What::Migrate,
];

pub(super) fn run(args: &Args) -> Result {
    if args.what == What::Load {
        return load::run(args.minutes);
    }
    let one = [args.what];
    let all = if args.what == What::All { &ALL[..] } else { &one[..] };
    let sections = all.iter().map(|what| measure(*what, args)).collect::<Result<Vec<_>>>()?;
    if args.write {
        let words: Vec<String> = std::env::args().skip(1).collect();
        page::write(&sections, &format!("cargo xtask {}", words.join(" ")))?;
    }
    Ok(())
}

fn measure(what: What, args: &Args) -> Result<Section> {
    let (rounds, turn) = (args.rounds, Duration::from_millis(args.turn));
    match what {
        What::Append => append::run(rounds, turn),
        What::Latency => latency::run(rounds, turn),
        What::Listing => listing::run(rounds, turn),
        What::Sizes => sizes::run(rounds, turn),
        What::Long => long::run(rounds, turn),
        What::Disk => disk::run(),
        What::Crash => crash::run(rounds),
        What::Search => search::run(rounds, turn),
        What::Migrate => migrate::run(rounds),
        What::All | What::Load => Err("it is no section of its own".into()),
    }
}

/// Returns where the journal of a redb store is.
fn journal_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-journal");
    name.into()
}

/// Returns how many bytes a store takes: a folder, or a file and its journal.
fn bytes_on_disk(path: &Path) -> Result<u64> {
    if path.is_dir() {
        return fs::read_dir(path)?.map(|entry| bytes_on_disk(&entry?.path())).sum();
    }
    let journal = journal_of(path);
    let beside = if journal.is_dir() { bytes_on_disk(&journal)? } else { 0 };
    Ok(fs::metadata(path)?.len() + beside)
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Returns a folder on the disk of the sources: a folder for temporary files may be in memory.
fn scratch() -> Result<TempDir> {
    Ok(tempfile::tempdir_in(root().join("target"))?)
}

/// Returns a size in bytes that the system reports about this process's memory under a name, or zero if it does not.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}
