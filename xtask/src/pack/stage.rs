//! The folders to be packed, and the tarballs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Result;
use crate::node::{npm, package};
use crate::workspace::root;

/// The parts of a manifest that are for building the package, not for installing it.
const FOR_BUILDING: [&str; 4] = ["private", "scripts", "devDependencies", "napi"];

/// Everything that is published.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) packages: Vec<Packed>,
}

/// A package and its tarball.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) manifest: Value,
    pub(super) tarball: PathBuf,
    pub(super) is_complete: bool,
    pub(super) pack: Pack,
}

/// What npm reports about a tarball.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pack {
    pub(super) name: String,
    pub(super) version: String,
    filename: String,
    size: u64,
    unpacked_size: u64,
    pub(super) integrity: String,
    pub(super) shasum: String,
    entry_count: u64,
}

impl Stage {
    /// Lays out all packages below a folder, with the given addons, and packs them. The previous content of the folder is removed.
    pub(super) fn fill(folder: &Path, addons: &[&Path]) -> Result<Self> {
        _ = fs::remove_dir_all(folder);
        let platforms = folder.join("platforms");
        fs::create_dir_all(&platforms)?;
        // The names and the platforms are in the package's manifest, and napi creates folders only below it.
        fs::copy(package().join("package.json"), folder.join("package.json"))?;
        let napi = package().join("node_modules/@napi-rs/cli/dist/cli.js");
        let mut node = Command::new("node");
        let made = node.current_dir(folder).arg(napi).args(["create-npm-dirs", "--npm-dir", "platforms"]).status()?;
        if !made.success() {
            return Err("the folders of the platforms could not be made".into());
        }
        let mut folders: Vec<PathBuf> = fs::read_dir(&platforms)?.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        addons.iter().try_for_each(|addons| take_addons(&folders, addons))?;
        let main = folder.join("nofx-node");
        lay_out(&main, &folders)?;
        folders.push(main);
        let packages = folders.iter().map(|package| pack(package, folder)).collect::<Result<_>>()?;
        Ok(Self { packages })
    }

    /// Returns how many platforms there are.
    pub(super) fn platforms(&self) -> usize {
        self.packages.len() - 1
    }

    /// Returns the platform packages that have their addon.
    pub(super) fn with_addon(&self) -> impl Iterator<Item = &Packed> {
        self.packages.iter().take(self.platforms()).filter(|package| package.is_complete)
    }

    /// Returns a line for each tarball that can be published.
    pub(super) fn table(&self) -> String {
        let lines = self.packages.iter().filter(|package| package.is_complete).map(|Packed { pack, .. }| {
            let (packed, unpacked) = (pack.size as f64 / 1e6, pack.unpacked_size as f64 / 1e6);
            format!(
                "{:<40} {packed:>6.2} MB packed {unpacked:>6.2} MB unpacked {:>3} files",
                pack.filename, pack.entry_count
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Copies each addon into the folder of its platform.
fn take_addons(folders: &[PathBuf], addons: &Path) -> Result {
    for addon in fs::read_dir(addons)?.flatten().map(|entry| entry.path()) {
        let Some(name) = addon.file_name().and_then(OsStr::to_str).filter(|name| name.ends_with(".node")) else {
            continue;
        };
        let platform = name.split('.').nth(1).unwrap_or_default();
        let folder = folders.iter().find(|folder| folder.ends_with(platform));
        let folder = folder.ok_or_else(|| format!("`{name}` is for a platform that has no package"))?;
        fs::copy(&addon, folder.join(name))?;
    }
    Ok(())
}

/// Lays out the main package: everything except an addon.
fn lay_out(main: &Path, platforms: &[PathBuf]) -> Result {
    let from = package();
    copy_without_addons(&from.join("dist"), &main.join("dist"))?;
    fs::copy(from.join("README.md"), main.join("README.md"))?;
    let mut manifest = read_manifest(&from)?;
    let fields = manifest.as_object_mut().ok_or("`package.json` is not an object")?;
    for field in FOR_BUILDING {
        fields.remove(field);
    }
    let mut optional = Map::new();
    for platform in platforms {
        let manifest = read_manifest(platform)?;
        optional.insert(manifest["name"].as_str().unwrap_or_default().to_owned(), manifest["version"].clone());
    }
    fields.insert("optionalDependencies".to_owned(), Value::Object(optional));
    Ok(fs::write(main.join("package.json"), serde_json::to_string_pretty(&manifest)? + "\n")?)
}

fn copy_without_addons(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)?.flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_without_addons(&source, &target)?;
        } else if source.extension().is_none_or(|extension| extension != "node") {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

/// Packs a folder: beside the others if it is complete, elsewhere if it is a platform without its addon.
fn pack(package: &Path, folder: &Path) -> Result<Packed> {
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(root().join(license), package.join(license))?;
    }
    let manifest = read_manifest(package)?;
    let is_complete = package.join(manifest["main"].as_str().unwrap_or_default()).exists();
    let destination = if is_complete { folder.to_owned() } else { folder.join("incomplete") };
    fs::create_dir_all(&destination)?;
    let mut npm = npm(package);
    npm.args(["pack", "--json", "--pack-destination"]).arg(&destination).stderr(Stdio::inherit());
    let output = npm.output()?;
    let [pack] = <[Pack; 1]>::try_from(serde_json::from_slice::<Vec<Pack>>(&output.stdout)?)
        .map_err(|_| "npm packs one package at a time")?;
    Ok(Packed { manifest, tarball: destination.join(&pack.filename), is_complete, pack })
}

fn read_manifest(folder: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(folder.join("package.json"))?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_npm_package_has_the_version_of_the_crates() {
        assert_eq!(read_manifest(&package()).unwrap()["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn an_addon_of_no_known_platform_is_refused_and_others_are_put_where_they_belong() {
        let dir = tempfile::tempdir().unwrap();
        let (addons, platform) = (dir.path().join("addons"), dir.path().join("linux-x64-gnu"));
        fs::create_dir_all(&addons).unwrap();
        fs::create_dir_all(&platform).unwrap();
        fs::write(addons.join("nofx-node.linux-x64-gnu.node"), "addon").unwrap();
        fs::write(addons.join("index.js"), "").unwrap();
        take_addons(std::slice::from_ref(&platform), &addons).unwrap();
        assert_eq!(fs::read(platform.join("nofx-node.linux-x64-gnu.node")).unwrap(), b"addon");
        assert_eq!(fs::read_dir(&platform).unwrap().count(), 1);
        fs::write(addons.join("nofx-node.plan9-x64.node"), "addon").unwrap();
        let refused = take_addons(&[platform], &addons).unwrap_err();
        assert_eq!(refused.to_string(), "`nofx-node.plan9-x64.node` is for a platform that has no package");
    }
}
