//! `cargo xtask pack`: the npm packages as they are published, and a test of their installation.

mod managers;
mod registry;
mod stage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::registry::Registry;
use self::stage::Stage;
use crate::Result;
use crate::node::{Build, build_package, installed, package};
use crate::step::{StepOutcome, Steps};
use crate::workspace::root;

/// Pack `nofx-node` and one package for each platform, and test their installation.
///
/// The tarballs are in `target/npm`: that of `nofx-node`, which has no addon, and those of the platforms for which there is an addon. npm,
/// pnpm and Yarn each install them in a fresh folder from a registry on 127.0.0.1, where a program then uses a store; without the optional
/// packages it must say what is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder with addons for other platforms, such as `nofx-node.darwin-arm64.node`; the one for this platform is built.
    #[arg(long, value_name = "FOLDER")]
    addons: Option<PathBuf>,
    /// Build for development, which is quicker; the result is then not for publishing.
    #[arg(long)]
    development: bool,
    /// Pack what was built before.
    #[arg(long, conflicts_with = "development")]
    no_build: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    let build = if args.development { Build::Development } else { Build::Release };
    let mut is_built = false;
    steps.run("build", || {
        if let Err(reason) = installed() {
            return Ok(StepOutcome::NotRun(reason));
        }
        let built = if args.no_build { StepOutcome::Passed } else { build_package(build)? };
        is_built = matches!(built, StepOutcome::Passed);
        Ok(built)
    });
    if is_built {
        add_steps(&mut steps, args.addons.as_deref());
    }
    Ok(steps.finish())
}

/// Packs what is built, and the addons in a folder, and tests it.
pub(crate) fn add_steps(steps: &mut Steps, others: Option<&Path>) {
    let mut staged = None;
    steps.run("pack", || {
        let built = package().join("dist");
        if !built.join("addon.js").exists() {
            return Ok(StepOutcome::NotRun("the addon is not built".into()));
        }
        let addons: Vec<&Path> = others.into_iter().chain([built.as_path()]).collect();
        let stage = staged.insert(Stage::fill(&root().join("target/npm"), &addons)?);
        println!("{}", stage.table());
        Ok(StepOutcome::PassedWith(format!("{} of {} platforms", stage.with_addon().count(), stage.platforms())))
    });
    let Some(stage) = staged else { return };
    let mut registry = None;
    steps.run("registry", || {
        registry = Some(Registry::serve(&stage)?);
        Ok(StepOutcome::Passed)
    });
    let Some(registry) = registry else { return };
    for manager in managers::ALL {
        steps.run(manager.name, || manager.tries(&registry));
    }
    steps.run("no addon", || managers::without_addon(&registry));
}
