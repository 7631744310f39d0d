//! Reads the lines of a text once: which are code, rows of a table, items of a list, formulas, prose.
//!
//! Only counts come out, and the places of the prose, so that words are looked for where somebody
//! speaks and not in the material they brought.
//!
//! - Start with [`scan`].
//! - **Never here:** what the text means. That is `classify`.

use std::ops::Range;

/// What the lines of a text hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Bytes that are not blank.
    pub(super) solid: u32,
    /// Lines that are not empty.
    pub(super) lines: u32,
    /// Runs of lines parted by empty ones.
    pub(super) paragraphs: u32,
    /// Fenced or unfenced runs of code.
    pub(super) code_blocks: u32,
    /// Bytes of code.
    pub(super) code_bytes: u32,
    /// Lines that only a patch has.
    pub(super) diff_lines: u32,
    /// Rows of tables.
    pub(super) table_rows: u32,
    /// Items of lists.
    pub(super) list_items: u32,
    /// Bytes of formulas.
    pub(super) math_bytes: u32,
    /// Question marks in prose.
    pub(super) questions: u32,
    /// Exclamation marks in prose.
    pub(super) exclamations: u32,
    /// Quotation marks in prose, of any form.
    pub(super) quotes: u32,
    /// Digits in prose.
    pub(super) digits: u32,
    /// Numbers in prose and tables.
    pub(super) numbers: u32,
    /// At signs and web addresses.
    pub(super) addresses: u32,
    /// Marks in prose that names of code have: backticks, underscores, points and humps inside words.
    pub(super) code_words: u32,
    /// Whether the prose begins with a small letter.
    pub(super) starts_small: bool,
    /// Whether the last line of prose ends in a question.
    pub(super) ends_in_question: bool,
    /// Whether a line of prose ends in a colon, as before material.
    pub(super) announces: bool,
    /// Where the prose is.
    pub(super) prose: Vec<Range<usize>>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Code,
    Diff,
    Row,
    Item,
    Prose,
}

/// Reads the lines.
pub(super) fn scan(text: &str) -> Scan {
    let mut scan = Scan::default();
    let mut fenced = false;
    let mut last: Option<Line> = None;
    let mut last_marks = Marks::default();
    let mut at = 0;
    for line in text.split('\n') {
        let range = at..at + line.len();
        at = range.end + 1;
        let trimmed = line.trim();
        if trimmed.is_empty() {
            last = None;
            continue;
        }
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            fenced = !fenced;
            scan.code_blocks += u32::from(fenced);
            last = Some(Line::Code);
            continue;
        }
        let marks = Marks::of(trimmed.as_bytes());
        let kind = if fenced { fenced_kind(trimmed) } else { kind(line, trimmed, &marks, last, &last_marks) };
        scan.add(kind, trimmed, range, &marks, last, fenced);
        last = Some(kind);
        last_marks = marks;
    }
    scan
}

impl Scan {
    fn add(
        &mut self,
        kind: Line,
        line: &str,
        range: Range<usize>,
        marks: &Marks,
        last: Option<Line>,
        fenced: bool,
    ) {
        let bytes = clamp(line.len());
        self.solid += bytes;
        self.lines += 1;
        self.paragraphs += u32::from(last.is_none());
        match kind {
            Line::Code | Line::Diff => {
                self.code_bytes += bytes;
                self.diff_lines += u32::from(kind == Line::Diff);
                let begins = !fenced && !matches!(last, Some(Line::Code | Line::Diff));
                self.code_blocks += u32::from(begins);
            }
            Line::Row => {
                self.table_rows += 1;
                self.numbers += marks.numbers;
            }
            Line::Item | Line::Prose => {
                self.list_items += u32::from(kind == Line::Item);
                self.questions += marks.questions;
                self.exclamations += marks.exclamations;
                self.quotes += marks.quotes;
                self.digits += marks.digits;
                self.numbers += marks.numbers;
                self.addresses += marks.addresses;
                self.math_bytes += marks.math_bytes().min(bytes);
                self.ends_in_question = matches!(line.as_bytes(), [.., b'?'] | [.., 0xEF, 0xBC, 0x9F]);
                self.announces |= line.ends_with(':');
                self.code_words += marks.code_words;
                if self.prose.is_empty() {
                    self.starts_small = line.starts_with(|first: char| first.is_ascii_lowercase());
                }
                self.prose.push(range);
            }
        }
    }
}

/// How often each sign is in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    digits: u32,
    numbers: u32,
    spaces: u32,
    commas: u32,
    semicolons: u32,
    pipes: u32,
    tabs: u32,
    operators: u32,
    brackets: u32,
    braces: u32,
    questions: u32,
    exclamations: u32,
    quotes: u32,
    addresses: u32,
    commands: u32,
    code_words: u32,
}

