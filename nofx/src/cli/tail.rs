//! `nofx tail`: shows the newest messages.

use std::io::Write;
use std::time::Duration;

use futures_util::StreamExt;
use nofx_core::Direction;
use nofx_core::entity::Session;
use nofx_core::workspace::HistoryEntry;

use super::conversation::Conversation;
use super::exit::Exit;
use super::fault::{Fault, Result};
use super::output::Output;
use super::sessions::find;
use super::store_arg::{OpenedWorkspace, StoreArg};

const EXAMPLES: &str = "\
Examples:
  $ nofx tail session-harbour
  $ nofx tail session-harbour -n 1 --json";

/// How often to look for new messages.
const PAUSE: Duration = Duration::from_millis(250);

/// Show the newest messages of a session, and with --follow new ones as they arrive.
///
/// Only what is shown is read, however long the history is. Following ends on Ctrl-C, or when the session is purged.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The session: its id, or the beginning or end of it.
    session: String,

    #[command(flatten)]
    store: StoreArg,

    /// How many messages to show.
    #[arg(short = 'n', long = "lines", value_name = "COUNT", default_value_t = 10)]
    count: usize,

    /// Wait for new messages and show them as they arrive.
    #[arg(short, long)]
    follow: bool,

    /// Print one JSON object a line, one for each message.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = OpenedWorkspace::to_read(&args.store).await?;
    let session = find(&opened, &args.session).await?;
    let mut output = if args.json { Output::stdout() } else { Output::painted() };
    let mut conversation = Conversation::new(args.json);
    let tail = opened.workspace.tail(&session, args.count).await.map_err(|error| opened.fault(&error))?;
    let last = tail.last().map(|entry| match entry {
        Ok(entry) => Some(entry.position + 1),
        Err(error) => error.positions().map(|places| places.end),
    });
    let seen = match last.flatten() {
        Some(last) => last,
        None => length(&opened, &session).await?,
    };
    show(tail, &opened, &mut conversation, &mut output)?;
    if args.follow {
        follow(&opened, &session, seen, &mut conversation, &mut output).await?;
    }
    output.finish()?;
    opened.close().await?;
    conversation.end(&session)
}

fn show(
    entries: Vec<nofx_core::Result<HistoryEntry>>,
    opened: &OpenedWorkspace,
    conversation: &mut Conversation,
    output: &mut Output,
) -> Result<()> {
    for entry in entries {
        output.put(&match entry {
            Ok(entry) => conversation.show(&entry),
            Err(error) => conversation.unreadable(error, opened)?,
        })?;
    }
    Ok(())
}

/// Shows the messages after the first `seen`, until the session is gone.
async fn follow(
    opened: &OpenedWorkspace,
    session: &Session,
    mut seen: u64,
    conversation: &mut Conversation,
    output: &mut Output,
) -> Result<()> {
    loop {
        let name = output.name();
        output.flush().map_err(|error| Fault::of_output(&name, &error))?;
        tokio::time::sleep(PAUSE).await;
        let length = length(opened, session).await?;
        if length < seen {
            return Ok(());
        }
        let mut new = opened.workspace.history(session, seen..length, Direction::Forward, None);
        while let Some(entry) = new.next().await {
            show(vec![entry], opened, conversation, output)?;
        }
        seen = length;
    }
}

async fn length(opened: &OpenedWorkspace, session: &Session) -> Result<u64> {
    opened.workspace.history_length(session).await.map_err(|error| opened.fault(&error))
}
