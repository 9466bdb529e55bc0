//! Builds the package and the sample extension, and lays them out as the editor installs them.

use std::fs;
use std::path::{Path, PathBuf};

use super::copy;
use super::tools::npm;
use crate::Result;
use crate::step::{Outcome, execute};
use crate::workspace::root;

/// The name of an installed extension's folder: publisher, name, version.
const FOLDER: &str = "nofx.nofx-sample-0.1.0";

/// Builds everything that is installed, and installs it below `output`.
pub(super) fn install(output: &Path) -> Result<Outcome> {
    let (package, sample) = (root().join("nofx-node"), root().join("examples/vscode-extension"));
    _ = fs::remove_dir_all(output);
    let installed = output.join("extensions").join(FOLDER);
    fs::create_dir_all(&installed)?;
    for command in [
        npm(&package).arg("install"),
        npm(&package).args(["run", "build"]),
        npm(&package).args(["pack", "--pack-destination"]).arg(output),
        npm(&sample).arg("ci"),
        npm(&sample).args(["run", "build"]),
    ] {
        let outcome = execute(command)?;
        if !matches!(outcome, Outcome::Passed) {
            return Ok(outcome);
        }
    }
    copy(&sample.join("out"), &installed.join("out"))?;
    fs::copy(sample.join("package.json"), installed.join("package.json"))?;
    // As people get it: from the tarball, not from the folder it was built in.
    let unpacked = npm(&installed)
        .args(["install", "--no-save", "--omit=dev", "--ignore-scripts", "--offline", "--no-package-lock"])
        .arg(tarball(output)?)
        .status()?;
    Ok(match unpacked.success() {
        true => Outcome::Passed,
        false => Outcome::Failed("the tarball of nofx-node cannot be installed".into()),
    })
}

fn tarball(folder: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let tarball = files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    tarball.ok_or_else(|| "`npm pack` has made no tarball".into())
}
