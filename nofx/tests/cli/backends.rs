//! The same commands on every backend, and copies from each to each.

use std::fs;

use nofx::Store;
use nofx::entity::{Agent, Role};
use nofx::workspace::{LARGE_CONTENT, NewSession, RestoreOptions, Workspace};

use crate::program::{Place, run};

/// The sample in this repository, and the dump of a store that has every oddity.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/legacy/.nofx");
pub(crate) const ODD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nofx-migrate/tests/dump/golden/full.ndjson");

/// Returns both dumps of a store.
pub(crate) fn dumps(place: &Place, store: &str) -> [String; 2] {
    let dump = |full: &[&str]| run(&mut place.command(["dump", "--store", store].iter().chain(full))).done().out;
    [dump(&[]), dump(&["--full"])]
}

/// Returns the name of a store of each backend.
pub(crate) fn stores(place: &Place, name: &str) -> [String; 3] {
    [format!("redb:{name}.redb"), format!("fs:{name}"), place.objects(&format!("{name}.objects"))]
}

fn lived_in(place: &Place, store: &str) {
    let location = store.replace(':', &format!(":{}/", place.shown(""))).parse().expect("a location");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let store = nofx::open(&location).await.expect("a store");
        live_in(&store).await;
        store.close().await.expect("closed");
    });
}

/// Works in a store as people do: with a fork, an archived session, one in the trash, a purged one, and large contents.
pub(crate) async fn live_in(store: &Store) {
    let workspace = Workspace::new(store.clone());
    let agent = Agent::new("ada", "Ada", "backend");
    workspace.save_agent(&agent).await.expect("an agent");
    let mut ids = Vec::new();
    for _ in 0..4 {
        let session = workspace.create_session(&agent, NewSession::default()).await.expect("a session");
        let large = "large ".repeat(LARGE_CONTENT / 5);
        let texts = (0..60).map(|n| if n == 30 { large.clone() } else { format!("message {n}") });
        let messages = texts.map(|text| workspace.message(Role::User, text)).collect();
        workspace.add_messages(&session.id, messages).await.expect("appended");
        ids.push(session.id);
    }
    workspace.archive_session(&ids[0]).await.expect("archived");
    workspace.restore_session(&ids[0], RestoreOptions::default()).await.expect("a fork");
    workspace.delete_session(&ids[1]).await.expect("in the trash");
    workspace.delete_session(&ids[2]).await.expect("in the trash");
    workspace.purge_session(&ids[2]).await.expect("gone");
}

