//! `nofx delete`: puts sessions into the trash.

use nofx_core::entity::SessionId;

use super::exit::Exit;
use super::fault::Result;
use super::json_line::JsonLine;
use super::place::{Opened, StoreArg};
use super::sessions::{SessionArgs, title};

const EXAMPLES: &str = "\
Examples:
  $ nofx delete session-harbour
  $ nofx undelete session-harbour && nofx delete session-harbour --json";

/// Puts sessions into the trash, where `nofx ls --trash` lists them and `nofx undelete` takes them out again.
///
/// With --for-good, sessions that are in the trash already are removed. What others were restored with stays for them, and a migration does
/// not bring back what was removed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    sessions: SessionArgs,

    #[command(flatten)]
    store: StoreArg,

    /// Removes sessions that are in the trash. They cannot be brought back.
    #[arg(long)]
    for_good: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = Opened::to_write(&args.store).await?;
    let sessions = args.sessions.find(&opened).await?;
    let ids: Vec<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
    let (results, did, state) = match args.for_good {
        true => (opened.workspace.purge_sessions(&ids).await, "removed", "purged"),
        false => {
            let deleted = opened.workspace.delete_sessions(&ids).await;
            (deleted.into_iter().map(|deleted| deleted.map(drop)).collect(), "deleted", "deleted")
        }
    };
    opened.close().await?;
    args.sessions.tell(&sessions, results, |session, ()| {
        (format!("{did} {}", title(session)), JsonLine::new().put("session", &session.id).text("state", state))
    })
}
