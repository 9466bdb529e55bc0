//! What was said, as HTML that cannot do anything: its Markdown is rendered, its own HTML is shown as text.

use pulldown_cmark::html::push_html;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};

/// The longest target that is shown as text, in characters. An embedded image would be a page of them.
const TARGET_CHARS: usize = 200;

/// Renders Markdown as people and agents write it: line breaks stay, and headings are below those of the page.
///
/// HTML in it is shown as text. A page loads nothing, so images are links. Only web pages and mail addresses are
/// linked; other targets are shown as text.
pub(super) fn prose(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut links = Links::default();
    let events = Parser::new_ext(markdown, options).flat_map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => [Some(Event::Text(html)), None],
        Event::Start(Tag::HtmlBlock) => [Some(Event::Start(Tag::CodeBlock(CodeBlockKind::Indented))), None],
        Event::End(TagEnd::HtmlBlock) => [Some(Event::End(TagEnd::CodeBlock)), None],
        Event::SoftBreak => [Some(Event::HardBreak), None],
        Event::Start(Tag::Heading { level, id, classes, attrs }) => {
            [Some(Event::Start(Tag::Heading { level: lowered(level), id, classes, attrs })), None]
        }
        Event::End(TagEnd::Heading(level)) => [Some(Event::End(TagEnd::Heading(lowered(level)))), None],
        Event::Start(Tag::Link { link_type, dest_url, .. }) => [links.begin(link_type, dest_url), None],
        Event::Start(Tag::Image { link_type, dest_url, .. }) => {
            [links.begin(link_type, dest_url), Some(Event::Text("Image: ".into()))]
        }
        Event::End(TagEnd::Link | TagEnd::Image) => [links.end(), None],
        other => [Some(other), None],
    });
    let mut html = String::with_capacity(markdown.len() + markdown.len() / 4);
    push_html(&mut html, events.flatten());
    html
}

/// The links and images around the current place, outermost first.
#[derive(Default)]
struct Links<'a>(Vec<Shown<'a>>);

/// How a link is shown.
enum Shown<'a> {
    Link,
    /// As its text, and its target behind it unless the text is the target.
    Text(Option<CowStr<'a>>),
}

impl<'a> Links<'a> {
    fn begin(&mut self, link_type: LinkType, target: CowStr<'a>) -> Option<Event<'a>> {
        let is_inside_link = self.0.iter().any(|shown| matches!(shown, Shown::Link));
        if !is_inside_link && (link_type == LinkType::Email || may_be_linked(&target)) {
            self.0.push(Shown::Link);
            return Some(Event::Start(Tag::Link { link_type, dest_url: target, title: "".into(), id: "".into() }));
        }
        self.0.push(Shown::Text((link_type != LinkType::Autolink).then_some(target)));
        None
    }

    fn end(&mut self) -> Option<Event<'a>> {
        match self.0.pop()? {
            Shown::Link => Some(Event::End(TagEnd::Link)),
            Shown::Text(target) => target.map(|target| Event::Text(format!(" ({})", shortened(&target)).into())),
        }
    }
}

