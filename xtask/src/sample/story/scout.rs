//! The scouting agent, which was removed; what it wrote stayed.

use crate::sample::cast::SCOUT;
use crate::sample::moment::Moment;
use crate::sample::session::Session;
use crate::sample::talk::Talk;
use crate::sample::task::Task;

/// More than a week old at the time of a cleanup, so it was moved aside.
pub(super) fn measures_the_first_queue() -> Session {
    let begin = Moment::new(-1, 8, 0);
    let talk = Talk::at(begin, "measures the first queue")
        .user(30, "How many edits fit into IndexedDB before a phone complains?")
        .assistant(900, "Cheap phone, 64 GB, half full: 2.1 million edits of 300 bytes, then `QuotaExceededError`. Nobody types that much in a tunnel.");
    Session::spawned(SCOUT, begin).told(talk)
}

pub(super) fn loses_a_race() -> Session {
    let begin = Moment::new(2, 15, 10);
    let merge =
        Task::started(Moment::new(2, 15, 12), "Merge words", "Try to merge two texts of one todo word by word.")
            .priority("low")
            .tags(&["sync", "experiment"]);
    let talk = Talk::at(begin, "loses a race")
        .user(30, "Is merging word by word worth it?")
        .task(&merge.id)
        .assistant(600, "No. 60 pairs of real edits: 22 merged well, 31 became nonsense (“Buy milk oat tomorrow two”), 7 changed the meaning. Ask the person.")
        .task(&merge.id)
        .user(40, "Then we ask. Thank you, that is a result too.");
    let merge = merge.failed(Moment::new(2, 15, 30));
    Session { branch: Some("experiment/merge-wörter"), ..Session::spawned(SCOUT, begin).told(talk).finished(merge) }
}
