//! What a migration did, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::ser::{Error as _, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::error::MigrateError;
use crate::import::Index;

/// What a migration did: every file of the source, every byte of it, and everything worth reporting.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The legacy folder.
    pub source: String,
    /// Whether this was a dry run.
    pub dry_run: bool,
    /// The totals.
    pub totals: Totals,
    /// What was found and added of each kind of entity, by its plural name.
    pub kinds: BTreeMap<&'static str, KindTotals>,
    /// Every file, by its path.
    pub files: FileReports,
    /// What is not a file and was skipped, by its path.
    pub skipped: Vec<Skipped>,
    /// Everything unusual.
    pub findings: Vec<ImportFinding>,
    /// How the target compares with the source, if that was requested.
    pub verification: Option<Verification>,
}

/// The totals over all files. `bytes` is the sum of the three that follow it, and `files` of the four that follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that became entities.
    pub bytes_understood: u64,
    /// Bytes that became no entity and are kept in attachments.
    pub bytes_kept: u64,
    /// Bytes in files that could not be read.
    pub bytes_missing: u64,
    /// Files.
    pub files: u64,
    /// Files that were never imported before.
    pub files_new: u64,
    /// Files that changed since they were imported.
    pub files_changed: u64,
    /// Files that were imported before and have not changed.
    pub files_unchanged: u64,
    /// Files that could not be read.
    pub files_unreadable: u64,
    /// Files that are kept whole, or in part, as attachments.
    pub attachments: u64,
    /// Commits that were made.
    pub commits: u64,
}

/// What was found and added of one kind of entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KindTotals {
    /// How many are in the files that were examined; those in several copies are counted each time.
    pub in_files: u64,
    /// How many there are after equal copies were merged.
    pub merged: u64,
    /// How many were added to the target, or replaced in it.
    pub added: u64,
}

/// The result for one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FileReport {
    /// Its path below the source.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256; empty if it could not be read.
    pub sha256: String,
    /// What it was recognised as, such as `session` or `transcript`.
    pub became: &'static str,
    /// Whether it was imported before.
    pub state: FileState,
    /// How many of each kind of entity are in it, by its plural name.
    pub counts: BTreeMap<&'static str, u64>,
    /// Why it, or part of it, is kept as an attachment.
    pub attachment: Option<String>,
    /// Its byte ranges that became no entity, in order and without overlap.
    pub unused: Vec<Unused>,
}

/// The result for each file, by its path. There may be more than fit in memory, so they are read from a temporary file, a page at a time.
#[derive(Clone, Default)]
pub struct FileReports(Option<Arc<Index>>);

impl FileReports {
    pub(crate) fn of(index: Arc<Index>) -> Self {
        Self(Some(index))
    }

    /// Reads them, one after the other. After an error there are no more.
    pub fn iter(&self) -> impl Iterator<Item = Result<FileReport, MigrateError>> + Send + use<> {
        self.0.clone().into_iter().flat_map(|index| index.reports())
    }
}

impl Serialize for FileReports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for file in self.iter() {
            list.serialize_element(&file.map_err(S::Error::custom)?)?;
        }
        list.end()
    }
}

impl PartialEq for FileReports {
    fn eq(&self, other: &Self) -> bool {
        self.iter().map(Result::ok).eq(other.iter().map(Result::ok))
    }
}

impl fmt::Debug for FileReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Whether a file was imported before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// It was not.
    New,
    /// It was, with other content.
    Changed,
    /// It was, with the same content.
    Unchanged,
    /// It cannot be read.
    Unreadable,
}

/// A byte range that became no entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// The first byte.
    pub from: u64,
    /// The byte after the last.
    pub to: u64,
    /// Why.
    pub reason: String,
}

/// Something in the source that is not a file and was skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its path below the source.
    pub path: String,
    /// What it is and why it was skipped.
    pub what: String,
}

/// Something unusual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportFinding {
    /// Its stable code, as the manual lists it.
    pub code: &'static str,
    /// Its severity.
    pub level: Level,
    /// The file concerned, below the source.
    pub path: String,
    /// What was found, and what was done about it.
    pub message: String,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing is missing.
    Note,
    /// The old extension had lost or damaged something; what could be read of it is kept.
    Warning,
    /// Something that is in the source is not in the target.
    Missing,
}

/// How the target compares with the source after both were read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The comparison of each kind of entity, by its plural name.
    pub kinds: BTreeMap<&'static str, Compared>,
    /// What the target does not have as the source has it; at most 1,000 entries.
    pub differences: Vec<String>,
    /// How many differences there are.
    pub difference_count: u64,
    /// What was imported before and has been deleted from the target since.
    pub deleted: Vec<String>,
}

/// Counts and digests of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// How many the source has.
    pub source: u64,
    /// How many of them the target has.
    pub target: u64,
    /// A digest of everything that the source has.
    pub source_digest: String,
    /// A digest of what the target has of it.
    pub target_digest: String,
}

impl Report {
    /// Returns whether everything in the source is in the target, as far as this run could see.
    pub fn is_complete(&self) -> bool {
        let verified = self.verification.as_ref().is_none_or(|verification| verification.difference_count == 0);
        verified && self.findings.iter().all(|finding| finding.level != Level::Missing)
    }

