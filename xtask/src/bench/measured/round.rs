//! Contestants that take turns.

use std::time::Duration;

use nofx_core::Deadline;

use super::report::Table;
use crate::Result;

/// The result of a contestant's turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    /// Operations that were acknowledged.
    pub operations: u64,
    /// How long that took.
    pub took: Duration,
    /// Flushes, if they are counted.
    pub flushes: Option<u64>,
    /// Bytes written to the file, if they are counted.
    pub bytes: Option<u64>,
}

impl Turn {
    fn per_second(&self) -> f64 {
        self.operations as f64 / self.took.as_secs_f64()
    }

    fn each(&self, counted: Option<u64>) -> Option<f64> {
        Some(counted? as f64 / self.operations as f64)
    }
}

/// Something that can be repeated for a while.
pub(super) struct Contestant<'a> {
    /// Its name in the table.
    pub name: String,
    /// Takes a turn of about the given length.
    pub turn: Box<dyn FnMut(Duration) -> Result<Turn> + 'a>,
}

impl<'a> Contestant<'a> {
    pub(super) fn new(name: impl Into<String>, turn: impl FnMut(Duration) -> Result<Turn> + 'a) -> Self {
        Self { name: name.into(), turn: Box::new(turn) }
    }

    /// A contestant whose action, which returns its number of operations, is repeated until the turn is over.
    pub(super) fn repeating(name: impl Into<String>, mut act: impl FnMut() -> Result<u64> + 'a) -> Self {
        Self::new(name, move |turn| timed(turn, &mut act))
    }
}

/// Repeats an action, which returns its number of operations, until the turn is over.
pub(super) fn timed(turn: Duration, mut act: impl FnMut() -> Result<u64>) -> Result<Turn> {
    let clock = Deadline::after(turn);
    let mut operations = 0;
    while !clock.has_passed() {
        operations += act()?;
    }
    Ok(Turn { operations, took: clock.elapsed(), ..Turn::default() })
}

/// The result of one contestant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Median {
    /// Operations a second.
    pub per_second: f64,
    /// The same, relative to the first contestant.
    pub ratio: f64,
}

/// Lets all contestants take turns, prints a table and returns it with the figures of each. The first contestant is the baseline.
pub(super) fn compare(
    title: &str,
    rounds: usize,
    turn: Duration,
    contestants: &mut [Contestant<'_>],
) -> Result<(Table, Vec<Median>)> {
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); contestants.len()];
    for _ in 0..rounds.max(1) {
        for (contestant, turns) in contestants.iter_mut().zip(&mut turns) {
            turns.push((contestant.turn)(turn)?);
        }
    }
    let is_counted = turns.iter().flatten().any(|turn| turn.flushes.is_some());
    let columns = ["per second", "ratio [min..max]", "flushes each", "bytes each"];
    let mut table = Table::new(title, &columns[..if is_counted { 4 } else { 2 }]);
    let mut medians = Vec::new();
    for (contestant, own) in contestants.iter().zip(&turns) {
        let speeds: Vec<f64> = own.iter().map(Turn::per_second).collect();
        let ratios: Vec<f64> =
            own.iter().zip(&turns[0]).map(|(own, first)| own.per_second() / first.per_second()).collect();
        let found =
            Median { per_second: median(&speeds).unwrap_or_default(), ratio: median(&ratios).unwrap_or_default() };
        let mut figures = vec![format!("{:.0}", found.per_second), spread(found.ratio, &ratios)];
        if is_counted {
            let flushes: Vec<f64> = own.iter().filter_map(|turn| turn.each(turn.flushes)).collect();
            let bytes: Vec<f64> = own.iter().filter_map(|turn| turn.each(turn.bytes)).collect();
            figures.push(median(&flushes).map_or("-".to_owned(), |each| format!("{each:.3}")));
            figures.push(median(&bytes).map_or("-".to_owned(), |each| format!("{each:.0}")));
        }
        table.row(contestant.name.clone(), figures);
        medians.push(found);
    }
    Ok((table.shown(), medians))
}

/// Formats a median with its minimum and maximum.
fn spread(median: f64, all: &[f64]) -> String {
    let (least, most) = all.iter().fold((f64::MAX, 0.0_f64), |(least, most), one| (least.min(*one), most.max(*one)));
    // Two digits are not enough for a hundredth.
    let digits = if median < 0.1 { 4 } else { 2 };
    format!("{median:.digits$} [{least:.digits$}..{most:.digits$}]")
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
