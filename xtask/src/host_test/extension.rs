//! Lays the package and the sample extension out as the editor installs them.

use std::fs;
use std::path::{Path, PathBuf};

use super::copy;
use crate::Result;
use crate::node::{Build, build_extension, build_package, extension, npm, package};
use crate::step::{Outcome, execute, in_turn};

/// The name of an installed extension's folder: publisher, name, version.
const FOLDER: &str = "nofx.nofx-sample-0.1.0";

/// Builds everything that is installed, and installs it below `output`.
pub(super) fn install(output: &Path, build: Build) -> Result<Outcome> {
    _ = fs::remove_dir_all(output);
    let installed = output.join("extensions").join(FOLDER);
    fs::create_dir_all(&installed)?;
    in_turn([
        &|| build_package(build),
        &build_extension,
        &|| execute(npm(&package()).args(["pack", "--pack-destination"]).arg(output)),
        &|| unpack(&installed, &tarball(output)?),
    ])
}

fn unpack(installed: &Path, tarball: &Path) -> Result<Outcome> {
    copy(&extension().join("out"), &installed.join("out"))?;
    fs::copy(extension().join("package.json"), installed.join("package.json"))?;
    // As people get it: from the tarball, not from the folder it was built in.
    let alone = ["install", "--no-save", "--omit=dev", "--ignore-scripts", "--offline", "--no-package-lock"];
    in_turn([
        // What it is built with is not installed, but npm would ask for it where it does not remember it.
        &|| execute(npm(installed).args(["pkg", "delete", "devDependencies"])),
        &|| execute(npm(installed).args(alone).arg(tarball)),
    ])
}

fn tarball(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let tarball = files.find(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    tarball.ok_or_else(|| "`npm pack` has made no tarball".into())
}
