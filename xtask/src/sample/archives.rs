//! The three kinds of archive: wrappers, the folder of moved files, and the snapshot.

use super::agents;
use super::checkpoints;
use super::json::Json;
use super::moment::Moment;
use super::session::Session;
use super::story::Story;
use super::transcripts;
use super::tree::SampleTree;

pub(super) fn add(tree: &mut SampleTree, story: &Story) {
    for session in &story.archived {
        let exported = session.last_active.later(60);
        tree.put(format!("archives/{}.json", session.id), wrapper(std::slice::from_ref(session), exported).pretty());
    }
    let bundle = wrapper(&story.bundled, Moment::new(0, 7, 50));
    let bundle = bundle.with("projectName", "Tally").with("projectPath", super::cast::PROJECT);
    tree.put("archives/first-day.json", bundle.pretty());
    add_moved(tree, story);
    add_snapshot(tree, story);
}

fn wrapper(sessions: &[Session], exported: Moment) -> Json {
    Json::object()
        .with("sessions", Json::array(sessions.iter().map(Session::json)))
        .with("exportedAt", exported.iso())
        .with("totalSessions", i64::try_from(sessions.len()).unwrap_or(i64::MAX))
        .with("formatVersion", "1.0")
}

/// Files that were older than a week, moved under their own names.
fn add_moved(tree: &mut SampleTree, story: &Story) {
    for session in &story.moved {
        tree.put(format!("archive/{}.json", session.id), session.json().pretty());
    }
    let scout = super::cast::SCOUT.id;
    tree.put(format!("archive/{scout}_session.md"), transcripts::of_the_scout());
    tree.put(format!("archive/{scout}_checkpoint.json"), checkpoints::of_the_scout().pretty());
}

/// A copy of `sessions/` and `agents.json` as they were on the second evening.
fn add_snapshot(tree: &mut SampleTree, story: &Story) {
    let folder = format!("archives/before-beta_{}", Moment::new(1, 18, 5).stamp());
    tree.put(format!("{folder}/agents.json"), agents::before_the_beta().pretty());
    for session in &story.snapshot {
        tree.put(format!("{folder}/{}.json", session.id), session.json().pretty());
    }
    let interface = super::cast::INTERFACE.id;
    tree.put(format!("{folder}/{interface}_session.md"), transcripts::of_the_interface_at_first());
    tree.put(format!("{folder}/{interface}_checkpoint.json"), checkpoints::of_the_interface_at_first().pretty());
}
