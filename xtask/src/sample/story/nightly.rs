//! A session that a script of the team's own wrote: ids of its choice, no expiry, one member twice.

use crate::sample::cast::BY_HAND;
use crate::sample::json::Json;
use crate::sample::moment::Moment;
use crate::sample::session::Session;
use crate::sample::talk::Talk;

pub(super) fn runs_from_a_script() -> Session {
    let begin = Moment::new(6, 1, 0);
    let talk = Talk::at(begin, "runs from a script")
        .system(1, "nightly build 118")
        .named("1")
        .tool(90, "build ok, 3 warnings")
        .named("2")
        .command("make nightly", false)
        .tool(5, "same id as the line before; the script counted wrongly")
        .named("2");
    let unknown = vec![
        ("build", Json::object().with("number", 118).with("host", "under-the-desk")),
        ("label", Json::from("candidate")),
        ("label", Json::from("rejected")),
    ];
    let session = Session::spawned(BY_HAND, begin).told(talk);
    Session { expires: None, claude_active: false, directory: None, branch: None, unknown, ..session }
}
