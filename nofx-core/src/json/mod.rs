//! JSON kept exactly as it was written.
//!
//! A store of other people's history must not round a number, drop an unknown member, or refuse a string that only
//! JavaScript can hold. The usual way, deserialising into structures, does all three. So bodies stay text, and this
//! module walks that text: [`walk`] checks one value, [`members`] and [`items`] step through the top level, [`Object`]
//! replaces single members, [`Text`] holds any JavaScript string. Nothing here recurses, so nesting uses no stack.

mod canonical;
mod object;
mod string;
mod text;

pub use canonical::{canonical, minimal_escapes};
pub use object::{Object, Value};
pub use text::{Text, quote};

use std::fmt;

use string::string_end;

/// The deepest nesting allowed in a body.
pub const MAX_DEPTH: usize = 10_000;

/// Where a text stops being JSON, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The number of bytes before the error.
    pub offset: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.offset)
    }
}

impl std::error::Error for SyntaxError {}

fn wrong<T>(offset: usize, reason: &'static str) -> Result<T, SyntaxError> {
    Err(SyntaxError { offset, reason })
}

/// Checks the value that begins at byte `at`, after white space, and returns the offset of its end.
///
/// Calls `token` with each bracket, comma, colon, string, number and word in turn; joined, they are the compact form.
pub fn walk<'a>(text: &'a str, at: usize, mut token: impl FnMut(&'a str)) -> Result<usize, SyntaxError> {
    let bytes = text.as_bytes();
    let mut emit = |from: usize, to: usize| token(text.get(from..to).unwrap_or_default());
    let mut open: Vec<u8> = Vec::new();
    let mut at = skip_space(bytes, at);
    // Each iteration reads one value, then everything up to where the next one must begin.
    loop {
        match bytes.get(at) {
            Some(&bracket @ (b'{' | b'[')) => {
                if open.len() == MAX_DEPTH {
                    return wrong(at, "nesting deeper than 10,000");
                }
                emit(at, at + 1);
                let inside = skip_space(bytes, at + 1);
                let closing = if bracket == b'{' { b'}' } else { b']' };
                if bytes.get(inside) != Some(&closing) {
                    open.push(closing);
                    at = if bracket == b'{' { name(bytes, inside, &mut emit)? } else { inside };
                    continue;
                }
                emit(inside, inside + 1);
                at = inside + 1;
            }
            Some(b'"') => {
                let end = string_end(bytes, at)?;
                emit(at, end);
                at = end;
            }
            Some(b'-' | b'0'..=b'9') => {
                let end = number_end(bytes, at)?;
                emit(at, end);
                at = end;
            }
            Some(b't') => at = word(bytes, at, "true", &mut emit)?,
            Some(b'f') => at = word(bytes, at, "false", &mut emit)?,
            Some(b'n') => at = word(bytes, at, "null", &mut emit)?,
            Some(_) => return wrong(at, "expected a value"),
            None => return wrong(at, "unexpected end"),
        }
        loop {
            let Some(&closing) = open.last() else { return Ok(at) };
            at = skip_space(bytes, at);
            match bytes.get(at) {
                Some(b',') => {
                    emit(at, at + 1);
                    at = skip_space(bytes, at + 1);
                    if closing == b'}' {
                        at = name(bytes, at, &mut emit)?;
                    }
                    break;
                }
                Some(&found) if found == closing => {
                    emit(at, at + 1);
                    open.pop();
                    at += 1;
                }
                Some(_) => return wrong(at, "expected a comma or a closing bracket"),
                None => return wrong(at, "unexpected end"),
            }
        }
    }
}

/// Reads `"name" :` and the white space after it.
fn name(bytes: &[u8], at: usize, emit: &mut impl FnMut(usize, usize)) -> Result<usize, SyntaxError> {
    match bytes.get(at) {
        Some(b'"') => {}
        Some(_) => return wrong(at, "expected the name of a member"),
        None => return wrong(at, "unexpected end"),
    }
    let end = string_end(bytes, at)?;
    emit(at, end);
    let colon = skip_space(bytes, end);
    match bytes.get(colon) {
        Some(b':') => emit(colon, colon + 1),
        Some(_) => return wrong(colon, "expected a colon"),
        None => return wrong(colon, "unexpected end"),
    }
    Ok(skip_space(bytes, colon + 1))
}

