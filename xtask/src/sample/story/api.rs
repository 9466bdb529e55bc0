//! The API agent: a session that was restored, and restored again, and what became of its messages.

use crate::sample::cast::API;
use crate::sample::moment::Moment;
use crate::sample::session::Session;
use crate::sample::talk::Talk;
use crate::sample::task::Task;

/// The source of two restores.
pub(super) fn writes_the_sync() -> Session {
    let begin = Moment::new(0, 9, 40);
    let feed = Task::started(
        Moment::new(0, 9, 42),
        "Change feed",
        "GET /changes?after=… answers what happened since, in order, with a new cursor.",
    )
    .priority("high")
    .tags(&["sync", "api"]);
    let talk = Talk::at(begin, "writes the sync")
        .user(50, "We need a change feed, so that a phone that was offline can catch up.")
        .task(&feed.id)
        .assistant(60, "One table `changes(seq bigserial, list, kind, body jsonb)`, written in the same transaction as the todo. The cursor is the last `seq` that the client has seen; it is opaque to the client.")
        .files(&["packages/api/migrations/0007_changes.sql"])
        .user(45, "Does bigserial leave gaps when a transaction rolls back?")
        .assistant(75, "Yes, and worse: numbers become visible out of order. Transaction A takes 41, B takes 42 and commits first; a reader that sees 42 would never go back for 41. So the feed takes an advisory lock per list before it takes the number:\n\n```sql\nselect pg_advisory_xact_lock(hashtext($1));\ninsert into changes (list, kind, body) values ($1, $2, $3);\n```")
        .files(&["packages/api/src/changes.ts"])
        .tool(18, " ✓ contract/changes.test.ts (11 tests) 842ms")
        .command("npm test --workspace api -- changes", false)
        .system(3, "Task completed: Change feed")
        .user(120, "And when a client stayed away for a year?")
        .assistant(35, "Then `410 Gone` with `{\"type\":\"feed-too-old\"}`; it takes a snapshot of its lists and starts from the snapshot's cursor. The contract test has that case.");
    let feed = feed.completed(Moment::new(0, 9, 50));
    Session::spawned(API, begin).told(talk).finished(feed)
}

/// The whole history restored the day after, and a conversation that went on from there.
pub(super) fn meets_the_tunnel(sync: &Session) -> Session {
    let begin = Moment::new(1, 7, 15);
    sync.restored(begin).told(tunnel())
}

fn tunnel() -> Talk {
    Talk::at(Moment::new(1, 7, 16), "meets the tunnel")
        .user(20, "The train test: edit in the tunnel, come out, the edit appears twice. Why?")
        .assistant(90, "The client's request arrived, the answer did not. It sent the edit again under a new id. The outbox must keep the change's id over retries:\n\n```diff\n- const change = { id: newId(), ...edit };\n+ const change = { id: edit.id, ...edit };\n```")
        .files(&["packages/web/src/outbox.ts", "packages/api/src/apply.ts"])
        .tool(25, "20 passed (20 runs, --repeat-each=20)")
        .command("npx playwright test tunnel --repeat-each=20", false)
        .user(15, "Twenty of twenty. 🚇✅")
}

/// The source after the restored copy went on: both shared one array, so the source has the copy's messages.
pub(super) fn aliased(sync: Session, restored: &Session) -> Session {
    Session { history: restored.history.clone(), ..sync }
}

/// A restore of the restored session, without its history: the tasks came along and count again.
pub(super) fn tries_once_more(restored: &Session) -> Session {
    let begin = Moment::new(1, 14, 2);
    let talk = Talk::at(begin, "tries once more")
        .user(30, "Start fresh, please: measure the feed with 100,000 changes.")
        .assistant(240, "p50 3.1 ms, p95 8.7 ms for a page of 500, 100,000 changes, laptop on mains. The slowest part is turning rows into JSON.");
    restored.restored_empty(begin).told(talk)
}

/// Finished after the window was reloaded: the old service set the status, then failed on a date that had
/// become text. The task stayed where it was.
pub(super) fn finishes_after_a_reload() -> Session {
    let begin = Moment::new(3, 9, 20);
    let index =
        Task::started(Moment::new(3, 9, 22), "Index for due days", "“Due this week” scans all todos of a person.")
            .priority("low")
            .tags(&["sql"]);
    let talk = Talk::at(begin, "finishes after a reload")
        .user(40, "“Due this week” takes 300 ms for Ödön's own lists. Add what is missing.")
        .task(&index.id)
        .assistant(110, "`create index concurrently todos_due on todos (owner, due) where done = false;` 300 ms → 2 ms.\n\n| rows | before | after |\n|---:|---:|---:|\n| 10,000 | 31 ms | 0.9 ms |\n| 100,000 | 302 ms | 1.8 ms |")
        .task(&index.id)
        .files(&["packages/api/migrations/0011_due.sql"]);
    let index = index.completed_after_reload(Moment::new(3, 9, 31));
    Session::spawned(API, begin).told(talk).working_on(index)
}

/// One more session without a conversation.
pub(super) fn starts_again() -> Session {
    Session { directory: None, branch: None, ..Session::spawned(API, Moment::new(4, 6, 58)) }
}

/// The day before the story's first: archived together with the first screen.
pub(super) fn draws_the_tables() -> Session {
    let begin = Moment::new(-1, 13, 30);
    let tables = Task::started(Moment::new(-1, 13, 31), "First tables", "lists, todos, people; nothing else.");
    let talk = Talk::at(begin, "draws the tables")
        .user(20, "Three tables. Convince me that we need a fourth.")
        .task(&tables.id)
        .assistant(55, "We need `members(list, person, role)`: a list with two owners is the point of a shared list. That is the fourth, and the last.");
    let tables = tables.completed(Moment::new(-1, 13, 40));
    Session::spawned(API, begin).told(talk).finished(tables)
}
