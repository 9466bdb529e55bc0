//! Several writers on one session.

use nofx_core::Error;
use nofx_core::entity::Role;
use nofx_core::workspace::{Appended, RestoreOptions};

use super::world::{World, begin, content, numbered, said, say, tail, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

pub(super) async fn a_writer_gets_what_it_has_not_seen_instead_of_an_acknowledgement(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (one, two) = (world.open().await?, world.open().await?);
    let session = begin(&one).await?;
    say(&one, &session.id, 0..2).await?;
    let (mut first, mut second) = (one.session_writer(&session.id).await?, two.session_writer(&session.id).await?);
    ensure!(matches!(first.append(numbered(&one, 2..4)).await?, Appended::Done(2)), "the first writer");
    let Appended::Unseen(unseen) = second.append(numbered(&two, 100..101)).await? else {
        return Err(Unmet::new("the second writer had not seen everything and was not told"));
    };
    let unseen = unseen.into_iter().collect::<nofx_core::Result<Vec<_>>>()?;
    let told: Vec<_> = unseen.iter().map(|entry| (entry.position, content(&entry.message))).collect();
    ensure_eq!(told, [(2, "2".to_owned()), (3, "3".to_owned())], "what the second writer had not seen");
    ensure!(unseen[0].message.writer.is_some(), "who wrote it");
    ensure_eq!(said(&one, &session).await?, texts(0..4), "nothing was added");
    ensure!(matches!(second.append(numbered(&two, 4..5)).await?, Appended::Done(4)), "now it has seen everything");
    ensure!(matches!(second.append(vec![]).await?, Appended::Done(5)), "nothing to add");
    let writers: std::collections::HashSet<_> = tail(&one, &session, 10)
        .await?
        .iter()
        .map(|entry| entry.message.writer.as_ref().map(ToString::to_string))
        .collect();
    ensure_eq!(writers.len(), 2, "each message names its writer");
    one.archive_session(&session.id).await?;
    ensure!(matches!(second.append(numbered(&two, 5..6)).await, Err(Error::Invalid(_))), "archived");
    Ok(())
}

pub(super) async fn nothing_interleaves_silently_when_many_write(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    // All are opened before the first one writes, so each has seen nothing.
    let mut writers = Vec::new();
    for _ in 0..4 {
        let workspace = world.open().await?;
        writers.push((workspace.session_writer(&session.id).await?, workspace));
    }
    let mut writing = Vec::new();
    for (writer, (mut handle, workspace)) in writers.into_iter().enumerate() {
        writing.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            for n in 0..20 {
                let pair = vec![
                    workspace.message(Role::User, format!("{writer}:{n}:first")),
                    workspace.message(Role::User, format!("{writer}:{n}:second")),
                ];
                loop {
                    match handle.append(pair.clone()).await? {
                        Appended::Done(at) => {
                            seen.extend(pair.iter().map(content));
                            ensure_eq!(at + 2, seen.len() as u64, "where the pair is");
                            break;
                        }
                        Appended::Unseen(others) => {
                            for other in others {
                                seen.push(content(&other?.message));
                            }
                        }
                    }
                }
            }
            Ok::<_, Unmet>(seen)
        }));
    }
    let mut views = Vec::new();
    for writer in writing {
        views.push(writer.await??);
    }
    let all = said(&workspace, &session).await?;
    ensure_eq!(all.len(), 4 * 20 * 2, "everything was added once");
    for view in views {
        ensure_eq!(view, all[..view.len()], "what a writer saw is what is there");
    }
    for pair in all.chunks(2) {
        ensure_eq!(pair[0].replace("first", "second"), pair[1], "pairs stay together");
    }
    Ok(())
}

pub(super) async fn adding_regardless_is_explicit(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (one, two) = (world.open().await?, world.open().await?);
    let session = begin(&one).await?;
    let adding = (0..50).map(|n| {
        let (workspace, id) = (if n % 2 == 0 { one.clone() } else { two.clone() }, session.id.clone());
        tokio::spawn(async move { workspace.add_message(&id, workspace.message(Role::User, n.to_string())).await })
    });
    let mut places = Vec::new();
    for added in adding.collect::<Vec<_>>() {
        places.push(added.await??);
    }
    places.sort_unstable();
    ensure_eq!(places, (0..50).collect::<Vec<_>>(), "each has a place of its own");
    Ok(())
}

pub(super) async fn a_writer_that_keeps_count_adds_only_after_what_it_saw(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let parent = begin(&workspace).await?;
    say(&workspace, &parent.id, 0..3).await?;
    let session = workspace.restore_session(&parent.id, RestoreOptions::default()).await?;
    let add = |seen| workspace.append_at(&session.id, seen, numbered(&workspace, 10..11));

    let Appended::Unseen(unseen) = add(1).await? else {
        return Err(Unmet::new("a writer that has not seen what a session was restored with was not told"));
    };
    let unseen = unseen.into_iter().collect::<nofx_core::Result<Vec<_>>>()?;
    let told: Vec<_> = unseen.iter().map(|entry| (entry.position, content(&entry.message))).collect();
    ensure_eq!(told, [(1, "1".to_owned()), (2, "2".to_owned())], "what was not seen");
    ensure!(matches!(add(3).await?, Appended::Done(3)), "everything was seen");
    ensure!(matches!(add(3).await?, Appended::Unseen(newer) if newer.len() == 1), "its own message is news by then");
    ensure!(matches!(add(9).await, Err(Error::Invalid(_))), "there were never so many");
    ensure!(matches!(workspace.append_at(&session.id, 4, vec![]).await?, Appended::Done(4)), "nothing to add");
    ensure_eq!(workspace.history_length(&session).await?, 4, "added once");
    Ok(())
}
