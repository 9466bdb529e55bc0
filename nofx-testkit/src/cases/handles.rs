//! Several handles on one store, used concurrently from several threads.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use futures_util::FutureExt;
use futures_util::future::join_all;
use nofx_core::{
    Deadline, Durability, Expect, LogKey, LogQuery, LogScan, NewEntry, Outcome, RecordKey, ScanQuery, Timestamp,
};

use crate::subject::{
    Handle, NOTE, Subject, TALK, batch, entries, entry, in_background, note, number, sized, talk, texts,
};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

pub(super) async fn a_handle_sees_what_another_committed(subject: Subject) -> CaseResult {
    let (writer, reader) = (subject.open().await?, subject.open().await?);
    let (key, log) = (note("a")?, talk("a")?);
    let start = reader.end().await?;
    for n in 0..20 {
        let both = batch().put(key.clone(), Expect::Any, number(n)).append(log.clone(), vec![entry(n)]);
        let id = both.id;
        let committed = writer.commits(both).await?;
        ensure_eq!(reader.record(&key).await?.map(|record| record.version), committed.seq, "by `get`");
        let scanned = reader.paged_records(ScanQuery::of(NOTE, 10)).await?;
        ensure_eq!(scanned.first().map(|record| Some(record.version)), Some(committed.seq), "by `scan`");
        ensure_eq!(reader.head(&log).await?.length, n + 1, "by `heads`");
        let listed = reader.paged_logs(LogScan::of(TALK, 10)).await?;
        ensure_eq!(listed.first().map(|head| head.length), Some(n + 1), "by `logs`");
        let newest = reader.read(&LogQuery::newest_first(log.clone(), 1)).await?;
        ensure_eq!(texts(&newest.items), [n.to_string()], "by `read`");
        let (changes, _) = reader.feed(Some(&start), 7).await?;
        ensure_eq!(changes.last().map(|change| change.batch), Some(id), "by `changes`");
    }
    Ok(())
}

pub(super) async fn a_handle_judges_by_what_another_committed(subject: Subject) -> CaseResult {
    let (one, other) = (subject.open().await?, subject.open().await?);
    let (key, log) = (note("a")?, talk("a")?);
    let mut version = one.commits(batch().put(key.clone(), Expect::Absent, number(0))).await?.seq;
    for n in 0..10 {
        let (this, that) = if n % 2 == 0 { (&other, &one) } else { (&one, &other) };
        let expect = Expect::At(version.ok_or_else(|| Unmet::new("no seq"))?);
        let both = batch().put(key.clone(), expect, number(n)).append_at(log.clone(), n, vec![entry(n)]);
        version = this.commits(both).await?.seq;
        that.conflicts(batch().put(key.clone(), expect, number(99))).await?;
        that.conflicts(batch().append_at(log.clone(), n, vec![entry(99)])).await?;
    }
    Ok(())
}

pub(super) async fn all_handles_are_of_one_store(subject: Subject) -> CaseResult {
    let (one, other) = (subject.open().await?, subject.open().await?);
    let place = subject.elsewhere().await?;
    let elsewhere = place.open().await?;
    ensure_eq!(one.info(), other.info(), "two handles on one place");
    ensure!(one.info().store != elsewhere.info().store, "two places hold two stores");
    one.commits(batch().put(note("a")?, Expect::Any, number(1))).await?;
    ensure_eq!(elsewhere.content().await?, Default::default(), "another place");
    Ok(())
}

pub(super) async fn a_repeated_batch_is_recognised_by_another_handle(subject: Subject) -> CaseResult {
    let (one, other) = (subject.open().await?, subject.open().await?);
    let log = talk("a")?;
    let once = batch().put(note("a")?, Expect::Absent, number(1)).append(log.clone(), entries(0..2));
    let first = one.commits(once.clone()).await?;
    ensure_eq!(other.commits(once).await?, first, "the first outcome");
    ensure_eq!(other.head(&log).await?.length, 2, "and no second append");
    Ok(())
}

