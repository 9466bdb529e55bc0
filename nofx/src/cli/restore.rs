//! `nofx restore`: goes on from sessions.

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

/// Makes new sessions that begin with the messages of others, which stay as they are.
///
/// Nothing is copied: a restored session costs the same however long the old one is, and stays whole when that is deleted.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    sessions: SessionArgs,

    /// Begins with a summary and the newest messages instead of all.
    #[arg(long)]
    summarize: bool,

    /// Begins without messages.
    #[arg(long, conflicts_with = "summarize")]
    without_history: bool,

    /// Begins with the first so many messages only.
    #[arg(long, value_name = "COUNT", conflicts_with = "without_history")]
    at: Option<u64>,

    /// Leaves the task behind that was being worked on.
    #[arg(long)]
    without_task: bool,

    /// Leaves behind where the agent worked.
    #[arg(long)]
    without_directory: bool,

    /// Begins anew behind the messages, and says so in one of the system.
    #[arg(long)]
    anew: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let options = RestoreOptions {
        conversation_history: !args.without_history,
        current_task: !args.without_task,
        working_directory: !args.without_directory,
        continue_from_last_message: !args.anew,
        summarize_history: args.summarize,
        up_to: args.at,
    };
    let restore = async |workspace: &Workspace, ids: &[SessionId]| workspace.restore_sessions(ids, options).await;
    let told = |old: &Session, new: &Session| {
        let text = format!("restored {} as `{}`", title(old), new.id);
        (text, JsonLine::new().put("session", &old.id).put("restored", &new.id))
    };
    args.sessions.act(restore, told).await
}
