//! azurite: Azure Blob Storage in Node.js, by Microsoft.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Recipe, TIMEOUTS, install_once, works};
use crate::Result;

const PACKAGE: &str = "azurite@3.35.0";

/// Creates a container.
const CONTAINER: &str = include_str!("container.js");

pub(super) const RECIPE: Recipe =
    Recipe { name: "azurite", variable: "NOFX_TEST_AZURE", install, serve, make_bucket, variables };

fn install(folder: &Path) -> Result {
    if let Some(absent) = ["node", "npm"].into_iter().find(|program| !works(program)) {
        return Err(format!("{absent} is not installed").into());
    }
    fs::write(folder.join("package.json"), r#"{"private":true}"#)?;
    fs::write(folder.join("container.js"), CONTAINER)?;
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]);
    npm.args(["--loglevel=error", "--fetch-retries=1", "--fetch-timeout=60000", PACKAGE]);
    install_once(folder, PACKAGE, [npm])
}

fn serve(folder: &Path, port: u16) -> Command {
    // Node itself and not npm's wrapper, so that the process that we end is the one that listens.
    let mut serve = Command::new("node");
    serve.current_dir(folder).arg("node_modules/azurite/dist/src/blob/main.js");
    serve.args(["--silent", "--skipApiVersionCheck", "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort"]);
    serve.arg(port.to_string());
    serve
}

fn make_bucket(folder: &Path, port: u16) -> Command {
    let mut node = Command::new("node");
    node.arg(folder.join("container.js")).arg(port.to_string());
    node
}

fn variables(port: u16) -> Vec<(&'static str, String)> {
    vec![
        (RECIPE.variable, format!("az://nofx?use_emulator=true&{TIMEOUTS}")),
        ("AZURITE_BLOB_STORAGE_URL", format!("http://127.0.0.1:{port}")),
    ]
}
