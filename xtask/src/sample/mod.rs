//! `cargo xtask sample`: a legacy workspace of our own making, with every kind of file that the old
//! extension wrote.
//!
//! Nothing here reads a clock or draws a number: the command always writes the same bytes, and a test
//! compares the committed copy with them.

mod agents;
mod archives;
mod cast;
mod chance;
mod checkpoints;
mod json;
mod leftovers;
mod moment;
mod orchestration;
mod session;
mod story;
mod talk;
mod task;
mod templates;
mod transcripts;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::Result;
use crate::workspace::root;
use story::Story;
use tree::SampleTree;

/// Write the sample: a legacy workspace with every kind of file that the old extension wrote.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace folder; the sample goes into `.nofx` inside it [default: samples/legacy].
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let workspace = args.to.clone().unwrap_or_else(|| root().join("samples/legacy"));
    let folder = workspace.join(".nofx");
    let sample = sample();
    sample.write(&folder)?;
    println!("wrote {} files, {} bytes, to {}", sample.len(), sample.bytes(), folder.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the whole sample.
fn sample() -> SampleTree {
    let story = Story::tell();
    let mut tree = SampleTree::default();
    agents::add(&mut tree);
    for session in &story.sessions {
        tree.put(session.path(), session.json().pretty());
    }
    archives::add(&mut tree, &story);
    transcripts::add(&mut tree);
    checkpoints::add(&mut tree);
    orchestration::add(&mut tree);
    templates::add(&mut tree);
    leftovers::add(&mut tree);
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sample: &SampleTree, path: &str) -> String {
        let content = sample.files().get(path).unwrap_or_else(|| panic!("the sample has no {path}"));
        String::from_utf8(content.clone()).unwrap()
    }

    #[test]
    fn the_committed_sample_is_what_the_command_writes() {
        let committed = SampleTree::read(&root().join("samples/legacy/.nofx")).unwrap();
        let written = sample();
        let names = |tree: &SampleTree| tree.files().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&committed), names(&written), "run `cargo xtask sample`");
        for (path, content) in written.files() {
            assert!(committed.files()[path] == *content, "{path} differs; run `cargo xtask sample`");
        }
    }

    #[test]
    fn the_sample_is_the_same_each_time() {
        assert_eq!(sample(), sample());
    }

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("nofx-sample-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("sessions")).unwrap();
        std::fs::write(folder.join("sessions/mine.json"), "{}").unwrap();
        let refusal = sample().write(&folder).unwrap_err().to_string();
        let left = SampleTree::read(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(refusal.contains("mine.json is not part of the sample"), "{refusal}");
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn the_sample_stays_small_enough_for_a_repository() {
        assert!(sample().bytes() < 600_000, "{} bytes", sample().bytes());
    }

    #[test]
    fn every_kind_of_file_is_there() {
        let sample = sample();
        for (kind, least) in [
            ("agents.json", 1),
            ("sessions/session-", 12),
            ("sessions/restored-session-", 2),
            ("sessions/restored-restored-", 1),
            ("sessions/undefined.json", 1),
            ("sessions/agent-", 5),
            ("archives/session-", 2),
            ("archives/first-day.json", 1),
            ("archives/before-beta_2025-09-02T18-05-", 6),
            ("archive/session-", 1),
            ("archive/agent-", 2),
            ("orchestration/messages-2025-", 2),
            ("orchestration/messages.jsonl", 1),
            ("orchestration/messages.lock", 1),
            ("templates/backend-specialist.json", 1),
            ("templates/custom/", 2),
            ("dlq/agent-manager/", 2),
            ("conductor-sessions/", 1),
            ("coverage-baseline.json", 1),
            ("vp-conductor-prompt.txt", 1),
            ("export_", 1),
            ("notes.txt", 1),
        ] {
            let count = sample.files().keys().filter(|path| path.starts_with(kind)).count();
            assert!(count >= least, "{kind}: {count} files");
        }
    }

    #[test]
    fn what_a_careless_reader_would_change_is_spelled_exactly() {
        let sample = sample();
        let chronicle = sample.files().keys().find(|path| path.contains(cast::CHRONICLE.id)).unwrap();
        let chronicle = text(&sample, chronicle);
        for spelled in
            ["\"tokensRead\": 9007199254740993,", "\"price\": 1.10,", "40 units: \\ud83d\"", "\"cut\": \"\\uDC00\""]
        {
            assert!(chronicle.contains(spelled), "{spelled}");
        }
        let nightly = sample.files().keys().find(|path| path.contains("session-nightly-")).unwrap();
        assert_eq!(text(&sample, nightly).matches("\"label\": ").count(), 2);
    }

    #[test]
    fn json_files_parse_end_without_a_line_break_and_lines_are_compact() {
        let sample = sample();
        for path in sample.files().keys().filter(|path| path.ends_with(".json")) {
            let text = text(&sample, path);
            assert!(text.ends_with(['}', ']']), "{path}");
            // No other file has an unpaired surrogate, which this parser refuses.
            if !path.contains(cast::CHRONICLE.id) {
                serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
            }
        }
        for path in sample.files().keys().filter(|path| path.ends_with(".jsonl")) {
            let text = text(&sample, path);
            assert!(text.ends_with('\n'), "{path}");
            for line in text.split_terminator('\n') {
                serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{path}: {error}"));
            }
        }
    }

    #[test]
    fn a_restored_session_repeats_the_messages_of_its_source() {
        let story = Story::tell();
        let ids =
            |session: &session::Session| session.history.iter().map(|message| message.id.clone()).collect::<Vec<_>>();
        let restored = story
            .sessions
            .iter()
            .find(|session| session.id.starts_with("restored-session") && session.agent.id == cast::API.id)
            .unwrap();
        let source = story.sessions.iter().find(|session| restored.id.contains(&format!("-{}-", session.id))).unwrap();
        assert_eq!(ids(restored), ids(source));
    }

    #[test]
    fn a_summarised_restore_repeats_a_late_system_message_in_itself() {
        let story = Story::tell();
        let summarised = story
            .sessions
            .iter()
            .find(|session| session.history.first().is_some_and(|message| message.id.starts_with("summary-")));
        let history = &summarised.unwrap().history;
        let late = history.iter().filter(|message| message.content.compact().contains("nearly full"));
        assert_eq!(late.count(), 2);
    }
}
