//! Watches a store to which other processes write: this program starts itself again as a child.
#![cfg(all(feature = "redb", feature = "fs"))]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nofx::entity::{Agent, Role};
use nofx::workspace::{EventKind, Events, NewSession, SessionFilter, Workspace};
use nofx::{Body, Cursor, Expect, Kind, Location, REMEMBERED_COMMITS, RecordKey, Result};

const ROLE: &str = "NOFX_WATCH_ROLE";
const STORE: &str = "NOFX_WATCH_STORE";

/// A process that writes to the store, and the ids of the sessions that it has reported as acknowledged.
struct Writer {
    child: Child,
    said: Receiver<String>,
}

impl Writer {
    fn start(role: &str, store: &Location) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "plays_a_role", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .env(STORE, store.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (sender, said) = channel();
        thread::spawn(move || {
            for line in lines.map_while(std::result::Result::ok) {
                if let Some((_, id)) = line.split_once("> ") {
                    _ = sender.send(id.to_owned());
                }
            }
        });
        Self { child, said }
    }

    /// Kills it. Returns everything that it printed.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.said.iter().collect()
    }

    fn finish(mut self) -> Vec<String> {
        assert!(self.child.wait().expect("it ends").success());
        self.said.iter().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs only as a child of the other tests"]
async fn plays_a_role() -> Result<()> {
    let location: Location = std::env::var(STORE).expect("a store").parse()?;
    let workspace = Workspace::new(nofx::open(&location).await?);
    match std::env::var(ROLE).as_deref() {
        Ok("talks") => loop {
            say(&talk(&workspace).await?);
        },
        Ok("floods") => {
            say(&talk(&workspace).await?);
            let key = RecordKey::new(Kind::of("note"), "flood")?;
            for _ in 0..(REMEMBERED_COMMITS * 6 / 5).div_ceil(5000) {
                let batch = || workspace.store().batch().put(key.clone(), Expect::Any, Body::trusted("1"));
                workspace.store().backend().commit((0..5000).map(|_| batch()).collect()).await?;
            }
            say(&talk(&workspace).await?);
            workspace.store().close().await
        }
        role => panic!("no role {role:?}"),
    }
}

fn say(id: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {id}").and_then(|()| out.flush()).expect("the test reads it");
}

/// Creates a session and adds a message to it.
async fn talk(workspace: &Workspace) -> Result<String> {
    let session = workspace.create_session(&Agent::new("ada", "Ada", "backend"), NewSession::default()).await?;
    workspace.add_message(&session.id, workspace.message(Role::User, "hello")).await?;
    Ok(session.id.to_string())
}

fn stores(folder: &Path) -> [Location; 2] {
    ["redb", "fs"].map(|scheme| format!("{scheme}:{}", folder.join(scheme).display()).parse().expect("a location"))
}

/// The events: how often each session was created and got a message.
#[derive(Debug, Default)]
struct Heard(BTreeMap<String, (u64, u64)>);

impl Heard {
    /// Watches everything after the cursor in a file, and stores there where to continue, like a program that may end at any time.
    async fn listen(&mut self, store: &Location, kept: &Path) -> Result<()> {
        let workspace = Workspace::new(nofx::open(store).await?);
        loop {
            let cursor = Cursor(fs::read_to_string(kept).expect("a cursor"));
            let Events::Page { events, next, at_end } = workspace.events(Some(&cursor), 7).await? else {
                panic!("a gap");
            };
            for event in events {
                let id = event.session.expect("each concerns a session").to_string();
                let heard = self.0.entry(id).or_default();
                match event.kind {
                    EventKind::SessionCreated => heard.0 += 1,
                    EventKind::MessageAdded => heard.1 += 1,
                    other => panic!("{other:?}"),
                }
            }
            fs::write(kept, next.0).expect("a file");
            if at_end {
                return workspace.store().close().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_hears_everything_once_that_other_processes_did_even_if_they_are_killed() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    for store in stores(folder.path()) {
        let kept = folder.path().join("cursor");
        let workspace = Workspace::new(nofx::open(&store).await?);
        fs::write(&kept, workspace.events_end().await?.0).expect("a file");
        workspace.store().close().await?;
        let (mut heard, mut acknowledged) = (Heard::default(), Vec::new());
        for _ in 0..3 {
            let writers = [Writer::start("talks", &store), Writer::start("talks", &store)];
            for writer in &writers {
                for _ in 0..5 {
                    acknowledged.push(writer.said.recv_timeout(Duration::from_secs(60)).expect("it writes"));
                    heard.listen(&store, &kept).await?;
                }
            }
            acknowledged.extend(writers.into_iter().flat_map(Writer::kill));
        }
        heard.listen(&store, &kept).await?;
        assert!(acknowledged.len() >= 30, "{}", acknowledged.len());
        for id in &acknowledged {
            assert_eq!(heard.0.get(id), Some(&(1, 1)), "{store}: {id}");
        }
        // What was in flight at the kill may have happened, and is then reported once.
        assert!(heard.0.values().all(|(created, added)| *created == 1 && *added <= 1), "{store}: {heard:?}");
        assert!(heard.0.len() <= acknowledged.len() + 6, "{store}: {} and {}", heard.0.len(), acknowledged.len());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_was_away_for_too_long_gets_a_gap_and_catches_up_by_listing() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    for store in stores(folder.path()) {
        let workspace = Workspace::new(nofx::open(&store).await?);
        let last_seen = workspace.store().sources().now();
        let away = workspace.events_end().await?;
        let mut missed = Writer::start("floods", &store).finish();
        // Commits that the base lacks are remembered in addition to those that it remembers.
        nofx::compact(&store).await?;

        let Events::Gap { newest } = workspace.events(Some(&away), 100).await? else { panic!("no gap in {store}") };
        let after = talk(&workspace).await?;
        // As the documentation of `Gap` says: list what was active since, and continue from `newest`.
        let since = SessionFilter { active_since: Some(last_seen), ..SessionFilter::default() };
        let listed = workspace.summaries(&since, None, 100).await?.items;
        let mut listed: Vec<_> = listed.iter().map(|one| one.session.id.to_string()).collect();
        let Events::Page { events, at_end, .. } = workspace.events(Some(&newest), 100).await? else {
            panic!("a second gap in {store}");
        };
        let told: Vec<_> =
            events.iter().map(|event| (event.kind, event.session.as_ref().map(ToString::to_string))).collect();
        let expected = [EventKind::SessionCreated, EventKind::MessageAdded].map(|kind| (kind, Some(after.clone())));
        assert_eq!((told.as_slice(), at_end), (expected.as_slice(), true), "{store}");
        missed.push(after);
        listed.sort();
        missed.sort();
        assert_eq!(listed, missed, "{store}");
        workspace.store().close().await?;
    }
    Ok(())
}
