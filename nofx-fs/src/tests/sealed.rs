//! Sealed logs with a damaged table or damaged pieces, in a store without its catalog: their entries are counted, or
//! reading the log reports that their number is unknown. None starts at 0 again.

use nofx_core::LogQuery;
use nofx_journal::sim::Sim;

use super::damage::{batch, commit, entries, filled, history, open};
use crate::layout;

const SEALED: &str = "sessions/archived/s2/history.jsonl.zst";

fn damaged(change: fn(&mut Vec<u8>)) -> Sim {
    let sim = Sim::default();
    drop(filled(&sim));
    sim.tamper(SEALED, change);
    sim.delete(layout::CATALOG);
    sim
}

#[test]
fn the_entries_of_a_sealed_log_without_its_table_are_counted() {
    let sim = damaged(|bytes| *bytes.last_mut().unwrap() ^= 1);
    let store = open(&sim);
    assert_eq!(store.heads(&[history("s2")]).unwrap()[0].length, 20);
    assert_eq!(store.read(&LogQuery::oldest_first(history("s2"), 1)).unwrap_err().code(), "corrupt");
    store.repair(false).unwrap();
    assert_eq!(store.read(&LogQuery::oldest_first(history("s2"), 100)).unwrap().items.len(), 20);
}

#[test]
fn a_sealed_log_that_cannot_be_counted_says_so_and_begins_nowhere() {
    let changes: [fn(&mut Vec<u8>); 3] = [
        // A piece and the table.
        |bytes| {
            bytes[20] ^= 1;
            *bytes.last_mut().unwrap() ^= 1;
        },
        // Truncated after a piece, where the table begins.
        |bytes| {
            let table = bytes.windows(4).position(|window| window == 0x184D_2A50_u32.to_le_bytes()).unwrap();
            bytes.truncate(table);
        },
        Vec::clear,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let sim = damaged(change);
        for is_applied in [false, true] {
            let store = open(&sim);
            for error in [
                store.heads(&[history("s2")]).unwrap_err(),
                store.read(&LogQuery::newest_first(history("s2"), 5)).unwrap_err(),
                store.read(&LogQuery::oldest_first(history("s2"), 5)).unwrap_err(),
                store.commit(vec![batch().append(history("s2"), entries(1))]).unwrap_err(),
                store.commit(vec![batch().append_at(history("s2"), 0, entries(1))]).unwrap_err(),
            ] {
                assert_eq!(error.code(), "corrupt", "{number}, {is_applied}: {error}");
                assert!(error.to_string().contains("history/s2"), "{number}, {is_applied}: {error}");
            }
            assert!(store.check().unwrap().iter().any(|one| one.path.starts_with("sessions/archived/s2")));
            // The others are unchanged.
            assert_eq!(store.read(&LogQuery::oldest_first(history("s1"), 100)).unwrap().items.len(), 20);
            commit(&store, batch().append(history("s3"), entries(1)));
            store.apply().unwrap();
        }
    }
}
