//! Finds the sessions that a command names, and applies one action to several of them.

use futures_util::{Stream, StreamExt};
use nofx_core::entity::{Entity, RecordEntity, Session, SessionId};
use nofx_core::workspace::Workspace;
use nofx_core::{Error, Record, ScanQuery};

use super::exit::Exit;
use super::fault::{Fault, Result, advice, chain};
use super::json_line::JsonLine;
use super::output::Output;
use super::store_arg::{OpenedWorkspace, StoreArg};
use super::text::one_line;

/// A shorter end of an id names nothing: it would match by chance.
const SHORTEST_END: usize = 4;

/// Records of a page.
const PAGE: usize = 1024;

/// The sessions to act on, and their store.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionArgs {
    /// The sessions: their ids, or the beginnings or ends of them.
    #[arg(value_name = "SESSION", required = true)]
    sessions: Vec<String>,

    #[command(flatten)]
    store: StoreArg,

    /// Print one JSON object a line, one for each session.
    #[arg(long)]
    json: bool,
}

impl SessionArgs {
    /// Applies an action to all the sessions, and prints the result of each.
    ///
    /// Nothing is done if one of them does not exist. A session that is named twice is acted on once.
    pub(crate) async fn act<T>(
        &self,
        act: impl AsyncFnOnce(&Workspace, &[SessionId]) -> Vec<nofx_core::Result<T>>,
        done: impl Fn(&Session, &T) -> (String, JsonLine),
    ) -> Result<Exit> {
        let opened = OpenedWorkspace::to_write(&self.store).await?;
        let mut sessions: Vec<Session> = Vec::new();
        for named in &self.sessions {
            let session = find(&opened, named).await?;
            if sessions.iter().all(|other| other.id != session.id) {
                sessions.push(session);
            }
        }
        let ids: Vec<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
        let results = act(&opened.workspace, &ids).await;
        opened.close().await?;
        self.print(&sessions, results, done)
    }

    /// Prints the result of each session, and fails if one of them failed.
    fn print<T>(
        &self,
        sessions: &[Session],
        results: Vec<nofx_core::Result<T>>,
        done: impl Fn(&Session, &T) -> (String, JsonLine),
    ) -> Result<Exit> {
        let mut output = Output::stdout();
        let mut failures = Vec::new();
        for (session, result) in sessions.iter().zip(results) {
            match result {
                Ok(result) => {
                    let (text, json) = done(session, &result);
                    output.put(&if self.json { json.line() } else { format!("{text}\n") })?;
                }
                Err(error) => {
                    if self.json {
                        let json = JsonLine::new().put("session", &session.id).text("error", error.code());
                        output.put(&json.text("message", &chain(&error)).line())?;
                    }
                    failures.push((session, error));
                }
            }
        }
        output.finish()?;
        match failures.as_slice() {
            [] => Ok(Exit::Done),
            [(session, error)] if sessions.len() == 1 => Err(refused(session, error)),
            [(session, error), ..] => {
                let (why, hint) = advice(error);
                let message = format!(
                    "{} of {} sessions were left unchanged, `{}` because {why}",
                    failures.len(),
                    sessions.len(),
                    session.id
                );
                Err(Fault::new(Exit::Partly, message, hint))
            }
        }
    }
}

/// Finds a session by its id, by the beginning of it, or else by the end of it.
pub(crate) async fn find(opened: &OpenedWorkspace, named: &str) -> Result<Session> {
    let OpenedWorkspace { workspace, .. } = opened;
    if let Some(session) = workspace.session(&named.into()).await.map_err(|error| opened.fault(&error))? {
        return Ok(session);
    }
    let mut part = "begin";
    let mut found = match named {
        "" => Vec::new(),
        _ => beginning_with(workspace, named).await.map_err(|error| opened.fault(&error))?,
    };
    if found.is_empty() {
        part = "end";
        found = ending_with(workspace, named).await.map_err(|error| opened.fault(&error))?;
    }
    match found.as_slice() {
        [session] => Ok(session.clone()),
        [] => Err(unknown(named, nearest(workspace, named).await.map_err(|error| opened.fault(&error))?)),
        [one, other, ..] => Err(Fault::new(
            Exit::Ambiguous,
            format!("the ids of several sessions {part} with `{named}`, such as `{}` and `{}`", one.id, other.id),
            "give more of the id; `nofx ls` lists them",
        )),
    }
}

