//! The start of a text, short enough for a line of a list.

use crate::entity::{Message, Role};
use crate::json::Text;

/// The longest preview, in characters.
const PREVIEW_CHARS: usize = 160;

/// Returns the start of the person's first message, in the form of [`Session::preview`].
///
/// [`Session::preview`]: crate::entity::Session::preview
pub fn preview<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Option<Text> {
    let said = messages.into_iter().find(|message| message.role == Some(Role::User))?;
    beginning(said.content.as_ref()?)
}

/// Returns the start of a text on one line of at most [`PREVIEW_CHARS`] characters; `None` if it has no words.
pub(crate) fn beginning(text: &Text) -> Option<Text> {
    let text = text.to_str_lossy();
    let mut line = String::new();
    let mut length = 0;
    for character in text.trim_start().chars() {
        if length == PREVIEW_CHARS {
            line.push('…');
            break;
        }
        match character {
            space if space.is_whitespace() && line.ends_with(' ') => {}
            space if space.is_whitespace() => {
                line.push(' ');
                length += 1;
            }
            other => {
                line.push(other);
                length += 1;
            }
        }
    }
    let line = line.trim_end();
    (!line.is_empty()).then(|| line.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Option<String> {
        beginning(&text.into()).map(|line| line.to_string())
    }

    #[test]
    fn white_space_becomes_single_spaces() {
        assert_eq!(line("  please\n\n\tsort  it \n").as_deref(), Some("please sort it"));
        assert_eq!(line(" \n "), None);
    }

    #[test]
    fn a_line_is_cut_by_characters_and_says_so() {
        let long = "ß".repeat(PREVIEW_CHARS);
        assert_eq!(line(&long).as_deref(), Some(&*long));
        assert_eq!(line(&format!("{long}x")).unwrap(), format!("{long}…"));
    }
}
