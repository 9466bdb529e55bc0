//! Damages stores and repairs them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Place, run};
use crate::reading::with_sessions;

/// The sessions in a store in a folder, and an agent's file in it.
fn kept() -> (Place, PathBuf) {
    let place = with_sessions();
    place.run("migrate --from redb:x.redb --to fs:kept").done();
    let agents =
        fs::read_dir(place.path("kept/agents")).expect("it works").map(|entry| entry.expect("an entry").path());
    let agent = agents.filter(|path| path.extension().is_some_and(|it| it == "json")).min().expect("an agent");
    (place, agent)
}

/// Replaces the damaged store with a copy of the original.
fn renew(place: &Place, whole: &[(PathBuf, Option<Vec<u8>>)]) {
    fs::remove_dir_all(place.path("kept")).expect("it works");
    fs::create_dir(place.path("kept")).expect("it works");
    for (path, bytes) in whole {
        match bytes {
            Some(bytes) => fs::write(path, bytes).expect("it works"),
            None => fs::create_dir_all(path).expect("it works"),
        }
    }
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("it works");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("it works");
}

fn cut(path: &Path) {
    let bytes = fs::read(path).expect("it works");
    fs::write(path, &bytes[..bytes.len().min(600) / 2]).expect("it works");
}

/// Damages the header of a segment.
fn behead(path: &Path) {
    let mut bytes = fs::read(path).expect("it works");
    bytes[20] ^= 1;
    fs::write(path, bytes).expect("it works");
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("it works");
}

#[test]
fn each_damage_is_repaired_and_what_was_damaged_is_kept() {
    let (place, _) = kept();
    let whole = place.tree("kept");
    let sessions = place.run("ls --store fs:kept --json").done().out;
    let file = |name: &str| place.path("kept").join(name);
    let (index, catalog) = (file("index.jsonl"), file("catalog"));
    let (config, segment) = (file("config.json"), file("journal/segment-0"));
    let damages = [
        (&index, flip as fn(&Path), true),
        (&index, cut, true),
        (&index, remove, false),
        (&catalog, flip, false),
        (&catalog, remove, false),
        (&segment, behead, true),
        (&segment, remove, false),
        (&config, cut, true),
        (&config, remove, false),
    ];
    for (at, (path, damage, is_kept)) in damages.into_iter().enumerate() {
        renew(&place, &whole);
        damage(path);
        let damaged = fs::read(path).ok();
        let found = place.run("doctor --store fs:kept");
        assert!(found.code != 0 || found.out.contains(path.file_name().unwrap().to_str().unwrap()), "{at}: {found:?}");
        let repaired = place.run("doctor --repair --store fs:kept --json").done();
        let repairs: Vec<_> = repaired.out.lines().filter(|line| line.contains("\"repaired\":\"")).collect();
        let name = path.strip_prefix(place.path("kept")).unwrap().display().to_string();
        assert!(repairs.len() == 1, "{at}: {repaired:?}");
        assert!(repairs[0].contains(&name), "{at}: {repaired:?}");
        if is_kept {
            let folder = if *path == segment { "journal/damaged-" } else { "damaged/" };
            let aside = place.tree("kept").into_iter().filter(|(path, _)| path.to_string_lossy().contains(folder));
            assert!(aside.into_iter().any(|(_, bytes)| bytes == damaged), "{at}: {repaired:?}");
            assert!(repaired.out.contains(&format!("\"aside\":\"{folder}")), "{at}: {repaired:?}");
        }
        let healthy = place.run("doctor --store fs:kept").done().out;
        assert!(!healthy.lines().any(|line| line.starts_with("damaged ")), "{at}: {healthy}");
        assert_eq!(place.run("ls --store fs:kept --json").done().out, sessions, "{at}");
        place.run("show one-l --store fs:kept").done();
    }
    // Frames that the files hold are not needed.
    renew(&place, &whole);
    cut(&segment);
    let healthy = place.run("doctor --repair --store fs:kept").done().out;
    assert!(healthy.ends_with(": nothing is wrong\n"), "{healthy}");
    assert_eq!(place.run("ls --store fs:kept --json").done().out, sessions);
}

#[test]
fn a_damaged_message_stays_where_it_is_and_is_named_again() {
    let (place, _) = kept();
    let histories = place.tree("kept/sessions/active").into_iter();
    let (history, _) = histories.filter(|(path, _)| path.ends_with("history.jsonl")).max().unwrap();
    flip(&history);
    let damaged = fs::read(&history).unwrap();
    let repaired = place.run("doctor --repair --store fs:kept");
    assert_eq!(repaired.code, 27, "{repaired:?}");
    assert!(repaired.out.contains("history.jsonl") && !repaired.out.contains("repaired"), "{repaired:?}");
    assert_eq!(fs::read(&history).unwrap(), damaged);
    place.run("ls --store fs:kept").done();
}

