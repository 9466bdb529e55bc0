//! Rewinding a session, and forking it at a position.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use nofx_core::entity::{Role, Session, SessionId};
use nofx_core::kind::{HISTORY, HISTORY_SHARED};
use nofx_core::workspace::{Appended, EventKind, Events, RestoreOptions, SearchQuery, Seen, SessionFilter, Workspace};
use nofx_core::{Direction, LogScan, Result, ScanQuery};

use super::world::{HOUR, MINUTE, World, begin, content, missed, refused, reload, said, say, tail, texts};
use crate::chance::Chance;
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

fn up_to(length: u64) -> RestoreOptions {
    RestoreOptions { up_to: Some(length), ..RestoreOptions::default() }
}

/// Ends the case unless something conflicted.
#[track_caller]
fn conflicted<T: std::fmt::Debug>(result: Result<T>) -> CaseResult {
    match result {
        Err(error) if error.code() == "conflict" => Ok(()),
        other => Err(Unmet::new(format!("expected `conflict`, found {other:?}"))),
    }
}

async fn hits(workspace: &Workspace, word: &str) -> CaseResult<Vec<(SessionId, u64)>> {
    let query = SearchQuery { words: vec![word.into()], ..SearchQuery::default() };
    let hits: Vec<_> = workspace.search(query).await?.try_collect().await?;
    Ok(hits.into_iter().map(|hit| (hit.session, hit.position)).collect())
}

pub(super) async fn what_is_after_the_cut_is_out_of_reach(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    let id = &session.id;
    let mut messages = vec![workspace.message(Role::System, "begin")];
    for n in 1..10 {
        world.clock.advance(MINUTE);
        messages.push(workspace.message(Role::User, format!("word{n}")));
    }
    workspace.add_messages(id, messages).await?;
    let cursor = workspace.events_end().await?;
    let rewound = workspace.rewind_session(id, 4, 10).await?;
    ensure_eq!(reload(&workspace, id).await?, rewound, "what is stored");
    let left: Vec<_> = ["begin", "word1", "word2", "word3"].map(str::to_owned).into();
    ensure_eq!(said(&workspace, &rewound).await?, left, "what is left");
    let backwards = workspace.history(&rewound, 0..u64::MAX, Direction::Backward, None);
    let backwards: Vec<_> = backwards.try_collect::<Vec<_>>().await?.iter().map(|one| one.position).collect();
    ensure_eq!(backwards, [3, 2, 1, 0], "backwards");
    ensure_eq!(content(&tail(&workspace, &rewound, 1).await?[0].message), "word3", "the newest");
    ensure_eq!(hits(&workspace, "word7").await?, [], "found after the cut");
    ensure_eq!(hits(&workspace, "word3").await?, [(id.clone(), 3)], "found before it");
    let json: String = workspace.export_json(id).await?.try_collect::<Vec<_>>().await?.concat();
    let text: String = workspace.export_markdown(id).await?.try_collect::<Vec<_>>().await?.concat();
    for exported in [&json, &text] {
        ensure!(exported.contains("word3") && !exported.contains("word4"), "an export: {exported}");
    }
    ensure!(!json.contains('$'), "what only the store needs is in an export: {json}");
    let summary = workspace.summary(id).await?.ok_or_else(|| Unmet::new("no summary"))?;
    ensure_eq!((summary.messages, summary.preview.as_deref()), (4, Some("word1")), "the summary");
    let last = session.last_active_at.map(|at| at.saturating_add(3 * MINUTE));
    ensure_eq!(Some(summary.last_active_at), last, "the last activity is that of the last message that is left");
    let recent = SessionFilter { active_since: Some(world.now().saturating_sub(MINUTE)), ..SessionFilter::default() };
    ensure_eq!(workspace.summaries(&recent, None, 10).await?.items.len(), 0, "where it is listed");
    let all = workspace.summaries(&SessionFilter::default(), None, 10).await?.items;
    ensure_eq!(all.iter().map(|one| one.messages).collect::<Vec<_>>(), [4], "the list");
    ensure_eq!(workspace.agent_totals(&session.agent_id).await?.messages, 4, "the totals");
    let Events::Page { events, .. } = workspace.events(Some(&cursor), 10).await? else {
        return Err(Unmet::new("a gap in the feed"));
    };
    let told: Vec<_> = events.into_iter().map(|event| (event.kind, event.session, event.length)).collect();
    ensure_eq!(told, [(EventKind::SessionRewound, Some(id.clone()), Some(4))], "what is told");

    ensure_eq!(workspace.add_message(id, workspace.message(Role::User, "next")).await?, 4, "where it continues");
    ensure_eq!(said(&workspace, &reload(&workspace, id).await?).await?, [left, vec!["next".into()]].concat(), "all");
    let Events::Page { events, .. } = workspace.events(Some(&cursor), 10).await? else {
        return Err(Unmet::new("a gap in the feed"));
    };
    let heard = events.last().map(|event| (event.kind, event.session.clone()));
    ensure_eq!(heard, Some((EventKind::MessageAdded, Some(id.clone()))), "the event of the next message");
    // To zero: the preview comes from the next first message.
    let empty = workspace.rewind_session(id, 0, 5).await?;
    ensure_eq!((empty.preview, said(&workspace, &reload(&workspace, id).await?).await?), (None, vec![]), "nothing");
    workspace.add_message(id, workspace.message(Role::User, "again")).await?;
    let rewound = reload(&workspace, id).await?;
    ensure_eq!(rewound.preview, Some("again".into()), "the preview");
    let elsewhere = world.elsewhere().await?;
    let imported = elsewhere.open().await?;
    let json: String = workspace.export_json(id).await?.try_collect::<Vec<_>>().await?.concat();
    let there = imported.import_session(&json, Default::default()).await?;
    ensure_eq!((said(&imported, &there).await?, there.rewinds), (vec!["again".to_owned()], 0), "an import");
    workspace.archive_session(id).await?;
    refused(workspace.add_message(id, workspace.message(Role::User, "late")).await)?;
    Ok(())
}

