//! The testing agent: a long night, told case by case, and its summarised restore.

use crate::sample::cast::TESTER;
use crate::sample::moment::Moment;
use crate::sample::session::Session;
use crate::sample::talk::Talk;
use crate::sample::task::Task;

/// What was asked, what the run printed, and what the tester made of it.
struct Case {
    name: &'static str,
    printed: &'static str,
    failed: bool,
    finding: &'static str,
}

const fn case(name: &'static str, printed: &'static str, failed: bool, finding: &'static str) -> Case {
    Case { name, printed, failed, finding }
}

const CASES: [Case; 20] = [
    case("add", "20 passed", false, "Adding works, also with Enter on an empty list."),
    case("add-empty", "20 passed", false, "An empty text is refused by the browser; the form keeps the focus."),
    case(
        "add-long",
        "20 passed",
        false,
        "2,000 characters wrap. 200,000 characters freeze the page for 4 s: reported.",
    ),
    case("check", "20 passed", false, "Check and uncheck, mouse and space bar."),
    case(
        "check-twice",
        "19 passed, 1 failed",
        true,
        "Two quick clicks: once in twenty the second click is lost. The button is disabled too early.",
    ),
    case("rename", "20 passed", false, "Escape restores the old text."),
    case(
        "rename-emoji",
        "20 passed",
        false,
        "👩‍👩‍👧‍👦 and 🇨🇭 survive. Cutting the preview after 40 characters splits a family: reported.",
    ),
    case("reorder", "20 passed", false, "Alt+↑ and Alt+↓ announce the new position."),
    case("reorder-touch", "11 passed, 9 failed", true, "On touch the page scrolls instead. Known, task is open."),
    case("due", "20 passed", false, "Days, not times: fine in three time zones."),
    case("due-dst", "18 passed, 2 failed", true, "On 26 October “tomorrow” is 25 hours away and shows as “in 2 days”."),
    case("share", "20 passed", false, "A second person sees the list after 0.4 s."),
    case("share-remove", "20 passed", false, "A removed person gets 404, not 403: good."),
    case("offline-add", "20 passed", false, "Added in the tunnel, there after the tunnel."),
    case("offline-edit", "20 passed", false, "Both texts are shown, one is chosen, nothing is lost."),
    case(
        "offline-delete",
        "17 passed, 3 failed",
        true,
        "Delete offline, edit online: the row comes back without its text.",
    ),
    case("reload", "20 passed", false, "A reload in the middle of a sync repeats the sync."),
    case("two-tabs", "20 passed", false, "Two tabs share one outbox."),
    case("clock-skew", "20 passed", false, "A clock three hours ahead changes nothing: the server's order counts."),
    case("quota", "14 passed, 6 failed", true, "With a full disk the outbox says “saved”. It must not."),
];

/// More than fifty messages, with a system message early and one late.
pub(super) fn spends_a_night() -> Session {
    let begin = Moment::new(4, 20, 0);
    let task = Task::started(Moment::new(4, 20, 1), "Night run", "Every case twenty times; report what you saw.")
        .priority("high")
        .tags(&["e2e", "夜"]);
    let talk = Talk::at(begin, "spends a night")
        .system(1, "Session resumed on the machine under the desk.")
        .user(30, "Run everything twenty times and tell me in the morning.")
        .task(&task.id);
    let talk = CASES.iter().fold(talk, run);
    let talk = talk
        .system(5, "[checkpoint] context window is nearly full")
        .assistant(60, "Twenty cases, 400 runs: 379 passed, 21 failed, in five cases. Worst first: quota (says “saved” and is not), offline-delete, due-dst, check-twice, reorder-touch (known).");
    let messages = talk.clone().messages();
    let (first, last) = (messages[1].id.clone(), messages[messages.len() - 1].id.clone());
    let task = task.completed(talk.now()).between(&first, &last);
    Session::spawned(TESTER, begin).told(talk).finished(task)
}

fn run(talk: Talk, case: &Case) -> Talk {
    let command = format!("npx playwright test {} --repeat-each=20", case.name);
    let talk = talk.user(40, &format!("Next: {}", case.name));
    let talk = talk.tool(300, &format!("Running 20 tests using 2 workers\n  {}", case.printed));
    talk.command(&command, case.failed).assistant(25, case.finding)
}

/// The next morning: a summary, the system messages, and the last fifty messages once more.
pub(super) fn goes_on_after_the_night(night: &Session) -> Session {
    let begin = Moment::new(5, 7, 45);
    let talk = Talk::at(begin, "goes on after the night")
        .user(45, "Good morning! Start with quota, please.")
        .assistant(80, "The outbox ignores the promise of `put`. With the rejection handled it says “not saved, this device is full”. 20 of 20.")
        .files(&["packages/web/src/outbox.ts"]);
    night.restored_with_summary(begin, "test, error").told(talk)
}
