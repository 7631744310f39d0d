//! Turns a text into the features that the scorer weighs: hashed words and pairs, and its shape.
//!
//! The hash is written out here, because a file of weights is only worth something together with
//! the exact hash that it was trained with.
//!
//! - Start with [`TextFeatures::of`].
//! - **Invariant:** the same text gives the same features for ever; whoever changes one bit of this
//!   raises [`FEATURES_REVISION`], and files of another revision are refused.
//! - **Never here:** weights, models, kinds of task.

/// The revision of everything in this file.
pub const FEATURES_REVISION: u32 = 1;

/// How many rows of weights the shapes take, after those of the buckets.
pub const SHAPE_ROWS: usize = LENGTH_ROWS as usize + STEPS as usize * (SHAPES - 1);

/// How much of a text is read, in bytes.
const READ: usize = 8 * 1024;

/// Longer runs of digits count as one of this length.
const LONGEST_NUMBER: u32 = 4;

/// How many shape features every text has.
const SHAPES: usize = 8;

/// The rows of the first shape, the length, and those of each other one.
const LENGTH_ROWS: u16 = 16;
const STEPS: u16 = 8;

/// A share of the text, in thousandths, is told apart at these.
const SHARE_STEPS: [usize; 7] = [1, 10, 30, 60, 120, 250, 500];

/// What one text is made of. Holds numbers only, and no way back to the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFeatures {
    buckets: Vec<u16>,
    shapes: [u16; SHAPES],
}

impl TextFeatures {
    /// Reads the first 8 KB of the text. `bits` says how many buckets there are: 2 to that power, at
    /// most 2 to the 16th.
    #[must_use]
    pub fn of(text: &str, bits: u8) -> Self {
        let bytes = text.as_bytes();
        let bytes = bytes.get(..READ).unwrap_or(bytes);
        let mut scan = Scan::new(bits);
        for byte in bytes {
            scan.take(*byte);
        }
        scan.end_run();
        let shapes = scan.tally.shapes(bytes);
        Self { buckets: scan.words.buckets, shapes }
    }

    /// The buckets that the words and pairs of the text fall into, each once.
    #[must_use]
    pub fn buckets(&self) -> &[u16] {
        &self.buckets
    }

    /// The shapes of the text, each as the number of its row among the rows of shapes.
    #[must_use]
    pub const fn shapes(&self) -> &[u16] {
        &self.shapes
    }
}

/// What a byte is to the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Digit,
    Symbol,
}

const fn class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Letter,
        b'0'..=b'9' => Class::Digit,
        0..=b' ' | 0x7f => Class::Space,
        _ => Class::Symbol,
    }
}

/// One walk over the bytes of a text.
struct Scan {
    run: Class,
    token: u32,
    run_length: u32,
    words: Words,
    tally: Tally,
}

impl Scan {
    fn new(bits: u8) -> Self {
        Self {
            run: Class::Space,
            token: BASIS,
            run_length: 0,
            words: Words::new(bits),
            tally: Tally::default(),
        }
    }

    fn take(&mut self, byte: u8) {
        let class = class(byte);
        if class != self.run || class == Class::Symbol {
            self.end_run();
            self.run = class;
        }
        self.run_length += 1;
        match class {
            Class::Space => self.tally.lines += usize::from(byte == b'\n'),
            Class::Letter => {
                self.token = step(self.token, byte.to_ascii_lowercase());
                self.tally.letters += 1;
                self.tally.capitals += usize::from(byte.is_ascii_uppercase());
                self.tally.foreign += usize::from(!byte.is_ascii());
            }
            Class::Digit => {
                self.tally.digits += 1;
                // The figures of a sum say nothing about who can do it; how long they are may.
                if self.run_length <= LONGEST_NUMBER {
                    self.token = step(self.token, b'0');
                }
            }
            Class::Symbol => {
                self.tally.symbols += 1;
                self.token = step(self.token, byte);
            }
        }
    }

    fn end_run(&mut self) {
        if self.run != Class::Space {
            self.tally.words += usize::from(self.run == Class::Letter);
            self.words.add(self.token);
        }
        self.token = BASIS;
        self.run_length = 0;
    }
}

/// The buckets of single words and of pairs, each taken once.
struct Words {
    shift: u32,
    previous: u32,
    buckets: Vec<u16>,
    seen: Vec<u64>,
}

impl Words {
    fn new(bits: u8) -> Self {
        let bits = u32::from(bits.clamp(6, 16));
        Self {
            shift: 32 - bits,
            previous: 0,
            buckets: Vec::with_capacity(512),
            seen: vec![0; 1 << (bits - 6)],
        }
    }

    fn add(&mut self, token: u32) {
        self.set(token);
        self.set(self.previous.wrapping_mul(0x9e37_79b1).rotate_left(7) ^ token);
        self.previous = token;
    }

    fn set(&mut self, hash: u32) {
        let bucket = mix(hash) >> self.shift;
        let Ok(bucket) = u16::try_from(bucket) else { return };
        let Some(word) = self.seen.get_mut(usize::from(bucket >> 6)) else { return };
        let bit = 1_u64 << (bucket & 63);
        if *word & bit == 0 {
            *word |= bit;
            self.buckets.push(bucket);
        }
    }
}

/// FNV-1a over 32 bits.
const BASIS: u32 = 0x811c_9dc5;

const fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

/// The finish of `MurmurHash3`: spreads every bit over the high ones, which choose the bucket.
const fn mix(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// What was counted on the way.
#[derive(Default)]
struct Tally {
    lines: usize,
    letters: usize,
    capitals: usize,
    foreign: usize,
    digits: usize,
    symbols: usize,
    words: usize,
}

impl Tally {
    /// One row for each shape, so that a weight can bend where a straight line could not.
    fn shapes(&self, bytes: &[u8]) -> [u16; SHAPES] {
        let all = bytes.len();
        let length = log2(all, LENGTH_ROWS - 1);
        let steps = [
            log2(self.lines, STEPS - 1),
            share(self.digits, all),
            share(self.symbols, all),
            share(self.capitals, all),
            share(self.foreign, all),
            u16::try_from(self.letters / self.words.max(1)).map_or(STEPS - 1, |mean| mean.min(STEPS - 1)),
            u16::from(bytes.trim_ascii_end().ends_with(b"?")),
        ];
        let mut shapes = [length; SHAPES];
        let first_rows = (LENGTH_ROWS..).step_by(usize::from(STEPS));
        for ((shape, first), step) in shapes.iter_mut().skip(1).zip(first_rows).zip(steps) {
            *shape = first + step;
        }
        shapes
    }
}

/// 0 for 0, 1 for 1, 2 for 2 and 3, and so on, at most `most`.
fn log2(count: usize, most: u16) -> u16 {
    let log = count.checked_ilog2().map_or(0, |log| log + 1);
    u16::try_from(log).map_or(most, |log| log.min(most))
}

/// Which step the share of a part in the whole has reached.
fn share(part: usize, all: usize) -> u16 {
    let thousandths = part * 1000 / all.max(1);
    let reached = SHARE_STEPS.iter().filter(|least| thousandths >= **least).count();
    u16::try_from(reached).unwrap_or(0)
}

#[cfg(test)]
mod tests;