pub(super) async fn a_rewind_is_refused_where_it_is_not_possible(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let id = &begin(&workspace).await?.id;
    say(&workspace, id, 0..10).await?;
    let before = reload(&workspace, id).await?;
    let commits = counting.counts().committed;
    refused(workspace.rewind_session(id, 11, 10).await)?;
    conflicted(workspace.rewind_session(id, 5, 9).await)?;
    conflicted(workspace.rewind_session(id, 5, 11).await)?;
    conflicted(workspace.rewind_session(id, 5, Seen { length: 10, rewinds: Some(1) }).await)?;
    ensure_eq!(workspace.rewind_session(id, 10, 10).await?, before, "to the current length");
    missed(workspace.rewind_session(&"absent".into(), 0, 0).await)?;
    refused(workspace.update_session(id, |session| session.rewinds = 3).await)?;
    refused(workspace.restore_session(id, up_to(11)).await)?;
    ensure_eq!(counting.counts().committed, commits, "commits of all that");
    workspace.delete_session(id).await?;
    refused(workspace.rewind_session(id, 5, 10).await)?;
    workspace.undelete_session(id).await?;
    workspace.archive_session(id).await?;
    refused(workspace.rewind_session(id, 5, 10).await)?;
    ensure_eq!(said(&workspace, &reload(&workspace, id).await?).await?, texts(0..10), "its messages");
    Ok(())
}

pub(super) async fn a_caller_that_saw_what_was_taken_back_gets_a_conflict(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, other) = (world.open().await?, world.open().await?);
    let id = &begin(&workspace).await?.id;
    say(&workspace, id, 0..10).await?;
    let mut writer = other.session_writer(id).await?;
    workspace.rewind_session(id, 5, 10).await?;
    let message = || vec![other.message(Role::User, "mine")];
    conflicted(other.append_at(id, 10, message()).await)?;
    conflicted(writer.append(message()).await)?;
    // As long as before, but with other messages.
    say(&workspace, id, 100..105).await?;
    conflicted(writer.append(message()).await)?;
    conflicted(other.append_at(id, Seen { length: 10, rewinds: Some(0) }, message()).await)?;
    conflicted(other.rewind_session(id, 2, Seen { length: 10, rewinds: Some(0) }).await)?;
    let unseen: Result<Vec<String>> = match other.append_at(id, 5, message()).await? {
        Appended::Unseen(unseen) => unseen.into_iter().map(|one| one.map(|one| content(&one.message))).collect(),
        done => Err(nofx_core::Error::invalid(format!("{done:?}"))),
    };
    ensure_eq!(unseen?, texts(100..105), "what a caller that saw the rest has not seen");
    let mut writer = other.session_writer(id).await?;
    ensure!(matches!(writer.append(message()).await?, Appended::Done(10)), "another writer continues");
    Ok(())
}