pub(super) async fn a_batch_committed_by_many_at_once_happens_once(subject: Subject) -> CaseResult {
    for round in 0..5 {
        let log = talk(format!("{round}"))?;
        let once = batch().put(note(format!("{round}"))?, Expect::Absent, number(1)).append(log.clone(), entries(0..2));
        let mut running = Vec::new();
        for _ in 0..6 {
            let (handle, once) = (subject.open().await?, once.clone());
            running.push(in_background(async move { handle.patiently(once).await }));
        }
        let mut outcomes = Vec::new();
        for outcome in join_all(running).await {
            outcomes.push(outcome??.committed()?);
        }
        ensure!(outcomes.windows(2).all(|two| two[0] == two[1]), "one outcome for all: {outcomes:?}");
        ensure_eq!(subject.open().await?.head(&log).await?.length, 2, "the entries were appended once");
    }
    Ok(())
}

/// Increments a record by reading it and writing it with the version that was read, until that succeeds.
pub(super) async fn increment(store: &Handle, key: &RecordKey) -> CaseResult {
    let deadline = Deadline::after(Duration::from_secs(60));
    while !deadline.has_passed() {
        let (expect, value) = match store.record(key).await? {
            None => (Expect::Absent, 0),
            Some(record) => (Expect::At(record.version), record.body.as_str().parse::<u64>()?),
        };
        if let Outcome::Committed(_) = store.patiently(batch().put(key.clone(), expect, number(value + 1))).await? {
            return Ok(());
        }
    }
    Err(Unmet::new("one writer got nothing but conflicts for a minute"))
}

pub(super) async fn concurrent_writers_lose_no_update(subject: Subject) -> CaseResult {
    let key = note("counter")?;
    let mut running = Vec::new();
    for _ in 0..4 {
        let (handle, key) = (subject.open().await?, key.clone());
        running.push(in_background(async move {
            for _ in 0..25 {
                increment(&handle, &key).await?;
            }
            Ok(())
        }));
    }
    for done in join_all(running).await {
        done??;
    }
    let record = subject.open().await?.record(&key).await?.ok_or_else(|| Unmet::new("no counter"))?;
    ensure_eq!(record.body, number(100), "every increment counts");
    ensure_eq!(record.version.get(), 100, "and took one number");
    Ok(())
}

pub(super) async fn concurrent_appends_are_dense_and_each_there_once(subject: Subject) -> CaseResult {
    let log = talk("a")?;
    let mut running = Vec::new();
    for writer in 0..4 {
        let (handle, log) = (subject.open().await?, log.clone());
        running.push(in_background(async move {
            let mut told = Vec::new();
            for n in 0..25 {
                let first = writer * 1000 + n * 3;
                let append = batch().append(log.clone(), entries(first..first + 1 + n % 3));
                told.push((first, handle.patiently(append).await?.committed()?.appended));
            }
            Ok(told)
        }));
    }
    let mut told = Vec::new();
    for done in join_all(running).await {
        told.extend(done??);
    }
    let found = subject.open().await?.entries(&log).await?;
    dense_and_once(&log, &texts(&found), &found.iter().map(|entry| entry.position).collect::<Vec<_>>())?;
    let mut covered = 0;
    for (first, appended) in told {
        let [range] = appended.as_slice() else { return Err(Unmet::new("one append has one range")) };
        for (position, number) in range.clone().zip(first..) {
            let text = found.get(position as usize).map(|entry| entry.body.as_str());
            ensure_eq!(
                text,
                Some(number.to_string().as_str()),
                "the entry at {position}, where its writer was told it is"
            );
            covered += 1;
        }
    }
    ensure_eq!(covered, found.len(), "every entry belongs to one append");
    Ok(())
}

/// Checks that positions are dense from zero and that no entry is duplicated.
pub(super) fn dense_and_once(log: &LogKey, texts: &[&str], positions: &[u64]) -> CaseResult {
    ensure!(positions.iter().copied().eq(0..positions.len() as u64), "positions of {log}: {positions:?}");
    let distinct: BTreeSet<_> = texts.iter().collect();
    ensure_eq!(distinct.len(), texts.len(), "each entry of {log} once");
    Ok(())
}

