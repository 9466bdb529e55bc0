//! Reads everything intact in a text that may be damaged.

use std::borrow::Cow;

use nofx_core::json::{self, SyntaxError, Text};

/// Returns the offset in `text` of a piece of it.
pub(crate) fn offset(text: &str, piece: &str) -> usize {
    (piece.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

/// The beginning of an object: all members before the damage, if any.
#[derive(Debug)]
pub(crate) struct SalvagedMembers<'a> {
    /// Name literal and value of each intact member.
    pub(crate) whole: Vec<(&'a str, &'a str)>,
    /// For each of them the items of its value, if that is a list of not too many items.
    pub(super) lists: Vec<Option<Vec<&'a str>>>,
    /// Whether an object somewhere in this one has two members of one name; never set for a damaged object.
    pub(crate) has_repeated_names: bool,
    /// The name literal of the damaged member and the text from its value on.
    pub(crate) damaged: Option<(&'a str, &'a str)>,
    /// Why the object is incomplete.
    pub(crate) error: Option<SyntaxError>,
    /// The offset after the object, or of the end of its intact part.
    pub(crate) end: usize,
}

impl<'a> SalvagedMembers<'a> {
    /// Returns the items of the list that is the value of a member.
    pub(crate) fn items(&self, member: usize) -> Vec<&'a str> {
        let value = || self.whole.get(member).map(|(_, value)| items(value).whole);
        self.lists.get(member).cloned().flatten().or_else(value).unwrap_or_default()
    }
}

/// Reads the members of the object that `text` begins with.
pub(crate) fn members(text: &str) -> SalvagedMembers<'_> {
    let mut steps = json::members(text);
    let (mut whole, mut lists, mut names) = (Vec::new(), Vec::new(), Names::default());
    let (mut end, mut damaged, mut error) = (0, None, None);
    names.open();
    loop {
        let mut list = List::new(text);
        let step = steps.next_shown(|token| {
            names.see(token);
            list.see(token);
        });
        match step {
            Some(Ok((name, value))) => {
                end = offset(text, value) + value.len();
                whole.push((name, value));
                lists.push(list.items);
            }
            Some(Err(why)) => {
                damaged = damaged_member(text, end);
                error = Some(why);
            }
            None => break,
        }
    }
    names.close();
    let has_repeated_names = error.is_none() && names.repeated;
    SalvagedMembers { whole, lists, has_repeated_names, damaged, error, end: steps.end().unwrap_or(end) }
}

/// The most items of a list that are recorded in passing.
const MAX_ITEMS: usize = 1 << 20;

/// Records the items of a list while the member that it is the value of is walked.
#[derive(Debug)]
struct List<'a> {
    text: &'a str,
    /// `None` before the value, and if it is not a list or a list of too many items.
    items: Option<Vec<&'a str>>,
    /// Tokens outside the list.
    seen: usize,
    depth: usize,
    /// Where the current item begins, and where its last token ends.
    start: Option<usize>,
    end: usize,
}

impl<'a> List<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, items: None, seen: 0, depth: 0, start: None, end: 0 }
    }

    fn see(&mut self, token: &'a str) {
        if self.depth == 0 {
            // The name, the colon, and where the value begins.
            self.seen += 1;
            if (self.seen, token) == (3, "[") {
                (self.items, self.depth) = (Some(Vec::new()), 1);
            }
            return;
        }
        let at = offset(self.text, token);
        match token.as_bytes() {
            b"," | b"]" if self.depth == 1 => {
                let item = self.start.take().and_then(|start| self.text.get(start..self.end));
                self.items.iter_mut().for_each(|items| items.extend(item));
                if self.items.as_ref().is_some_and(|items| items.len() > MAX_ITEMS) {
                    (self.items, self.depth) = (None, 0);
                    return;
                }
            }
            _ => _ = self.start.get_or_insert(at),
        }
        match token.as_bytes() {
            b"[" | b"{" => self.depth += 1,
            b"]" | b"}" => self.depth -= 1,
            _ => {}
        }
        self.end = at + token.len();
    }
}