pub(super) async fn a_rewind_costs_the_same_however_long_the_history_is(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let mut written = Vec::new();
    for length in [100, 20_000] {
        let id = begin(&workspace).await?.id;
        say(&workspace, &id, 0..length).await?;
        let before = counting.counts();
        workspace.rewind_session(&id, length - 10, length).await?;
        let spent = counting.counts() - before;
        ensure_eq!(spent.committed, 1, "commits");
        ensure!(spent.entries <= 20, "{} messages read of {length}", spent.entries);
        written.push(spent.batch_bytes);
        let before = counting.counts();
        workspace.restore_session(&id, up_to(length - 20)).await?;
        let spent = counting.counts() - before;
        ensure!(spent.committed == 1 && spent.entries <= 20, "a fork at a position: {spent:?}");
    }
    ensure!(written[1].abs_diff(written[0]) <= 64, "bytes written: {written:?}");

    // Rewound and continued again and again, as by a person who is not satisfied with the answers.
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..100).await?;
    for round in 0..120 {
        say(&workspace, &session.id, 1000..1003).await?;
        workspace.rewind_session(&session.id, 101 + round, 103 + round).await?;
    }
    let session = reload(&workspace, &session.id).await?;
    let before = counting.counts();
    let newest = tail(&workspace, &session, 50).await?;
    let spent = counting.counts() - before;
    ensure_eq!(newest.len(), 50, "the tail");
    ensure!(spent.reading_calls() <= 2, "{} calls for the tail after 120 rewinds", spent.reading_calls());
    ensure!(session.pieces.len() <= 4, "{} pieces after 120 rewinds", session.pieces.len());
    Ok(())
}

pub(super) async fn a_message_that_races_a_rewind_is_kept_or_refused(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (one, two) = (world.open().await?, world.open().await?);
    for round in 0..40 {
        let id = begin(&one).await?.id;
        say(&one, &id, 0..60).await?;
        let (adding, rewinding) = {
            let (one, two, id, other) = (one.clone(), two.clone(), id.clone(), id.clone());
            let message = one.message(Role::User, "late");
            // Every second round rewinds to zero.
            let to = if round % 2 == 0 { 55 } else { 0 };
            let add = tokio::spawn(async move { one.add_message(&id, message).await });
            (add, tokio::spawn(async move { two.rewind_session(&other, to, 60).await.map(|_| to) }))
        };
        let (added, rewound) = (adding.await??, rewinding.await?);
        let left = match rewound {
            Ok(to) => to,
            Err(error) if error.code() == "conflict" => 60,
            Err(error) => return Err(error.into()),
        };
        let expected = [texts(0..left), vec!["late".to_owned()]].concat();
        ensure_eq!(said(&two, &reload(&two, &id).await?).await?, expected, "what is said in round {round}");
        ensure_eq!(added, left, "where the message is, in round {round}");
    }
    Ok(())
}

pub(super) async fn a_fork_begins_at_any_position(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let parent = begin(&workspace).await?;
    say(&workspace, &parent.id, 0..100).await?;
    let child = workspace.restore_session(&parent.id, RestoreOptions::default()).await?;
    say(&workspace, &child.id, 100..160).await?;
    world.clock.advance(HOUR);
    for length in [0, 1, 30, 99, 100, 101, 120, 151, 160] {
        let fork = workspace.restore_session(&child.id, up_to(length)).await?;
        ensure_eq!(said(&workspace, &fork).await?, texts(0..length), "a fork at {length}");
        let preview = (length > 0).then(|| "0".into());
        ensure_eq!(
            (fork.preview.clone(), fork.restored_from.clone()),
            (preview, Some(child.id.clone())),
            "at {length}"
        );
        say(&workspace, &fork.id, 500..502).await?;
        let expected = [texts(0..length), texts(500..502)].concat();
        ensure_eq!(said(&workspace, &reload(&workspace, &fork.id).await?).await?, expected, "going on at {length}");
        let again = workspace.restore_session(&fork.id, up_to(length + 1)).await?;
        ensure_eq!(said(&workspace, &again).await?.len() as u64, length + 1, "a fork of a fork at {length}");
    }
    ensure_eq!(said(&workspace, &child).await?, texts(0..160), "the old one");
    let options = RestoreOptions { summarize_history: true, ..up_to(60) };
    let short = said(&workspace, &workspace.restore_session(&child.id, options).await?).await?;
    ensure!(short[0].contains("60 messages"), "the summary: {}", short[0]);
    ensure_eq!(short[1..], texts(10..60), "the newest of those");
    Ok(())
}

