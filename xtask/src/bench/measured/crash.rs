//! Opening a store whose host was killed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nofx::{Location, open};
use nofx_core::Deadline;
use nofx_core::entity::{Agent, Role};
use nofx_core::workspace::{NewSession, SessionFilter, Workspace};

use super::report::{Section, Table, bytes, duration};
use super::text::Chance;
use super::{journal_of, runtime, scratch};
use crate::Result;

/// Approximate size of the store in bytes.
const BYTES: u64 = 256 << 20;

fn copy_folder(from: &Path, to: &Path) -> Result {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir(to)?;
    for found in fs::read_dir(from)? {
        let found = found?;
        fs::copy(found.path(), to.join(found.file_name()))?;
    }
    Ok(())
}

pub(super) fn run(rounds: usize) -> Result<Section> {
    let runtime = runtime()?;
    let folder = scratch()?;
    let (live, killed) = (folder.path().join("live.redb"), folder.path().join("killed.redb"));
    let location = |path: &std::path::Path| format!("redb:{}", path.display()).parse::<Location>();
    let mut chance = Chance(3);
    let workspace = Workspace::new(runtime.block_on(open(&location(&live)?))?);
    let agent = Agent::new("ada", "Ada", "backend-specialist");
    while fs::metadata(&live)?.len() < BYTES {
        runtime.block_on(async {
            let session = workspace.create_session(&agent, NewSession::default()).await?;
            for _ in 0..10 {
                let said = (0..16).map(|_| workspace.message(Role::Assistant, chance.text())).collect();
                workspace.add_messages(&session.id, said).await?;
            }
            Result::Ok(())
        })?;
    }
    let mut table = Table::new("opening and showing 50 sessions", &["a store of", "took", "the first message after"]);
    for round in 0..rounds.max(1) {
        // A kill leaves what is on the disk while a host has the store open.
        let (reading, page, shown) = loop {
            fs::copy(&live, &killed)?;
            copy_folder(&journal_of(&live), &journal_of(&killed))?;
            let clock = Deadline::after(Duration::MAX);
            let reading = Workspace::new(runtime.block_on(open(&location(&killed)?))?);
            let page = runtime.block_on(reading.summaries(&SessionFilter::default(), None, 50))?;
            if page.unreadable.is_empty() {
                break (reading, page, clock.elapsed());
            }
            // Copied while a run was applied: file and journal are of two moments, as they never are after a kill.
            runtime.block_on(reading.store().close())?;
        };
        let session = page.items.first().ok_or("there are sessions")?.session.id.clone();
        let clock = Deadline::after(Duration::MAX);
        runtime.block_on(reading.add_message(&session, reading.message(Role::User, "after")))?;
        let added = clock.elapsed();
        runtime.block_on(reading.store().close())?;
        table.row(
            format!("redb, killed, round {}", round + 1),
            vec![bytes(fs::metadata(&killed)?.len()), duration(shown), duration(added)],
        );
    }
    runtime.block_on(workspace.store().close())?;
    Ok(Section {
        heading: "After a kill",
        words: "A redb store is opened whose host never closed it.".to_owned(),
        tables: vec![table.shown()],
        ..Section::default()
    })
}
