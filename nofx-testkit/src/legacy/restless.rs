//! A file that changes while a migration reads it, or cannot be read at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::damage::{Found, damage, whole};
use super::draft::{Draft, Thing};
use super::files::{Other, make};
use super::session::{Part, Session, Shape};
use super::truth::{Truth, UnusedBytes};
use super::{LegacyWorkspace, checkpoints, log, sessions, values};
use crate::chance::Chance;

/// A file that changes while a migration reads it, or cannot be read at all.
#[derive(Debug)]
pub struct Restless {
    /// Its path below `.nofx`.
    pub path: &'static str,
    /// What happens to it.
    pub change: FileChange,
    before: Vec<u8>,
    after: Vec<u8>,
}

/// What happens to a file while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileChange {
    /// It is written: appended to, shortened, or replaced.
    Written,
    /// It is deleted.
    Gone,
    /// No user may read it any more except the superuser.
    Forbidden,
    /// A folder replaces it.
    Folder,
    /// A pipe replaces it.
    Pipe,
    /// A link to a file outside the tree replaces it.
    Link,
}

/// What the workspace contains with a file, depending on when that was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Truths {
    /// Without the file.
    pub without: Truth,
    /// With the file as it was.
    pub before: Truth,
    /// With the file as it is after the change.
    pub after: Truth,
    /// With everything that was in the file at any time.
    pub both: Truth,
}

impl Restless {
    /// Changes the file in the workspace that was written into `folder`.
    pub fn change(&self, folder: &Path) -> io::Result<()> {
        let path = self.place(folder);
        match self.change {
            FileChange::Written => return fs::write(path, &self.after),
            FileChange::Forbidden => return allow(&path, 0o000),
            _ => fs::remove_file(&path)?,
        }
        match self.change {
            FileChange::Folder => fs::create_dir(path),
            FileChange::Pipe => make(&path, Other::Pipe),
            FileChange::Link => make(&path, Other::Link("../../outside.json")),
            _ => Ok(()),
        }
    }

    /// Makes the file readable again: as it was, unless it was written.
    pub fn settle(&self, folder: &Path) -> io::Result<()> {
        let path = self.place(folder);
        match self.change {
            FileChange::Written => return Ok(()),
            FileChange::Forbidden => return allow(&path, 0o600),
            FileChange::Folder => fs::remove_dir(&path)?,
            FileChange::Pipe | FileChange::Link if cfg!(unix) => fs::remove_file(&path)?,
            _ => {}
        }
        fs::write(path, &self.before)
    }

    fn place(&self, folder: &Path) -> PathBuf {
        folder.join(".nofx").join(self.path)
    }
}

