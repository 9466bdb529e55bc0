//! `nofx archive`: archives sessions.

use nofx_core::entity::{Session, SessionId};
use nofx_core::workspace::Workspace;

use super::exit::Exit;
use super::fault::Result;
use super::json_line::JsonLine;
use super::sessions::{SessionArgs, title};

const EXAMPLES: &str = "\
Examples:
  $ nofx archive session-harbour
  $ nofx archive session-harbour --json";

/// Archive sessions permanently: they accept no more messages and may be compressed.
///
/// They stay readable, and `nofx restore` continues from them in a new session.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    sessions: SessionArgs,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let archive = async |workspace: &Workspace, ids: &[SessionId]| workspace.archive_sessions(ids).await;
    let describe = |_: &Session, archived: &Session| {
        let json = JsonLine::new().put("session", &archived.id).text("state", "archived");
        (format!("archived {}", title(archived)), json)
    };
    args.sessions.act(archive, describe).await
}
