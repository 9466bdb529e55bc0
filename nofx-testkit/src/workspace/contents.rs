//! Long contents: stored once, read whole, and swept.

use std::sync::Arc;

use futures_util::StreamExt;
use nofx_core::entity::{Entity, Message, Role, Session};
use nofx_core::json::{Object, Text};
use nofx_core::kind::PAYLOAD;
use nofx_core::workspace::{LARGE_CONTENT, RestoreOptions, SearchQuery, SessionFilter, Workspace, whole_message};
use nofx_core::{Direction, Error, Expect, LogQuery, ScanQuery};
use tokio::sync::Notify;

use super::world::{World, begin, content, refused, tail};
use crate::decorators::{Fault, Faulty};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// A text of this many bytes that begins with a word.
fn long(word: &str, bytes: usize) -> String {
    let mut text = format!("{word} ");
    while text.len() < bytes {
        text.push_str("and so on, ");
    }
    text
}

/// Returns how many records hold contents.
async fn contents(workspace: &Workspace) -> CaseResult<usize> {
    let page = workspace.store().backend().scan(&ScanQuery::of(PAYLOAD, 1000).prefixed("content/")).await?;
    Ok(page.items.len())
}

pub(super) async fn a_long_content_is_kept_once_and_read_whole(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let text = long("tool output", 200_000);
    let (one, two) = (begin(&workspace).await?, begin(&workspace).await?);
    workspace.add_message(&one.id, workspace.message(Role::Tool, text.clone())).await?;
    let kept = contents(&workspace).await?;
    let before = counting.counts();
    let many: Vec<_> = (0..50).map(|_| workspace.message(Role::Tool, text.clone())).collect();
    workspace.add_messages(&two.id, many).await?;
    ensure!((counting.counts() - before).batch_bytes < 50_000, "the content was written again");
    ensure_eq!(contents(&workspace).await?, kept, "kept once");
    for entry in tail(&world.open().await?, &two, 50).await? {
        ensure!(content(&entry.message) == text, "the whole content");
        ensure_eq!(entry.message.object().get("$content"), None, "no reader notices");
    }
    let short = "x".repeat(LARGE_CONTENT / 2);
    workspace.add_message(&one.id, workspace.message(Role::Tool, short)).await?;
    ensure_eq!(contents(&workspace).await?, kept, "a short one is in its message");
    Ok(())
}

pub(super) async fn a_list_and_a_log_show_only_the_beginning(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let session = begin(&workspace).await?;
    workspace.add_message(&session.id, workspace.message(Role::User, long("please", 1_000_000))).await?;
    let before = counting.counts();
    let page = workspace.summaries(&SessionFilter::default(), None, 10).await?;
    ensure!(page.items[0].preview.as_ref().is_some_and(|line| line.chars().count() <= 161), "a bounded preview");
    ensure!((counting.counts() - before).record_bytes < 5000, "a list reads no contents");
    let query = LogQuery::oldest_first(Session::history(&session.id), 1);
    let entry = workspace.store().backend().read(&query).await?.items.remove(0);
    ensure!(entry.body.len() < 2000, "a stored message of {} bytes", entry.body.len());
    let stored = Message::from_body(&entry.body)?;
    ensure!(content(&stored).starts_with("please and so on"), "its beginning: {}", content(&stored));
    let whole = whole_message(workspace.store(), stored.clone()).await?;
    ensure_eq!(content(&whole).len(), long("please", 1_000_000).len(), "the whole of it");
    refused(workspace.add_message(&session.id, stored).await)?;
    Ok(())
}