/// What the sessions of a store should say.
type Model = BTreeMap<String, (SessionId, Vec<String>)>;

async fn compare(workspace: &Workspace, model: &Model, step: usize) -> CaseResult {
    for (name, (id, expected)) in model {
        let session = reload(workspace, id).await?;
        let found = said(workspace, &session).await?;
        ensure_eq!(found, *expected, "{name} after step {step}");
        ensure_eq!(workspace.history_length(&session).await?, expected.len() as u64, "{name} after step {step}");
        let preview = session.preview.map(|preview| preview.to_string());
        ensure_eq!(preview.as_ref(), expected.first(), "the preview of {name} after step {step}");
    }
    Ok(())
}

pub(super) async fn whatever_is_forked_rewound_and_purged_the_others_stay_whole(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    for seed in 0..6 {
        let chance = Chance::new(seed);
        let mut model = Model::new();
        let mut said_before = 0;
        for step in 0..60 {
            let names: Vec<_> = model.keys().cloned().collect();
            if names.is_empty() || (names.len() < 3 && chance.once_in(8)) {
                model.insert(format!("{seed}-{step}"), (begin(&workspace).await?.id, Vec::new()));
                continue;
            }
            let name = &names[chance.below(names.len())];
            let Some((id, expected)) = model.get_mut(name) else { continue };
            let id = id.clone();
            match chance.below(10) {
                0..=3 => {
                    let count = [1, 2, 30, 70][chance.below(4)];
                    say(&workspace, &id, said_before..said_before + count).await?;
                    expected.extend(texts(said_before..said_before + count));
                    said_before += count;
                }
                4..=6 => {
                    let to = chance.below(expected.len() + 1);
                    workspace.rewind_session(&id, to as u64, expected.len() as u64).await?;
                    expected.truncate(to);
                }
                7 | 8 => {
                    let to = chance.below(expected.len() + 1);
                    let expected = expected[..to].to_vec();
                    let fork = workspace.restore_session(&id, up_to(to as u64)).await?;
                    model.insert(format!("{name}>{step}"), (fork.id, expected));
                }
                _ => {
                    workspace.purge_live_session(&id).await?;
                    model.remove(name);
                }
            }
            compare(&workspace, &model, step).await?;
        }
        let mut found = 0;
        for (name, (id, expected)) in &model {
            ensure_eq!(workspace.summary(id).await?.map(|one| one.messages), Some(expected.len() as u64), "{name}");
            found += 1;
        }
        ensure_eq!(workspace.summaries(&SessionFilter::default(), None, 100).await?.items.len(), found, "the list");
        for (id, _) in model.into_values() {
            workspace.purge_live_session(&id).await?;
        }
        let backend = workspace.store().backend().clone();
        ensure_eq!(backend.logs(&LogScan::of(HISTORY, 10)).await?.items, [], "messages go with their last reader");
        ensure_eq!(
            backend.scan(&ScanQuery::of(HISTORY_SHARED, 10)).await?.items,
            [],
            "and the record of their readers is gone"
        );
    }
    Ok(())
}

pub(super) async fn only_what_needs_it_is_written_by_the_second_schema(subject: Subject) -> CaseResult {
    use nofx_core::entity::Entity;
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..60).await?;
    let fork = workspace.restore_session(&session.id, up_to(55)).await?;
    let rewound = workspace.rewind_session(&session.id, 55, 60).await?;
    let again = workspace.restore_session(&session.id, RestoreOptions::default()).await?;
    say(&workspace, &session.id, 100..160).await?;
    let of_both = workspace.restore_session(&session.id, RestoreOptions::default()).await?;
    let without = RestoreOptions { conversation_history: false, ..RestoreOptions::default() };
    let without = workspace.restore_session(&session.id, without).await?;
    let schemas = async |sessions: [&Session; 6]| -> CaseResult<Vec<u32>> {
        let mut schemas = Vec::new();
        for session in sessions {
            schemas.push(reload(&workspace, &session.id).await?.schema());
        }
        Ok(schemas)
    };
    let found = schemas([&begin(&workspace).await?, &fork, &again, &without, &rewound, &of_both]).await?;
    ensure_eq!(found, [1, 1, 1, 1, 2, 2], "schemas");
    ensure_eq!(said(&workspace, &of_both).await?, [texts(0..55), texts(100..160)].concat(), "what they say");
    Ok(())
}
