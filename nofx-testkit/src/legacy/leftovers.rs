//! Files that become no entity, or one that cannot be trusted, and are kept.

use super::LegacyWorkspace;
use super::files::{as_reported, raw_byte};
use super::sessions::UP;
use super::values;
use crate::chance::Chance;

pub(super) fn add(workspace: &mut LegacyWorkspace, chance: &Chance) {
    for path in [
        "dlq/agent-manager/1757341292345-abc.json",
        "conductor-sessions/0c2f6e91ab3d-1.json",
        "export_1757341292345.md",
        "templates/custom/smart.config.json",
        "notes.txt",
        ".DS_Store",
        "sessions/.session-ada-1757341292345.json.swp",
        "vp-conductor-prompt.txt",
    ] {
        if chance.once_in(3) {
            put(workspace, path, bytes(chance));
        }
    }
    if cfg!(target_os = "linux") && chance.once_in(8) {
        put(workspace, &format!("dlq/{}odd{}.json", raw_byte(0x80), raw_byte(0xfe)), bytes(chance));
    }
    for agent in ["ada", UP] {
        if chance.once_in(2) {
            continue;
        }
        let (transcript, texts) = transcript(agent, chance);
        workspace.truth.transcripts.insert(agent.to_owned(), texts);
        // The file that was moved to the archive is its beginning, as far as it goes.
        if chance.once_in(3) {
            let end = transcript.floor_char_boundary(chance.below(transcript.len()));
            let path = format!("archive/{agent}_session.md");
            workspace.truth.may_be_kept.insert(path.clone());
            workspace.files.put(&path, transcript.as_bytes()[..end].to_vec());
        }
        put(workspace, &format!("sessions/{agent}_session.md"), transcript.into_bytes());
    }
}

fn put(workspace: &mut LegacyWorkspace, path: &str, bytes: Vec<u8>) {
    if !bytes.is_empty() {
        workspace.truth.kept.insert(as_reported(path), bytes.clone());
    }
    workspace.files.put(path, bytes);
}

fn bytes(chance: &Chance) -> Vec<u8> {
    match chance.below(4) {
        0 => Vec::new(),
        1 => (0..chance.below(300)).map(|_| chance.below(256) as u8).collect(),
        2 => vec![0; chance.below(300)],
        _ => values::any(chance).into_bytes(),
    }
}

/// Makes a transcript, and returns its texts too.
fn transcript(agent: &str, chance: &Chance) -> (String, Vec<String>) {
    let mut text = format!("# Agent Session: {agent}\n# Started: 2025-09-08T10:00:00.000Z\n\n");
    let mut texts = Vec::new();
    for second in 0..=chance.below(4) {
        let said = format!("said something the {second}th time\r\n```\n--- 2025-09-08T10:00:00.000Z ---\n");
        text.push_str(&said);
        texts.push(said);
        let time = values::time(36_000 + second);
        text.push_str(&format!("\n\n--- {} ---\n", time.trim_matches('"')));
    }
    texts.push(String::new());
    (text, texts)
}
