//! Packages the sample extension and has the editor install it, as users do.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::place;
use crate::Result;
use crate::node::{Build, build_extension, build_package, extension, npm};
use crate::step::{StepOutcome, execute, in_turn};

/// Builds everything that is installed, and installs it below `output`.
pub(super) fn install(output: &Path, build: Build) -> Result<StepOutcome> {
    _ = fs::remove_dir_all(output);
    fs::create_dir_all(output)?;
    let package = output.join("nofx-sample.vsix");
    in_turn([
        &|| build_package(build),
        &build_extension,
        &|| execute(npm(&extension()).args(["run", "package", "--"]).arg(&package)),
        &|| execute(editor(output).arg("--install-extension").arg(&package)),
    ])
}

/// Returns code-server with the folders of this test.
fn editor(output: &Path) -> Command {
    let mut editor = Command::new("node");
    editor.arg(place("tools").join("node_modules/code-server/out/node/entry.js")).env("HOME", output);
    editor.arg("--extensions-dir").arg(output.join("extensions"));
    editor.arg("--user-data-dir").arg(output.join("installing"));
    editor
}
