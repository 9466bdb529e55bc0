//! Truncated files, and what a killed host left: every command immediately says what is damaged, and nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use crate::host::Host;
use crate::looking::LOOKING;
use crate::program::{Place, Run, dump_of};

/// How long a command that has nothing to wait for may take; a hundred times what it takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// The variable that says how many of the trials to run: one of this many, or all with 1.
const EVERY: &str = "NOFX_DAMAGE_EVERY";

/// How many to run by default.
const USUALLY: usize = 60;

/// A store in the folder `store`, and what it holds.
struct Torn {
    place: Place,
    store: String,
    whole: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl Torn {
    fn new(store: &str, is_killed: bool) -> Self {
        let place = Place::new().with_legacy();
        place.write("x.ndjson", dump_of("s", (0..200).map(|number| format!("words {number}"))));
        let store = place.located(store);
        place.run(&format!("load x.ndjson --store {store}")).done();
        let host = Host::start(&place, &store);
        match is_killed {
            true => host.kill(),
            false => host.close(),
        }
        let whole = place.tree("store");
        Self { place, store, whole }
    }

    /// Writes the store with one of its files truncated to its first bytes.
    fn cut(&self, file: &PathBuf, length: usize) {
        fs::remove_dir_all(self.place.path("store")).expect("it works");
        fs::create_dir(self.place.path("store")).expect("it works");
        for (path, bytes) in &self.whole {
            match bytes {
                Some(bytes) if path == file => fs::write(path, &bytes[..length]).expect("it works"),
                Some(bytes) => fs::write(path, bytes).expect("it works"),
                None => fs::create_dir_all(path).expect("it works"),
            }
        }
    }

    /// Runs a command, and kills it if it does not end on its own.
    fn run(&self, words: &str) -> Run {
        _ = fs::remove_dir_all(self.place.path("made"));
        let words = words.replace("STORE", &self.store);
        let mut command = self.place.command(words.split(' '));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let id = child.id();
        let (ended, waiting) = mpsc::channel();
        std::thread::spawn(move || ended.send(child.wait_with_output()));
        let Ok(output) = waiting.recv_timeout(DEADLINE) else {
            _ = std::process::Command::new("kill").args(["-KILL", &id.to_string()]).status();
            panic!("{words}: no answer in {} s", DEADLINE.as_secs());
        };
        let output = output.expect("it ends");
        Run {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Requires that a command did what it should, or said in a line and a hint what is damaged.
#[track_caller]
fn names_the_damage(run: &Run, what: &str) {
    assert!([0, 23, 27, 28, 29].contains(&run.code), "{what}: {run:?}");
    let told = run.err.to_lowercase();
    for never in ["panicked", "try again later", "unavailable"] {
        assert!(!told.contains(never), "{what}: {run:?}");
    }
    // Migrating a legacy folder also reports progress, on a terminal only.
    assert_eq!(run.err.lines().count(), if run.code == 0 { 0 } else { 2 }, "{what}: {run:?}");
}

fn every() -> Option<usize> {
    std::env::var(EVERY).ok()?.parse().ok()
}

on_each_backend! {
    a_cut_is_reported_by_every_command
    what_a_killed_host_left_is_read_by_every_command
}

/// Truncates every file of a store at each 64th of its length, for each command.
fn a_cut_is_reported_by_every_command(store: &str) {
    for is_killed in [false, true] {
        let torn = Torn::new(store, is_killed);
        let files = torn.whole.iter().filter_map(|(path, bytes)| Some((path, bytes.as_ref()?.len())));
        let cuts = files.flat_map(|(path, length)| {
            let mut cuts: Vec<_> = (0..64).map(|part| part * length / 64).filter(|at| *at < length).collect();
            cuts.dedup();
            cuts.into_iter().map(move |at| (path, at))
        });
        let trials = cuts.flat_map(|cut| LOOKING.iter().map(move |words| (cut, words)));
        let trials: Vec<_> = trials.collect();
        for ((path, length), words) in trials.iter().step_by(every().unwrap_or(trials.len() / USUALLY + 1)) {
            torn.cut(path, *length);
            let what = format!("{words}, {} cut at {length}, killed: {is_killed}", path.display());
            let run = torn.run(words);
            names_the_damage(&run, &what);
        }
    }
}

#[test]
fn a_file_of_which_only_the_beginning_is_left_is_reported_by_every_command() {
    let torn = Torn::new("redb:HERE/store/x.redb", false);
    let (path, bytes) = torn.whole.iter().find(|(path, _)| path.ends_with("x.redb")).expect("a file");
    let length = bytes.as_ref().expect("a file").len();
    for words in LOOKING {
        for left in [0, 1, 9, 320, 4096, length / 4] {
            torn.cut(path, left);
            let run = torn.run(words);
            names_the_damage(&run, &format!("{words}, cut at {left}"));
            assert_ne!(run.code, 0, "{words}, cut at {left}");
            assert!(run.err.contains("x.redb"), "{words}, cut at {left}: {run:?}");
        }
    }
}

fn what_a_killed_host_left_is_read_by_every_command(store: &str) {
    let torn = Torn::new(store, true);
    for words in LOOKING {
        // Each of them sees what the host left, and not what another command made of it.
        let (path, bytes) = torn.whole.iter().find_map(|(path, bytes)| Some((path, bytes.as_ref()?))).expect("a file");
        torn.cut(path, bytes.len());
        torn.run(words).done();
    }
}
