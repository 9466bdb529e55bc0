//! `cargo xtask host-test`: the addon and the sample extension in a real editor.
//!
//! code-server is VS Code with an extension host of its own; chromium shows it without a screen. Both steps that the network is
//! needed for use npm's registry alone, and leave what they fetched in `target/host-test/tools`.

mod extension;
mod tools;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::Result;
use crate::step::{Outcome, Steps, execute};
use crate::workspace::root;

/// What drives the browser.
const DRIVE: &str = include_str!("drive.js");

/// Tries the sample extension in code-server: migrates a legacy folder, shows the sessions, adds a message, kills the extension host.
///
/// Needs npm and chromium (or what CHROMIUM names) and says so where they are missing. Screenshots and logs are in
/// `target/host-test/out`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    let needed = match tools::needed() {
        Ok(needed) => needed,
        Err(reason) => {
            steps.run("editor", || Ok(Outcome::NotRun(reason)));
            return Ok(steps.finish());
        }
    };
    let mut ready = true;
    let mut run = |name, step: &dyn Fn() -> Result<Outcome>| {
        steps.run(name, || {
            if !std::mem::take(&mut ready) {
                return Ok(Outcome::NotRun("an earlier step failed".into()));
            }
            let outcome = step()?;
            ready = matches!(outcome, Outcome::Passed | Outcome::PassedWith(_));
            Ok(outcome)
        });
    };
    run("tools", &tools::install);
    run("extension", &|| extension::install(&place("out")));
    run("editor", &|| drive(&needed.chromium));
    Ok(steps.finish())
}

/// Returns a folder of this test's own.
fn place(name: &str) -> PathBuf {
    root().join("target/host-test").join(name)
}

fn drive(chromium: &OsString) -> Result<Outcome> {
    let (workspace, output) = (place("workspace"), place("out"));
    _ = fs::remove_dir_all(&workspace);
    copy(&root().join("samples/legacy"), &workspace)?;
    let script = output.join("drive.js");
    fs::write(&script, DRIVE)?;
    let mut node = Command::new("node");
    node.arg(script).arg(place("tools")).arg(chromium).arg(&workspace).arg(&output);
    Ok(match execute(&mut node)? {
        Outcome::Passed => Outcome::PassedWith("screenshots in target/host-test/out".into()),
        other => other,
    })
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => _ = fs::copy(entry.path(), target)?,
        }
    }
    Ok(())
}
