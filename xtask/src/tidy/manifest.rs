//! The part of a manifest's text that cargo does not report: its sections, line by line.

/// Returns the lines of one section with their numbers, from below its header to the next header.
pub(super) fn section<'a>(manifest: &'a str, name: &str) -> Vec<(usize, &'a str)> {
    let header = format!("[{name}]");
    let lines = manifest.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines
        .skip_while(|(_, line)| !is_header(line, &header))
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['))
        .collect()
}

fn is_header(line: &str, header: &str) -> bool {
    line.split('#').next().is_some_and(|line| line.trim() == header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let manifest = "[package]\nname = \"x\"\n\n[lints] # ours\nworkspace = true\n\n[features]\na = []\n";
        assert_eq!(section(manifest, "lints"), [(5, "workspace = true"), (6, "")]);
        assert_eq!(section(manifest, "features"), [(8, "a = []")]);
        assert_eq!(section(manifest, "dependencies"), []);
    }
}
