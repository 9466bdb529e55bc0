//! A progress bar, shown only on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use nofx_migrate::{CopyProgress, Counts, MigrationProgress};

use super::text::one_line;

/// A progress line on standard error; hidden if that is not a terminal.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::no_length();
        bar.set_style(style("{prefix:>10} {spinner} {msg}"));
        Self(bar)
    }

    /// Shows the progress of a copy.
    pub(crate) fn copied(&self, progress: &CopyProgress) {
        self.counted(progress.seen);
    }

    /// Shows how much was copied.
    pub(crate) fn counted(&self, Counts { records, entries, .. }: Counts) {
        // Updating more often would not be readable, and a hidden line should cost nothing.
        if (records + entries) % 256 == 0 {
            self.0.set_prefix("copying");
            self.0.set_message(format!("{records} records, {entries} entries"));
            self.0.inc(1);
        }
    }

    /// Removes the line.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

impl MigrationProgress for Bar {
    fn phase(&self, name: &'static str) {
        self.0.set_prefix(name);
        self.0.reset();
    }

    fn total(&self, _files: u64, bytes: u64) {
        self.0.set_style(style("{prefix:>10} {bar:24} {bytes}/{total_bytes} {wide_msg}"));
        self.0.set_length(bytes);
    }

    fn advance(&self, path: &str, bytes: u64) {
        self.0.set_message(one_line(path));
        self.0.inc(bytes);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
