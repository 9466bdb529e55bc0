//! Installs the packages as users do, each time in a fresh folder.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::registry::Registry;
use crate::Result;
use crate::node::{fetched, npm};
use crate::step::{StepOutcome, execute, now};
use crate::workspace::root;

/// A program that uses the installed package.
const PROGRAM: &str = include_str!("program.js");

/// A package manager.
pub(super) struct Manager {
    pub(super) name: &'static str,
    /// Its npm package, and its program in there; npm comes with Node.
    from: Option<(&'static str, &'static str)>,
    add: &'static [&'static str],
}

pub(super) const ALL: [Manager; 3] = [
    Manager { name: "npm", from: None, add: &["install", "--no-audit", "--no-fund"] },
    Manager {
        name: "pnpm",
        from: Some(("pnpm@9.15.9", "pnpm/bin/pnpm.cjs")),
        add: &["add", "--store-dir=store", "--config.cache-dir=cache"],
    },
    Manager { name: "yarn", from: Some(("yarn@1.22.22", "yarn/bin/yarn.js")), add: &["add", "--non-interactive"] },
];

impl Manager {
    /// Installs `nofx-node` by name, checks that exactly one addon came with it, and runs a program that uses it. Reports how long it takes
    /// until the first message is stored.
    pub(super) fn tries(&self, registry: &Registry) -> Result<StepOutcome> {
        let mut program = Command::new("npm");
        if let Some((package, path)) = self.from {
            let home = root().join("target/package-managers").join(self.name);
            fs::create_dir_all(&home)?;
            fs::write(home.join("package.json"), r#"{"private":true}"#)?;
            let installed = fetched(npm(&home).args(["install", "--no-save", "--ignore-scripts", package]))?;
            if !matches!(installed, StepOutcome::Passed) {
                return Ok(installed);
            }
            program = Command::new("node");
            program.arg(home.join("node_modules").join(path));
        }
        let here = fresh(self.name, registry)?;
        let started = now();
        program.current_dir(&here).args(self.add).arg(format!("nofx-node@{}", registry.version));
        let added = execute(&mut program)?;
        if !matches!(added, StepOutcome::Passed) {
            return Ok(added);
        }
        let addons = addons(&here.join("node_modules"))?;
        for (addon, bytes) in &addons {
            println!("{} {bytes} bytes", addon.display());
        }
        let installed = started.elapsed();
        let mut node = Command::new("node").current_dir(&here).arg("program.js").stdout(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(node.stdout.take().ok_or("the program has no output")?).lines();
        let first = said.next().transpose()?;
        let kept = started.elapsed();
        said.for_each(drop);
        let ended = node.wait()?;
        Ok(match first.as_deref() {
            Some("kept") if ended.success() => StepOutcome::PassedWith(format!(
                "{} addon(s) in {:.1} s, the first message kept after {:.1} s",
                addons.len(),
                installed.as_secs_f64(),
                kept.as_secs_f64()
            )),
            _ => StepOutcome::Failed(format!("the program ended with {ended}")),
        })
    }
}

/// Installs without the optional packages, and checks that the error says what is missing.
pub(super) fn without_addon(registry: &Registry) -> Result<StepOutcome> {
    let here = fresh("no-addon", registry)?;
    let mut install = npm(&here);
    let installed =
        execute(install.args(["install", "--omit=optional"]).arg(format!("nofx-node@{}", registry.version)))?;
    if !matches!(installed, StepOutcome::Passed) {
        return Ok(installed);
    }
    let output = Command::new("node").current_dir(&here).arg("program.js").output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let error = told.lines().find(|line| line.starts_with("Error: ")).unwrap_or_default();
    println!("{error}");
    let wanted = [format!("nofx-node {} has no addon that works on ", registry.version), "and Node ".to_owned()];
    Ok(match wanted.iter().all(|part| error.contains(part)) {
        true => StepOutcome::Passed,
        false => StepOutcome::Failed(format!("the error does not say what is missing: {told}")),
    })
}

/// Creates a folder whose packages come from the registry, and in which no package manager has a cache.
fn fresh(name: &str, registry: &Registry) -> Result<PathBuf> {
    let here = root().join("target/npm/try").join(name);
    fs::create_dir_all(&here)?;
    fs::write(here.join("package.json"), r#"{"private":true}"#)?;
    fs::write(here.join("program.js"), PROGRAM)?;
    let url = &registry.url;
    fs::write(here.join(".npmrc"), format!("registry={url}\ncache=cache\n"))?;
    fs::write(here.join(".yarnrc"), format!("registry \"{url}\"\ncache-folder \"cache\"\n"))?;
    Ok(here)
}

/// Returns the addons below a folder, and their sizes. Links are followed.
fn addons(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        let (path, metadata) = (entry.path(), entry.metadata()?);
        if metadata.is_dir() {
            found.extend(addons(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "node") {
            found.push((path, metadata.len()));
        }
    }
    Ok(found)
}
