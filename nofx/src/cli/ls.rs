//! `nofx ls`: lists sessions.

use std::collections::BTreeSet;

use nofx_core::entity::SessionStatus;
use nofx_core::workspace::{SessionFilter, SessionSummary, Summaries};
use nofx_core::{RecordKey, Timestamp};

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::json_line::JsonLine;
use super::output::Output;
use super::screen::Screen;
use super::store_arg::{OpenedWorkspace, StoreArg};
use super::text::one_line;
use super::times::{TimeArg, relative};

const EXAMPLES: &str = "\
Examples:
  $ nofx ls
  $ nofx ls --status archived --since 2020-01-01 --limit 0
  $ nofx ls --text harbour --json";

/// Sessions of a page.
const PAGE: usize = 256;

/// The fewest characters of a name to show, if need be by shortening ids.
const LEGIBLE: usize = 30;

/// The fewest characters of an id to show.
const END: usize = 8;

/// List sessions, most recently active first.
///
/// On a narrow terminal only the ends of ids are shown; other commands accept those too. Activity counts to the minute: if the limit falls
/// among sessions that were active in the same minute, any of them are shown.
///
/// Status and agent are looked up in an index; --text and --status also read every session that the other filters let through. Give
/// --since and --before a duration, such as `2h` or `7d`, or a date.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// List only sessions of the agent with this id.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,

    /// List only sessions that have this status now.
    #[arg(long)]
    status: Option<Status>,

    /// List only sessions whose name contains this text, ignoring case.
    #[arg(long)]
    text: Option<String>,

    /// List only sessions that were active since this time.
    #[arg(long, value_name = "WHEN", value_parser = TimeArg::parse)]
    since: Option<TimeArg>,

    /// List only sessions that have not been active since this time.
    #[arg(long, value_name = "WHEN", value_parser = TimeArg::parse)]
    before: Option<TimeArg>,

    /// List the sessions in the trash instead.
    #[arg(long, conflicts_with_all = ["agent", "status"])]
    trash: bool,

    /// List at most this many sessions; 0 for all.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,

    /// Print one JSON object a line, one for each session.
    #[arg(long)]
    json: bool,
}

/// A status to filter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Status {
    /// Active, and not expired.
    Active,
    /// Paused, and not expired.
    Paused,
    /// Expired, whether it was active or paused.
    Expired,
    /// Archived.
    Archived,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = OpenedWorkspace::to_read(&args.store).await?;
    let now = opened.now();
    let filter = args.filter(now);
    let mut output = if args.json { Output::stdout() } else { Output::painted() };
    let (mut rows, mut unreadable, mut listed, mut next) = (Vec::new(), Vec::new(), 0, None);
    let mut is_first = true;
    while is_first || next.is_some() {
        is_first = false;
        let room = if args.limit == 0 { PAGE } else { (args.limit - listed).min(PAGE) };
        if room == 0 {
            break;
        }
        let page = page(&opened, &filter, next.take(), room).await?;
        listed += page.items.len();
        unreadable.extend(page.unreadable);
        next = page.next;
        for summary in &page.items {
            match args.json {
                true => output.put(&json(summary))?,
                false => rows.push(row(summary, now)),
            }
        }
    }
    if !args.json && !rows.is_empty() {
        let head = ["SESSION", "AGENT", "STATE", "MESSAGES", "ACTIVE", "NAME"];
        let screen = Screen::of_stdout();
        if screen.room(&head, &rows).is_some_and(|room| room < LEGIBLE) {
            show_ends(&mut rows);
        }
        output.put(&screen.table(&head, &rows))?;
    }
    output.finish()?;
    opened.close().await?;
    if !args.json {
        print_the_rest(listed, next.is_some(), args.trash);
    }
    match unreadable.first() {
        None => Ok(Exit::Done),
        Some(first) => {
            let which = first.session.as_ref().map(|session| format!(", such as `{session}`")).unwrap_or_default();
            let message = format!("{} sessions cannot be read{which}", unreadable.len());
            Err(Fault::unreadable(&first.error, message))
        }
    }
}

async fn page(
    opened: &OpenedWorkspace,
    filter: &SessionFilter,
    after: Option<RecordKey>,
    limit: usize,
) -> Result<Summaries> {
    opened.workspace.summaries(filter, after, limit).await.map_err(|error| opened.fault(&error))
}

