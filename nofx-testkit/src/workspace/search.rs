//! Searching messages.

use futures_util::{StreamExt, TryStreamExt};
use nofx_core::entity::{Entity, Message, Role};
use nofx_core::json::Object;
use nofx_core::workspace::{Done, Progress, RestoreOptions, RetentionPolicy, SearchHit, SearchQuery, Workspace};

use super::world::{HOUR, World, ada, begin, refused, say};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

async fn found(workspace: &Workspace, query: SearchQuery) -> CaseResult<Vec<SearchHit>> {
    Ok(workspace.search(query).await?.try_collect().await?)
}

fn words(words: &[&str]) -> SearchQuery {
    SearchQuery { words: words.iter().map(|word| word.to_string()).collect(), ..SearchQuery::default() }
}

pub(super) async fn words_are_found_in_any_case_with_what_stands_around_them(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..50).await?;
    let text = format!("{} the Needle in\nthe hay {}", "before ".repeat(40), "after ".repeat(40));
    workspace.add_message(&session.id, workspace.message(Role::Assistant, text)).await?;
    workspace.add_message(&session.id, workspace.message(Role::User, "Größe, needle!")).await?;
    let hits = found(&workspace, words(&["NEEDLE", "hay"])).await?;
    ensure_eq!(hits.len(), 1, "messages with both words");
    let hit = &hits[0];
    ensure_eq!((&hit.session, hit.position, &hit.role), (&session.id, 50, &Some(Role::Assistant)), "which message");
    ensure!(hit.snippet.contains("the Needle in the hay"), "the text around them: {}", hit.snippet);
    ensure!(hit.snippet.chars().count() <= 130, "a snippet of {} characters", hit.snippet.chars().count());
    ensure_eq!(found(&workspace, words(&["grösse"])).await?, [], "another spelling");
    ensure_eq!(found(&workspace, words(&["größe"])).await?.len(), 1, "letters beyond ASCII in another case");
    ensure_eq!(found(&workspace, words(&["needle"])).await?.len(), 2, "one word");
    for (said, wanted) in [
        ("cafe\u{301}", "CAF\u{c9}"),
        ("na\u{ef}f", "nai\u{308}f"),
        ("ΟΔΟΣ", "οδοσ"),
        ("οδος", "ΟΔΟΣ"),
        ("300 \u{212a}elvin", "kelvin"),
        ("tok\u{130}", "TOKI"),
    ] {
        let place =
            workspace.add_message(&session.id, workspace.message(Role::User, format!("{said}, {said}"))).await?;
        let hits = found(&workspace, words(&[wanted])).await?;
        ensure!(hits.iter().any(|hit| hit.position == place), "{wanted} in {said}");
    }
    let accents = format!("{} needlework {}", "e\u{301}".repeat(500), "o".repeat(500));
    workspace.add_message(&session.id, workspace.message(Role::User, accents)).await?;
    let hits = found(&workspace, words(&["NEEDLEWORK"])).await?;
    ensure!(hits.len() == 1 && hits[0].snippet.contains("needlework"), "the text around it: {hits:?}");
    ensure_eq!(found(&workspace, words(&["needles"])).await?, [], "a word that is not there");
    let first = workspace.search(words(&["needle"])).await?.next().await.transpose()?;
    ensure_eq!(first.map(|hit| hit.position), Some(50), "the first hit alone");
    Ok(())
}

pub(super) async fn long_work_says_how_far_it_is(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    for _ in 0..3 {
        say(&workspace, &begin(&workspace).await?.id, 0..10).await?;
    }
    let progress = Progress::default();
    let reporting = workspace.with_progress(&progress);
    ensure_eq!(progress.get(), Done::default(), "before anything has begun");
    found(&reporting, words(&["1"])).await?;
    ensure_eq!(progress.get(), Done { phase: "searching", done: 3, total: 3 }, "a search");
    found(&workspace, words(&["1"])).await?;
    world.clock.advance(24 * HOUR);
    let policy = RetentionPolicy { max_sessions: Some(1), ..RetentionPolicy::default() };
    let plan = reporting.cleanup_plan(&policy).await?;
    ensure_eq!(progress.get(), Done { phase: "planning", done: 3, total: 3 }, "a plan");
    ensure_eq!(reporting.cleanup(&plan).await?.deleted, 2, "sessions put into the trash");
    ensure_eq!(progress.get(), Done { phase: "cleaning", done: 2, total: 2 }, "a cleanup");
    Ok(())
}

