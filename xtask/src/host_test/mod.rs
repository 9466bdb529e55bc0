//! `cargo xtask host-test`: the addon and the sample extension in a real editor.
//!
//! code-server is VS Code with its own extension host; headless Chromium shows it. The two steps that need the network use only
//! npm's registry, and leave what they fetched in `target/host-test/tools`.

mod extension;
mod tools;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::Result;
use crate::node::{Build, fetched, installed, npm, package};
use crate::step::{StepOutcome, Steps, execute, in_turn};
use crate::workspace::root;

/// The script that drives the browser.
const DRIVE: &str = "xtask/src/host_test/drive/main.js";

/// Its exit code if editor or browser do not even start, which says nothing about the extension.
const NOT_STARTED: i32 = 77;

/// Package the sample extension, install it in code-server and test it there as people use it.
///
/// Needs Node 20, npm and Chromium (or the browser that CHROMIUM names; as root, Debian's is installed) and reports if they are missing.
/// Screenshots and logs are in `target/host-test/out`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Build for release and measure: the cost of the addon, compared with other ways to read the same data.
    #[arg(long)]
    figures: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    let build = if args.figures { Build::Release } else { Build::Development };
    steps.run("host-test", || step(build));
    if args.figures {
        steps.run("figures", figures);
    }
    Ok(steps.finish())
}

fn figures() -> Result<StepOutcome> {
    // Without its peer, the rest is still measured, and says so.
    _ = fetched(npm(&package()).args(["run", "bench:peers"]))?;
    execute(npm(&package()).args(["run", "bench"]))
}

pub(crate) fn step(build: Build) -> Result<StepOutcome> {
    if cfg!(not(target_os = "linux")) {
        return Ok(StepOutcome::NotRun("the extension host is found by /proc, which only Linux has".into()));
    }
    let chromium = match installed().and_then(|()| tools::chromium()) {
        Ok(chromium) => chromium,
        Err(reason) => return Ok(StepOutcome::NotRun(reason)),
    };
    let output = place("out");
    match in_turn([&tools::install, &|| extension::install(&output, build), &|| drive(&chromium, &output)])? {
        StepOutcome::Passed => Ok(StepOutcome::PassedWith(summary(&output))),
        other => Ok(other),
    }
}

/// Returns a folder for this test only.
fn place(name: &str) -> PathBuf {
    root().join("target/host-test").join(name)
}

fn drive(chromium: &OsString, output: &Path) -> Result<StepOutcome> {
    let mut node = Command::new("node");
    node.current_dir(root()).arg(DRIVE).arg(place("tools")).arg(chromium);
    let status = node.arg(root().join("samples/legacy")).arg(package()).arg(output).status()?;
    Ok(match status.code() {
        Some(0) => StepOutcome::Passed,
        Some(NOT_STARTED) => StepOutcome::NotRun("chromium or code-server is installed and does not start here".into()),
        _ => StepOutcome::Failed(failure(output)),
    })
}

/// Returns what went wrong, and where to look.
fn failure(output: &Path) -> String {
    let told = fs::read_to_string(output.join("failed.txt")).unwrap_or_default();
    let first = told.lines().next().unwrap_or("the editor did not show what it should");
    format!("{first}; see above and target/host-test/out")
}

/// Returns what the reader of the summary should know: where to look, and what this machine could not do.
fn summary(output: &Path) -> String {
    let skipped = fs::read_to_string(output.join("skipped.txt")).unwrap_or_default();
    let skipped: String = skipped.lines().map(|line| format!("; NOT TRIED: {line}")).collect();
    format!("screenshots in target/host-test/out{skipped}")
}
