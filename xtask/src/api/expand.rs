//! Expands calls of the macros that a crate defines for its own items.
//!
//! What the workspace's macros need and no more: fragments that syn parses, and repetitions that end where their
//! pattern does not match.

use std::collections::BTreeMap;
use std::slice;

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};

use crate::Result;

/// The rules of a `macro_rules!`: patterns, and what they become.
#[derive(Debug, Default)]
pub(super) struct Macro(Vec<(Vec<TokenTree>, Vec<TokenTree>)>);

impl Macro {
    /// Adds the rules of a definition: what is between its braces.
    pub(super) fn define(&mut self, definition: TokenStream) {
        let groups = definition.into_iter().filter_map(|token| match token {
            TokenTree::Group(group) => Some(list(group.stream())),
            _ => None,
        });
        let groups: Vec<_> = groups.collect();
        self.0.extend(groups.chunks_exact(2).map(|rule| (rule[0].clone(), rule[1].clone())));
    }

    /// Returns what a call with these tokens becomes.
    pub(super) fn expand(&self, call: TokenStream) -> Result<TokenStream> {
        let call = list(call);
        for (pattern, body) in &self.0 {
            let mut bound = Bindings::new();
            if matches(pattern, &call, &mut bound).is_some_and(<[_]>::is_empty) {
                return Ok(transcribe(body, &bound));
            }
        }
        Err("no rule of the macro matches".into())
    }
}

/// What a variable stands for: tokens, or in a repetition one binding each time.
#[derive(Clone, Debug)]
enum Binding {
    One(TokenStream),
    Each(Vec<Binding>),
}

type Bindings = BTreeMap<String, Binding>;

/// One part of a pattern or of a body.
enum Part<'a> {
    Variable(&'a Ident),
    Repetition { of: Vec<TokenTree>, separator: Option<&'a TokenTree> },
    Group(&'a Group),
    Token(&'a TokenTree),
}

/// Takes the next part. If it is a variable of a pattern, its fragment specifier is not taken.
fn part<'a>(tokens: &mut slice::Iter<'a, TokenTree>) -> Option<Part<'a>> {
    let token = tokens.next()?;
    if !is_symbol(token, '$') {
        return Some(match token {
            TokenTree::Group(group) => Part::Group(group),
            other => Part::Token(other),
        });
    }
    match tokens.next()? {
        TokenTree::Ident(name) => Some(Part::Variable(name)),
        TokenTree::Group(group) => {
            let is_operator = |token: &TokenTree| ['*', '+', '?'].iter().any(|symbol| is_symbol(token, *symbol));
            let separator = tokens.next().filter(|token| !is_operator(token));
            if separator.is_some() {
                tokens.next();
            }
            Some(Part::Repetition { of: list(group.stream()), separator })
        }
        other => Some(Part::Token(other)),
    }
}

/// Binds what a pattern matches at the beginning of `input`, and returns the rest; `None` if it does not match.
fn matches<'a>(pattern: &[TokenTree], mut input: &'a [TokenTree], bound: &mut Bindings) -> Option<&'a [TokenTree]> {
    let mut pattern = pattern.iter();
    while let Some(part) = part(&mut pattern) {
        match part {
            Part::Variable(name) => {
                let fragment = pattern.nth(1)?.to_string();
                let (tokens, length) = fragment_of(&fragment, input)?;
                bound.insert(name.to_string(), Binding::One(tokens));
                input = &input[length..];
            }
            Part::Repetition { of, separator } => input = repeated(&of, separator, input, bound),
            Part::Group(group) => {
                let Some((TokenTree::Group(found), rest)) = input.split_first() else { return None };
                let inside = list(found.stream());
                let is_same = found.delimiter() == group.delimiter();
                if !is_same || !matches(&list(group.stream()), &inside, bound)?.is_empty() {
                    return None;
                }
                input = rest;
            }
            Part::Token(token) => {
                let (found, rest) = input.split_first()?;
                if found.to_string() != token.to_string() {
                    return None;
                }
                input = rest;
            }
        }
    }
    Some(input)
}

/// Matches a pattern as often as possible, and returns the rest.
fn repeated<'a>(
    pattern: &[TokenTree],
    separator: Option<&TokenTree>,
    mut input: &'a [TokenTree],
    bound: &mut Bindings,
) -> &'a [TokenTree] {
    let mut all: BTreeMap<String, Vec<Binding>> =
        variables(pattern).into_iter().map(|name| (name, Vec::new())).collect();
    let mut begin = input;
    loop {
        let mut one = Bindings::new();
        let Some(rest) = matches(pattern, begin, &mut one).filter(|rest| rest.len() < input.len()) else { break };
        for (name, binding) in one {
            all.entry(name).or_default().push(binding);
        }
        input = rest;
        begin = match (separator, rest.split_first()) {
            (None, _) => rest,
            (Some(separator), Some((next, behind))) if next.to_string() == separator.to_string() => behind,
            _ => break,
        };
    }
    bound.extend(all.into_iter().map(|(name, each)| (name, Binding::Each(each))));
    input
}