#[test]
fn a_stray_file_is_noted_and_left_alone() {
    let (place, _) = kept();
    place.write("kept/agents/notes.txt", "mine");
    for command in ["doctor", "doctor --repair"] {
        let run = place.run(&format!("{command} --store fs:kept")).done();
        assert!(run.out.starts_with("note     agents/notes.txt: "), "{run:?}");
    }
    assert_eq!(fs::read(place.path("kept/agents/notes.txt")).unwrap(), b"mine");
}

#[test]
fn an_embedded_store_is_checked_and_its_damaged_values_are_listed() {
    let place = with_sessions();
    let healthy = place.run("doctor --repair --store redb:x.redb").done();
    assert!(healthy.out.ends_with(" entries: nothing is wrong\n"), "{healthy:?}");
    // A damaged value, in a file whose pages are intact.
    {
        let mut builder = redb::Database::builder();
        builder.set_concurrency_mode(redb::ConcurrencyMode::SingleWriter);
        let database = builder.open(place.path("x.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let chunks = redb::TableDefinition::<&[u8], &[u8]>::new("chunks");
            let mut table = transaction.open_table(chunks).unwrap();
            let (key, mut value) = {
                let (key, value) = redb::ReadableTable::last(&table).unwrap().expect("messages");
                (key.value().to_vec(), value.value().to_vec())
            };
            *value.last_mut().unwrap() ^= 1;
            table.insert(&*key, &*value).unwrap();
        }
        transaction.commit().unwrap();
    }
    let run = place.run("doctor --repair --store redb:x.redb");
    assert!(run.code == 27 && run.out.starts_with("damaged  "), "{run:?}");
    place.run("ls --store redb:x.redb").done();
}

#[test]
fn what_has_nothing_to_repair_says_so() {
    let place = with_sessions();
    place
        .run("doctor --repair --store memory:")
        .failed(42, "a `memory:` store has nothing that can be repaired in place");
    place.run("doctor --repair --store fs:nowhere").failed(29, "no NofX store at `fs:nowhere`");
    place.write("letters/one.txt", "dear store");
    let foreign = run(&mut place.command(["doctor", "--repair", "--store", "fs:letters"]));
    assert_eq!((foreign.code, foreign.err.lines().count()), (23, 2), "{foreign:?}");
    assert_eq!(fs::read_dir(place.path("letters")).unwrap().count(), 1);
}

#[test]
fn only_what_is_named_is_forgotten_and_only_if_it_cannot_be_read() {
    let (place, agent) = kept();
    let id = agent.file_stem().unwrap().to_str().unwrap().to_owned();
    let doctor = |words: &str| place.run(&format!("doctor --repair --store fs:kept {words}"));
    let refused = |words: &str, code, why: &str| {
        let run = doctor(words);
        assert!(run.code == code && run.err.contains(why), "{run:?}");
    };
    refused(&format!("--forget agent/{id}"), 42, "can be read");
    refused("--forget nowhere", 42, "lists no session/nowhere");
    let alone = place.run("doctor --store fs:kept --forget one-lights");
    assert!(alone.code == 2 && alone.err.contains("--repair"), "{alone:?}");
    cut(&agent);
    let damaged = fs::read(&agent).unwrap();
    // Everything that is named, or nothing.
    refused(&format!("--forget agent/{id} --forget nowhere"), 42, "lists no session/nowhere");
    let forgotten = doctor(&format!("--forget agent/{id} --json")).done().out;
    assert!(forgotten.contains(&format!("{{\"thing\":\"agent/{id}\",\"repaired\":")), "{forgotten}");
    assert!(place.tree("kept/damaged").iter().any(|(_, bytes)| bytes.as_ref() == Some(&damaged)));
    assert!(place.run("doctor --store fs:kept").done().out.ends_with(" entries: 0 damaged\n"));
}

#[test]
fn a_session_whose_file_has_not_arrived_is_kept_until_it_does_or_is_forgotten() {
    let (place, _) = kept();
    let document = place.path("kept/sessions/one-lights.json");
    let (whole, aside) = (fs::read(&document).unwrap(), place.path("one-lights.json"));
    let listed = place.run("ls --store fs:kept --json").done().out;
    fs::rename(&document, &aside).unwrap();
    let left = place.run("doctor --repair --store fs:kept");
    assert!(left.code == 27 && left.out.contains("session/one-lights") && left.err.contains("--forget"), "{left:?}");
    let listing = place.run("ls --store fs:kept");
    assert!(listing.code == 27 && (listing.out.clone() + &listing.err).contains("one-lights"), "{listing:?}");
    fs::rename(&aside, &document).unwrap();
    assert_eq!(place.run("ls --store fs:kept --json").done().out, listed);
    // Given up by name, it leaves its history, which is named; it comes back if the file arrives after all.
    fs::remove_file(&document).unwrap();
    place.run("doctor --repair --forget one-lights --store fs:kept").done();
    let orphan = place.run("doctor --store fs:kept").done().out;
    assert!(orphan.contains("note     history/one-lights: ") && orphan.contains("session/one-lights"), "{orphan}");
    fs::write(&document, whole).unwrap();
    let found = place.run("doctor --store fs:kept");
    assert!(found.code == 27 && found.out.contains("lists session/one-lights again"), "{found:?}");
    place.run("doctor --repair --store fs:kept").done();
    place.run("show one-lights --store fs:kept").done();
    assert!(place.run("ls --store fs:kept").done().out.contains("one-lights"));
}

/// A store whose sessions have each other's histories, and both histories as they are there now.
fn with_swapped_histories() -> (Place, [PathBuf; 2], [Vec<u8>; 2]) {
    let (place, _) = kept();
    let paths =
        ["one-lights", "one-harbour"].map(|id| place.path("kept/sessions/active").join(id).join("history.jsonl"));
    let [one, other] = [0, 1].map(|at| fs::read(&paths[at]).expect("it works"));
    fs::write(&paths[0], &other).expect("it works");
    fs::write(&paths[1], &one).expect("it works");
    (place, paths, [other, one])
}

#[test]
fn what_a_repair_would_lose_is_left_until_it_is_given_up() {
    let (place, [lights, _], swapped) = with_swapped_histories();
    let shown = place.run("show one-lights --store fs:kept");
    assert!(shown.code == 27 && (shown.out.clone() + &shown.err).contains("history/one-lights"), "{shown:?}");
    for words in ["doctor --repair --store fs:kept", "doctor --repair --store fs:kept --json"] {
        let left = place.run(words);
        let is_told = |line: &str| line.contains("one-lights/history.jsonl") && line.contains("left");
        assert!(left.code == 27 && left.out.lines().any(is_told) && left.err.contains("--yes"), "{left:?}");
        assert_eq!(fs::read(&lights).unwrap(), swapped[0]);
    }
    let given_up = place.run("doctor --repair --yes --store fs:kept");
    assert!(given_up.out.contains("repaired sessions/active/one-lights/history.jsonl: "), "{given_up:?}");
    assert_set_aside(&place, &swapped);
    place.run("ls --store fs:kept").done();
}

/// Requires that bytes are kept where damaged files go.
#[track_caller]
fn assert_set_aside(place: &Place, all: &[Vec<u8>]) {
    let aside = place.tree("kept/damaged");
    assert!(all.iter().all(|bytes| aside.iter().any(|(_, kept)| kept.as_ref() == Some(bytes))), "{aside:?}");
}

#[cfg(unix)]
#[test]
fn a_person_at_the_terminal_is_asked_before_anything_is_given_up() {
    use crate::terminal::with_a_person;
    let (place, [lights, _], swapped) = with_swapped_histories();
    // Enter alone, a word that is neither, and the end of the input all mean no.
    for answer in ["\n", "n\n", "yesterday\n", "\u{4}"] {
        let (code, shown) = with_a_person(&place, "doctor --repair --store fs:kept", answer);
        assert_eq!(code, Some(27), "{answer:?}: {shown}");
        let (told, _) = shown.split_once("give this up? [y/N] ").expect(&shown);
        assert!(told.contains("sessions/active/one-lights/history.jsonl: "), "{shown}");
        assert_eq!(fs::read(&lights).unwrap(), swapped[0], "{answer:?}");
    }
    let (code, shown) = with_a_person(&place, "doctor --repair --json --store fs:kept", "y\n");
    assert!(code == Some(27) && !shown.contains("[y/N]"), "a program is not asked: {shown}");
    assert_eq!(fs::read(&lights).unwrap(), swapped[0]);

    let (_, shown) = with_a_person(&place, "doctor --repair --store fs:kept", "Yes\n");
    assert!(shown.contains("repaired sessions/active/one-lights/history.jsonl: "), "{shown}");
    assert_set_aside(&place, &swapped);
    let (_, shown) = with_a_person(&place, "doctor --repair --store fs:kept", "");
    assert!(!shown.contains("[y/N]"), "nothing is left to ask about: {shown}");
    place.run("ls --store fs:kept").done();
}
