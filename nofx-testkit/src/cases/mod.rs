//! The one table of cases, and the cases by subject.

mod batches;
mod groups;
mod logs;
mod records;

use std::time::Duration;

use crate::suite::{Case, Need};

/// How long most cases may take.
const USUAL: u64 = 30;

macro_rules! cases {
    ($($subject:ident {
        $($case:ident $([$($need:ident),+])? $(within $seconds:literal s)?: $claim:literal;)+
    })+) => {
        /// Every claim of the contract, each once.
        pub static CASES: &[Case] = &[$($(
            Case {
                name: concat!(stringify!($subject), "::", stringify!($case)),
                claim: $claim,
                needs: &[$($(Need::$need),+)?],
                limit: Duration::from_secs(seconds!($($seconds)?)),
                run: |subject| Box::pin($subject::$case(subject)),
            },
        )+)+];
    };
}

macro_rules! seconds {
    () => {
        USUAL
    };
    ($seconds:literal) => {
        $seconds
    };
}

cases! {
    records {
        a_written_record_is_found_with_its_version: "A record's version is the seq of the commit that last wrote it.";
        a_missing_record_is_none: "What does not exist is `None`.";
        get_answers_each_key_in_the_order_asked: "Returns each record that is asked for, in that order; `None` for one that does not exist.";
        get_of_no_keys_is_no_records: "Returns each record that is asked for.";
        get_takes_thousands_of_keys: "Returns each record that is asked for, in that order.";
        a_record_written_again_is_replaced_whole: "Records: small, replaced whole.";
        all_records_of_a_batch_have_its_version: "A record's version is the seq of the commit that last wrote it.";
        a_deleted_record_is_gone: "The new content; `None` deletes the record.";
        deleting_takes_a_number_even_of_a_missing_record: "Deleting a record also takes a number. Deleting a missing record is no error.";
        a_version_is_never_used_again: "The next number of its store is never used again; a record written again has a higher version.";
        numbers_are_dense_and_only_for_batches_that_write_records: "A committed batch that writes or deletes records gets the next number of its store, rising by one. Other batches get none.";
        every_expectation_of_a_record_is_judged: "Everything that a batch expects is judged by `Batch::check` and by nothing else.";
    }
    logs {
        positions_are_dense_from_zero: "Logs: entries that are only ever appended, at dense positions from zero.";
        each_append_of_a_batch_answers_its_range_in_order: "The positions of the new entries, for each append in the order of the batch.";
        a_missing_log_is_open_and_empty_and_asking_does_not_make_it: "What does not exist is an empty page, or a head of length zero; never an error.";
        heads_answers_each_log_in_the_order_asked: "Returns the head of each log that is asked for, in that order.";
        a_head_tells_the_time_of_the_last_entry_whatever_it_is: "The time of its last entry, by its writer's clock; not necessarily rising.";
        reading_a_range_finds_exactly_what_it_covers: "Which positions; what lies beyond the end of the log is not found.";
        reading_pages_through_ten_thousand_entries_both_ways: "Returns entries of one log in the order of their positions.";
        a_page_of_entries_tells_truly_whether_there_is_more: "Whether there was more; a page with more is not empty.";
        a_page_of_entries_ends_early_only_for_its_bytes: "The size of a page's bodies at which a backend may end it before `limit` items.";
        a_page_of_no_entries_is_invalid: "`Invalid` for a question that fails `LogQuery::validate`.";
        an_expected_length_is_judged: "How many entries it must have before, if that matters.";
    }
    batches {
        a_batch_happens_entirely_or_not_at_all: "A batch happens entirely or not at all.";
        a_conflict_leaves_no_trace: "A conflict is an outcome, not an error, and leaves no trace.";
        a_conflict_lists_every_mismatch: "Why a batch did not happen: every expectation that did not hold, with what was found.";
        a_batch_that_met_a_conflict_is_judged_anew: "Conflicts are not remembered: such a batch is judged anew.";
        a_batch_committed_again_answers_its_first_outcome: "If the store remembers having committed that id, the first outcome is answered again and nothing happens.";
        a_repeated_id_answers_the_first_outcome_whatever_the_batch_says: "If the store remembers having committed that id, the first outcome is answered again and nothing happens.";
        an_id_repeated_within_a_group_happens_once: "Whether in an earlier group or in this one, the first outcome is answered again.";
        a_batch_without_writes_is_remembered_as_well: "If the store remembers having committed that id, the first outcome is answered again.";
        guards_are_judged: "What must hold besides.";
        guards_are_judged_on_the_state_before_the_batch: "Everything that a batch expects is judged on the state before the batch.";
        a_batch_of_guards_alone_writes_nothing_and_takes_no_number: "A committed batch that writes or deletes records gets the next number. Other batches get none.";
        an_empty_batch_commits_without_a_number: "Other batches get none.";
        the_parts_of_a_batch_may_contradict_only_where_it_is_said: "It names a record at most once among its writes, and a log at most once among its appends. A log is not removed by a batch that appends to or seals it.";
    }
    groups {
        an_empty_group_is_no_work: "An empty group is no work.";
        each_batch_is_judged_on_what_those_before_it_left: "The batches of a group happen in their order, each judged on what those before it left.";
        a_conflict_does_not_keep_its_neighbours_from_happening: "Each batch of a group has its own outcome: one that conflicts does not keep its neighbours from happening.";
        one_invalid_batch_fails_the_whole_group: "Every batch is validated before any is applied; `Invalid` names the first bad one.";
        a_batch_refused_with_its_group_may_be_committed_later: "Every other error means that none has happened.";
        a_conflict_and_its_cure_may_be_in_one_group: "Conflicts are not remembered: such a batch is judged anew.";
        a_group_may_have_hundreds_of_batches: "The batches of a group happen in their order.";
        sizes_are_judged_for_each_batch_and_not_for_the_group: "Bytes of all bodies of one batch.";
    }
}
