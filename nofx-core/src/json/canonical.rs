//! Two other spellings of the same JSON.

use std::borrow::Cow;

use super::{SyntaxError, Text, walk};

/// Rewrites each string with the fewest escapes and removes white space; numbers and order stay as they are.
pub fn minimal_escapes(text: &str) -> Result<String, SyntaxError> {
    let mut rewritten = String::with_capacity(text.len());
    walk(text, 0, |token| match Text::from_json(token) {
        Some(string) => rewritten.push_str(&string.to_json()),
        None => rewritten.push_str(token),
    })?;
    Ok(rewritten)
}

/// Returns the canonical bytes of a value, for digests: members sorted by the code points of their names, no spaces,
/// the fewest escapes, and each lone surrogate as the three bytes that encode its number.
///
/// Two texts that differ only in spacing, escapes or the order of members have the same canonical bytes. Members with
/// the same name keep their order; numbers keep their spelling.
pub fn canonical(text: &str) -> Result<Vec<u8>, SyntaxError> {
    let mut writer = Writer { out: Vec::with_capacity(text.len()), open: Vec::new() };
    walk(text, 0, |token| writer.take(token))?;
    Ok(writer.out)
}

/// Writes tokens as they arrive, and sorts the members of an object when it ends.
struct Writer {
    out: Vec<u8>,
    /// The members so far of each open container; an array has none.
    open: Vec<Option<Members>>,
}

/// The members of an object being written.
struct Members {
    /// Where each begins, where its name ends, and where it ends.
    places: Vec<(usize, usize, usize)>,
    is_name_next: bool,
    is_in_order: bool,
}

impl Writer {
    fn take(&mut self, token: &str) {
        let at = self.out.len();
        match token {
            "{" => {
                self.open.push(Some(Members { places: Vec::new(), is_name_next: true, is_in_order: true }));
                self.out.push(b'{');
            }
            "[" => {
                self.open.push(None);
                self.out.push(b'[');
            }
            "}" | "]" => {
                if let Some(Some(mut members)) = self.open.pop() {
                    members.end(at);
                    self.put_in_order(members);
                }
                self.out.extend_from_slice(token.as_bytes());
            }
            "," => {
                if let Some(Some(members)) = self.open.last_mut() {
                    members.end(at);
                    members.is_name_next = true;
                }
                self.out.push(b',');
            }
            ":" => {
                if let Some(Some(members)) = self.open.last_mut() {
                    members.name_end(at, &self.out);
                }
                self.out.push(b':');
            }
            _ => {
                if let Some(Some(members)) = self.open.last_mut()
                    && std::mem::take(&mut members.is_name_next)
                {
                    members.places.push((at, at, at));
                }
                push_scalar(token, &mut self.out);
            }
        }
    }

    fn put_in_order(&mut self, mut members: Members) {
        let Some((start, ..)) = members.places.first().copied().filter(|_| !members.is_in_order) else { return };
        let out = &self.out;
        members.places.sort_by_cached_key(|(from, name_end, _)| unquoted(out, *from, *name_end).into_owned());
        let mut ordered = Vec::with_capacity(out.len() - start);
        for (number, (from, _, to)) in members.places.iter().enumerate() {
            if number > 0 {
                ordered.push(b',');
            }
            ordered.extend_from_slice(out.get(*from..*to).unwrap_or_default());
        }
        self.out.truncate(start);
        self.out.append(&mut ordered);
    }
}

impl Members {
    fn end(&mut self, at: usize) {
        if let Some((.., to)) = self.places.last_mut() {
            *to = at;
        }
    }

    fn name_end(&mut self, at: usize, out: &[u8]) {
        let before = self.places.iter().rev().nth(1).copied();
        let Some((from, name_end, _)) = self.places.last_mut() else { return };
        *name_end = at;
        if let Some((other, other_end, _)) = before {
            self.is_in_order &= unquoted(out, other, other_end) <= unquoted(out, *from, at);
        }
    }
}

/// Returns the bytes of a name without quotes and escapes: names are compared by their characters, not by their
/// escapes.
fn unquoted(out: &[u8], from: usize, to: usize) -> Cow<'_, [u8]> {
    let literal = out.get(from..to).unwrap_or_default();
    let inside = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    if !inside.contains(&b'\\') {
        return Cow::Borrowed(inside);
    }
    match std::str::from_utf8(literal).ok().and_then(Text::from_json) {
        Some(name) => Cow::Owned(name.as_bytes().to_vec()),
        None => Cow::Borrowed(inside),
    }
}

fn push_scalar(token: &str, out: &mut Vec<u8>) {
    let text = (!has_fewest_escapes(token)).then(|| Text::from_json(token)).flatten();
    let Some(text) = text else { return out.extend_from_slice(token.as_bytes()) };
    if text.as_str().is_some() {
        return out.extend_from_slice(text.to_json().as_bytes());
    }
    // Escapes never contain a surrogate's bytes, so each piece between surrogates can be quoted on its own.
    out.push(b'"');
    for chunk in text.as_bytes().utf8_chunks() {
        let quoted = super::quote(chunk.valid());
        out.extend_from_slice(quoted.as_bytes().get(1..quoted.len() - 1).unwrap_or_default());
        out.extend_from_slice(chunk.invalid());
    }
    out.push(b'"');
}

/// Returns whether a scalar certainly has the fewest escapes: every escape in it is one that has no shorter form.
fn has_fewest_escapes(token: &str) -> bool {
    let mut rest = token;
    while let Some(at) = rest.find('\\') {
        match rest.as_bytes().get(at + 1) {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => rest = rest.get(at + 2..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_text(text: &str) -> String {
        String::from_utf8(canonical(text).unwrap()).unwrap()
    }

    #[test]
    fn order_spacing_and_escapes_do_not_matter() {
        let one = canonical_text(r#"{"b": [1, {"z":1,"a":{}}, []], "\u0061": "\u00e9\/"}"#);
        assert_eq!(one, r#"{"a":"é/","b":[1,{"a":{},"z":1},[]]}"#);
        assert_eq!(canonical_text(&one), one);
    }

    #[test]
    fn names_sort_by_code_point() {
        assert_eq!(canonical_text(r#"{"a!":1,"a":2,"😀":3,"\ufffd":4}"#), "{\"a\":2,\"a!\":1,\"\u{fffd}\":4,\"😀\":3}");
    }

    #[test]
    fn scalars_and_lone_surrogates_have_canonical_bytes() {
        assert_eq!(canonical_text(" 1.10 "), "1.10");
        assert_eq!(canonical("\"a\\n\\ud83d\"").unwrap(), b"\"a\\n\xed\xa0\xbd\"");
    }

    #[test]
    fn members_are_put_in_order_at_every_depth_and_stay_what_they_are() {
        let text = r#"{"b":{"d":[{"z":1,"y":{}},2],"c":"x"},"":0,"a\n":[],"a":null,"b":7}"#;
        let ordered = r#"{"":0,"a":null,"a\n":[],"b":{"c":"x","d":[{"y":{},"z":1},2]},"b":7}"#;
        assert_eq!(canonical_text(text), ordered);
        assert_eq!(canonical_text(ordered), ordered);
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(canonical_text(&deep), deep);
    }

    #[test]
    fn minimal_escapes_keep_order_and_numbers() {
        assert_eq!(
            minimal_escapes(r#"{"b" : 1e400, "\u0061":"\ud83d\u00e9"}"#).unwrap(),
            "{\"b\":1e400,\"a\":\"\\ud83dé\"}"
        );
    }
}
