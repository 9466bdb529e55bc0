//! Output for terminals: colours, and lines that fit the width.

use std::io;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::text::one_line;

/// The widest column of prose that is comfortable to read.
const PROSE: usize = 96;

/// The width of prose if the width of the screen is not known.
const USUAL: usize = 80;

/// How standard output is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    width: Option<usize>,
    colours: bool,
}

impl Screen {
    pub(crate) fn of_stdout() -> Self {
        let out = io::stdout();
        let width = terminal_size::terminal_size_of(&out).map(|(width, _)| usize::from(width.0));
        Self { width, colours: anstream::AutoStream::choice(&out) != anstream::ColorChoice::Never }
    }

    /// Returns the width of prose.
    pub(crate) fn prose(&self) -> usize {
        self.width.unwrap_or(USUAL).clamp(20, PROSE)
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    pub(crate) fn dim(&self, text: &str) -> String {
        self.paint(Style::new().dimmed(), text)
    }

    pub(crate) fn coloured(&self, colour: AnsiColor, text: &str) -> String {
        self.paint(Style::new().bold().fg_color(Some(colour.into())), text)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        match self.colours {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// Formats rows under a head, in columns. On a terminal, the last column is cut at the end of the line.
    pub(crate) fn table(&self, head: &[&str], rows: &[Vec<String>]) -> String {
        let columns = head.len();
        let widths = widths(head, rows);
        let line = |cells: &[String]| {
            let mut line = String::new();
            for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                if at + 1 == columns {
                    line.push_str(&self.cut(cell, line.width()));
                } else {
                    line.push_str(cell);
                    line.push_str(&" ".repeat(width - cell.width() + 2));
                }
            }
            line.trim_end().to_owned()
        };
        let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
        let mut table = format!("{}\n", self.dim(&line(&head)));
        for row in rows {
            table.push_str(&line(row));
            table.push('\n');
        }
        table
    }

    /// Returns how much of a table's last column fits on a terminal; `None` if the column is not cut.
    pub(crate) fn room(&self, head: &[&str], rows: &[Vec<String>]) -> Option<usize> {
        let widths = widths(head, rows);
        let others: usize = widths.iter().take(head.len().saturating_sub(1)).map(|width| width + 2).sum();
        Some(self.width?.saturating_sub(others))
    }

    fn cut(&self, cell: &str, from: usize) -> String {
        let Some(room) = self.width.map(|width| width.saturating_sub(from)) else { return cell.to_owned() };
        if cell.width() <= room {
            return cell.to_owned();
        }
        let mut cut = String::new();
        for symbol in cell.chars() {
            if cut.width() + symbol.to_string().width() + 1 > room {
                break;
            }
            cut.push(symbol);
        }
        cut.push('…');
        cut
    }
}

/// Returns the width of each column of a table.
fn widths(head: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let widest = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max().unwrap_or(0);
    head.iter().enumerate().map(|(at, name)| widest(at).max(name.width())).collect()
}

/// Returns the lines of a text for people: long lines are wrapped between words, except in fenced code. Control characters are escaped.
pub(crate) fn prose(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let shown = one_line(&line.replace('\t', "    "));
        let mark = fence_of(line);
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if mark.starts_with(open) => fence = None,
            (None, None) => {
                wrap(&shown, width, &mut lines);
                continue;
            }
            _ => {}
        }
        lines.push(shown);
    }
    lines
}

/// Returns the backticks or tildes that open or close a block of code.
fn fence_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let end = line.find(|symbol| symbol != mark).unwrap_or(line.len());
    line.get(..end).filter(|marks| marks.len() >= 3)
}

/// Wraps a line between words; continuation lines are indented like its beginning.
fn wrap(line: &str, width: usize, lines: &mut Vec<String>) {
    let text = line.trim_start();
    let bullet = ["- ", "* ", "+ ", "> "].iter().any(|bullet| text.starts_with(bullet));
    let indent = " ".repeat((line.len() - text.len() + if bullet { 2 } else { 0 }).min(width / 2));
    let mut current = line.get(..line.len() - text.len()).unwrap_or_default().to_owned();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && current.width() + 1 + word.width() > width {
            lines.push(std::mem::replace(&mut current, indent.clone()));
            is_empty = true;
        }
        if !is_empty {
            current.push(' ');
        }
        current.push_str(word);
        is_empty = false;
    }
    lines.push(if is_empty { String::new() } else { current });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_broken_and_code_is_not() {
        let text =
            "one two three four\n\n- item one two three\n```rust\nlet long = code_that_is_not_broken();\n```\nend";
        let expected = [
            "one two three",
            "four",
            "",
            "- item one two",
            "  three",
            "```rust",
            "let long = code_that_is_not_broken();",
            "```",
            "end",
        ];
        assert_eq!(prose(text, 15), expected);
        assert_eq!(prose("a_word_that_is_longer_than_a_line x", 10), ["a_word_that_is_longer_than_a_line", "x"]);
        assert_eq!(prose("\u{1b}[2Jx\ty", 80), ["\\u{1b}[2Jx y"]);
        assert_eq!(prose("日本語 日本語", 10), ["日本語", "日本語"]);
        // A longer fence holds a shorter one.
        assert_eq!(prose("````\n```\na b\n````\na b", 2), ["````", "```", "a b", "````", "a", "b"]);
    }

    #[test]
    fn tables_fit_a_terminal_and_are_whole_in_a_pipe() {
        let rows = [vec!["1".to_owned(), "ü日本".to_owned()], vec!["long".to_owned(), "x".to_owned()]];
        let pipe = Screen { width: None, colours: false };
        assert_eq!(pipe.table(&["A", "NAME"], &rows), "A     NAME\n1     ü日本\nlong  x\n");
        let narrow = Screen { width: Some(10), colours: false };
        assert_eq!(narrow.table(&["A", "NAME"], &rows), "A     NAME\n1     ü日…\nlong  x\n");
        assert!(Screen { width: None, colours: true }.bold("x").contains('\u{1b}'));
    }
}
