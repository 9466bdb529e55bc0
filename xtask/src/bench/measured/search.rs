//! Searching 200 MB of conversations for a word, compared with programs that only scan the bytes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nofx::{Location, compact, open};
use nofx_core::entity::{Message, Role, Session};
use nofx_core::workspace::{SearchQuery, Workspace, new_session};
use nofx_core::{LogHead, LogQuery, LogScan, Store, Timestamp};
use tokio::runtime::Runtime;

use super::memory;
use super::report::{Section, Table, bytes};
use super::round::{Contestant, compare};
use super::text::Chance;
use super::{runtime, scratch};
use crate::Result;

/// Bytes of JSON that are searched.
const BYTES: u64 = 200_000_000;

/// Messages of a session.
const MESSAGES: u64 = 500;

/// The word to search for; one session in ten has it once.
const NEEDLE: &str = "zebrafish";

pub(super) fn run(rounds: usize, turn: Duration) -> Result<Section> {
    let threads = std::thread::available_parallelism()?.get();
    let runtime = runtime()?;
    let folder = scratch()?;
    let at = |scheme: &str, name: &str| format!("{scheme}:{}", folder.path().join(name).display()).parse::<Location>();
    let lines = folder.path().join("lines");
    let (redb, fs_store, accents) = (at("redb", "store.redb")?, at("fs", "store")?, at("redb", "accents.redb")?);
    let (bytes_of_text, hits) = runtime.block_on(fill(&[&redb, &fs_store], &lines, Letters::Plain))?;
    let (accented, accented_hits) =
        runtime.block_on(fill(&[&accents], &folder.path().join("accents"), Letters::Accents))?;
    for location in [&redb, &accents] {
        runtime.block_on(compact(location))?;
    }
    let on_redb = Workspace::new(runtime.block_on(open(&redb))?);
    let on_files = Workspace::new(runtime.block_on(open(&fs_store))?);
    let with_accents = Workspace::new(runtime.block_on(open(&accents))?);
    let megabytes = bytes_of_text / 1_000_000;
    let found = |count: u64| of(count, hits, megabytes);
    let text = fs::read(&lines)?;
    let mut contestants = vec![
        Contestant::repeating("serde_json and lower case, one thread", || found(parsed(&text)?)),
        Contestant::repeating("memmem over the same bytes in memory", || {
            found(memchr::memmem::find_iter(&text, NEEDLE).count() as u64)
        }),
    ];
    if grep(&lines).is_ok() {
        contestants.push(Contestant::repeating("grep -i over a file of the same bytes", || found(grep(&lines)?)));
    }
    contestants.push(Contestant::repeating("Workspace::search on redb", || found(search(&runtime, &on_redb)?)));
    contestants.push(Contestant::repeating("Workspace::search on files", || found(search(&runtime, &on_files)?)));
    let title = format!("searching {megabytes} MB, {threads} threads; MB");
    let mut tables = vec![compare(&title, rounds, turn, &mut contestants)?.0];
    drop(contestants);
    drop(text);
    let accented_megabytes = accented / 1_000_000;
    for (name, workspace, hits, megabytes) in [
        ("plain", &on_redb, hits, megabytes),
        ("with accents in every fourth message", &with_accents, accented_hits, accented_megabytes),
    ] {
        let contestants = &mut [
            Contestant::repeating("the same in lower case alone", || {
                of(in_lower_case(&runtime, workspace)?, hits, megabytes)
            }),
            Contestant::repeating("Workspace::search", || of(search(&runtime, workspace)?, hits, megabytes)),
        ];
        tables.push(compare(&format!("searching {megabytes} MB, {name}; MB"), rounds, turn, contestants)?.0);
    }
    let mut most = Table::new("memory of a search", &["at most"]);
    for (name, workspace) in [("redb", &on_redb), ("files", &on_files)] {
        let before = forget_peak();
        search(&runtime, workspace)?;
        most.row(name, vec![bytes(memory("VmHWM:").saturating_sub(before))]);
    }
    tables.push(most.shown());
    runtime.block_on(async {
        on_redb.store().close().await?;
        with_accents.store().close().await?;
        on_files.store().close().await
    })?;
    Ok(Section {
        heading: "Search",
        words: "There is no index: every message is examined. The rows in lower case alone show what a search would cost if it did not \
                treat the two encodings of é as equal."
            .to_owned(),
        tables,
        ..Section::default()
    })
}

/// Returns how much was searched, if everything was found that should be.
fn of(found: u64, hits: u64, megabytes: u64) -> Result<u64> {
    match found == hits {
        true => Ok(megabytes),
        false => Err(format!("{found} messages found instead of {hits}").into()),
    }
}

