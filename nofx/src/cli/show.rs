//! `nofx show`: shows a conversation.

use futures_util::StreamExt;
use nofx_core::entity::{Session, Task};
use nofx_core::workspace::Tasks;
use nofx_core::{Direction, Error, Timestamp};

use super::conversation::Conversation;
use super::exit::Exit;
use super::fault::Result;
use super::output::Output;
use super::screen::Screen;
use super::sessions::find;
use super::store_arg::{OpenedWorkspace, StoreArg};
use super::text::one_line;
use super::times::{clock, date, relative};

const EXAMPLES: &str = "\
Examples:
  $ nofx show session-harbour
  $ nofx show session-harbour --json | head -n 1";

/// Show a session: its details, its tasks and every message.
///
/// Times are in UTC. Prose is wrapped to the width of the terminal; fenced code is not.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The session: its id, or the beginning or end of it.
    session: String,

    #[command(flatten)]
    store: StoreArg,

    /// Print one JSON object a line, one for each message.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = OpenedWorkspace::to_read(&args.store).await?;
    let session = find(&opened, &args.session).await?;
    let mut output = if args.json { Output::stdout() } else { Output::painted() };
    let mut conversation = Conversation::new(args.json);
    if !args.json {
        let failed = |error: Error| opened.fault(&error);
        let messages = opened.workspace.history_length(&session).await.map_err(failed)?;
        let tasks = match opened.workspace.tasks(&session.id).await {
            Ok(tasks) => tasks,
            Err(error) => Tasks { unreadable: vec![error], ..Tasks::default() },
        };
        output.put(&head(&session, &tasks, messages, opened.now()))?;
        for error in tasks.unreadable {
            output.put(&conversation.unreadable(error, &opened)?)?;
        }
    }
    let mut messages = opened.workspace.history(&session, 0..u64::MAX, Direction::Forward, None);
    while let Some(entry) = messages.next().await {
        output.put(&match entry {
            Ok(entry) => conversation.show(&entry),
            Err(error) => conversation.unreadable(error, &opened)?,
        })?;
    }
    output.finish()?;
    opened.close().await?;
    conversation.end(&session)
}

/// Formats the head above the messages.
fn head(session: &Session, tasks: &Tasks, messages: u64, now: Timestamp) -> String {
    let screen = Screen::of_stdout();
    let line = |text: String| format!("{}\n", screen.dim(&one_line(&text)));
    let moment = |name: &str, time: Option<Timestamp>| {
        let far = |time| relative(time, now) == date(time);
        time.map(|time| match far(time) {
            true => format!("{name} {} {}", date(time), clock(time)),
            false => format!("{name} {} {} ({})", date(time), clock(time), relative(time, now)),
        })
    };
    let mut head = format!("{}\n", screen.bold(&one_line(&session.name.to_string())));
    head.push_str(&line(session.id.to_string()));
    let agent = match session.agent_type.is_empty() {
        true => session.agent_name.to_string(),
        false => format!("{} ({})", session.agent_name, session.agent_type),
    };
    head.push_str(&line(format!("{agent} · {} · {messages} messages", session.state(now).name())));
    let times = [("created", session.created_at), ("expires", session.expires_at), ("deleted", session.deleted_at)];
    let times: Vec<_> = times.into_iter().filter_map(|(name, time)| moment(name, time)).collect();
    if !times.is_empty() {
        head.push_str(&line(times.join(" · ")));
    }
    let place = [
        session.working_directory.as_ref().map(|directory| format!("in {directory}")),
        session.git_branch.as_ref().map(|branch| format!("on branch {branch}")),
        session.restored_from.as_ref().map(|from| format!("restored from {from}")),
    ];
    let place: Vec<_> = place.into_iter().flatten().collect();
    if !place.is_empty() {
        head.push_str(&line(place.join(" · ")));
    }
    let all: Vec<&Task> = tasks.ended.iter().chain(&tasks.current).collect();
    if !all.is_empty() {
        head.push_str(&format!("\n{}\n", screen.bold("Tasks")));
    }
    for task in all {
        let status = task.status.as_ref().map(ToString::to_string).unwrap_or_default().replace('_', " ");
        let title = if task.title.is_empty() { &task.description } else { &task.title };
        head.push_str(&format!("  {:<11} {}\n", one_line(&status), one_line(&title.to_string())));
    }
    head
}
