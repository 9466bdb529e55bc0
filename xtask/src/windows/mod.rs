//! `cargo xtask windows`: the tests as Windows programs, on a Debian machine.

mod addon;
pub(crate) mod check;
mod debian;
mod results;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Deserialize;

use self::debian::Debian;
use self::results::Results;
use crate::Result;
use crate::step::{StepOutcome, Steps};
use crate::workspace::root;

/// The target platform.
const TARGET: &str = "x86_64-pc-windows-gnu";

/// Names the folder of `libnode.dll`. napi requires one for this target, though its functions are looked up when the addon is loaded.
const LIBNODE: &str = "LIBNODE_PATH";

/// What does not work under wine and is not known to fail on Windows: a part of a test's name, and the reason.
const KNOWN: &str = include_str!("known.txt");

/// Build for Windows with mingw and run the tests under wine.
///
/// Works as root on a Debian machine, in a separate Debian below `target/windows`, which is created once (6 GB) and reused: it has the
/// cross compiler, wine, and a rustc with the sources of std. Prints one table: what passed, what failed, what did not run and why.
/// A difference caused by wine itself is listed with its reason in `xtask/src/windows/known.txt` and fails nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these crates; by default those whose tests make sense there.
    #[arg(long = "package", short, value_name = "CRATE")]
    packages: Vec<String>,
    /// Only these test programs, such as `conformance`, and neither the addon nor the walk.
    #[arg(long = "suite", value_name = "NAME")]
    suites: Vec<String>,
    /// Run only tests whose name contains this.
    filter: Option<String>,
    /// The time limit of each test program, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    limit: u32,
    /// Only check that everything compiles, tests included, with the toolchain of this machine.
    #[arg(long)]
    check: bool,
    /// Remove the Debian and what was built in it, and create both again.
    #[arg(long)]
    fresh: bool,
}

/// The crates whose tests run by default.
const PACKAGES: [&str; 9] = [
    "nofx-platform",
    "nofx-core",
    "nofx-testkit",
    "nofx-redb",
    "nofx-journal",
    "nofx-fs",
    "nofx-migrate",
    "nofx",
    addon::PACKAGE,
];

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let folder = root().join("target/windows");
    if args.fresh {
        Debian::remove(&folder)?;
    }
    let mut steps = Steps::default();
    if args.check {
        steps.run("windows", check::step);
        return Ok(steps.finish());
    }
    let mut debian = None;
    steps.run("debian", || match Debian::at(&folder) {
        Ok(made) => {
            debian = Some(made);
            Ok(StepOutcome::Passed)
        }
        Err(lack) => Ok(StepOutcome::NotRun(lack.to_string())),
    });
    let Some(debian) = debian else { return Ok(steps.finish()) };
    let mut packages: Vec<&str> = match args.packages.is_empty() {
        true => PACKAGES.to_vec(),
        false => args.packages.iter().map(String::as_str).collect(),
    };
    let with_addon = packages.contains(&addon::PACKAGE) && args.suites.is_empty();
    packages.retain(|package| *package != addon::PACKAGE);
    steps.run("wine", || debian.prepare_wine());
    let mut results = Results::new(KNOWN);
    if !packages.is_empty() {
        add_tests(&mut steps, &debian, args, &packages, &mut results);
    }
    if with_addon {
        steps.run("addon", || addon::step(&debian, &folder, args.limit, &mut results));
    }
    if packages.contains(&"nofx") && args.filter.is_none() && args.suites.is_empty() {
        steps.run("walk", || walk::step(&debian, &folder));
    }
    println!("\n{}", results.table());
    Ok(steps.finish())
}

/// Builds the tests of some crates and runs them.
fn add_tests(steps: &mut Steps, debian: &Debian, args: &Args, packages: &[&str], results: &mut Results) {
    let mut built = Vec::new();
    steps.run("build", || {
        let build = build(debian, packages, &args.suites)?;
        for (target, why) in &build.broken {
            results.not_built(target, why);
        }
        built = build.programs;
        let count = format!("{} test programs", built.len());
        Ok(match build.broken.len() {
            0 => StepOutcome::PassedWith(count),
            broken => StepOutcome::Failed(format!("{count}, and {broken} that could not be built")),
        })
    });
    steps.run("tests", || {
        for program in &built {
            println!("{} {}", program.package, program.name);
            let printed = program.run(debian, args.filter.as_deref(), args.limit)?;
            println!("{}", results.take(&program.package, &program.name, &printed));
        }
        Ok(results.outcome(""))
    });
}

/// A test program.
#[derive(Debug)]
struct Program {
    package: String,
    name: String,
    /// Its paths in the Debian.
    executable: PathBuf,
    folder: PathBuf,
}

impl Program {
    /// Runs it for at most this many seconds, and returns what it printed, with a last line that says how it ended.
    fn run(&self, debian: &Debian, filter: Option<&str>, limit: u32) -> Result<String> {
        let filter = filter.map(|filter| format!("'{filter}'")).unwrap_or_default();
        let (folder, executable) = (self.folder.display(), self.executable.display());
        // For each name that is not there, wine reads the whole folder, as it may be there in other letters: 100,000 files take hours.
        let fewer = if self.package == "nofx-fs" { "export NOFX_WORKSPACE_SESSIONS=5000 && " } else { "" };
        debian.wine(&format!(
            "{fewer}cd {folder} && timeout -k 10 {limit} wine {executable} {filter} 2>&1; echo \"ended with $?\""
        ))
    }
}

/// The result of building the tests.
#[derive(Debug, Default)]
struct Built {
    programs: Vec<Program>,
    /// What does not compile, and the first error of each.
    broken: BTreeMap<String, String>,
}

/// A line that cargo prints about a target.
#[derive(Debug, Deserialize)]
struct Line {
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    message: Option<Message>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Debug, Deserialize)]
struct Message {
    level: String,
    message: String,
    rendered: String,
}

/// Builds the tests of some crates, or only some suites of them, and the programs that they start: everything that can be built.
fn build(debian: &Debian, packages: &[&str], suites: &[String]) -> Result<Built> {
    let mut arguments = vec!["--bins", "--keep-going", "--all-features", "--message-format=json"];
    match suites.is_empty() {
        true => arguments.push("--tests"),
        false => arguments.extend(suites.iter().flat_map(|suite| ["--test", suite])),
    }
    arguments.extend(packages.iter().flat_map(|package| ["--package", package]));
    let printed = debian.try_cargo("build", &arguments)?;
    let mut built = Built::default();
    for line in printed.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        let Some(target) = line.target else { continue };
        match (line.message, line.executable, line.manifest_path) {
            (Some(message), ..) if message.level == "error" => {
                eprintln!("{}", message.rendered);
                built.broken.entry(target.name).or_insert(message.message);
            }
            (None, Some(executable), Some(manifest)) if line.profile.is_some_and(|profile| profile.test) => {
                let folder = manifest.parent().map(Path::to_path_buf).unwrap_or_default();
                let package = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                built.programs.push(Program { package, name: target.name, executable, folder });
            }
            _ => {}
        }
    }
    Ok(built)
}
