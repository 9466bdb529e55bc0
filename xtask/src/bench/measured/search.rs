//! Searching 200 MB of conversations for a word, beside what only looks at their bytes.

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

use super::append::timed;
use super::memory;
use super::round::{Contestant, compare};
use crate::Result;

/// Bytes of JSON that are searched.
const BYTES: u64 = 200_000_000;

/// Messages of a session.
const MESSAGES: u64 = 500;

/// What is searched for; one session in ten says it once.
const NEEDLE: &str = "zebrafish";

/// Words of which the text is made.
const WORDS: u64 = 4000;

pub(super) fn run(rounds: usize, turn: Duration) -> Result {
    let threads = std::thread::available_parallelism()?.get();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let folder = tempfile::tempdir_in(&target)?;
    let at = |scheme: &str, name: &str| format!("{scheme}:{}", folder.path().join(name).display()).parse::<Location>();
    let lines = folder.path().join("lines");
    let (redb, fs_store, accents) = (at("redb", "store.redb")?, at("fs", "store")?, at("redb", "accents.redb")?);
    let (bytes, hits) = runtime.block_on(fill(&[&redb, &fs_store], &lines, Letters::Plain))?;
    let (accented, accented_hits) =
        runtime.block_on(fill(&[&accents], &folder.path().join("accents"), Letters::Accents))?;
    for location in [&redb, &accents] {
        runtime.block_on(compact(location))?;
    }
    let on_redb = Workspace::new(runtime.block_on(open(&redb))?);
    let on_files = Workspace::new(runtime.block_on(open(&fs_store))?);
    let with_accents = Workspace::new(runtime.block_on(open(&accents))?);
    let megabytes = bytes / 1_000_000;
    let found = |count: u64| of(count, hits, megabytes);
    let text = fs::read(&lines)?;
    let mut contestants = vec![
        Contestant {
            name: "serde_json and lower case, one thread",
            turn: Box::new(|turn| timed(turn, || found(parsed(&text)?))),
        },
        Contestant {
            name: "memmem over the same bytes in memory",
            turn: Box::new(|turn| timed(turn, || found(memchr::memmem::find_iter(&text, NEEDLE).count() as u64))),
        },
    ];
    if grep(&lines).is_ok() {
        contestants.push(Contestant {
            name: "grep -i over a file of the same bytes",
            turn: Box::new(|turn| timed(turn, || found(grep(&lines)?))),
        });
    }
    contestants.push(Contestant {
        name: "Workspace::search on redb",
        turn: Box::new(|turn| timed(turn, || found(search(&runtime, &on_redb)?))),
    });
    contestants.push(Contestant {
        name: "Workspace::search on files",
        turn: Box::new(|turn| timed(turn, || found(search(&runtime, &on_files)?))),
    });
    compare(&format!("searching {megabytes} MB, {threads} threads; MB"), rounds, turn, &mut contestants)?;
    drop(contestants);
    drop(text);
    let accented_megabytes = accented / 1_000_000;
    for (name, workspace, hits, megabytes) in [
        ("plain", &on_redb, hits, megabytes),
        ("with accents in every fourth message", &with_accents, accented_hits, accented_megabytes),
    ] {
        let contestants = &mut [
            Contestant {
                name: "the same in lower case alone",
                turn: Box::new(|turn| timed(turn, || of(in_lower_case(&runtime, workspace)?, hits, megabytes))),
            },
            Contestant {
                name: "Workspace::search",
                turn: Box::new(|turn| timed(turn, || of(search(&runtime, workspace)?, hits, megabytes))),
            },
        ];
        compare(&format!("searching {megabytes} MB, {name}; MB"), rounds, turn, contestants)?;
    }
    for (name, workspace) in [("redb", &on_redb), ("files", &on_files)] {
        let before = forget_peak();
        search(&runtime, workspace)?;
        println!(
            "  a search on {name} takes {} MB of memory at most",
            memory("VmHWM:").saturating_sub(before) / 1_000_000
        );
    }
    runtime.block_on(async {
        on_redb.store().close().await?;
        with_accents.store().close().await?;
        on_files.store().close().await
    })?;
    Ok(())
}

/// Returns how much was searched, if all that was to be found was.
fn of(found: u64, hits: u64, megabytes: u64) -> Result<u64> {
    match found == hits {
        true => Ok(megabytes),
        false => Err(format!("{found} messages found instead of {hits}").into()),
    }
}

/// What the conversations are written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letters {
    /// ASCII alone.
    Plain,
    /// In every fourth message an é in one of two words, half of them as one character and half as two.
    Accents,
}

/// Fills stores with the same conversations, and a file with their messages, a line each. Returns how many bytes the messages
/// have and how many are to be found.
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

/// Searches as [`search`] does, as many sessions at once and no more messages taken apart, but tells letters only by their lower case.
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

/// Returns whether a stored message says the word. As long as it is of ASCII, its bytes tell mostly that it does not.
fn says(body: &str) -> bool {
    if body.is_ascii() && memchr::memmem::find(body.as_bytes(), NEEDLE.as_bytes()).is_none() {
        return false;
    }
    let message = <Message as nofx_core::entity::Entity>::from_body(&nofx_core::Body::trusted(body.to_owned()));
    let content = message.ok().and_then(|message| message.content).unwrap_or_default();
    content.to_str_lossy().to_lowercase().contains(NEEDLE)
}

/// Counts what a program finds that takes each message apart.
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

/// Lets the most memory that this process had begin at what it has now, and returns that; where there is no such thing, zero.
fn forget_peak() -> u64 {
    _ = fs::write("/proc/self/clear_refs", "5");
    memory("VmHWM:")
}

/// Draws words, the same in each run, frequent ones as in talk.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn word(&mut self) -> String {
        // The smaller of three, so that few words are most of the text.
        let number = (0..3).map(|_| self.below(WORDS)).min().unwrap_or(0);
        let syllables = ["ba", "ke", "ti", "lo", "mu", "ra", "se", "ni", "do", "fu", "pa", "we"];
        let mut rest = number * 7 + 5;
        let mut word = String::new();
        while rest > 0 {
            word.push_str(syllables[(rest % 12) as usize]);
            rest /= 12;
        }
        word
    }

    fn text(&mut self) -> String {
        let words = 20 + self.below(160);
        let mut text = String::new();
        for _ in 0..words {
            text.push_str(&self.word());
            text.push(if self.below(12) == 0 { '\n' } else { ' ' });
        }
        text
    }
}
