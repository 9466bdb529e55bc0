//! `nofx stats`: how much a store holds.

use nofx_core::workspace::Stats;

use super::exit::Exit;
use super::fault::Result;
use super::json_line::JsonLine;
use super::output::Output;
use super::sizes::size;
use super::store_arg::{OpenedWorkspace, StoreArg};
use super::text::one_line;
use crate::compact::bytes_at;

const EXAMPLES: &str = "\
Examples:
  $ nofx stats
  $ nofx stats --json";

/// Show how much a store holds, where it is and which programs can share it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = OpenedWorkspace::to_read(&args.store).await?;
    let stats = opened.workspace.stats().await.map_err(|error| opened.fault(&error))?;
    let mut output = Output::stdout();
    output.put(&if args.json { json(&opened, &stats) } else { text(&opened, &stats) })?;
    output.finish()?;
    opened.close().await?;
    Ok(Exit::Done)
}

fn text(opened: &OpenedWorkspace, stats: &Stats) -> String {
    let info = opened.workspace.store().info();
    let bytes = bytes_at(&opened.location).map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
    let sharing = format!("{:?}", info.sharing).to_lowercase();
    let Stats { agents, sessions, archived, trash, templates, orchestration, unreadable, .. } = stats;
    let mut text = format!("{}{bytes}\n", one_line(&opened.location.to_string()));
    for (name, value) in [
        ("store", info.store.to_string()),
        ("shared by", format!("programs of one {sharing}")),
        ("agents", agents.to_string()),
        ("sessions", format!("{sessions}, {archived} of them archived")),
        ("in the trash", trash.to_string()),
        ("templates", templates.to_string()),
        ("between agents", format!("{} messages", orchestration.messages)),
    ] {
        text.push_str(&format!("  {name:<15} {value}\n"));
    }
    if *unreadable > 0 {
        text.push_str(&format!("  {:<15} {unreadable} records; `nofx doctor` lists them\n", "unreadable"));
    }
    text
}

fn json(opened: &OpenedWorkspace, stats: &Stats) -> String {
    let info = opened.workspace.store().info();
    JsonLine::new()
        .text("location", &opened.location.to_string())
        .text("backend", info.backend)
        .text("store", &info.store.to_string())
        .maybe("bytes", bytes_at(&opened.location).as_ref())
        .put("agents", &stats.agents)
        .put("sessions", &stats.sessions)
        .put("active", &stats.active)
        .put("archived", &stats.archived)
        .put("trash", &stats.trash)
        .put("templates", &stats.templates)
        .put("unreadable", &stats.unreadable)
        .put("orchestration_messages", &stats.orchestration.messages)
        .line()
}
