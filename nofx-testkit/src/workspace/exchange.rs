//! Export as JSON, Markdown and HTML, and import.

use futures_util::TryStreamExt;
use nofx_core::entity::{Entity, Message, Role, SessionId, SessionStatus, Template};
use nofx_core::json::Object;
use nofx_core::workspace::{ImportAs, RestoreOptions, SessionFilter, SessionState, Workspace};
use nofx_core::{Body, LogState};

use super::world::{HOUR, World, ada, begin, content, missed, numbered, refused, said, say, tail, texts};
use crate::subject::Subject;
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

async fn json(workspace: &Workspace, id: &SessionId) -> CaseResult<String> {
    let pieces: Vec<String> = workspace.export_json(id).await?.try_collect().await?;
    Ok(pieces.concat())
}

async fn markdown(workspace: &Workspace, id: &SessionId) -> CaseResult<String> {
    let pieces: Vec<String> = workspace.export_markdown(id).await?.try_collect().await?;
    Ok(pieces.concat())
}

async fn page(workspace: &Workspace, id: &SessionId) -> CaseResult<String> {
    let pieces: Vec<String> = workspace.export_html(id).await?.try_collect().await?;
    Ok(pieces.concat())
}

pub(super) async fn an_export_is_imported_as_it_was(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let body = Body::parse(r#"{"id":"backend","name":"Backend","systemPrompt":"You sort.","more":1.10}"#)?;
    let mut agent = ada();
    agent.template = Some(workspace.save_template(&Template::from_body(&body)?).await?);
    let parent = workspace.create_session(&agent, Default::default()).await?.id;
    say(&workspace, &parent, 0..60).await?;
    let session = workspace.restore_session(&parent, RestoreOptions::default()).await?.id;
    let odd = r#"{"id":"odd","content":"cut \ud83d, \u0065scaped","cost":1e400,"metadata":{"taskId":"t"}}"#;
    let odd = Object::parse(odd).map_err(|error| Unmet::new(error.to_string()))?;
    workspace.add_message(&session, Message::from_object(odd)).await?;
    workspace.add_message(&session, workspace.message(Role::Tool, "long ".repeat(50_000))).await?;
    let done = workspace.start_task(&session, "done").await?.task.id.unwrap_or_default();
    workspace.complete_task(&session, &done).await?;
    workspace.start_task(&session, "at hand").await?;
    workspace.archive_session(&session).await?;

    let text = json(&workspace, &session).await?;
    ensure_eq!(Body::parse(&text)?.as_str().len(), text.len(), "the export is compact JSON");
    let elsewhere = world.elsewhere().await?;
    let other = elsewhere.open().await?;
    let imported = other.import_session(&text, ImportAs::Itself).await?;
    ensure_eq!((&imported.id, imported.status.clone()), (&session, Some(SessionStatus::Archived)), "itself, archived");
    ensure_eq!(json(&other, &session).await?, text, "exported again");
    let log = nofx_core::entity::Session::history(&session);
    ensure_eq!(other.store().head(&log).await?.state, LogState::Sealed, "sealed again");
    ensure_eq!(other.system_prompt(&imported).await?, Some("You sort.".into()), "its template's prompt");
    let listed = other.summaries(&SessionFilter::default(), None, 10).await?.items;
    ensure_eq!((listed.len(), listed[0].messages, listed[0].preview.as_deref()), (1, 62, Some("0")), "in the list");
    Ok(())
}

pub(super) async fn what_exists_or_was_purged_is_imported_as_new_only(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..3).await?;
    let text = json(&workspace, &session.id).await?;
    refused(workspace.import_session(&text, ImportAs::Itself).await)?;
    let copy = workspace.import_session(&text, ImportAs::New).await?;
    ensure!(copy.id != session.id, "another id");
    ensure_eq!(said(&workspace, &copy).await?, texts(0..3), "the copy");
    workspace.delete_session(&session.id).await?;
    refused(workspace.import_session(&text, ImportAs::Itself).await)?;
    workspace.purge_session(&session.id).await?;
    let why = refused(workspace.import_session(&text, ImportAs::Itself).await)?;
    ensure!(why.contains("purged"), "why a purged session does not come back: {why}");
    Ok(())
}

