//! The program by hand: the same steps on Linux and as a Windows program, whose dumps must have the same bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::TARGET;
use super::debian::Debian;
use crate::Result;
use crate::step::Outcome;
use crate::workspace::{cargo, root};

/// The legacy workspace that is migrated, below the workspace's root.
const LEGACY: &str = "samples/legacy";

/// Migrates, looks, repairs and copies with the program for Windows, and compares its full dump with that of the program here.
pub(super) fn step(debian: &Debian, folder: &Path) -> Result<Outcome> {
    debian.cargo("build", &["--package", "nofx", "--bin", "nofx"])?;
    let here = folder.join("built/walk");
    _ = fs::remove_dir_all(&here);
    fs::create_dir_all(&here)?;
    let nofx = format!("wine /built/target/{TARGET}/debug/nofx.exe");
    for kind in ["redb", "fs"] {
        let store = |name: &str| format!("'{kind}:Z:\\built\\walk\\{name}-{kind}'");
        let (first, second) = (store("first"), store("second"));
        debian.wine(&format!(
            "set -e; cd /built/walk; {nofx} migrate --from /src/{LEGACY} --to {first}; {nofx} doctor --store {first}; \
             {nofx} ls --store {first}; {nofx} stats --store {first}; {nofx} migrate --from {first} --to {second}; \
             {nofx} dump --full --store {second} > {kind}.jsonl"
        ))?;
    }
    let mut ours = cargo();
    ours.args(["run", "--quiet", "--locked", "--package", "nofx", "--"]);
    let store = format!("redb:{}", here.join("linux.redb").display());
    let mut migrate = clone(&ours);
    migrate.args(["migrate", "--from"]).arg(root().join(LEGACY)).args(["--to", &store]);
    if !migrate.status()?.success() {
        return Ok(Outcome::Failed("the program here cannot migrate the sample".to_owned()));
    }
    let dump = ours.args(["dump", "--full", "--store", &store]).output()?.stdout;
    for kind in ["redb", "fs"] {
        if fs::read(here.join(format!("{kind}.jsonl")))? != dump {
            return Ok(Outcome::Failed(format!(
                "the dump of {kind} differs from that on Linux; see {}",
                here.display()
            )));
        }
    }
    Ok(Outcome::PassedWith(format!("{} bytes of dump are the same as on Linux", dump.len())))
}

fn clone(command: &Command) -> Command {
    let mut clone = Command::new(command.get_program());
    clone.args(command.get_args()).current_dir(root());
    clone
}
