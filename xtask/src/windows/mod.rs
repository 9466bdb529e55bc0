//! `cargo xtask windows`: the tests as Windows programs, on a Debian machine.

mod debian;
mod results;
mod walk;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Deserialize;

use self::debian::Debian;
use self::results::Results;
use crate::Result;
use crate::step::{Outcome, Steps};
use crate::workspace::root;

/// The platform that is built for.
const TARGET: &str = "x86_64-pc-windows-gnu";

/// How long one test program may run under wine.
const LONGEST: &str = "1200";

/// What does not work under wine and is not known to fail on Windows: a part of a test's name, and why.
const KNOWN: &str = include_str!("known.txt");

/// Builds for Windows with mingw and runs the tests under wine.
///
/// Works as root on a Debian machine, in a Debian of its own below `target/windows`, which is made once (6 GB) and used again: it has the
/// cross compiler, wine, and a rustc with the sources of std. Prints one table: what passed, what failed, what did not run and why.
/// A difference that is wine's own stands with its reason in `xtask/src/windows/known.txt` and fails nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these crates; by default those whose tests make sense there.
    #[arg(long = "package", short, value_name = "CRATE")]
    packages: Vec<String>,
    /// Only tests whose name contains this.
    filter: Option<String>,
    /// Only compiles everything, tests included.
    #[arg(long)]
    check: bool,
    /// Removes the Debian and what was built in it, and makes both again.
    #[arg(long)]
    fresh: bool,
}

/// The crates whose tests run by default.
const PACKAGES: [&str; 7] =
    ["nofx-core", "nofx-testkit", "nofx-redb", "nofx-journal", "nofx-fs", "nofx-migrate", "nofx"];

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let folder = root().join("target/windows");
    if args.fresh {
        Debian::remove(&folder)?;
    }
    let mut steps = Steps::default();
    let mut debian = None;
    steps.run("debian", || match Debian::at(&folder) {
        Ok(made) => {
            debian = Some(made);
            Ok(Outcome::Passed)
        }
        Err(lack) => Ok(Outcome::NotRun(lack.to_string())),
    });
    let Some(debian) = debian else { return Ok(steps.finish()) };
    let packages: Vec<&str> = match args.packages.is_empty() {
        true => PACKAGES.to_vec(),
        false => args.packages.iter().map(String::as_str).collect(),
    };
    if args.check {
        steps.run("check", || Ok(check(&debian)));
        return Ok(steps.finish());
    }
    steps.run("wine", || debian.prepare_wine());
    let mut results = Results::new(KNOWN);
    let mut built = Vec::new();
    steps.run("build", || {
        for package in &packages {
            match build(&debian, package) {
                Ok(programs) => built.extend(programs),
                Err(error) => results.not_built(package, &error.to_string()),
            }
        }
        Ok(Outcome::PassedWith(format!("{} test programs", built.len())))
    });
    steps.run("tests", || {
        for program in &built {
            println!("{} {}", program.package, program.name);
            results.take(&program.package, &program.name, &program.run(&debian, args.filter.as_deref())?);
        }
        Ok(results.outcome())
    });
    if args.filter.is_none() {
        steps.run("walk", || walk::step(&debian, &folder));
    }
    println!("\n{}", results.table());
    Ok(steps.finish())
}

/// Compiles all crates for Windows, with their tests, as far as the cross compiler can.
fn check(debian: &Debian) -> Outcome {
    match debian.cargo("check", &["--workspace", "--all-targets", "--all-features"]) {
        Ok(_) => Outcome::Passed,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// A test program.
#[derive(Debug)]
struct Program {
    package: String,
    name: String,
    /// As the Debian sees them.
    executable: PathBuf,
    folder: PathBuf,
}

impl Program {
    /// Runs it and returns what it printed, with a last line that tells how it ended.
    fn run(&self, debian: &Debian, filter: Option<&str>) -> Result<String> {
        let filter = filter.map(|filter| format!("'{filter}'")).unwrap_or_default();
        let (folder, executable) = (self.folder.display(), self.executable.display());
        debian.wine(&format!(
            "cd {folder} && timeout -k 10 {LONGEST} wine {executable} {filter} 2>&1; echo \"ended with $?\""
        ))
    }
}

/// A line that cargo prints for programs.
#[derive(Debug, Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

/// Builds the tests of a crate.
fn build(debian: &Debian, package: &str) -> Result<Vec<Program>> {
    let printed = debian.cargo(
        "test",
        &["--no-run", "--package", package, "--all-features", "--message-format=json-render-diagnostics"],
    )?;
    let artifacts = printed.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    let programs = artifacts.filter_map(|artifact| {
        let executable = artifact.executable.filter(|path| path.components().any(|part| part.as_os_str() == "deps"))?;
        let folder = artifact.manifest_path?.parent().map(Path::to_path_buf)?;
        Some(Program { package: package.to_owned(), name: artifact.target?.name, executable, folder })
    });
    Ok(programs.collect())
}
