//! What a workspace promises, tested on any backend: the second table of cases.

mod agents;
mod clearing;
mod contents;
mod costs;
mod damage;
mod events;
mod exchange;
mod forks;
mod histories;
pub(crate) mod hosts;
mod lifecycle;
mod lists;
mod namespaces;
mod odd;
mod operations;
mod orchestration;
mod records;
mod retention;
mod rewinds;
mod search;
mod tasks;
mod upgrade;
mod world;
mod writers;

use std::time::Duration;

use crate::suite::{Case, Need};

/// The time limit of most cases, in seconds.
const USUAL: u64 = 60;

macro_rules! cases {
    ($($subject:ident {
        $($case:ident $([$($need:ident),+])? $(within $seconds:literal s)?: $claim:literal;)+
    })+) => {
        /// Every promise of [`Workspace`](nofx_core::workspace::Workspace), each once.
        pub static WORKSPACE_CASES: &[Case] = &[$($(
            Case {
                name: concat!("workspace::", stringify!($subject), "::", stringify!($case)),
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
    lifecycle {
        a_session_begins_active_and_is_listed_with_what_was_asked: "Creates a session of an agent. It is active and expires after five hours.";
        sessions_of_one_millisecond_have_ids_of_their_own: "Two sessions of one agent in one millisecond are two sessions.";
        messages_are_added_one_by_one_and_many_at_once: "Adds messages to a session, all or none, and returns their places.";
        tasks_are_started_completed_failed_and_interrupted: "The tasks of a session: at most one is being worked on.";
        starting_a_second_task_interrupts_the_first_and_says_so: "Starts a task. If another one is being worked on, it is interrupted and reported.";
        tasks_started_at_once_leave_one_and_lose_none: "The tasks of a session: at most one is being worked on.";
        the_clock_decides_what_has_expired: "Every reader derives from the clock whether a session has expired.";
        a_watch_warns_before_the_end_and_reports_it_once: "One warning for each expiry time that is within half an hour, and the expiry itself.";
        what_expired_while_no_host_watched_is_reported_once: "Its first `poll` also reports what expired while no host was watching.";
        a_session_rests_and_goes_on: "Pauses a session; resumes a session that is paused or has expired.";
        an_archived_session_is_sealed_and_takes_nothing: "Archives a session for good: it takes no more messages or tasks.";
        renaming_deleting_and_archiving_are_no_activity: "Sessions are sorted by their last activity, and archiving does not count as activity.";
        a_deleted_session_comes_back_until_it_is_purged: "Moves a session to the trash, from which it is taken out again or permanently removed.";
        an_import_respects_tombstones_and_shows_up: "Adds to a batch a session that is new to the store, with everything that lists need to find it.";
        many_at_once_have_a_result_each: "The same verb on several sessions, each with its own result.";
        a_change_with_a_verb_of_its_own_is_refused: "`Invalid` if the change has a verb of its own.";
    }
    forks {
        restoring_writes_the_same_bytes_however_long_the_history_is within 300 s: "It is a fork: the messages are not copied, so a hundred thousand cost no more than ten.";
        the_tail_of_a_deep_fork_costs_two_reads within 180 s: "Costs at most two reads, however often the session was restored.";
        neither_side_of_a_fork_sees_what_the_other_adds: "Neither session sees what is added to the other.";
        a_fork_outlives_its_parents: "They stay readable when the old session is archived, deleted or purged.";
        a_fork_that_races_a_purge_is_whole_or_refused: "If they race, one of them decides again.";
        a_fork_stays_whole_whatever_becomes_of_its_parent within 180 s: "They stay readable when the old session is archived, deleted or purged.";
        a_message_that_races_a_purge_is_kept_or_refused: "A message in flight to a session that is gone must not be acknowledged.";
        each_option_of_restoring_is_honoured: "What a restored session takes over. These are the old extension's five options, all of them honoured.";
        a_summary_keeps_the_order_and_repeats_nothing: "A message that summarises a session, then the system's messages and the newest 50, in order and each once.";
        restoring_again_and_again_keeps_names_and_ids_short: "The new session's id and name do not grow with each restore.";
    }
    lists {
        a_page_costs_three_times_its_items_at_most within 300 s: "A page of `n` sessions reads `n` rows, records and heads, however many sessions there are.";
        every_filter_finds_what_it_says: "Which sessions to list: by status, agent, time, text, expiry and trash.";
        pages_hold_each_session_once_in_the_order_of_activity: "Returns a page of sessions, most recently active first; the next one begins at `next`.";
        activity_of_a_clock_that_went_back_is_what_the_last_message_says: "The later of its record's time and its last message's time.";
        one_session_is_described_as_in_the_list: "Returns the list entry of one session, even one in the trash.";
        one_that_cannot_be_read_does_not_hide_the_others: "An unreadable session is left out of the page and reported in `unreadable`.";
        ten_thousand_sessions_of_one_agent_are_no_trouble within 180 s: "Sessions of one agent are found through an index; totals are summed over them.";
    }
    costs {
        nothing_but_a_search_costs_more_in_a_larger_store within 300 s: "What a verb reads and writes depends on its subject and not on what else is in the store.";
    }
    tasks {
        starting_and_ending_a_task_costs_the_same_in_a_longer_log within 300 s: "Which task of a session is being worked on is known without reading all of them.";
        those_that_ended_are_read_a_page_at_a_time within 120 s: "A page of ended tasks, most recent first. Tasks that end between two pages do not shift the others.";
        what_is_worked_on_is_known_whichever_version_wrote_it: "It is valid while the log of tasks has the recorded length.";
    }
    histories {
        a_history_is_read_in_both_directions_from_any_place: "Returns the messages at some places of a session's history, read lazily.";
        only_what_is_asked_for_is_read: "Only the pages needed are read.";
        a_time_is_found_although_clocks_went_back: "Correct even if clocks went backwards: every message is judged by its own time.";
        the_tail_costs_one_page_of_a_long_history within 120 s: "The newest messages of a session, oldest first, without the rest.";
    }
    writers {
        a_writer_gets_what_it_has_not_seen_instead_of_an_acknowledgement: "Another writer committed first, and nothing was added. These are the other writer's messages.";
        nothing_interleaves_silently_when_many_write within 120 s: "Two windows on one session never interleave silently.";
        a_writer_that_keeps_count_adds_only_after_what_it_saw: "Appends messages after the `seen` messages that the session has as far as the caller knows; all or none.";
        adding_regardless_is_explicit: "To append regardless, use `add_messages`.";
    }
    contents {
        a_long_content_is_kept_once_and_read_whole: "Long contents of messages, stored once however many messages have them.";
        a_list_and_a_log_show_only_the_beginning: "A message whose content is long is stored with the beginning of it.";
        every_spelling_comes_back_byte_for_byte: "Returns a message with its whole content.";
        a_message_of_a_hundred_megabytes_is_a_message within 300 s: "A message may be as long as memory allows.";
        a_sweep_removes_what_no_message_names: "Removes long contents that no message of any session, including those in the trash, names any more.";
        a_content_that_is_lost_is_an_error_at_its_place: "An unreadable message is an error at its place, and the stream continues after it.";
        a_copy_in_a_fork_needs_its_content: "A batch that copies stored messages says that their contents are needed again.";
        pieces_that_are_there_are_not_written_again: "Long contents of messages, stored once however many messages have them.";
        a_sweep_that_races_writers_loses_nothing within 180 s: "Safe to run at any time: a content that is needed during the sweep stays.";
        a_sweep_that_saw_half_of_a_content_leaves_the_rest: "Safe to run at any time: a content that is needed during the sweep stays.";
    }
    damage {
        a_message_that_is_damaged_hides_no_other: "An unreadable message is an error that has its place, and the stream continues after it.";
        messages_that_are_damaged_as_one_hide_no_other: "Several messages damaged together give one error.";
        a_tail_says_what_of_it_is_damaged: "An unreadable message is an error in its place and does not hide the others.";
        a_writer_gets_what_can_be_read_of_what_it_has_not_seen: "Unreadable messages are errors in their places, and count as seen.";
        an_export_says_what_of_it_is_damaged_and_is_imported: "Unreadable messages are replaced by a system message that says so.";
        a_task_that_is_damaged_hides_no_other: "Unreadable ones are reported beside the others.";
        a_checkpoint_that_is_damaged_hides_no_other: "An unreadable one is an error in its place and does not hide the others.";
        a_message_between_agents_that_is_damaged_hides_no_other: "An unreadable one is an error in its place, and the stream continues after it.";
        a_transcript_says_what_of_it_is_damaged: "Unreadable parts are replaced by a note.";
        a_session_that_is_damaged_hides_no_other: "An unreadable session is left out of the page and reported in `unreadable`.";
    }
    agents {
        agents_are_saved_listed_changed_and_removed: "Saves several agents, all or none. Other agents stay as they are.";
        agents_and_templates_are_listed_from_one_on: "Those that come after one, which need not exist.";
        a_session_outlives_its_agent: "Its sessions stay, even active ones.";
        totals_are_summed_over_sessions: "Totals over an agent's sessions; nothing of this is stored.";
        a_template_has_one_name_and_each_content_once: "Templates: each content stored once, and a name that points to the newest.";
        a_prompt_is_its_templates_or_its_own: "Returns the system prompt of a session's agent.";
        the_newest_checkpoints_are_read_and_all_are_kept: "Returns the newest checkpoints of an agent, oldest first. All are kept.";
        a_list_of_agents_is_replaced_all_or_nothing: "Saves several agents and removes all others, all or nothing.";
        what_was_removed_of_an_agent_is_gone_and_the_agent_goes_on: "Permanently removes an agent's transcript or checkpoints; the agent may continue.";
        a_copy_goes_on_where_the_removed_log_is_not_known: "Entries added after a removal come after those added before, even in a copy.";
        transcripts_and_checkpoints_of_all_agents_are_removed: "Permanently removes the transcripts or checkpoints of all agents, including agents that no longer exist.";
        a_transcript_grows_and_starts_over: "Appends to an agent's transcript; parts from before it started over are kept.";
        a_restored_agent_gets_its_last_fifty_lines: "A sentence and the last fifty lines of its transcript, or of its newest session.";
    }
    orchestration {
        messages_between_agents_keep_their_order: "Stores a message between agents, in order of arrival.";
        a_rare_message_is_found_however_far_back within 120 s: "Reads back through all messages until the caller has taken as many as it wants.";
        every_filter_of_messages_between_agents_works: "Which messages between agents to read.";
        pages_of_messages_between_agents_hold_each_once within 180 s: "The next one begins at `next`. Messages saved or removed between two pages do not shift the others.";
        segments_end_by_count_and_by_bytes within 180 s: "The maximum number of messages in a segment, and the bytes at which it ends.";
        handles_that_save_at_once_lose_nothing within 180 s: "A segment that another writer has sealed is noticed.";
        clearing_leaves_nothing_and_saving_goes_on: "Permanently removes all messages between agents.";
        statistics_are_exact: "What is known about the log of messages between agents. Exact.";
    }
    search {
        words_are_found_in_any_case_with_what_stands_around_them: "Words, or parts of words, that a message must all contain, ignoring case.";
        every_filter_of_a_search_works: "What to search for. All criteria must match.";
        long_work_says_how_far_it_is: "Long verbs report to `progress`: search, cleanup and its plan, and clearing everything.";
        a_message_of_several_sessions_is_found_once: "A message that several sessions were restored with is found once, in the newest of them.";
        long_and_strangely_spelled_contents_are_searched_too: "Every message is read.";
    }
    exchange {
        an_export_is_imported_as_it_was: "Creates a session from a text that `export_json` wrote, with everything in it.";
        what_exists_or_was_purged_is_imported_as_new_only: "`Invalid` if a session with that id exists, or existed and was purged.";
        what_is_no_export_is_refused: "`Invalid`, naming the place, if the text is not an export; `TooNew` if a later version wrote it.";
        a_large_session_is_imported_in_several_commits within 120 s: "A large one takes several commits: until the last one the session is in the trash.";
        a_session_of_more_tasks_than_a_batch_takes_is_imported within 120 s: "A large one takes several commits.";
        fences_survive_fences: "What was said is in code fences longer than any inside it.";
        a_page_shows_what_was_said_and_runs_none_of_it: "Nothing that was said can act.";
        a_page_of_no_messages_says_so: "Returns a session as one HTML page.";
        a_page_is_read_as_it_is_written: "In pieces that form one text when joined; messages are read lazily.";
        agents_are_exported_with_their_transcripts: "Returns all agents with their totals and transcripts as Markdown.";
    }
    events {
        every_verb_is_reported_by_its_name: "What happened, by the names that watchers use.";
        a_watcher_loses_nothing_and_hears_nothing_twice: "A caller that follows `next` gets each commit once.";
        a_gap_says_where_to_continue within 180 s: "The store no longer remembers everything since the cursor.";
        names_of_events_store_nothing: "Batches delete a record that never exists, so nothing is stored.";
    }
    retention {
        a_plan_changes_nothing_and_a_cleanup_does_what_it_says: "Returns what `cleanup` would do under a policy. Changes nothing.";
        sessions_go_by_age_count_and_size: "What to keep.";
        what_goes_on_is_never_touched: "A session that is active or paused, by the clock, is never touched.";
        what_was_changed_since_the_plan_is_left_alone: "A session that changed after the plan was made is left alone and reported.";
        messages_between_agents_go_by_whole_segments within 180 s: "Which messages between agents to keep, in whole segments: at least this much, never less.";
    }
    clearing {
        everything_goes_for_good_and_stays_away within 120 s: "Permanently removes everything that the store holds. Two things stay: which files were imported, and which sessions were purged.";
        what_cannot_be_read_is_left_with_what_it_needs: "Anything that is unreadable or was written by a later version stays, with the contents and templates that it may need, and is reported.";
    }
    upgrade {
        a_kind_of_a_later_version_is_kept_by_every_verb: "A store may hold kinds that this version does not know, and keeps them.";
        members_of_a_later_version_survive_every_change: "Members and words that this version does not know are kept as they are.";
        what_a_later_schema_says_is_read_and_not_changed: "`TooNew` if a later version wrote it: this version cannot know what its changes would break.";
        contents_that_a_later_version_may_need_are_not_swept: "Removes nothing if a later version wrote a message: what such a message needs is unknown.";
        an_event_of_a_later_version_is_left_out: "Names from later versions are ignored.";
    }
    hosts {
        a_session_without_a_lifetime_never_expires: "`None`: it never expires, even after it is resumed or restored.";
        metadata_is_merged_by_member: "Merges changes into the metadata: each member replaces the one of the same name, and `null` removes it.";
        sessions_are_found_by_their_metadata: "Only sessions whose metadata has all these members with equal values, however they are spelled.";
        a_live_session_is_purged_in_one_commit: "Permanently removes a session in one commit, whether or not it is in the trash.";
        a_key_opens_one_session: "Returns the session under a key, creating it if there is none.";
        all_who_begin_a_key_at_once_get_one_session within 120 s: "Concurrent callers all get the same session.";
        processes_that_begin_a_key_at_once_get_one_session [Processes] within 120 s: "Concurrent callers all get the same session.";
    }
    namespaces {
        each_namespace_lists_its_own_sessions: "Lists, search, totals and events cover one namespace; a session of another one is `NotFound`. Statistics cover all.";
        keys_agents_and_the_log_between_agents_belong_to_one: "Sessions, their keys, agents and the messages between agents belong to the namespace in which they were created.";
        expiry_and_cleanup_act_on_one: "Expiry and cleanup cover one namespace.";
        what_is_elsewhere_is_not_seen_without_namespaces: "Everything outside the default namespace is stored where versions without namespaces do not look.";
    }
    operations {
        what_is_repeated_happens_once_and_answers_the_same: "Each verb called on it happens once, however often the operation is repeated, and a repeat returns the result of the first call.";
        agents_and_what_belongs_to_them_are_written_once: "Each verb called on it happens once.";
        operations_are_told_apart: "A call that was refused, or that changed nothing, is not remembered.";
        all_who_do_one_operation_at_once_get_one_result within 120 s: "Even by another process, and a repeat returns the result of the first call.";
        a_caller_overtaken_by_the_same_operation_gets_its_result within 120 s: "Even by another process, and a repeat returns the result of the first call.";
    }
    records {
        a_host_keeps_records_and_logs_of_its_own: "A host's own records and logs.";
        a_host_cannot_touch_what_is_not_its_own: "`Invalid` if the batch names anything outside this name.";
    }
    rewinds {
        what_is_after_the_cut_is_out_of_reach: "Rewinds a session to its first messages. Messages after the cut are out of reach of every verb.";
        a_rewind_is_refused_where_it_is_not_possible: "`Invalid` if it has fewer messages, is archived or is in the trash. Rewinding to the current length is no change.";
        a_caller_that_saw_what_was_taken_back_gets_a_conflict: "`Conflict` if the session is not as the caller has seen it, which includes a rewind since.";
        a_rewind_costs_the_same_however_long_the_history_is within 300 s: "One commit, whose cost does not depend on the length of the history.";
        a_message_that_races_a_rewind_is_kept_or_refused within 120 s: "A message that races a rewind is added after the cut, or the rewind conflicts.";
        a_fork_begins_at_any_position: "Only this many messages, from the first.";
        whatever_is_forked_rewound_and_purged_the_others_stay_whole within 300 s: "Sessions restored from this one earlier keep what they had.";
        only_what_needs_it_is_written_by_the_second_schema: "A session that uses none of them is written with schema 1.";
    }
    odd {
        an_expired_session_still_takes_messages: "An expired session still takes messages, so that none is lost.";
        empty_messages_are_messages_and_no_messages_are_no_change: "A message may be empty. No messages means no change.";
        times_before_1970_and_after_9999_are_times: "A message may have any time that JavaScript can write.";
        a_clock_that_goes_back_loses_nothing: "Entries are ordered by position and records are versioned by seq, never by a time.";
        ids_of_any_text_are_ids: "An id of an entity: any text that the old extension could have written.";
        what_is_unknown_is_not_found_and_says_so: "A verb on something that does not exist is `NotFound`; reading it returns `None`.";
        verbs_may_be_spawned: "Any number of verbs may run concurrently on any thread.";
    }
}
