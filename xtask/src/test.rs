//! `cargo xtask test`: all tests, without the other checks of `ci`.

use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::servers::Servers;
use crate::step::{StepOutcome, Steps, execute};
use crate::workspace::cargo;

/// Run the tests and the doctests of the whole workspace.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only the tests whose name contains one of these texts.
    filters: Vec<String>,
    /// Also start moto and azurite, as `ci` does, for the cases that need them.
    #[arg(long)]
    servers: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    let servers = if args.servers { Servers::start(&mut steps) } else { Servers::default() };
    add_steps(&mut steps, &args.filters, servers.variables());
    Ok(steps.finish())
}

/// Runs the two steps that `ci` and `test` share, the tests with these variables.
pub(crate) fn add_steps(steps: &mut Steps, filters: &[String], variables: &[(String, String)]) {
    steps.run("tests", || tests(filters, variables));
    steps.run("doctests", || doctests(filters));
}

fn tests(filters: &[String], variables: &[(String, String)]) -> Result<StepOutcome> {
    let mut command = cargo();
    command.envs(variables.iter().cloned());
    if !nextest_is_installed() {
        return tests_without_nextest(command, filters);
    }
    // All failures are reported at once: a run is too long to find them one by one.
    command.args(["nextest", "run", "--workspace", "--all-features", "--locked", "--no-fail-fast"]);
    if !filters.is_empty() {
        // A filter may match only doctests.
        command.arg("--no-tests=pass");
    }
    execute(command.args(filters))
}

fn tests_without_nextest(mut command: Command, filters: &[String]) -> Result<StepOutcome> {
    command.args(["test", "--workspace", "--all-features", "--all-targets", "--locked", "--no-fail-fast", "--"]);
    let outcome = execute(command.args(filters))?;
    Ok(match outcome {
        StepOutcome::Passed => StepOutcome::PassedWith("with cargo test: cargo-nextest is not installed".into()),
        other => other,
    })
}

fn doctests(filters: &[String]) -> Result<StepOutcome> {
    let mut command = cargo();
    command.args(["test", "--doc", "--workspace", "--all-features", "--locked", "--no-fail-fast", "--"]);
    execute(command.args(filters))
}

pub(crate) fn nextest_is_installed() -> bool {
    let mut probe = cargo();
    probe.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
