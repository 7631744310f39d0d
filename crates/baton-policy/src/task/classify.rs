//! Scores the kinds of task: an integer weight per sign seen, summed, and the best one wins.
//!
//! Three sorts of signs: the shape of the request, the cues of the lexicon (anywhere, and again where
//! people say what they want: at the start and at the end), and hashed word stems, single and in
//! pairs. The weights are trained from the labelled set and shipped as one text file.
//!
//! - Start with [`Evidence::collect`] and [`Model::decide`].
//! - **Invariant:** integers only; the same text has the same scores on every machine.
//! - **Never here:** the text. Only what `scan` and `words` made of it.

use std::sync::LazyLock;

use super::Shape;
use super::language::Tally;
use super::lexicon::{Cue, lexicon};
use super::lookup::Lookup;
use super::scan::Scan;
use super::words::{Word, each_word, pair};
use crate::TaskKind;

/// The weights as they are shipped.
const SOURCE: &str = include_str!("../../data/tasks/kinds.weights");

/// How many words from the front of the prose are read.
const HEAD: usize = 160;

/// How many bytes from the end of the prose are read when the front did not reach it.
const TAIL: usize = 400;

/// How many words at either end count as the place where the wish is said.
const LEAD: usize = 14;

/// What tells a stem of the wish from the same stem anywhere.
const WISH: u32 = 0x5EED_0001;

/// Kinds, padded so that a row of weights is a whole number of vector registers.
pub(super) const LANES: usize = 16;

/// How many units of score are one natural-log odd.
pub(super) const UNIT: i32 = 32;

/// Below this confidence, in thousandths, a kind is not named.
const LEAST: u32 = 200;

/// How much all stems of a text weigh together: this over the root of their number.
pub(super) const STEMS: i64 = 1;

/// What a text shows, as places in the model.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Signs of shape, a bit each in the order of [`SIGNS`].
    pub(super) signs: u64,
    /// Cues anywhere.
    pub(super) cues: u64,
    /// Cues where the wish is said.
    pub(super) lead: u64,
    /// The cues of the first word that speaks for a kind by itself.
    pub(super) first: u64,
    /// Hashes of stems and of pairs of them, as often as they are there.
    pub(super) stems: Vec<u32>,
    /// The words read, in order.
    pub(super) words: Vec<Word>,
    /// The languages of the text, the likeliest first.
    pub(super) languages: Vec<&'static str>,
}

/// The signs of shape, by name. The order is that of the bits.
pub(super) const SIGNS: [&str; 55] = [
    "always",
    "tools",
    "structured_output",
    "images",
    "later_message",
    "code",
    "mostly_code",
    "fenced_or_more_code",
    "patch",
    "table",
    "long_table",
    "math",
    "much_math",
    "question_end",
    "question",
    "questions",
    "exclamation",
    "quotes",
    "numbers",
    "many_numbers",
    "addresses",
    "list",
    "announces",
    "words_to_8",
    "words_to_16",
    "words_to_32",
    "words_to_64",
    "words_over_64",
    "words_over_120",
    "one_paragraph",
    "code_and_review",
    "code_no_review",
    "review_no_code",
    "tools_and_action",
    "action_no_tools",
    "code_and_question",
    "no_cue",
    "short_question",
    "creative_and_write",
    "material",
    "code_words",
    "many_code_words",
    "numbers_and_data",
    "code_and_codewords",
    "starts_small",
    "two_languages",
    "numbers_and_question",
    "code_and_summarise",
    "code_and_translate",
    "other_language",
    "language_and_quotes",
    "short_and_language",
    "code_and_extract",
    "tools_no_action",
    "wish_and_material",
];

impl Evidence {
    /// Reads the words of the prose and puts them beside the shape.
    pub(super) fn collect(text: &str, scan: &Scan, shape: &Shape) -> Self {
        let mut reader = Reader::new();
        let all: usize = scan.prose.iter().map(|range| range.len() + 1).sum();
        let mut from = 0;
        let mut tail_from = None;
        for range in &scan.prose {
            let line = text.as_bytes().get(range.clone()).unwrap_or_default();
            let skip = match tail_from {
                None if reader.words.len() < HEAD => 0,
                // The front is full: go on where the last bytes of the prose begin.
                None => {
                    tail_from = Some(all.saturating_sub(TAIL));
                    all.saturating_sub(TAIL).saturating_sub(from)
                }
                Some(tail_from) => tail_from.saturating_sub(from),
            };
            if let Some(rest) = line.get(skip..) {
                let limit = if tail_from.is_none() { HEAD } else { usize::MAX };
                reader.read(rest, range.start + skip, limit);
            }
            from += line.len() + 1;
        }
        reader.finish(text, scan, shape)
    }
}

