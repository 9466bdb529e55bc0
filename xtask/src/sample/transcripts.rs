//! Markdown transcripts, `<agent>_session.md`: a header, then contents separated by lines with a time.

use super::cast::{API, Agent, INTERFACE, SCOUT, TESTER};
use super::moment::Moment;
use super::tree::SampleTree;

pub(super) fn add(tree: &mut SampleTree) {
    for (agent, text) in all() {
        tree.put(format!("sessions/{}_session.md", agent.id), text);
    }
}

/// Returns the transcripts that are in `sessions/`.
pub(super) fn all() -> [(Agent, String); 3] {
    [(INTERFACE, of_the_interface()), (API, of_the_api()), (TESTER, begun(TESTER, Moment::new(4, 20, 0), ""))]
}

/// Content that itself looks like a separator, with a time that runs backwards.
fn of_the_interface() -> String {
    let text = of_the_interface_at_first();
    let text = continued(
        text,
        Moment::new(0, 9, 1),
        "ASSISTANT: the log of the last run, for reference:\n\n--- 2025-08-29T10:00:00.000Z ---\nthis line stood in the log, nobody wrote it here\n\nASSISTANT: end of the log",
    );
    continued(
        text,
        Moment::new(0, 10, 40),
        "USER: Stop at the end of the list.\nASSISTANT: Done. ⌨️\n```ts\nif (index === last) return announce(`${text} is already last`);\n```",
    )
}

/// Returns the part that the snapshot holds: a prefix of the present transcript.
pub(super) fn of_the_interface_at_first() -> String {
    begun(
        INTERFACE,
        Moment::new(0, 8, 6),
        "USER: Please build the rows of a list.\nASSISTANT: I read the test first.\n---\nthree dashes alone separate nothing",
    )
}

/// Windows line endings, and a header where none belongs.
fn of_the_api() -> String {
    let text = begun(API, Moment::new(0, 9, 41), "USER: change feed\r\nASSISTANT: one table, one cursor\r\n");
    let text = continued(
        text,
        Moment::new(0, 9, 52),
        "# Agent Session: agent-0-somebody-else\n# Started: 2020-01-01T00:00:00.000Z\n\npasted from another file",
    );
    continued(text, Moment::new(1, 7, 20), "")
}

pub(super) fn of_the_scout() -> String {
    begun(SCOUT, Moment::new(-1, 8, 1), "2,100,000 Bearbeitungen, dann ist Schluss.")
}

fn begun(agent: Agent, at: Moment, content: &str) -> String {
    format!("# Agent Session: {}\n# Started: {}\n\n{content}", agent.id, at.iso())
}

fn continued(text: String, at: Moment, content: &str) -> String {
    format!("{text}\n\n--- {} ---\n{content}", at.iso())
}