/// Returns the names of the variables in a pattern or body, those of repetitions inside it too.
fn variables(tokens: &[TokenTree]) -> Vec<String> {
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(name) if at > 0 && is_symbol(&tokens[at - 1], '$') => names.push(name.to_string()),
            TokenTree::Group(group) => names.extend(variables(&list(group.stream()))),
            _ => {}
        }
    }
    names
}

/// Parses one fragment at the beginning of the input, and returns it with the number of its tokens.
fn fragment_of(fragment: &str, input: &[TokenTree]) -> Option<(TokenStream, usize)> {
    match fragment {
        "ident" => matches!(input.first()?, TokenTree::Ident(_)).then(|| (input[0].to_token_stream(), 1)),
        "tt" => Some((input.first()?.to_token_stream(), 1)),
        "literal" => parsed::<syn::Lit>(input),
        "meta" => parsed::<syn::Meta>(input),
        "ty" => parsed::<syn::Type>(input),
        "expr" => parsed::<syn::Expr>(input),
        "path" => parsed::<syn::Path>(input),
        _ => None,
    }
}

fn parsed<T: Parse + ToTokens>(input: &[TokenTree]) -> Option<(TokenStream, usize)> {
    let parser = |stream: ParseStream<'_>| {
        let found: T = stream.parse()?;
        Ok((found.into_token_stream(), stream.parse::<TokenStream>()?))
    };
    let (found, rest) = parser.parse2(input.iter().cloned().collect()).ok()?;
    Some((found, input.len() - rest.into_iter().count()))
}

/// Writes a body with its variables replaced.
fn transcribe(body: &[TokenTree], bound: &Bindings) -> TokenStream {
    let mut written = TokenStream::new();
    let mut body = body.iter();
    while let Some(part) = part(&mut body) {
        match part {
            Part::Variable(name) => match bound.get(&name.to_string()) {
                Some(Binding::One(tokens)) => written.extend(tokens.clone()),
                _ => written.extend([TokenTree::Ident(name.clone())]), // `$crate`
            },
            Part::Repetition { of, separator } => {
                let names: Vec<_> = variables(&of);
                let each = |name: &String| match bound.get(name) {
                    Some(Binding::Each(each)) => Some((name.clone(), each)),
                    _ => None,
                };
                let repeated: Vec<_> = names.iter().filter_map(each).collect();
                for time in 0..repeated.iter().map(|(_, each)| each.len()).max().unwrap_or(0) {
                    let mut bound = bound.clone();
                    let now = |(name, each): &(String, &Vec<Binding>)| Some((name.clone(), each.get(time)?.clone()));
                    bound.extend(repeated.iter().filter_map(now));
                    written.extend(separator.filter(|_| time > 0).cloned());
                    written.extend(transcribe(&of, &bound));
                }
            }
            Part::Group(group) => {
                let inside = transcribe(&list(group.stream()), bound);
                written.extend([TokenTree::Group(Group::new(group.delimiter(), inside))]);
            }
            Part::Token(token) => written.extend([token.clone()]),
        }
    }
    written
}

fn is_symbol(token: &TokenTree, symbol: char) -> bool {
    matches!(token, TokenTree::Punct(found) if found.as_char() == symbol)
}

fn list(tokens: TokenStream) -> Vec<TokenTree> {
    tokens.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(definition: &str, call: &str) -> String {
        let mut found = Macro::default();
        found.define(definition.parse().unwrap());
        super::super::tokens::text(&found.expand(call.parse().unwrap()).unwrap())
    }

    #[test]
    fn a_repetition_inside_another_has_the_variables_of_both() {
        let rules = "($($(#[$doc:meta])* pub $name:ident: $type:ty = $word:literal,)*) => {
            $($(#[$doc])* pub $name: $crate::Of<$type>,)* };";
        let call = "#[must_use] #[cold] pub a: Option<Vec<u8>> = \"a\", pub b: u8 = \"b\",";
        let all = "#[must_use] #[cold] pub a: crate::Of<Option<Vec<u8>>>, pub b: crate::Of<u8>";
        assert_eq!(expanded(rules, call), all);
        assert_eq!(expanded(rules, ""), "");
    }

    #[test]
    fn a_separator_is_written_between_and_the_first_rule_that_matches_is_taken() {
        let rules = "(one $name:ident) => { fn $name(); }; ($($type:ty)|+) => { fn all(_: ($($type),*)); };";
        assert_eq!(expanded(rules, "one a"), "fn a();");
        assert_eq!(expanded(rules, "u8 | [u8; 2]"), "fn all(_: (u8, [u8; 2]));");
        assert!(Macro::default().expand("a".parse().unwrap()).is_err());
    }
}
