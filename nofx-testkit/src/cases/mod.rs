//! The table of cases, and the cases by subject.

mod batches;
mod bodies;
mod changes;
mod endings;
mod files;
mod groups;
mod handles;
mod histories;
mod ids;
mod lifecycle;
mod limits;
mod logs;
mod processes;
mod records;
mod scans;

use std::time::Duration;

use crate::suite::{Case, Need};

pub(crate) use processes::ROLES;

/// The time limit of most cases, in seconds.
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
        get_answers_each_key_in_the_order_asked: "Returns each requested record, in the order of `keys`; `None` for one that does not exist.";
        get_of_no_keys_is_no_records: "Returns each requested record.";
        get_takes_thousands_of_keys: "Returns each requested record, in the order of `keys`.";
        a_record_written_again_is_replaced_whole: "Records: small, replaced whole.";
        all_records_of_a_batch_have_its_version: "A record's version is the seq of the commit that last wrote it.";
        a_deleted_record_is_gone: "The new content; `None` deletes the record.";
        deleting_takes_a_number_even_of_a_missing_record: "Deleting a record also takes a seq. Deleting a missing record is no error.";
        a_version_is_never_used_again: "Seqs are never used again; a record that is written again has a higher version.";
        numbers_are_dense_and_only_for_batches_that_write_records: "A committed batch that writes or deletes records gets the next `Seq`. Seqs rise by one. Other batches get none.";
        every_expectation_of_a_record_is_judged: "Everything that a batch expects is judged by `Batch::check` and by nothing else.";
    }
    logs {
        positions_are_dense_from_zero: "Logs: append-only entries at dense positions from zero.";
        each_append_of_a_batch_answers_its_range_in_order: "The positions of the new entries, for each append in the order of the batch.";
        a_missing_log_is_open_and_empty_and_asking_does_not_make_it: "What does not exist is an empty page, or a head of length zero; never an error.";
        heads_answers_each_log_in_the_order_asked: "Returns the head of each requested log, in the order of `logs`.";
        a_head_has_the_time_of_the_last_entry_whatever_it_is: "The time of its last entry, according to its writer's clock; not necessarily rising.";
        reading_a_range_finds_exactly_what_it_covers: "Which positions; positions beyond the end of the log are not found.";
        reading_pages_through_ten_thousand_entries_both_ways: "Returns entries of one log in position order.";
        a_page_of_entries_says_correctly_whether_there_is_more: "Whether there is more. A page with more is never empty.";
        a_page_of_entries_ends_early_only_for_its_bytes: "The size of a page's bodies at which a backend may end the page before `limit` items.";
        a_page_of_no_entries_is_invalid: "`Invalid` for a query that fails `LogQuery::validate`.";
        the_times_of_one_append_may_fall: "The time of its last entry, according to its writer's clock; not necessarily rising.";
        an_expected_length_is_judged: "How many entries it must have beforehand, if that matters.";
    }
    batches {
        a_batch_happens_entirely_or_not_at_all: "A batch happens entirely or not at all.";
        a_conflict_leaves_no_trace: "A conflict is an outcome, not an error, and leaves no trace.";
        a_conflict_lists_every_mismatch: "Why a batch did not happen: every expectation that failed, with what was found.";
        a_batch_that_met_a_conflict_is_judged_again: "Conflicts are not remembered: such a batch is judged again.";
        a_batch_committed_again_answers_its_first_outcome: "If the store remembers having committed that id, it returns the first outcome again and nothing happens.";
        a_repeated_id_answers_the_first_outcome_whatever_the_batch_says: "If the store remembers having committed that id, it returns the first outcome again and nothing happens.";
        an_id_of_an_earlier_group_may_be_repeated_several_times_in_one: "In an earlier group or in this one: it returns the first outcome again.";
        an_id_repeated_within_a_group_happens_once: "In an earlier group or in this one: it returns the first outcome again.";
        a_batch_without_writes_is_remembered_as_well: "If the store remembers having committed that id, it returns the first outcome again.";
        guards_are_judged: "Further expectations.";
        guards_are_judged_on_the_state_before_the_batch: "Everything that a batch expects is judged on the state before the batch.";
        a_batch_of_guards_alone_writes_nothing_and_takes_no_number: "A committed batch that writes or deletes records gets the next `Seq`. Other batches get none.";
        an_empty_batch_commits_without_a_number: "Other batches get none.";
        any_sixteen_bytes_are_an_id: "Ids from `Sources::batch_id` begin with the time; any other 16 bytes work as well.";
        the_parts_of_a_batch_may_contradict_only_where_it_is_said: "It names a record at most once among its writes, and a log at most once among its appends. A batch that removes a log may neither append to it nor seal it.";
    }
    groups {
        an_empty_group_is_no_work: "An empty group does nothing.";
        each_batch_is_judged_on_what_those_before_it_left: "The batches of a group happen in order, each judged on the state that the batches before it left.";
        a_conflict_does_not_keep_its_neighbours_from_happening: "Each batch of a group has its own outcome: one that conflicts does not stop its neighbours.";
        one_invalid_batch_fails_the_whole_group: "Every batch is validated before any is applied; `Invalid` names the first bad one.";
        a_batch_refused_with_its_group_may_be_committed_later: "With any other error, none has happened.";
        a_conflict_and_its_cure_may_be_in_one_group: "Conflicts are not remembered: such a batch is judged again.";
        a_group_may_have_hundreds_of_batches: "The batches of a group happen in order.";
        sizes_are_judged_for_each_batch_and_not_for_the_group within 90 s: "Bytes of all bodies of one batch.";
    }
    scans {
        records_come_in_the_order_of_their_bytes_both_ways: "By kind, then by id, both compared as bytes.";
        a_kind_is_not_mistaken_for_one_that_begins_alike: "Only this kind.";
        a_prefix_finds_the_ids_that_begin_with_it: "Only ids that begin with this.";
        the_key_to_go_on_after_need_not_exist: "Only keys after this one, in the requested direction. It need not exist.";
        a_page_says_correctly_whether_there_is_more: "Whether there is more. A page with more is never empty.";
        a_page_of_records_ends_early_only_for_its_bytes: "The size of a page's bodies at which a backend may end the page before `limit` items.";
        questions_that_fail_validation_are_invalid: "`Invalid` for a query that fails `ScanQuery::validate`.";
        what_exists_throughout_is_found_once_while_others_come_and_go within 60 s: "To continue, ask again after the last item of a page: a record that exists throughout is found exactly once.";
        logs_lists_open_and_sealed_logs_with_fresh_heads: "Returns the heads of open and sealed logs in key order, paged like `scan`.";
        an_empty_store_has_nothing_to_find: "What does not exist is an empty page; never an error.";
    }
    endings {
        a_sealed_log_takes_no_entries: "A log can be sealed, after which it takes no more entries.";
        a_sealed_log_reads_as_before: "A log can be sealed, after which it takes no more entries.";
        sealing_again_is_no_change: "Sealing a sealed log changes nothing.";
        sealing_a_missing_log_makes_an_empty_one: "Sealing a missing log creates an empty sealed log.";
        a_batch_may_append_to_a_log_and_seal_it: "One batch may append to a log and seal it.";
        a_removed_log_holds_nothing: "A log can be removed, after which it is empty.";
        the_id_of_a_removed_log_is_never_used_again: "A log can be removed, after which its id is never used again.";
        removing_again_is_no_error: "Logs to remove for good, with all their entries.";
        a_long_log_is_removed_whole: "A log can be removed, after which it is empty.";
    }
    changes {
        each_commit_is_found_once_in_order: "A caller that follows `ChangePage::next` finds each commit once, in an order that is consistent with every record and every log.";
        a_change_names_what_its_batch_touched: "The records it wrote or deleted, in the order of the batch; the logs it appended to, sealed or removed, each once.";
        the_feed_of_an_empty_store_is_empty: "The commits; empty at the end of the feed.";
        a_limit_of_zero_answers_where_the_feed_ends: "With a limit of zero the answer says where the feed ends.";
        the_newest_cursor_is_where_following_ends: "The end of the feed when this was answered.";
        every_cursor_on_the_way_may_be_kept: "A cursor stays valid for at least `REMEMBERED_COMMITS` commits. Opaque and durable: it may be kept in a file for a year.";
        what_did_not_happen_is_not_in_the_feed: "A conflict leaves no trace; a repeated batch returns its first outcome and nothing happens.";
        the_batches_of_a_group_are_commits_of_their_own: "Returns at most `limit` commits after a cursor.";
        the_cursor_of_another_store_is_a_gap: "For a cursor of another store, the answer is `Gap`.";
        the_cursor_of_another_backend_is_a_gap_or_invalid: "A cursor of another backend gets `Gap` or `Invalid`.";
        text_that_never_was_a_cursor_is_invalid: "Text that never was a cursor gets `Invalid`.";
        what_is_remembered_is_listed_and_what_is_forgotten_is_a_gap within 180 s: "It remembers at least the last `REMEMBERED_COMMITS`. `None` starts at the oldest commit that is remembered, and answers `Gap` if there were older ones.";
    }
    limits {
        at_least_the_guaranteed_sizes_are_taken: "Every backend takes at least `Limits::GUARANTEED`.";
        a_body_of_the_largest_size_comes_back within 90 s: "The largest items it takes: bytes of one body.";
        a_body_above_the_largest_size_is_invalid within 90 s: "Every batch is validated before any is applied.";
        the_parts_of_a_batch_are_counted_together: "Writes, entries, seals, removals and guards of one batch, together.";
        the_bytes_of_a_batch_are_counted_together within 90 s: "Bytes of all bodies of one batch.";
    }
    bodies {
        bodies_come_back_byte_for_byte: "Bodies come back byte for byte.";
        bodies_of_a_sealed_log_come_back_byte_for_byte: "Bodies come back byte for byte.";
        bodies_are_the_same_after_opening_again [Durable]: "Bodies come back byte for byte.";
        deep_nesting_is_no_trouble: "A body that exists is compact JSON, so backends need not check it.";
        bodies_of_every_size_come_back: "Bodies come back byte for byte.";
    }
    ids {
        hostile_ids_come_back_and_do_not_collide: "An id is any non-empty text: it may look like a path, differ from another only in case, or contain a NUL.";
        hostile_ids_are_the_same_after_opening_again [Durable]: "An id is any non-empty text: it may look like a path, differ from another only in case, or contain a NUL.";
        hostile_ids_come_back_from_the_feed: "The records it wrote or deleted; the logs it appended to, sealed or removed.";
        ids_that_look_alike_are_deleted_and_removed_one_by_one: "An id may differ from another only in case.";
        a_record_and_a_log_may_have_the_same_name: "Records and logs have separate name spaces; a record and a log may have the same kind and id.";
        kinds_that_are_unknown_are_kept: "A backend knows no entities: it stores kinds it has never heard of.";
        kind_and_id_are_not_run_together: "By kind, then by id, both compared as bytes.";
        many_ids_with_a_long_common_beginning_are_told_apart: "An id is any non-empty text of at most `MAX_ID_BYTES` bytes.";
    }
    handles {
        a_handle_sees_what_another_committed: "A read sees every commit that was acknowledged before it began, through any handle that shares the store.";
        a_handle_judges_by_what_another_committed: "A read sees every commit that was acknowledged before it began, through any handle that shares the store.";
        all_handles_are_of_one_store: "The id of a store, generated when it is created and never changed.";
        a_repeated_batch_is_recognised_by_another_handle: "If the store remembers having committed that id, it returns the first outcome again.";
        a_batch_committed_by_many_at_once_happens_once: "Any number of calls may run concurrently, from any thread.";
        concurrent_writers_lose_no_update within 90 s: "A batch happens entirely or not at all, judged on the state before it.";
        concurrent_appends_are_dense_and_each_there_once within 90 s: "Logs: append-only entries at dense positions from zero.";
        no_reader_ever_sees_half_a_batch within 90 s: "A read never sees part of a batch. One `get` call, and each page of `scan` and `read`, reflects the store at a single point in time.";
        a_get_of_thousands_of_keys_is_one_moment within 90 s: "One `get` or `heads` call reflects the store at a single point in time.";
        a_feed_followed_during_writing_has_each_commit_once within 90 s: "A caller that follows `ChangePage::next` finds each commit once, in an order that is consistent with every record and every log.";
        reads_that_are_begun_and_left_hold_up_no_others: "Nothing is held between calls. An idle handle costs nothing.";
        however_many_commits_have_begun_each_runs_to_its_end within 90 s: "A commit that has begun runs to its end even if a thousand others of the same handle wait and the caller stops waiting.";
        a_commit_runs_to_its_end_even_if_its_caller_stops_waiting: "Once a commit has begun, it runs to its end even if the caller stops waiting.";
        any_number_of_calls_are_made_at_once: "Any number of calls may run concurrently, from any thread.";
        reading_leaves_the_only_thread_of_a_runtime_to_others [Disk]: "One worker thread of each runtime always stays free, and a runtime with a single thread is never blocked.";
        calls_need_no_runtime: "Any number of calls may run concurrently, from any thread, with or without a tokio runtime.";
    }
    lifecycle {
        a_new_store_can_be_written_and_says_what_it_is: "Returns what this backend is and what it can take.";
        many_handles_may_be_open_at_once: "An idle handle costs nothing.";
        a_new_place_that_many_open_at_once_holds_one_store: "The id of a store, generated when it is created and never changed.";
        closing_again_is_no_error: "Closing again is no error.";
        a_closed_handle_answers_closed_to_every_call: "Any other call then returns `Closed`, even if its query is invalid; `info` works on a closed handle.";
        other_handles_stay_open: "Other handles of the store stay open.";
        closing_waits_for_commits_in_flight: "Waits for commits in flight and releases the store.";
        opening_again_finds_everything [Durable]: "When `commit` returns outcomes, every committed batch is as durable as `BackendInfo::durability` says.";
        every_single_commit_is_there_after_opening_again [Durable]: "When `commit` returns outcomes, every committed batch is as durable as `BackendInfo::durability` says.";
        numbers_and_positions_go_on_after_opening_again [Durable]: "Seqs rise by one and are never used again.";
        batches_are_remembered_after_opening_again [Durable]: "It remembers at least the last `REMEMBERED_COMMITS`, including across close and open.";
        a_cursor_is_good_after_opening_again [Durable]: "Opaque and durable: it may be kept in a file for a year.";
        an_empty_store_is_the_same_after_opening_again [Durable]: "The id of a store, generated when it is created and never changed.";
    }
    processes {
        a_new_place_that_several_processes_open_at_once_holds_one_store [Processes] within 90 s: "The id of a store, generated when it is created and never changed.";
        a_process_sees_what_another_committed [Processes]: "A read sees every commit that was acknowledged before it began, through any process that shares the store.";
        this_process_sees_each_commit_of_another [Processes]: "A read sees every commit that was acknowledged before it began, through any process that shares the store.";
        writers_in_several_processes_lose_no_update [Processes] within 90 s: "A batch happens entirely or not at all, judged on the state before it.";
        appends_of_several_processes_are_dense_and_each_there_once [Processes] within 90 s: "Logs: append-only entries at dense positions from zero.";
        no_process_ever_sees_half_a_batch [Processes] within 90 s: "A read never sees part of a batch.";
        a_batch_repeated_by_another_process_answers_its_first_outcome [Processes]: "If the store remembers having committed that id, it returns the first outcome again.";
        a_feed_has_the_commits_of_all_processes [Processes] within 90 s: "A caller finds each commit once, whether this process or another made it.";
        what_was_acknowledged_to_a_killed_process_is_there [Processes, Durable] within 90 s: "When `commit` returns outcomes, every committed batch is as durable as `BackendInfo::durability` says.";
        waiting_for_another_process_is_bounded [Processes] within 180 s: "Waiting for another process ends within 30 seconds, in `Locked`.";
    }
    files {
        only_the_owner_can_read_and_write_what_is_created [Files]: "What a backend creates on a disk is private: only its owner can read and write it.";
        reading_changes_no_file [Files]: "A handle that commits nothing leaves every file of the store as it is.";
        a_flipped_bit_changes_no_answer_without_an_error [Files] within 180 s: "A backend that stores bytes notices each flipped byte in what a read depends on; only the newest commit may be missing silently.";
    }
    histories {
        random_histories_agree_with_the_oracle within 120 s: "`nofx-testkit` has a case for each sentence; random histories compare the rest with the store in memory.";
    }
}
