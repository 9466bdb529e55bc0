//! Builds the npm package and the sample extension on top of it.

use std::path::PathBuf;

use super::{fetched, npm};
use crate::Result;
use crate::step::{StepOutcome, execute, in_turn};
use crate::workspace::root;

/// How the addon is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// For development, which is quicker.
    Development,
    /// For release.
    Release,
}

/// Returns the folder of the npm package.
pub(crate) fn package() -> PathBuf {
    root().join("nofx-node")
}

/// Returns the folder of the sample extension.
pub(crate) fn extension() -> PathBuf {
    root().join("examples/vscode-extension")
}

/// Builds the addon and the TypeScript on top of it.
pub(crate) fn build_package(build: Build) -> Result<StepOutcome> {
    in_turn([&|| fetched(npm(&package()).arg("install")), &|| build_addon(build), &|| {
        execute(npm(&package()).args(["run", "build:ts"]))
    }])
}

fn build_addon(build: Build) -> Result<StepOutcome> {
    let mut addon = npm(&package());
    addon.args(["run", "build:addon", "--"]);
    match build {
        // Debug information makes the file ten times as large, and the tests pack and unpack it.
        Build::Development => addon.env("CARGO_PROFILE_DEV_DEBUG", "0"),
        Build::Release => addon.args(["--profile", "addon"]),
    };
    execute(addon.args(["--", "--locked"]))
}

/// Builds the sample extension; the package must be built.
pub(crate) fn build_extension() -> Result<StepOutcome> {
    in_turn([&|| fetched(npm(&extension()).arg("ci")), &|| execute(npm(&extension()).args(["run", "build"]))])
}