/// Reads the name of the member that begins after `end`, after a comma or the opening brace.
fn damaged_member(text: &str, end: usize) -> Option<(&str, &str)> {
    let rest = text.get(end..)?.trim_ascii_start();
    let rest = rest.strip_prefix(if end == 0 { '{' } else { ',' })?.trim_ascii_start();
    let name_end = rest.starts_with('"').then(|| json::walk(rest, 0, |_| {}).ok())??;
    let (name, rest) = rest.split_at_checked(name_end)?;
    Some((name, rest.trim_ascii_start().strip_prefix(':')?.trim_ascii_start()))
}

/// The beginning of an array: all items before the damage, if any.
#[derive(Debug)]
pub(crate) struct SalvagedItems<'a> {
    /// The intact items.
    pub(crate) whole: Vec<&'a str>,
    /// The text from the damaged item on.
    pub(crate) damaged: Option<&'a str>,
    /// Why the array is incomplete.
    pub(crate) error: Option<SyntaxError>,
    /// The offset after the array, or of the end of its intact part.
    pub(crate) end: usize,
}

/// Reads the items of the array that `text` begins with.
pub(crate) fn items(text: &str) -> SalvagedItems<'_> {
    let mut steps = json::items(text);
    let mut found = SalvagedItems { whole: Vec::new(), damaged: None, error: None, end: 0 };
    for step in &mut steps {
        match step {
            Ok(item) => {
                found.end = offset(text, item) + item.len();
                found.whole.push(item);
            }
            Err(error) => {
                let rest = text.get(found.end..).unwrap_or_default().trim_ascii_start();
                let before = if found.whole.is_empty() { '[' } else { ',' };
                found.damaged = rest.strip_prefix(before).map(str::trim_ascii_start).filter(|rest| !rest.is_empty());
                found.error = Some(error);
            }
        }
    }
    if let Some(end) = steps.end() {
        found.end = end;
    }
    found
}

/// Returns whether an object somewhere in this JSON has two members of one name.
pub(crate) fn has_repeated_names(text: &str) -> bool {
    let mut names = Names::default();
    json::walk(text, 0, |token| names.see(token)).is_ok() && names.repeated
}

/// Detects names that occur twice in one object, while its tokens are walked.
#[derive(Debug, Default)]
struct Names<'a> {
    /// The names so far, of all open objects.
    names: Vec<Cow<'a, str>>,
    /// For each open bracket, where its names begin.
    levels: Vec<usize>,
    last: &'a str,
    repeated: bool,
}

impl<'a> Names<'a> {
    fn see(&mut self, token: &'a str) {
        match token.as_bytes() {
            b"{" | b"[" => self.open(),
            b"}" | b"]" => self.close(),
            b":" => self.names.push(spelled(self.last)),
            _ => self.last = token,
        }
    }

    fn open(&mut self) {
        self.levels.push(self.names.len());
    }

    fn close(&mut self) {
        let from = self.levels.pop().unwrap_or_default();
        let own = self.names.get_mut(from..).unwrap_or_default();
        self.repeated |= match own.len() {
            // Most objects have a handful, which already differ in length.
            0..=FEW => own.iter().enumerate().any(|(at, name)| own.iter().take(at).any(|other| other == name)),
            _ => {
                own.sort_unstable();
                own.windows(2).any(|pair| pair.first() == pair.last())
            }
        };
        self.names.truncate(from);
    }
}

/// The most names that are compared pairwise, which is faster than sorting them.
const FEW: usize = 12;

/// Returns a name's literal with the fewest escapes.
fn spelled(literal: &str) -> Cow<'_, str> {
    match literal.as_bytes().contains(&b'\\') {
        true => Text::from_json(literal).unwrap_or_default().to_json().into(),
        false => literal.into(),
    }
}

/// The most offsets in a line at which to look for an object.
const TRIES: usize = 1000;