#[test]
fn a_store_that_was_lived_in_is_the_same_bytes_in_every_backend_and_back() {
    let place = Place::new();
    let lived = stores(&place, "lived");
    for source in &lived[..2] {
        lived_in(&place, source);
        let expected = dumps(&place, source);
        assert!(expected[1].contains(r#""state":"sealed""#) && expected[1].contains(r#""record":"payload""#));
        let name = source.replace(':', "-");
        for (number, target) in stores(&place, &name).iter().enumerate() {
            run(&mut place.command(["migrate", "--from", source, "--to", target])).done();
            assert!(dumps(&place, target) == expected, "{source} to {target}");
            for back in &stores(&place, &format!("{name}-back-{number}"))[..2] {
                run(&mut place.command(["migrate", "--from", target, "--to", back])).done();
                assert!(dumps(&place, back) == expected, "{target} to {back}");
            }
        }
    }
}

#[test]
fn whatever_the_backends_on_the_way_the_dumps_are_the_same_bytes() {
    for source in [SAMPLE, ODD] {
        let place = Place::new();
        let firsts = stores(&place, "first");
        for first in &firsts {
            run(&mut place.command(["migrate", "--from", source, "--to", first])).done();
        }
        let expected = dumps(&place, &firsts[0]);
        for (number, first) in firsts.iter().enumerate() {
            assert!(dumps(&place, first) == expected, "{source} to {first}");
            for second in stores(&place, &format!("second-{number}")) {
                let copied = run(&mut place.command(["migrate", "--from", first, "--to", &second])).done();
                assert!(copied.out.contains("the digests of both sides are equal"), "{copied:?}");
                assert!(dumps(&place, &second) == expected, "{first} to {second}");
                let again = run(&mut place.command(["migrate", "--from", first, "--to", &second])).done();
                assert!(again.out.contains("added 0 records and 0 logs with 0 entries"), "{again:?}");
            }
        }
    }
}

/// Leaves what a kill in the middle would leave of a store of objects: the older half of its commits.
fn cut_in_the_middle(place: &Place, folder: &str) {
    // Their names count down.
    let mut commits: Vec<_> = fs::read_dir(place.path(folder).join("root"))
        .expect("commits")
        .map(|entry| entry.expect("one").path())
        .collect();
    commits.sort();
    assert!(commits.len() > 3, "{commits:?}");
    commits[..commits.len() / 2].iter().for_each(|newest| fs::remove_file(newest).expect("gone"));
}

#[test]
fn a_migration_into_object_storage_goes_on_where_it_was_cut_off_and_counts_its_requests() {
    let place = Place::new();
    // More than fits into a few commits.
    let note = "noted ".repeat(7500);
    let agent = |n| format!(r#"{{"id": "agent-{n}", "name": "Agent {n}", "type": "backend", "note": "{note}"}}"#);
    let agents: Vec<_> = (0..600).map(agent).collect();
    let legacy = format!(r#"{{"version": "1.0", "agents": [{}]}}"#, agents.join(","));
    place.write("work/.nofx/agents.json", legacy);
    let (first, second) = (place.objects("a"), place.objects("b"));
    for (source, target, folder) in [("work", &first, "a"), (&first, &second, "b")] {
        let migrate = || run(&mut place.command(["migrate", "--from", source, "--to", target])).done().out;
        let whole = migrate();
        assert!(whole.contains("\n  requests to object storage: "), "{whole}");
        let expected = dumps(&place, target);
        cut_in_the_middle(&place, folder);
        assert!(dumps(&place, target) != expected, "something is missing");
        migrate();
        assert!(dumps(&place, target) == expected, "{source} to {target}");
    }
    let json = run(&mut place.command(["migrate", "--from", &first, "--to", "redb:c.redb", "--json"])).done().out;
    assert!(json.contains("\"requests\": {") && !json.contains("\"get\": 0"), "{json}");
    let local = run(&mut place.command(["migrate", "--from", "redb:c.redb", "--to", "redb:d.redb"])).done().out;
    assert!(!local.contains("requests"), "{local}");
}

#[test]
fn what_becomes_a_store_in_memory_is_what_becomes_one_on_the_disk() {
    let place = Place::new();
    for (source, to) in [(SAMPLE, "memory:"), (SAMPLE, "fs:kept"), ("fs:kept", "memory:")] {
        let run = run(&mut place.command(["migrate", "--from", source, "--to", to])).done();
        assert_eq!(run.out.contains("memory: is gone when this program ends"), to == "memory:", "{run:?}");
    }
}

#[test]
fn a_store_in_a_folder_may_stand_among_the_legacy_files() {
    let place = Place::new().with_legacy();
    let before = fs::read(place.path("work/.nofx/agents.json")).unwrap();
    for _ in 0..2 {
        place.run("migrate --from work --to fs:work/.nofx/store").done();
    }
    assert_eq!(fs::read(place.path("work/.nofx/agents.json")).unwrap(), before);
    fs::create_dir_all(place.path("work/src")).unwrap();
    let found = run(place.command(["dump"]).current_dir(place.path("work/src"))).done().out;
    assert_eq!(found, place.run("dump --store fs:work/.nofx/store").done().out);
    assert!(fs::read_to_string(place.path("work/.nofx/store/agents/ada.json")).unwrap().contains("Ada"));
    let inside = format!("`{}` lies inside the source `{}`", place.shown("work/.nofx/x"), place.shown("work/.nofx"));
    place.run("migrate --from work --to fs:work/.nofx/x").failed(14, &inside);
    place
        .run("migrate --from work/.nofx/store --to fs:y")
        .failed(12, "`work/.nofx/store` is the folder of a store, not a legacy one");
}

#[test]
fn what_is_no_store_in_a_folder_is_left_as_it_is() {
    let place = Place::new().with_legacy();
    place.write("letter.txt", "dear store");
    place.write("letters/one.txt", "dear store");
    fs::create_dir(place.path("empty")).unwrap();
    let before = place.tree("");
    let objects = place.objects("empty");
    for (store, code) in
        [("fs:letter.txt", 23), ("fs:letters", 23), ("fs:empty", 29), ("fs:nowhere", 29), (&objects, 29)]
    {
        let run = place.run(&format!("dump --store {store}"));
        assert_eq!((run.code, run.err.lines().count()), (code, 2), "{run:?}");
    }
    for store in ["fs:letter.txt", "fs:letters"] {
        let run = place.run(&format!("migrate --from work --to {store}"));
        assert_eq!((run.code, run.err.lines().count()), (23, 2), "{run:?}");
    }
    let run = place.run("migrate --from work/.nofx/agents.json --to fs:new/folder");
    assert_eq!(run.code, 11, "{run:?}");
    assert_eq!(place.tree(""), before);
}

#[test]
fn nothing_that_may_be_a_secret_is_printed() {
    let place = Place::new().with_legacy();
    for to in ["s3://ada:canary@bucket/x", "s3://bucket/x?secret_access_key=canary", "az://bucket/x?sas_token=canary"] {
        for mut command in
            [place.command(["migrate", "--from", "work", "--to", to]), place.command(["dump", "--store", to])]
        {
            let run = run(command.env("AWS_REGION", "x").env("AZURE_STORAGE_ACCOUNT_NAME", "x"));
            assert!(run.code >= 20 && !format!("{run:?}").contains("canary"), "{run:?}");
            assert_eq!(run.err.lines().count(), 2, "{run:?}");
        }
    }
}
