//! npm, and the packages that it fetches.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::step::{StepOutcome, execute};

/// The oldest version of Node that was tested.
const NODE: u32 = 20;

/// Says what is missing, if Node and npm are not both installed.
pub(crate) fn installed() -> std::result::Result<(), String> {
    let version = Command::new("node").arg("--version").output().ok().filter(|node| node.status.success());
    let version = version.ok_or("node is not installed")?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE) {
        return Err(format!("node is {version}, and {NODE} is the oldest that is tried"));
    }
    let mut npm = Command::new("npm");
    npm.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    match npm.status().is_ok_and(|status| status.success()) {
        true => Ok(()),
        false => Err("npm is not installed".into()),
    }
}

/// Returns npm, running in a folder.
pub(crate) fn npm(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder).env("npm_config_audit", "false").env("npm_config_fund", "false");
    npm
}

/// Runs a command that fetches packages. An unreachable registry says nothing about the tree, so that is not a failure.
pub(crate) fn fetched(command: &mut Command) -> Result<StepOutcome> {
    // Without a network, the answer is the same after half an hour.
    command.env("npm_config_fetch_retries", "1").env("npm_config_fetch_timeout", "60000");
    Ok(match execute(command)? {
        StepOutcome::Failed(reason) => StepOutcome::NotRun(format!("packages could not be installed: {reason}")),
        other => other,
    })
}