/// Prints, on a terminal only, what the list itself does not show.
fn print_the_rest(listed: usize, more: bool, trash: bool) {
    use std::io::IsTerminal;
    if !std::io::stderr().is_terminal() {
        return;
    }
    match (listed, more) {
        (0, _) if trash => eprintln!("no such sessions in the trash"),
        (0, _) => eprintln!("no such sessions"),
        (_, true) => eprintln!("there are more; `--limit 0` lists all"),
        _ => {}
    }
}

impl Args {
    fn filter(&self, now: Timestamp) -> SessionFilter {
        let (status, expired) = match self.status {
            None => (None, None),
            Some(Status::Active) => (Some(SessionStatus::Active), Some(false)),
            Some(Status::Paused) => (Some(SessionStatus::Paused), Some(false)),
            Some(Status::Expired) => (None, Some(true)),
            Some(Status::Archived) => (Some(SessionStatus::Archived), None),
        };
        SessionFilter {
            agent: self.agent.as_deref().map(Into::into),
            status,
            expired,
            active_since: self.since.map(|since| since.before(now)),
            active_before: self.before.map(|before| before.before(now)),
            text: self.text.clone(),
            trash: self.trash,
            ..SessionFilter::default()
        }
    }
}

/// Shortens the ids in the first column to their ends, long enough that no two of them are equal.
fn show_ends(rows: &mut [Vec<String>]) {
    let ids: Vec<Vec<char>> = rows.iter().filter_map(|row| row.first()).map(|id| id.chars().collect()).collect();
    let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
    let end = |id: &[char], length: usize| id[id.len().saturating_sub(length)..].iter().collect::<String>();
    let distinct = |length: &usize| {
        let ends: BTreeSet<String> = ids.iter().map(|id| end(id, *length)).collect();
        ends.len() == ids.len()
    };
    let length = (END..longest).find(distinct).unwrap_or(longest);
    for (row, id) in rows.iter_mut().zip(&ids) {
        if id.len() > length + 1
            && let Some(cell) = row.first_mut()
        {
            *cell = format!("…{}", end(id, length));
        }
    }
}

fn row(summary: &SessionSummary, now: Timestamp) -> Vec<String> {
    let session = &summary.session;
    vec![
        one_line(&session.id.to_string()),
        one_line(&session.agent_name.to_string()),
        summary.state.name().to_owned(),
        format!("{:>8}", summary.messages),
        relative(summary.last_active_at, now),
        one_line(&session.name.to_string()),
    ]
}

fn json(summary: &SessionSummary) -> String {
    let session = &summary.session;
    JsonLine::new()
        .put("session", &session.id)
        .put("name", &session.name)
        .put("agent", &session.agent_id)
        .put("agent_name", &session.agent_name)
        .put("agent_type", &session.agent_type)
        .text("state", summary.state.name())
        .put("messages", &summary.messages)
        .put("last_active_at", &summary.last_active_at)
        .maybe("created_at", session.created_at.as_ref())
        .maybe("expires_at", session.expires_at.as_ref())
        .maybe("deleted_at", session.deleted_at.as_ref())
        .maybe("preview", session.preview.as_ref())
        .maybe("working_directory", session.working_directory.as_ref())
        .maybe("git_branch", session.git_branch.as_ref())
        .maybe("restored_from", session.restored_from.as_ref())
        .maybe("metadata", session.metadata.as_ref())
        .line()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_ids_are_as_long_as_it_takes_to_tell_them_apart() {
        let ends = |ids: &[&str]| {
            let mut rows: Vec<Vec<String>> = ids.iter().map(|id| vec![(*id).to_owned()]).collect();
            show_ends(&mut rows);
            rows.concat()
        };
        assert_eq!(ends(&["session-ada-17-f76074c5", "session-ada-18-1234abcd"]), ["…f76074c5", "…1234abcd"]);
        assert_eq!(ends(&["session-a-12345678", "session-b-12345678"]), ["…a-12345678", "…b-12345678"]);
        assert_eq!(ends(&["short", "session-a-12345678"]), ["short", "…12345678"]);
        assert_eq!(ends(&[]), [""; 0]);
    }
}
