//! `cargo xtask sizes`: the sizes of what is published, by feature.

use std::fs;
use std::process::ExitCode;

use crate::Result;
use crate::step::{StepOutcome, Steps, execute};
use crate::workspace::{cargo, root};

/// Build the addon and the program for release with several sets of features, and print the size of each.
///
/// Fails if one is larger than its limit. Takes some minutes, as each set is built and linked separately.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the sets whose features contain this.
    filter: Option<String>,
}

/// A build.
struct Artifact {
    package: &'static str,
    features: &'static str,
    /// In megabytes.
    limit: Option<f64>,
}

const ALL: [Artifact; 5] = [
    Artifact { package: "nofx-node", features: "redb", limit: None },
    Artifact { package: "nofx-node", features: "redb,fs", limit: Some(6.0) },
    Artifact { package: "nofx-node", features: "redb,fs,remote", limit: None },
    Artifact { package: "nofx", features: "cli,redb", limit: Some(15.0) },
    Artifact { package: "nofx", features: "cli,redb,fs,remote", limit: None },
];

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    let wanted = |artifact: &&Artifact| args.filter.as_ref().is_none_or(|part| artifact.features.contains(part));
    for artifact in ALL.iter().filter(wanted) {
        steps.run(artifact.package, || artifact.measure());
    }
    Ok(steps.finish())
}

impl Artifact {
    fn measure(&self) -> Result<StepOutcome> {
        let is_addon = self.package == "nofx-node";
        let profile = if is_addon { "addon" } else { "release" };
        let mut build = cargo();
        build.args(["build", "--profile", profile, "--locked", "--no-default-features"]);
        let built = execute(build.args(["--package", self.package, "--features", self.features]))?;
        if !matches!(built, StepOutcome::Passed) {
            return Ok(built);
        }
        let prefix = if is_addon { std::env::consts::DLL_PREFIX } else { "" };
        let suffix = if is_addon { std::env::consts::DLL_SUFFIX } else { std::env::consts::EXE_SUFFIX };
        let name = format!("{prefix}{}{suffix}", self.package.replace('-', "_"));
        let size = fs::metadata(root().join("target").join(profile).join(name))?.len() as f64 / 1e6;
        let told = format!("{size:.1} MB with {}", self.features);
        Ok(match self.limit {
            Some(limit) if size > limit => StepOutcome::Failed(format!("{told}, more than {limit:.1} MB")),
            Some(limit) => StepOutcome::PassedWith(format!("{told}, of {limit:.1} MB")),
            None => StepOutcome::PassedWith(told),
        })
    }
}