/// What a writer keeps equal: two records, and two logs that grow by two entries at a time.
#[derive(Clone)]
pub(super) struct Twins {
    records: [RecordKey; 2],
    logs: [LogKey; 2],
}

impl Twins {
    pub(super) fn new() -> CaseResult<Self> {
        Ok(Self { records: [note("twin a")?, note("twin b")?], logs: [talk("twin a")?, talk("twin b")?] })
    }

    /// Makes the batch that advances both twins from step `n` to step `n + 1`.
    pub(super) fn step(&self, n: u64) -> nofx_core::Batch {
        let [a, b] = self.records.clone();
        let [x, y] = self.logs.clone();
        let next = 2 * n..2 * n + 2;
        let records = batch().put(a, Expect::Any, number(n)).put(b, Expect::Any, number(n));
        records.append_at(x, next.start, entries(next.clone())).append_at(y, next.start, entries(next))
    }

    /// Reads both twins in every way that reflects a single point in time, and returns how many steps were
    /// seen at least.
    pub(super) async fn look(&self, store: &Handle) -> CaseResult<u64> {
        let records = store.get(&self.records).await?;
        let bodies: Vec<_> = records.iter().map(|record| record.as_ref().map(|record| &record.body)).collect();
        ensure!(bodies[0] == bodies[1], "half a batch by `get`: {bodies:?}");
        let steps = match bodies[0] {
            Some(body) => body.as_str().parse::<u64>()? + 1,
            None => 0,
        };
        let page = store.scan(&ScanQuery::of(NOTE, 10).prefixed("twin")).await?;
        let bodies: Vec<_> = page.items.iter().map(|record| &record.body).collect();
        ensure!(
            bodies.len() != 1 && bodies.windows(2).all(|two| two[0] == two[1]),
            "half a batch by `scan`: {bodies:?}"
        );
        let heads = store.heads(&self.logs).await?;
        ensure!(heads[0].length == heads[1].length && heads[0].length % 2 == 0, "half a batch by `heads`: {heads:?}");
        ensure!(heads[0].length >= 2 * steps, "the logs of step {steps} have {} entries", heads[0].length);
        for log in &self.logs {
            let query = LogQuery::newest_first(log.clone(), 1_000_000);
            let page = store.read(&query).await?;
            ensure!(page.items.len() % 2 == 0, "half a batch by `read`: {} entries", page.items.len());
            ensure!(page.items.len() as u64 >= 2 * steps, "{log} of step {steps} has {} entries", page.items.len());
        }
        Ok(steps)
    }
}

pub(super) async fn no_reader_ever_sees_half_a_batch(subject: Subject) -> CaseResult {
    let twins = Twins::new()?;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (handle, twins, acknowledged, done) =
            (subject.open().await?, twins.clone(), acknowledged.clone(), done.clone());
        in_background(async move {
            let result = write_steps(&handle, &twins, &acknowledged).await;
            done.store(true, Ordering::SeqCst);
            result
        })
    };
    let mut readers = Vec::new();
    for _ in 0..3 {
        let (handle, twins, acknowledged, done) =
            (subject.open().await?, twins.clone(), acknowledged.clone(), done.clone());
        readers.push(in_background(async move {
            let mut looks = 0;
            while !done.load(Ordering::SeqCst) || looks == 0 {
                let before = acknowledged.load(Ordering::SeqCst);
                let seen = twins.look(&handle).await?;
                ensure!(seen >= before, "step {before} was acknowledged before a read that saw step {seen}");
                looks += 1;
            }
            Ok(looks)
        }));
    }
    writer.await??;
    for looks in join_all(readers).await {
        ensure!(looks?? > 0, "a reader read something");
    }
    ensure_eq!(twins.look(&subject.open().await?).await?, 120, "all steps are there in the end");
    Ok(())
}

