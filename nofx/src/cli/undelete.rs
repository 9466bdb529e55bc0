//! `nofx undelete`: recovers sessions from the trash.

use nofx_core::entity::{Session, SessionId};
use nofx_core::workspace::{SessionState, Workspace};

use super::exit::Exit;
use super::fault::Result;
use super::json_line::JsonLine;
use super::sessions::{SessionArgs, title};

const EXAMPLES: &str = "\
Examples:
  $ nofx undelete session-harbour
  $ nofx undelete session-harbour --json";

/// Recover sessions from the trash, in the state they had before.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    sessions: SessionArgs,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let undelete = async |workspace: &Workspace, ids: &[SessionId]| {
        let (now, undeleted) = (workspace.store().sources().now(), workspace.undelete_sessions(ids).await);
        undeleted.into_iter().map(|one| one.map(|session| (session.state(now), session))).collect()
    };
    let describe = |_: &Session, (state, session): &(SessionState, Session)| {
        let json = JsonLine::new().put("session", &session.id).text("state", state.name());
        (format!("undeleted {}", title(session)), json)
    };
    args.sessions.act(undelete, describe).await
}
