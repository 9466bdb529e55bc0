//! `cargo xtask sabotage`: errors that are planted in the code on purpose, each of which a test must notice.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::test::nextest_is_installed;
use crate::tidy::Violation;
use crate::tree::{Tree, tracked};
use crate::workspace::{cargo, root};

/// The folder of the errors, each a patch with the words that say what it breaks and which tests notice it.
const FOLDER: &str = "xtask/src/sabotage/";

/// Where the copy of the sources is.
const COPY: &str = "target/sabotage/sources";

/// Where the copy is built. In the folder of the workspace cargo would take what it built of one for what it built of the
/// other.
const BUILT: &str = "target/sabotage/built";

/// What begins the line that names the tests.
const NOTICED: &str = "Noticed by: ";

/// Plant errors in the commit paths, one after the other, and check that the tests notice each of them.
///
/// Works on a copy of the sources below `target/sabotage`, and builds it there. To add an error, make the change, run
/// `git diff > xtask/src/sabotage/NAME.patch`, write above it what breaks and `Noticed by: ` with a part of the names of
/// tests, and take the change back. `cargo xtask tidy` checks that every patch still applies.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only errors whose name contains this: `remote`, `journal-reuses-early`.
    filter: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let copy = root().join(COPY);
    let tree = Tree::read()?;
    let mut errors: Vec<_> = planted(&tree)
        .map(|found| found.map_err(|violation| violation.to_string()))
        .collect::<std::result::Result<_, _>>()?;
    errors.retain(|error| args.filter.as_ref().is_none_or(|filter| error.name.contains(filter)));
    let mut unnoticed = 0;
    for error in &errors {
        refresh(&copy)?;
        apply(&[&format!("--directory={COPY}")], &error.path)?;
        let is_noticed = error.is_noticed(&copy)?;
        unnoticed += usize::from(!is_noticed);
        println!("{:<12} {:<30} {}", if is_noticed { "noticed" } else { "NOT NOTICED" }, error.name, error.what);
    }
    println!("{} planted, {} noticed", errors.len(), errors.len() - unnoticed);
    Ok(if unnoticed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks that every patch says what it must and applies to the sources.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let findings = planted(tree).filter_map(|found| {
        let error = match found {
            Ok(error) => error,
            Err(violation) => return Some(violation),
        };
        let reason = apply(&["--check"], &error.path).err()?;
        Some(Violation::of_file(&error.path, format!("does not apply any more; make the change again: {reason}")))
    });
    findings.collect()
}

/// An error to plant.
#[derive(Debug)]
struct Planted<'t> {
    path: String,
    name: &'t str,
    what: String,
    /// A part of the names of the tests that notice it.
    tests: &'t str,
    package: &'t str,
}

fn planted(tree: &Tree) -> impl Iterator<Item = std::result::Result<Planted<'_>, Violation>> {
    tree.files().filter_map(|(path, text)| {
        let name = path.strip_prefix(FOLDER)?.strip_suffix(".patch")?;
        let missing =
            |what| Violation::of_file(path, format!("a patch without {what}; see `cargo xtask sabotage --help`"));
        Some(parse(path, name, text).map_err(missing))
    })
}

/// Reads a patch; `Err` names what is missing.
fn parse<'t>(path: &str, name: &'t str, text: &'t str) -> std::result::Result<Planted<'t>, &'static str> {
    let (words, tests) = text.split_once(NOTICED).ok_or("the line `Noticed by: `")?;
    let changed = text.lines().find_map(|line| line.strip_prefix("+++ b/")).ok_or("a change")?;
    let package = changed.split('/').next().unwrap_or_default();
    let what = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if what.is_empty() {
        return Err("words that say what it breaks");
    }
    let tests = tests.lines().next().unwrap_or_default().trim();
    Ok(Planted { path: path.to_owned(), name, what, tests, package })
}

/// Runs `git apply` on a patch, which names files from the root.
fn apply(options: &[&str], patch: &str) -> Result {
    let output = Command::new("git").arg("apply").args(options).arg(patch).current_dir(root()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into()),
    }
}

/// Makes the copy the same as the sources. Files that are the same stay untouched, so that cargo builds only what changed.
fn refresh(copy: &Path) -> Result {
    let tracked: BTreeSet<_> = tracked()?.into_iter().filter(|path| root().join(path).is_file()).collect();
    for path in files_below(copy)? {
        let is_left = !path.strip_prefix(copy)?.to_str().is_some_and(|path| tracked.contains(&path.replace('\\', "/")));
        if is_left {
            fs::remove_file(path)?;
        }
    }
    for path in tracked {
        let (from, to) = (root().join(&path), copy.join(&path));
        let bytes = fs::read(&from)?;
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(copy))?;
        fs::write(&to, bytes)?;
    }
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => files.extend(files_below(&entry.path())?),
            false => files.push(entry.path()),
        }
    }
    Ok(files)
}

impl Planted<'_> {
    /// Returns whether a test fails in the copy, in which the error is planted.
    fn is_noticed(&self, copy: &Path) -> Result<bool> {
        let cargo = |words: &[&str]| {
            let mut command = cargo();
            command.current_dir(copy).args(words);
            command.args(["--package", self.package, "--all-features", "--locked", "--lib"]);
            // As many histories as it takes to meet each of the errors.
            command.env("NOFX_JOURNAL_SEEDS", "60").env("NOFX_FS_SEEDS", "4");
            command.env("CARGO_TARGET_DIR", root().join(BUILT)).stdout(Stdio::null());
            command
        };
        if !cargo(&["test", "--quiet", "--no-run"]).status()?.success() {
            return Err(format!("{}: it does not compile", self.path).into());
        }
        // The code says that tests failed, and not that there were none.
        let (words, failed): (&[&str], _) = match nextest_is_installed() {
            true => (&["nextest", "run"], 100),
            false => (&["test"], 101),
        };
        let status = cargo(words).arg(self.tests).stderr(Stdio::null()).status()?;
        match status.code() {
            Some(0) => Ok(false),
            Some(code) if code == failed => Ok(true),
            _ => Err(format!("{}: no tests ran: {status}", self.path).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_says_what_it_breaks_and_which_tests_notice() {
        let whole =
            "Nothing is\nflushed.\n\nNoticed by: tests::crash\n\n--- a/nofx-fs/src/x.rs\n+++ b/nofx-fs/src/x.rs\n";
        let error = parse("p", "n", whole).unwrap();
        assert_eq!((&*error.what, error.tests, error.package), ("Nothing is flushed.", "tests::crash", "nofx-fs"));
        let (words, change) = whole.split_once("Noticed").unwrap();
        for lacking in [words.to_owned(), format!("Noticed{change}"), format!("{words}Noticed by: x\n")] {
            assert!(parse("p", "n", &lacking).is_err(), "{lacking}");
        }
    }

    #[test]
    fn every_patch_still_applies() {
        let tree = Tree::read().unwrap();
        assert!(planted(&tree).count() > 10);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn a_patch_that_does_not_apply_is_a_finding() {
        let text = "It.\n\nNoticed by: x\n\n--- a/nofx-fs/src/x.rs\n+++ b/nofx-fs/src/x.rs\n";
        // There is no such file, so git cannot apply it.
        let findings = check(&Tree::of(&[("xtask/src/sabotage/none.patch", text)]));
        assert_eq!(findings.len(), 1, "{findings:?}");
    }
}
