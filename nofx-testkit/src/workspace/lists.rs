//! Lists of sessions: filters, pages, order and cost.

use std::collections::HashSet;
use std::time::Duration;

use nofx_core::entity::{EntityId, Message, RecordEntity, Role, Session, SessionId, SessionStatus};
use nofx_core::workspace::{SessionFilter, SessionState, Workspace, index_session, new_session};
use nofx_core::{Body, Expect, RecordKey, Timestamp};

use super::world::{BEGIN, DAY, HOUR, MINUTE, World, ada, begin, refused, say};
use crate::subject::Subject;
use crate::unmet::{CaseResult, ensure, ensure_eq};

/// Also counts the reads of a page with this many sessions.
const MOST_SESSIONS: &str = "NOFX_WORKSPACE_SESSIONS";

/// Adds sessions as an import does, many in one batch.
async fn fill(workspace: &Workspace, numbers: std::ops::Range<u64>) -> CaseResult {
    let all: Vec<_> = numbers.collect();
    for some in all.chunks(1000) {
        let mut batch = workspace.store().batch();
        for n in some {
            let mut session = Session::new(format!("session-{n}"), format!("session {n}"), format!("agent-{}", n % 3));
            session.created_at = Some(BEGIN);
            session.last_active_at = Some(BEGIN.saturating_add(Duration::from_secs(*n)));
            batch = new_session(batch, &session, None)?;
        }
        workspace.store().commit(batch).await?.committed()?;
    }
    Ok(())
}

pub(super) async fn a_page_costs_three_times_its_items_at_most(subject: Subject) -> CaseResult {
    let usual = subject.factory.most_sessions();
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let most = std::env::var(MOST_SESSIONS).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let mut filled = 0;
    for sessions in [10, 1000, most] {
        fill(&workspace, filled..sessions).await?;
        filled = sessions;
        let agent = SessionFilter { agent: Some("agent-1".into()), ..SessionFilter::default() };
        let status = SessionFilter { status: Some(SessionStatus::Active), ..SessionFilter::default() };
        let since = BEGIN.saturating_add(Duration::from_secs(sessions / 2));
        let middle = SessionFilter { active_before: Some(since), ..SessionFilter::default() };
        for filter in [SessionFilter::default(), agent, status, middle] {
            let before = counting.counts();
            let page = workspace.summaries(&filter, None, 50).await?;
            let spent = counting.counts() - before;
            let (counted, items) = (spent.records + spent.heads + spent.entries, page.items.len() as u64);
            // Sessions within one minute are unordered, so those at the edge of the time range are read
            // too.
            let edge = if filter.active_before.is_some() { 3 * 60 } else { 0 };
            ensure!(counted <= 3 * items + edge, "{counted} items read for {items} of {sessions}, {filter:?}");
            ensure!(items >= sessions.min(50) / 4, "{items} of {sessions} sessions found by {filter:?}");
        }
        let before = counting.counts();
        workspace.summaries(&SessionFilter::default(), None, 50).await?;
        ensure_eq!((counting.counts() - before).reading_calls(), 3, "calls for the first page of {sessions}");
    }
    Ok(())
}