fn word(bytes: &[u8], at: usize, word: &str, emit: &mut impl FnMut(usize, usize)) -> Result<usize, SyntaxError> {
    let end = at + word.len();
    match bytes.get(at..end) {
        Some(found) if found == word.as_bytes() => {
            emit(at, end);
            Ok(end)
        }
        Some(_) => wrong(at, "expected a value"),
        None => wrong(bytes.len(), "unexpected end"),
    }
}

fn number_end(bytes: &[u8], at: usize) -> Result<usize, SyntaxError> {
    let digits = |from: usize| -> Result<usize, SyntaxError> {
        let count = bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        match count {
            0 if from >= bytes.len() => wrong(from, "unexpected end"),
            0 => wrong(from, "expected a digit"),
            count => Ok(from + count),
        }
    };
    let first = if bytes.get(at) == Some(&b'-') { at + 1 } else { at };
    let mut end = if bytes.get(first) == Some(&b'0') { first + 1 } else { digits(first)? };
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
        end = digits(end + 1 + usize::from(sign))?;
    }
    Ok(end)
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    at + bytes.iter().skip(at).take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Returns the compact form of `text`, which must be one value: the same tokens without white space between them.
pub fn compact(text: &str) -> Result<String, SyntaxError> {
    let mut compacted = String::with_capacity(text.len());
    let end = walk(text, 0, |token| compacted.push_str(token))?;
    match skip_space(text.as_bytes(), end) {
        end if end == text.len() => Ok(compacted),
        end => wrong(end, "unexpected text after the value"),
    }
}

/// Steps through the members of the object at the start of `text`: name literal and value, as written.
///
/// Each step checks only its own member, so that members before a damaged place are still found. The last step is an
/// error if the object is damaged or if there is none.
pub fn members(text: &str) -> Members<'_> {
    Members(Steps::new(text, b'{', b'}'))
}

/// Steps through the items of the array at the start of `text`, with the same rules as [`members`].
pub fn items(text: &str) -> Items<'_> {
    Items(Steps::new(text, b'[', b']'))
}

/// The iterator of [`members`].
#[derive(Clone, Debug)]
pub struct Members<'a>(Steps<'a>);

impl Members<'_> {
    /// Returns the offset after the closing brace, once the iterator has ended without an error.
    pub fn end(&self) -> Option<usize> {
        self.0.end
    }
}

impl<'a> Members<'a> {
    /// Steps like the iterator, and passes on each token of the member as [`walk`] does: its name, the colon, those of
    /// the value.
    ///
    /// Some tokens of a damaged member may already have been passed on.
    pub fn next_shown(&mut self, mut token: impl FnMut(&'a str)) -> Option<Result<(&'a str, &'a str), SyntaxError>> {
        self.0.step(|text, at| {
            let mut named = None;
            let value_at = name(text.as_bytes(), at, &mut |from, to| {
                named.get_or_insert((from, to));
                token(text.get(from..to).unwrap_or_default());
            })?;
            let end = walk(text, value_at, token)?;
            let (from, to) = named.unwrap_or_default();
            let literal = text.get(from..to).unwrap_or_default();
            Ok(((literal, text.get(value_at..end).unwrap_or_default()), end))
        })
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<(&'a str, &'a str), SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_shown(|_| {})
    }
}

/// The iterator of [`items`].
#[derive(Clone, Debug)]
pub struct Items<'a>(Steps<'a>);

impl Items<'_> {
    /// Returns the offset after the closing bracket, once the iterator has ended without an error.
    pub fn end(&self) -> Option<usize> {
        self.0.end
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<&'a str, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.step(|text, at| {
            let end = walk(text, at, |_| {})?;
            Ok((text.get(at..end).unwrap_or_default(), end))
        })
    }
}

/// The comma-separated steps between two brackets.
#[derive(Clone, Debug)]
struct Steps<'a> {
    text: &'a str,
    at: usize,
    opening: u8,
    closing: u8,
    started: bool,
    finished: bool,
    end: Option<usize>,
}

