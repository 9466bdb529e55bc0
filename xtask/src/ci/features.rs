//! The facade must build with each of its features alone, with none, and with the default ones.

use crate::Result;
use crate::step::{StepOutcome, execute};
use crate::workspace::{Package, cargo, metadata};

const FACADE: &str = "nofx";

pub(crate) fn step() -> Result<StepOutcome> {
    let metadata = metadata()?;
    let facade = metadata.packages.iter().find(|package| package.name == FACADE);
    let facade = facade.ok_or("the workspace has no crate `nofx`; name the facade in ci/features.rs")?;
    let combinations = combinations(facade);
    for combination in &combinations {
        let outcome = check(combination)?;
        if !matches!(outcome, StepOutcome::Passed) {
            return Ok(outcome);
        }
    }
    Ok(StepOutcome::PassedWith(format!("{} combinations", combinations.len())))
}

/// Returns cargo's arguments for each combination worth a build.
fn combinations(facade: &Package) -> Vec<Vec<&str>> {
    let mut combinations = vec![vec![], vec!["--no-default-features"]];
    for feature in facade.features.keys().filter(|feature| *feature != "default") {
        combinations.push(vec!["--no-default-features", "--features", feature.as_str()]);
    }
    combinations
}

/// Checks by clippy rather than by `cargo check`: an import that one feature leaves unused fails too.
fn check(combination: &[&str]) -> Result<StepOutcome> {
    let mut command = cargo();
    command.args(["clippy", "--package", FACADE, "--locked"]).args(combination);
    execute(command.args(["--", "-D", "warnings"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_built_alone_and_none_and_the_default() {
        let facade = r#"{"name": "nofx", "manifest_path": "nofx/Cargo.toml", "dependencies": [], "targets": [],
            "features": {"cli": [], "default": ["redb"], "redb": ["dep:nofx-redb"]}}"#;
        let facade: Package = serde_json::from_str(facade).unwrap();
        let expected: [&[&str]; 4] = [
            &[],
            &["--no-default-features"],
            &["--no-default-features", "--features", "cli"],
            &["--no-default-features", "--features", "redb"],
        ];
        assert_eq!(combinations(&facade), expected);
    }
}
