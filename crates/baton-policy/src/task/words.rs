//! Cuts prose into words and hashes them, so that the rest compares numbers.
//!
//! Case and accents are folded (`Résumé` is `resume`), an apostrophe or hyphen ends a word, and every
//! character of a script without spaces is a word. The word lists of ours go through the same fold,
//! so both sides agree by construction.
//!
//! - Start with [`each_word`] and [`phrase`].
//! - **Never here:** copies of the text. A word is a hash and a place.

/// One word of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The hash of the whole folded word.
    pub(super) hash: u32,
    /// The hash of its first five letters.
    pub(super) stem: u32,
    /// Where it ends in the text.
    pub(super) end: usize,
    /// Its value, where it is written in digits.
    pub(super) number: Option<u32>,
}

/// The hash of no letters.
const SEED: u32 = 0x811C_9DC5;

/// How many letters make a stem.
const STEM: u32 = 5;

/// How long a word is at most; more letters begin another.
const LONGEST: u32 = 40;

/// What a byte is in a word.
const BREAK: u8 = 0;
/// The first byte of a character of Latin with accents.
const LATIN: u8 = 1;
/// The first byte of a character that is a word by itself, or a sign.
const WIDE: u8 = 2;

/// The first byte of a sign of two bytes, such as `¿` or `«`.
const SIGN: u8 = 3;

/// The folded letter or digit, or one of the classes above.
#[expect(clippy::indexing_slicing, reason = "worked out by the compiler, which would say so")]
const FOLD: [u8; 256] = {
    let mut table = [BREAK; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 255")]
        let plain = byte as u8;
        table[byte] = match plain {
            b'a'..=b'z' | b'0'..=b'9' => plain,
            b'A'..=b'Z' => plain + 32,
            0xC2 => SIGN,
            0xC3 => LATIN,
            0xE2..=0xEF => WIDE,
            0x80.. => plain,
            _ => BREAK,
        };
        byte += 1;
    }
    table
};

/// The plain letters of `À` to `ÿ`, by the low six bits of their second byte. `ß` is `s`.
const ACCENTS: &[u8; 64] = b"aaaaaaaceeeeiiiidnooooo\0ouuuuypsaaaaaaaceeeeiiiidnooooo\0ouuuuypy";

fn fold(byte: u8) -> u8 {
    FOLD.get(usize::from(byte)).copied().unwrap_or(BREAK)
}

fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
}

/// Two words, one after the other, as one hash.
pub(super) fn pair(first: u32, second: u32) -> u32 {
    (first.rotate_left(7) ^ second).wrapping_mul(0x9E37_79B1)
}

/// Calls `found` for each word of the text, and `prefix` for each beginning of three letters or more
/// of it, the whole word included, before. Stops when `found` says so.
pub(super) fn each_word(text: &[u8], mut prefix: impl FnMut(u32), mut found: impl FnMut(Word) -> bool) {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match fold(*byte) {
            BREAK => at += 1,
            SIGN => at += 2,
            WIDE => {
                at = (at + 3).min(text.len());
                let bytes = text.get(at.saturating_sub(3)..at).unwrap_or_default();
                if wide(bytes, at).is_some_and(|word| !found(word)) {
                    return;
                }
            }
            _ => {
                let word = read(text, at, &mut prefix);
                at = word.end;
                if !found(word) {
                    return;
                }
            }
        }
    }
}

/// A run of letters that begins at `at`.
fn read(text: &[u8], mut at: usize, prefix: &mut impl FnMut(u32)) -> Word {
    let mut hash = SEED;
    let mut stem = SEED;
    let mut letters = 0;
    let mut value: Option<u32> = Some(0);
    while let Some(byte) = text.get(at) {
        let mut letter = fold(*byte);
        if letter == LATIN {
            at += 1;
            let low = text.get(at).map_or(0, |second| second & 0x3F);
            letter = ACCENTS.get(usize::from(low)).copied().unwrap_or(BREAK);
        }
        if letter <= SIGN || letters == LONGEST {
            break;
        }
        at += 1;
        hash = step(hash, letter);
        letters += 1;
        if letters <= STEM {
            stem = hash;
        }
        if letters >= 3 {
            prefix(hash);
        }
        value = match letter {
            b'0'..=b'9' => value
                .and_then(|value| value.checked_mul(10))
                .and_then(|value| value.checked_add(u32::from(letter - b'0'))),
            _ => None,
        };
    }
    // A lone accent sign is no word, but the place must move on.
    Word { hash, stem, end: at, number: value.filter(|_| letters > 0) }
}

/// A character of three bytes: a word, unless it is punctuation.
fn wide(bytes: &[u8], end: usize) -> Option<Word> {
    let sign = matches!(bytes, [0xE2 | 0xEE | 0xEF, ..] | [0xE3, 0x80, _]) || bytes.len() < 3;
    let hash = bytes.iter().fold(SEED, |hash, byte| step(hash, *byte));
    (!sign).then_some(Word { hash, stem: hash, end, number: None })
}

/// A word or a phrase of ours as one hash: its words in order, up to three.
pub(super) fn phrase(text: &str) -> u32 {
    let mut hash = None;
    each_word(
        text.as_bytes(),
        |_| (),
        |word| {
            hash = Some(hash.map_or(word.hash, |before| pair(before, word.hash)));
            true
        },
    );
    hash.unwrap_or(SEED)
}
