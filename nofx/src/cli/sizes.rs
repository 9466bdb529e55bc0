//! Sizes in bytes, as people read them.

/// Formats a number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut unit = None;
    let mut size = bytes as f64;
    for name in UNITS {
        if size < 1000.0 {
            break;
        }
        (size, unit) = (size / 1024.0, Some(name));
    }
    match unit {
        None => format!("{bytes} bytes"),
        Some(name) => format!("{size:.1} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        for (bytes, shown) in [(0, "0 bytes"), (999, "999 bytes"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(size(bytes), shown);
        }
    }
}
