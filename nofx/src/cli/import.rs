//! `nofx import`: imports an exported session.

use std::io::Read;
use std::path::{Path, PathBuf};

use nofx_core::Error;
use nofx_core::workspace::ImportAs;

use super::exit::Exit;
use super::fault::{Fault, Result, advice, chain};
use super::json_line::JsonLine;
use super::output::Output;
use super::sessions::title;
use super::source;
use super::store_arg::StoreArg;
use super::target::{MakeArg, Target};
use super::text::shown;

const EXAMPLES: &str = "\
Examples:
  $ nofx import conversation.json --new
  $ nofx export session-harbour --format json | nofx import - --store redb:elsewhere.redb";

/// Import a session that `nofx export --format json` wrote.
///
/// The session keeps its id, unless --new gives it another one. The store is created if it does not exist.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The exported session; `-` for standard input.
    #[arg(value_name = "FILE")]
    input: PathBuf,

    #[command(flatten)]
    store: StoreArg,

    #[command(flatten)]
    make: MakeArg,

    /// Give the session a new id, so that it can exist beside the one it was exported from.
    #[arg(long)]
    new: bool,

    /// Print one JSON object for the session.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Result<Exit> {
    let location = args.store.location()?;
    let options = args.make.options(&location)?;
    let text = read(&args.input)?;
    let target = Target::open(location, options).await?;
    let id = if args.new { ImportAs::New } else { ImportAs::Itself };
    let session = match args.store.workspace(target.store.clone())?.import_session(&text, id).await {
        Ok(session) => session,
        Err(error) => {
            let fault = fault_of(&error, &args.input, &target);
            return Err(target.abandon(fault).await);
        }
    };
    let mut output = Output::stdout();
    output.put(&match args.json {
        true => JsonLine::new().put("session", &session.id).put("name", &session.name).line(),
        false => format!("imported {}\n", title(&session)),
    })?;
    output.finish()?;
    _ = target.close().await?;
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let name = name(path);
    let done = match path.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut bytes),
        false => source::read(path)?.read_to_end(&mut bytes),
    };
    done.map_err(|error| {
        Fault::new(Exit::SourceUnreadable, format!("cannot read {name}: {error}"), "name a file that you can read")
    })?;
    String::from_utf8(bytes).map_err(|_| no_export(&name, "it is not UTF-8"))
}

fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { format!("`{}`", shown(path)) }
}

fn fault_of(error: &Error, input: &Path, target: &Target) -> Fault {
    let why = chain(error);
    let why = why.trim_start_matches("invalid: ");
    match error {
        Error::Invalid(_) => match advice(error) {
            (why, hint) if hint == ImportAs::ADVICE => {
                Fault::new(Exit::Refused, why, "import it beside that one with --new")
            }
            _ => no_export(&name(input), why),
        },
        Error::TooNew(_) => Fault::new(Exit::TooNew, format!("{}: {why}", name(input)), error.next_step()),
        _ => Fault::of_store(error, &target.location),
    }
}

fn no_export(name: &str, why: &str) -> Fault {
    let message = format!("{name} cannot be imported: {why}");
    Fault::new(Exit::DumpDamaged, message, "name what `nofx export --format json` wrote; a dump is for `nofx load`")
}
