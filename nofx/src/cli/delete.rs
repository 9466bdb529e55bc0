//! `nofx delete`: moves sessions to the trash.

use nofx_core::entity::{Session, SessionId};
use nofx_core::workspace::Workspace;

use super::exit::Exit;
use super::fault::Result;
use super::json_line::JsonLine;
use super::sessions::{SessionArgs, title};

const EXAMPLES: &str = "\
Examples:
  $ nofx delete session-harbour
  $ nofx undelete session-harbour && nofx delete session-harbour --json";

/// Move sessions to the trash, where `nofx ls --trash` lists them and `nofx undelete` recovers them.
///
/// With --for-good, purge sessions that are already in the trash. Messages that restored sessions share with them are kept for those, and
/// a migration does not bring a purged session back.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    sessions: SessionArgs,

    /// Purge sessions that are in the trash. This cannot be undone.
    #[arg(long)]
    for_good: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let (did, state) = if args.for_good { ("removed", "purged") } else { ("deleted", "deleted") };
    let delete = async |workspace: &Workspace, ids: &[SessionId]| match args.for_good {
        true => workspace.purge_sessions(ids).await,
        false => workspace.delete_sessions(ids).await.into_iter().map(|deleted| deleted.map(drop)).collect(),
    };
    let describe = |session: &Session, (): &()| {
        let json = JsonLine::new().put("session", &session.id).text("state", state);
        (format!("{did} {}", title(session)), json)
    };
    args.sessions.act(delete, describe).await
}
