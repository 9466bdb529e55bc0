//! `cargo xtask ci`: everything that must hold before a change is merged.

mod deny;
mod features;

use std::process::ExitCode;

use crate::node::Build;
use crate::servers::Servers;
use crate::step::{StepOutcome, Steps, execute};
use crate::workspace::cargo;
use crate::{Result, adapters, host_test, node, pack, test, tidy, windows};

/// Run every check that a change must pass, and print how each of them ended.
///
/// The order is: formatting, tidy, clippy, feature combinations, docs, deny, crates, windows, node, the npm packages, adapters, host-test,
/// the servers for the tests, tests, doctests. Checks that fail quickly come first, and the tests' own closing lines are directly above the
/// summary.
///
/// moto and azurite are installed into `target/servers` and run on 127.0.0.1 until the tests are over. If Python or npm is missing,
/// the cases for them are ignored, and the summary says why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    steps.run("fmt", fmt);
    steps.run("tidy", tidy::step);
    steps.run("clippy", clippy);
    steps.run("features", features::step);
    steps.run("docs", docs);
    steps.run("deny", deny::step);
    steps.run("crates", crates);
    steps.run("windows", windows::check::step);
    steps.run("node", node::step);
    pack::add_steps(&mut steps, None);
    steps.run("adapters", adapters::step);
    steps.run("host-test", || host_test::step(Build::Development));
    let servers = Servers::start(&mut steps);
    test::add_steps(&mut steps, &[], servers.variables());
    drop(servers);
    Ok(steps.finish())
}

fn fmt() -> Result<StepOutcome> {
    execute(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<StepOutcome> {
    let mut command = cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--all-features", "--locked"]);
    execute(command.args(["--", "-D", "warnings"]))
}

fn docs() -> Result<StepOutcome> {
    let mut command = cargo();
    command.args(["doc", "--workspace", "--no-deps", "--all-features", "--locked"]);
    execute(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Packs what is published on crates.io, without building it from the packed sources.
fn crates() -> Result<StepOutcome> {
    let mut package = cargo();
    package.args(["package", "--workspace", "--exclude", "xtask", "--exclude", "nofx-node"]);
    execute(package.args(["--no-verify", "--allow-dirty", "--locked"]))
}
