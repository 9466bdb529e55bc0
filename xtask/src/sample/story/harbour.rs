//! The shipping agent: archived sessions, one of which lived on in the active folder.

use crate::sample::cast::HARBOUR;
use crate::sample::json::Json;
use crate::sample::moment::Moment;
use crate::sample::session::Session;
use crate::sample::talk::Talk;
use crate::sample::task::Task;

pub(super) fn prepares_the_pipeline() -> Session {
    let begin = Moment::new(1, 8, 10);
    let image =
        Task::started(Moment::new(1, 8, 11), "Smaller image", "1.4 GB takes six minutes to push.").tags(&["docker"]);
    let talk = Talk::at(begin, "prepares the pipeline")
        .user(25, "Make the image smaller before we ship anything.")
        .task(&image.id)
        .assistant(130, "Two stages, `--omit=dev`, no cache of the package manager: 1.4 GB → 186 MB, push 41 s.")
        .tool(8, "tally/api   beta   186MB")
        .command("docker image ls tally/api", false);
    let image = image.completed(Moment::new(1, 8, 25));
    Session { branch: Some("build/small-image"), ..Session::spawned(HARBOUR, begin).told(talk).finished(image) }
}

/// As it stood when it was archived.
pub(super) fn ships_the_beta() -> Session {
    let begin = Moment::new(8, 12, 0);
    let talk = Talk::at(begin, "ships the beta")
        .user(15, "Ship it: beta.tally.example")
        .assistant(
            200,
            "Rolled out to one of three machines. Error rate 0.00 %, p95 38 ms. I wait ten minutes before the second.",
        )
        .tool(30, "HTTP/2 200\r\ncontent-type: text/html; charset=utf-8\r\n")
        .command("curl -sI https://beta.tally.example", false)
        .assistant(640, "Second and third done. 🎉");
    Session::spawned(HARBOUR, begin).told(talk)
}

/// The archive was written, then the window was killed before the active file was removed; the active
/// one went on by two messages, so that one id has two contents.
pub(super) fn lives_on_after_archiving(release: Session) -> Session {
    let talk = Talk::at(Moment::new(8, 15, 30), "lives on after archiving")
        .user(20, "First complaint: the confirmation mail lands in spam.")
        .assistant(95, "The DKIM record had a line break in it. Corrected, valid after the old TTL of one hour.");
    release.told(talk)
}

/// Expired while the window was open, which alone wrote that status to disk.
pub(super) fn waits_for_the_certificate() -> Session {
    let begin = Moment::new(7, 5, 50);
    let dns = Task::started(
        Moment::new(7, 5, 52),
        "Certificate",
        "beta.tally.example needs one; the challenge does not get through.",
    );
    let talk = Talk::at(begin, "waits for the certificate")
        .user(30, "Get a certificate for the beta.")
        .task(&dns.id)
        .assistant(70, "The challenge file answers 404: the proxy rewrites every path to `/`. I ask for the DNS challenge instead and wait for the zone.")
        .tool(3_600, "timeout: no TXT record for _acme-challenge after 3600 s")
        .command("dig +short TXT _acme-challenge.beta.tally.example", true);
    let dns = dns.failed(Moment::new(7, 7, 5));
    let session = Session::spawned(HARBOUR, begin).told(talk).finished(dns);
    Session { status: "expired", claude_active: false, average_response: Some(Json::exact("1834.5")), ..session }
}
