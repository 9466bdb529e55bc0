//! Compares what was imported with a ground truth made by the author of the workspace.
//!
//! The environment variable `NOFX_CORPORA` names a folder with `<name>.tar.gz`, or the folder `<name>`, beside
//! `<name>.expected.json`. Without it the one case here is ignored.

mod corpora {
    pub(crate) mod expected;
    pub(crate) mod found;
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use corpora::expected::{self, Expected};
use corpora::found::Found;
use libtest_mimic::{Arguments, Failed, Trial};
use nofx_core::{MemoryBackend, Store};
use nofx_migrate::{NoProgress, Options, migrate};

const VARIABLE: &str = "NOFX_CORPORA";

fn main() {
    let arguments = Arguments::from_args();
    let trials = match std::env::var_os(VARIABLE).map(PathBuf::from) {
        Some(folder) => names(&folder).into_iter().map(|name| trial(folder.clone(), name)).collect(),
        None => vec![Trial::test("corpora", || Ok(())).with_ignored_flag(true)],
    };
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(folder: PathBuf, name: String) -> Trial {
    Trial::test(name.clone(), move || {
        let differences = compare(&folder, &name)?;
        match differences.len() {
            0 => Ok(()),
            count => Err(Failed::from(format!("{count} differences\n{}", differences.join("\n")))),
        }
    })
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of corpora can be read")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".expected.json")?.to_owned()))
        .collect();
    names.sort();
    names
}

fn compare(folder: &Path, name: &str) -> Result<Vec<String>, Failed> {
    let scratch = tempfile::tempdir()?;
    let root = match folder.join(name) {
        unpacked if unpacked.is_dir() => unpacked,
        _ => {
            let archive = folder.join(format!("{name}.tar.gz"));
            let unpacked = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(scratch.path()).status()?;
            if !unpacked.success() {
                return Err(format!("`{}` cannot be unpacked", archive.display()).into());
            }
            scratch.path().to_owned()
        }
    };
    let root = workspace(&root, name).ok_or("there is no `.nofx` folder")?;
    let text = std::fs::read_to_string(folder.join(format!("{name}.expected.json")))?;
    let expected = Expected::read(&text)?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let found = runtime.block_on(async {
        let store = Store::new(Arc::new(MemoryBackend::new()));
        let mut options = Options::default();
        options.verify = true;
        let report = migrate(&root, &store, &options, &NoProgress).await?;
        println!("{report}");
        Found::read(&store, report).await.map_err(|error| Failed::from(error.to_string()))
    })?;
    Ok(differences(&expected, &found))
}

/// Finds the folder that contains `.nofx`, also one level below.
fn workspace(root: &Path, name: &str) -> Option<PathBuf> {
    [root.to_owned(), root.join(name)].into_iter().find(|folder| folder.join(".nofx").is_dir())
}

fn differences(expected: &Expected, found: &Found) -> Vec<String> {
    let mut differences = Vec::new();
    if !found.is_complete {
        differences.push("the report says that something is missing".to_owned());
    }
    maps("agent", &expected.agents, &found.agents, &mut differences);
    maps("session", &expected.sessions, &found.sessions, &mut differences);
    for (session, messages) in &expected.messages {
        let mut found = found.messages.get(session).map(Vec::as_slice).unwrap_or_default();
        if let Some(union) = expected.unions.get(session) {
            if found.len() != *union {
                differences.push(format!("{session} has {} messages instead of {union}", found.len()));
            }
            found = found.get(..messages.len()).unwrap_or(found);
        }
        lists(&format!("message of {session}"), messages, found, &mut differences);
    }
    for (session, tasks) in &expected.tasks {
        let found = found.tasks.get(session).map(Vec::as_slice).unwrap_or_default();
        lists(&format!("task of {session}"), tasks, found, &mut differences);
    }
    for digest in expected.templates.difference(&found.templates) {
        differences.push(format!("template {digest} is missing"));
    }
    lists("orchestration message", &expected.orchestration, &found.orchestration, &mut differences);
    for (agent, checkpoints) in &expected.checkpoints {
        let found = found.checkpoints.get(agent).map(Vec::as_slice).unwrap_or_default();
        lists(&format!("checkpoint of {agent}"), checkpoints, found, &mut differences);
    }
    let agents: BTreeSet<_> = found.checkpoints.keys().collect();
    for agent in agents.into_iter().filter(|agent| !expected.checkpoints.contains_key(*agent)) {
        differences.push(format!("checkpoints of {agent}, who has none"));
    }
    for (agent, parts) in &expected.transcripts {
        let found = found.transcripts.get(agent).map(Vec::as_slice).unwrap_or_default();
        lists(&format!("transcript part of {agent}"), parts, found, &mut differences);
    }
    for (path, digest) in &expected.attachments {
        match found.attachments.get(path) {
            None => differences.push(format!("attachment {path} is missing")),
            Some(found) if found != digest => differences.push(format!("attachment {path} has other bytes")),
            Some(_) => {}
        }
    }
    for path in found.attachments.keys().filter(|path| !expected.may_be_attached(path)) {
        differences.push(format!("attachment {path} is of an intact file"));
    }
    differences
}

/// Compares things by name, each a list of named values of which only the expected ones are compared.
fn maps(
    what: &str,
    expected: &BTreeMap<String, expected::Values>,
    found: &BTreeMap<String, expected::Values>,
    differences: &mut Vec<String>,
) {
    for (id, values) in expected {
        let Some(found) = found.get(id) else {
            differences.push(format!("{what} {id} is missing"));
            continue;
        };
        for (name, value) in values {
            if found.get(name) != Some(value) {
                differences.push(format!("{what} {id}: {name} is {:?} instead of {value:?}", found.get(name)));
            }
        }
    }
    for id in found.keys().filter(|id| !expected.contains_key(*id)) {
        differences.push(format!("{what} {id} is too many"));
    }
}

fn lists(what: &str, expected: &[String], found: &[String], differences: &mut Vec<String>) {
    for at in 0..expected.len().max(found.len()) {
        let (expected, found) = (expected.get(at), found.get(at));
        if expected != found {
            differences.push(format!("{what}, number {at}: {found:?} instead of {expected:?}"));
        }
    }
}