/// The text of the conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letters {
    /// Only ASCII.
    Plain,
    /// In every fourth message, an é in one of two words, half of them as one character and half as two.
    Accents,
}

/// Fills stores with the same conversations, and a file with their messages, one a line. Returns the total size of the messages in bytes
/// and the number of hits.
async fn fill(locations: &[&Location], lines: &Path, letters: Letters) -> Result<(u64, u64)> {
    let mut stores: Vec<Store> = Vec::new();
    for location in locations {
        stores.push(open(location).await?);
    }
    let mut file = std::io::BufWriter::new(fs::File::create(lines)?);
    let mut chance = Chance(1);
    let (mut bytes, mut hits) = (0, 0);
    for number in 0.. {
        if bytes >= BYTES {
            break;
        }
        let at = Timestamp::from_millis(1_757_341_200_000 + number * 60_000);
        let session = Session::new(format!("session-{number}"), "one of many", "agent-ada");
        let mut messages = Vec::new();
        for n in 0..MESSAGES {
            let mut said = chance.text();
            if letters == Letters::Accents && n % 4 == 0 {
                said = said.replace("ke", if n % 8 == 0 { "k\u{e9}" } else { "ke\u{301}" });
            }
            if number % 10 == 0 && n == MESSAGES / 2 {
                said.push_str(NEEDLE);
                hits += 1;
            }
            let role = if n % 2 == 0 { Role::User } else { Role::Assistant };
            messages.push(Message::new(format!("message-{number}-{n}"), at, role, said));
        }
        for store in &stores {
            let entries = messages.iter().map(|message| store.entry(message)).collect::<nofx_core::Result<Vec<_>>>()?;
            let batch = store.batch().append(Session::history(&session.id), entries);
            store.commit(new_session(batch, &session, Some(at))?).await?.committed()?;
        }
        for message in &messages {
            let body = nofx_core::entity::Entity::to_body(message)?;
            writeln!(file, "{}", body.as_str())?;
            bytes += body.len() as u64 + 1;
        }
    }
    file.flush()?;
    for store in stores {
        store.close().await?;
    }
    Ok((bytes, hits))
}

fn search(runtime: &Runtime, workspace: &Workspace) -> Result<u64> {
    use futures_util::TryStreamExt;
    let query = SearchQuery { words: vec![NEEDLE.to_owned()], ..SearchQuery::default() };
    let hits: Vec<_> = runtime.block_on(async { workspace.search(query).await?.try_collect().await })?;
    Ok(hits.len() as u64)
}

/// Searches as [`search`] does, with as many sessions at a time and no more messages parsed, but compares letters only by lower case.
fn in_lower_case(runtime: &Runtime, workspace: &Workspace) -> Result<u64> {
    use futures_util::{StreamExt, TryStreamExt};
    let store = workspace.store();
    let within = |head: LogHead| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut found = 0;
            let mut entries = store.read(LogQuery::oldest_first(head.log, 1024));
            while let Some(entry) = entries.try_next().await? {
                found += u64::from(says(entry.body.as_str()));
            }
            Ok::<_, nofx_core::Error>(found)
        })
    };
    runtime.block_on(async {
        let logs = store.logs(LogScan::of(nofx_core::kind::HISTORY, 1024));
        let searched = logs.map(|head| async { crate::Result::Ok(within(head?).await??) });
        searched.buffered(8).try_fold(0, |sum, found| async move { Ok(sum + found) }).await
    })
}

/// Returns whether a stored message contains the word. If the word is ASCII, the bytes mostly show that it does not.
fn says(body: &str) -> bool {
    if body.is_ascii() && memchr::memmem::find(body.as_bytes(), NEEDLE.as_bytes()).is_none() {
        return false;
    }
    let message = <Message as nofx_core::entity::Entity>::from_body(&nofx_core::Body::trusted(body.to_owned()));
    let content = message.ok().and_then(|message| message.content).unwrap_or_default();
    content.to_str_lossy().to_lowercase().contains(NEEDLE)
}

/// Counts what a program finds that parses each message.
fn parsed(lines: &[u8]) -> Result<u64> {
    let mut found = 0;
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: serde_json::Value = serde_json::from_slice(line)?;
        let content = message.get("content").and_then(serde_json::Value::as_str).unwrap_or_default();
        found += u64::from(content.to_lowercase().contains(NEEDLE));
    }
    Ok(found)
}

fn grep(lines: &Path) -> Result<u64> {
    let output = Command::new("grep").args(["-i", "-c", "-F", NEEDLE]).arg(lines).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Resets the peak memory of this process to its current memory, and returns that; zero where that is not possible.
fn forget_peak() -> u64 {
    _ = fs::write("/proc/self/clear_refs", "5");
    memory("VmHWM:")
}
