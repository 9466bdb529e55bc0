//! The suite is tested too: it must reject each of these broken backends, with the case about what is broken.
//!
//! Each sabotage is a separate test. It is broken in one place and correct elsewhere, so that the case that rejects it
//! is known; if that case accepts it, the whole suite is run, and the test fails either way, because a case must have
//! changed.

#![expect(clippy::unwrap_used, reason = "a poisoned lock may well end a test")]

mod commits;
mod places;
mod reads;
mod spoiled;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use nofx_testkit::{CASES, Case, Factory, Verdict};

use crate::places::{Losing, Rebuilding};
use crate::spoiled::{Honest, SpoiledFactory};

/// A broken backend and the case that must reject it.
struct Sabotage {
    name: &'static str,
    caught_by: &'static str,
    factory: Arc<dyn Factory>,
}

/// Makes a sabotage of a store in memory.
macro_rules! spoiled {
    ($name:literal, $spoiler:expr, caught by $case:literal) => {
        Sabotage { name: $name, caught_by: $case, factory: Arc::new(SpoiledFactory::new($name, || Arc::new($spoiler))) }
    };
}

fn sabotages() -> Vec<Sabotage> {
    use crate::{commits::*, reads::*};
    vec![
        spoiled!("preconditions are ignored", PreconditionsIgnored, caught by "records::every_expectation_of_a_record_is_judged"),
        spoiled!("expected lengths are ignored", LengthsIgnored, caught by "logs::an_expected_length_is_judged"),
        spoiled!("guards are ignored", GuardsIgnored, caught by "batches::guards_are_judged"),
        spoiled!("only the first mismatch is reported", FirstMismatchOnly, caught by "batches::a_conflict_lists_every_mismatch"),
        spoiled!("a conflict leaves a trace", TracesOfConflicts, caught by "batches::a_conflict_leaves_no_trace"),
        spoiled!("a conflict is remembered", ConflictsRemembered::default(), caught by "batches::a_batch_that_met_a_conflict_is_judged_again"),
        spoiled!("a conflict stops its group", ConflictStopsGroup, caught by "groups::a_conflict_does_not_keep_its_neighbours_from_happening"),
        spoiled!("a repeated batch happens again", Forgetful, caught by "batches::a_batch_committed_again_answers_its_first_outcome"),
        spoiled!("a repeated batch happens again within its group", ForgetfulWithinGroups, caught by "batches::an_id_repeated_within_a_group_happens_once"),
        spoiled!("a repeated batch is answered wrongly", WrongRepeats::default(), caught by "batches::a_batch_committed_again_answers_its_first_outcome"),
        spoiled!("batches before an invalid one happen", LateValidation, caught by "groups::one_invalid_batch_fails_the_whole_group"),
        spoiled!("sizes are judged for the group", GroupSizes, caught by "groups::sizes_are_judged_for_each_batch_and_not_for_the_group"),
        spoiled!("a group happens backwards", BackwardGroups, caught by "groups::each_batch_is_judged_on_what_those_before_it_left"),
        spoiled!("the number of a deletion is used again", Renumbered::default(), caught by "records::a_version_is_never_used_again"),
        spoiled!("a seal is forgotten", SealsForgotten, caught by "endings::a_sealed_log_takes_no_entries"),
        spoiled!("a removed id is used again", RemovedIdsReused::default(), caught by "endings::the_id_of_a_removed_log_is_never_used_again"),
        spoiled!("bodies are written again in other words", BodiesRewritten, caught by "bodies::bodies_come_back_byte_for_byte"),
        spoiled!("half a batch is visible", HalfVisible, caught by "handles::no_reader_ever_sees_half_a_batch"),
        spoiled!("a batch is written record by record", RecordByRecord, caught by "handles::no_reader_ever_sees_half_a_batch"),
        spoiled!("judging and writing are two steps", CheckThenAct, caught by "handles::concurrent_writers_lose_no_update"),
        spoiled!("a dropped commit is aborted", Abortable, caught by "handles::a_commit_runs_to_its_end_even_if_its_caller_stops_waiting"),
        spoiled!("readers hold a lock", ReadersLock::default(), caught by "handles::reads_that_are_begun_and_left_hold_up_no_others"),
        spoiled!("a page of records skips one", ScanSkips, caught by "scans::records_come_in_the_order_of_their_bytes_both_ways"),
        spoiled!("a page of records repeats one", ScanRepeats, caught by "scans::records_come_in_the_order_of_their_bytes_both_ways"),
        spoiled!("a page of entries skips one", ReadSkips, caught by "logs::reading_pages_through_ten_thousand_entries_both_ways"),
        spoiled!("more is reported whenever a page is full", MoreWhenFull, caught by "scans::a_page_says_correctly_whether_there_is_more"),
        spoiled!("backwards is only reversed", BackwardReversed, caught by "logs::a_page_of_entries_ends_early_only_for_its_bytes"),
        spoiled!("a kind finds those that begin alike", KindsRunTogether, caught by "scans::a_kind_is_not_mistaken_for_one_that_begins_alike"),
        spoiled!("a prefix ends at its last character", PrefixByNext, caught by "scans::a_prefix_finds_the_ids_that_begin_with_it"),
        spoiled!("entries are sorted by time", SortedByTime, caught by "logs::a_head_has_the_time_of_the_last_entry_whatever_it_is"),
        spoiled!("a head is left behind", HeadsBehind, caught by "logs::positions_are_dense_from_zero"),
        spoiled!("listed heads are old", OldHeads::default(), caught by "handles::a_handle_sees_what_another_committed"),
        spoiled!("a second handle reads what it read before", StaleHandles::default(), caught by "handles::a_handle_sees_what_another_committed"),
        spoiled!("ids are folded", IdsFolded, caught by "ids::hostile_ids_come_back_and_do_not_collide"),
        spoiled!("the feed loses a commit", FeedLoses, caught by "changes::each_commit_is_found_once_in_order"),
        spoiled!("a gap is never reported", GapNeverReported, caught by "changes::what_is_remembered_is_listed_and_what_is_forgotten_is_a_gap"),
        spoiled!("the cursor of another store is taken", ForeignCursorsTaken, caught by "changes::the_cursor_of_another_store_is_a_gap"),
        spoiled!("a closed handle still reads", ClosedStillReads, caught by "lifecycle::a_closed_handle_answers_closed_to_every_call"),
        spoiled!("closing does not wait", ClosingDoesNotWait, caught by "lifecycle::closing_waits_for_commits_in_flight"),
        Sabotage {
            name: "what was acknowledged is lost",
            caught_by: "lifecycle::every_single_commit_is_there_after_opening_again",
            factory: Arc::new(Rebuilding { losing: Losing::LastGroup }),
        },
        Sabotage {
            name: "remembered batches are forgotten by closing",
            caught_by: "lifecycle::batches_are_remembered_after_opening_again",
            factory: Arc::new(Rebuilding { losing: Losing::BatchIds }),
        },
        Sabotage {
            name: "what is damaged is left out",
            caught_by: "files::a_flipped_bit_changes_no_answer_without_an_error",
            factory: Arc::new(Rebuilding { losing: Losing::DamagedGroups }),
        },
        Sabotage {
            name: "a reader notes that it was there",
            caught_by: "files::reading_changes_no_file",
            factory: Arc::new(Rebuilding { losing: Losing::UntouchedFile }),
        },
        #[cfg(unix)]
        Sabotage {
            name: "others can read what is written",
            caught_by: "files::only_the_owner_can_read_and_write_what_is_created",
            factory: Arc::new(Rebuilding { losing: Losing::Privacy }),
        },
    ]
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials: Vec<_> = sabotages().into_iter().map(trial).collect();
    trials.push(Trial::test("random histories alone reject most of them", rejected_by_histories));
    trials.push(Trial::test("a backend without sabotage passes", || {
        accepted(Arc::new(SpoiledFactory::new("honest", || Arc::new(Honest))))
    }));
    trials.push(Trial::test("a store that is rebuilt without losing anything is accepted", || {
        let factory: Arc<dyn Factory> = Arc::new(Rebuilding { losing: Losing::Nothing });
        let cases = sabotages().into_iter().filter(|sabotage| sabotage.factory.name() == factory.name());
        cases.map(|sabotage| sabotage.caught_by).try_for_each(|name| match case(name)?.run(&factory) {
            Verdict::Passed => Ok(()),
            other => Err(format!("{name}: {other:?}").into()),
        })
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(sabotage: Sabotage) -> Trial {
    Trial::test(sabotage.name, move || {
        let case = case(sabotage.caught_by)?;
        if let Verdict::Failed(why) = case.run(&sabotage.factory) {
            println!("rejected by {}:\n{why}", case.name);
            return Ok(());
        }
        let rejecting = CASES.iter().find(|other| rejects(other, &sabotage.factory));
        Err(match rejecting {
            Some(other) => format!("accepted by {}, rejected by {}", case.name, other.name).into(),
            None => format!("the suite accepts a backend of which {}", sabotage.name).into(),
        })
    })
}

/// Different histories each time, so not quite all that could be rejected are.
fn rejected_by_histories() -> Result<(), Failed> {
    let histories = case("histories::random_histories_agree_with_the_oracle")?;
    let mut rejected = Vec::new();
    for sabotage in sabotages() {
        if let Verdict::Failed(why) = histories.run(&sabotage.factory) {
            let found = why.lines().find(|line| line.contains("shortened in")).unwrap_or(&why);
            println!("{}: {}", sabotage.name, found.trim());
            rejected.push(sabotage.name);
        }
    }
    match rejected.len() {
        20.. => Ok(()),
        few => Err(format!("only {few} were rejected: {rejected:?}").into()),
    }
}

fn case(name: &str) -> Result<&'static Case, Failed> {
    CASES.iter().find(|case| case.name == name).ok_or_else(|| format!("there is no case `{name}`").into())
}

fn rejects(case: &Case, factory: &Arc<dyn Factory>) -> bool {
    matches!(case.run(factory), Verdict::Failed(_))
}

fn accepted(factory: Arc<dyn Factory>) -> Result<(), Failed> {
    for case in CASES {
        if let Verdict::Failed(why) = case.run(&factory) {
            return Err(format!("{}: {why}", case.name).into());
        }
    }
    Ok(())
}
