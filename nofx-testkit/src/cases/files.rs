//! What a store leaves on a disk: who can read it, and what reading and damage do to it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nofx_core::{Expect, LogQuery, LogScan, Page, Result, ScanQuery};

use crate::chance::Chance;
use crate::fuzz::{plant, seeds};
use crate::subject::{Handle, Subject, batch, entries, note, number, sized, talk};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// How many bits are flipped, one at a time.
const FLIPS: usize = 80;
/// How many items a page has: few, so that damage is met in the middle of a list.
const PAGE: usize = 8;

pub(super) async fn only_the_owner_can_read_and_write_what_is_created(subject: Subject) -> CaseResult {
    let folder = folder(&subject)?;
    fill(&subject).await?;
    let created = states(&folder)?;
    ensure!(!created.is_empty(), "there is nothing in `{}`", folder.display());
    for (path, state) in created {
        ensure!(state.is_private, "`{}` is open to other users", path.display());
    }
    Ok(())
}

pub(super) async fn reading_changes_no_file(subject: Subject) -> CaseResult {
    let folder = folder(&subject)?;
    fill(&subject).await?;
    let before = states(&folder)?;
    let store = subject.open().await?;
    store.content().await?;
    store.record(&note("3")?).await?;
    store.feed(None, 100).await?;
    store.close().await?;
    drop(store);
    ensure_eq!(states(&folder)?, before, "the files after everything was read");
    Ok(())
}

pub(super) async fn a_flipped_bit_changes_no_answer_without_an_error(subject: Subject) -> CaseResult {
    let folder = folder(&subject)?;
    let [before_last, expected] = fill(&subject).await?;
    let (whole, chance) = (seeds(&folder)?, Chance::new(1));
    let paths: Vec<&PathBuf> = whole.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(path, _)| path).collect();
    for _ in 0..FLIPS {
        let path = chance.pick(&paths);
        let mut bytes = whole[path].clone();
        // What a store has ready for later is zeros; what it holds is mostly not.
        let holding: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0 || chance.once_in(100)).collect();
        let at = holding.get(chance.below(holding.len())).copied().unwrap_or_default();
        bytes[at] ^= 1 << chance.below(8);
        plant(&folder, &BTreeMap::from([(path.clone(), bytes)]))?;
        let found = match subject.open().await {
            Ok(store) => {
                let found = answers(&store).await?;
                // A damaged store may refuse that as well.
                _ = store.close().await;
                found
            }
            Err(_) => Vec::new(),
        };
        if let Some(answer) = wrong(&found, &expected).filter(|_| wrong(&found, &before_last).is_some()) {
            return Err(Unmet::new(format!("with byte {at} of `{}` damaged it answers {answer:?}", path.display())));
        }
        fs::remove_dir_all(&folder)?;
        plant(&folder, &whole)?;
    }
    // What was damaged was the store, and without the damage it is whole.
    ensure_eq!(answers(&subject.open().await?).await?, expected, "the answers without damage");
    Ok(())
}

fn folder(subject: &Subject) -> CaseResult<PathBuf> {
    subject.folder().ok_or_else(|| Unmet::new("the place has no folder any more"))
}

/// Fills the store and closes it. Returns what it answered before its last commit, and after it.
async fn fill(subject: &Subject) -> CaseResult<[Vec<Answer>; 2]> {
    let store = subject.open().await?;
    for n in 0..20 {
        store.commits(batch().put(note(n.to_string())?, Expect::Absent, number(n))).await?;
        store.commits(batch().append(talk((n % 3).to_string())?, entries(n..n + 2))).await?;
    }
    store.commits(batch().put(note("large")?, Expect::Any, sized(20_000))).await?;
    store.commits(batch().seal(talk("1")?).delete(note("7")?, Expect::Any)).await?;
    let before_last = answers(&store).await?;
    store.commits(batch().put(note("last")?, Expect::Any, number(0))).await?;
    let after = answers(&store).await?;
    store.close().await?;
    Ok([before_last, after])
}

/// What a store answered: the items, and whether the end was reached before an error.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    items: Vec<String>,
    is_whole: bool,
}

impl Answer {
    /// Takes what was answered next. Returns the last item if there is more.
    fn take<T: Debug + Clone>(&mut self, answered: Result<Page<T>>) -> Option<T> {
        let page = answered.ok()?;
        self.items.extend(page.items.iter().map(|item| format!("{item:?}")));
        self.is_whole = !page.more;
        page.items.last().filter(|_| page.more).cloned()
    }

    /// Returns whether it is all that there is, or a part of it and then an error.
    fn is_of(&self, all: &Self) -> bool {
        let mut left = all.items.iter();
        match self.is_whole {
            true => self.items == all.items,
            false => self.items.iter().all(|item| left.any(|one| one == item)),
        }
    }
}

/// Asks a store for everything that [`fill`] wrote, in several ways.
async fn answers(store: &Handle) -> CaseResult<Vec<Answer>> {
    let mut answers = Vec::new();
    for id in (0..20).map(|n| n.to_string()).chain(["large".to_owned(), "last".to_owned()]) {
        let mut answer = Answer::default();
        answer.take(store.get(&[note(&id)?]).await.map(|items| Page { items, more: false }));
        answers.push(answer);
    }
    let (mut records, mut query) = (Answer::default(), ScanQuery::all(PAGE));
    while let Some(last) = records.take(store.scan(&query).await) {
        query = query.after(last.key);
    }
    let (mut logs, mut query) = (Answer::default(), LogScan::all(PAGE));
    while let Some(last) = logs.take(store.logs(&query).await) {
        query = query.after(last.log);
    }
    answers.extend([records, logs]);
    for id in ["0", "1", "2"] {
        let (mut entries, mut query) = (Answer::default(), LogQuery::oldest_first(talk(id)?, PAGE));
        while let Some(last) = entries.take(store.read(&query).await) {
            query.range.start = last.position + 1;
        }
        let mut head = Answer::default();
        head.take(store.heads(&[talk(id)?]).await.map(|items| Page { items, more: false }));
        answers.extend([entries, head]);
    }
    Ok(answers)
}

/// Returns the first answer that is neither an error nor what there is.
fn wrong<'a>(found: &'a [Answer], expected: &[Answer]) -> Option<&'a Answer> {
    found.iter().zip(expected).find(|(found, expected)| !found.is_of(expected)).map(|(found, _)| found)
}

/// What others may notice of a file or folder.
#[derive(Clone, Debug, PartialEq)]
struct State {
    is_private: bool,
    /// Of a file.
    content: Option<(Vec<u8>, SystemTime)>,
}

/// Returns the state of everything below a folder.
fn states(folder: &Path) -> CaseResult<BTreeMap<PathBuf, State>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        let content = match metadata.is_file() {
            true => Some((fs::read(&path)?, metadata.modified()?)),
            false => None,
        };
        if metadata.is_dir() {
            found.extend(states(&path)?);
        }
        found.insert(path, State { is_private: is_private(&metadata), content });
    }
    Ok(found)
}

#[cfg(unix)]
fn is_private(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;

    metadata.permissions().mode() & 0o077 == 0
}

/// Windows has other ways to say who may read a file; new ones inherit that from their folder.
#[cfg(not(unix))]
fn is_private(_: &Metadata) -> bool {
    true
}
