//! The writing agent: every script and every awkward character, and values that a careless reader rounds.

use crate::sample::cast::CHRONICLE;
use crate::sample::json::Json;
use crate::sample::moment::Moment;
use crate::sample::session::Session;
use crate::sample::talk::Talk;

pub(super) fn collects_every_script() -> Session {
    let begin = Moment::new(2, 11, 15);
    let talk = Talk::at(begin, "collects every script")
        .user(40, "Collect texts for the manual that break bad software. One per message.")
        .assistant(30, "Right to left inside left to right: the list “קניות” has 3 items, the list “مشتريات” has 4.")
        .assistant(10, "Composed and decomposed: \u{c5} (U+00C5) and A\u{30a} (U+0041 U+030A) look alike and are not equal.")
        .assistant(10, "Families and flags: 👨‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇳🇿 👍🏽 1️⃣")
        .assistant(10, "Beyond the first plane: 𝒯𝒶𝓁𝓁𝓎, 𠮷野家, 𓀀")
        .assistant(10, "Separators that are not line breaks in JSON:\u{2028}line\u{2029}paragraph\u{85}next")
        .assistant(10, "Controls: nul \u{0} bell \u{7} escape \u{1b}[1mbold\u{1b}[0m delete \u{7f}")
        .assistant(10, "\u{feff}Begins with a byte order mark, ends with spaces   ")
        .assistant(10, "")
        .assistant(10, "A path: C:\\Users\\Lena\\todo.txt, a regex: ^\\d{2}\\s*[\"'`]$, a closing tag: </script>")
        .assistant(10, "Fences in fences:\n\n````md\n```json\n{\"a\": \"\\u00e9\"}\n```\n````\n\nCRLF\r\nand tab\tand `--- 2025-09-03T11:20:00.000Z ---` in the middle.")
        .assistant_exactly(10, "\"Half of an emoji, cut by a preview of 40 units: \\ud83d\"")
        .system(5, "--- 2025-09-03T11:21:00.000Z ---\nlooks like a separator");
    let session = Session::spawned(CHRONICLE, begin).told(talk);
    Session { status: "paused", unknown: unknown(), ..session }
}

/// Members of a later tool: a reader through floating point would change each of these numbers.
fn unknown() -> Vec<(&'static str, Json)> {
    let review = Json::object()
        .with("tokensRead", Json::exact("9007199254740993"))
        .with("price", Json::exact("1.10"))
        .with("budget", Json::exact("1e400"))
        .with("__proto__", Json::object().with("seen", true))
        .with("", "a member without a name")
        .with("cut", Json::exact("\"\\uDC00\""));
    vec![("review", review), ("pinned", Json::Null)]
}
