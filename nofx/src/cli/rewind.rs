//! `nofx rewind`: removes the newest messages of a session.

use super::exit::Exit;
use super::fault::Result;
use super::json_line::JsonLine;
use super::output::Output;
use super::sessions::{find, refused, title};
use super::store_arg::{OpenedWorkspace, StoreArg};

const EXAMPLES: &str = "\
Examples:
  $ nofx rewind session-harbour 2
  $ nofx rewind session-harbour 1 --json";

/// Remove the newest messages of a session, keeping the first COUNT.
///
/// The removed messages are no longer shown or found, and cannot be recovered. Sessions that were restored from this one earlier keep their
/// messages. To keep this session unchanged, use `nofx restore --at` instead.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The session: its id, or the beginning or end of it.
    #[arg(value_name = "SESSION")]
    session: String,

    /// How many messages to keep.
    #[arg(value_name = "COUNT")]
    to: u64,

    #[command(flatten)]
    store: StoreArg,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = OpenedWorkspace::to_write(&args.store).await?;
    let session = find(&opened, &args.session).await?;
    let workspace = &opened.workspace;
    let length = workspace.history_length(&session).await.map_err(|error| opened.fault(&error))?;
    let rewound = workspace.rewind_session(&session.id, args.to, length).await;
    let rewound = rewound.map_err(|error| refused(&session, &error));
    opened.close().await?;
    let (rewound, taken) = (rewound?, length.saturating_sub(args.to));
    let mut output = Output::stdout();
    output.put(&match args.json {
        true => JsonLine::new().put("session", &rewound.id).put("messages", &args.to).put("taken_back", &taken).line(),
        false => format!("removed {taken} messages of {}; {} are left\n", title(&rewound), args.to),
    })?;
    output.finish()?;
    Ok(Exit::Done)
}
