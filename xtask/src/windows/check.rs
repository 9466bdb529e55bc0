//! Checks that everything compiles for Windows, with the toolchain of this machine and without a C compiler for Windows.

use std::fs;

use super::{LIBNODE, TARGET};
use crate::Result;
use crate::step::{StepOutcome, execute};
use crate::target::lacks_std;
use crate::workspace::{cargo, root};

/// Stands in for the C compiler and the archiver: their output would only be linked, and a check links nothing.
const NOTHING: &str = "true";

/// Checks all crates for Windows, with their tests. Needs the target's std, which rustup has.
pub(crate) fn step() -> Result<StepOutcome> {
    if let Some(lack) = lacks_std(TARGET)? {
        return Ok(StepOutcome::NotRun(lack));
    }
    let mut check = cargo();
    check.args(["check", "--workspace", "--all-targets", "--all-features", "--locked", "--target", TARGET]);
    let target = TARGET.replace('-', "_");
    for tool in ["CC", "CXX", "AR"] {
        check.env(format!("{tool}_{target}"), NOTHING);
    }
    let libnode = root().join("target/libnode");
    fs::create_dir_all(&libnode)?;
    fs::write(libnode.join("libnode.dll"), "")?;
    execute(check.env(LIBNODE, libnode).env("RUSTFLAGS", "-D warnings"))
}