pub(super) async fn every_filter_finds_what_it_says(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let mut other = ada();
    other.id = "agent-grace".into();
    let first = begin(&workspace).await?.id;
    world.clock.advance(HOUR);
    let second = workspace.create_session(&other, Default::default()).await?.id;
    workspace.rename_session(&second, "Sorting the Größe").await?;
    world.clock.advance(HOUR);
    let third = begin(&workspace).await?.id;
    workspace.pause_session(&third).await?;
    world.clock.advance(HOUR);
    let fourth = begin(&workspace).await?.id;
    workspace.archive_session(&fourth).await?;
    let fifth = begin(&workspace).await?.id;
    workspace.delete_session(&fifth).await?;
    world.clock.advance(HOUR + MINUTE);

    let all = SessionFilter::default;
    let at = |hours: u32| Some(BEGIN.saturating_add(hours * HOUR));
    for (what, filter, expected) in [
        ("all", all(), vec![&fourth, &third, &second, &first]),
        ("of an agent", SessionFilter { agent: Some("agent-grace".into()), ..all() }, vec![&second]),
        ("active", SessionFilter { status: Some(SessionStatus::Active), ..all() }, vec![&second, &first]),
        ("paused", SessionFilter { status: Some(SessionStatus::Paused), ..all() }, vec![&third]),
        ("archived", SessionFilter { status: Some(SessionStatus::Archived), ..all() }, vec![&fourth]),
        (
            "of an agent and active",
            SessionFilter { agent: Some(ada().id), status: Some(SessionStatus::Active), ..all() },
            vec![&first],
        ),
        ("before", SessionFilter { active_before: at(2), ..all() }, vec![&second, &first]),
        ("since", SessionFilter { active_since: at(2), ..all() }, vec![&fourth, &third]),
        ("between", SessionFilter { active_since: at(1), active_before: at(2), ..all() }, vec![&second]),
        ("by text", SessionFilter { text: Some("größe".into()), ..all() }, vec![&second]),
        ("by text, its accents apart", SessionFilter { text: Some("gro\u{308}ße".into()), ..all() }, vec![&second]),
        ("by text that is in none", SessionFilter { text: Some("grosse".into()), ..all() }, vec![]),
        ("in the trash", SessionFilter { trash: true, ..all() }, vec![&fifth]),
    ] {
        let found = ids(&workspace, &filter, 100).await?;
        ensure_eq!(found.iter().collect::<Vec<_>>(), expected, "sessions {what}");
        ensure_eq!(ids(&workspace, &filter, 1).await?, found, "sessions {what}, one by one");
    }
    world.clock.advance(HOUR);
    let expired = SessionFilter { expired: Some(true), ..all() };
    ensure_eq!(ids(&workspace, &expired, 10).await?, std::slice::from_ref(&first), "expired by now");
    let page = workspace.summaries(&expired, None, 10).await?;
    ensure_eq!(page.items[0].state, SessionState::Expired, "its state");
    ensure_eq!(page.items[0].duration(), Duration::ZERO, "how long something happened in it");
    refused(workspace.summaries(&all(), None, 0).await)?;
    refused(workspace.summaries(&SessionFilter { trash: true, agent: Some(ada().id), ..all() }, None, 1).await)?;
    Ok(())
}

/// Returns the ids of all sessions that a filter finds, in pages.
async fn ids(workspace: &Workspace, filter: &SessionFilter, limit: usize) -> CaseResult<Vec<SessionId>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = workspace.summaries(filter, after, limit).await?;
        ensure!(page.items.len() <= limit, "a page of {} sessions, limit {limit}", page.items.len());
        all.extend(page.items.into_iter().map(|summary| summary.session.id));
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

pub(super) async fn pages_hold_each_session_once_in_the_order_of_activity(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let mut expected = Vec::new();
    for n in 0..60 {
        expected.push(begin(&workspace).await?.id);
        world.clock.advance(MINUTE * (n % 3));
        if n % 4 == 0 {
            // A session that was already there is active again and moves to the front.
            let again = expected.remove(n as usize / 2);
            world.clock.advance(2 * MINUTE);
            workspace.add_message(&again, workspace.message(Role::User, "again")).await?;
            expected.push(again);
            world.clock.advance(2 * MINUTE);
        }
    }
    expected.reverse();
    for limit in [1, 7, 60, 100] {
        let found = ids(&workspace, &SessionFilter::default(), limit).await?;
        let distinct: HashSet<_> = found.iter().map(|id| id.to_string()).collect();
        ensure_eq!((found.len(), distinct.len()), (60, 60), "each once, {limit} a page");
        let mut times = Vec::new();
        for id in &found {
            let filter = SessionFilter::default();
            let all = workspace.summaries(&filter, None, 100).await?.items;
            times.extend(all.into_iter().find(|one| one.session.id == *id).map(|one| one.last_active_at));
            if limit == 100 {
                break;
            }
        }
        let minutes: Vec<_> = times.iter().map(|at| at.as_millis() / 60_000).collect();
        ensure!(minutes.is_sorted_by(|a, b| a >= b), "newest activity first, {limit} a page: {minutes:?}");
    }
    let page = workspace.summaries(&SessionFilter::default(), None, 60).await?.items;
    let times: Vec<_> = page.iter().map(|one| one.last_active_at).collect();
    ensure!(times.is_sorted_by(|a, b| a >= b), "within a page exactly: {times:?}");
    Ok(())
}

