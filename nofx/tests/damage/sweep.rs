//! Runs one trial after the other, each with a deadline.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use nofx::{Error, Expect, LogEntry, Options, Record, Store};
use tempfile::TempDir;

use crate::answers::{APPENDED, Answers, Given, WRITTEN};
use crate::counts::Counts;
use crate::places::{Backend, Damage, Sample, State, body, entry, log, record};

/// How long a trial may take, which is a thousand times what it takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// After this many trials that did not end, the rest are not run.
const HANGS: usize = 3;

/// How many failures are reported.
const TOLD: usize = 20;

/// The messages of panics since they were last taken.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Damages a store in each way, and requires the right answers from each trial.
pub(crate) fn run(backend: Backend, state: State) -> Result<(), String> {
    let every = std::env::var("NOFX_DAMAGE_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(1009).max(1);
    let name = format!("{}::{}", backend.name(), state.name());
    let folder = in_memory().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let began = nofx::Sources::default().now();
    std::panic::set_hook(Box::new(|panic| {
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
    }));
    let sample = runtime.block_on(Sample::make(backend, state, folder.path())).map_err(|error| error.to_string())?;
    let sample = Arc::new(sample);
    let printed = Printed::redirect(folder.path()).map_err(|error| error.to_string())?;
    let (mut counts, mut hangs) = (Counts::default(), 0);
    let damages = sample.image.damages(every);
    for (number, damage) in damages.iter().enumerate() {
        let here = folder.path().join(number.to_string());
        sample.image.lay(&here.join("store"), Some(damage));
        let (told, waiting) = mpsc::channel();
        let (sample_of, damage_of, place) = (sample.clone(), *damage, here.clone());
        runtime.spawn(async move {
            let trial = Trial { backend, state, sample: &sample_of, damage: damage_of, place: &place };
            _ = told.send(trial.run().await);
        });
        let outcome = waiting.recv_timeout(DEADLINE);
        let mut failures = panics();
        failures.extend(printed.since().map(|text| format!("printed: {text}")));
        match outcome {
            Ok(Ok(outcome)) => outcome.count(&mut counts),
            Ok(Err(failure)) => failures.push(failure),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                hangs += 1;
                failures.push(format!("no answer in {} s", DEADLINE.as_secs()));
            }
            // It panicked, which was reported.
            Err(mpsc::RecvTimeoutError::Disconnected) => {}
        }
        counts.trials += 1;
        if !failures.is_empty() {
            counts.failures.push(format!("{name}: {}: {}", damage.described(&sample.image), failures.join("; ")));
        }
        if hangs == HANGS {
            counts.failures.push(format!("{name}: given up after {HANGS} trials that did not end"));
            break;
        }
        _ = fs::remove_dir_all(&here);
    }
    drop(printed);
    _ = std::panic::take_hook();
    let took = nofx::Sources::default().now().as_millis() - began.as_millis();
    println!("{name}: {} in {} ms", counts.line(), took);
    if let Some(out) = std::env::var_os("NOFX_DAMAGE_OUT") {
        let file = Path::new(&out).join(format!("{}-{}.json", backend.name(), state.name()));
        let json = counts.json(&name, took as f64 / 1000.0);
        fs::create_dir_all(&out).and_then(|()| fs::write(file, json)).map_err(|error| error.to_string())?;
    }
    // A thread that does not end would block the end of the test.
    runtime.shutdown_background();
    match counts.failures.is_empty() {
        true => Ok(()),
        false => Err(counts.failures[..counts.failures.len().min(TOLD)].join("\n")),
    }
}

/// Returns the messages of panics since the last call, without repetition.
fn panics() -> Vec<String> {
    let mut panics = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
    panics.sort();
    let all = panics.len();
    panics.dedup();
    panics.iter().map(|panic| format!("one of {all} panics: {panic}")).collect()
}