/// Returns whether a page may link there. What a browser would read as another scheme does not begin like this.
fn may_be_linked(target: &str) -> bool {
    ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

fn shortened(target: &str) -> String {
    match target.char_indices().nth(TARGET_CHARS) {
        Some((end, _)) => format!("{}…", target.get(..end).unwrap_or_default()),
        None => target.to_owned(),
    }
}

/// Returns the level of a heading of a message: the page's own headings are the first two.
fn lowered(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markdown_is_rendered() {
        let html =
            prose("# One\n\n- *a*\n- `b`\n\n| c | d |\n|---|--:|\n| 1 | 2 |\n\n```rust\nlet x = \"<1>\";\n```\n");
        for part in [
            "<h3>One</h3>",
            "<li><em>a</em></li>",
            "<li><code>b</code></li>",
            "<th>c</th>",
            "<pre><code class=\"language-rust\">let x = \"&lt;1&gt;\";\n</code></pre>",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert_eq!(prose("one\ntwo"), "<p>one<br />\ntwo</p>\n");
    }

    #[test]
    fn html_is_shown_as_text() {
        assert_eq!(prose("a <b onclick=x>c</b>"), "<p>a &lt;b onclick=x&gt;c&lt;/b&gt;</p>\n");
        let block = prose("<script>\nalert(1)\n</script>\n\n<!-- hidden -->");
        assert!(block.contains("<pre><code>&lt;script&gt;\nalert(1)\n&lt;/script&gt;\n</code></pre>"), "{block}");
        assert!(block.contains("&lt;!-- hidden --&gt;"), "{block}");
    }

    #[test]
    fn only_web_pages_and_mail_addresses_are_linked() {
        assert_eq!(prose("[a](HTTPS://b.example/?c&d)"), "<p><a href=\"HTTPS://b.example/?c&amp;d\">a</a></p>\n");
        assert_eq!(prose("<ada@b.example>"), "<p><a href=\"mailto:ada@b.example\">ada@b.example</a></p>\n");
        assert_eq!(prose("[a](src/main.rs)"), "<p>a (src/main.rs)</p>\n");
        for target in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "&#106;avascript:alert(1)",
            "java&#9;script:alert(1)",
            "vbscript:x",
            "data:text/html,x",
            "file:///etc/passwd",
            "//b.example",
            "command:workbench.action.quit",
        ] {
            for html in
                [prose(&format!("[a]({target})")), prose(&format!("<{target}>")), prose(&format!("![a](<{target}>)"))]
            {
                assert!(!html.contains("<a") && !html.contains("<img"), "{target}: {html}");
            }
        }
    }

    #[test]
    fn an_image_is_a_link_and_a_link_holds_no_other() {
        assert_eq!(
            prose("![a *cat*](https://b.example/c.png)"),
            "<p><a href=\"https://b.example/c.png\">Image: a <em>cat</em></a></p>\n"
        );
        assert_eq!(
            prose("[![built](https://b.example/c.png)](https://d.example)"),
            "<p><a href=\"https://d.example\">Image: built (https://b.example/c.png)</a></p>\n"
        );
        let embedded = prose(&format!("![a](data:image/png;base64,{})", "A".repeat(10_000)));
        assert!(embedded.len() < 300, "{embedded}");
    }

    #[test]
    fn attributes_cannot_be_left() {
        for markdown in [
            "[a](<https://b.example/\" onclick=\"x>)",
            "[a](https://b.example 'c\" onclick=\"x')",
            "```a\" onclick=\"x\nb\n```",
        ] {
            assert_eq!(tags(&prose(markdown)), Ok(()), "{markdown}");
        }
    }

    #[test]
    fn deeply_nested_markup_is_rendered_and_closed() {
        for text in
            [">".repeat(20_000), "[".repeat(20_000), "*a ".repeat(20_000), "- ".repeat(5_000), "<".repeat(20_000)]
        {
            assert_eq!(tags(&prose(&text)), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn whatever_was_said_its_tags_are_ours_and_closed(
            parts in prop::collection::vec(prop::sample::select(PARTS), 0..40),
        ) {
            prop_assert_eq!(tags(&prose(&parts.concat())), Ok(()));
        }
    }

    const PARTS: &[&str] = &[
        "<script>",
        "</div>",
        "</article>",
        "<!--",
        "-->",
        "<![CDATA[",
        "<?",
        "<img src=x onerror=y>",
        "<a href='",
        "\"",
        "'",
        "&quot;",
        "&#0;",
        "&lt;",
        "[",
        "](",
        ")",
        "!",
        "<",
        ">",
        "javascript:",
        "https://a.example",
        "mailto:",
        "`",
        "```",
        "~~~",
        "\n",
        "\n\n",
        "    ",
        "\t",
        "* ",
        "1. ",
        "# ",
        "---",
        "===",
        "|",
        "|-|-|",
        "> ",
        "~~",
        "**",
        "_",
        "\\",
        "[x] ",
        "- [ ] ",
        "[^1]",
        "[a]: ",
        "word",
        "\u{fffd}",
        "é",
    ];

    /// Returns whether every tag is one that a message may have and is closed in order, and has no attribute but those
    /// expected.
    fn tags(html: &str) -> Result<(), String> {
        let mut open: Vec<&str> = Vec::new();
        let mut parts = html.split('<');
        parts.next();
        for part in parts {
            let (tag, _) = part.split_once('>').ok_or(part)?;
            if let Some(name) = tag.strip_prefix('/') {
                match open.pop() {
                    Some(opened) if opened == name => continue,
                    opened => return Err(format!("{opened:?} is closed by {name}")),
                }
            }
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            let quoted = |start: &str| {
                let inside = attributes.strip_prefix(start)?.strip_suffix('"')?;
                (!inside.contains('"')).then_some(inside)
            };
            let expected = match (name, attributes) {
                ("br" | "hr", "/") => continue,
                ("input", "disabled=\"\" type=\"checkbox\"/" | "disabled=\"\" type=\"checkbox\" checked=\"\"/") => {
                    continue;
                }
                ("a", _) => quoted("href=\"").is_some_and(may_be_linked),
                ("code", _) if !attributes.is_empty() => quoted("class=\"language-").is_some(),
                ("ol", _) if !attributes.is_empty() => quoted("start=\"").is_some(),
                ("th" | "td", _) if !attributes.is_empty() => quoted("style=\"text-align: ").is_some(),
                _ => {
                    let names = "h3 h4 h5 h6 p em strong del code pre ul ol li blockquote table thead tbody tr th td";
                    attributes.is_empty() && names.split(' ').any(|known| known == name)
                }
            };
            if !expected {
                return Err(format!("<{tag}>"));
            }
            open.push(name);
        }
        if open.is_empty() { Ok(()) } else { Err(format!("{open:?} is not closed")) }
    }
}