/// Writes 120 steps, in groups of one to four.
async fn write_steps(handle: &Handle, twins: &Twins, acknowledged: &AtomicU64) -> CaseResult {
    let mut n = 0;
    while n < 120 {
        let size = (1 + n % 4).min(120 - n);
        for outcome in handle.commit((n..n + size).map(|n| twins.step(n)).collect()).await? {
            outcome.committed()?;
        }
        n += size;
        acknowledged.store(n, Ordering::SeqCst);
    }
    Ok(())
}

pub(super) async fn a_get_of_thousands_of_keys_is_one_moment(subject: Subject) -> CaseResult {
    const KEYS: usize = 2000;
    let keys = (0..KEYS).map(|n| note(format!("{n:04}"))).collect::<CaseResult<Vec<_>>>()?;
    let logs = (0..KEYS).map(|n| talk(format!("{n:04}"))).collect::<CaseResult<Vec<_>>>()?;
    let writer = subject.open().await?;
    let whole = (0..KEYS).fold(batch(), |all, n| {
        all.put(keys[n].clone(), Expect::Any, number(0)).append(logs[n].clone(), vec![entry(0)])
    });
    writer.commits(whole).await?;
    // The ends are far apart, so a get that is answered in parts finds them at different commits.
    let [first, last] = [0, KEYS - 1];
    let done = Arc::new(AtomicBool::new(false));
    let writing = {
        let (keys, logs, done) = (keys.clone(), logs.clone(), done.clone());
        in_background(async move {
            let mut n = 0;
            while !done.load(Ordering::SeqCst) {
                n += 1;
                let ends = [first, last].into_iter().fold(batch(), |ends, end| {
                    ends.put(keys[end].clone(), Expect::Any, number(n)).append(logs[end].clone(), vec![entry(n)])
                });
                writer.patiently(ends).await?.committed()?;
            }
            Ok(n)
        })
    };
    let reader = subject.open().await?;
    let mut seen = BTreeSet::new();
    let looked = async {
        // Until the reads have met enough commits.
        while seen.len() < 3 {
            let found = reader.get(&keys).await?;
            let bodies = [first, last].map(|end| found[end].as_ref().map(|record| record.body.as_str().to_owned()));
            ensure!(bodies[0] == bodies[1], "the ends of one `get` are of two moments: {bodies:?}");
            let heads = reader.heads(&logs).await?;
            let lengths = [first, last].map(|end| heads[end].length);
            ensure!(lengths[0] == lengths[1], "the ends of one `heads` are of two moments: {lengths:?}");
            seen.insert(lengths[0]);
        }
        CaseResult::Ok(())
    }
    .await;
    done.store(true, Ordering::SeqCst);
    ensure!(writing.await?? > 0, "commits were made");
    looked
}

pub(super) async fn a_feed_followed_during_writing_has_each_commit_once(subject: Subject) -> CaseResult {
    let (follower, log) = (subject.open().await?, talk("a")?);
    let mut writers = Vec::new();
    for writer in 0..3 {
        let (handle, log) = (subject.open().await?, log.clone());
        writers.push(in_background(async move {
            let mut made = Vec::new();
            for n in 0..30 {
                let commit = batch().append(log.clone(), vec![entry(n)]);
                let commit = match n % 2 {
                    0 => commit.put(note(format!("{writer}"))?, Expect::Any, number(n)),
                    _ => commit,
                };
                let id = commit.id;
                let committed = handle.patiently(commit).await?.committed()?;
                made.push((id, committed));
            }
            Ok(made)
        }));
    }
    let mut cursor = None;
    let mut found = Vec::new();
    while found.len() < 90 {
        let (changes, next) = follower.feed(cursor.as_ref(), 4).await?;
        found.extend(changes);
        cursor = Some(next);
        if writers.iter().all(|writer| writer.is_finished()) {
            found.extend(follower.feed(cursor.as_ref(), 4).await?.0);
            break;
        }
    }
    let mut made = Vec::new();
    for writer in join_all(writers).await {
        made.extend(writer??);
    }
    // One log orders all of these commits, and so do their numbers.
    made.sort_by_key(|(_, committed)| committed.appended[0].start);
    let expected: Vec<_> = made.iter().map(|(id, committed)| (*id, committed.seq)).collect();
    let found: Vec<_> = found.iter().map(|change| (change.batch, change.seq)).collect();
    ensure_eq!(found, expected, "each commit once, in the order of the log and of the numbers");
    Ok(())
}

