//! What one damaged thing hides: itself.

use std::ops::Range;

use futures_util::StreamExt;
use nofx_core::entity::{Agent, AgentId, EntityId, RecordEntity, Session, SessionId, TranscriptPart};
use nofx_core::kind::ACTIVITY;
use nofx_core::workspace::{RestoreOptions, SearchQuery, SessionFilter, Workspace};
use nofx_core::{Direction, ScanQuery};

use super::world::{HOUR, World, ada, begin, content, say, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, ensure, ensure_eq};

/// Reads a session: what was said, and which places cannot be read.
async fn read(workspace: &Workspace, session: &Session, way: Direction) -> CaseResult<(Vec<String>, Vec<Range<u64>>)> {
    let (mut said, mut damaged) = (Vec::new(), Vec::new());
    let mut history = workspace.history(session, 0..u64::MAX, way, None);
    while let Some(entry) = history.next().await {
        match entry {
            Ok(entry) => {
                ensure_eq!(entry.position.to_string(), content(&entry.message), "the place of a message");
                said.push(content(&entry.message));
            }
            Err(error) => {
                ensure_eq!(error.code(), "corrupt", "{error}");
                damaged.extend(error.positions());
            }
        }
    }
    Ok((said, damaged))
}

/// Searches: the places of what was found, and those that could not be searched.
async fn search(workspace: &Workspace, word: &str) -> CaseResult<(Vec<u64>, Vec<Range<u64>>)> {
    let query = SearchQuery { words: vec![word.to_owned()], ..SearchQuery::default() };
    let hits: Vec<_> = workspace.search(query).await?.collect().await;
    let damaged = hits.iter().filter_map(|hit| hit.as_ref().err()?.positions()).collect();
    Ok((hits.into_iter().flatten().map(|hit| hit.position).collect(), damaged))
}

pub(super) async fn a_message_that_is_damaged_hides_no_other(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..300).await?;
    let fork = workspace.restore_session(&session.id, RestoreOptions::default()).await?;
    say(&workspace, &fork.id, 300..400).await?;
    damaging.damage_entries(Session::history(&session.id), 101..102);
    damaging.damage_entries(Session::history(&fork.id), 50..51);

    let whole = |end: u64, damaged: &[u64]| -> Vec<String> {
        texts(0..end).into_iter().filter(|text| !damaged.iter().any(|place| *text == place.to_string())).collect()
    };
    ensure_eq!(
        read(&workspace, &session, Direction::Forward).await?,
        (whole(300, &[101]), vec![101..102]),
        "all of it"
    );
    let (mut said, damaged) = read(&workspace, &fork, Direction::Backward).await?;
    said.reverse();
    ensure_eq!((said, damaged), (whole(400, &[101, 350]), vec![350..351, 101..102]), "a fork, from the end");
    let (found, unsearched) = search(&workspace, "299").await?;
    ensure_eq!(found, [299], "what stands behind it");
    ensure_eq!(unsearched, [101..102, 350..351], "what could not be searched");
    let sections: Vec<_> = workspace.export_markdown(&session.id).await?.collect().await;
    ensure_eq!(sections.iter().filter(|section| section.is_err()).count(), 1, "what is marked in an export");
    ensure_eq!(sections.len(), 301, "pieces of an export");
    Ok(())
}

pub(super) async fn messages_that_are_damaged_as_one_hide_no_other(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..3000).await?;
    damaging.damage_entries(Session::history(&session.id), 1000..2500);
    let expected: Vec<_> = texts(0..1000).into_iter().chain(texts(2500..3000)).collect();
    ensure_eq!(read(&workspace, &session, Direction::Forward).await?, (expected, vec![1000..2500]), "around them");
    ensure_eq!(search(&workspace, "2999").await?, (vec![2999], vec![1000..2500]), "behind them");
    Ok(())
}

pub(super) async fn a_session_that_is_damaged_hides_no_other(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let mut sessions: Vec<SessionId> = Vec::new();
    for number in 0..6 {
        sessions.push(begin(&workspace).await?.id);
        say(&workspace, &sessions[number as usize], number..number + 1).await?;
        world.clock.advance(HOUR);
    }
    damaging.damage_record(sessions[1].record_key(Session::KIND));
    damaging.damage_head(Session::history(&sessions[3]));
    let rows = workspace.store().backend().scan(&ScanQuery::of(ACTIVITY, 1000)).await?.items;
    let damaged = |row: &&nofx_core::Record| row.body.as_str().contains(&sessions[4].to_string());
    rows.iter().filter(damaged).for_each(|row| damaging.damage_record(row.key.clone()));

    for limit in [1, 2, 100] {
        let (mut listed, mut unreadable, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = workspace.summaries(&SessionFilter::default(), after, limit).await?;
            listed.extend(page.items.into_iter().map(|one| one.session.id));
            unreadable.extend(page.unreadable);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        ensure_eq!(listed, [&sessions[5], &sessions[2], &sessions[0]].map(Clone::clone), "the others, {limit} a page");
        let mut named: Vec<_> = unreadable.iter().map(|one| one.session.clone()).collect();
        named.sort_by_key(|session| sessions.iter().position(|one| Some(one) == session.as_ref()));
        let expected = [None, Some(&sessions[1]), Some(&sessions[3])].map(|session| session.cloned());
        ensure_eq!(named, expected, "what cannot be read, {limit} a page");
    }
    for number in [0, 2, 5] {
        ensure_eq!(search(&workspace, &number.to_string()).await?.0, [0], "messages of another session");
    }
    let watched = workspace.expiry_watch().poll().await;
    ensure!(watched.is_ok(), "the others are watched: {watched:?}");
    let stats = workspace.stats().await?;
    ensure_eq!((stats.sessions, stats.unreadable), (6, 0), "records of kinds that are counted");
    Ok(())
}

pub(super) async fn a_transcript_says_what_of_it_is_damaged(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let ada = ada().id;
    for part in ["one", "two", "three"] {
        workspace.append_transcript(&ada, part).await?;
    }
    damaging.damage_entries(TranscriptPart::log(&ada), 1..2);
    let transcript = workspace.transcript(&ada).await?.unwrap_or_default();
    ensure!(transcript.contains("one") && transcript.contains("three"), "what can be read: {transcript}");
    ensure!(transcript.contains("[a part of what was said here cannot be read: "), "what cannot: {transcript}");
    let told = workspace.context_summary(&ada).await?.unwrap_or_default();
    ensure!(told.contains("one\n[a part of what") && told.ends_with("\nthree"), "what an agent is told: {told}");

    let grace: AgentId = "agent-grace".into();
    let session = workspace.create_session(&Agent::new(grace.clone(), "Grace", "tester"), Default::default()).await?;
    say(&workspace, &session.id, 0..3).await?;
    damaging.damage_entries(Session::history(&session.id), 1..2);
    let told = workspace.context_summary(&grace).await?.unwrap_or_default();
    ensure!(told.contains("user: 0\n[a part of what") && told.ends_with("\nuser: 2"), "of a session: {told}");
    Ok(())
}
