//! `nofx undelete`: takes sessions out of the trash.

use nofx_core::entity::{Session, SessionId};

use super::exit::Exit;
use super::fault::Result;
use super::json_line::JsonLine;
use super::place::{Opened, StoreArg};
use super::sessions::{SessionArgs, title};

const EXAMPLES: &str = "\
Examples:
  $ nofx undelete session-harbour
  $ nofx undelete session-harbour --json";

/// Takes sessions out of the trash, as they were.
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
    let results = opened.workspace.undelete_sessions(&ids).await;
    let now = opened.now();
    opened.close().await?;
    args.sessions.tell(&sessions, results, |_, session: &Session| {
        let json = JsonLine::new().put("session", &session.id).text("state", session.state(now).name());
        (format!("undeleted {}", title(session)), json)
    })
}
