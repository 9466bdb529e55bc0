//! Tokens as one line of text, spaced as rustfmt does.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

/// Writes a piece of syntax without its comments and line breaks.
pub(super) fn text(syntax: &impl ToTokens) -> String {
    let mut line = Line::default();
    line.push_all(syntax.to_token_stream());
    line.text
}

/// A line being written, and what may follow its end without a space.
#[derive(Default)]
struct Line {
    text: String,
    end: End,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum End {
    /// A name or a number: a space comes before another one.
    Word,
    /// A lifetime, or a word such as `mut`: a space comes before a bracket.
    Keyword,
    /// A symbol, or the beginning of a group, after which there is no space.
    #[default]
    Tight,
    /// The end of a group or of a list in angle brackets.
    Closed,
    /// A symbol after which there is a space.
    Loose,
}

impl Line {
    fn push_all(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                // rustfmt puts it before a line break only.
                TokenTree::Punct(comma) if comma.as_char() == ',' && tokens.peek().is_none_or(is_closing) => {}
                TokenTree::Punct(symbol) => self.push_symbol(symbol.as_char()),
                TokenTree::Group(group) => self.push_group(group.delimiter(), group.stream()),
                word => self.push_word(&word.to_string()),
            }
        }
    }

    fn push_word(&mut self, word: &str) {
        self.separate(self.end != End::Tight);
        let is_lifetime = self.text.ends_with('\'');
        self.text.push_str(word);
        let keywords = ["as", "const", "dyn", "for", "impl", "in", "mut", "where"];
        self.end = if is_lifetime || keywords.contains(&word) { End::Keyword } else { End::Word };
    }

    fn push_group(&mut self, delimiter: Delimiter, inside: TokenStream) {
        let (open, close) = match delimiter {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace => ("{ ", " }"),
            Delimiter::None => ("", ""),
        };
        let is_apart = delimiter == Delimiter::Brace && self.end == End::Word;
        self.separate(is_apart || matches!(self.end, End::Keyword | End::Loose));
        self.text.push_str(open);
        self.end = End::Tight;
        self.push_all(inside);
        self.text.push_str(close);
        self.end = End::Closed;
    }

    fn push_symbol(&mut self, symbol: char) {
        let is_second = |first: &str| self.end == End::Loose && self.text.ends_with(first);
        match symbol {
            ':' if is_second(":") => (self.end, _) = (End::Tight, self.text.push(symbol)),
            '>' if is_second("-") || is_second("=") => self.text.push(symbol),
            ',' | ';' | ':' => (self.end, _) = (End::Loose, self.text.push(symbol)),
            '>' => (self.end, _) = (End::Closed, self.text.push(symbol)),
            '<' => {
                self.separate(matches!(self.end, End::Keyword | End::Loose) && !self.text.ends_with("for"));
                (self.end, _) = (End::Tight, self.text.push(symbol));
            }
            '.' => (self.end, _) = (End::Tight, self.text.push(symbol)),
            '=' | '+' | '-' | '|' => {
                self.separate(self.end != End::Tight);
                (self.end, _) = (End::Loose, self.text.push(symbol));
            }
            _ => {
                self.separate(self.end != End::Tight);
                (self.end, _) = (End::Tight, self.text.push(symbol));
            }
        }
    }

    fn separate(&mut self, is_apart: bool) {
        if is_apart {
            self.text.push(' ');
        }
    }
}

fn is_closing(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(symbol) if symbol.as_char() == '>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_is_written_as_rustfmt_does() {
        for line in [
            "fn a<'a, T: Into<Text> + ?Sized>(&'a mut self, b: &mut [u8], c: &(A, B)) -> Result<Option<T>>",
            "async fn read(&self, query: &LogQuery<'_>) -> crate::Result<impl Iterator<Item = (u8, [u8; 16])> + use<'_>>",
            "fn each<F>(f: F) where F: for<'b> Fn(&'b str) -> bool + Send, T: 'static",
            "fn shared(of: Arc<dyn Clock>, raw: *const u8, all: &'static [u8], like: impl AsRef<Path>)",
            "#[cfg(any(test, feature = \"sim\"))]",
        ] {
            let tokens: TokenStream = line.parse().unwrap();
            assert_eq!(text(&tokens), line);
        }
        let broken: TokenStream = "fn a<\n    T,\n>(\n    a: T, // why\n    b: (T,),\n)".parse().unwrap();
        assert_eq!(text(&broken), "fn a<T>(a: T, b: (T))");
    }
}
