//! `cargo xtask damage`: the effects of every damage to a small store, counted.

use std::fs;
use std::process::{ExitCode, Stdio};

use serde::Deserialize;

use crate::Result;
use crate::test::nextest_is_installed;
use crate::workspace::{cargo, root};

/// Flip each byte and truncate each file of a small store of each backend, closed and killed, and count the outcomes.
///
/// Allowed outcomes: the same answer as before; an error that names what is damaged; an error that there is no store, another thing or a
/// later version, if the byte says so; and that the newest commit of a killed store is missing if nothing else proves that it existed.
/// Anything else is listed and fails the run. All of it takes an hour or two, a sample of each 101st byte a minute or two.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only stores whose name contains this: `redb`, `journal`, `fs`, `objects`, `closed`, `killed`.
    filter: Option<String>,
    /// Flip only one in this many bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1)]
    every: usize,
    /// Print one JSON object a line for each store, with all failures.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let folder = root().join("target/damage");
    _ = fs::remove_dir_all(&folder);
    let mut command = cargo();
    // With nextest, the stores are damaged concurrently, each in its own process.
    match nextest_is_installed() {
        true => command.args(["nextest", "run", "--no-fail-fast"]),
        false => command.arg("test"),
    };
    command.args(["--package", "nofx", "--all-features", "--locked", "--test", "damage"]).args(&args.filter);
    command.env("NOFX_DAMAGE_EVERY", args.every.to_string()).env("NOFX_DAMAGE_OUT", &folder);
    if args.json {
        // The output is only the counts.
        command.stdout(Stdio::null());
    }
    let status = command.status()?;
    let mut files: Vec<_> = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let texts = files.iter().map(|file| Ok(fs::read_to_string(file)?)).collect::<Result<Vec<_>>>()?;
    match args.json {
        true => texts.iter().for_each(|text| println!("{text}")),
        false => print!("{}", table(&texts)?),
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the test prints about a store.
#[derive(Debug, Deserialize)]
struct Counts {
    store: String,
    trials: usize,
    as_before: usize,
    corrupt: usize,
    too_new: usize,
    foreign: usize,
    no_store: usize,
    newest_missing: usize,
    unopened: usize,
    hidden_most: usize,
    failed: usize,
    seconds: f64,
}

/// The names of the counts.
const NAMES: [&str; 12] = [
    "store",
    "trials",
    "as before",
    "damaged",
    "too new",
    "foreign",
    "no store",
    "newest missing",
    "not opened",
    "hidden at most",
    "FAILED",
    "seconds",
];

impl Counts {
    fn row(&self) -> Vec<String> {
        let counts = [
            self.trials,
            self.as_before,
            self.corrupt,
            self.too_new,
            self.foreign,
            self.no_store,
            self.newest_missing,
            self.unopened,
            self.hidden_most,
            self.failed,
        ];
        let counts = counts.iter().map(usize::to_string);
        [self.store.clone()].into_iter().chain(counts).chain([format!("{:.0}", self.seconds)]).collect()
    }
}

/// Returns a line for each store, under the names of the counts.
fn table(stores: &[String]) -> Result<String> {
    let mut rows = vec![NAMES.map(str::to_owned).to_vec()];
    for store in stores {
        rows.push(serde_json::from_str::<Counts>(store)?.row());
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("{cell:<0$}", width(column)),
            _ => format!("{cell:>0$}", width(column)),
        });
        cells.collect::<Vec<_>>().join("  ") + "\n"
    };
    Ok(rows.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_under_their_names() {
        let store = |name: &str, trials: u32| {
            format!(
                r#"{{"store":"{name}","seconds":1.5,"trials":{trials},"as_before":1,"corrupt":2,"too_new":3,"foreign":4,"no_store":5,
                "newest_missing":6,"unopened":7,"hidden_most":8,"failed":9,"failures":["x"]}}"#
            )
        };
        let table = table(&[store("fs::killed", 7), store("redb::closed", 61_000)]).unwrap();
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].starts_with("store         trials  as before  damaged  too new"), "{table}");
        assert!(lines[1].starts_with("fs::killed         7          1        2        3"), "{table}");
        assert!(lines[2].starts_with("redb::closed   61000          1"), "{table}");
    }
}
