//! Two other spellings of the same JSON.

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

/// Returns the canonical bytes of a value, for digests: members sorted by the code points of their names, no spaces, the
/// fewest escapes, lone surrogates as the three bytes of their number.
///
/// Two texts that differ only in spacing, escapes or the order of members have the same canonical bytes. Members of one
/// name keep their order; numbers keep their spelling.
pub fn canonical(text: &str) -> Result<Vec<u8>, SyntaxError> {
    let mut open = vec![Frame::default()];
    walk(text, 0, |token| take(&mut open, token))?;
    Ok(open.pop().map(|frame| frame.value).unwrap_or_default())
}

/// A container that is being read.
#[derive(Default)]
struct Frame {
    // Canonical name and value of each finished member; items of an array have no name.
    parts: Vec<(Vec<u8>, Vec<u8>)>,
    name: Option<Vec<u8>>,
    value: Vec<u8>,
}

fn take(open: &mut Vec<Frame>, token: &str) {
    match token {
        "{" | "[" => open.push(Frame::default()),
        "}" | "]" => {
            let Some(mut frame) = open.pop() else { return };
            frame.finish_part();
            let value = if token == "}" { frame.into_object() } else { frame.into_array() };
            if let Some(outer) = open.last_mut() {
                outer.value = value;
            }
        }
        _ => {
            let Some(frame) = open.last_mut() else { return };
            match token {
                "," => frame.finish_part(),
                ":" => frame.name = Some(std::mem::take(&mut frame.value)),
                _ => frame.value = scalar(token),
            }
        }
    }
}

impl Frame {
    fn finish_part(&mut self) {
        // Every value has at least one byte, so an empty one means that the container is empty.
        if !self.value.is_empty() {
            self.parts.push((self.name.take().unwrap_or_default(), std::mem::take(&mut self.value)));
        }
    }

    fn into_object(mut self) -> Vec<u8> {
        // The closing quote would sort before `!`, so names are compared without it.
        self.parts.sort_by_cached_key(|(name, _)| unquoted(name));
        let members = self.parts.into_iter().map(|(name, value)| [name, value].join(&b':'));
        enclose(b'{', members, b'}')
    }

    fn into_array(self) -> Vec<u8> {
        enclose(b'[', self.parts.into_iter().map(|(_, value)| value), b']')
    }
}

/// Names are compared by their characters, not by their escapes.
fn unquoted(literal: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(literal).ok().and_then(Text::from_json) {
        Some(name) => name.as_bytes().to_vec(),
        None => literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default().to_vec(),
    }
}

fn enclose(opening: u8, parts: impl Iterator<Item = Vec<u8>>, closing: u8) -> Vec<u8> {
    let mut bytes = vec![opening];
    for (at, part) in parts.enumerate() {
        if at > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(&part);
    }
    bytes.push(closing);
    bytes
}

fn scalar(token: &str) -> Vec<u8> {
    let Some(text) = Text::from_json(token) else { return token.as_bytes().to_vec() };
    if text.as_str().is_some() {
        return text.to_json().into_bytes();
    }
    // Escapes never contain a surrogate's bytes, so each piece between them can be quoted on its own.
    let mut bytes = vec![b'"'];
    for chunk in text.as_bytes().utf8_chunks() {
        let quoted = super::quote(chunk.valid());
        bytes.extend_from_slice(quoted.as_bytes().get(1..quoted.len() - 1).unwrap_or_default());
        bytes.extend_from_slice(chunk.invalid());
    }
    bytes.push(b'"');
    bytes
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
