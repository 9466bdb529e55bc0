//! Realistic text for stores: conversations with coding agents, in prose and code, the same for each seed.

use nofx_core::{Body, NewEntry, Timestamp, json};

use crate::chance::Chance;

/// How long the messages of a conversation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// About 100 bytes: a question, an answer in one sentence.
    Small,
    /// About 500 bytes: a paragraph.
    Usual,
    /// About 8 KiB: a file that was read.
    Large,
    /// About 100 KiB: the output of a tool.
    Huge,
}

impl Size {
    fn bytes(self) -> usize {
        match self {
            Self::Small => 100,
            Self::Usual => 500,
            Self::Large => 8 << 10,
            Self::Huge => 100 << 10,
        }
    }
}

/// An endless conversation: the same messages for the same seed.
///
/// ```
/// use nofx_testkit::workload::{Chat, Size};
///
/// let entries: Vec<_> = Chat::new(7, Size::Usual).take(100).collect();
/// assert_eq!(entries, Chat::new(7, Size::Usual).take(100).collect::<Vec<_>>());
/// ```
#[derive(Debug)]
pub struct Chat {
    chance: Chance,
    size: Size,
    said: u64,
}

const ROLES: [&str; 4] = ["user", "assistant", "tool", "assistant"];

const WORDS: &str = "the a to of and in is it that this for with on as be are not or if when then because so but after before \
    test file function error value type session agent task message store record log batch commit read write open close \
    returns fails passes changes adds removes checks looks finds keeps moves waits builds runs again once never only first \
    last next same other every each new old small large empty missing wrong right simple clear please now here there";

const CODE: &[&str] = &[
    "fn main() -> Result<()> {",
    "    let store = open(&location).await?;",
    "    for entry in store.read(query).await? {",
    "        println!(\"{}: {}\", entry.at, entry.body);",
    "    }",
    "export async function load(id: string): Promise<Session | undefined> {",
    "  const text = await fs.readFile(path.join(root, `${id}.json`), 'utf8');",
    "  return JSON.parse(text) as Session;",
    "if (!session) { throw new Error(\"no such session: \" + id); }",
    "    assert_eq!(found.len(), 3, \"each entry once\");",
    "}",
    "",
];

impl Chat {
    /// Starts the conversation of a seed.
    pub fn new(seed: u64, size: Size) -> Self {
        Self { chance: Chance::new(seed), size, said: 0 }
    }

    fn text(&self) -> String {
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        // From half to one and a half times the size.
        let length = self.size.bytes() / 2 + self.chance.below(self.size.bytes());
        let mut text = String::new();
        while text.len() < length {
            if self.chance.below(3) == 0 {
                text.push_str("\n```\n");
                for _ in 0..2 + self.chance.below(6) {
                    text.push_str(CODE[self.chance.below(CODE.len())]);
                    text.push('\n');
                }
                text.push_str("```\n");
            } else {
                for _ in 0..5 + self.chance.below(15) {
                    text.push_str(words[self.chance.below(words.len())]);
                    text.push(' ');
                }
                text.push_str(["42.\n", "ok.\n", "✓ done.\n", "naïve?\n"][self.chance.below(4)]);
            }
        }
        text
    }
}

impl Iterator for Chat {
    type Item = NewEntry;

    fn next(&mut self) -> Option<NewEntry> {
        let role = ROLES[self.said as usize % ROLES.len()];
        let content = json::quote(&self.text());
        let body = format!(r#"{{"id":"message-{}","role":"{role}","content":{content}}}"#, self.said);
        let at = Timestamp::from_millis(1_750_000_000_000 + self.said as i64 * 1500);
        self.said += 1;
        Some(NewEntry { at, body: Body::trusted(body) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_compact_json_of_about_their_size_and_differ_by_seed() {
        for size in [Size::Small, Size::Usual, Size::Large, Size::Huge] {
            let entries: Vec<_> = Chat::new(1, size).take(20).collect();
            for entry in &entries {
                assert_eq!(Body::parse(entry.body.as_str()).unwrap(), entry.body);
            }
            let mean = entries.iter().map(|entry| entry.body.len()).sum::<usize>() / entries.len();
            assert!((size.bytes() / 2..3 * size.bytes() + 200).contains(&mean), "{size:?}: {mean}");
            assert_ne!(entries, Chat::new(2, size).take(20).collect::<Vec<_>>());
        }
    }
}
