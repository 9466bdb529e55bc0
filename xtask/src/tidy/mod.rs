//! `cargo xtask tidy`: rules about the tree that no compiler checks.
//!
//! Each rule is a function over texts, so that its tests need no files; this file supplies them.

mod codes;
mod dependencies;
mod features;
mod lints;
mod manifest;
mod named;
mod pages;
mod sources;
mod typescript;
mod words;

use std::fmt;
use std::process::ExitCode;

use crate::step::StepOutcome;
use crate::tree::{Tree, relative};
use crate::workspace::{Metadata, metadata};
use crate::{Result, api, sabotage};

/// Check the rules of the tree: dependencies between crates, documented features, inherited lints, format pages,
/// tests and verbs that pages name, codes of reports, the listing of the public API, errors to plant.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    Ok(match step()? {
        StepOutcome::Failed(_) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

/// Prints what is wrong, one finding a line, and returns whether the tree is tidy.
pub(crate) fn step() -> Result<StepOutcome> {
    let findings = findings(&metadata()?, &Tree::read()?);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        println!("the tree is tidy");
        return Ok(StepOutcome::Passed);
    }
    Ok(StepOutcome::Failed(format!("findings listed above: {}", findings.len())))
}

/// One broken rule: where, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    path: String,
    line: Option<usize>,
    message: String,
}

impl Violation {
    pub(crate) fn of_file(path: &str, message: impl Into<String>) -> Violation {
        Violation { path: path.to_owned(), line: None, message: message.into() }
    }

    fn of_line(path: &str, line: usize, message: impl Into<String>) -> Violation {
        Violation { path: path.to_owned(), line: Some(line), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

fn findings(metadata: &Metadata, tree: &Tree) -> Vec<Violation> {
    let mut findings = dependencies::check(&metadata.packages);
    for package in &metadata.packages {
        let manifest = relative(&package.manifest_path);
        let text = tree.text(&manifest);
        findings.extend(features::check(&manifest, text));
        findings.extend(lints::check(&manifest, text, tree.text("Cargo.toml")));
        if let Some(library) = package.library() {
            let library = relative(library);
            findings.extend(sources::starts_with_docs(&library, tree.text(&library)));
        }
    }
    for (path, text) in tree.files() {
        findings.extend(sources::is_well_named(path));
        findings.extend(words::check(path, text));
        if path.starts_with("nofx-core/src/") {
            findings.extend(sources::does_no_io(path, text));
        }
    }
    findings.extend(words::check_stiff(tree));
    findings.extend(pages::check(&metadata.packages, tree));
    findings.extend(named::check(tree));
    findings.extend(codes::check(tree));
    findings.extend(typescript::check(tree));
    findings.extend(api::check(&metadata.packages, tree));
    findings.extend(sabotage::check(tree));
    findings
}
