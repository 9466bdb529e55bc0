//! Messages between agents, whose files are damaged line by line.

use super::LegacyWorkspace;
use super::values;
use crate::chance::Chance;

/// A line of a file, without its end.
#[derive(Clone)]
struct Line {
    bytes: Vec<u8>,
    /// The messages that are intact in it.
    messages: Vec<String>,
    /// Whether it is exactly one message, or empty.
    is_good: bool,
}

/// Adds the files of a log: below the legacy folder if `folder` is `orchestration`, otherwise
/// beside it.
pub(super) fn add(workspace: &mut LegacyWorkspace, folder: &'static str, chance: &Chance) {
    for name in ["messages-2025-09-08T10-00-00-000Z.jsonl", "messages-2025-09-09T10-00-00-000Z.jsonl", "messages.jsonl"]
    {
        if !chance.once_in(3) {
            add_file(workspace, folder, name, chance);
        }
    }
    if folder == "orchestration" && chance.once_in(4) {
        workspace.files.put("orchestration/messages.lock", Vec::new());
    }
}

fn add_file(workspace: &mut LegacyWorkspace, folder: &'static str, name: &str, chance: &Chance) {
    let path = &if folder == "orchestration" { format!("{folder}/{name}") } else { format!("@{folder}/{name}") };
    let mut lines: Vec<Line> = Vec::new();
    for number in 0..chance.below(8) {
        // A message that was sent twice is in it twice.
        let repeated = lines.last().filter(|_| chance.once_in(8)).cloned();
        lines.push(repeated.unwrap_or_else(|| line(number, chance)));
    }
    let mut bytes = Vec::new();
    for line in &lines {
        bytes.extend_from_slice(&line.bytes);
        bytes.extend_from_slice(if chance.once_in(5) { b"\r\n" } else { b"\n" });
    }
    if chance.once_in(4) {
        bytes.pop();
    }
    let is_blank = bytes.iter().all(|byte| *byte == 0);
    let messages = lines.iter().flat_map(|line| line.messages.clone());
    workspace.truth.orchestration.entry(folder).or_default().extend(messages);
    let count = lines.iter().map(|line| line.messages.len() as u64).sum();
    workspace.truth.counts.insert(path.clone(), [("orchestration messages", count)].into());
    let bad: Vec<_> = lines.iter().filter(|line| !line.is_good).map(|line| line.bytes.clone()).collect();
    if is_blank && !bytes.is_empty() {
        workspace.truth.kept.insert(path.to_owned(), bytes.clone());
    } else if !bad.is_empty() {
        workspace.truth.damaged.insert(path.to_owned());
        workspace.truth.kept_lines.insert(path.to_owned(), bad);
    } else if let (Ok(text), true) = (std::str::from_utf8(&bytes), chance.once_in(4)) {
        bytes = match chance.once_in(2) {
            true => [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(),
            false => [0xfeff_u16].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
        };
    }
    match folder {
        "orchestration" => workspace.files.put(path, bytes),
        _ => workspace.files.put_elsewhere(path, bytes),
    }
}

fn line(number: usize, chance: &Chance) -> Line {
    let message = |letter: &str| message(&format!("{number}{letter}"), number, chance);
    let good = message("");
    let bad = |bytes: Vec<u8>, messages: Vec<String>| Line { bytes, messages, is_good: false };
    match chance.below(24) {
        0 => Line { bytes: b" \t".to_vec(), messages: Vec::new(), is_good: true },
        1 => {
            let other = message("b");
            bad(format!("{good}{other}").into_bytes(), vec![good, other])
        }
        2 => bad(half(&good, chance).to_owned().into_bytes(), Vec::new()),
        3 => bad(format!("{}{good}", half(&message("b"), chance)).into_bytes(), vec![good]),
        4 => bad(format!("{good}{}", half(&message("b"), chance)).into_bytes(), vec![good]),
        5 => {
            let at = good.find('~').unwrap_or_default();
            let mut bytes = good.clone().into_bytes();
            if at > 0 {
                bytes[at] = 0xff;
            }
            let seen = String::from_utf8_lossy(&bytes).into_owned();
            Line { is_good: at == 0, bytes, messages: vec![seen] }
        }
        6 => {
            let garbage: &[u8] = chance.pick(&[
                b"not json".as_slice(),
                b"[1, 2]",
                b"\0\0\0\0",
                b"\xff\xfe\x01",
                b"}{",
                b"null",
                b"\"\\",
            ]);
            bad(garbage.to_vec(), Vec::new())
        }
        7 => {
            let repeated = format!("{}, \"id\": \"again\"}}", good.strip_suffix('}').unwrap_or(&good));
            bad(repeated.clone().into_bytes(), vec![repeated])
        }
        _ => Line { bytes: good.clone().into_bytes(), messages: vec![good], is_good: true },
    }
}

/// Returns the beginning of a message, which is not a message.
fn half<'a>(message: &'a str, chance: &Chance) -> &'a str {
    let end = message.floor_char_boundary(1 + chance.below(message.len() - 1));
    message.get(..end).unwrap_or_default().trim_ascii_end()
}

pub(super) fn message(id: &str, second: usize, chance: &Chance) -> String {
    let payload = match chance.below(4) {
        0 => String::new(),
        _ => format!(", \"payload\": {}", values::any(chance)),
    };
    let time = if chance.once_in(8) { values::odd_time(chance) } else { values::time(second) };
    format!(
        "{{\"id\":\"{id}\",\"timestamp\":{time},\"from\":\"conductor\",\"to\":{},\"type\":\"{}\"{payload}}}",
        values::text(chance),
        chance.pick(&["spawn_agent", "status", "unheard_of"]),
    )
}
