//! Several processes on one store.

use std::time::Duration;

use nofx_core::{Batch, BatchId, Deadline, Expect};

use super::handles::{Twins, dense_and_once, increment};
use crate::child::{ChildProcess, ChildRole, say};
use crate::subject::{Handle, Subject, batch, entries, entry, in_background, note, number, talk, texts};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// What children do, by name.
pub(crate) const ROLES: &[(&str, ChildRole)] = &[
    ("increments", |store, needs| Box::pin(increments(store, needs))),
    ("appends", |store, needs| Box::pin(appends(store, needs))),
    ("steps", |store, _| Box::pin(steps(store))),
    ("looks", |store, needs| Box::pin(looks(store, needs))),
    ("repeats", |store, needs| Box::pin(repeats(store, needs))),
    ("shows", |store, _| Box::pin(shows(store))),
    ("begins", |store, needs| Box::pin(begins(store, needs))),
    ("opens", |store, needs| Box::pin(crate::workspace::hosts::opens(store, needs))),
    ("follows", |store, needs| Box::pin(follows(store, needs))),
];

fn numbers(needs: &[String]) -> CaseResult<Vec<u64>> {
    needs.iter().map(|need| Ok(need.parse()?)).collect()
}

/// Increments the counter this many times.
async fn increments(store: Handle, needs: Vec<String>) -> CaseResult {
    for _ in 0..numbers(&needs)?[0] {
        increment(&store, &note("counter")?).await?;
    }
    say("done")
}

/// Appends this many numbers, from a first one, and says each position.
async fn appends(store: Handle, needs: Vec<String>) -> CaseResult {
    let needs = numbers(&needs)?;
    for n in needs[0]..needs[0] + needs[1] {
        let committed = store.patiently(batch().append(talk("shared")?, vec![entry(n)])).await?.committed()?;
        say(format!("{n} {}", committed.appended[0].start))?;
    }
    Ok(())
}

/// Writes one step of the twins after the other until it is killed, and says each that is acknowledged.
async fn steps(store: Handle) -> CaseResult {
    let twins = Twins::new()?;
    let mut n = twins.look(&store).await?;
    loop {
        store.patiently(twins.step(n)).await?.committed()?;
        n += 1;
        say(n)?;
    }
}

/// Reads the twins until this many steps are there, and says how often it read.
async fn looks(store: Handle, needs: Vec<String>) -> CaseResult {
    let (twins, until) = (Twins::new()?, numbers(&needs)?[0]);
    let mut looks = 1;
    while twins.look(&store).await? < until {
        looks += 1;
    }
    say(looks)
}

/// Commits a batch that the parent has already committed.
async fn repeats(store: Handle, needs: Vec<String>) -> CaseResult {
    let id = u128::from_str_radix(&needs[0], 16)?;
    let committed = store.patiently(repeated(BatchId::from_bytes(id.to_be_bytes()))?).await?.committed()?;
    say(format!("{committed:?}"))
}

fn repeated(id: BatchId) -> CaseResult<Batch> {
    Ok(Batch::new(id).put(note("once")?, Expect::Absent, number(1)).append(talk("once")?, entries(0..3)))
}

/// Says what the store holds.
async fn shows(store: Handle) -> CaseResult {
    say(store.info().store)?;
    // The text of a content has no line breaks: those in ids are escaped.
    say(format!("{:?}", store.content().await?))?;
    say(format!("{:?}", store.feed(None, 3).await?))
}

/// Appends one number to the store that it opened, and says which store that is.
async fn begins(store: Handle, needs: Vec<String>) -> CaseResult {
    let n = numbers(&needs)?[0];
    store.patiently(batch().append(talk("shared")?, vec![entry(n)])).await?.committed()?;
    say(store.info().store)
}

