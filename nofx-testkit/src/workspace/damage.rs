//! One damaged item hides nothing but itself.

use std::ops::Range;

use futures_util::StreamExt;
use nofx_core::entity::{
    Agent, AgentId, Checkpoint, Entity, EntityId, OrchestrationMessage, RecordEntity, Role, Session, SessionId,
    TranscriptPart,
};
use nofx_core::json::Text;
use nofx_core::kind::ACTIVITY;
use nofx_core::workspace::{
    Appended, CHECKPOINTS, HistoryEntry, ImportAs, OrchestrationFilter, RestoreOptions, SearchQuery, SessionFilter,
    Workspace,
};
use nofx_core::{Direction, Error, ScanQuery};

use super::world::{HOUR, World, ada, begin, content, numbered, said, say, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

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

/// Searches: the places of the hits, and those that could not be searched.
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
    ensure_eq!(found, [299], "what comes after it");
    ensure_eq!(unsearched, [101..102, 350..351], "what could not be searched");
    let sections: Vec<_> = workspace.export_markdown(&session.id).await?.collect().await;
    ensure_eq!(sections.iter().filter(|section| section.is_err()).count(), 1, "what is marked in an export");
    ensure_eq!(sections.len(), 302, "what comes before the messages in two pieces, and each message");
    let articles: Vec<_> = workspace.export_html(&session.id).await?.collect().await;
    ensure_eq!(articles.iter().filter(|article| article.is_err()).count(), 1, "what is marked in a page");
    ensure_eq!(articles.len(), 303, "what comes before the messages in two pieces, each message, and the end");
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

/// Returns what each place of a history says, or which places cannot be read.
fn each(entries: &[nofx_core::Result<HistoryEntry>]) -> Vec<String> {
    let told = |entry: &nofx_core::Result<HistoryEntry>| match entry {
        Ok(entry) => content(&entry.message),
        Err(error) => format!("{} {:?}", error.code(), error.positions()),
    };
    entries.iter().map(told).collect()
}

pub(super) async fn a_tail_says_what_of_it_is_damaged(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..20).await?;
    damaging.damage_entries(Session::history(&session.id), 17..18);
    damaging.damage_entries(Session::history(&session.id), 3..13);
    let damaged = "corrupt Some(17..18)".to_owned();
    ensure_eq!(each(&workspace.tail(&session, 1).await?), ["19"], "what is in front of it");
    let tail = each(&workspace.tail(&session, 5).await?);
    ensure_eq!(tail, [&texts(15..17)[..], &[damaged], &texts(18..20)[..]].concat(), "around it");
    let tail = each(&workspace.tail(&session, 10).await?);
    ensure_eq!((tail.len(), &*tail[0]), (8, "corrupt Some(3..13)"), "several that are damaged together: {tail:?}");
    let tail = each(&workspace.tail(&session, 20).await?);
    ensure_eq!((tail.len(), &*tail[0], &*tail[3]), (11, "0", "corrupt Some(3..13)"), "all of it: {tail:?}");
    Ok(())
}

pub(super) async fn a_writer_gets_what_can_be_read_of_what_it_has_not_seen(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let session = begin(&workspace).await?;
    let mut late = workspace.session_writer(&session.id).await?;
    say(&workspace, &session.id, 0..6).await?;
    damaging.damage_entries(Session::history(&session.id), 1..3);
    damaging.damage_entries(Session::history(&session.id), 5..6);
    let Appended::Unseen(unseen) = late.append(numbered(&workspace, 6..7)).await? else {
        return Err(Unmet::new("another writer was first, and this one was not told"));
    };
    let expected = ["0", "corrupt Some(1..3)", "3", "4", "corrupt Some(5..6)"];
    ensure_eq!(each(&unseen), expected, "what it had not seen");
    ensure!(matches!(late.append(numbered(&workspace, 6..7)).await?, Appended::Done(6)), "it has seen all now");
    ensure!(
        matches!(workspace.append_at(&session.id, 9, numbered(&workspace, 9..10)).await, Err(Error::Invalid(_))),
        "there were never so many"
    );
    Ok(())
}

pub(super) async fn an_export_says_what_of_it_is_damaged_and_is_imported(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..8).await?;
    damaging.damage_entries(Session::history(&session.id), 0..1);
    damaging.damage_entries(Session::history(&session.id), 3..6);
    let pieces: Vec<_> = workspace.export_json(&session.id).await?.collect().await;
    let errors: Vec<_> = pieces.iter().filter_map(|piece| piece.as_ref().err()?.positions()).collect();
    ensure_eq!(errors, [0..1, 3..6], "what is reported beside the text");
    let text: String = pieces.into_iter().flatten().collect();
    let imported = workspace.import_session(&text, ImportAs::New).await?;
    let all = said(&workspace, &imported).await?;
    ensure_eq!(all.len(), 6, "each that can be read, and a mark for each damage: {all:?}");
    ensure!(all[0].starts_with("[Message 0 cannot be read: corrupt data in history/"), "the first: {}", all[0]);
    ensure!(all[3].starts_with("[Messages 3 to 5 cannot be read: corrupt data in history/"), "several: {}", all[3]);
    ensure_eq!([&all[1..3], &all[4..]].concat(), ["1", "2", "6", "7"], "the others");
    let mark = workspace.history(&imported, 0..1, Direction::Forward, None).next().await;
    let mark = mark.ok_or_else(|| Unmet::new("no mark"))??.message;
    ensure_eq!(mark.role, Some(Role::System), "who says so");
    ensure_eq!(mark.object().read("code"), Some(Text::from("corrupt")), "what programs see");
    Ok(())
}

