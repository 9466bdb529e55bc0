//! `nofx migrate`: migrates legacy data, a store or a dump into a store. `cargo xtask migrate` is the same command.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nofx_core::{MemoryBackend, Store};
use nofx_migrate::{Counts, FullDump, NoProgress, Report, check_dump, check_source, full_digest, legacy_folder};
use nofx_platform::resolved;
use serde_json::{Value, json};

use super::exit::{Exit, table};
use super::fault::{Fault, Result, chain};
use super::interrupt::unless_interrupted;
use super::load::load_file;
use super::output::Output;
use super::progress::Bar;
use super::requests::RequestCounter;
use super::sizes::size;
use super::source::{self, MigrationSource};
use super::store_arg::{is_same_place, open_to_read, parse};
use super::target::{MakeArg, Target};
use super::text::{one_line, shown};
use crate::Location;
use crate::compact::bytes_at;
use crate::schemes::{Form, lasting_usage};

const EXAMPLES: &str = "\
Examples:
  $ nofx migrate --from .nofx --to redb:.nofx/store/nofx.redb --dry-run
  $ nofx migrate --from .nofx --to redb:.nofx/store/nofx.redb --report report.json
  $ nofx migrate --from .nofx --also state.json --also logs --to redb:with-state.redb
  $ nofx migrate --from redb:.nofx/store/nofx.redb --to redb:copy.redb
  $ nofx migrate --from redb:copy.redb --to fs:readable";

/// Migrate a legacy folder, a store or a full dump into a store.
///
/// The source is only read. What cannot be understood in a legacy folder is kept as an attachment and reported. Migrating again adds only
/// what is new, and an interrupted migration continues where it stopped. If a migration fails, a store that it created is removed again,
/// unless it already holds something. At the end, a store of up to 16 MiB that was never compacted is compacted, and a larger new one
/// returns its free space.
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{}", table()))]
pub struct Args {
    /// What to migrate: a `.nofx` folder, a workspace folder that contains one, anything that `--also` accepts, a store such as `redb:PATH`
    /// or `fs:PATH`, or a file that `nofx dump --full` wrote.
    #[arg(long, value_name = "SOURCE")]
    from: OsString,

    /// What else to migrate with a `.nofx` folder: the state that VS Code keeps for the extension (`state.vscdb`, or exported as JSON),
    /// or a folder of orchestration messages. Can be given several times.
    #[arg(long, value_name = "PATH")]
    also: Vec<PathBuf>,

    #[arg(long, value_name = "LOCATION", help = format!("The store to migrate into, created if it does not exist: {}", lasting_usage()))]
    to: OsString,

    #[command(flatten)]
    make: MakeArg,

    /// Read and check everything, but write nothing.
    #[arg(long)]
    dry_run: bool,

    /// Read the target back and compare it with the source, which is read again. This is the default.
    #[arg(long, overrides_with = "no_verify")]
    verify: bool,

    /// Skip that comparison.
    #[arg(long)]
    no_verify: bool,

    /// Also write the report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Print the report as JSON.
    #[arg(long)]
    json: bool,

    /// Fail if anything in the source was damaged, although it is kept.
    #[arg(long)]
    strict: bool,

    /// How much of a legacy folder to hold in memory at once, in MiB; a larger file is read alone. The program needs more than that: for
    /// the data made from it, and for the caches of the store.
    #[arg(long, value_name = "MIB", default_value_t = nofx_migrate::MEMORY >> 20, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    memory: u64,

    /// Move the content of the legacy folder to `.nofx.retired` beside it, once all of it is in the target and verified. What was written
    /// to it during the migration is then migrated too. Nothing is deleted, and a store in the folder stays where it is.
    #[arg(long, conflicts_with_all = ["dry_run", "no_verify"])]
    retire: bool,
}

/// The result: as text, as JSON, and the error that it ends with, if any.
struct MigrationOutcome {
    text: String,
    json: Json,
    fault: Option<Fault>,
}