#[cfg(unix)]
fn allow(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn allow(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// The file before and after its change, and a report's name for its entries.
struct Versions {
    path: &'static str,
    before: Found,
    after: Found,
    entries: &'static str,
}

/// Adds a changing file to a workspace.
pub(super) fn add(workspace: &mut LegacyWorkspace, chance: &Chance) -> (Restless, Truths) {
    let change = chance.pick(&[
        FileChange::Written,
        FileChange::Written,
        FileChange::Written,
        FileChange::Gone,
        FileChange::Forbidden,
        FileChange::Folder,
        FileChange::Pipe,
        FileChange::Link,
    ]);
    let versions = match chance.below(4) {
        0 => note(chance),
        1 => session(chance),
        2 if !workspace.files.has("orchestration/messages.jsonl") => messages(chance),
        _ => list(chance),
    };
    let without = workspace.truth.clone();
    let mut with = |all: &[&Found]| {
        workspace.truth = without.clone();
        all.iter().for_each(|found| take(workspace, &without, &versions, found));
        let truth = &mut workspace.truth;
        if all.len() > 1 {
            truth.may_be_kept.insert(versions.path.to_owned());
        }
        std::mem::take(truth)
    };
    let (Versions { before, after, .. }, path) = (&versions, versions.path);
    let truths = Truths { before: with(&[before]), after: with(&[after]), both: with(&[before, after]), without };
    workspace.truth = truths.before.clone();
    workspace.files.put(path, before.bytes.clone());
    (Restless { path, change, before: before.bytes.clone(), after: after.bytes.clone() }, truths)
}

/// Records what is in the file; what was recorded for an earlier state stays, as far as that can be imported first.
fn take(workspace: &mut LegacyWorkspace, without: &Truth, versions: &Versions, found: &Found) {
    let path = versions.path;
    workspace.truth.damaged.remove(path);
    workspace.truth.kept.remove(path);
    workspace.note(path, found, versions.entries);
    let entries = || {
        found.things.iter().filter_map(|thing| match thing {
            Thing::Entry(json) => Some(json.clone()),
            _ => None,
        })
    };
    match versions.entries {
        "checkpoints" => {
            workspace.truth.checkpoints.entry("restless".to_owned()).or_default().push(entries().collect());
        }
        // They are always appended to.
        "orchestration messages" => {
            let earlier = without.orchestration.get("orchestration").cloned().unwrap_or_default();
            workspace.truth.orchestration.insert("orchestration", earlier.into_iter().chain(entries()).collect());
            workspace.truth.kept_lines.remove(path);
            if workspace.truth.kept.remove(path).is_some() {
                let half = found.bytes.get(*found.unused.from.start()..).unwrap_or_default().trim_ascii_end();
                workspace.truth.kept_lines.insert(path.to_owned(), vec![half.to_vec()]);
            }
        }
        "" => sessions::take(workspace, found, &["session-restless-1757341200000"]),
        _ => {
            workspace.truth.unused.remove(path);
            workspace.truth.kept.insert(path.to_owned(), found.bytes.clone());
        }
    }
}

/// Damages a file, but no character in it: if only one version had a character, a log would have both, each where it
/// was imported.
fn cut(draft: &Draft, chance: &Chance) -> Found {
    let found = damage(draft, chance);
    let is_other = |thing: &Thing| match thing {
        Thing::Message(json) | Thing::Entry(json) | Thing::Member(_, json) => json.contains('\u{fffd}'),
        _ => false,
    };
    match found.things.iter().any(is_other) {
        true => whole(draft, draft.text.clone().into_bytes()),
        false => found,
    }
}

fn note(chance: &Chance) -> Versions {
    let found = |text: String| {
        let mut draft = Draft::default();
        draft.put(&text);
        whole(&draft, text.into_bytes())
    };
    let text = format!("a note: {}", values::any(chance));
    let after = match chance.below(3) {
        0 => format!("{text} and more"),
        1 => text.chars().take(1 + chance.below(text.len())).collect(),
        _ => "another".to_owned(),
    };
    Versions { path: "restless.txt", before: found(text), after: found(after), entries: "note" }
}

fn session(chance: &Chance) -> Versions {
    let mut session = Session::new(0, "restless", false, chance);
    session.id = "session-restless-1757341200000".to_owned();
    let all = session.messages.len();
    let some = chance.below(all + 1);
    let part = |messages: usize, second: usize| Part {
        messages: session.messages.get(..messages).unwrap_or_default().to_vec(),
        tasks: 0,
        second,
        status: "active",
    };
    let before = session.draft(&part(some, 1000), Shape::File, chance);
    let after = match chance.below(4) {
        0 => {
            let mut other = Session::new(1, "restless", false, chance);
            other.id = "session-other-1757341200000".to_owned();
            other.draft(&other.all(1000, "active"), Shape::File, chance)
        }
        _ => session.draft(&part(all, 1001), Shape::File, chance),
    };
    let path = "sessions/session-restless-1757341200000.json";
    Versions { path, before: cut(&before, chance), after: cut(&after, chance), entries: "" }
}

fn list(chance: &Chance) -> Versions {
    let all: Vec<String> = (0..2 + chance.below(4)).map(|at| checkpoints::checkpoint(at * 60, chance)).collect();
    let some = 1 + chance.below(all.len() - 1);
    let draft = |part: &[String]| {
        let mut draft = Draft::default();
        draft.list(part.iter().map(|json| (json.clone(), Thing::Entry(json.clone()))));
        draft
    };
    let (before, after) = (draft(&all[..some]), draft(&all));
    let path = "sessions/restless_checkpoint.json";
    Versions { path, before: cut(&before, chance), after: cut(&after, chance), entries: "checkpoints" }
}

/// A log that is appended to, possibly with half of a line there first.
fn messages(chance: &Chance) -> Versions {
    let mut draft = Draft::default();
    for number in 0..2 + chance.below(5) {
        let json = log::message(&format!("restless-{number}"), number, chance);
        draft.place(&json, Thing::Entry(json.clone()));
        draft.put("\n");
    }
    let bytes = draft.text.clone().into_bytes();
    let end = draft.text.floor_char_boundary(1 + chance.below(bytes.len() - 1));
    // All whole lines, and the beginning of one more.
    let things: Vec<Thing> = draft.things.iter().filter(|one| one.to <= end).map(|one| one.thing.clone()).collect();
    let from = draft.things.iter().find(|one| one.to > end).map_or(end, |one| one.from);
    let written = bytes.get(..end).unwrap_or_default();
    let unused = match from < end {
        true => UnusedBytes { from: from..=from, to: written.trim_ascii_end().len() },
        false => UnusedBytes::none(end),
    };
    let before = Found { bytes: written.to_vec(), things, is_damaged: from < end, unused };
    let path = "orchestration/messages.jsonl";
    Versions { path, before, after: whole(&draft, bytes), entries: "orchestration messages" }
}
