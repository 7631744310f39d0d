//! Reads the word lists that tell what a text is about, and looks words up in them.
//!
//! A cue is a group of words that mean the same in several languages. Up to 64 cues: what a text
//! says is one number with a bit per cue.
//!
//! - Start with [`lexicon`].
//! - **Invariant:** both the lists and the text go through the same fold in `words`.

use std::sync::LazyLock;

use super::lookup::Lookup;
use super::words::{Word, pair, phrase};
use crate::TaskKind;

/// The list as it is shipped.
const SOURCE: &str = include_str!("../../data/tasks/lexicon.txt");

/// How many prefix hashes the small filter before the table tells apart.
const FILTER: usize = 8_192;

/// The votes from which a cue is strong.
const STRONG: i32 = 26;

/// One group of words and what it speaks for before any training.
#[derive(Debug)]
pub(super) struct Cue {
    /// Its name in the list and in the weights.
    pub(super) name: &'static str,
    /// Kinds with tenths of a natural-log odd.
    pub(super) votes: Vec<(TaskKind, i32)>,
}

/// The cues and their words.
#[derive(Debug)]
pub(super) struct Lexicon {
    /// In the order of the list; the place is the bit.
    pub(super) cues: Vec<Cue>,
    /// The cues that speak for a kind by themselves, as bits.
    pub(super) strong: u64,
    words: Lookup<u64>,
    prefixes: Lookup<u64>,
    filter: Box<[u64]>,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::read(SOURCE));

/// The shipped lists.
pub(super) fn lexicon() -> &'static Lexicon {
    &LEXICON
}

impl Lexicon {
    /// Reads the form described on top of the list. A line that is not of it is left out; a test sees
    /// to it that there is none.
    fn read(source: &'static str) -> Self {
        let mut cues: Vec<Cue> = Vec::new();
        let mut words = Vec::new();
        let mut prefixes = Vec::new();
        for line in source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(cue) = line.strip_prefix('[').and_then(cue) {
                cues.push(cue);
                continue;
            }
            let bit = 1u64.checked_shl(u32::try_from(cues.len()).map_or(64, |count| count.saturating_sub(1)));
            for entry in line.split(',').map(str::trim) {
                match entry.strip_suffix('*') {
                    Some(prefix) => prefixes.push((phrase(prefix), bit.unwrap_or(0))),
                    None => words.push((phrase(entry), bit.unwrap_or(0))),
                }
            }
        }
        let mut filter = vec![0u64; FILTER / 64].into_boxed_slice();
        for (hash, _) in &prefixes {
            let (at, bit) = filter_place(*hash);
            if let Some(slot) = filter.get_mut(at) {
                *slot |= bit;
            }
        }
        let join = |first: u64, second: u64| first | second;
        let strong = cues
            .iter()
            .enumerate()
            .filter(|(_, cue)| cue.votes.iter().any(|(_, votes)| *votes >= STRONG))
            .fold(0, |bits, (at, _)| bits | 1u64 << at);
        Self {
            cues,
            strong,
            words: Lookup::new(&words, join),
            prefixes: Lookup::new(&prefixes, join),
            filter,
        }
    }

    /// The cues of every word that begins so.
    pub(super) fn of_prefix(&self, hash: u32) -> u64 {
        let (at, bit) = filter_place(hash);
        match self.filter.get(at) {
            Some(slot) if slot & bit != 0 => self.prefixes.get(hash).unwrap_or(0),
            _ => 0,
        }
    }

    /// The cues of a word, and of the phrases that end with it.
    pub(super) fn of_word(&self, word: Word, before: Option<u32>, before_that: Option<u32>) -> u64 {
        let mut cues = self.words.get(word.hash).unwrap_or(0);
        if let Some(before) = before {
            cues |= self.words.get(pair(before, word.hash)).unwrap_or(0);
            if let Some(first) = before_that {
                cues |= self.words.get(pair(pair(first, before), word.hash)).unwrap_or(0);
            }
        }
        cues
    }
}

/// `name] kind votes, kind votes`.
fn cue(line: &'static str) -> Option<Cue> {
    let (name, votes) = line.split_once(']')?;
    let votes = votes.split(',').filter_map(|vote| {
        let (kind, votes) = vote.trim().split_once(' ')?;
        Some((kind.parse().ok()?, votes.parse().ok()?))
    });
    Some(Cue { name, votes: votes.collect() })
}

fn filter_place(hash: u32) -> (usize, u64) {
    let place = usize::try_from(hash ^ (hash >> 13)).unwrap_or(0) % FILTER;
    (place / 64, 1 << (place % 64))
}

#[cfg(test)]
mod tests;
