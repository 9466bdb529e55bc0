//! Disk space taken by conversations.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nofx::{Location, compact, open};
use nofx_core::entity::{Agent, Role};
use nofx_core::workspace::{NewSession, Workspace};

use super::peers::Sqlite;
use super::report::{Section, Table, bytes};
use super::text::Chance;
use super::{bytes_on_disk, runtime, scratch};
use crate::Result;

const SESSIONS: u64 = 200;

/// Messages of a session.
const MESSAGES: u64 = 100;

pub(super) fn run() -> Result<Section> {
    let runtime = runtime()?;
    let folder = scratch()?;
    let mut chance = Chance(7);
    let said: Vec<Vec<String>> = (0..SESSIONS).map(|_| (0..MESSAGES).map(|_| chance.text()).collect()).collect();
    let text: u64 = said.iter().flatten().map(|said| said.len() as u64).sum();
    let mut table = Table::new(format!("{SESSIONS} sessions of {MESSAGES} messages"), &["on the disk", "of the text"]);
    let mut add = |name: &str, taken: u64| {
        table.row(name, vec![bytes(taken), format!("{:.2}", taken as f64 / text as f64)]);
    };
    add("the text alone", text);
    for (name, scheme) in [("redb", "redb"), ("files", "fs")] {
        let path = folder.path().join(name);
        let location: Location = format!("{scheme}:{}", path.display()).parse()?;
        let agent = Agent::new("ada", "Ada", "backend-specialist");
        let ids = runtime.block_on(async {
            let workspace = Workspace::new(open(&location).await?);
            let mut ids = Vec::new();
            for said in &said {
                let session = workspace.create_session(&agent, NewSession::default()).await?;
                for said in said {
                    workspace.add_message(&session.id, workspace.message(Role::Assistant, said.as_str())).await?;
                }
                ids.push(session.id);
            }
            workspace.store().close().await?;
            Result::Ok(ids)
        })?;
        add(&format!("{name}, live"), bytes_on_disk(&path)?);
        runtime.block_on(async {
            let workspace = Workspace::new(open(&location).await?);
            for archived in workspace.archive_sessions(&ids).await {
                archived?;
            }
            workspace.store().close().await?;
            Result::Ok(())
        })?;
        if scheme == "redb" {
            runtime.block_on(compact(&location))?;
        }
        add(&format!("{name}, archived"), bytes_on_disk(&path)?);
    }
    let sqlite = folder.path().join("peer.sqlite");
    let database = Sqlite::open(&sqlite, 1)?;
    for (session, said) in (0_i64..).zip(&said) {
        database.fill(session, said)?;
    }
    drop(database);
    add("SQLite, a row for each message", bytes_on_disk(&sqlite)?);
    let lines = folder.path().join("lines");
    let json: Vec<String> = said.iter().flatten().map(serde_json::to_string).collect::<serde_json::Result<_>>()?;
    fs::write(&lines, json.join("\n"))?;
    if let Some(compressed) = zstd(&lines)? {
        add("all of it under zstd -3", compressed);
    }
    Ok(Section {
        heading: "Disk",
        words: "Text like talk, one message for each commit. Live stores were closed; archived ones have all sessions archived, and redb was \
                compacted."
            .to_owned(),
        tables: vec![table.shown()],
        ..Section::default()
    })
}

/// Returns the size of a file compressed by the zstd program; `None` if there is no such program.
fn zstd(path: &Path) -> Result<Option<u64>> {
    let ran = Command::new("zstd").args(["-3", "-q", "-c"]).arg(path).stderr(Stdio::null()).output();
    Ok(ran.ok().filter(|ran| ran.status.success()).map(|ran| ran.stdout.len() as u64))
}
