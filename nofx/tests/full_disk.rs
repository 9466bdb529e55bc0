//! A full disk has its own exit code, and leaves nothing half-written.
//!
//! A limit on the size of files stands in for the disk if this user may not mount one.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use libtest_mimic::{Arguments, Failed, Trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_nofx");

fn main() {
    let mut trials = Vec::new();
    if cfg!(unix) {
        trials.push(Trial::test("files_may_not_grow", || files_may_not_grow().map_err(Failed::from)));
    }
    let mount = Trial::test("a_tiny_disk_is_full", || a_tiny_disk_is_full().map_err(Failed::from));
    let can_mount =
        shell(&["-rm"], "mount -t tmpfs tmpfs \"$1\"", Path::new("/tmp")).is_ok_and(|it| it.status.success());
    trials.push(match can_mount {
        true => mount,
        false => mount.with_kind("needs the right to mount a disk").with_ignored_flag(true),
    });
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Runs a script in a separate namespace, where it may mount disks.
fn shell(rights: &[&str], script: &str, folder: &Path) -> std::io::Result<Output> {
    Command::new("unshare").args(rights).args(["sh", "-c", script, "sh"]).arg(folder).arg(PROGRAM).output()
}

fn legacy(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder.join(".nofx/sessions"))?;
    fs::write(folder.join(".nofx/agents.json"), "{\"version\":\"1.0\",\"agents\":[]}")?;
    // Kept unchanged, and not compressible.
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..2 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    fs::write(folder.join(".nofx/noise.bin"), noise)
}

fn check(output: &Output) -> Result<(), String> {
    let error = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = error.lines().collect();
    match (output.status.code(), lines.as_slice()) {
        (Some(25), [error, hint]) if error.starts_with("error: ") && hint.starts_with("hint: free some space") => {
            Ok(())
        }
        _ => Err(format!("{output:?}")),
    }
}

fn files_may_not_grow() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    legacy(folder.path()).map_err(|error| error.to_string())?;
    // Blocks of 512 bytes: room for a new store, but not for its content.
    for (blocks, made) in [(20, false), (1000, true)] {
        let script =
            format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" migrate --from \"$1\" --to redb:\"$1/new/x.redb\"");
        let output = Command::new("sh").args(["-c", &script, PROGRAM]).arg(folder.path()).output();
        check(&output.map_err(|error| error.to_string())?)?;
        if !made && folder.path().join("new").exists() {
            return Err("what was made in vain is left behind".to_owned());
        }
    }
    // With room, the migration continues.
    let target = format!("redb:{}", folder.path().join("new/x.redb").display());
    let again = Command::new(PROGRAM).args(["migrate", "--from"]).arg(folder.path()).args(["--to", &target]).output();
    let again = again.map_err(|error| error.to_string())?;
    if !again.status.success() {
        return Err(format!("{again:?}"));
    }
    Ok(())
}

fn a_tiny_disk_is_full() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).map_err(|error| error.to_string())?;
    legacy(folder.path()).map_err(|error| error.to_string())?;
    for kilobytes in [16, 600] {
        let script = format!(
            "mount -t tmpfs -o size={kilobytes}k tmpfs \"$1/disk\" && cd / && exec \"$2\" migrate --from \"$1\" --to redb:\"$1/disk/x.redb\""
        );
        let output = shell(&["-rm"], &script, folder.path());
        check(&output.map_err(|error| error.to_string())?)?;
    }
    Ok(())
}
