//! What the test needs from the machine, and what it fetches itself.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use super::place;
use crate::Result;
use crate::node::{fetched, npm};
use crate::step::{StepOutcome, execute, in_turn};

/// The newest code-server that runs on Node 20, and the library that drives the browser.
const PACKAGES: [&str; 2] = ["code-server@4.100.3", "playwright-core@1.65.1"];

/// Native parts of the editor's server. Its own install script would fetch programs from outside the registry.
const NATIVE: [&str; 4] = ["@vscode/spdlog", "node-pty", "native-watchdog", "@parcel/watcher"];

/// Returns Chromium: an installed one, or Debian's, installed if that may be done without asking.
pub(super) fn chromium() -> std::result::Result<OsString, String> {
    if let Some(found) = found() {
        return Ok(found);
    }
    const MISSING: &str = "chromium is not installed; name it in CHROMIUM, or `apt-get install chromium`";
    if !is_root() || !works(&"apt-get".into()) {
        return Err(MISSING.into());
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        apt
    };
    // Old package lists may be good enough.
    _ = execute(apt().arg("update"));
    _ = execute(apt().args(["install", "--yes", "--no-install-recommends", "chromium"]));
    found().ok_or_else(|| format!("{MISSING}, which was tried"))
}

fn found() -> Option<OsString> {
    let named = std::env::var_os("CHROMIUM").into_iter();
    let usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(OsString::from);
    named.chain(usual).find(works)
}

/// Returns whether programs may be installed without asking: root is a container or a test machine.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

fn works(program: &OsString) -> bool {
    let mut probe = Command::new(program);
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Installs code-server without its install scripts, then builds the few native parts that it needs.
pub(super) fn install() -> Result<StepOutcome> {
    let tools = place("tools");
    let mark = tools.join("installed");
    let wanted = PACKAGES.join(" ");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(StepOutcome::PassedWith("installed by an earlier run".into()));
    }
    _ = fs::remove_dir_all(&tools);
    fs::create_dir_all(&tools)?;
    fs::write(tools.join("package.json"), r#"{"private":true}"#)?;
    let server = tools.join("node_modules/code-server/lib/vscode");
    let fetch = ["install", "--omit=dev", "--ignore-scripts"];
    let outcome = in_turn([
        &|| fetched(npm(&tools).args(["install", "--ignore-scripts"]).args(PACKAGES)),
        &|| fetched(npm(&server).args(fetch)),
        &|| fetched(npm(&server.join("extensions")).args(fetch)),
        &|| fetched(npm(&tools).args(["rebuild", "argon2", "--build-from-source"])),
    ])?;
    if !matches!(outcome, StepOutcome::Passed) {
        return Ok(outcome);
    }
    // A script of node-pty fails after its part is built, so only the part matters.
    _ = fetched(npm(&server).arg("rebuild").args(NATIVE))?;
    if !server.join("node_modules/node-pty/build/Release/pty.node").exists() {
        return Ok(StepOutcome::NotRun("code-server could not be installed: node-pty was not built".into()));
    }
    fs::write(mark, wanted)?;
    Ok(StepOutcome::Passed)
}