impl Marks {
    fn of(line: &[u8]) -> Self {
        let mut counts = [0u32; CLASSES];
        let mut numbers = 0;
        let mut code_words = 0;
        let mut schemes = 0;
        let mut last = class::SPACE;
        for (at, byte) in line.iter().enumerate() {
            let class = class_of(*byte);
            let before = std::mem::replace(&mut last, class);
            // Nearly all bytes are small letters, which nobody counts.
            if class == class::LETTER {
                continue;
            }
            if let Some(count) = counts.get_mut(usize::from(class)) {
                *count += 1;
            }
            match class {
                class::DIGIT => {
                    numbers += u32::from(!matches!(before, class::DIGIT | class::POINT | class::COMMA));
                }
                class::CODE_MARK => code_words += 1,
                class::CAPITAL => code_words += u32::from(before == class::LETTER),
                class::POINT if before == class::LETTER => {
                    let after = line.get(at + 1).map_or(class::SPACE, |byte| class_of(*byte));
                    code_words += u32::from(after == class::LETTER);
                }
                class::OTHER if before == class::POINT && line.get(at + 1) == Some(&b'/') => schemes += 1,
                _ => {}
            }
        }
        let of = |class: u8| counts.get(usize::from(class)).copied().unwrap_or(0);
        Self {
            digits: of(class::DIGIT),
            numbers,
            spaces: of(class::SPACE),
            commas: of(class::COMMA),
            semicolons: of(class::SEMICOLON),
            pipes: of(class::PIPE),
            tabs: of(class::TAB),
            operators: of(class::OPERATOR),
            brackets: of(class::BRACKET),
            braces: of(class::BRACE),
            questions: of(class::QUESTION),
            exclamations: of(class::EXCLAMATION),
            quotes: of(class::QUOTE),
            addresses: of(class::AT) + schemes,
            commands: of(class::BACKSLASH),
            code_words,
        }
    }

    /// The bytes of a line that belong to formulas: its digits and signs, if it has both, and what
    /// follows a backslash.
    fn math_bytes(&self) -> u32 {
        if self.operators == 0 && self.commands == 0 {
            return 0;
        }
        (self.operators * 2 + self.digits + self.brackets) + self.commands * 6
    }
}

/// The classes of bytes that are told apart.
mod class {
    pub(super) const OTHER: u8 = 0;
    pub(super) const LETTER: u8 = 1;
    pub(super) const DIGIT: u8 = 2;
    pub(super) const SPACE: u8 = 3;
    pub(super) const POINT: u8 = 4;
    pub(super) const SEMICOLON: u8 = 5;
    pub(super) const PIPE: u8 = 6;
    pub(super) const TAB: u8 = 7;
    pub(super) const OPERATOR: u8 = 8;
    pub(super) const BRACKET: u8 = 9;
    pub(super) const BRACE: u8 = 10;
    pub(super) const QUESTION: u8 = 11;
    pub(super) const EXCLAMATION: u8 = 12;
    pub(super) const QUOTE: u8 = 13;
    pub(super) const AT: u8 = 14;
    pub(super) const BACKSLASH: u8 = 15;
    pub(super) const COMMA: u8 = 16;
    pub(super) const CAPITAL: u8 = 17;
    pub(super) const CODE_MARK: u8 = 18;
}

const CLASSES: usize = 19;

#[expect(clippy::indexing_slicing, reason = "worked out by the compiler, which would say so")]
const CLASS: [u8; 256] = {
    let mut table = [class::OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 255")]
        let sign = byte as u8;
        table[byte] = match sign {
            b'a'..=b'z' | 0x80..=0xE1 => class::LETTER,
            b'A'..=b'Z' => class::CAPITAL,
            b'_' | b'`' => class::CODE_MARK,
            b'0'..=b'9' => class::DIGIT,
            b' ' => class::SPACE,
            b'.' | b':' => class::POINT,
            b',' => class::COMMA,
            b';' => class::SEMICOLON,
            b'|' => class::PIPE,
            b'\t' => class::TAB,
            b'+' | b'*' | b'=' | b'<' | b'>' | b'^' => class::OPERATOR,
            b'(' | b')' | b'[' | b']' => class::BRACKET,
            b'{' | b'}' => class::BRACE,
            b'?' => class::QUESTION,
            b'!' => class::EXCLAMATION,
            b'"' => class::QUOTE,
            b'@' => class::AT,
            b'\\' => class::BACKSLASH,
            _ => class::OTHER,
        };
        byte += 1;
    }
    table
};

fn class_of(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(class::OTHER)
}

