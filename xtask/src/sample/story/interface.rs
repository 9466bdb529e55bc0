//! The interface agent: one long working day, and sessions that hold nothing but the template.

use crate::sample::cast::INTERFACE;
use crate::sample::moment::Moment;
use crate::sample::session::Session;
use crate::sample::talk::Talk;
use crate::sample::task::Task;

/// A full history with two finished tasks and one under way.
pub(super) fn builds_the_list() -> Session {
    let begin = Moment::new(0, 8, 5);
    let rows = Task::started(
        Moment::new(0, 8, 7),
        "Todo rows",
        "Show the todos of one list; check them off with the mouse or the space bar.",
    )
    .priority("high")
    .tags(&["list", "a11y"]);
    let empty = Task::started(Moment::new(0, 9, 2), "Empty state", "A new list shall not look like an error.")
        .tags(&["list", "texts"]);
    let reorder = Task::started(
        Moment::new(0, 10, 30),
        "Reorder with the keyboard",
        "Alt+↑ and Alt+↓ move a row; say where it went.",
    )
    .priority("high")
    .tags(&["list", "keyboard", "a11y"]);
    let talk = Talk::at(begin, "builds the list")
        .system(2, "Agent started in the workspace tally.")
        .user(60, "Please build the rows of a list. One row: a check box, the text, the due day. 200 rows must stay smooth.")
        .task(&rows.id)
        .assistant(45, "I read `TodoList.tsx` and its test. The test only checks that something renders, so I shall first write down what a row does today.")
        .task(&rows.id)
        .files(&["packages/web/src/TodoList.tsx", "packages/web/src/TodoList.test.tsx"])
        .tool(20, "Test Files  1 passed (1)\n     Tests  4 passed (4)\n  Duration  1.31s")
        .command("npm test --workspace web -- TodoList", false)
        .assistant(190, "The row is a `<li>` with a real check box in it:\n\n```tsx\n<li className={styles.row} data-done={todo.done}>\n  <label>\n    <input type=\"checkbox\" checked={todo.done} onChange={() => complete(todo.id)} />\n    <span>{todo.text}</span>\n  </label>\n  {todo.due && <time dateTime={todo.due}>{formatDay(todo.due)}</time>}\n</li>\n```\n\nKeys are the ids, so a row keeps its focus when the list is sorted.")
        .files(&["packages/web/src/TodoRow.tsx"])
        .user(80, "Nice. What happens with a text of 2,000 characters? Somebody pasted a whole e-mail yesterday 😅")
        .assistant(70, "It pushed the due day out of the window. Now the text wraps, and from the fourth line on there is “more”. The whole text stays in the DOM, so find-in-page works.")
        .files(&["packages/web/src/TodoRow.module.css"])
        .tool(15, "FAIL  src/TodoRow.test.tsx > wraps long words\nAssertionError: expected 1312 to be less than or equal to 960")
        .command("npm test --workspace web -- TodoRow", true)
        .assistant(55, "One word without a break was wider than the row: `overflow-wrap: anywhere` was missing. Green now.")
        .system(5, "Task completed: Todo rows")
        .user(600, "Next: an empty list looks broken. Write something friendly, in English and German.")
        .task(&empty.id)
        .assistant(40, "en: “Nothing to do. Enjoy it, or add something.”\nde: „Nichts zu tun. Genieß es, oder schreib etwas auf.“\n\nBoth are in the message files; the component has no text of its own.")
        .task(&empty.id)
        .files(&["packages/web/messages/en.json", "packages/web/messages/de.json"])
        .user(35, "„Genieß es“ ist gut. And a picture?")
        .assistant(50, "A cup of tea, 1.2 KB, `aria-hidden`. In forced-colors mode it takes the text's colour. 🍵")
        .tool(12, "web: 88.9 KB (before 87.6 KB), budget 90 KB")
        .command("npm run size --workspace web", false)
        .system(4, "Task completed: Empty state")
        .user(1_900, "Now the keyboard: I want to move a row without the mouse.")
        .task(&reorder.id)
        .assistant(65, "Plan:\n1. a roving tabindex, so that Tab enters the list once\n2. Alt+↑ / Alt+↓ call the same `move(id, by)` as dragging\n3. a live region says “Buy milk, position 3 of 12”\n\nOpen question: what shall happen at the end of the list, stop or go round?")
        .user(25, "Stop. Going round is confusing when you can't see it.")
        .task(&reorder.id)
        .assistant(140, "It stops, and says so: “Buy milk is already last”. Windows screen readers take Alt+↑ in a combo box only, so there is no clash here.")
        .files(&["packages/web/src/useReorder.ts", "packages/web/src/announce.ts"])
        .assistant(30, "Dragging on a touch screen still moves the page. I'll go on there tomorrow.");
    let rows = rows.completed(Moment::new(0, 8, 19));
    let empty = empty.completed(Moment::new(0, 9, 8));
    Session::spawned(INTERFACE, begin).told(talk).finished(rows).finished(empty).working_on(reorder)
}

/// A restart the next morning: the template again, and nothing else.
pub(super) fn starts_again() -> Session {
    Session::spawned(INTERFACE, Moment::new(1, 6, 31))
}

/// Another restart, on a host whose local time has a narrow space before AM, and outside a repository.
pub(super) fn starts_a_third_time() -> Session {
    let session = Session::spawned(INTERFACE, Moment::new(2, 6, 12));
    let name = session.name.replace(" AM", "\u{202f}AM");
    Session { name, branch: Some(""), ..session }
}

/// The day before the story's first: archived together with the tables.
pub(super) fn draws_the_first_screen() -> Session {
    let begin = Moment::new(-1, 13, 0);
    let talk = Talk::at(begin, "draws the first screen")
        .user(30, "Sketch the first screen in plain HTML. No framework yet.")
        .assistant(95, "One heading, one form, one list:\n\n~~~html\n<h1>Tally</h1>\n<form><input name=\"text\" required><button>Add</button></form>\n<ul></ul>\n~~~\n\nThe form works without any script: the server answers with the page.")
        .files(&["sketch/index.html"])
        .user(40, "Keep that property as long as you can.");
    Session::spawned(INTERFACE, begin).told(talk)
}