/// Finds the intact objects in a line that is not one object: several joined together, or one after half of another.
///
/// After a half, only an object that satisfies `is_one` is accepted: it might be part of that half.
pub(crate) fn objects(line: &str, is_one: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut found = Vec::new();
    // Each attempt takes time for every byte read; a line of brackets must not take quadratic time.
    let (mut at, mut tries, mut budget) = (0, 0, line.len().saturating_mul(8).saturating_add(1 << 16));
    while let Some(start) = line.get(at..).and_then(|rest| rest.find('{')).map(|found| at + found) {
        tries += 1;
        if tries > TRIES {
            break;
        }
        let (end, object) = match json::walk(line, start, |_| {}) {
            Ok(end) => (end, line.get(start..end).filter(|object| is_one(object))),
            Err(error) => (error.offset, None),
        };
        let Some(left) = budget.checked_sub(end.saturating_sub(start)) else { break };
        budget = left;
        found.extend(object);
        at = if object.is_some() { end } else { start + 1 };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_before_the_damage_is_found() {
        let text = r#"{"a":1, "b" : [1, {"x":2}, {"y":"#;
        let found = members(text);
        assert_eq!(found.whole, [("\"a\"", "1")]);
        let (name, rest) = found.damaged.unwrap();
        assert_eq!(name, "\"b\"");
        let inner = items(rest);
        assert_eq!(inner.whole, ["1", r#"{"x":2}"#]);
        assert_eq!(inner.damaged, Some(r#"{"y":"#));
        assert_eq!(offset(text, rest) + inner.end, 25);
    }

    #[test]
    fn a_whole_object_with_something_behind_it_ends_where_it_ends() {
        let found = members("{ \"a\" : 1 } , ] }");
        assert!(found.error.is_none());
        assert_eq!(found.end, 11);
        for text in ["", "{", "{\"a", "{\"a\"", "{\"a\":", "[1", "x", "{\"a\":1,", "{\"a\":1,\"b\":tru"] {
            members(text);
            items(text);
        }
        assert_eq!(members("{\"a\":").damaged, Some(("\"a\"", "")));
    }

    #[test]
    fn the_items_of_a_list_are_found_in_passing_as_when_it_is_read_alone() {
        let text = r#"{"a":[ 1 , {"x":[2,[]]}, "s" ,[ ], null],"b":{"c":[1]},"d":[],"e":"[1]","f":[[1 ,2],3 ]}"#;
        let found = members(text);
        for (at, (_, value)) in found.whole.iter().enumerate() {
            assert_eq!(found.lists[at].is_some(), value.starts_with('['), "{value}");
            assert_eq!(found.items(at), items(value).whole, "{value}");
        }
        assert_eq!(found.items(0), ["1", r#"{"x":[2,[]]}"#, r#""s""#, "[ ]", "null"]);
        assert!(!found.has_repeated_names && members(r#"{"a":[{"b":1,"b":2}]}"#).has_repeated_names);
        assert!(members(r#"{"a":1,"\u0061":2}"#).has_repeated_names && !members(r#"{"a":1,"a":2"#).has_repeated_names);
    }

    #[test]
    fn repeated_names_are_found_at_every_depth_and_in_every_spelling() {
        assert!(has_repeated_names(r#"[{"a":{"b":1,"c":2,"\u0062":3}}]"#));
        assert!(!has_repeated_names(r#"{"a":{"a":[{"a":"b"},{"a":"b"}]},"b":"a"}"#));
        for names in [2, FEW, FEW + 1, 50] {
            let object = |last: usize| {
                let members: Vec<_> = (1..names).chain([last]).map(|name| format!(r#""{name}":{{}}"#)).collect();
                format!("{{{}}}", members.join(","))
            };
            assert!(has_repeated_names(&object(1)) && !has_repeated_names(&object(0)), "{names}");
        }
    }

    #[test]
    fn glued_and_halved_lines_give_their_whole_objects() {
        let is_message = |object: &str| object.contains("\"id\"");
        let half = r#"{"id":"1","payload":{"x":{}},"te{"id":"2"}"#;
        assert_eq!(objects(half, is_message), [r#"{"id":"2"}"#]);
        assert_eq!(objects(r#"{"id":"1"}{"id":"2"} x"#, is_message).len(), 2);
        assert!(objects(&"{".repeat(1 << 20), is_message).is_empty());
        assert!(objects(&"{\"a\":".repeat(1 << 18), is_message).is_empty());
    }
}