pub(super) async fn activity_of_a_clock_that_went_back_is_what_the_last_message_says(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    world.clock.set(BEGIN.saturating_sub(DAY));
    let session = begin(&workspace).await?.id;
    world.clock.set(BEGIN);
    say(&workspace, &session, 0..1).await?;
    world.clock.set(BEGIN.saturating_sub(HOUR));
    say(&workspace, &session, 1..2).await?;
    for (before, found) in [(BEGIN.saturating_sub(HOUR), 0), (BEGIN.saturating_sub(HOUR - MINUTE), 1)] {
        let filter = SessionFilter { active_before: Some(before), ..SessionFilter::default() };
        ensure_eq!(ids(&workspace, &filter, 10).await?.len(), found, "active before {before}");
    }
    let listed = workspace.summaries(&SessionFilter::default(), None, 1).await?.items;
    ensure_eq!(listed[0].last_active_at, BEGIN.saturating_sub(HOUR), "its last activity");
    Ok(())
}

pub(super) async fn one_session_is_described_as_in_the_list(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let parent = begin(&workspace).await?;
    say(&workspace, &parent.id, 0..3).await?;
    world.clock.advance(HOUR);
    let session = workspace.restore_session(&parent.id, Default::default()).await?;
    say(&workspace, &session.id, 3..4).await?;
    for listed in workspace.summaries(&SessionFilter::default(), None, 10).await?.items {
        ensure_eq!(workspace.summary(&listed.session.id).await?, Some(listed), "what is said of it");
    }
    ensure_eq!(
        workspace.summary(&session.id).await?.map(|one| one.messages),
        Some(4),
        "with those it was restored with"
    );
    workspace.delete_session(&session.id).await?;
    let told = workspace.summary(&session.id).await?.map(|one| one.state.name());
    ensure_eq!(told, Some("deleted"), "one in the trash");
    ensure_eq!(workspace.summary(&"absent".into()).await?, None, "one that is not there");
    Ok(())
}

pub(super) async fn one_that_cannot_be_read_does_not_hide_the_others(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let good = [begin(&workspace).await?.id, begin(&workspace).await?.id];
    let bad = Session::new("bad", "bad", "agent-ada");
    let batch = index_session(workspace.store().batch(), &bad, None, Some(world.now()))?;
    let batch = batch.put(bad.id.record_key(Session::KIND), Expect::Absent, Body::parse("[]")?);
    workspace.store().commit(batch).await?.committed()?;
    let page = workspace.summaries(&SessionFilter::default(), None, 10).await?;
    ensure_eq!(page.items.len(), good.len(), "the others");
    ensure_eq!(page.unreadable.len(), 1, "what cannot be read");
    ensure_eq!(
        (&page.unreadable[0].session, page.unreadable[0].error.code()),
        (&Some(bad.id), "corrupt"),
        "which and why"
    );
    Ok(())
}

pub(super) async fn ten_thousand_sessions_of_one_agent_are_no_trouble(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    for begun in 0..10 {
        let mut batch = workspace.store().batch();
        for n in 0..1000 {
            let mut session = Session::new(format!("session-{begun}-{n}"), "one of many", "agent-ada");
            session.last_active_at = Some(Timestamp::from_millis(BEGIN.as_millis() + begun * 1_000_000 + n * 1000));
            batch = new_session(batch, &session, None)?;
        }
        workspace.store().commit(batch).await?.committed()?;
    }
    let one: SessionId = "session-5-500".into();
    workspace.add_message(&one, Message::new("m", world.now().saturating_add(DAY), Role::User, "hello")).await?;
    let filter = SessionFilter { agent: Some("agent-ada".into()), ..SessionFilter::default() };
    let page = workspace.summaries(&filter, None, 50).await?;
    ensure_eq!((page.items.len(), &page.items[0].session.id), (50, &one), "the first page");
    let totals = workspace.agent_totals(&"agent-ada".into()).await?;
    ensure_eq!((totals.sessions, totals.messages), (10_000, 1), "the totals");
    let place: RecordKey = one.record_key(nofx_core::kind::ACTIVITY_PLACE);
    ensure!(workspace.store().get(&[place]).await?[0].is_some(), "where it is listed");
    Ok(())
}
