//! The story that the sample tells: two weeks of a small team that builds Tally, a shared todo list.

mod api;
mod chronicle;
mod harbour;
mod interface;
mod nightly;
mod scout;
mod tester;

use super::session::Session;

/// Every session of the story, by the place where the old extension left it.
#[derive(Debug)]
pub(super) struct Story {
    /// In `sessions/`.
    pub(super) sessions: Vec<Session>,
    /// In `archives/`, one wrapper each.
    pub(super) archived: Vec<Session>,
    /// In `archives/`, in one wrapper together.
    pub(super) bundled: Vec<Session>,
    /// In `archive/`, moved there because they were old.
    pub(super) moved: Vec<Session>,
    /// In the folder copied before the beta: older states of sessions that went on.
    pub(super) snapshot: Vec<Session>,
}

impl Story {
    pub(super) fn tell() -> Story {
        let list = interface::builds_the_list();
        let sync = api::writes_the_sync();
        let tunnel = api::meets_the_tunnel(&sync);
        let night = tester::spends_a_night();
        let release = harbour::ships_the_beta();
        Story {
            snapshot: vec![list.as_of(10, 1), sync.as_of(8, 0), interface::starts_again()],
            archived: vec![harbour::prepares_the_pipeline().archived(), release.archived()],
            bundled: vec![interface::draws_the_first_screen().archived(), api::draws_the_tables().archived()],
            moved: vec![scout::measures_the_first_queue()],
            sessions: vec![
                tester::goes_on_after_the_night(&night),
                night,
                api::tries_once_more(&tunnel),
                api::aliased(sync, &tunnel),
                tunnel,
                api::finishes_after_a_reload(),
                api::starts_again(),
                list,
                interface::starts_again(),
                interface::starts_a_third_time(),
                chronicle::collects_every_script(),
                scout::loses_a_race(),
                harbour::lives_on_after_archiving(release),
                nightly::runs_from_a_script(),
                harbour::waits_for_the_certificate(),
            ],
        }
    }
}
