//! Licenses, banned crates and sources of every dependency, checked by cargo-deny according to `deny.toml`.

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::Result;
use crate::step::{StepOutcome, execute};
use crate::workspace::{cargo, root};

/// The version that is built when none is installed. (The wheel on PyPI, 0.14.2, panics on today's
/// package ids, so it is built from source: about three minutes on two cores.)
const VERSION: &str = "0.20.2";

/// Runs the three checks that need only the registry.
///
/// `advisories` is left out: its database is a git repository, and a build must not depend on reaching it.
pub(crate) fn step() -> Result<StepOutcome> {
    let Some(program) = installed() else {
        return Ok(StepOutcome::NotRun(format!(
            "cargo-deny is not installed and could not be built; try `cargo install cargo-deny --version {VERSION} --locked`"
        )));
    };
    let mut command = Command::new(program);
    command.current_dir(root()).args(["--all-features", "--locked", "check", "licenses", "bans", "sources"]);
    Ok(match execute(&mut command)? {
        StepOutcome::Passed => {
            StepOutcome::PassedWith("without advisories: their database is not in a registry".into())
        }
        other => other,
    })
}

/// Returns cargo-deny: the installed one, the one built by an earlier run, or one built now.
fn installed() -> Option<OsString> {
    let on_path = OsString::from("cargo-deny");
    if works(&on_path) {
        return Some(on_path);
    }
    let tools = root().join("target/tools");
    let built = tools.join(format!("bin/cargo-deny{EXE_SUFFIX}")).into_os_string();
    if works(&built) {
        return Some(built);
    }
    let mut install = cargo();
    install.args(["install", "cargo-deny", "--version", VERSION, "--locked", "--root"]).arg(&tools);
    execute(&mut install).ok()?;
    works(&built).then_some(built)
}

fn works(program: &OsString) -> bool {
    let mut probe = Command::new(program);
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
