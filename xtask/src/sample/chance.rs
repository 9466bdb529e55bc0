//! Pseudo-random parts of ids: always the same for the same seed.

/// Returns nine base-36 digits, as `Math.random().toString(36)` left them in ids.
pub(super) fn suffix(seed: &str) -> String {
    digits(seed, 36, 9)
}

/// Returns eight hexadecimal digits, as in the later message ids.
pub(super) fn hex8(seed: &str) -> String {
    digits(seed, 16, 8)
}

/// Returns a version 4 UUID, as in the earlier message ids.
pub(super) fn uuid(seed: &str) -> String {
    let part = |name: &str, count| digits(&format!("{seed}/{name}"), 16, count);
    format!("{}-{}-4{}-a{}-{}", part("a", 8), part("b", 4), part("c", 3), part("d", 3), part("e", 12))
}

fn digits(seed: &str, base: u32, count: usize) -> String {
    let mut state = hash(seed);
    let digit = || {
        state = scramble(state);
        let value = u32::try_from(state % u64::from(base)).unwrap_or_default();
        char::from_digit(value, base).unwrap_or('0')
    };
    std::iter::repeat_with(digit).take(count).collect()
}

/// FNV-1a.
fn hash(seed: &str) -> u64 {
    let step = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    seed.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The finishing steps of splitmix64.
fn scramble(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_digits_for_ever() {
        assert_eq!(suffix("a"), suffix("a"));
        assert_ne!(suffix("a"), suffix("b"));
        assert_eq!(suffix("a").len(), 9);
        assert_eq!(hex8("a").len(), 8);
        assert_eq!(uuid("a").len(), 36);
    }
}
