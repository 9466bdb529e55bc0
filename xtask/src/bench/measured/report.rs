//! The result of a benchmark: tables, charts and a few words, for the terminal and for the page.

use std::fmt::{self, Display, Formatter};

/// Figures in named rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<String>)>,
}

impl Table {
    pub(super) fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        Self { title: title.into(), columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, name: impl Into<String>, figures: Vec<String>) {
        self.rows.push((name.into(), figures));
    }

    /// Prints it, so that a long run shows progress, and returns it.
    pub(super) fn shown(self) -> Self {
        println!("{self}");
        self
    }

    /// Returns it as a Markdown table.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("| {} | {} |\n", self.title, self.columns.join(" | "));
        text.push_str(&format!("| --- |{}\n", " ---: |".repeat(self.columns.len())));
        for (name, figures) in &self.rows {
            text.push_str(&format!("| {name} | {} |\n", figures.join(" | ")));
        }
        text
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let length = |text: &String| text.chars().count();
        let first = self.rows.iter().map(|(name, _)| length(name)).max().unwrap_or(0);
        let width = |column: usize| {
            let figures = self.rows.iter().filter_map(|(_, figures)| figures.get(column)).map(length);
            figures.chain(self.columns.get(column).map(length)).max().unwrap_or(0)
        };
        let line = |f: &mut Formatter<'_>, name: &str, figures: &[String]| {
            write!(f, "  {name:<first$}")?;
            for (column, figure) in figures.iter().enumerate() {
                write!(f, "  {figure:>0$}", width(column))?;
            }
            writeln!(f)
        };
        writeln!(f, "{}", self.title)?;
        line(f, "", &self.columns)?;
        self.rows.iter().try_for_each(|(name, figures)| line(f, name, figures))
    }
}

/// Lines on a logarithmic scale in both directions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Picture {
    /// The name of its file, without extension.
    pub name: &'static str,
    pub title: String,
    pub across: &'static str,
    pub up: &'static str,
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// The result of a benchmark.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Section {
    pub heading: &'static str,
    /// What was measured, and how to read it.
    pub words: String,
    pub tables: Vec<Table>,
    pub pictures: Vec<Picture>,
}

/// Formats a duration with three digits, in a suitable unit.
pub(super) fn duration(took: std::time::Duration) -> String {
    let seconds = took.as_secs_f64();
    match seconds {
        _ if seconds >= 1.0 => format!("{seconds:.2} s"),
        _ if seconds >= 1e-3 => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{:.1} µs", seconds * 1e6),
    }
}

/// Formats a number of bytes in MiB, or in KiB if it is small.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_under_their_columns_and_in_cells() {
        let mut table = Table::new("appends", &["per second", "ratio"]);
        table.row("bare loop", vec!["9000".into(), "1.00".into()]);
        table.row("µ", vec!["3".into(), "0.00".into()]);
        assert_eq!(
            table.to_string(),
            "appends\n             per second  ratio\n  bare loop        9000   1.00\n  µ                   3   0.00\n"
        );
        assert_eq!(
            table.markdown(),
            "| appends | per second | ratio |\n| --- | ---: | ---: |\n| bare loop | 9000 | 1.00 |\n| µ | 3 | 0.00 |\n"
        );
    }

    #[test]
    fn figures_have_the_unit_that_suits_them() {
        use std::time::Duration;
        assert_eq!(duration(Duration::from_micros(1_234_567)), "1.23 s");
        assert_eq!(duration(Duration::from_micros(1_234)), "1.23 ms");
        assert_eq!(duration(Duration::from_nanos(1_234)), "1.2 µs");
        assert_eq!((bytes(2048), bytes(3 << 20)), ("2.0 KiB".to_owned(), "3.0 MiB".to_owned()));
    }
}
