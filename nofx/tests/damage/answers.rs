//! All questions to a store, its answers, and whether those are allowed.

use futures_util::{Stream, StreamExt};
use nofx::{Error, LogEntry, LogHead, LogQuery, LogScan, LogState, Record, RecordKey, Result, ScanQuery, Store};

use crate::places::{log, logs, record};

/// Items per page: few, so that there are several pages.
const PAGE: usize = 16;

/// What a store answers, `Item` being the answer about one thing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said<R, H, E> {
    /// All records, as they are listed.
    pub(crate) records: Vec<R>,
    /// The heads of all logs, as they are listed.
    pub(crate) logs: Vec<H>,
    /// The heads of every log that ever existed.
    pub(crate) heads: Vec<H>,
    /// The entries of each of those.
    pub(crate) entries: Vec<Vec<E>>,
}

/// The answers of an intact store.
pub(crate) type Answers = Said<Record, LogHead, LogEntry>;

/// The answers of a damaged store, and what it says about each record that is asked for by key.
#[derive(Debug)]
pub(crate) struct Given {
    said: Said<Result<Record>, Result<LogHead>, Result<LogEntry>>,
    got: Vec<(RecordKey, Result<Option<Record>>)>,
}

impl Answers {
    /// Asks a store for everything.
    pub(crate) async fn of(store: &Store) -> Given {
        let mut entries = Vec::new();
        for log in logs() {
            entries.push(all(store.read(LogQuery::oldest_first(log, PAGE))).await);
        }
        let keys = ["ada", "bob", "eve", WRITTEN].map(record);
        let got = each(&keys, store.get_each(&keys).await);
        let heads = each(&logs(), store.heads_each(&logs()).await).into_iter().map(|(_, head)| head).collect();
        let records = all(store.scan(ScanQuery::all(PAGE))).await;
        let logs = all(store.logs(LogScan::all(PAGE))).await;
        Given { said: Said { records, logs, heads, entries }, got }
    }

    /// Adds a record that was acknowledged.
    pub(crate) fn with_record(&mut self, record: Record) {
        self.records.push(record);
        self.records.sort_by(|one, other| one.key.cmp(&other.key));
    }

    /// Adds an entry that was acknowledged, to the log that [`APPENDED`] names.
    pub(crate) fn with_entry(&mut self, entry: LogEntry) {
        let at = logs().iter().position(|one| *one == log(APPENDED)).expect("it is among them");
        let heads = self.logs.iter_mut().chain(&mut self.heads).filter(|head| head.log == log(APPENDED));
        for head in heads {
            (head.length, head.last_at) = (entry.position + 1, Some(entry.at));
        }
        self.entries[at].push(entry);
    }

    /// Returns the length of the log to which entries are appended.
    pub(crate) fn appended(&self) -> u64 {
        self.heads.iter().find(|head| head.log == log(APPENDED)).expect("it is among them").length
    }
}

/// The record to write to a damaged store.
pub(crate) const WRITTEN: &str = "zoe";

/// The log to append an entry to in a damaged store.
pub(crate) const APPENDED: &str = "short";

async fn all<T>(items: impl Stream<Item = Result<T>>) -> Vec<Result<T>> {
    items.collect().await
}

/// Records for each thing what was answered, or for all that nothing was.
fn each<K: Clone, T>(keys: &[K], answer: Result<Vec<Result<T>>>) -> Vec<(K, Result<T>)> {
    match answer {
        Ok(answers) => keys.iter().cloned().zip(answers).collect(),
        Err(error) => keys.iter().map(|key| (key.clone(), Err(error.clone()))).collect(),
    }
}

impl Given {
    /// Returns the answers of an intact store.
    pub(crate) fn whole(self) -> Answers {
        fn whole<T>(items: Vec<Result<T>>) -> Vec<T> {
            items.into_iter().map(|item| item.expect("a whole store")).collect()
        }
        Said {
            records: whole(self.said.records),
            logs: whole(self.said.logs),
            heads: whole(self.said.heads),
            entries: self.said.entries.into_iter().map(whole).collect(),
        }
    }

    /// Returns every error with the question.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (&'static str, &Error)> {
        let records = self.said.records.iter().filter_map(|item| Some(("scan", item.as_ref().err()?)));
        let logs = self.said.logs.iter().filter_map(|item| Some(("logs", item.as_ref().err()?)));
        let heads = self.said.heads.iter().filter_map(|item| Some(("heads", item.as_ref().err()?)));
        let entries = self.said.entries.iter().flatten().filter_map(|item| Some(("read", item.as_ref().err()?)));
        let got = self.got.iter().filter_map(|(_, item)| Some(("get", item.as_ref().err()?)));
        records.chain(logs).chain(heads).chain(entries).chain(got)
    }

    /// Compares the answers with what exists, and returns how many things were hidden; or what is wrong.
    pub(crate) fn judge(&self, truth: &Answers) -> Result<usize, String> {
        let records = among("scan", &self.said.records, &truth.records)?;
        let logs = among("logs", &self.said.logs, &truth.logs)?;
        for (head, expected) in self.said.heads.iter().zip(&truth.heads) {
            if let Ok(head) = head
                && head != expected
            {
                return Err(format!("heads: {head:?} and not {expected:?}"));
            }
        }
        for (key, found) in &self.got {
            let expected = truth.records.iter().find(|record| record.key == *key);
            if let Ok(found) = found
                && found.as_ref() != expected
            {
                return Err(format!("get: {found:?} and not {expected:?}"));
            }
        }
        let mut hidden = records.max(logs);
        for (at, entries) in self.said.entries.iter().enumerate() {
            let what = format!("read {}", truth.heads[at].log);
            if truth.heads[at].state == LogState::Removed && entries.iter().any(Result::is_err) {
                // The entries of a log are also read if its removal was lost, which is reported after them.
                continue;
            }
            hidden = hidden.max(among(&what, entries, &truth.entries[at])?);
            let known: Vec<_> = entries.iter().filter_map(|entry| entry.as_ref().err()).collect();
            if let Some(places) = known.iter().map(|error| error.positions()).collect::<Option<Vec<_>>>() {
                let is_told = |entry: &LogEntry| {
                    entries.iter().flatten().any(|given| given.position == entry.position)
                        || places.iter().any(|places| places.contains(&entry.position))
                };
                if let Some(entry) = truth.entries[at].iter().find(|entry| !is_told(entry)) {
                    return Err(format!("{what}: no word of position {}", entry.position));
                }
            }
        }
        Ok(hidden)
    }
}

/// Requires that the answers are part of the truth, in its order, and that whatever is missing is reported by an error; returns
/// how much is missing.
fn among<T: PartialEq + std::fmt::Debug>(what: &str, given: &[Result<T>], truth: &[T]) -> Result<usize, String> {
    let mut left = truth.iter();
    let mut count = 0;
    for item in given.iter().flatten() {
        if !left.any(|one| one == item) {
            return Err(format!("{what}: {item:?}, which is not there or stands elsewhere"));
        }
        count += 1;
    }
    let hidden = truth.len() - count;
    if hidden > 0 && given.iter().all(Result::is_ok) {
        let first = truth.iter().find(|one| !given.iter().flatten().any(|item| item == *one));
        return Err(format!("{what}: {hidden} of {} are missing without a word, {first:?} first", truth.len()));
    }
    Ok(hidden)
}
