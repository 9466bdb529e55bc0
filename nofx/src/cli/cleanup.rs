//! `nofx cleanup`: keeps a store from growing without bound.

use std::time::Duration;

use nofx_core::Timestamp;
use nofx_core::workspace::{Cleanup, CleanupPlan, PlannedSession, RetentionPolicy};

use super::exit::Exit;
use super::fault::{Fault, Result, chain};
use super::json_line::JsonLine;
use super::output::Output;
use super::sessions::title;
use super::store_arg::{OpenedWorkspace, StoreArg};
use super::times::{relative, span};
use crate::give_back;

const EXAMPLES: &str = "\
Examples:
  $ nofx cleanup --archive-after 30d --delete-after 26w
  $ nofx cleanup --keep 1000 --yes";

/// Archive, delete and purge old sessions; without --yes, only show which.
///
/// Active and paused sessions that have not expired are never archived or deleted. Deleted sessions go to the trash and are purged after
/// --purge-after, 30 days by default. Of the messages between agents, the newest 60 MiB are kept.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Archive sessions that have been inactive for this long.
    #[arg(long, value_name = "AGE", value_parser = span)]
    archive_after: Option<Duration>,

    /// Delete sessions that have been inactive for this long.
    #[arg(long, value_name = "AGE", value_parser = span)]
    delete_after: Option<Duration>,

    /// Keep this many sessions: delete the ones that have been inactive the longest.
    #[arg(long, value_name = "COUNT")]
    keep: Option<u64>,

    /// Keep this many bytes of messages: delete the sessions that have been inactive the longest. Reads every message.
    #[arg(long, value_name = "BYTES")]
    keep_bytes: Option<u64>,

    /// Purge what has been in the trash for this long.
    #[arg(long, value_name = "AGE", value_parser = span, default_value = "30d")]
    purge_after: Duration,

    /// Carry out the plan instead of only showing it.
    #[arg(long)]
    yes: bool,

    /// Print one JSON object a line: one for each session, then one with the totals.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = match args.yes {
        true => OpenedWorkspace::to_write(&args.store).await?,
        false => OpenedWorkspace::to_read(&args.store).await?,
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
            output.put("nothing was changed; run it again with --yes\n")?;
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
        // The sessions are purged either way; the space can be given back later.
        _ = give_back(&opened.location).await;
    }
    match done.left.first() {
        None => Ok(Exit::Done),
        Some((session, error)) => Err(Fault::new(
            Exit::Partly,
            format!("{} sessions were left unchanged, `{session}` because {}", done.left.len(), chain(error)),
            "run the command again",
        )),
    }
}

/// Returns the planned sessions, by action.
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
