//! Searching messages by content: every history is read, several concurrently.

pub(super) mod fold;

use std::collections::HashMap;
use std::future::Future;
use std::ops::Range;

use futures_core::Stream;
use futures_util::{StreamExt, stream};
use memchr::memchr2_iter;
use memchr::memmem::Finder;
use tokio::runtime::Handle;

use crate::entity::{AgentId, Entity, Message, Role, Session, SessionId};
use crate::error::{Error, Result};
use crate::json::Text;
use crate::key::LogKey;
use crate::query::{Direction, LogQuery};
use crate::record::LogEntry;
use crate::time::Timestamp;
use crate::workspace::Workspace;
use crate::workspace::conversation::history::{parts, stored_message};
use crate::workspace::sessions::activity::Order;
use fold::{composed, lower};

/// How many sessions are searched concurrently.
const AT_ONCE: usize = 8;

/// How many session records are read together.
const TOGETHER: usize = 64;

/// Entries per page.
const PAGE: usize = 1024;

/// How many characters of a message a snippet shows before the match, and how many after.
const AROUND: usize = 60;

/// The most common letters in text, most frequent first.
const COMMON: &[u8] = b" etaoinsrhldcumfpgwybvkxjqz";

/// What to search for. All criteria must match; without words, every message that matches the rest is found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchQuery {
    /// Words, or parts of words, that a message must all contain, ignoring case and the way accents are encoded.
    pub words: Vec<String>,
    /// Only in sessions of this agent.
    pub agent: Option<AgentId>,
    /// Only messages with this role.
    pub role: Option<Role>,
    /// Only messages written at this time or later.
    pub since: Option<Timestamp>,
    /// Only messages written before this time.
    pub until: Option<Timestamp>,
    /// Search the trash instead.
    pub trash: bool,
}

/// A message that matches.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchHit {
    /// The session it is in.
    pub session: SessionId,
    /// The display name of that session.
    pub name: Text,
    /// The message's place in the session's history.
    pub position: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Who said it.
    pub role: Option<Role>,
    /// The text around the first match, on one line.
    pub snippet: String,
}

/// Messages of one log that were not searched yet, as a part of a session's history.
#[derive(Clone, Debug)]
struct Unsearched {
    log: LogKey,
    positions: Range<u64>,
    /// The place of the log's first entry in the history.
    start: u64,
}

/// Searching what was said.
///
/// ```
/// # use futures_util::TryStreamExt;
/// # use nofx_core::workspace::{NewSession, SearchQuery, Workspace};
/// # use nofx_core::{MemoryBackend, Store, entity::{Agent, Role}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// # let session = workspace.create_session(&Agent::new("ada", "Ada", "tester"), NewSession::default()).await?;
/// workspace.add_message(&session.id, workspace.message(Role::User, "Where is the Parser?")).await?;
/// workspace.add_message(&session.id, workspace.message(Role::Assistant, "The parser is in src/parse.rs.")).await?;
///
/// let query = SearchQuery { words: vec!["parser".into()], role: Some(Role::Assistant), ..SearchQuery::default() };
/// let hits: Vec<_> = workspace.search(query).await?.try_collect().await?;
/// assert_eq!(hits.len(), 1);
/// assert_eq!((hits[0].position, hits[0].snippet.as_str()), (1, "The parser is in src/parse.rs."));
/// # Ok(()) }
/// ```
impl Workspace {
    /// Searches messages, newest session first, and oldest message first within each. Sessions last active within the
    /// same minute are in no particular order.
    ///
    /// There is no index: every message is read, in parallel in a multi-threaded runtime, and only as hits are
    /// requested. A message that several sessions were restored with is found once, in the newest of them. Anything
    /// unreadable is an error among the hits, one for each session or run of messages that is damaged together, and the
    /// search continues. When the stream is dropped, the few sessions that are being searched are finished.
    pub async fn search(
        &self,
        query: SearchQuery,
    ) -> Result<impl Stream<Item = Result<SearchHit>> + Send + Unpin + use<>> {
        if query.trash && query.agent.is_some() {
            return Err(Error::invalid("the trash cannot be filtered by agent"));
        }
        let order = Order { agent: query.agent.clone(), trash: query.trash, ..self.order() };
        let (mut sessions, unlisted) = self.sessions_in(&order).await?;
        sessions.reverse();
        self.progress.begin("searching");
        self.progress.expect(sessions.len() as u64);
        let searching = std::sync::Arc::new(Searching::new(self.clone(), query));
        let mut searched = HashMap::new();
        let workspace = self.clone();
        let together: Vec<_> = sessions.chunks(TOGETHER).map(<[SessionId]>::to_vec).collect();
        let read = stream::iter(together).then(move |ids| {
            let workspace = workspace.clone();
            async move { workspace.sessions_by_id(&ids).await.unwrap_or_else(|error| vec![Err(error)]) }
        });
        let found = read.map(stream::iter).flatten();
        let found = found.map(move |session| {
            let todo = session.map(|session| session.map(|session| (unsearched(&session, &mut searched), session)));
            let searching = searching.clone();
            beside(async move {
                let hits = match todo {
                    Ok(Some((parts, session))) => searching.within(&session, parts).await,
                    Ok(None) => Vec::new(),
                    Err(error) => vec![Err(error)],
                };
                searching.workspace.progress.advance(1);
                hits
            })
        });
        let unlisted = stream::iter(unlisted.into_iter().map(Err));
        Ok(found.buffered(AT_ONCE).map(stream::iter).flatten().chain(unlisted).boxed())
    }
}

