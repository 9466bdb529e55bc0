//! Checkpoints, `<agent>_checkpoint.json`: an array of questions and answers.

use super::cast::{INTERFACE, TESTER};
use super::json::Json;
use super::moment::Moment;
use super::tree::SampleTree;

/// A question and its answer.
type Exchange = (&'static str, &'static str);

const INTERFACE_EXCHANGES: [Exchange; 3] = [
    ("Please build the rows of a list.", "Rows are done, 4 tests."),
    ("An empty list looks broken.", "Nothing to do. Enjoy it, or add something. 🍵"),
    ("Move a row without the mouse.", "Alt+↑ / Alt+↓\nand it says so."),
];

const TESTER_EXCHANGES: [Exchange; 2] =
    [("Run everything twenty times.", "400 runs, 21 failed, in five cases."), ("quota first", "")];

const SCOUT_EXCHANGES: [Exchange; 1] = [("How much fits?", "2.1 million edits")];

pub(super) fn add(tree: &mut SampleTree) {
    let interface = exchanges(Moment::new(0, 8, 30), &INTERFACE_EXCHANGES);
    tree.put(format!("sessions/{}_checkpoint.json", INTERFACE.id), interface.pretty());
    let tester = exchanges(Moment::new(5, 7, 50), &TESTER_EXCHANGES);
    tree.put(format!("sessions/{}_checkpoint.json", TESTER.id), tester.pretty());
    // The session service mistook the array for a session without an id, and saved it under that name.
    tree.put("sessions/undefined.json", tester.pretty());
}

/// Returns the shorter array that the snapshot holds.
pub(super) fn of_the_interface_at_first() -> Json {
    exchanges(Moment::new(0, 8, 30), INTERFACE_EXCHANGES.split_at(2).0)
}

pub(super) fn of_the_scout() -> Json {
    exchanges(Moment::new(-1, 8, 20), &SCOUT_EXCHANGES)
}

fn exchanges(from: Moment, exchanges: &[Exchange]) -> Json {
    let mut at = from;
    Json::array(exchanges.iter().map(|(user, agent)| {
        at = at.later(1_200);
        Json::object().with("timestamp", at.iso()).with("user", *user).with("agent", *agent)
    }))
}
