//! A walk through the program on Windows; its dumps must have the same bytes as on Linux.

use std::fs;
use std::path::Path;

use super::TARGET;
use super::debian::Debian;
use crate::Result;
use crate::step::StepOutcome;
use crate::workspace::cargo;

/// The legacy workspace that is migrated, below the workspace's root.
const LEGACY: &str = "samples/legacy";

/// The kinds of stores.
const KINDS: [&str; 2] = ["redb", "fs"];

/// The commands, as a script.
const SCRIPT: &str = include_str!("walk.sh");

/// The dumps that it leaves for a store of each kind.
const DUMPS: [&str; 3] = ["copied", "both", "killed"];

/// The time limit for a store of one kind, in seconds.
const LIMIT: u32 = 300;

/// Migrates, reads, kills, continues and copies with the Windows program, and compares its full dumps with that of the program here.
pub(super) fn step(debian: &Debian, folder: &Path) -> Result<StepOutcome> {
    debian.cargo("build", &["--package", "nofx", "--all-features", "--bin", "nofx", "--example", "talk"])?;
    let here = folder.join("built/walk");
    _ = fs::remove_dir_all(&here);
    fs::create_dir_all(&here)?;
    fs::write(here.join("walk.sh"), SCRIPT)?;
    for kind in KINDS {
        let variables = format!("kind={kind} programs=/built/target/{TARGET}/debug legacy=/src/{LEGACY}");
        print!("{}", debian.wine(&format!("cd /built/walk && {variables} timeout {LIMIT} bash walk.sh"))?);
    }
    let ours = || {
        let mut ours = cargo();
        ours.args(["run", "--quiet", "--locked", "--package", "nofx", "--all-features", "--"]);
        ours
    };
    let store = format!("redb:{}", here.join("linux.redb").display());
    if !ours().args(["migrate", "--from", LEGACY, "--to", &store]).status()?.success() {
        return Ok(StepOutcome::Failed("the program here cannot migrate the sample".to_owned()));
    }
    let dump = ours().args(["dump", "--full", "--store", &store]).output()?.stdout;
    for (kind, which) in KINDS.iter().flat_map(|kind| DUMPS.map(|which| (kind, which))) {
        let path = here.join(format!("{kind}-{which}.jsonl"));
        if fs::read(&path)? != dump {
            return Ok(StepOutcome::Failed(format!("`{}` differs from the dump on Linux", path.display())));
        }
    }
    let count = KINDS.len() * DUMPS.len();
    Ok(StepOutcome::PassedWith(format!("{count} dumps have the same {} bytes as on Linux", dump.len())))
}