/// The result as JSON. Written only on request, as it is large for many files.
#[derive(serde::Serialize)]
struct Json {
    #[serde(flatten)]
    report: Option<Report>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Json {
    fn write(&self, out: &mut Output) -> Result<()> {
        let name = out.name();
        serde_json::to_writer_pretty(&mut *out, self).map_err(|error| Fault::of_output(&name, &error.into()))?;
        out.put("\n")
    }
}

/// Migrates and returns the exit code, for other programs that offer this command.
pub fn main(args: &Args) -> ExitCode {
    super::execute(run(args))
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let to = parse(&args.to)?;
    let source = MigrationSource::named(&args.from)?;
    if let Some(path) = &args.report {
        check_report(path, &source, &args.also, &to)?;
    }
    if args.retire && !matches!(source, MigrationSource::Legacy(_)) {
        let message = "--retire works only on a legacy folder, and the source is not one";
        return Err(Fault::new(Exit::Usage, message, "name the `.nofx` folder with --from, or leave --retire out"));
    }
    let requests = RequestCounter::default();
    let outcome = match source {
        MigrationSource::Legacy(from) | MigrationSource::Outside(from) => {
            from_legacy(args, &from, to, &requests).await?
        }
        MigrationSource::Store(from) => from_store(args, &from, to, &requests).await?,
        MigrationSource::Dump(file) => from_dump(args, &file, to, &requests).await?,
    };
    if let Some(path) = &args.report {
        let mut report = Output::file(path)?;
        outcome.json.write(&mut report)?;
        report.finish()?;
    }
    let mut output = Output::stdout();
    match args.json {
        true => outcome.json.write(&mut output)?,
        false => output.put(&outcome.text)?,
    }
    output.finish()?;
    outcome.fault.map_or(Ok(Exit::Done), Err)
}

/// Checks that the report can be written, before anything else is done.
fn check_report(path: &Path, source: &MigrationSource, also: &[PathBuf], to: &Location) -> Result<()> {
    let report = resolved(path);
    match source {
        MigrationSource::Legacy(folder) if report.starts_with(resolved(folder)) && is_legacy_file(&report, folder) => {
            return Err(Fault::holds(folder, path));
        }
        _ => {}
    }
    let mut taken: Vec<_> = also.iter().map(|path| Some(path.as_path())).chain([to.path()]).collect();
    match source {
        MigrationSource::Store(from) => taken.push(from.path()),
        MigrationSource::Dump(file) | MigrationSource::Outside(file) => taken.push(Some(file)),
        MigrationSource::Legacy(_) => {}
    }
    if taken.into_iter().flatten().any(|taken| resolved(taken) == report) {
        let message = format!("the report would overwrite `{}`", shown(path));
        return Err(Fault::new(Exit::Usage, message, "name another file with --report"));
    }
    Output::file(path).map(drop)
}

/// Returns whether a file would lie among the legacy files. A workspace folder can be a source too, but only its `.nofx` is read.
fn is_legacy_file(report: &Path, folder: &Path) -> bool {
    let inner = folder.join(".nofx");
    report.starts_with(resolved(if inner.is_dir() { &inner } else { folder }))
}

async fn from_legacy(args: &Args, from: &Path, to: Location, requests: &RequestCounter) -> Result<MigrationOutcome> {
    let mut options = nofx_migrate::Options::default();
    options.dry_run = args.dry_run;
    options.verify = !args.no_verify;
    options.target_path = to.path().map(Path::to_owned);
    options.also = args.also.clone();
    options.memory = args.memory << 20;
    // Before the target is created: a source with nothing to import creates nothing.
    check_source(from, &options).map_err(|error| Fault::of_migration(&error, &to))?;
    let bar = Bar::new();
    if args.dry_run {
        let store = target_to_read(&to, requests).await?;
        let report = nofx_migrate::migrate(from, &store, &options, &bar).await;
        let report = report.map_err(|error| Fault::of_migration(&error, &to))?;
        bar.clear();
        return Ok(describe_report(args, report, None));
    }
    let make = requests.counting(args.make.options(&to)?);
    let target = Target::open(to, make).await?;
    let report = match unless_interrupted(nofx_migrate::migrate(from, &target.store, &options, &bar)).await {
        None => return Err(target.interrupted().await),
        Some(Ok(report)) => report,
        Some(Err(error)) => {
            let fault = Fault::of_migration(&error, &target.location);
            return Err(target.abandon(fault).await);
        }
    };
    bar.clear();
    let retired = match args.retire && is_good(args, &report) {
        true => retire(from, &target, &options).await,
        false => Ok(None),
    };
    let kept = finish(target, requests).await?;
    let mut outcome = describe_report(args, report, Some(&kept));
    match retired {
        Ok(Some(aside)) => {
            outcome.json.rest.insert("retired".to_owned(), shown(&aside).into());
            outcome.text.push_str(&format!("\nthe old files are now in `{}`\n", shown(&aside)));
        }
        Ok(None) if args.retire => outcome.text.push_str("\nnothing was moved aside\n"),
        Ok(None) => {}
        // The migration itself succeeded and is reported as such.
        Err(fault) => outcome.fault = Some(fault),
    }
    Ok(outcome)
}

/// Returns whether the report is complete and, with `--strict`, without damage.
fn is_good(args: &Args, report: &Report) -> bool {
    report.is_complete() && !(args.strict && report.has_damage())
}

/// Moves the content of the legacy folder aside and migrates what was written to it since it was read.
async fn retire(from: &Path, target: &Target, options: &nofx_migrate::Options) -> Result<Option<PathBuf>> {
    let folder = legacy_folder(from, None).map_err(|error| Fault::of_migration(&error, &target.location))?;
    let Some(aside) = super::retire::retire(&folder)? else { return Ok(None) };
    let mut options = options.clone();
    options.target_path = None;
    let missing = match nofx_migrate::migrate(&aside, &target.store, &options, &NoProgress).await {
        Ok(report) if report.is_complete() => return Ok(Some(aside)),
        Ok(_) => format!("something was written to `{}` during the migration and is not in the target", shown(&folder)),
        Err(error) => {
            format!("what was written to `{}` during the migration may be missing: {}", shown(&folder), chain(&error))
        }
    };
    let hint = format!("the old files are in `{}`; migrate from there", shown(&aside));
    Err(Fault::new(Exit::Missing, missing, hint))
}

async fn from_store(args: &Args, from: &Location, to: Location, requests: &RequestCounter) -> Result<MigrationOutcome> {
    if is_same_place(from, &to) {
        return Err(Fault::new(Exit::Usage, format!("`{to}` is the source itself"), "name another location with --to"));
    }
    let source = open_to_read(from, requests).await?;
    let name = from.to_string();
    if args.dry_run {
        let holds = full_digest(&source).await.map_err(|error| Fault::of_store(&error, from))?;
        return Ok(outcome_of_counts(&name, &holds, None, None));
    }
    let options = requests.counting(args.make.options(&to)?);
    let target = Target::open(to, options).await?;
    let bar = Bar::new();
    let mut report = |progress| bar.copied(&progress);
    let (holds, added) = match unless_interrupted(nofx_migrate::copy(&source, &target.store, &mut report)).await {
        None => return Err(target.interrupted().await),
        Some(Ok(copied)) => copied,
        Some(Err(error)) => {
            let fault = Fault::of_copy(&error, from, &target.location);
            return Err(target.abandon(fault).await);
        }
    };
    bar.clear();
    source.close().await.map_err(|error| Fault::of_store(&error, from))?;
    let kept = finish(target, requests).await?;
    Ok(outcome_of_counts(&name, &holds, Some(added), Some(&kept)))
}

async fn from_dump(args: &Args, file: &Path, to: Location, requests: &RequestCounter) -> Result<MigrationOutcome> {
    let name = shown(file);
    if args.dry_run {
        let checked = check_dump(&mut source::read(file)?);
        let holds = checked.map_err(|error| Fault::of_load(&error, &format!("`{name}`"), &to))?;
        return Ok(outcome_of_counts(&name, &holds, None, None));
    }
    let options = requests.counting(args.make.options(&to)?);
    let (target, holds) = load_file(file, to, options).await?;
    if !args.no_verify {
        let found = full_digest(&target.store).await.map_err(|error| Fault::of_store(&error, &target.location))?;
        if found != holds {
            let message = format!("`{}` holds {} and the dump {}", target.location, found.sha256, holds.sha256);
            let hint =
                "load it again into a store that does not exist yet, while no other program writes to that store";
            return Err(target.abandon(Fault::new(Exit::Missing, message, hint)).await);
        }
    }
    let kept = finish(target, requests).await?;
    Ok(outcome_of_counts(&name, &holds, Some(holds.counts), Some(&kept)))
}

/// Opens the store that a dry run compares with: the target if it exists, or an empty store.
async fn target_to_read(to: &Location, requests: &RequestCounter) -> Result<Store> {
    let nothing = || Ok(Store::new(std::sync::Arc::new(MemoryBackend::new())));
    if to.path().is_some_and(|path| fs::symlink_metadata(path).is_err()) {
        return nothing();
    }
    match open_to_read(to, requests).await {
        // Only the server of a bucket knows whether it exists.
        Err(fault) if fault.exit() == Exit::NoStore => nothing(),
        opened => opened,
    }
}

/// How a closed store was left.
struct Kept {
    location: Location,
    bytes: Option<u64>,
    /// Whether it was compacted, or why that failed.
    compacted: std::result::Result<bool, String>,
    requests: RequestCounter,
}

/// Closes the store, compacting it if that was never done.
async fn finish(target: Target, requests: &RequestCounter) -> Result<Kept> {
    let location = target.location.clone();
    let compacted = target.close().await?.map_err(|error| one_line(&chain(&error)));
    let bytes = bytes_at(&location);
    Ok(Kept { location, bytes, compacted, requests: requests.clone() })
}

fn describe_report(args: &Args, report: Report, kept: Option<&Kept>) -> MigrationOutcome {
    let source_bytes = report.totals.bytes;
    let text = format!("{report}{}", kept.map(|kept| kept.line(Some(source_bytes))).unwrap_or_default());
    let differs = report.verification.as_ref().is_some_and(|compared| compared.difference_count > 0);
    let fault = if !report.is_complete() {
        Some(Fault::new(
            Exit::Missing,
            "part of the source is not in the target; the report says what",
            match differs {
                true => {
                    "keep the source; check the store with `nofx doctor`, or migrate into one that does not exist yet"
                }
                false => "make it readable or keep the source, then run the command again",
            },
        ))
    } else if args.strict && report.has_damage() {
        Some(Fault::new(
            Exit::Strict,
            "something in the source was damaged; what could be read of it was migrated",
            "read the report; without --strict this is not an error",
        ))
    } else {
        None
    };
    let rest = serde_json::Map::from_iter([("target".to_owned(), target_json(kept))]);
    MigrationOutcome { text, json: Json { report: Some(report), rest }, fault }
}

fn outcome_of_counts(source: &str, holds: &FullDump, added: Option<Counts>, kept: Option<&Kept>) -> MigrationOutcome {
    let counts = |counts: Counts| json!({"records": counts.records, "logs": counts.logs, "entries": counts.entries});
    let json = json!({
        "source": source,
        "dry_run": added.is_none(),
        "holds": counts(holds.counts),
        "added": added.map(counts),
        "sha256": holds.sha256,
        "target": target_json(kept),
    });
    let Counts { records, logs, entries } = holds.counts;
    let mut text =
        format!("{source}: {records} records and {logs} logs with {entries} entries\n  digest {}\n", holds.sha256);
    match added {
        None => text.push_str("  dry run: nothing was written\n"),
        Some(added) => text.push_str(&format!(
            "  added {} records and {} logs with {} entries; the digests of both sides are equal\n",
            added.records, added.logs, added.entries
        )),
    }
    text.push_str(&kept.map(|kept| kept.line(None)).unwrap_or_default());
    let rest = json.as_object().cloned().unwrap_or_default();
    MigrationOutcome { text, json: Json { report: None, rest }, fault: None }
}

fn target_json(kept: Option<&Kept>) -> Value {
    kept.map_or(Value::Null, |Kept { location, bytes, compacted, requests }| {
        let compacted = *compacted == Ok(true);
        json!({"location": location.to_string(), "bytes": bytes, "compacted": compacted, "requests": requests.json()})
    })
}

impl Kept {
    /// Returns the size of the store, also relative to the source, and the number of requests to object storage.
    fn line(&self, source_bytes: Option<u64>) -> String {
        format!("{}{}", self.size_line(source_bytes), self.requests.line())
    }

    fn size_line(&self, source_bytes: Option<u64>) -> String {
        let location = &self.location;
        let Some(bytes) = self.bytes else {
            return match location.form() {
                Some(Form::Memory) => format!("\n{location} is gone when this program ends\n"),
                _ => format!("\n{location}\n"),
            };
        };
        let relation = match source_bytes.filter(|source| *source > 0) {
            None => String::new(),
            Some(source) => format!(", {:.1} % of the source's {}", bytes as f64 * 100.0 / source as f64, size(source)),
        };
        let compacted = match &self.compacted {
            Ok(true) => ", compacted".to_owned(),
            Ok(false) => String::new(),
            Err(reason) => format!(", not compacted: {reason}"),
        };
        format!("\n{location}: {}{relation}{compacted}\n", size(bytes))
    }
}
