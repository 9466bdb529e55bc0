//! What the test needs of the machine, and what it fetches itself.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::place;
use crate::Result;
use crate::step::{Outcome, execute};

/// The newest code-server that runs on Node 20, and what moves the mouse.
const PACKAGES: [&str; 2] = ["code-server@4.100.3", "playwright-core@1.65.1"];

/// Native parts of the editor's server. Its own install script would fetch programs from outside the registry.
const NATIVE: [&str; 4] = ["@vscode/spdlog", "node-pty", "native-watchdog", "@parcel/watcher"];

/// What must be there already.
pub(super) struct Needed {
    pub(super) chromium: OsString,
}

/// Finds what must be there already, or says what is missing.
pub(super) fn needed() -> std::result::Result<Needed, String> {
    if cfg!(not(target_os = "linux")) {
        return Err("the extension host is found by /proc, which only Linux has".into());
    }
    for program in ["node", "npm"] {
        if !works(&program.into()) {
            return Err(format!("{program} is not installed"));
        }
    }
    let named = std::env::var_os("CHROMIUM").into_iter();
    let usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(OsString::from);
    let chromium = named.chain(usual).find(works);
    let chromium = chromium.ok_or("chromium is not installed; name it in CHROMIUM, or `apt-get install chromium`")?;
    Ok(Needed { chromium })
}

fn works(program: &OsString) -> bool {
    let mut probe = Command::new(program);
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Returns npm at work in a folder.
pub(super) fn npm(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder).env("npm_config_audit", "false").env("npm_config_fund", "false");
    npm
}

/// Installs code-server without its install scripts, then builds the few native parts that it needs.
pub(super) fn install() -> Result<Outcome> {
    let tools = place("tools");
    let mark = tools.join("installed");
    let wanted = PACKAGES.join(" ");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(Outcome::PassedWith("installed by an earlier run".into()));
    }
    _ = fs::remove_dir_all(&tools);
    fs::create_dir_all(&tools)?;
    fs::write(tools.join("package.json"), r#"{"private":true}"#)?;
    let server = tools.join("node_modules/code-server/lib/vscode");
    let fetch = ["install", "--omit=dev", "--ignore-scripts"];
    for command in [
        npm(&tools).args(["install", "--ignore-scripts"]).args(PACKAGES),
        npm(&server).args(fetch),
        npm(&server.join("extensions")).args(fetch),
        npm(&tools).args(["rebuild", "argon2", "--build-from-source"]),
    ] {
        let outcome = execute(command)?;
        if !matches!(outcome, Outcome::Passed) {
            return Ok(outcome);
        }
    }
    // A script of node-pty fails after its part is built, so what counts is the part.
    execute(npm(&server).arg("rebuild").args(NATIVE))?;
    let built = server.join("node_modules/node-pty/build/Release/pty.node");
    if !built.exists() {
        return Ok(Outcome::Failed("node-pty was not built".into()));
    }
    fs::write(mark, wanted)?;
    Ok(Outcome::Passed)
}