    /// Returns whether any file was damaged, so that it is kept unchanged beside what could be read of it.
    pub fn has_damage(&self) -> bool {
        self.findings.iter().any(|finding| finding.level != Level::Note)
    }

    pub(crate) fn find(&mut self, code: &'static str, level: Level, path: &str, message: impl Into<String>) {
        self.findings.push(ImportFinding { code, level, path: path.to_owned(), message: message.into() });
    }

    pub(crate) fn kind(&mut self, name: &'static str) -> &mut KindTotals {
        self.kinds.entry(name).or_default()
    }

    /// Adds what to report about an earlier attempt, which ended when another program wrote the same things: its commits, and findings
    /// that are no longer seen.
    pub(crate) fn add_attempt(&mut self, earlier: Self) {
        self.totals.commits += earlier.totals.commits;
        for finding in earlier.findings {
            // What could not be read then has been read since, or is found again.
            if finding.level != Level::Missing && !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
    }

    /// Computes the totals.
    pub(crate) fn add_up(&mut self) -> Result<(), MigrateError> {
        let commits = self.totals.commits;
        let mut totals = Totals { commits, ..Totals::default() };
        for file in self.files.iter() {
            let file = file?;
            totals.bytes += file.size;
            totals.files += 1;
            totals.attachments += u64::from(file.attachment.is_some());
            let unused: u64 = file.unused.iter().map(|unused| unused.to - unused.from).sum();
            match file.state {
                FileState::Unreadable => totals.bytes_missing += file.size,
                _ => {
                    totals.bytes_kept += unused;
                    totals.bytes_understood += file.size - unused;
                }
            }
            match file.state {
                FileState::New => totals.files_new += 1,
                FileState::Changed => totals.files_changed += 1,
                FileState::Unchanged => totals.files_unchanged += 1,
                FileState::Unreadable => totals.files_unreadable += 1,
            }
        }
        self.totals = totals;
        self.findings.sort_by(|a, b| (&a.path, a.code, &a.message).cmp(&(&b.path, b.code, &b.message)));
        Ok(())
    }
}

impl ImportFinding {
    fn mark(&self) -> &'static str {
        match self.level {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Missing => "MISSING",
        }
    }
}

/// Writes a summary for people, about a screen long.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { files, bytes, bytes_understood, bytes_kept, bytes_missing, .. } = self.totals;
        let would = if self.dry_run { " (dry run: nothing was written)" } else { "" };
        writeln!(f, "{}: {files} files, {bytes} bytes{would}", self.source)?;
        writeln!(
            f,
            "  {} new, {} changed, {} unchanged, {} unreadable; {} commits",
            self.totals.files_new,
            self.totals.files_changed,
            self.totals.files_unchanged,
            self.totals.files_unreadable,
            self.totals.commits
        )?;
        writeln!(
            f,
            "  {bytes_understood} bytes became entities, {bytes_kept} are kept as they are, {bytes_missing} are missing"
        )?;
        if !self.kinds.is_empty() {
            writeln!(f, "\n  {:<24}{:>10}{:>10}{:>10}", "", "in files", "merged", "added")?;
        }
        for (name, kind) in &self.kinds {
            writeln!(f, "  {name:<24}{:>10}{:>10}{:>10}", kind.in_files, kind.merged, kind.added)?;
        }
        if !self.findings.is_empty() || !self.skipped.is_empty() {
            writeln!(f)?;
        }
        for skipped in &self.skipped {
            writeln!(f, "  skipped {}: {}", skipped.path.escape_debug(), skipped.what)?;
        }
        for finding in &self.findings {
            let path = finding.path.escape_debug();
            writeln!(f, "  {} [{}] {path}: {}", finding.mark(), finding.code, finding.message)?;
        }
        match &self.verification {
            None => Ok(()),
            Some(verification) => {
                let was_all_read = self.findings.iter().all(|finding| finding.level != Level::Missing);
                f.write_str("\n")?;
                verification.write(f, if was_all_read { "everything" } else { "everything that could be read" })?;
                f.write_str("\n")
            }
        }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "everything that could be read")
    }
}

impl Verification {
    fn write(&self, f: &mut fmt::Formatter<'_>, what_was_read: &str) -> fmt::Result {
        match self.difference_count {
            0 => write!(f, "  verified: the target has {what_was_read}")?,
            count => write!(f, "  NOT VERIFIED: {count} differences")?,
        }
        for (name, Compared { source, target, target_digest, .. }) in &self.kinds {
            let digest = target_digest.get(..12).unwrap_or_default();
            write!(f, "\n  {name:<24}{source:>10}{target:>10}  {digest}")?;
        }
        if !self.deleted.is_empty() {
            write!(f, "\n  deleted from the target since it was imported: {}", self.deleted.len())?;
        }
        for difference in &self.differences {
            write!(f, "\n  difference: {difference}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_has_everything_only_if_everything_could_be_read() {
        let mut report = Report { verification: Some(Verification::default()), ..Report::default() };
        report.find("cut", Level::Warning, "a", "is cut");
        assert!(report.to_string().ends_with("  verified: the target has everything\n"), "{report}");
        report.find("unreadable", Level::Missing, "b", "cannot be read");
        assert!(report.to_string().ends_with("  verified: the target has everything that could be read\n"), "{report}");
    }
}
