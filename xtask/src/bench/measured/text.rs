//! Text that resembles talk: the same in each run.

/// The vocabulary of the text.
const WORDS: u64 = 4000;

/// Draws words, the same in each run, with frequencies as in talk.
#[derive(Debug)]
pub(super) struct Chance(pub u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn word(&mut self) -> String {
        // The smallest of three, so that few words make up most of the text.
        let number = (0..3).map(|_| self.below(WORDS)).min().unwrap_or(0);
        let syllables = ["ba", "ke", "ti", "lo", "mu", "ra", "se", "ni", "do", "fu", "pa", "we"];
        let mut rest = number * 7 + 5;
        let mut word = String::new();
        while rest > 0 {
            word.push_str(syllables[(rest % 12) as usize]);
            rest /= 12;
        }
        word
    }

    /// Returns a paragraph of 20 to 180 words.
    pub(super) fn text(&mut self) -> String {
        let words = 20 + self.below(160);
        let mut text = String::new();
        for _ in 0..words {
            text.push_str(&self.word());
            text.push(if self.below(12) == 0 { '\n' } else { ' ' });
        }
        text
    }
}