/// Runs a future as a task of the runtime, if there is one, so that several run in parallel.
async fn beside(search: impl Future<Output = Vec<Result<SearchHit>>> + Send + 'static) -> Vec<Result<SearchHit>> {
    match Handle::try_current() {
        Ok(runtime) => match runtime.spawn(search).await {
            Ok(hits) => hits,
            Err(error) => vec![Err(Error::unavailable_because("searching", error))],
        },
        Err(_) => search.await,
    }
}

/// Returns the parts of a session's history that were not searched with another session's.
fn unsearched(session: &Session, searched: &mut HashMap<LogKey, u64>) -> Vec<Unsearched> {
    let mut todo = Vec::new();
    for part in parts(session) {
        let length = part.end - part.start;
        let before = searched.entry(part.log.clone()).or_default();
        if *before < length {
            todo.push(Unsearched { log: part.log, positions: *before..length, start: part.start });
            *before = length;
        }
    }
    todo
}

/// A running search.
#[derive(Debug)]
struct Searching {
    workspace: Workspace,
    query: SearchQuery,
    /// The words in lower case.
    words: Vec<String>,
    /// The words that JSON does not escape, so that a message that contains them has them verbatim, in any case.
    plain: Vec<PlainWord>,
    /// Whether a word has non-ASCII letters, so that no pure ASCII message contains it.
    beyond_ascii: bool,
    /// Occur in a message whose text is escaped or stored separately.
    otherwise: [Finder<'static>; 2],
    /// The non-ASCII characters that become ASCII when composed and lowercased.
    becomes_ascii: [Finder<'static>; 4],
}

/// The only non-ASCII characters that contain ASCII when composed and lowercased: the Kelvin sign, I with a dot above,
/// the Greek question mark and the Greek varia.
const BECOMES_ASCII: [&str; 4] = ["\u{212a}", "\u{130}", "\u{37e}", "\u{1fef}"];

impl Searching {
    fn new(workspace: Workspace, query: SearchQuery) -> Self {
        let words = query.words.iter().map(|word| lower(&composed(word))).filter(|word| !word.is_empty());
        let words: Vec<String> = words.collect();
        Self {
            workspace,
            query,
            plain: words.iter().filter_map(|word| PlainWord::of(word)).collect(),
            beyond_ascii: !words.iter().all(|word| word.is_ascii()),
            words,
            otherwise: ["\\u", "\"$content\""].map(Finder::new),
            becomes_ascii: BECOMES_ASCII.map(Finder::new),
        }
    }

    async fn within(&self, session: &Session, parts: Vec<Unsearched>) -> Vec<Result<SearchHit>> {
        let mut hits = Vec::new();
        for part in parts {
            let query = LogQuery { log: part.log, range: part.positions, direction: Direction::Forward, limit: PAGE };
            let log = query.log.clone();
            let mut entries = self.workspace.store.read(query);
            while let Some(entry) = entries.next().await {
                let hit = match entry {
                    Ok(entry) => self.hit(session, &log, part.start, entry).await,
                    Err(error) => Err(error),
                };
                hits.extend(hit.map_err(|error| error.moved(part.start)).transpose());
            }
        }
        hits
    }

    async fn hit(&self, session: &Session, log: &LogKey, start: u64, entry: LogEntry) -> Result<Option<SearchHit>> {
        let in_time = self.query.since.is_none_or(|since| entry.at >= since)
            && self.query.until.is_none_or(|until| entry.at < until);
        if !in_time || !self.may_match(entry.body.as_str()) {
            return Ok(None);
        }
        // A long content is not read if the role does not match.
        let is_wanted = |message: Message| self.query.role.is_none() || self.query.role == message.role;
        if Message::from_body(&entry.body).is_ok_and(|message| !is_wanted(message)) {
            return Ok(None);
        }
        let message = stored_message(&self.workspace.store, log, &entry).await?;
        let content = message.content.unwrap_or_default();
        let Some(snippet) = snippet(&content.to_str_lossy(), &self.words) else { return Ok(None) };
        Ok(Some(SearchHit {
            session: session.id.clone(),
            name: session.name.clone(),
            position: start + entry.position,
            at: entry.at,
            role: message.role,
            snippet,
        }))
    }

    /// Returns whether a stored message may contain all words. Looks only at its bytes, so that most messages need not
    /// be parsed.
    fn may_match(&self, body: &str) -> bool {
        let bytes = body.as_bytes();
        let has_one_of = |all: &[Finder<'static>]| all.iter().any(|finder| finder.find(bytes).is_some());
        let plain = self.plain.iter().all(|word| word.is_in(bytes));
        // Composing and lowercasing turn nothing else into ASCII, so a plain word appears verbatim in the bytes.
        let as_it_is = match bytes.is_ascii() {
            true => plain && !self.beyond_ascii,
            false => plain || has_one_of(&self.becomes_ascii),
        };
        as_it_is || has_one_of(&self.otherwise)
    }
}

/// A word in lower case whose letters JSON does not escape.
#[derive(Clone, Debug)]
struct PlainWord {
    word: Vec<u8>,
    /// The position of its rarest letter, which is searched for first.
    rarest: usize,
}

impl PlainWord {
    fn of(word: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii() && byte >= b' ' && !matches!(byte, b'"' | b'\\' | b'/');
        if !word.bytes().all(plain) {
            return None;
        }
        let common = |byte: &u8| COMMON.iter().position(|one| one == byte).unwrap_or(COMMON.len());
        let rarest = word.bytes().enumerate().max_by_key(|(_, byte)| common(byte)).map_or(0, |(at, _)| at);
        Some(Self { word: word.into(), rarest })
    }

    /// Returns whether the bytes contain the word, ignoring case.
    fn is_in(&self, bytes: &[u8]) -> bool {
        let Some(rarest) = self.word.get(self.rarest) else { return true };
        memchr2_iter(*rarest, rarest.to_ascii_uppercase(), bytes).any(|at| {
            let found = at.checked_sub(self.rarest).and_then(|from| bytes.get(from..from + self.word.len()));
            found.is_some_and(|found| found.eq_ignore_ascii_case(&self.word))
        })
    }
}

/// Returns the text around the first match in a text that contains all words, on one line; `None` if it does not.
fn snippet(text: &str, words: &[String]) -> Option<String> {
    let text = composed(text);
    let lower = lower(&text);
    let found = words.iter().map(|word| lower.find(word.as_str())).collect::<Option<Vec<_>>>()?;
    let first = found.into_iter().min().unwrap_or(0);
    // Lower case may change the length, so the place is counted in characters, which is close enough for display.
    let characters = lower.get(..first).map_or(0, |before| before.chars().count());
    let from = characters.saturating_sub(AROUND);
    let shown: String = text.chars().skip(from).take(characters - from + AROUND).collect();
    let line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let more = text.chars().nth(characters + AROUND).is_some();
    Some(format!("{}{line}{}", if from > 0 { "…" } else { "" }, if more { "…" } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, words: &[&str]) -> Option<String> {
        snippet(text, &words.iter().map(|word| word.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn a_snippet_shows_what_stands_around_the_first_word() {
        let text = format!("{}\nthe Needle\tis here {}", "hay ".repeat(50), "straw ".repeat(50));
        let snippet = found(&text, &["needle"]).unwrap();
        assert!(snippet.starts_with("…") && snippet.ends_with('…') && snippet.contains("hay the Needle is here straw"));
        assert_eq!(found("a Needle", &["needle", "a"]).as_deref(), Some("a Needle"));
        assert_eq!(found("a needle", &["needle", "thread"]), None);
    }

    #[test]
    fn letters_that_change_their_length_with_their_case_do_no_harm() {
        assert_eq!(found("İİİİ needle ß", &["needle"]).as_deref(), Some("İİİİ needle ß"));
        assert_eq!(found("STRASSE und Straße", &["straße"]).as_deref(), Some("STRASSE und Straße"));
    }

    #[test]
    fn no_other_character_becomes_ascii() {
        let all = ('\u{80}'..=char::MAX).filter(|one| {
            let folded = lower(&composed(&one.to_string()));
            folded.bytes().any(|byte| byte.is_ascii())
        });
        let all: Vec<String> = all.map(String::from).collect();
        let mut known = BECOMES_ASCII.map(String::from);
        known.sort();
        assert_eq!(all, known);
    }

    #[test]
    fn words_are_found_in_bytes_in_any_case() {
        let is_in = |bytes: &[u8], word: &str| PlainWord::of(word).unwrap().is_in(bytes);
        for word in ["needle", "edlex", "n", "x", ""] {
            assert!(is_in(b"xxNeeNeedlex", word), "{word}");
        }
        for word in ["needles", "xneedle", "nne"] {
            assert!(!is_in(b"NeedleNeedle", word), "{word}");
        }
        assert!(is_in(b"", "") && !is_in(b"", "a"));
        assert!(PlainWord::of("straße").is_none() && PlainWord::of("a/b").is_none());
    }
}
