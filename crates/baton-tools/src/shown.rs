//! Makes hidden characters visible.
//!
//! A description may hold text that a person who approves it does not see and a model reads: control
//! characters, marks that turn the direction of writing, tags, fillers. They are written out as
//! `\u{202e}`. Joiners and variation selectors behind a sign that is not ASCII stay: scripts and emoji need them.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with every hidden character written out.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !has_hidden(text) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for (found, hidden) in marked(text) {
        if hidden {
            let _cannot_fail = write!(shown, "\\u{{{:x}}}", u32::from(found));
        } else {
            shown.push(found);
        }
    }
    Cow::Owned(shown)
}

/// Whether a text holds anything that [`visible`] would write out.
pub(crate) fn has_hidden(text: &str) -> bool {
    marked(text).any(|(_, hidden)| hidden)
}

/// Each character, and whether it is hidden where it stands.
fn marked(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut joinable = false;
    text.chars().map(move |found| {
        let hidden = is_hidden(found) && !(joinable && is_joiner(found));
        // One joiner, not a row of them: a row can carry a message.
        joinable = !found.is_ascii() && !is_hidden(found);
        (found, hidden)
    })
}

fn is_joiner(found: char) -> bool {
    matches!(found, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}')
}

fn is_hidden(found: char) -> bool {
    match found {
        '\n' | '\t' | '\r' => false,
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{10ffff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays() {
        check("Searches the web.\n\t- naïve, 日本語, עברית", "Searches the web.\n\t- naïve, 日本語, עברית");
    }

    #[test]
    fn marks_of_direction_and_empty_spaces_are_written_out() {
        check("a\u{202e}b\u{200b}c", "a\\u{202e}b\\u{200b}c");
        check("\u{feff}x\u{2066}", "\\u{feff}x\\u{2066}");
        check("bell\u{7}", "bell\\u{7}");
    }

    #[test]
    fn tags_that_spell_a_message_are_written_out() {
        check("ok\u{e0068}\u{e0069}", "ok\\u{e0068}\\u{e0069}");
    }

    #[test]
    fn a_joiner_stays_where_a_script_needs_it() {
        check("👩\u{200d}🚀", "👩\u{200d}🚀");
        check("❤\u{fe0f}", "❤\u{fe0f}");
        check("می\u{200c}خواهم", "می\u{200c}خواهم");
    }

    #[test]
    fn a_joiner_elsewhere_or_a_row_of_them_is_written_out() {
        check("a\u{200d}b", "a\\u{200d}b");
        check("❤\u{fe0f}\u{fe0e}\u{fe0f}", "❤\u{fe0f}\\u{fe0e}\\u{fe0f}");
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(visible(text), expected);
    }
}
