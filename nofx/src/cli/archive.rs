//! `nofx archive`: puts sessions away.

use nofx_core::entity::{Session, SessionId};

use super::exit::Exit;
use super::fault::Result;
use super::json_line::JsonLine;
use super::place::{Opened, StoreArg};
use super::sessions::{SessionArgs, title};

const EXAMPLES: &str = "\
Examples:
  $ nofx archive session-harbour
  $ nofx archive session-harbour --json";

/// Puts sessions away for good: they take no messages any more and may be compressed.
///
/// They stay readable, and `nofx restore` goes on from them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    sessions: SessionArgs,

    #[command(flatten)]
    store: StoreArg,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = Opened::to_write(&args.store).await?;
    let sessions = args.sessions.find(&opened).await?;
    let ids: Vec<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
    let results = opened.workspace.archive_sessions(&ids).await;
    opened.close().await?;
    args.sessions.tell(&sessions, results, |_, archived: &Session| {
        (
            format!("archived {}", title(archived)),
            JsonLine::new().put("session", &archived.id).text("state", "archived"),
        )
    })
}