pub(super) async fn every_filter_of_a_search_works(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let mut grace = ada();
    grace.id = "agent-grace".into();
    let of_ada = begin(&workspace).await?.id;
    let of_grace = workspace.create_session(&grace, Default::default()).await?.id;
    let begun = world.now();
    for (session, role) in [(&of_ada, Role::User), (&of_grace, Role::Assistant), (&of_grace, Role::User)] {
        workspace.add_message(session, workspace.message(role, "needle")).await?;
        world.clock.advance(HOUR);
    }
    let deleted = begin(&workspace).await?.id;
    workspace.add_message(&deleted, workspace.message(Role::User, "needle")).await?;
    workspace.delete_session(&deleted).await?;

    let needle = || words(&["needle"]);
    let at = |hours: u32| Some(begun.saturating_add(hours * HOUR));
    for (what, query, expected) in [
        ("anywhere", needle(), vec![(&of_grace, 0), (&of_grace, 1), (&of_ada, 0)]),
        ("of an agent", SearchQuery { agent: Some(ada().id), ..needle() }, vec![(&of_ada, 0)]),
        ("of a role", SearchQuery { role: Some(Role::User), ..needle() }, vec![(&of_grace, 1), (&of_ada, 0)]),
        ("since", SearchQuery { since: at(2), ..needle() }, vec![(&of_grace, 1)]),
        ("until", SearchQuery { until: at(1), ..needle() }, vec![(&of_ada, 0)]),
        ("in the trash", SearchQuery { trash: true, ..needle() }, vec![(&deleted, 0)]),
        ("without words", SearchQuery { since: at(2), ..SearchQuery::default() }, vec![(&of_grace, 1)]),
    ] {
        let hits = found(&workspace, query).await?;
        let hits: Vec<_> = hits.iter().map(|hit| (&hit.session, hit.position)).collect();
        ensure_eq!(hits, expected, "messages {what}");
    }
    refused(workspace.search(SearchQuery { trash: true, agent: Some(ada().id), ..needle() }).await.map(drop))?;
    Ok(())
}

pub(super) async fn a_message_of_several_sessions_is_found_once(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let parent = begin(&workspace).await?.id;
    workspace.add_message(&parent, workspace.message(Role::User, "needle one")).await?;
    world.clock.advance(HOUR);
    let child = workspace.restore_session(&parent, RestoreOptions::default()).await?.id;
    workspace.add_message(&child, workspace.message(Role::User, "needle two")).await?;
    world.clock.set(world.now().saturating_sub(HOUR));
    workspace.add_message(&parent, workspace.message(Role::User, "needle three")).await?;
    let hits = found(&workspace, words(&["needle"])).await?;
    let hits: Vec<_> = hits.iter().map(|hit| (&hit.session, hit.position, &*hit.snippet)).collect();
    let expected = [(&child, 0, "needle one"), (&child, 1, "needle two"), (&parent, 1, "needle three")];
    ensure_eq!(hits, expected, "each once, in the newest session that has it");
    workspace.delete_session(&parent).await?;
    workspace.purge_session(&parent).await?;
    ensure_eq!(found(&workspace, words(&["needle one"])).await?.len(), 1, "what a fork has of a session that is gone");
    Ok(())
}

pub(super) async fn long_and_strangely_spelled_contents_are_searched_too(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?.id;
    let long = format!("{} needle", "hay ".repeat(50_000));
    workspace.add_message(&session, workspace.message(Role::Tool, long)).await?;
    for raw in [r#"{"content":"n\u0065edle"}"#, r#"{"content":"\ud83d needle"}"#, r#"{"content":["needle"]}"#] {
        let object = Object::parse(raw).map_err(|error| Unmet::new(error.to_string()))?;
        workspace.add_message(&session, Message::from_object(object)).await?;
    }
    let places: Vec<_> = found(&workspace, words(&["needle"])).await?.iter().map(|hit| hit.position).collect();
    ensure_eq!(places, [0, 1, 2], "long, escaped, cut; what is no text says nothing");
    Ok(())
}
