//! Durable appends to a store of files, beside a bare loop and SQLite.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use nofx::{Location, open};

use super::append::{MESSAGE, append, timed, write_and_flush};
use super::round::{Contestant, compare};
use super::sqlite::Sqlite;
use crate::Result;

/// The length of the file that is written over again and again.
const RING: u64 = 2 << 20;

pub(super) fn run(rounds: usize, turn: Duration) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    for sessions in [1, 16] {
        let folder = tempfile::tempdir_in(&target)?;
        let mut log = File::create(folder.path().join("log"))?;
        let mut ring = File::create(folder.path().join("ring"))?;
        ring.write_all(&vec![0; RING as usize])?;
        ring.sync_all()?;
        let mut at = 0;
        let location: Location = format!("fs:{}", folder.path().join("store").display()).parse()?;
        let store = runtime.block_on(open(&location))?;
        let mut contestants = vec![
            Contestant {
                name: "write + fdatasync, one after the other",
                turn: Box::new(|turn| timed(turn, || write_and_flush(&mut log))),
            },
            Contestant {
                name: "the same over zeros that are there already",
                turn: Box::new(|turn| {
                    timed(turn, || {
                        ring.seek(SeekFrom::Start(at))?;
                        ring.write_all(&[b'x'; MESSAGE])?;
                        ring.sync_data()?;
                        at = (at + MESSAGE as u64) % (RING - MESSAGE as u64);
                        Ok(1)
                    })
                }),
            },
        ];
        let (one, each, grouped) = (
            Sqlite::open(&folder.path().join("one.sqlite"), 1)?,
            Sqlite::open(&folder.path().join("each.sqlite"), sessions)?,
            Sqlite::open(&folder.path().join("grouped.sqlite"), 1)?,
        );
        contestants.extend([
            Contestant {
                name: "SQLite, WAL FULL, one connection",
                turn: Box::new(move |turn| timed(turn, || one.insert(1))),
            },
            Contestant {
                name: "SQLite, WAL FULL, a connection for each",
                turn: Box::new(move |turn| each.insert_by_all(turn)),
            },
            Contestant {
                name: "SQLite, WAL FULL, one transaction for all",
                turn: Box::new(move |turn| timed(turn, || grouped.insert(sessions))),
            },
        ]);
        contestants.push(Contestant {
            name: "Store on files",
            turn: Box::new(|turn| append(&runtime, &store, sessions, turn)),
        });
        compare(&format!("{sessions} sessions, {MESSAGE}-byte messages"), rounds, turn, &mut contestants)?;
        drop(contestants);
        runtime.block_on(store.close())?;
    }
    println!("Flushes and bytes of a store of files are counted by `cargo test -p nofx-fs cost -- --nocapture`.");
    Ok(())
}