/// Words on their way to evidence.
struct Reader {
    words: Vec<Word>,
    /// The cues of each word, in step with it.
    cues: Vec<u64>,
    tally: Tally,
}

impl Reader {
    fn new() -> Self {
        let room = HEAD + TAIL / 4;
        Self { words: Vec::with_capacity(room), cues: Vec::with_capacity(room), tally: Tally::new() }
    }

    fn read(&mut self, line: &[u8], offset: usize, limit: usize) {
        let lexicon = lexicon();
        let mut of_prefixes = 0;
        let prefixes = std::cell::Cell::new(0u64);
        let (mut before, mut before_that) = (None, None);
        each_word(
            line,
            |prefix| prefixes.set(prefixes.get() | lexicon.of_prefix(prefix)),
            |word| {
                of_prefixes |= prefixes.take();
                let cues = of_prefixes | lexicon.of_word(word, before, before_that);
                of_prefixes = 0;
                self.tally.add(word.hash);
                self.words.push(Word { end: word.end + offset, ..word });
                self.cues.push(cues);
                before_that = before;
                before = Some(word.hash);
                self.words.len() < limit
            },
        );
    }

    fn finish(self, text: &str, scan: &Scan, shape: &Shape) -> Evidence {
        let join = |cues: &[u64]| cues.iter().fold(0, |all, word| all | word);
        let cues = join(&self.cues);
        let (opening, closing) = wish(text, scan, &self.words);
        let lead = join(self.cues.get(..opening).unwrap_or_default())
            | join(self.cues.get(closing..).unwrap_or_default());
        let strong = lexicon().strong;
        let first = self.cues.iter().map(|cues| cues & strong).find(|cues| *cues != 0).unwrap_or(0);
        let mut stems: Vec<u32> = self.words.iter().map(|word| word.stem).collect();
        stems.extend(self.words.windows(2).filter_map(|words| match words {
            [first, second] => Some(pair(first.stem, second.stem)),
            _ => None,
        }));
        let spoken = self.words.iter().take(opening).chain(self.words.iter().skip(closing.max(opening)));
        stems.extend(spoken.map(|word| pair(WISH, word.stem)));
        let languages = self.tally.languages(text, &scan.prose);
        let (mut wish, mut rest) = (Tally::new(), Tally::new());
        for (at, word) in self.words.iter().enumerate() {
            if at < opening || at >= closing { wish.add(word.hash) } else { rest.add(word.hash) }
        }
        let voices = Voices {
            languages: languages.len(),
            differ: wish.differs(&rest),
            material: opening < LEAD && self.words.len() > opening + 16,
        };
        let signs = signs(scan, shape, cues, self.words.len(), voices);
        Evidence { signs, cues, lead, first, stems, words: self.words, languages }
    }
}

/// Where people say what they want: the words before the first place, and those from the second on.
///
/// That is the first sentence, up to a colon, a quotation or the end of a line, and what comes after
/// the last line end or quotation. What is between is mostly material.
fn wish(text: &str, scan: &Scan, words: &[Word]) -> (usize, usize) {
    let bytes = text.as_bytes();
    let ends = |(count, word): (usize, &Word)| {
        let after = |by: usize| bytes.get(word.end + by).copied().unwrap_or(b'\n');
        match after(0) {
            b':' | b'\n' | b'"' => true,
            b' ' => matches!(after(1), b'"' | b'\n') || (after(1), after(2)) == (0xC2, 0xAB),
            b'.' | b'!' | b'?' => after(1) == b'\n' || (count >= 3 && after(1) == b' '),
            _ => false,
        }
    };
    let opening = words.iter().enumerate().position(ends).map_or(words.len(), |at| at + 1).min(LEAD);
    let last = scan.prose.last().cloned().unwrap_or_default();
    let line = bytes.get(last.clone()).unwrap_or_default();
    let quoted = line.iter().rposition(|byte| matches!(byte, b'"' | 0xBB)).map_or(0, |at| at + 1);
    let closing = words.partition_point(|word| word.end <= last.start + quoted);
    let alone = last.start == 0 && quoted == 0;
    let closing = if alone || words.len() - closing > LEAD { words.len() } else { closing };
    (opening, closing)
}

