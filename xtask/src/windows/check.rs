//! Whether everything compiles for Windows, by the toolchain of this machine and without a C compiler for Windows.

use std::path::PathBuf;
use std::process::Command;

use super::TARGET;
use crate::Result;
use crate::step::{Outcome, execute};
use crate::workspace::cargo;

/// Stands for the C compiler and the archiver: what they would make is only linked, and nothing is linked by a check.
const NOTHING: &str = "true";

/// Checks all crates for Windows, with their tests. Needs the target's std, which rustup has.
pub(super) fn step() -> Result<Outcome> {
    if !has_std()? {
        let added = Command::new("rustup").args(["target", "add", TARGET]).status();
        if !added.is_ok_and(|status| status.success()) || !has_std()? {
            return Ok(Outcome::NotRun(format!("there is no std for {TARGET}, and rustup cannot add it")));
        }
    }
    let mut check = cargo();
    check.args(["check", "--workspace", "--all-targets", "--all-features", "--locked", "--target", TARGET]);
    let target = TARGET.replace('-', "_");
    for tool in ["CC", "CXX", "AR"] {
        check.env(format!("{tool}_{target}"), NOTHING);
    }
    execute(check.env("RUSTFLAGS", "-D warnings"))
}

fn has_std() -> Result<bool> {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output()?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()).exists())
}
