//! Where the members in a text are, so that the same text can be read again without searching.

use std::mem::size_of;
use std::ops::Range;

use super::salvage::{SalvagedMembers, offset};

/// A range of a text.
type Span = Range<u32>;

/// Where the members of an intact object are, and the items of those that are lists.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outline {
    members: Vec<(Span, Span)>,
    lists: Vec<Option<Vec<Span>>>,
    has_repeated_names: bool,
    end: usize,
}

impl Outline {
    /// Creates the outline of the object that `text` begins with; `None` if it is damaged or too large for one.
    pub(crate) fn of(text: &str, found: &SalvagedMembers<'_>) -> Option<Self> {
        if found.error.is_some() || u32::try_from(text.len()).is_err() {
            return None;
        }
        let span = |piece: &str| {
            let from = offset(text, piece) as u32;
            from..from + piece.len() as u32
        };
        let spans = |items: &Vec<&str>| items.iter().map(|item| span(item)).collect();
        Some(Self {
            members: found.whole.iter().map(|(name, value)| (span(name), span(value))).collect(),
            lists: found.lists.iter().map(|list| list.as_ref().map(spans)).collect(),
            has_repeated_names: found.has_repeated_names,
            end: found.end,
        })
    }

    /// Returns what was found in a text, in the same text; `None` if it is certainly another text.
    pub(crate) fn members<'a>(&self, text: &'a str) -> Option<SalvagedMembers<'a>> {
        let piece = |span: &Span| text.get(span.start as usize..span.end as usize);
        let whole =
            self.members.iter().map(|(name, value)| Some((piece(name)?, piece(value)?))).collect::<Option<_>>()?;
        let pieces = |spans: &Vec<Span>| spans.iter().map(piece).collect::<Option<_>>();
        let lists = self.lists.iter().map(|list| list.as_ref().and_then(pieces)).collect();
        let (has_repeated_names, end) = (self.has_repeated_names, self.end);
        Some(SalvagedMembers { whole, lists, has_repeated_names, damaged: None, error: None, end })
    }

    /// Returns about how many bytes of memory it takes.
    pub(crate) fn memory(&self) -> u64 {
        let items: usize = self.lists.iter().flatten().map(Vec::len).sum();
        let lists = self.lists.len() * size_of::<Option<Vec<Span>>>();
        (size_of::<Self>() + lists + (2 * self.members.len() + items) * size_of::<Span>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::legacy::salvage::members;

    #[test]
    fn by_its_outline_the_same_is_found_in_the_same_text() {
        for text in [
            "{}",
            r#"{ "a" : [ 1 , {"b":[]} ] , "é":"ü", "a":[], "c": {"d":[1]} } rest"#,
            r#"{"ids":["x"],"twice":{"n":1,"n":2}}"#,
        ] {
            let found = members(text);
            let again = Outline::of(text, &found).unwrap().members(text).unwrap();
            assert_eq!(format!("{again:?}"), format!("{found:?}"), "{text}");
        }
    }

    #[test]
    fn what_is_damaged_has_none_and_another_text_gives_nothing_that_is_not_in_it() {
        let text = r#"{"é":["one","two"]}"#;
        for cut in 0..text.len() {
            let cut = text.get(..cut).unwrap_or_default();
            assert_eq!(Outline::of(cut, &members(cut)), None, "{cut}");
        }
        let outline = Outline::of(text, &members(text)).unwrap();
        assert!(outline.members("{}").is_none());
        assert!(outline.members(&"ü".repeat(50)).is_none());
    }
}