/// Who speaks in the text, and in what languages.
#[derive(Clone, Copy)]
struct Voices {
    /// How many.
    languages: usize,
    /// Whether the wish is in another one than the rest.
    differ: bool,
    /// Whether a short wish stands before much else.
    material: bool,
}

/// The signs of shape as bits, in the order of [`SIGNS`].
fn signs(scan: &Scan, shape: &Shape, cues: u64, words: usize, voices: Voices) -> u64 {
    let has = |name: &str| {
        let named = |cue: &Cue| cue.name.strip_suffix("_hint").unwrap_or(cue.name) == name;
        lexicon().cues.iter().enumerate().any(|(at, cue)| cues >> at & 1 == 1 && named(cue))
    };
    let code = scan.code_bytes > 0;
    let codeish = code || scan.code_words >= 2;
    let tools = shape.tools > 0;
    let (review, action) = (has("review"), has("action"));
    let asks = scan.questions > 0;
    let list = [
        true,
        tools,
        shape.structured_output,
        shape.images,
        shape.messages > 2,
        code,
        scan.code_bytes * 2 > scan.solid,
        scan.code_bytes > 300,
        scan.diff_lines > 0,
        scan.table_rows >= 2,
        scan.table_rows >= 6,
        scan.math_bytes * 40 > scan.solid,
        scan.math_bytes * 8 > scan.solid,
        scan.ends_in_question,
        asks,
        scan.questions >= 2,
        scan.exclamations > 0,
        scan.quotes >= 2,
        scan.numbers >= 3,
        scan.numbers >= 10,
        scan.addresses > 0,
        scan.list_items >= 2,
        scan.announces,
        words <= 8,
        words > 8 && words <= 16,
        words > 16 && words <= 32,
        words > 32 && words <= 64,
        words > 64,
        words > 120,
        scan.paragraphs <= 1,
        codeish && review,
        codeish && !review,
        review && !codeish,
        tools && action,
        action && !tools,
        codeish && asks,
        cues == 0,
        asks && words <= 14,
        has("creative") && has("write"),
        scan.paragraphs >= 2 && words > 40,
        scan.code_words > 0,
        scan.code_words >= 4,
        scan.numbers >= 6 && has("data"),
        codeish && has("codewords"),
        scan.starts_small,
        voices.languages >= 2,
        scan.numbers >= 3 && asks,
        codeish && has("summarise"),
        codeish && has("translate"),
        voices.differ,
        has("language_name") && scan.quotes > 0,
        has("language_name") && words <= 16,
        codeish && has("extract"),
        tools && !action,
        voices.material,
    ];
    list.iter().enumerate().fold(0, |bits, (at, sign)| bits | u64::from(*sign) << at)
}

/// The weights.
#[derive(Debug)]
pub(super) struct Model {
    signs: Vec<[i32; LANES]>,
    cues: Vec<[i32; LANES]>,
    lead: Vec<[i32; LANES]>,
    first: Vec<[i32; LANES]>,
    stems: Lookup<u32>,
    rows: Vec<[i32; LANES]>,
}

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::read(SOURCE));

/// The shipped weights.
pub(super) fn model() -> &'static Model {
    &MODEL
}

impl Model {
    /// Reads lines of `sort name weight weight ...`, a weight per kind in the order of their names.
    pub(super) fn read(source: &str) -> Self {
        let none = [0; LANES];
        let cues = lexicon().cues.len();
        let mut signs = vec![none; SIGNS.len()];
        let (mut all, mut lead, mut first) = (vec![none; cues], vec![none; cues], vec![none; cues]);
        let (mut hashes, mut rows) = (Vec::new(), Vec::new());
        for line in source.lines() {
            let mut fields = line.split(' ');
            let (Some(sort), Some(name)) = (fields.next(), fields.next()) else { continue };
            let mut row = none;
            for (weight, field) in row.iter_mut().zip(fields) {
                *weight = field.parse().unwrap_or(0);
            }
            let cue = || lexicon().cues.iter().position(|cue| cue.name == name);
            let place = match sort {
                "sign" => SIGNS.iter().position(|sign| *sign == name).and_then(|at| signs.get_mut(at)),
                "cue" => cue().and_then(|at| all.get_mut(at)),
                "lead" => cue().and_then(|at| lead.get_mut(at)),
                "first" => cue().and_then(|at| first.get_mut(at)),
                "stem" => u32::from_str_radix(name, 16).ok().and_then(|hash| {
                    hashes.push((hash, u32::try_from(rows.len()).unwrap_or(0)));
                    rows.push(none);
                    rows.last_mut()
                }),
                _ => None,
            };
            if let Some(place) = place {
                *place = row;
            }
        }
        Self { signs, cues: all, lead, first, stems: Lookup::new(&hashes, |_, last| last), rows }
    }