impl<'a> Steps<'a> {
    fn new(text: &'a str, opening: u8, closing: u8) -> Self {
        Self { text, at: 0, opening, closing, started: false, finished: false, end: None }
    }

    /// Moves to the next element and reads it with `read`, which returns it and its end.
    fn step<T>(
        &mut self,
        read: impl FnOnce(&'a str, usize) -> Result<(T, usize), SyntaxError>,
    ) -> Option<Result<T, SyntaxError>> {
        if self.finished {
            return None;
        }
        let stepped = self.advance().and_then(|more| match more {
            true => read(self.text, self.at).map(|(element, end)| {
                self.at = end;
                Some(element)
            }),
            false => Ok(None),
        });
        self.finished = !matches!(stepped, Ok(Some(_)));
        stepped.transpose()
    }

    /// Moves to where the next element begins; `false` at the closing bracket.
    fn advance(&mut self) -> Result<bool, SyntaxError> {
        let bytes = self.text.as_bytes();
        self.at = skip_space(bytes, self.at);
        let expected = if self.started { b',' } else { self.opening };
        match bytes.get(self.at) {
            Some(&found) if found == expected => {}
            Some(&found) if self.started && found == self.closing => return Ok(self.close()),
            Some(_) if self.started => return wrong(self.at, "expected a comma or a closing bracket"),
            Some(_) => return wrong(self.at, if self.opening == b'{' { "not an object" } else { "not an array" }),
            None => return wrong(self.at, "unexpected end"),
        }
        self.at = skip_space(bytes, self.at + 1);
        let first = !std::mem::replace(&mut self.started, true);
        if first && bytes.get(self.at) == Some(&self.closing) {
            return Ok(self.close());
        }
        Ok(true)
    }

    fn close(&mut self) -> bool {
        self.end = Some(self.at + 1);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_removes_white_space_and_nothing_else() {
        let spaced = " {\n \"a b\" : [ 1 , 1.10 , -0 , 1e400 ] , \"a b\" : { } , \"\\ud83d\" : [ ] , \"t\" : true } ";
        assert_eq!(compact(spaced).unwrap(), r#"{"a b":[1,1.10,-0,1e400],"a b":{},"\ud83d":[],"t":true}"#);
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, offset) in [
            ("", 0),
            ("{", 1),
            ("[1,]", 3),
            ("{\"a\":1,}", 7),
            ("01", 1),
            ("1.", 2),
            ("-", 1),
            ("\"\n\"", 1),
            ("\"\\x\"", 1),
            ("\"\\u12g4\"", 1),
            ("\"open", 5),
            ("nul", 3),
            ("nulL", 0),
            ("[1 2]", 3),
            ("{\"a\" 1}", 5),
            ("{1:2}", 1),
            ("{} x", 3),
            ("[}", 1),
        ] {
            assert_eq!(compact(text).map_err(|error| error.offset), Err(offset), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_and_costs_no_stack() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(compact(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(compact(&nested(MAX_DEPTH + 1)).unwrap_err().offset, MAX_DEPTH);
    }

    #[test]
    fn members_before_a_damaged_place_are_found() {
        let mut found = members(r#" { "a" : [1, 2] , "b":"x", "c": {"d" "#);
        assert_eq!(found.next(), Some(Ok(("\"a\"", "[1, 2]"))));
        assert_eq!(found.next(), Some(Ok(("\"b\"", "\"x\""))));
        assert!(matches!(found.next(), Some(Err(_))));
        assert_eq!(found.next(), None);
        assert_eq!(found.end(), None);
    }

    #[test]
    fn items_end_where_the_array_ends() {
        let text = "[1, {\"a\":[]}] trailing";
        let mut found = items(text);
        assert_eq!(found.by_ref().collect::<Result<Vec<_>, _>>().unwrap(), ["1", "{\"a\":[]}"]);
        assert_eq!(found.end(), Some(13));
        assert_eq!(items("[]").count(), 0);
        assert_eq!(items("{}").next().unwrap().unwrap_err().reason, "not an array");
    }
}
