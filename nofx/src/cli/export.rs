//! `nofx export`: writes a session as HTML, Markdown or JSON.

use std::path::PathBuf;

use futures_util::{Stream, StreamExt};
use nofx_core::Error;
use nofx_core::entity::Session;
use nofx_core::workspace::{unreadable_article, unreadable_section};

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::output::Output;
use super::sessions::{find, refused};
use super::store_arg::{OpenedWorkspace, StoreArg};

const EXAMPLES: &str = "\
Examples:
  $ nofx export session-harbour > conversation.md
  $ nofx export session-harbour --format html --output conversation.html
  $ nofx export session-harbour --format json --output conversation.json
  $ nofx export --agents";

/// Export a session as Markdown or HTML for people, or as JSON for `nofx import`.
///
/// On a terminal and in HTML, control characters are shown as `\u{1b}`; otherwise a file or a pipe gets the text unchanged.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The session: its id, or the beginning or end of it.
    #[arg(required_unless_present = "agents")]
    session: Option<String>,

    /// Export all agents with their totals and transcripts instead, as Markdown.
    #[arg(long, conflicts_with_all = ["session", "format"])]
    agents: bool,

    #[command(flatten)]
    store: StoreArg,

    /// The format to write.
    #[arg(long, default_value = "markdown")]
    format: Format,

    /// Write to a file instead of standard output. The file appears once it is complete.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people: what was said, unchanged.
    Markdown,
    /// For a browser: one page that needs nothing else and runs no script.
    Html,
    /// For `nofx import` and other programs: everything, exactly.
    Json,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = OpenedWorkspace::to_read(&args.store).await?;
    let session = match &args.session {
        Some(named) => Some(find(&opened, named).await?),
        None => None,
    };
    let mut output = args.output.as_deref().map_or(Ok(Output::stdout()), Output::file)?;
    let unreadable = match &session {
        None => write(&opened, opened.workspace.export_agents_markdown(), &mut output, unreadable_section).await?,
        Some(session) => export(&opened, session, args.format, &mut output).await?,
    };
    output.finish()?;
    opened.close().await?;
    match unreadable {
        None => Ok(Exit::Done),
        Some(first) => {
            Err(Fault::unreadable(&first, "not everything could be exported; the text says what is missing"))
        }
    }
}

/// Writes a session. Returns the error of the first part that cannot be read.
async fn export(
    opened: &OpenedWorkspace,
    session: &Session,
    format: Format,
    output: &mut Output,
) -> Result<Option<Error>> {
    let (workspace, id) = (&opened.workspace, &session.id);
    let cannot = |error| refused(session, &error);
    match format {
        Format::Markdown => {
            write(opened, workspace.export_markdown(id).await.map_err(cannot)?, output, unreadable_section).await
        }
        Format::Html => {
            write(opened, workspace.export_html(id).await.map_err(cannot)?, output, unreadable_article).await
        }
        Format::Json => {
            // The text itself says what is missing.
            let unreadable =
                write(opened, workspace.export_json(id).await.map_err(cannot)?, output, |_| String::new()).await?;
            output.put("\n")?;
            Ok(unreadable)
        }
    }
}

/// Writes pieces, with `mark` in place of each one that cannot be read. Returns the error of the first of those.
async fn write(
    opened: &OpenedWorkspace,
    mut pieces: impl Stream<Item = nofx_core::Result<String>> + Unpin,
    output: &mut Output,
    mark: fn(&Error) -> String,
) -> Result<Option<Error>> {
    let mut unreadable = None;
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => output.put(&piece)?,
            Err(error) if error.is_of_one_thing() => {
                output.put(&mark(&error))?;
                unreadable.get_or_insert(error);
            }
            Err(error) => return Err(opened.fault(&error)),
        }
    }
    Ok(unreadable)
}