    /// The score of each kind, in [`UNIT`]s.
    fn scores(&self, evidence: &Evidence, known: &[u32]) -> [i32; LANES] {
        let mut scores = [0; LANES];
        add_bits(&mut scores, &self.signs, evidence.signs);
        add_bits(&mut scores, &self.cues, evidence.cues);
        add_bits(&mut scores, &self.lead, evidence.lead);
        add_bits(&mut scores, &self.first, evidence.first);
        let mut stems = [0; LANES];
        for row in known {
            if let Some(row) = usize::try_from(*row).ok().and_then(|row| self.rows.get(row)) {
                add(&mut stems, row);
            }
        }
        let (over, under) = stem_share(evidence.stems.len());
        for (score, stem) in scores.iter_mut().zip(stems) {
            *score += i32::try_from(i64::from(stem) * over / under).unwrap_or(0);
        }
        scores
    }

    /// The likeliest kind with its confidence in thousandths; none below the one that counts.
    pub(super) fn decide(&self, evidence: &Evidence) -> (Option<TaskKind>, u32) {
        let mut known: Vec<u32> = evidence.stems.iter().filter_map(|stem| self.stems.get(*stem)).collect();
        known.sort_unstable();
        known.dedup();
        // Nothing but a shape: whatever the scores say, it would be a guess.
        if evidence.cues == 0 && known.is_empty() {
            return (None, 0);
        }
        let scores = self.scores(evidence, &known);
        let ranked = TaskKind::ALL.into_iter().zip(scores);
        let Some((kind, best)) =
            ranked.clone().max_by_key(|(kind, score)| (*score, std::cmp::Reverse(*kind)))
        else {
            return (None, 0);
        };
        let sum: u64 = ranked.map(|(_, score)| exp(best.abs_diff(score))).sum();
        let confidence = u32::try_from(1_000 * ONE / sum.max(1)).unwrap_or(0);
        (Some(kind).filter(|_| confidence >= LEAST), confidence)
    }
}

/// The factor of the stems as a fraction of whole numbers.
pub(super) fn stem_share(stems: usize) -> (i64, i64) {
    let count = u64::try_from(stems).unwrap_or(0).max(4);
    (STEMS * 16, i64::try_from((count * 256).isqrt()).unwrap_or(1))
}

fn add_bits(scores: &mut [i32; LANES], rows: &[[i32; LANES]], mut bits: u64) {
    while bits != 0 {
        let at = usize::try_from(bits.trailing_zeros()).unwrap_or(0);
        bits &= bits - 1;
        if let Some(row) = rows.get(at) {
            add(scores, row);
        }
    }
}

fn add(sum: &mut [i32; LANES], row: &[i32; LANES]) {
    for (sum, weight) in sum.iter_mut().zip(row) {
        *sum += weight;
    }
}

/// One, in the fixed point of [`exp`].
const ONE: u64 = 1 << 24;

/// `e` to the minus 1, 2, 4 ... 256 units, in the fixed point of [`ONE`].
const POWERS: [u64; 9] =
    [16_261_035, 15_760_736, 14_805_841, 13_066_109, 10_175_896, 6_171_993, 2_270_549, 307_285, 5_628];

/// `e` to the minus `units`.
fn exp(units: u32) -> u64 {
    if units >= 512 {
        return 0;
    }
    POWERS.iter().enumerate().fold(
        ONE,
        |value, (bit, power)| {
            if units >> bit & 1 == 1 { (value * power) >> 24 } else { value }
        },
    )
}
