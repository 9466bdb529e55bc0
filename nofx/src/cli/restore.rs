//! `nofx restore`: continues from sessions in new ones.

use nofx_core::entity::{Session, SessionId};
use nofx_core::workspace::{RestoreOptions, Workspace};

use super::exit::Exit;
use super::fault::Result;
use super::json_line::JsonLine;
use super::sessions::{SessionArgs, title};

const EXAMPLES: &str = "\
Examples:
  $ nofx restore session-harbour
  $ nofx restore session-harbour --at 1
  $ nofx restore session-harbour --summarize --without-task --json";

/// Create new sessions that begin with the messages of others, which stay unchanged.
///
/// Nothing is copied: a restored session costs the same however long the old one is, and keeps its messages if the old one is deleted.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    sessions: SessionArgs,

    /// Begin with a summary and the newest messages instead of all messages.
    #[arg(long)]
    summarize: bool,

    /// Begin without messages.
    #[arg(long, conflicts_with = "summarize")]
    without_history: bool,

    /// Begin with only this many of the first messages.
    #[arg(long, value_name = "COUNT", conflicts_with = "without_history")]
    at: Option<u64>,

    /// Do not take over the current task.
    #[arg(long)]
    without_task: bool,

    /// Do not take over the working directory.
    #[arg(long)]
    without_directory: bool,

    /// Add a system message that marks where the restored session starts.
    #[arg(long)]
    mark_start: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let options = RestoreOptions {
        conversation_history: !args.without_history,
        current_task: !args.without_task,
        working_directory: !args.without_directory,
        continue_from_last_message: !args.mark_start,
        summarize_history: args.summarize,
        up_to: args.at,
    };
    let restore = async |workspace: &Workspace, ids: &[SessionId]| workspace.restore_sessions(ids, options).await;
    let describe = |old: &Session, new: &Session| {
        let text = format!("restored {} as `{}`", title(old), new.id);
        (text, JsonLine::new().put("session", &old.id).put("restored", &new.id))
    };
    args.sessions.act(restore, describe).await
}