pub(super) async fn every_spelling_comes_back_byte_for_byte(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    let filler = "ß\\/\\u00e9\\ud83d ".repeat(10_000);
    for raw in [
        format!(r#"{{"id":"a","content":"{filler}","after":1.10}}"#),
        format!(r#"{{"content":"{filler}","content":"{filler}x","id":"b"}}"#),
        format!(r#"{{"id":"c","content":["{filler}",1e400]}}"#),
        format!(r#"{{"id":"d","metadata":{{"output":"{filler}"}},"content":"short"}}"#),
    ] {
        let object = Object::parse(&raw).map_err(|error| Unmet::new(error.to_string()))?;
        let place = workspace.add_message(&session.id, Message::from_object(object.clone())).await?;
        let mut read = tail(&workspace, &session, 1).await?.pop().ok_or_else(|| Unmet::new("no message"))?;
        ensure_eq!(read.position, place, "where it is");
        read.message.writer = None;
        ensure!(read.message.to_object().to_json() == object.to_json(), "other bytes for {:.60}", raw);
    }
    Ok(())
}

pub(super) async fn a_message_of_a_hundred_megabytes_is_a_message(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    let text = long("huge", 100_000_000);
    workspace.add_message(&session.id, workspace.message(Role::User, text.clone())).await?;
    let read = tail(&workspace, &session, 1).await?.pop().ok_or_else(|| Unmet::new("no message"))?;
    ensure!(read.message.content.as_ref().and_then(Text::as_str) == Some(&text), "the whole content");
    let listed = workspace.summaries(&SessionFilter::default(), None, 1).await?;
    ensure!(listed.items[0].preview.as_ref().is_some_and(|line| line.starts_with("huge and so on")), "the preview");
    Ok(())
}

pub(super) async fn a_sweep_removes_what_no_message_names(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let (shared, own) = (long("shared", 100_000), long("own", 9_000_000));
    let (one, two) = (begin(&workspace).await?, begin(&workspace).await?);
    for (session, text) in [(&one, &shared), (&one, &own), (&two, &shared)] {
        workspace.add_message(&session.id, workspace.message(Role::Tool, text.clone())).await?;
    }
    workspace.delete_session(&one.id).await?;
    let swept = workspace.sweep_contents().await?;
    ensure_eq!((swept.kept, swept.removed), (2, 0), "what a session in the trash names");
    let fork = workspace.restore_session(&one.id, RestoreOptions::default()).await?;
    workspace.purge_session(&one.id).await?;
    ensure_eq!(workspace.sweep_contents().await?.removed, 0, "what a fork reads");
    ensure!(content(&tail(&workspace, &fork, 1).await?[0].message) == own, "what a fork reads is whole");
    workspace.delete_session(&fork.id).await?;
    workspace.purge_session(&fork.id).await?;
    let swept = workspace.sweep_contents().await?;
    ensure_eq!((swept.kept, swept.removed), (1, 1), "what no message names");
    ensure!(content(&tail(&workspace, &two, 1).await?[0].message) == shared, "what another names");
    workspace.add_message(&two.id, workspace.message(Role::Tool, own.clone())).await?;
    ensure!(content(&tail(&workspace, &two, 1).await?[0].message) == own, "what was removed and is kept again");
    Ok(())
}

pub(super) async fn a_content_that_is_lost_is_an_error_at_its_place(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    for text in ["needle before".to_owned(), long("needle", 100_000), "needle after".to_owned()] {
        workspace.add_message(&session.id, workspace.message(Role::User, text)).await?;
    }
    let kept = workspace.store().backend().scan(&ScanQuery::of(PAYLOAD, 10)).await?.items;
    let lost = kept.into_iter().fold(workspace.store().batch(), |batch, one| batch.delete(one.key, Expect::Any));
    workspace.store().commit(lost).await?.committed()?;

    let codes = |codes: Vec<Result<String, nofx_core::Error>>| -> Vec<String> {
        codes.into_iter().map(|one| one.unwrap_or_else(|error| error.code().to_owned())).collect()
    };
    let history = workspace.history(&session, 0..u64::MAX, Direction::Forward, None);
    let read: Vec<_> = history.map(|entry| entry.map(|entry| content(&entry.message))).collect().await;
    ensure_eq!(codes(read), ["needle before", "corrupt", "needle after"], "the history");
    let query = SearchQuery { words: vec!["needle".into()], ..SearchQuery::default() };
    let hits: Vec<_> = workspace.search(query).await?.map(|hit| hit.map(|hit| hit.snippet)).collect().await;
    ensure_eq!(codes(hits), ["needle before", "corrupt", "needle after"], "the hits");
    let exported: Vec<_> = workspace.export_json(&session.id).await?.collect().await;
    ensure_eq!(exported.iter().filter(|piece| piece.is_err()).count(), 1, "what an export reports");
    let text: String = exported.into_iter().flatten().collect();
    ensure!(text.contains("[Message 1 cannot be read: ") && text.contains("needle after"), "an export: {text}");

    // Short histories are copied; one unreadable message does not hinder that.
    let fork = RestoreOptions { up_to: Some(3), ..RestoreOptions::default() };
    let copy = workspace.restore_session(&session.id, fork).await?;
    let rewound = workspace.rewind_session(&session.id, 2, 3).await?;
    for (session, expected) in
        [(copy, &["needle before", "corrupt", "needle after"][..]), (rewound, &["needle before", "corrupt"])]
    {
        let history = workspace.history(&session, 0..u64::MAX, Direction::Forward, None);
        let read: Vec<_> = history.map(|entry| entry.map(|entry| content(&entry.message))).collect().await;
        ensure_eq!(codes(read), expected, "the history of a copy");
    }
    Ok(())
}

pub(super) async fn a_copy_in_a_fork_needs_its_content(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let root = begin(&workspace).await?.id;
    workspace.add_message(&root, workspace.message(Role::User, "begin")).await?;
    let child = workspace.restore_session(&root, RestoreOptions::default()).await?.id;
    let text = long("copied", 100_000);
    workspace.add_message(&child, workspace.message(Role::Tool, text.clone())).await?;
    // With so few messages, a session that was itself restored has them copied.
    let grandchild = workspace.restore_session(&child, RestoreOptions::default()).await?;
    ensure_eq!(grandchild.copied, 1, "copied messages");
    workspace.delete_session(&child).await?;
    workspace.purge_session(&child).await?;
    workspace.sweep_contents().await?;
    ensure!(content(&tail(&workspace, &grandchild, 1).await?[0].message) == text, "the content of a copy");
    Ok(())
}

pub(super) async fn pieces_that_are_there_are_not_written_again(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (writer, writes) = world.faulty().await?;
    let session = begin(&writer).await?;
    let text = long("too long for one batch", 9_000_000);
    // All pieces are stored, but not the message.
    writes.on_commits([Fault::None, Fault::None, Fault::None, Fault::full()]);
    let added = writer.add_message(&session.id, writer.message(Role::Tool, text.clone())).await;
    ensure!(matches!(added, Err(Error::Full(_))), "the message: {added:?}");
    ensure_eq!(writes.pending(), 0, "pieces without a message");

    let (again, counting) = world.counted().await?;
    let before = counting.counts();
    again.add_message(&session.id, again.message(Role::Tool, text.clone())).await?;
    ensure!((counting.counts() - before).batch_bytes < 50_000, "the pieces were written again");
    let read = tail(&again, &session, 1).await?.pop().ok_or_else(|| Unmet::new("no message"))?;
    ensure!(content(&read.message) == text, "the whole content");
    Ok(())
}

pub(super) async fn a_sweep_that_races_writers_loses_nothing(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let sweeper = world.open().await?;
    let mut writing = Vec::new();
    for _ in 0..3 {
        let workspace = world.open().await?;
        writing.push(tokio::spawn(async move {
            let mut kept = Vec::new();
            for round in 0..12 {
                // Few texts, so that writers and sweeps use the same ones; some too long for one batch.
                let text = long(&format!("text {}", round % 4), if round % 4 == 3 { 9_000_000 } else { 80_000 });
                let session = begin(&workspace).await?;
                workspace.add_message(&session.id, workspace.message(Role::Tool, text.clone())).await?;
                if round % 3 == 0 {
                    kept.push((session, text));
                } else {
                    workspace.delete_session(&session.id).await?;
                    workspace.purge_session(&session.id).await?;
                }
            }
            Ok::<_, Unmet>(kept)
        }));
    }
    let sweeping = tokio::spawn(async move {
        let mut removed = 0;
        for _ in 0..25 {
            removed += sweeper.sweep_contents().await?.removed;
            tokio::task::yield_now().await;
        }
        Ok::<_, Unmet>(removed)
    });
    let reader = world.open().await?;
    let mut kept = Vec::new();
    for writer in writing {
        kept.extend(writer.await??);
    }
    sweeping.await??;
    reader.sweep_contents().await?;
    for (session, text) in kept {
        let read = tail(&reader, &session, 1).await?.pop().ok_or_else(|| Unmet::new("no message"))?;
        ensure!(content(&read.message) == text, "a content that is needed was swept");
    }
    Ok(())
}

/// Waits until a fault of this backend is taken, so that the call that took it is held.
async fn is_held(faulty: &Faulty) {
    while faulty.pending() > 0 {
        tokio::task::yield_now().await;
    }
}

pub(super) async fn a_sweep_that_saw_half_of_a_content_leaves_the_rest(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (writer, writes) = world.faulty().await?;
    let (sweeper, sweeps) = world.faulty().await?;
    let session = begin(&writer).await?;
    let text = long("too long for one batch", 9_000_000);

    // The writer has stored the first piece, and the sweep sees no more than that.
    let (go_on, remove) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    writes.on_commits([Fault::None, Fault::Hold(go_on.clone())]);
    let (message, id) = (writer.message(Role::Tool, text.clone()), session.id.clone());
    let writing = tokio::spawn(async move { writer.add_message(&id, message).await });
    is_held(&writes).await;
    sweeps.on_commits([Fault::None, Fault::Hold(remove.clone())]);
    let sweeping = tokio::spawn(async move { sweeper.sweep_contents().await });
    is_held(&sweeps).await;

    // The message is stored before the sweep removes what it saw.
    go_on.notify_one();
    writing.await??;
    remove.notify_one();
    ensure_eq!(sweeping.await??.removed, 0, "a message names it now");
    let read = tail(&world.open().await?, &session, 1).await?.pop().ok_or_else(|| Unmet::new("no message"))?;
    ensure!(content(&read.message) == text, "the whole content");
    Ok(())
}