pub(super) async fn what_is_no_export_is_refused(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?.id;
    say(&workspace, &session, 0..3).await?;
    let text = json(&workspace, &session).await?;
    for end in [0, 1, text.len() / 2, text.len() - 1] {
        let cut = text.get(..end).unwrap_or_default();
        refused(workspace.import_session(cut, ImportAs::New).await)?;
    }
    for other in ["[]", "{}", "# Markdown", r#"{"format":"nofx-session","version":1}"#] {
        refused(workspace.import_session(other, ImportAs::New).await)?;
    }
    refused(workspace.import_session(&text.replace(r#""messages":["#, r#""messages":[1,"#), ImportAs::New).await)?;
    refused(workspace.import_session(&format!("{text} and more"), ImportAs::New).await)?;
    let later = text.replace(r#""version":1"#, r#""version":2"#);
    let error = workspace.import_session(&later, ImportAs::New).await;
    ensure_eq!(error.map_err(|error| error.code()), Err("too-new"), "a later version");
    ensure_eq!(workspace.stats().await?.sessions, 1, "nothing was imported");
    missed(workspace.export_json(&"absent".into()).await.map(drop))?;
    Ok(())
}

pub(super) async fn a_large_session_is_imported_in_several_commits(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..12_000).await?;
    let text = json(&workspace, &session.id).await?;
    let elsewhere = world.elsewhere().await?;
    let (other, counting) = elsewhere.counted().await?;
    let imported = other.import_session(&text, ImportAs::Itself).await?;
    ensure!(counting.counts().committed > 2, "several commits");
    ensure_eq!(said(&other, &imported).await?, texts(0..12_000), "everything");
    ensure_eq!(imported.state(world.now()), SessionState::Active, "out of the trash");
    Ok(())
}

pub(super) async fn a_session_of_more_tasks_than_a_batch_takes_is_imported(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    workspace.start_task(&session.id, "the last one").await?;
    let tasks: Vec<_> = (0..10_050).map(|n| format!(r#"{{"id":"t{n}","title":"{n}","status":"completed"}}"#)).collect();
    let text = json(&workspace, &session.id).await?;
    let text = text.replace(r#""ended":[]"#, &format!(r#""ended":[{}]"#, tasks.join(",")));
    let imported = workspace.import_session(&text, ImportAs::New).await?;
    let tasks = workspace.tasks(&imported.id).await?;
    ensure_eq!(tasks.ended.len(), 10_050, "tasks that ended");
    ensure_eq!(tasks.current.map(|task| task.title), Some("the last one".into()), "the task at hand");
    ensure_eq!(
        workspace.start_task(&imported.id, "more").await?.interrupted.map(|task| task.title),
        Some("the last one".into()),
        "what is interrupted"
    );
    Ok(())
}

pub(super) async fn fences_survive_fences(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?.id;
    workspace.rename_session(&session, "A *name*\n# with marks").await?;
    let contents = ["```rust\nfn main() {}\n```", "no fence", "``````\ndeep\n``````\n", "### A heading\n- bullets", ""];
    for content in contents {
        workspace.add_message(&session, workspace.message(Role::Assistant, content)).await?;
    }
    workspace.start_task(&session, "sort").await?;
    let text = markdown(&workspace, &session).await?;
    // What a reader of Markdown sees: a fence ends with the first line that is as long as the one that opened
    // it.
    let (mut found, mut lines) = (Vec::new(), text.lines());
    let mut headings = Vec::new();
    while let Some(line) = lines.next() {
        let fence = line.strip_suffix("text").filter(|fence| fence.starts_with("```"));
        match fence {
            Some(fence) => {
                let inside: Vec<_> = lines.by_ref().take_while(|line| *line != fence).collect();
                ensure!(inside.iter().all(|line| !line.starts_with(fence)), "a fence inside a fence: {inside:?}");
                found.push(inside.join("\n"));
            }
            None if line.starts_with('#') => headings.push(line.to_owned()),
            None => {}
        }
    }
    ensure_eq!(found, contents.map(|content| content.trim_end_matches('\n').to_owned()), "what was said");
    ensure_eq!(headings[0], "# A \\*name\\* \\# with marks", "the name");
    ensure_eq!(headings.len(), 3 + contents.len(), "headings of ours only: {headings:?}");
    ensure!(text.contains("- in progress: sort\n"), "the task");
    Ok(())
}

pub(super) async fn a_page_shows_what_was_said_and_runs_none_of_it(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?.id;
    workspace.rename_session(&session, "Sort </title><script>x</script>").await?;
    workspace.start_task(&session, "<b>sort</b>").await?;
    let hostile =
        "hi <script>alert(1)</script> <img src=x onerror=alert(2)> [a](javascript:alert(3)) \u{1b}[31mred\u{202e}\0";
    let code = "See **this**:\n\n```html\n<p>\n```\n\n[docs](https://example.org)";
    for (role, content) in [
        (Role::User, hostile),
        (Role::Assistant, code),
        (Role::Tool, "</pre><script>x</script>\r\n*two*\u{1b}[0m\n"),
        (Role::Other("x\"><script>".into()), "odd"),
    ] {
        workspace.add_message(&session, workspace.message(role, content)).await?;
    }
    let cut = r#"{"type":"user","content":"cut \ud83d"}"#;
    let no_text = r#"{"type":"assistant","content":[{"text":"<i>part</i>"}]}"#;
    for message in [cut, no_text] {
        let message = Object::parse(message).map_err(|error| Unmet::new(error.to_string()))?;
        workspace.add_message(&session, Message::from_object(message)).await?;
    }
    let text = page(&workspace, &session).await?;
    for part in [
        "<!doctype html>\n",
        "content=\"default-src 'none'; style-src 'unsafe-inline';",
        "<title>Sort &lt;/title&gt;&lt;script&gt;x&lt;/script&gt;</title>",
        "<div><dt>Messages</dt><dd>6</dd></div>",
        "<li dir=\"auto\">&lt;b&gt;sort&lt;/b&gt; <small>in progress</small></li>",
        "&lt;img src=x onerror=alert(2)&gt; a (javascript:alert(3)) \\u{1b}[31mred\\u{202e}\\u{0}",
        "<article class=\"assistant\" id=\"m1\">\n<h2>Ada <a href=\"#m1\"><time ",
        "<strong>this</strong>",
        "<pre><code class=\"language-html\">&lt;p&gt;\n</code></pre>",
        "<a href=\"https://example.org\">docs</a>",
        "<details>\n<summary><small>2 lines</small> <code>&lt;/pre&gt;",
        "&lt;/pre&gt;&lt;script&gt;x&lt;/script&gt;\n*two*\\u{1b}[0m\n</pre>\n</details>\n",
        "<h2>x&quot;&gt;&lt;script&gt; <a",
        "cut \u{fffd}",
        "[{&quot;text&quot;:&quot;&lt;i&gt;part&lt;/i&gt;&quot;}]",
    ] {
        ensure!(text.contains(part), "{part:?} in {text}");
    }
    ensure!(text.ends_with("</footer>\n</body>\n</html>\n"), "the end of {text}");
    for part in ["<script", "<img", "<b>", "<i>", "javascript:alert(3)\"", "\u{1b}", "\u{202e}", "\0", "\r"] {
        ensure!(!text.contains(part), "{part:?} in {text}");
    }
    for address in text.split("href=\"").skip(1) {
        ensure!(address.starts_with("#m") || address.starts_with("https://example.org\""), "a link to {address}");
    }
    missed(workspace.export_html(&"absent".into()).await.map(drop))?;
    Ok(())
}

pub(super) async fn a_page_of_no_messages_says_so(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = begin(&workspace).await?;
    let text = page(&workspace, &session.id).await?;
    ensure!(text.contains("<main>\n<p>There are no messages.</p>\n</main>\n"), "{text}");
    ensure!(!text.contains("Tasks"), "a section of tasks: {text}");
    workspace.rename_session(&session.id, "").await?;
    let text = page(&workspace, &session.id).await?;
    ensure!(text.contains(&format!("<title>{}</title>", session.id)), "the title of a session without a name: {text}");
    Ok(())
}

pub(super) async fn a_page_is_read_as_it_is_written(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let session = begin(&workspace).await?.id;
    say(&workspace, &session, 0..2_000).await?;
    let before = counting.counts();
    let mut pieces = workspace.export_html(&session).await?;
    say(&workspace, &session, 2_000..2_010).await?;
    while let Some(piece) = pieces.try_next().await? {
        if piece.contains("id=\"m9\"") {
            break;
        }
    }
    ensure!((counting.counts() - before).entries < 1_000, "ten messages of a page read all of them");
    let rest: Vec<String> = pieces.try_collect().await?;
    ensure_eq!(rest.concat().matches("<article ").count(), 1_990, "the messages at the time of the call");
    Ok(())
}

pub(super) async fn agents_are_exported_with_their_transcripts(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    workspace.save_agent(&ada()).await?;
    workspace.append_transcript(&ada().id, "said ```this```").await?;
    world.clock.advance(HOUR);
    let session = begin(&workspace).await?;
    workspace.add_messages(&session.id, numbered(&workspace, 0..2)).await?;
    let pieces: Vec<String> = workspace.export_agents_markdown().try_collect().await?;
    let text = pieces.concat();
    for part in ["# Agents\n", "## Ada (backend-specialist)\n", "- Sessions: 1\n", "````text\n", "said ```this```\n"] {
        ensure!(text.contains(part), "{part:?} in {text}");
    }
    ensure_eq!(content(&tail(&workspace, &session, 1).await?[0].message), "1", "nothing was changed");
    Ok(())
}