/// Creates a folder whose files are never flushed to a disk, if the system has such a place.
fn in_memory() -> io::Result<TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// The outcome of a trial.
#[derive(Debug, Default)]
struct Outcome {
    /// The codes of the reported errors.
    corrupt: bool,
    too_new: bool,
    foreign: bool,
    no_store: bool,
    newest_missing: bool,
    /// It could not be opened.
    unopened: bool,
    hidden: usize,
}

impl Outcome {
    fn count(&self, counts: &mut Counts) {
        let is_told = self.corrupt || self.too_new || self.foreign || self.no_store || self.newest_missing;
        counts.as_before += usize::from(!is_told);
        counts.corrupt += usize::from(self.corrupt);
        counts.too_new += usize::from(self.too_new);
        counts.foreign += usize::from(self.foreign);
        counts.no_store += usize::from(self.no_store);
        counts.newest_missing += usize::from(self.newest_missing);
        counts.unopened += usize::from(self.unopened);
        counts.hidden_most = counts.hidden_most.max(self.hidden);
    }
}

/// One damage of one store.
#[derive(Debug)]
struct Trial<'t> {
    backend: Backend,
    state: State,
    sample: &'t Sample,
    damage: Damage,
    place: &'t PathBuf,
}

impl Trial<'_> {
    /// Reads the store, writes to it and reads it again, each time through a new handle.
    async fn run(&self) -> Result<Outcome, String> {
        let mut outcome = Outcome::default();
        // What may be the truth, as far as the answers have shown.
        let mut truths = vec![self.sample.now.clone()];
        // In object storage every commit is a separate object; without it, everything before it is read.
        if self.state == State::Killed || self.backend == Backend::Objects {
            truths.push(self.sample.before.clone());
        }
        for (step, options) in
            [("reading", Options::read_only()), ("writing", Options::existing()), ("reopened", Options::existing())]
        {
            let store = match nofx::open_with(&self.backend.location(self.place), options).await {
                Ok(store) => store,
                Err(error) => {
                    self.allow(&format!("{step}, opening"), &error, &mut outcome)?;
                    outcome.unopened = true;
                    continue;
                }
            };
            if step == "writing" {
                self.write(&store, &mut truths, &mut outcome).await?;
            }
            let given = Answers::of(&store).await;
            self.judge(step, &given, &mut truths, &mut outcome)?;
            if let Err(error) = store.close().await {
                self.allow(&format!("{step}, closing"), &error, &mut outcome)?;
            }
        }
        outcome.newest_missing =
            truths.iter().all(|truth| !truth.records.iter().any(|found| found.key == record("eve")));
        if outcome.newest_missing && self.state == State::Closed && !outcome.corrupt {
            return Err("the newest commit is missing without a word".to_owned());
        }
        Ok(outcome)
    }

    fn judge(&self, step: &str, given: &Given, truths: &mut Vec<Answers>, outcome: &mut Outcome) -> Result<(), String> {
        for (question, error) in given.errors() {
            self.allow(&format!("{step}, {question}"), error, outcome)?;
        }
        let judged: Vec<_> = truths.iter().map(|truth| given.judge(truth)).collect();
        let Some(hidden) = judged.iter().flatten().next() else {
            return Err(format!("{step}, {}", judged.into_iter().filter_map(Result::err).next().unwrap_or_default()));
        };
        outcome.hidden = outcome.hidden.max(*hidden);
        let mut may_be = judged.iter().map(Result::is_ok);
        truths.retain(|_| may_be.next().unwrap_or(false));
        Ok(())
    }

    /// Writes a record and an entry, each of which is acknowledged or refused because something is damaged.
    async fn write(&self, store: &Store, truths: &mut Vec<Answers>, outcome: &mut Outcome) -> Result<(), String> {
        let written = store.commit(store.batch().put(record(WRITTEN), Expect::Absent, body(WRITTEN))).await;
        match written.and_then(nofx::Outcome::committed) {
            Ok(committed) => {
                let version = committed.seq.ok_or("writing, a record: it has no number")?;
                let written = Record { key: record(WRITTEN), version, body: body(WRITTEN) };
                truths.iter_mut().for_each(|truth| truth.with_record(written.clone()));
                truths.retain(|truth| truth.records.iter().all(|other| *other == written || other.version < version));
                if truths.is_empty() {
                    return Err(format!("writing, a record: the number {version} was used before"));
                }
            }
            Err(error) => self.allow("writing, a record", &error, outcome)?,
        }
        let written = store.commit(store.batch().append(log(APPENDED), vec![entry(7)])).await;
        match written.and_then(nofx::Outcome::committed) {
            Ok(committed) => {
                let position = committed.appended.first().map(|range| range.start);
                if truths.iter().any(|truth| Some(truth.appended()) != position) {
                    return Err(format!("writing, an entry: it went to {position:?}"));
                }
                let entry = LogEntry { position: position.unwrap_or_default(), at: entry(7).at, body: entry(7).body };
                truths.iter_mut().for_each(|truth| truth.with_entry(entry.clone()));
            }
            Err(error) => self.allow("writing, an entry", &error, outcome)?,
        }
        Ok(())
    }

    /// Requires that an error is one that damage may cause, and that it names something.
    fn allow(&self, step: &str, error: &Error, outcome: &mut Outcome) -> Result<(), String> {
        let told = error.chain();
        let is_at_opening = step.ends_with("opening");
        let says_what = self.damage.says_what(self.backend, &self.sample.image);
        match error {
            Error::Corrupt(_) if self.names_a_thing(&told) => outcome.corrupt = true,
            Error::TooNew(_) if says_what => outcome.too_new = true,
            Error::Invalid(_) if says_what && is_at_opening && told.contains("is not a NofX store") => {
                outcome.foreign = true;
            }
            Error::Invalid(_) if says_what && is_at_opening && error.is_no_store() => {
                outcome.no_store = true;
            }
            _ => return Err(format!("{step}: {}: {told}", error.code())),
        }
        Ok(())
    }

    /// Returns whether a record, a log, or a file or folder of the store is named.
    fn names_a_thing(&self, told: &str) -> bool {
        let location = self.backend.location(self.place);
        let records = self.sample.now.records.iter().map(|record| record.key.to_string());
        let logs = self.sample.now.heads.iter().map(|head| head.log.to_string());
        let files = self.sample.image.names();
        let written = [record(WRITTEN).to_string(), location.to_string()];
        records.chain(logs).chain(files).chain(written).any(|name| told.contains(&name))
    }
}

