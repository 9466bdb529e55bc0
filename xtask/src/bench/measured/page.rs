//! `docs/performance.md` and its charts, written from the measurements.

use std::fs;
use std::path::Path;
use std::process::Command;

use plotters::prelude::*;

use super::report::{Picture, Section};
use crate::Result;
use crate::workspace::root;

/// Line colours that people with red-green colour blindness can also distinguish, on white and on black.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(148, 103, 189),
    RGBColor(127, 127, 127),
];

/// Writes the page, and a folder beside it with each chart for light and for dark pages.
pub(super) fn write(sections: &[Section], command: &str) -> Result {
    let folder = root().join("docs/performance");
    fs::create_dir_all(&folder)?;
    let mut page = format!(
        "# Performance\n\nWritten by `{command}`; each figure stands beside its peers of the same run. Machines are noisy and disks differ, so read \
         the ratios: the median of the rounds, with the least and the most.\n\n{}\n",
        machine()
    );
    for section in sections {
        page.push_str(&format!("\n## {}\n\n{}\n", section.heading, section.words));
        for picture in &section.pictures {
            for (theme, dark) in [("light", false), ("dark", true)] {
                draw(picture, dark, &folder.join(format!("{}-{theme}.svg", picture.name)))?;
            }
            let name = picture.name;
            page.push_str(&format!(
                "\n<picture>\n  <source media=\"(prefers-color-scheme: dark)\" srcset=\"performance/{name}-dark.svg\">\n  \
                 <img alt=\"{}: {} by {}\" src=\"performance/{name}-light.svg\">\n</picture>\n",
                picture.title, picture.up, picture.across
            ));
        }
        for table in &section.tables {
            page.push_str(&format!("\n{}", table.markdown()));
        }
    }
    fs::write(root().join("docs/performance.md"), page)?;
    println!("docs/performance.md is written");
    Ok(())
}

/// Describes the machine in a paragraph.
fn machine() -> String {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned);
        line.map(|line| line.trim_start_matches([' ', '\t', ':']).trim().to_owned())
    };
    let said = |program: &str, args: &[&str]| {
        let ran = Command::new(program).args(args).output().ok().filter(|ran| ran.status.success())?;
        String::from_utf8(ran.stdout).ok().map(|text| text.trim().to_owned())
    };
    let memory = first("/proc/meminfo", "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
    let target = root().join("target");
    let file_system = target.to_str().and_then(|path| said("stat", &["--file-system", "--format", "%T", path]));
    let facts = [
        first("/proc/cpuinfo", "model name"),
        std::thread::available_parallelism().ok().map(|count| format!("{count} threads")),
        memory.map(|kib| format!("{} GiB of memory", kib >> 20)),
        said("uname", &["-sr"]),
        file_system.map(|name| format!("a file system that calls itself {name}")),
        said("rustc", &["--version"]),
    ];
    format!("The machine: {}.", facts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn draw(picture: &Picture, dark: bool, path: &Path) -> Result {
    let (ink, paper) = if dark { (RGBColor(230, 237, 243), RGBColor(13, 17, 23)) } else { (BLACK, WHITE) };
    let area = SVGBackend::new(path, (900, 480)).into_drawing_area();
    area.fill(&paper)?;
    let places = || picture.lines.iter().flat_map(|(_, line)| line);
    let (across, up) = (span(places().map(|place| place.0)), span(places().map(|place| place.1)));
    let style = |size: i32| ("sans-serif", size).into_font().color(&ink);
    let mut chart = ChartBuilder::on(&area)
        .caption(&picture.title, style(22))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d((across.0..across.1).log_scale(), (up.0..up.1).log_scale())?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(picture.across).y_desc(picture.up).label_style(style(14)).axis_desc_style(style(15));
    mesh.axis_style(ink).bold_line_style(ink.mix(0.15)).light_line_style(ink.mix(0.04));
    mesh.x_label_formatter(&|value| plain(*value)).y_label_formatter(&|value| plain(*value)).draw()?;
    for ((name, line), colour) in picture.lines.iter().zip(COLOURS.iter().cycle()) {
        let drawn = chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(3)).point_size(4))?;
        drawn.label(name).legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
    }
    let mut legend = chart.configure_series_labels();
    legend.label_font(style(13)).background_style(paper.mix(0.85)).border_style(ink.mix(0.3));
    legend.position(SeriesLabelPosition::UpperLeft).draw()?;
    area.present()?;
    Ok(())
}

/// Returns where an axis begins and ends, with some margin at both ends.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) =
        values.fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), value| (least.min(value), most.max(value)));
    (least / 1.3, most * 1.3)
}

/// Formats a number for people.
fn plain(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{}M", value / 1e6),
        _ if value >= 1e3 => format!("{}k", value / 1e3),
        _ => format!("{}", (value * 1e4).round() / 1e4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_lines_and_names_in_both_colours() {
        let folder = tempfile::tempdir().unwrap();
        let picture = Picture {
            name: "one",
            title: "Appends".into(),
            across: "sessions at once",
            up: "times",
            lines: vec![("redb".into(), vec![(1.0, 0.5), (64.0, 12.0)]), ("files".into(), vec![(1.0, 1.2)])],
        };
        for dark in [false, true] {
            let path = folder.path().join(format!("{dark}.svg"));
            draw(&picture, dark, &path).unwrap();
            let text = fs::read_to_string(path).unwrap();
            for word in ["redb", "files", "Appends", "sessions at once", "polyline"] {
                assert!(text.contains(word), "{word}");
            }
        }
    }
}
