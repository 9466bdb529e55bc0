//! Contestants that take turns.

use std::time::Duration;

use crate::Result;

/// What a contestant did in its turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    /// Operations that were acknowledged.
    pub operations: u64,
    /// How long that took.
    pub took: Duration,
    /// Flushes, where they are counted.
    pub flushes: Option<u64>,
    /// Bytes given to the file, where they are counted.
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

/// Something that can be done again and again for a while.
pub(super) struct Contestant<'a> {
    /// Its name in the table.
    pub name: &'static str,
    /// Takes a turn of about the given length.
    pub turn: Box<dyn FnMut(Duration) -> Result<Turn> + 'a>,
}

/// Lets all contestants take turns and prints a table. The first one is the yardstick.
pub(super) fn compare(title: &str, rounds: usize, turn: Duration, contestants: &mut [Contestant<'_>]) -> Result {
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); contestants.len()];
    for _ in 0..rounds.max(1) {
        for (contestant, turns) in contestants.iter_mut().zip(&mut turns) {
            turns.push((contestant.turn)(turn)?);
        }
    }
    println!("{title}");
    println!(
        "  {:<44} {:>10} {:>22} {:>12} {:>12}",
        "", "per second", "ratio [min..max]", "flushes each", "bytes each"
    );
    for (contestant, own) in contestants.iter().zip(&turns) {
        let speeds: Vec<f64> = own.iter().map(Turn::per_second).collect();
        let ratios: Vec<f64> =
            own.iter().zip(&turns[0]).map(|(own, first)| own.per_second() / first.per_second()).collect();
        let flushes: Vec<f64> = own.iter().filter_map(|turn| turn.each(turn.flushes)).collect();
        let bytes: Vec<f64> = own.iter().filter_map(|turn| turn.each(turn.bytes)).collect();
        let (least, most) =
            (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
        println!(
            "  {:<44} {:>10.0} {:>22} {:>12} {:>12}",
            contestant.name,
            median(&speeds).unwrap_or_default(),
            format!("{:.2} [{least:.2}..{most:.2}]", median(&ratios).unwrap_or_default()),
            median(&flushes).map_or("-".to_owned(), |each| format!("{each:.3}")),
            median(&bytes).map_or("-".to_owned(), |each| format!("{each:.0}")),
        );
    }
    println!();
    Ok(())
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
