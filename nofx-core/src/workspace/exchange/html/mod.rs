//! A session as one HTML page, for people: it loads nothing, runs nothing and follows the reader's light or dark theme.

mod prose;

use futures_core::Stream;
use futures_util::{StreamExt, stream};
use prose::prose;

use super::export::until_failed;
use super::markdown::which;
use crate::entity::{Entity, Role, Session, SessionId, Task, foreign};
use crate::error::{Error, Result};
use crate::escaped::escaped;
use crate::json::Text;
use crate::query::Direction;
use crate::time::Timestamp;
use crate::workspace::conversation::preview::beginning;
use crate::workspace::{HistoryEntry, Tasks, Workspace};

/// What precedes the title. The policy forbids everything but the page's own style.
const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
"#;

const STYLE: &str = include_str!("style.css");

impl Workspace {
    /// Returns a session as one HTML page, in pieces that form one text when joined; messages are read lazily.
    ///
    /// The page needs no script and no other file. Markdown in messages is rendered, what tools returned is folded.
    /// Nothing that was said can act: HTML is shown as text, only web pages and mail addresses are linked, images are
    /// links, and control characters are visible. `NotFound` if there is no such session. Unreadable messages and
    /// tasks are an error in their place, and the stream continues after them; the page may have
    /// [`unreadable_article`] there. Any other error ends the stream. Messages added after the call are not part of it.
    pub async fn export_html(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = Result<String>> + Send + Unpin + use<>> {
        let session = self.find(id).await?.session;
        let (tasks, messages) = (self.tasks(id).await?, self.history_length(&session).await?);
        let mut head = page_head(&session, messages, self.now());
        head.push_str(&tasks_section(&tasks));
        let tasks = tasks.unreadable.into_iter().map(Err);
        let begin = if messages == 0 { "<main>\n<p>There are no messages.</p>\n" } else { "<main>\n" };
        let end = format!("</main>\n<footer>Exported {}</footer>\n</body>\n</html>\n", time(self.now()));
        let agent = session.agent_name.clone();
        let history = self.history(&session, 0..messages, Direction::Forward, None);
        let history = history.map(move |entry| entry.map(|entry| message_article(&entry, &agent)));
        let head = stream::iter([Ok(head)].into_iter().chain(tasks).chain([Ok(begin.to_owned())]));
        Ok(until_failed(head.chain(history).chain(stream::iter([Ok(end)]))).boxed())
    }
}

/// Returns the part of a page that replaces unreadable messages.
pub fn unreadable_article(error: &Error) -> String {
    let (which, why) = (which(error), block(&error.chain().into()));
    format!("<article class=\"unreadable\">\n<h2>{which} cannot be read</h2>\n{why}</article>\n")
}

fn page_head(session: &Session, messages: u64, now: Timestamp) -> String {
    let name = if session.name.is_empty() { session.id.to_string().into() } else { session.name.clone() };
    let title = line(&name);
    let agent = format!("{} ({})", session.agent_name, session.agent_type);
    let text = |text: &Option<Text>| text.as_ref().map(line);
    let mut head = format!("{HEAD}<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n");
    head.push_str(&format!("<header>\n<h1 dir=\"auto\">{title}</h1>\n<dl>\n"));
    for (name, value) in [
        ("Agent", Some(line(&agent.into()))),
        ("State", Some(session.state(now).name().replace('-', " "))),
        ("Messages", Some(messages.to_string())),
        ("Created", session.created_at.map(time)),
        ("Expires", session.expires_at.map(time)),
        ("Directory", text(&session.working_directory)),
        ("Branch", text(&session.git_branch)),
        ("Session", Some(line(&session.id.to_string().into()))),
    ] {
        head.extend(value.map(|value| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")));
    }
    head.push_str("</dl>\n</header>\n");
    head
}

fn tasks_section(tasks: &Tasks) -> String {
    let item = |task: &Task| {
        let status = task.status.as_ref().map(|status| status.as_text()).unwrap_or_default();
        let status = line(&status).replace('_', " ");
        format!("<li dir=\"auto\">{} <small>{status}</small></li>\n", line(&task.title))
    };
    let items: String = tasks.ended.iter().chain(&tasks.current).map(item).collect();
    match items.is_empty() {
        true => String::new(),
        false => format!("<section>\n<h2>Tasks</h2>\n<ul>\n{items}</ul>\n</section>\n"),
    }
}

fn message_article(entry: &HistoryEntry, agent: &Text) -> String {
    let HistoryEntry { position, at, message } = entry;
    let (class, who) = match &message.role {
        Some(Role::User) => ("user", "User".to_owned()),
        Some(Role::Assistant) if agent.is_empty() => ("assistant", "Assistant".to_owned()),
        Some(Role::Assistant) => ("assistant", line(agent)),
        Some(Role::System) => ("system", "System".to_owned()),
        Some(Role::Tool) => ("tool", "Tool".to_owned()),
        Some(Role::Other(other)) => ("other", line(other)),
        None => ("other", "Unknown".to_owned()),
    };
    let said = match &message.content {
        Some(content) if message.role == Some(Role::Tool) => folded(content),
        Some(content) => format!("<div dir=\"auto\">\n{}</div>\n", prose(&visible(content))),
        None => folded(&foreign(&message.to_object()).to_json().into()),
    };
    let when = time(message.timestamp.unwrap_or(*at));
    let heading = format!("<h2>{who} <a href=\"#m{position}\">{when}</a></h2>");
    format!("<article class=\"{class}\" id=\"m{position}\">\n{heading}\n{said}</article>\n")
}

/// Returns a text as a block that is closed until the reader opens it, and shows its beginning.
fn folded(text: &Text) -> String {
    let lines = match text.to_str_lossy().lines().count() {
        0 => return "<p>Empty</p>\n".to_owned(),
        1 => "1 line".to_owned(),
        lines => format!("{lines} lines"),
    };
    let beginning = line(&beginning(text).unwrap_or_default());
    let summary = format!("<summary><small>{lines}</small> <code>{beginning}</code></summary>");
    format!("<details>\n{summary}\n{}</details>\n", block(text))
}

/// Returns a text as a block in which every character counts.
fn block(text: &Text) -> String {
    // A line feed directly after the tag is ignored.
    format!("<pre dir=\"auto\">\n{}</pre>\n", quoted(&visible(text)))
}

/// Returns a time as people read it.
fn time(time: Timestamp) -> String {
    let exact = time.to_string();
    let (date, clock) = exact.split_once('T').unwrap_or_default();
    format!("<time datetime=\"{exact}\">{date} {} UTC</time>", clock.get(..5).unwrap_or_default())
}

/// Returns a text on one line, as HTML.
fn line(text: &Text) -> String {
    quoted(&visible(text).split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns a text with its control characters escaped, and with line feeds as the only line breaks.
fn visible(text: &Text) -> String {
    escaped(&text.to_str_lossy().replace("\r\n", "\n").replace('\r', "\n"), &['\n', '\t'])
}

/// Returns a text as HTML, for content and attributes.
fn quoted(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_something_cannot_be_read_is_only_text() {
        let article = unreadable_article(&Error::corrupt("history/<b>\u{1b}").at("history/a", 3..5));
        assert!(article.contains("<h2>Messages 3 to 4 cannot be read</h2>"), "{article}");
        assert!(!article.contains("<b>") && !article.contains('\u{1b}'), "{article}");
    }

    #[test]
    fn a_block_begins_with_its_first_line_even_if_that_is_empty() {
        assert_eq!(block(&"\n  a\r\n".into()), "<pre dir=\"auto\">\n\n  a\n</pre>\n");
    }

    #[test]
    fn a_time_is_short_for_people_and_exact_for_programs() {
        let shown = "<time datetime=\"1970-01-01T00:01:00.007Z\">1970-01-01 00:01 UTC</time>";
        assert_eq!(time(Timestamp::from_millis(60_007)), shown);
    }
}
