//! `nofx cleanup`: keeps a store from growing for ever.

use std::time::Duration;

use nofx_core::Timestamp;
use nofx_core::workspace::{Cleanup, CleanupPlan, PlannedSession, RetentionPolicy};

use super::exit::Exit;
use super::fault::{Fault, Result, chain};
use super::json_line::JsonLine;
use super::output::Output;
use super::place::{Opened, StoreArg};
use super::sessions::title;
use super::when::{relative, span};
use crate::give_back;

const EXAMPLES: &str = "\
Examples:
  $ nofx cleanup --archive-after 30d --delete-after 26w
  $ nofx cleanup --keep 1000 --yes";

/// Shows what it would archive, delete and remove for good; with --yes it does that.
///
/// Sessions that go on are never touched. What is deleted goes to the trash and is removed after --purge-after, thirty days unless
/// told otherwise. Of the messages between agents the newest 60 MiB stay.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Archives sessions in which nothing has happened for so long.
    #[arg(long, value_name = "TIME", value_parser = span)]
    archive_after: Option<Duration>,

    /// Deletes sessions in which nothing has happened for so long.
    #[arg(long, value_name = "TIME", value_parser = span)]
    delete_after: Option<Duration>,

    /// Deletes the sessions in which nothing has happened the longest, until so many are left.
    #[arg(long, value_name = "COUNT")]
    keep: Option<u64>,

    /// The same until the messages of those that are left have so many bytes. Reads every message.
    #[arg(long, value_name = "BYTES")]
    keep_bytes: Option<u64>,

    /// Removes for good what has been in the trash for so long.
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "30d")]
    purge_after: Duration,

    /// Does it.
    #[arg(long)]
    yes: bool,

    /// Prints an object for each session, and one for the whole at the end, each on a line of its own.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = match args.yes {
        true => Opened::to_write(&args.store).await?,
        false => Opened::to_read(&args.store).await?,
    };
    let policy = RetentionPolicy {
        archive_after: args.archive_after,
        delete_after: args.delete_after,
        max_sessions: args.keep,
        max_bytes: args.keep_bytes,
        purge_after: Some(args.purge_after),
        ..RetentionPolicy::default()
    };
    let plan = opened.workspace.cleanup_plan(&policy).await.map_err(|error| opened.fault(&error))?;
    let now = opened.now();
    let mut output = Output::stdout();
    output.put(&if args.json { plan_json(&plan) } else { plan_text(&plan, now) })?;
    if !args.yes {
        if !args.json && !plan.is_empty() {
            output.put("nothing was changed; --yes does it\n")?;
        }
        output.finish()?;
        opened.close().await?;
        return Ok(Exit::Done);
    }
    let done = opened.workspace.cleanup(&plan).await.map_err(|error| opened.fault(&error))?;
    output.put(&if args.json { done_json(&done, &plan) } else { done_text(&done, &plan) })?;
    output.finish()?;
    opened.close().await?;
    if done.purged > 0 {
        // What was removed is removed; another time does as well.
        _ = give_back(&opened.location).await;
    }
    match done.left.first() {
        None => Ok(Exit::Done),
        Some((session, error)) => Err(Fault::new(
            Exit::Partly,
            format!("{} sessions stayed as they were, `{session}` because {}", done.left.len(), chain(error)),
            "run the command again",
        )),
    }
}

/// Returns what is planned, by what is to be done.
fn steps(plan: &CleanupPlan) -> [(&'static str, &[PlannedSession]); 3] {
    [("archive", &plan.archive), ("delete", &plan.delete), ("remove", &plan.purge)]
}

fn plan_text(plan: &CleanupPlan, now: Timestamp) -> String {
    if plan.is_empty() {
        return "there is nothing to clean up\n".to_owned();
    }
    let mut text = String::new();
    for (verb, sessions) in steps(plan) {
        for planned in sessions {
            let active = relative(planned.last_active_at, now);
            text.push_str(&format!("{verb:<8} {} (active {active})\n", title(&planned.session)));
        }
    }
    if plan.orchestration_messages > 0 {
        text.push_str(&format!("remove   {} messages between agents\n", plan.orchestration_messages));
    }
    text
}

fn plan_json(plan: &CleanupPlan) -> String {
    let mut lines = String::new();
    for (verb, sessions) in steps(plan) {
        for planned in sessions {
            let json = JsonLine::new().text("plan", verb).put("session", &planned.session.id);
            lines.push_str(&json.put("last_active_at", &planned.last_active_at).line());
        }
    }
    lines
}

fn done_text(done: &Cleanup, plan: &CleanupPlan) -> String {
    if plan.is_empty() {
        return String::new();
    }
    let Cleanup { archived, deleted, purged, .. } = done;
    format!("archived {archived}, deleted {deleted} and removed {purged} sessions\n")
}

fn done_json(done: &Cleanup, plan: &CleanupPlan) -> String {
    JsonLine::new()
        .put("archived", &done.archived)
        .put("deleted", &done.deleted)
        .put("removed", &done.purged)
        .put("removed_orchestration_messages", &plan.orchestration_messages)
        .put("removed_contents", &done.contents.removed)
        .line()
}
