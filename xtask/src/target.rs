//! The standard libraries of other platforms.

use std::path::PathBuf;
use std::process::Command;

use crate::Result;

/// Returns the reason if there is no std for a target. rustup adds it if it can.
pub(crate) fn lacks_std(target: &str) -> Result<Option<String>> {
    if has_std(target)? {
        return Ok(None);
    }
    let added = Command::new("rustup").args(["target", "add", target]).status();
    let is_there = added.is_ok_and(|status| status.success()) && has_std(target)?;
    Ok((!is_there).then(|| format!("there is no std for {target}, and rustup cannot add it")))
}

fn has_std(target: &str) -> Result<bool> {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output()?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()).exists())
}
