//! Values that a careless reader rounds, drops or refuses.

use nofx_core::json::quote;

use crate::chance::Chance;

const NUMBERS: &[&str] = &[
    "9007199254740993",
    "1e400",
    "-0",
    "1E+2",
    "0.10",
    "123456789012345678901234567890",
    "5e-324",
    "-12345678901234567890.12345678901234567890",
];

const STRINGS: &[&str] = &[
    r#""\ud83d""#,
    r#""\ude00\ud83d ~""#,
    r#""\u0000\u001b[0m~""#,
    r#""\/\u002f\u00e4~""#,
    "\"\u{202e}~ \u{feff}e\u{301}\u{1f600}\"",
    r#""~--- 2025-01-01T00:00:00.000Z ---""#,
    r#""```json\n{\"id\": \"x\", \"conversationHistory\": [\n```~""#,
    r#""""#,
];

const OTHERS: &[&str] = &[
    "null",
    "true",
    "[]",
    "{}",
    r#"{"__proto__": {"": 1}, "constructor": null}"#,
    r#"{"$schema": 7, "$$x": [{"$slot": ""}]}"#,
    "[1, [2, [3, {\"a\": [4]}]]]",
];

/// Times as they are found: what JavaScript writes, and other forms that occur.
const TIMES: &[&str] = &[
    "1757341292345",
    "1757341292",
    "null",
    "\"\"",
    "\"yesterday\"",
    "\"2025-09-08\"",
    "\"2025-09-08T10:00:00+02:00\"",
    "{}",
    "-1",
    "1e400",
];

/// Returns arbitrary JSON.
pub(super) fn any(chance: &Chance) -> String {
    match chance.below(24) {
        0..=7 => chance.pick(NUMBERS).to_owned(),
        8..=15 => chance.pick(STRINGS).to_owned(),
        16 if chance.once_in(4) => format!("{}{}", "[".repeat(5000), "]".repeat(5000)),
        16 => format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100)),
        _ => chance.pick(OTHERS).to_owned(),
    }
}

/// Returns a string, mostly of words.
pub(super) fn text(chance: &Chance) -> String {
    const WORDS: &[&str] =
        &["the", "test", "passes", "naïve?\n", "\"quoted\"", "C:\\temp", "日本", "{", "}", "[", "]", ",", "😀"];
    if chance.once_in(6) {
        return chance.pick(STRINGS).to_owned();
    }
    let mut text = String::from("~");
    for _ in 0..chance.below(12) {
        text.push_str(chance.pick(WORDS));
        text.push(' ');
    }
    quote(&text)
}

/// Returns the time `second` seconds after the start, as JavaScript writes it.
pub(super) fn time(second: usize) -> String {
    let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
    format!("\"2025-09-08T{hour:02}:{minute:02}:{second:02}.000Z\"")
}

/// Returns a time in any form.
pub(super) fn odd_time(chance: &Chance) -> String {
    chance.pick(TIMES).to_owned()
}
