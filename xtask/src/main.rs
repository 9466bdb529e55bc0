//! Development commands; `cargo xtask help` lists them.
//!
//! One file per command. To add one: write a file with `Args` (a clap struct) and
//! `run(&Args) -> Result<ExitCode>`, add a `mod` line below, and add it to [`Command`] and
//! to [`main`].

mod adapters;
mod api;
mod bench;
mod ci;
mod cross;
mod damage;
mod host_test;
mod migrate;
mod node;
mod pack;
mod sabotage;
mod servers;
mod sizes;
mod step;
mod target;
mod test;
mod tidy;
mod tree;
mod windows;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Prints what went wrong, in one line.
///
/// A boxed error is enough here: nothing in this program depends on the kind of an error, and the
/// libraries' own errors pass through with `?`. A command with its own exit codes returns
/// [`ExitCode`]. So neither anyhow nor an error enum would be worth it.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Build, check and package the NofX store.
#[derive(Debug, clap::Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    Adapters(adapters::Args),
    Api(api::Args),
    Bench(bench::Args),
    Ci(ci::Args),
    Cross(cross::Args),
    Damage(damage::Args),
    HostTest(host_test::Args),
    Migrate(migrate::Args),
    Node(node::Args),
    Pack(pack::Args),
    Sabotage(sabotage::Args),
    Sizes(sizes::Args),
    Test(test::Args),
    Tidy(tidy::Args),
    Windows(windows::Args),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Adapters(args) => adapters::run(&args),
        Command::Api(args) => api::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Ci(args) => ci::run(&args),
        Command::Cross(args) => cross::run(&args),
        Command::Damage(args) => damage::run(&args),
        Command::HostTest(args) => host_test::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Node(args) => node::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Sabotage(args) => sabotage::run(&args),
        Command::Sizes(args) => sizes::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Tidy(args) => tidy::run(&args),
        Command::Windows(args) => windows::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