pub(super) async fn reads_that_are_begun_and_left_hold_up_no_others(subject: Subject) -> CaseResult {
    let (store, log) = (subject.open().await?, talk("a")?);
    store.commits(batch().append(log.clone(), entries(0..1000)).put(note("a")?, Expect::Any, number(1))).await?;
    let reader = subject.open().await?;
    let (page, scan) = (LogQuery::oldest_first(log.clone(), 10), ScanQuery::all(1));
    let mut left = Vec::new();
    for n in 0..512 {
        // Each is started and then neither finished nor dropped.
        let mut call = match n % 2 {
            0 => reader.read(&page).map(|_| ()).boxed(),
            _ => reader.scan(&scan).map(|_| ()).boxed(),
        };
        let _ = (&mut call).now_or_never();
        left.push(call);
    }
    let writer = subject.open().await?;
    let write = in_background(async move {
        for n in 0..10 {
            writer.commits(batch().append(log.clone(), vec![entry(1000 + n)])).await?;
        }
        ensure_eq!(writer.head(&log).await?.length, 1010, "the writer's own reads work too");
        Ok(())
    });
    let in_time = tokio::time::timeout(Duration::from_secs(10), write).await;
    in_time.map_err(|_| Unmet::new("512 abandoned readers hold up a writer"))??
}

