//! A host's own records and logs.

use futures_util::TryStreamExt;
use nofx_core::kind::{AGENT_IN, KINDS, SESSION_KEY};
use nofx_core::workspace::Workspace;
use nofx_core::{Body, Expect, Guard, LogKey, LogQuery, LogScan, LogState, NewEntry, RecordKey, ScanQuery, Timestamp};

use super::world::{World, begin, refused, say};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

fn body(json: &str) -> CaseResult<Body> {
    Ok(Body::parse(json)?)
}

/// Stores something under the names before and after.
async fn other_names(workspace: &Workspace) -> CaseResult {
    for name in ["lan", "langg"] {
        let records = workspace.records(name)?;
        let batch = records.batch().put(records.key("write", "a")?, Expect::Any, body("1")?);
        let batch = batch.append(records.log("turns", "a")?, vec![entry("1")?]);
        records.commit(batch).await?.committed()?;
    }
    Ok(())
}

fn entry(json: &str) -> CaseResult<NewEntry> {
    Ok(NewEntry { at: Timestamp::from_millis(7), body: body(json)? })
}

pub(super) async fn a_host_keeps_records_and_logs_of_its_own(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let records = workspace.records("lang")?;
    ensure_eq!(records.kind("write")?.as_str(), "x-lang-write", "the kind");
    let log = records.log("turns", "t1")?;
    let mut batch = records.batch().append(log.clone(), vec![entry("1")?, entry(r#"{"n":2}"#)?]);
    for (id, json) in [("t1/a", "1"), ("t1/b", r#"{"x": 1.0}"#), ("t2/a", "null")] {
        batch = batch.put(records.key("write", id)?, Expect::Absent, body(json)?);
    }
    let committed = records.commit(batch).await?.committed()?;
    ensure_eq!(committed.appended, [0..2], "places of the entries");
    let version = committed.seq.ok_or_else(|| Unmet::new("no number"))?;
    let got = records.get(&[records.key("write", "t1/b")?, records.key("write", "none")?]).await?;
    let got: Vec<_> = got.into_iter().map(|one| one.map(|one| (one.version, one.body.as_str().to_owned()))).collect();
    ensure_eq!(got, [Some((version, r#"{"x":1.0}"#.to_owned())), None], "got");
    let scanned = records.scan(ScanQuery::of(records.kind("write")?, 1).prefixed("t1/"))?;
    let ids: Vec<_> = scanned.try_collect::<Vec<_>>().await?.iter().map(|one| one.key.id().to_owned()).collect();
    ensure_eq!(ids, ["t1/a", "t1/b"], "scanned");
    other_names(&workspace).await?;
    let all = records.scan(ScanQuery::all(2))?.try_collect::<Vec<_>>().await?;
    ensure_eq!(all.iter().map(|one| one.key.id()).collect::<Vec<_>>(), ["t1/a", "t1/b", "t2/a"], "all that is its own");
    ensure_eq!(records.logs(LogScan::all(2))?.try_collect::<Vec<_>>().await?.len(), 1, "all of its logs");
    let entries: Vec<_> = records.read(LogQuery::newest_first(log.clone(), 10))?.try_collect().await?;
    ensure_eq!(entries.iter().map(|one| one.position).collect::<Vec<_>>(), [1, 0], "read");
    ensure_eq!(records.head(&log).await?.length, 2, "the head");

    // All or nothing, judged by expectations.
    let stale = records.batch().put(records.key("write", "t1/a")?, Expect::Absent, body("9")?);
    let stale = stale.append(log.clone(), vec![entry("3")?]);
    ensure!(records.commit(stale).await?.committed().is_err(), "a stale batch");
    ensure_eq!(records.head(&log).await?.length, 2, "nothing of it happened");
    let first = records.batch().append(log.clone(), vec![entry("3")?]);
    let again = records.commit(first.clone()).await?;
    ensure_eq!(records.commit(first).await?, again, "a batch that is repeated");

    // What was removed does not come back; to start over, keep a pointer.
    records.commit(records.batch().remove(log.clone())).await?.committed()?;
    let late = records.commit(records.batch().append(log.clone(), vec![entry("4")?])).await?;
    ensure!(late.committed().is_err(), "an append to a log that was removed");
    ensure_eq!(records.head(&log).await?.state, LogState::Removed, "it stays removed");

    // No other name sees them, and they see no other name's.
    let other = workspace.records("langx")?;
    ensure_eq!(other.scan(ScanQuery::of(other.kind("write")?, 9))?.try_collect::<Vec<_>>().await?, [], "another's");
    let stats = workspace.stats().await?;
    ensure_eq!((stats.sessions, stats.agents, stats.unreadable), (0, 0, 0), "what else the store holds");
    Ok(())
}

pub(super) async fn a_host_cannot_touch_what_is_not_its_own(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..3).await?;
    let records = workspace.records("lang")?;
    let content = async || -> CaseResult<(usize, usize)> {
        let backend = workspace.store().backend();
        Ok((backend.scan(&ScanQuery::all(999)).await?.items.len(), backend.logs(&LogScan::all(999)).await?.items.len()))
    };
    let before = content().await?;
    let kinds = KINDS.iter().map(|info| info.kind.clone()).chain([
        SESSION_KEY,
        AGENT_IN,
        workspace.records("langx")?.kind("a")?,
        workspace.records("lan")?.kind("g-a")?,
        nofx_core::Kind::of("x-lang"),
        nofx_core::Kind::of("x-lang-"),
    ]);
    for kind in kinds {
        let (key, log) = (RecordKey::new(kind.clone(), "a")?, LogKey::new(kind.clone(), "a")?);
        let (mine, one) = (records.key("mine", "a")?, body("1")?);
        let own = || records.batch().put(mine.clone(), Expect::Any, one.clone());
        for (what, batch) in [
            ("put", own().put(key.clone(), Expect::Any, body("1")?)),
            ("delete", own().delete(key.clone(), Expect::Any)),
            ("append", own().append(log.clone(), vec![entry("1")?])),
            ("seal", own().seal(log.clone())),
            ("remove", own().remove(log.clone())),
            ("record guard", own().guard(Guard::Record { key: key.clone(), expect: Expect::Absent })),
            ("length guard", own().guard(Guard::Length { log: log.clone(), length: 0 })),
        ] {
            let why = refused(records.commit(batch).await)?;
            ensure!(why.contains(kind.as_str()) && why.contains("x-lang-"), "{what} of {kind}: {why}");
        }
        refused(records.get(std::slice::from_ref(&key)).await)?;
        refused(records.scan(ScanQuery::of(kind.clone(), 1)).map(drop))?;
        refused(records.logs(LogScan::of(kind.clone(), 1)).map(drop))?;
        refused(records.read(LogQuery::oldest_first(log.clone(), 1)).map(drop))?;
        refused(records.head(&log).await)?;
    }
    refused(records.scan(ScanQuery::all(1).backward()).map(drop))?;
    let all = records.scan(ScanQuery::all(1))?.try_collect::<Vec<_>>().await?;
    ensure_eq!(all, [], "all that is its own");
    refused(records.scan(ScanQuery::of(records.kind("a")?, 0)).map(drop))?;
    ensure_eq!(content().await?, before, "what the store holds");
    for name in ["", "A", "a-b", "1a", "a b", "ä", &"a".repeat(17)] {
        refused(workspace.records(name))?;
    }
    for kind in ["A", "a_b", &"a".repeat(30)] {
        refused(records.key(kind, "a"))?;
    }
    let empty = records.key("", "a")?;
    refused(records.get(&[empty]).await)?;
    Ok(())
}
