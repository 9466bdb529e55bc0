//! The outcomes of the trials, counted.

use std::fmt::Write;

use nofx::json::quote;

/// The outcomes of the trials of a store.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) trials: usize,
    /// The answers were the same as before.
    pub(crate) as_before: usize,
    /// Something was reported as damaged.
    pub(crate) corrupt: usize,
    /// It was reported to be of a later version.
    pub(crate) too_new: usize,
    /// It was reported not to be a store.
    pub(crate) foreign: usize,
    /// It was reported that there is no store.
    pub(crate) no_store: usize,
    /// The newest commit was missing, and nothing else proved that it existed.
    pub(crate) newest_missing: usize,
    /// It could not be opened, so that everything was hidden.
    pub(crate) unopened: usize,
    /// The most things of a kind that one damage hid in a store that could be opened.
    pub(crate) hidden_most: usize,
    /// Outcomes that are not allowed.
    pub(crate) failures: Vec<String>,
}

impl Counts {
    /// Returns the counts with their names.
    fn columns(&self) -> [(&'static str, usize); 10] {
        [
            ("trials", self.trials),
            ("as_before", self.as_before),
            ("corrupt", self.corrupt),
            ("too_new", self.too_new),
            ("foreign", self.foreign),
            ("no_store", self.no_store),
            ("newest_missing", self.newest_missing),
            ("unopened", self.unopened),
            ("hidden_most", self.hidden_most),
            ("failed", self.failures.len()),
        ]
    }

    /// Writes them for people, on one line.
    pub(crate) fn line(&self) -> String {
        self.columns().map(|(name, count)| format!("{name} {count}")).join(", ")
    }

    /// Writes them as a JSON object.
    pub(crate) fn json(&self, store: &str, seconds: f64) -> String {
        let mut json = format!("{{\"store\":{},\"seconds\":{seconds:.1}", quote(store));
        for (name, count) in self.columns() {
            _ = write!(json, ",\"{name}\":{count}");
        }
        let failures: Vec<_> = self.failures.iter().map(|failure| quote(failure)).collect();
        _ = write!(json, ",\"failures\":[{}]}}", failures.join(","));
        json
    }
}
