//! `nofx records`: shows a host's own records and logs.

use futures_util::TryStreamExt;
use nofx_core::workspace::Records;
use nofx_core::{KeyQuery, Kind, LogHead, LogQuery, LogState};

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::json_line::JsonLine;
use super::output::Output;
use super::store_arg::{OpenedWorkspace, StoreArg};

const EXAMPLES: &str = "\
Examples:
  $ nofx records langgraph
  $ nofx records langgraph --kind write --prefix thread-1/ --entries";

/// Records and logs of a page.
const PAGE: usize = 256;

/// Show a host's own records and logs, one JSON object a line.
///
/// Records come before logs, both in order of kind and id.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The name under which the host keeps them.
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    store: StoreArg,

    /// Show only this kind, named as the host names it.
    #[arg(long)]
    kind: Option<String>,

    /// Show only those whose ids begin with this.
    #[arg(long, value_name = "ID", requires = "kind")]
    prefix: Option<String>,

    /// Show the entries of each log after it.
    #[arg(long)]
    entries: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = OpenedWorkspace::to_read(&args.store).await?;
    let fault = |error| opened.fault(&error);
    let usage = |error: nofx_core::Error| {
        let message = error.to_string();
        Fault::new(Exit::Usage, message.trim_start_matches("invalid: "), "name it as the host does")
    };
    let records = opened.workspace.records(&args.name).map_err(usage)?;
    let kind = args.kind.as_deref().map(|kind| records.kind(kind)).transpose().map_err(usage)?;
    let mut output = Output::stdout();
    let mut found = records.scan(args.query(kind.clone())).map_err(usage)?;
    while let Some(record) = found.try_next().await.map_err(fault)? {
        let line = JsonLine::new().text("record", record.key.kind().as_str()).text("id", record.key.id());
        let line = line.raw("version", &record.version.to_string());
        output.put(&line.raw("body", record.body.as_str()).line())?;
    }
    let mut logs = records.logs(args.query(kind)).map_err(usage)?;
    while let Some(head) = logs.try_next().await.map_err(fault)? {
        output.put(&log(&head))?;
        if args.entries {
            entries(&opened, &records, head, &mut output).await?;
        }
    }
    output.finish()?;
    opened.close().await?;
    Ok(Exit::Done)
}

fn log(head: &LogHead) -> String {
    let state = if head.state == LogState::Sealed { "sealed" } else { "open" };
    let line = JsonLine::new().text("log", head.log.kind().as_str()).text("id", head.log.id());
    line.text("state", state).put("length", &head.length).line()
}

async fn entries(opened: &OpenedWorkspace, records: &Records, head: LogHead, output: &mut Output) -> Result<()> {
    let fault = |error| opened.fault(&error);
    let mut entries = records.read(LogQuery::oldest_first(head.log, PAGE)).map_err(fault)?;
    while let Some(entry) = entries.try_next().await.map_err(fault)? {
        let line = JsonLine::new().put("entry", &entry.position).put("at", &entry.at);
        output.put(&line.raw("body", entry.body.as_str()).line())?;
    }
    Ok(())
}

impl Args {
    fn query<K: nofx_core::Key>(&self, kind: Option<Kind>) -> KeyQuery<K> {
        match kind {
            Some(kind) => KeyQuery::of(kind, PAGE).prefixed(self.prefix.clone().unwrap_or_default()),
            None => KeyQuery::all(PAGE),
        }
    }
}