async fn beginning_with(workspace: &Workspace, prefix: &str) -> nofx_core::Result<Vec<Session>> {
    let query = ScanQuery::of(Session::KIND, PAGE).prefixed(prefix);
    let mut records = workspace.store().scan(query);
    let mut found = Vec::new();
    while found.len() < 2
        && let Some(session) = next_readable(workspace, &mut records).await?
    {
        found.push(session);
    }
    Ok(found)
}

/// Returns the next session of the namespace, skipping those that cannot be read.
async fn next_readable(
    workspace: &Workspace,
    records: &mut (impl Stream<Item = nofx_core::Result<Record>> + Unpin),
) -> nofx_core::Result<Option<Session>> {
    while let Some(record) = records.next().await {
        match record.and_then(|record| Session::from_body(&record.body)) {
            Ok(session) if workspace.holds(&session) => return Ok(Some(session)),
            Ok(_) => {}
            Err(error) if error.is_of_one_thing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Finds up to two sessions by the end of their ids, which `nofx ls` shows after an ellipsis.
async fn ending_with(workspace: &Workspace, end: &str) -> nofx_core::Result<Vec<Session>> {
    let end = end.trim_start_matches('…');
    let mut found = Vec::new();
    if end.chars().count() < SHORTEST_END {
        return Ok(found);
    }
    let mut sessions = workspace.store().scan(ScanQuery::of(Session::KIND, PAGE));
    while let Some(session) = next_readable(workspace, &mut sessions).await? {
        if session.id.to_string().ends_with(end) {
            found.push(session);
            if found.len() == 2 {
                break;
            }
        }
    }
    Ok(found)
}

fn unknown(named: &str, nearest: Option<Session>) -> Fault {
    let hint = match nearest {
        Some(session) => format!("did you mean `{}`, {}? `nofx ls` lists all", session.id, session.name),
        None => "the store has no sessions; `nofx migrate` and `nofx import` add some".to_owned(),
    };
    Fault::new(Exit::NoSession, format!("no session `{named}`"), hint)
}

/// Returns the session whose id or name is closest to a text.
async fn nearest(workspace: &Workspace, named: &str) -> nofx_core::Result<Option<Session>> {
    let named = named.to_lowercase();
    let mut sessions = workspace.store().scan(ScanQuery::of(Session::KIND, PAGE));
    let mut nearest: Option<(usize, Session)> = None;
    while let Some(session) = next_readable(workspace, &mut sessions).await? {
        let name = session.name.to_string().to_lowercase();
        let by_name = if name.contains(&named) { 0 } else { distance(&named, &name) };
        let distance = by_name.min(distance(&named, &session.id.to_string().to_lowercase()));
        if nearest.as_ref().is_none_or(|(least, _)| distance < *least) {
            nearest = Some((distance, session));
        }
    }
    Ok(nearest.map(|(_, session)| session))
}

/// Returns the edit distance between two texts: how many characters to add, remove or replace. Of long texts, only the beginnings count.
fn distance(one: &str, other: &str) -> usize {
    const MAX_COMPARED_CHARS: usize = 64;
    let other: Vec<char> = other.chars().take(MAX_COMPARED_CHARS).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, mine) in one.chars().take(MAX_COMPARED_CHARS).enumerate() {
        let mut above_left = at;
        let mut left = at + 1;
        for (theirs, cell) in other.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            left = (above_left + usize::from(mine != *theirs)).min(above + 1).min(left + 1);
            (*cell, above_left) = (left, above);
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Says why a session was left unchanged.
pub(crate) fn refused(session: &Session, error: &Error) -> Fault {
    let (why, hint) = advice(error);
    match error {
        Error::Invalid(_) => Fault::new(Exit::Refused, why, hint),
        _ => Fault::of_error(error, format!("session `{}`: {why}", session.id)),
    }
}

/// Returns the id and the name of a session, for people.
pub(crate) fn title(session: &Session) -> String {
    format!("`{}` {}", one_line(&session.id.to_string()), one_line(&session.name.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_far_apart_as_what_it_takes_to_make_one_of_the_other() {
        for (one, other, expected) in
            [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2), ("äö", "äö", 0)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