/// Follows the feed for this many commits, and says the id of each.
async fn follows(store: Handle, needs: Vec<String>) -> CaseResult {
    let until = numbers(&needs)?[0];
    let deadline = Deadline::after(Duration::from_secs(60));
    let (mut cursor, mut found) = (None, 0);
    while found < until && !deadline.has_passed() {
        let (changes, next) = store.feed(cursor.as_ref(), 4).await?;
        for change in changes {
            say(change.batch)?;
            found += 1;
        }
        cursor = Some(next);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

pub(super) async fn a_new_place_that_several_processes_open_at_once_holds_one_store(subject: Subject) -> CaseResult {
    for round in 0..3 {
        let place = subject.elsewhere().await?;
        let children: Vec<_> =
            (0..4).map(|n| ChildProcess::start(&place, "begins", &[&format!("{n}")])).collect::<CaseResult<_>>()?;
        let mut told = Vec::new();
        for child in children {
            told.extend(child.finish().await?);
        }
        let store = place.open().await?;
        ensure_eq!(told, vec![store.info().store.to_string(); 4], "round {round}: every process opened this store");
        ensure_eq!(store.head(&talk("shared")?).await?.length, 4, "round {round}: which has what all of them wrote");
    }
    Ok(())
}

pub(super) async fn a_process_sees_what_another_committed(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    for n in 0..3 {
        let both = batch()
            .put(note("a\n")?, Expect::Any, number(n))
            .delete(note(format!("{n}"))?, Expect::Any)
            .append(talk("a")?, entries(n..n + 5))
            .seal(talk(format!("sealed {n}"))?)
            .remove(talk(format!("removed {n}"))?);
        store.commits(both).await?;
        let said = ChildProcess::start(&subject, "shows", &[])?.finish().await?;
        let expected = [
            store.info().store.to_string(),
            format!("{:?}", store.content().await?),
            format!("{:?}", store.feed(None, 3).await?),
        ];
        ensure_eq!(said, expected, "what another process reads: store, content and feed");
    }
    Ok(())
}

pub(super) async fn this_process_sees_each_commit_of_another(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let mut child = ChildProcess::start(&subject, "appends", &["0", "30"])?;
    let mut heard = 0;
    while let Some(said) = child.next().await? {
        ensure_eq!(said, format!("{heard} {heard}"), "the number and the position that another process got");
        heard += 1;
        let length = store.head(&talk("shared")?).await?.length;
        ensure!(length >= heard, "another process was acknowledged {heard} entries and this one sees {length}");
    }
    ensure_eq!(heard, 30, "appends");
    let found = store.entries(&talk("shared")?).await?;
    ensure_eq!(texts(&found), (0..30).map(|n| n.to_string()).collect::<Vec<_>>(), "in order");
    Ok(())
}

pub(super) async fn writers_in_several_processes_lose_no_update(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let mut children = Vec::new();
    for _ in 0..3 {
        children.push(ChildProcess::start(&subject, "increments", &["20"])?);
    }
    let here = store.clone();
    let own = in_background(async move {
        for _ in 0..20 {
            increment(&here, &note("counter")?).await?;
        }
        Ok(())
    });
    for child in children {
        child.finish().await?;
    }
    own.await??;
    let record = store.record(&note("counter")?).await?.ok_or_else(|| Unmet::new("no counter"))?;
    ensure_eq!((record.body, record.version.get()), (number(80), 80), "every increment counts and took one number");
    Ok(())
}

pub(super) async fn appends_of_several_processes_are_dense_and_each_there_once(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let mut children = Vec::new();
    for writer in ["1000", "2000", "3000"] {
        children.push(ChildProcess::start(&subject, "appends", &[writer, "25"])?);
    }
    let mut told = Vec::new();
    for child in children {
        told.extend(child.finish().await?);
    }
    let found = store.entries(&talk("shared")?).await?;
    let positions: Vec<_> = found.iter().map(|entry| entry.position).collect();
    dense_and_once(&talk("shared")?, &texts(&found), &positions)?;
    let mut expected: Vec<_> = found.iter().map(|entry| format!("{} {}", entry.body, entry.position)).collect();
    expected.sort();
    told.sort();
    ensure_eq!(told, expected, "every entry is where its writer was told");
    Ok(())
}

pub(super) async fn no_process_ever_sees_half_a_batch(subject: Subject) -> CaseResult {
    let (store, twins) = (subject.open().await?, Twins::new()?);
    let readers = [ChildProcess::start(&subject, "looks", &["60"])?, ChildProcess::start(&subject, "looks", &["60"])?];
    let mut writer = ChildProcess::start(&subject, "steps", &[])?;
    let mut told = 0;
    while told < 60 {
        let said = writer.next().await?.ok_or_else(|| Unmet::new("the writer ended"))?;
        told = said.parse()?;
        let seen = twins.look(&store).await?;
        ensure!(seen >= told, "step {told} was acknowledged to the writer, and this process sees step {seen}");
    }
    drop(writer);
    for reader in readers {
        let said = reader.finish().await?;
        ensure_eq!(said.len(), 1, "a reader in another process read something");
    }
    Ok(())
}

pub(super) async fn a_batch_repeated_by_another_process_answers_its_first_outcome(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let id = batch().id;
    let first = store.commits(repeated(id)?).await?;
    let said = ChildProcess::start(&subject, "repeats", &[&id.to_string()])?.finish().await?;
    ensure_eq!(said, [format!("{first:?}")], "the outcome that another process gets");
    ensure_eq!(store.head(&talk("once")?).await?.length, 3, "the entries are there once");
    Ok(())
}

pub(super) async fn a_feed_has_the_commits_of_all_processes(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let follower = ChildProcess::start(&subject, "follows", &["60"])?;
    let writers = [
        ChildProcess::start(&subject, "appends", &["1000", "20"])?,
        ChildProcess::start(&subject, "appends", &["2000", "20"])?,
    ];
    for n in 0..20 {
        store.patiently(batch().append(talk("shared")?, vec![entry(n)])).await?.committed()?;
    }
    for writer in writers {
        writer.finish().await?;
    }
    let followed = follower.finish().await?;
    let (feed, _) = store.feed(None, 7).await?;
    let expected: Vec<_> = feed.iter().map(|change| change.batch.to_string()).collect();
    ensure_eq!(expected.len(), 60, "the feed as this process reads it");
    ensure_eq!(followed, expected, "the feed as another process followed it");
    Ok(())
}

pub(super) async fn what_was_acknowledged_to_a_killed_process_is_there(subject: Subject) -> CaseResult {
    let (store, twins) = (subject.open().await?, Twins::new()?);
    let mut seen = 0;
    for round in 0..8_u64 {
        let mut writer = ChildProcess::start(&subject, "steps", &[])?;
        let mut told = seen;
        while told < seen + 1 + round * 5 % 13 {
            let said = writer.next().await?.ok_or_else(|| Unmet::new("the writer ended"))?;
            told = said.parse()?;
        }
        if let Some(said) = writer.kill().await?.last() {
            told = said.parse()?;
        }
        // A handle that was open all the time, a new one, and a new process.
        for handle in [&store, &subject.open().await?] {
            seen = twins.look(handle).await?;
            ensure!(seen >= told, "step {told} was acknowledged to a killed process; step {seen} is there");
            ensure!(seen <= told + 1, "step {told} was acknowledged to a killed process; step {seen} is there");
        }
        // A killed process blocks no other.
        let next = twins.step(seen);
        let here = store.clone();
        in_background(async move { Ok(here.patiently(next).await?.committed()?) }).await??;
        seen += 1;
        let said = ChildProcess::start(&subject, "looks", &["0"])?.finish().await?;
        ensure_eq!(said, ["1"], "a new process finds whole batches");
    }
    Ok(())
}

#[cfg(unix)]
pub(super) async fn waiting_for_another_process_is_bounded(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (mut was_locked, mut was_read) = (false, false);
    // Until it is stopped while it holds the lock, if there is one, and blocks no reader.
    for _ in 0..6 {
        if was_locked && was_read {
            break;
        }
        let mut writer = ChildProcess::start(&subject, "steps", &[])?;
        for _ in 0..5 {
            writer.next().await?;
        }
        writer.stop()?;
        let here = store.clone();
        let waits = in_background(async move {
            match here.commit(vec![batch().put(note("other")?, Expect::Any, number(1))]).await {
                Ok(_) => Ok(false),
                Err(error) if error.code() == "locked" => Ok(true),
                Err(error) => Err(Unmet::from(error)),
            }
        });
        let bounded = tokio::time::timeout(Duration::from_secs(40), waits).await;
        was_locked = bounded.map_err(|_| Unmet::new("a commit waits for a process that was stopped"))???;
        // Reading continues, unless it was stopped at the one point of a commit at which readers wait too.
        match store.get(&[note("other")?]).await {
            Err(error) if error.code() == "locked" => {}
            _ => {
                Twins::new()?.look(&store).await?;
                was_read = true;
            }
        }
        writer.kill().await?;
        let here = store.clone();
        let after = batch().put(note("other")?, Expect::Any, number(2));
        in_background(async move { Ok(here.patiently(after).await?.committed()?) }).await??;
    }
    ensure!(was_read, "reading continues while another process is suspended");
    Ok(())
}

#[cfg(not(unix))]
pub(super) async fn waiting_for_another_process_is_bounded(subject: Subject) -> CaseResult {
    // Without a way to suspend a process, a busy one has to do.
    let (store, mut writer) = (subject.open().await?, ChildProcess::start(&subject, "steps", &[])?);
    for _ in 0..5 {
        writer.next().await?;
        in_background({
            let here = store.clone();
            async move { Ok(here.patiently(batch()).await?.committed()?) }
        })
        .await??;
    }
    Ok(())
}