/// Redirects what is printed to standard error to a file.
#[derive(Debug)]
struct Printed {
    #[cfg(unix)]
    file: fs::File,
    #[cfg(unix)]
    before: std::os::fd::OwnedFd,
    #[cfg(unix)]
    seen: std::sync::atomic::AtomicUsize,
}

#[cfg(unix)]
impl Printed {
    fn redirect(folder: &Path) -> io::Result<Self> {
        let file = fs::File::options().create(true).read(true).append(true).open(folder.join("printed"))?;
        let before = rustix::io::dup(rustix::stdio::stderr())?;
        rustix::stdio::dup2_stderr(&file)?;
        Ok(Self { file, before, seen: Default::default() })
    }

    /// Returns what was printed since the last call.
    fn since(&self) -> Option<String> {
        use std::os::unix::fs::FileExt;
        use std::sync::atomic::Ordering;
        let length = self.file.metadata().ok()?.len() as usize;
        let seen = self.seen.swap(length, Ordering::Relaxed);
        let mut text = vec![0; length.checked_sub(seen).filter(|new| *new > 0)?];
        self.file.read_exact_at(&mut text, seen as u64).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

#[cfg(unix)]
impl Drop for Printed {
    fn drop(&mut self) {
        _ = rustix::stdio::dup2_stderr(&self.before);
    }
}

#[cfg(not(unix))]
impl Printed {
    fn redirect(_: &Path) -> io::Result<Self> {
        Ok(Self {})
    }

    fn since(&self) -> Option<String> {
        None
    }
}