/// Beginnings that only code has.
const CODE_STARTS: &[&str] = &[
    "def ",
    "fn ",
    "pub ",
    "#include",
    "const ",
    "public ",
    "private ",
    "protected ",
    "static ",
    "function ",
    "async ",
    "export ",
    "} else",
    "elif ",
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DELETE ",
    "CREATE ",
    "ALTER ",
    "<?php",
    "#!/",
    "//",
    "/*",
    "$ ",
    "func ",
    "impl ",
    "struct ",
    "enum ",
    "namespace ",
    "using ",
    "@app.",
    "@pytest",
    "@Override",
    "FROM ",
    "RUN ",
    "resource \"",
    "</",
    "<div",
    "<script",
    "<template",
    "<html",
    "<p>",
    "<ul",
    "<li",
    "#define",
];

/// Beginnings that code shares with prose: they need a sign of code beside them.
const MAYBE_STARTS: &[&str] = &[
    "import ",
    "from ",
    "class ",
    "let ",
    "var ",
    "return ",
    "if ",
    "for ",
    "while ",
    "use ",
    "try",
    "with ",
    "package ",
    "match ",
    "switch ",
    "case ",
    "else",
    "print",
    "raise ",
    "throw ",
    "await ",
    "int ",
    "void ",
    "type ",
    "interface ",
    "WHERE ",
    "JOIN ",
];

fn fenced_kind(line: &str) -> Line {
    if is_patch(line) || line.starts_with("+ ") || line.starts_with("- ") { Line::Diff } else { Line::Code }
}

fn is_patch(line: &str) -> bool {
    line.starts_with("@@ ")
        || line.starts_with("diff --git")
        || line.starts_with("+++ ")
        || (line.starts_with("--- ") && line.len() > 4)
}

fn kind(line: &str, trimmed: &str, marks: &Marks, last: Option<Line>, before: &Marks) -> Line {
    if is_patch(trimmed) || (last == Some(Line::Diff) && matches!(line.as_bytes(), [b'+' | b'-' | b' ', ..]))
    {
        return Line::Diff;
    }
    if is_row(trimmed, marks, last, before) {
        return Line::Row;
    }
    if is_code(line, trimmed, marks, last) {
        return Line::Code;
    }
    if is_item(trimmed) { Line::Item } else { Line::Prose }
}

/// A row has bars, at its start or as many as the line before, or as many separators as the row before and no room for sentences between them.
fn is_row(line: &str, marks: &Marks, last: Option<Line>, before: &Marks) -> bool {
    let bars = marks.pipes >= 2 && (line.starts_with('|') || last.is_some() && marks.pipes == before.pipes);
    if bars {
        return true;
    }
    if marks.braces > 0 || marks.brackets > 2 {
        return false;
    }
    let tight = marks.spaces <= marks.commas.max(marks.semicolons);
    let separated = marks.commas.max(marks.semicolons).max(marks.tabs) >= 1;
    let same =
        marks.commas == before.commas && marks.semicolons == before.semicolons && marks.tabs == before.tabs;
    let first = last != Some(Line::Row) && tight && marks.commas.max(marks.semicolons) >= 2;
    separated && (tight || marks.tabs >= 2) && (first || same && last.is_some() || marks.tabs >= 2)
}

fn is_code(line: &str, trimmed: &str, marks: &Marks, last: Option<Line>) -> bool {
    let signs = marks.brackets + marks.braces + marks.operators;
    let after = last == Some(Line::Code);
    let indented = line.starts_with("  ") || line.starts_with('\t');
    // One bare word: no beginning of code is that, and a text may be thousands of them.
    if signs + marks.spaces == 0 && trimmed.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return after && (indented || trimmed.len() < 4);
    }
    if CODE_STARTS.iter().any(|start| trimmed.starts_with(start)) {
        return true;
    }
    let ends = matches!(trimmed.as_bytes(), [.., b'{' | b'}'])
        || (signs > 0 && matches!(trimmed.as_bytes(), [.., b';'] | [.., b')', b':'] | [.., b'=', b'>']));
    if ends || (signs >= 2 && MAYBE_STARTS.iter().any(|start| trimmed.starts_with(start))) {
        return true;
    }
    (after && (indented || signs > 0 || trimmed.len() < 4)) || (indented && signs >= 3)
}

fn is_item(line: &str) -> bool {
    match line.as_bytes() {
        [b'-' | b'*', b' ', ..] => true,
        [b'0'..=b'9', b'.' | b')', b' ', ..] | [b'0'..=b'9', b'0'..=b'9', b'.' | b')', b' ', ..] => true,
        bytes => bytes.starts_with("•".as_bytes()),
    }
}

fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