pub(super) async fn a_commit_runs_to_its_end_even_if_its_caller_stops_waiting(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let mut begun = Vec::new();
    for n in 0..20 {
        let commit =
            batch().put(note(format!("{n}"))?, Expect::Absent, number(n)).append(talk("a")?, entries(n..n + 1));
        begun.push(commit.clone());
        let handle = subject.open().await?;
        // Polled once, and dropped whatever the answer is.
        in_background(async move { Ok(pin!(handle.commit(vec![commit])).now_or_never().is_some()) }).await??;
    }
    let deadline = Deadline::after(Duration::from_secs(10));
    while store.head(&talk("a")?).await?.length < 20 {
        ensure!(!deadline.has_passed(), "{:?} of 20 commits happened", store.head(&talk("a")?).await?.length);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = store.content().await?;
    ensure_eq!(before.records.len(), 20, "records");
    for outcome in store.commit(begun).await? {
        outcome.committed()?;
    }
    ensure_eq!(store.content().await?, before, "and committing the same batches again changes nothing");
    Ok(())
}

pub(super) async fn however_many_commits_have_begun_each_runs_to_its_end(subject: Subject) -> CaseResult {
    let handle = subject.open().await?;
    // Enough to reach the limit of commits in progress that a backend may have; each one is several requests to a service.
    let commits = if handle.info().durability == Durability::Service { 200 } else { 1100 };
    let begun: Vec<_> = (0..commits)
        .map(|n| Ok(batch().put(note(format!("{n}"))?, Expect::Absent, number(n))))
        .collect::<CaseResult<_>>()?;
    let polled = (handle.clone(), begun.clone());
    in_background(async move {
        let (handle, begun) = polled;
        let mut commits: Vec<_> = begun.into_iter().map(|batch| Box::pin(handle.commit(vec![batch]))).collect();
        Ok(commits.iter_mut().filter_map(|commit| commit.now_or_never()).count())
    })
    .await??;
    let deadline = Deadline::after(Duration::from_secs(60));
    while (handle.content().await?.records.len() as u64) < commits {
        ensure!(!deadline.has_passed(), "{} of {commits} commits happened", handle.content().await?.records.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for outcome in handle.commit(begun).await? {
        outcome.committed()?;
    }
    Ok(())
}

pub(super) async fn any_number_of_calls_are_made_at_once(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    store.commits(batch().append(log.clone(), entries(0..100)).put(note("a")?, Expect::Any, number(1))).await?;
    let mut running = Vec::new();
    for n in 0..64 {
        let (handle, log) = (store.clone(), log.clone());
        running.push(tokio::spawn(async move {
            let (key, query) = (note("a")?, LogQuery::oldest_first(log.clone(), 100));
            match n % 4 {
                0 => ensure_eq!(handle.text(&key).await?, Some("1".into()), "a record"),
                1 => ensure_eq!(handle.read(&query).await?.items.len(), 100, "entries"),
                2 => ensure_eq!(handle.head(&log).await?.length, 100, "a head"),
                _ => ensure_eq!(handle.feed(None, 10).await?.0.len(), 1, "the feed"),
            }
            CaseResult::Ok(())
        }));
    }
    for done in join_all(running).await {
        done??;
    }
    Ok(())
}

/// How long the reads of a case go on, so that a one-millisecond timer fires many times.
const READING: Duration = Duration::from_millis(300);

pub(super) async fn reading_leaves_the_only_thread_of_a_runtime_to_others(subject: Subject) -> CaseResult {
    let (store, log) = (subject.open().await?, talk("a")?);
    for n in 0..20 {
        let long = (0..50).map(|_| NewEntry { at: Timestamp::from_millis(n), body: sized(4000) }).collect();
        store.commits(batch().append(log.clone(), long).put(note(format!("{n}"))?, Expect::Any, sized(4000))).await?;
    }
    on_a_plain_thread(move || {
        let ticks = AtomicU64::new(0);
        let timer = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ticks.fetch_add(1, Ordering::SeqCst);
            }
        };
        let reads = async {
            let deadline = Deadline::after(READING);
            while !deadline.has_passed() {
                store.read(&LogQuery::oldest_first(log.clone(), 1000)).await?;
                store.scan(&ScanQuery::of(NOTE, 100)).await?;
            }
            CaseResult::Ok(())
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            tokio::select! {
                // The timer runs only while a read waits without holding the thread.
                biased;
                read = reads => read,
                () = timer => Ok(()),
            }
        })?;
        let ticks = ticks.into_inner();
        ensure!(ticks > 0, "a timer of 1 ms was not heard once in {} ms of reading", READING.as_millis());
        Ok(())
    })
    .await
}

pub(super) async fn calls_need_no_runtime(subject: Subject) -> CaseResult {
    let (store, log, key) = (subject.open().await?, talk("a")?, note("a")?);
    on_a_plain_thread(move || {
        ensure!(tokio::runtime::Handle::try_current().is_err(), "this thread has no runtime");
        block_on(async {
            store.commits(batch().append(log.clone(), entries(0..3)).put(key.clone(), Expect::Any, number(1))).await?;
            ensure_eq!(store.text(&key).await?, Some("1".into()), "`get`");
            ensure_eq!(store.paged_records(ScanQuery::all(10)).await?.len(), 1, "`scan`");
            ensure_eq!(store.head(&log).await?.length, 3, "`heads`");
            ensure_eq!(store.paged_logs(LogScan::all(10)).await?.len(), 1, "`logs`");
            ensure_eq!(store.entries(&log).await?.len(), 3, "`read`");
            ensure_eq!(store.feed(None, 10).await?.0.len(), 1, "`changes`");
            store.close().await?;
            CaseResult::Ok(())
        })
    })
    .await
}

/// Runs something on a thread without a runtime.
async fn on_a_plain_thread(doing: impl FnOnce() -> CaseResult + Send + 'static) -> CaseResult {
    let thread = std::thread::spawn(doing);
    in_background(async move { thread.join().map_err(|_| Unmet::new("a call panicked on a thread of its own"))? })
        .await?
}
