//! Files that change, or cannot be read, while they are imported.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nofx_core::{MemoryBackend, Store};
use nofx_migrate::{Level, MigrationProgress, NoProgress, Options, Report, full_digest, migrate};
use nofx_testkit::legacy::{FileChange, LegacyWorkspace, Restless, Truth, Truths};

use crate::damaged::differences::{differences, differences_in_store};
use crate::damaged::found::Found;
use crate::{try_seeds, unaccounted, write_database};

/// When a file changes: at the beginning of a phase, or after this many files of it.
const MOMENTS: [(&str, usize); 5] = [("reading", 0), ("reading", 3), ("writing", 0), ("writing", 2), ("verifying", 0)];

/// Changes a file at a given moment of a migration.
struct At<'a> {
    moment: (&'static str, usize),
    phase: Mutex<&'static str>,
    finished: AtomicUsize,
    change: &'a (dyn Fn() + Send + Sync),
}

impl fmt::Debug for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "At({:?})", self.moment)
    }
}

impl At<'_> {
    fn is_now(&self, finished: usize) {
        if (*self.phase.lock().unwrap(), finished) == self.moment {
            (self.change)();
        }
    }
}

impl MigrationProgress for At<'_> {
    fn phase(&self, name: &'static str) {
        *self.phase.lock().unwrap() = name;
        self.finished.store(0, Ordering::Relaxed);
    }

    // Everything is listed then, and nothing is read.
    fn total(&self, _files: u64, _bytes: u64) {
        self.is_now(0);
    }

    fn advance(&self, _path: &str, _bytes: u64) {
        self.is_now(self.finished.fetch_add(1, Ordering::Relaxed) + 1);
    }
}

#[test]
fn a_file_that_changes_while_it_is_imported_is_reported_and_settled_by_the_next_import() {
    try_seeds(60, try_restless);
}

/// The superuser may read everything, so as the superuser this test runs itself as another user.
#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_missing_until_it_may() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    const ALONE: &str = "NOFX_AS_ANYBODY";
    let folder = tempfile::tempdir().unwrap();
    let is_superuser = std::fs::metadata(folder.path()).unwrap().uid() == 0;
    if !is_superuser || std::env::var_os(ALONE).is_some() {
        assert!(!is_superuser, "the other one is no superuser");
        return try_seeds(16, async |seed| {
            let (workspace, mut restless, truths) = LegacyWorkspace::restless(seed);
            restless.change = FileChange::Forbidden;
            (workspace.size(), try_change(&workspace, &restless, &truths, ("reading", 0)).await)
        });
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let name = "restless::a_file_that_may_not_be_read_is_missing_until_it_may";
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name]).env(ALONE, "1").env("TMPDIR", folder.path()).current_dir(folder.path());
    match command.uid(65534).gid(65534).output() {
        Ok(done) => {
            let told = String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success() && told.contains("1 passed"), "{told}");
        }
        // If the test binary is in a folder of the superuser, no other user can run it.
        Err(error) => println!("cannot run as another user: {error}"),
    }
}

async fn try_restless(seed: u64) -> ((usize, usize), Vec<String>) {
    let (workspace, restless, truths) = LegacyWorkspace::restless(seed);
    let moment = MOMENTS[seed as usize % MOMENTS.len()];
    (workspace.size(), try_change(&workspace, &restless, &truths, moment).await)
}

/// Imports a workspace of which one file changes during the import, and twice more without changes; returns everything that is wrong.
async fn try_change(
    workspace: &LegacyWorkspace,
    restless: &Restless,
    truths: &Truths,
    moment: (&'static str, usize),
) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    workspace.write(folder.path()).unwrap();
    let store = Store::new(Arc::new(MemoryBackend::new()));
    let mut options = Options::default();
    options.verify = true;
    options.also = workspace.write_elsewhere(folder.path(), write_database).unwrap();
    let change = || restless.change(folder.path()).unwrap();
    let progress = At { moment, phase: Mutex::default(), finished: AtomicUsize::default(), change: &change };
    let what = format!("{} {:?} at {moment:?}", restless.path, restless.change);
    let report = match migrate(folder.path(), &store, &options, &progress).await {
        Ok(report) => report,
        Err(error) => return vec![format!("{what}: the import fails: {error}")],
    };
    let is_unreadable =
        restless.change != FileChange::Written && !is_plain(&folder.path().join(".nofx").join(restless.path));
    let is_missing = is_unreadable && moment == ("reading", 0);
    let mut wrong = compare_first(restless, truths, is_missing, &report, &Found::read(&store).await);
    let sizes: BTreeMap<_, _> =
        report.files.iter().map(|file| file.unwrap()).map(|file| (file.path, file.size)).collect();
    wrong.extend(unaccounted(&report, &sizes));

    restless.settle(folder.path()).unwrap();
    let settled =
        if restless.change == FileChange::Written { [&truths.after, &truths.both] } else { [&truths.before; 2] };
    wrong.extend(calm(folder.path(), &store, &options, settled).await);
    wrong.iter().map(|wrong| format!("{what}: {wrong}")).collect()
}

/// Returns whether it is a file that can be read; the superuser can read any.
fn is_plain(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) && std::fs::read(path).is_ok()
}

/// Returns what is wrong after the import during which the file changed; `is_missing` if it could not be read at all.
fn compare_first(
    restless: &Restless,
    truths: &Truths,
    is_missing: bool,
    report: &Report,
    found: &Found,
) -> Vec<String> {
    let mut wrong = Vec::new();
    if report.is_complete() {
        // Either state of the file is complete, but a mixture of both is not.
        let any = [&truths.before, &truths.after, &truths.both].map(|truth| differences_in_store(truth, found));
        if any.iter().all(|differences| !differences.is_empty()) {
            wrong.push(format!("the report is complete, but {}", any[0].join("; ")));
        }
    } else {
        let is_named = |named: &str| named == restless.path;
        let is_told = report.findings.iter().any(|finding| finding.level == Level::Missing && is_named(&finding.path));
        let verified = report.verification.iter().flat_map(|verification| &verification.differences);
        let mut verified = verified.filter(|difference| difference.contains(restless.path));
        if !is_told && verified.next().is_none() {
            wrong.push(format!("the report does not tell which file is missing: {report}"));
        }
    }
    if is_missing {
        let file = report.files.iter().map(|file| file.unwrap()).find(|file| file.path == restless.path);
        if report.is_complete() || file.is_none_or(|file| report.totals.bytes_missing != file.size) {
            wrong.push(format!("what cannot be read is not missing: {report}"));
        }
        wrong.extend(differences_in_store(&truths.without, found));
    }
    wrong
}

/// Imports twice and returns what is wrong if the store has neither state.
async fn calm(folder: &Path, store: &Store, options: &Options, truths: [&Truth; 2]) -> Vec<String> {
    let import = || migrate(folder, store, options, &NoProgress);
    let report = match import().await {
        Ok(report) => report,
        Err(error) => return vec![format!("the calm import fails: {error}")],
    };
    let found = Found::read(store).await;
    let [mut wrong, other] = truths.map(|truth| differences(truth, &found, &report));
    if other.is_empty() {
        wrong.clear();
    }
    let full = full_digest(store).await.unwrap();
    match import().await {
        Ok(again) if again.totals.commits > 0 || !again.is_complete() => {
            wrong.push(format!("a third import is not quiet: {again}"));
        }
        Ok(_) => {}
        Err(error) => wrong.push(format!("a third import fails: {error}")),
    }
    if full_digest(store).await.unwrap() != full {
        wrong.push("a third import changes something".to_owned());
    }
    wrong
}
