//! Finds what fits in a user's words: the tool they are about, and a name to use as an argument.

use super::Function;

/// Words that say nothing about what a tool does.
const STOP_WORDS: [&str; 24] = [
    "a", "an", "and", "are", "can", "do", "for", "get", "how", "in", "is", "it", "me", "my", "of", "on",
    "please", "the", "this", "to", "what", "with", "you", "your",
];

/// The tool that shares most words with the text; the first one of several, or when none does.
pub(super) fn fitting<'a>(tools: &'a [Function], text: &str) -> Option<&'a Function> {
    let asked = words(text);
    let score = |tool: &Function| {
        let shared = |text: &str| words(text).iter().filter(|word| asked.contains(word)).count();
        3 * shared(&tool.name) + tool.description.as_deref().map_or(0, shared)
    };
    // `max_by_key` would take the last of equals.
    tools.iter().rev().max_by_key(|tool| score(tool))
}

/// The words of a text, split at `camelCase` and `snake_case` too, in small letters, each once.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut finish = |word: &mut String| {
        let done = std::mem::take(word);
        if !done.is_empty() && !STOP_WORDS.contains(&done.as_str()) && !words.contains(&done) {
            words.push(done);
        }
    };
    let mut after_small = false;
    for letter in text.chars().take(2_000) {
        if !letter.is_alphanumeric() || (after_small && letter.is_uppercase()) {
            finish(&mut word);
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
        after_small = letter.is_lowercase();
    }
    finish(&mut word);
    words
}

/// The first run of capitalised words that does not begin a sentence: `San Francisco`.
pub(super) fn proper_name(text: &str) -> Option<&str> {
    let mut run: Option<(usize, usize)> = None;
    let mut begins_sentence = true;
    for word in text.split_whitespace() {
        let bare = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        let capital = bare.chars().next().is_some_and(char::is_uppercase) && bare.chars().count() > 1;
        let (start, end) = (offset(text, bare), offset(text, bare) + bare.len());
        run = match run {
            Some((first, _)) if capital => Some((first, end)),
            Some(done) => return text.get(done.0..done.1),
            None if capital && !begins_sentence => Some((start, end)),
            None => None,
        };
        let ends = word.ends_with(['.', '!', '?', ':']);
        if let (Some(done), true) = (run, ends || !word.ends_with(bare)) {
            return text.get(done.0..done.1);
        }
        begins_sentence = ends;
    }
    run.and_then(|done| text.get(done.0..done.1))
}

/// Where a slice of the text begins in it.
fn offset(text: &str, slice: &str) -> usize {
    slice.as_ptr().addr() - text.as_ptr().addr()
}

#[cfg(test)]
mod tests;