pub(super) async fn a_task_that_is_damaged_hides_no_other(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let session = begin(&workspace).await?;
    for title in ["one", "two", "three"] {
        workspace.start_task(&session.id, title).await?;
    }
    // The first is started, and interrupted by the second, and so on.
    damaging.damage_entries(Session::tasks(&session.id), 1..2);
    let tasks = workspace.tasks(&session.id).await?;
    ensure_eq!(tasks.unreadable.len(), 1, "what is told");
    let titles: Vec<_> = tasks.ended.iter().map(|task| task.title.to_string()).collect();
    ensure_eq!(titles, ["two"], "those that ended");
    ensure_eq!(tasks.current.map(|task| task.title), Some("three".into()), "the one that is worked on");
    let started = workspace.start_task(&session.id, "four").await?;
    ensure_eq!(started.interrupted.map(|task| task.title), Some("three".into()), "the one that is put aside");
    let pieces: Vec<_> = workspace.export_json(&session.id).await?.collect().await;
    ensure_eq!(pieces.iter().filter(|piece| piece.is_err()).count(), 1, "what an export reports");
    let imported = workspace.import_session(&pieces.into_iter().flatten().collect::<String>(), ImportAs::New).await?;
    ensure_eq!(workspace.tasks(&imported.id).await?.ended.len(), 2, "those that can be read");
    let sections: Vec<_> = workspace.export_markdown(&session.id).await?.collect().await;
    ensure_eq!(sections.iter().filter(|section| section.is_err()).count(), 1, "what is marked for people");
    let articles: Vec<_> = workspace.export_html(&session.id).await?.collect().await;
    ensure_eq!(articles.iter().filter(|article| article.is_err()).count(), 1, "what is marked in a page");
    Ok(())
}

pub(super) async fn a_checkpoint_that_is_damaged_hides_no_other(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let ada = ada().id;
    for n in 0..5 {
        workspace.save_checkpoint(&ada, format!("q{n}"), "a").await?;
    }
    damaging.damage_entries(Checkpoint::log(&ada), 3..4);
    let told = |checkpoints: Vec<nofx_core::Result<Checkpoint>>| -> Vec<String> {
        let told = |one: nofx_core::Result<Checkpoint>| match one {
            Ok(checkpoint) => checkpoint.user.to_string(),
            Err(error) => error.code().to_owned(),
        };
        checkpoints.into_iter().map(told).collect()
    };
    let all = told(workspace.checkpoints(&ada, CHECKPOINTS).await?);
    ensure_eq!(all, ["q0", "q1", "q2", "corrupt", "q4"], "all of them");
    ensure_eq!(told(workspace.checkpoints(&ada, 2).await?), ["corrupt", "q4"], "the newest two");
    Ok(())
}

pub(super) async fn a_message_between_agents_that_is_damaged_hides_no_other(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, damaging) = world.damaged().await?;
    let message = |n: u64| OrchestrationMessage::new(n.to_string(), world.now(), "status");
    for n in 0..6 {
        workspace.save_orchestration(message(n)).await?;
    }
    damaging.damage_entries(OrchestrationMessage::segment(0), 0..1);
    damaging.damage_entries(OrchestrationMessage::segment(0), 4..5);
    let told = |message: nofx_core::Result<OrchestrationMessage>| match message {
        Ok(message) => message.id.map(|id| id.to_string()).unwrap_or_default(),
        Err(error) => error.code().to_owned(),
    };
    let newest: Vec<_> = workspace.load_orchestration(0, 3).await?.into_iter().map(told).collect();
    ensure_eq!(newest, ["5", "corrupt", "3"], "the newest three");
    let rest: Vec<_> = workspace.load_orchestration(3, 100).await?.into_iter().map(told).collect();
    ensure_eq!(rest, ["2", "1", "corrupt"], "those behind them");
    let filter = OrchestrationFilter { oldest_first: true, ..OrchestrationFilter::default() };
    let all: Vec<_> = workspace.orchestration_history(filter).await?.map(told).collect().await;
    ensure_eq!(all, ["corrupt", "1", "2", "3", "corrupt", "5"], "all of them");
    let stats = workspace.orchestration_stats().await?;
    ensure_eq!((stats.messages, stats.oldest), (6, None), "how many there are");
    // A handle that has not saved any yet reads the segment to determine its size.
    let other = Workspace::new(workspace.store().clone());
    other.save_orchestration(message(6)).await?;
    ensure_eq!(other.orchestration_stats().await?.messages, 7, "saving continues");
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
    ensure!(told.contains("one\n[a part of what") && told.ends_with("\nthree"), "the context of an agent: {told}");

    let grace: AgentId = "agent-grace".into();
    let session = workspace.create_session(&Agent::new(grace.clone(), "Grace", "tester"), Default::default()).await?;
    say(&workspace, &session.id, 0..3).await?;
    damaging.damage_entries(Session::history(&session.id), 1..2);
    let told = workspace.context_summary(&grace).await?.unwrap_or_default();
    ensure!(told.contains("user: 0\n[a part of what") && told.ends_with("\nuser: 2"), "of a session: {told}");
    Ok(())
}
