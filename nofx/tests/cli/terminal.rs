//! Output on a terminal and in a pipe.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[cfg(unix)]
use crate::program::{LEGACY, session};
use crate::program::{Place, sha256};

#[test]
fn nothing_but_text_reaches_a_pipe() {
    let place = Place::new().with_legacy();
    for words in ["migrate --from work --to redb:x.redb", "migrate --from nowhere --to redb:y.redb"] {
        let run = place.run(words);
        assert!(!run.out.contains('\u{1b}') && !run.err.contains('\u{1b}'), "{run:?}");
        assert!(!run.err.contains('\r'), "{run:?}");
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let place = Place::new();
    let mut dump = String::from("{\"format\":\"nofx-full-dump\",\"version\":1}\n");
    let body = "x".repeat(5000);
    for number in 0..100 {
        dump.push_str(&format!("{{\"record\":\"agent\",\"id\":\"{number:03}\",\"body\":{{\"id\":\"{body}\"}}}}\n"));
    }
    let digest = sha256(dump.as_bytes());
    dump.push_str(&format!("{{\"end\":{{\"records\":100,\"logs\":0,\"entries\":0}},\"sha256\":\"{digest}\"}}\n"));
    place.write("dump.ndjson", dump);
    place.run("load dump.ndjson --store redb:x.redb").done();
    for words in ["dump --store redb:x.redb", "dump --full --store redb:x.redb", "completions zsh"] {
        let mut child = place.command(words.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{words}");
    }
}

#[test]
fn names_from_elsewhere_do_not_drive_the_terminal() {
    let place = Place::new();
    let name = "evil\u{1b}[2J\u{202e}txt\n";
    let run = crate::program::run(&mut place.command(["migrate", "--from", name, "--to", "redb:x.redb"]));
    run.failed(10, "`evil\\u{1b}[2J\\u{202e}txt\\n` does not exist");
}

/// Controls a terminal when printed: erases, writes to the clipboard, rings, as one character, as another order of letters.
#[cfg(unix)]
const EVIL: &str = "\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}31m\u{7f}\u{202e}";

/// A store in which everything that people and programs write looks like that.
#[cfg(unix)]
fn with_evil() -> Place {
    let place = Place::new();
    let escaped: String = EVIL.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let evil = |json: String| {
        json.replace("/work", &escaped).replace("Ada", &escaped).replace("login", &format!("login {escaped}"))
    };
    place.write("work/.nofx/agents.json", evil(LEGACY.to_owned()));
    place.write("work/.nofx/sessions/one.json", evil(session("one", &escaped)));
    place.write(&format!("work/.nofx/notes{EVIL}.txt"), EVIL);
    place.run("migrate --from work --to redb:x.redb").done();
    place
}

/// Returns what shows the output of a new terminal and types on it, and the terminal.
#[cfg(unix)]
fn terminal() -> (std::fs::File, std::fs::File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::ffi::OsStr;
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt;
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("a terminal");
    let name = ptsname(&screen, Vec::new()).expect("its name");
    let name = OsStr::from_bytes(name.as_bytes());
    let terminal = File::options().read(true).write(true).open(name).expect("a terminal");
    (File::from(screen), terminal)
}

/// Reads what a terminal shows until its last program has ended.
#[cfg(unix)]
fn shown_on(mut screen: std::fs::File) -> String {
    use std::io::Read;
    let mut shown = Vec::new();
    // Linux reports the end as an error.
    _ = screen.read_to_end(&mut shown);
    String::from_utf8(shown).expect("text").replace("\r\n", "\n")
}

/// Runs the program with its standard output on a terminal, and returns what that shows, and standard error.
#[cfg(unix)]
fn on_a_terminal(place: &Place, words: &str) -> (String, String) {
    let (screen, terminal) = terminal();
    let mut command = place.command(words.split(' '));
    command.env("NO_COLOR", "1").stdout(terminal).stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    // Only the child has the terminal now, so that reading ends when it does.
    drop(command);
    let shown = shown_on(screen);
    let told = child.wait_with_output().expect("it ends").stderr;
    (shown, String::from_utf8(told).expect("text").replace("\r\n", "\n"))
}

/// Runs the program with a user at the terminal who has typed this, and returns its exit code and what is shown.
#[cfg(unix)]
pub(crate) fn with_a_person(place: &Place, words: &str, typed: &str) -> (Option<i32>, String) {
    use std::io::Write;
    let (mut screen, terminal) = terminal();
    screen.write_all(typed.as_bytes()).expect("it is typed");
    let ours = || Stdio::from(terminal.try_clone().expect("a terminal"));
    let mut command = place.command(words.split(' '));
    command.env("NO_COLOR", "1").stdin(ours()).stdout(ours()).stderr(ours());
    let mut child = command.spawn().expect("the program starts");
    drop((command, terminal));
    let shown = shown_on(screen);
    (child.wait().expect("it ends").code(), shown)
}

#[cfg(unix)]
#[test]
fn what_is_stored_does_not_drive_the_terminal_and_reaches_a_pipe_as_it_is() {
    let place = with_evil();
    for words in [
        "ls",
        "ls --json",
        "show one",
        "show one --json",
        "tail one",
        "tail one --json",
        "search login",
        "search login --json",
        "export one",
        "export one --format json",
        "export one --format html",
        "export --agents",
        "dump",
        "dump --full",
        "stats",
        "doctor",
        "doctor --json",
        "cleanup --archive-after 1s",
        "restore one",
        "migrate --dry-run --from work --to redb:y.redb",
        "migrate --dry-run --json --from work --to redb:y.redb",
        "migrate --dry-run --from redb:x.redb --to redb:y.redb",
    ] {
        let words =
            if words.starts_with("migrate") { words.to_owned() } else { format!("{words} --store redb:x.redb") };
        let (shown, told) = on_a_terminal(&place, &words);
        assert!(!shown.is_empty(), "{words}: {told}");
        for text in [&shown, &told] {
            let drives = |symbol: &char| (symbol.is_control() && *symbol != '\n') || *symbol == '\u{202e}';
            assert_eq!(text.chars().find(drives), None, "{words}: {text:?}");
        }
    }
    let (shown, _) = on_a_terminal(&place, "export one --store redb:x.redb");
    let piped = place.run("export one --store redb:x.redb").done().out;
    assert!(piped.contains(EVIL), "{piped:?}");
    assert!(shown.contains(&EVIL.escape_default().to_string()), "{shown:?}");
    place.run("export one --output file.md --store redb:x.redb").done();
    assert_eq!(std::fs::read_to_string(place.path("file.md")).unwrap(), piped);
}
