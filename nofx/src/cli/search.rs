//! `nofx search`: searches messages.

use anstyle::AnsiColor;
use futures_util::StreamExt;
use nofx_core::entity::{Role, SessionId};
use nofx_core::json::Text;
use nofx_core::workspace::{SearchHit, SearchQuery};

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::json_line::JsonLine;
use super::output::Output;
use super::screen::Screen;
use super::store_arg::{OpenedWorkspace, StoreArg};
use super::text::one_line;
use super::times::{TimeArg, clock, date};

const EXAMPLES: &str = "\
Examples:
  $ nofx search login form
  $ nofx search login --role user --since 2020-01-01 --json";

/// Search messages for all of the given words, newest sessions first.
///
/// Every message is read: there is no index. Words are found in any case, inside longer words, and however their accents are encoded.
/// Give --since and --until a duration, such as `2h` or `7d`, or a date.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The words that a message must contain.
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,

    #[command(flatten)]
    store: StoreArg,

    /// Search only sessions of the agent with this id.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,

    /// Search only messages of this role: `user`, `assistant`, `system` or `tool`.
    #[arg(long)]
    role: Option<String>,

    /// Search only messages from this time on.
    #[arg(long, value_name = "WHEN", value_parser = TimeArg::parse)]
    since: Option<TimeArg>,

    /// Search only messages before this time.
    #[arg(long, value_name = "WHEN", value_parser = TimeArg::parse)]
    until: Option<TimeArg>,

    /// Search the trash instead.
    #[arg(long, conflicts_with = "agent")]
    trash: bool,

    /// Find at most this many messages; 0 for all.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,

    /// Print one JSON object a line, one for each message.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let opened = OpenedWorkspace::to_read(&args.store).await?;
    let now = opened.now();
    let query = SearchQuery {
        words: args.words.clone(),
        agent: args.agent.as_deref().map(Into::into),
        role: args.role.as_deref().map(|role| Role::from(Text::from(role))),
        since: args.since.map(|since| since.before(now)),
        until: args.until.map(|until| until.before(now)),
        trash: args.trash,
    };
    let mut hits = opened.workspace.search(query).await.map_err(|error| opened.fault(&error))?;
    let mut output = if args.json { Output::stdout() } else { Output::painted() };
    let (screen, mut found, mut within) = (Screen::of_stdout(), 0, None);
    let (mut left_out, mut unreadable) = (0, None);
    while args.limit == 0 || found < args.limit {
        match hits.next().await {
            None => break,
            Some(Ok(hit)) => {
                found += 1;
                output.put(&if args.json { json(&hit) } else { line(&hit, &screen, &mut within) })?;
            }
            Some(Err(error)) if !error.is_of_one_thing() => return Err(opened.fault(&error)),
            Some(Err(error)) => {
                left_out += error.positions().map_or(1, |places| places.end - places.start);
                unreadable.get_or_insert(error);
            }
        }
    }
    output.finish()?;
    opened.close().await?;
    match unreadable {
        None => Ok(Exit::Done),
        Some(first) => Err(Fault::unreadable(&first, format!("{left_out} messages or sessions could not be searched"))),
    }
}

/// Formats a hit, under the name of its session if that is not the session of the previous hit.
fn line(hit: &SearchHit, screen: &Screen, within: &mut Option<SessionId>) -> String {
    let mut shown = String::new();
    if within.as_ref() != Some(&hit.session) {
        let gap = if within.is_some() { "\n" } else { "" };
        let name = screen.bold(&one_line(&hit.name.to_string()));
        shown.push_str(&format!("{gap}{name}  {}\n", screen.dim(&one_line(&hit.session.to_string()))));
        *within = Some(hit.session.clone());
    }
    let role = hit.role.as_ref().map(Role::to_string).unwrap_or_default();
    let role = screen.coloured(AnsiColor::Cyan, &format!("{:<9}", one_line(&role)));
    let at = screen.dim(&format!("{} {}", date(hit.at), clock(hit.at)));
    shown.push_str(&format!("  {at}  {role}  {}\n", one_line(&hit.snippet)));
    shown
}

fn json(hit: &SearchHit) -> String {
    JsonLine::new()
        .put("session", &hit.session)
        .put("name", &hit.name)
        .put("position", &hit.position)
        .put("at", &hit.at)
        .maybe("role", hit.role.as_ref().map(Role::as_text).as_ref())
        .text("snippet", &hit.snippet)
        .line()
}
