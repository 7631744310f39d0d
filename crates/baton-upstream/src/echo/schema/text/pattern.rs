//! Makes a string that matches a regular expression of the kind that schemas use.
//!
//! Known are literals, classes, `\d \w \s` and their like, groups, alternatives, quantifiers and
//! anchors. For anything else (look-around, back references, properties) there is no answer, and
//! the caller goes on without the pattern.

use std::iter::Peekable;
use std::str::Chars;

use super::super::number::Limits;
use super::LONGEST;

/// How deep groups may be nested.
const DEPTH: usize = 32;

/// A string that matches, padded where a quantifier leaves room for a minimum length.
pub(super) fn example(pattern: &str, limits: Limits) -> Option<String> {
    let mut parser = Parser { rest: pattern.chars().peekable(), depth: 0 };
    let node = parser.alternatives()?;
    if parser.rest.next().is_some() {
        return None;
    }
    let least = limits.least.min(LONGEST);
    let length = |extra| node.write(extra).chars().count();
    let shortest = length(0);
    let growth = length(1) - shortest;
    if shortest >= least || growth == 0 {
        return Some(node.write(0));
    }
    // Some quantifiers reach their most and others go on, so the last steps are taken one by one.
    let mut extra = (least - shortest) / growth;
    let mut made = node.write(extra);
    while made.chars().count() < least {
        extra += 1;
        let longer = node.write(extra);
        if longer.len() == made.len() {
            break;
        }
        made = longer;
    }
    Some(made)
}

enum Node {
    Text(char),
    Sequence(Vec<Self>),
    Repeat { node: Box<Self>, least: usize, most: usize },
}

impl Node {
    /// The string, with every quantifier at its least plus `extra`, as far as it allows.
    fn write(&self, extra: usize) -> String {
        let mut out = String::new();
        self.write_to(&mut out, extra);
        out
    }

    fn write_to(&self, out: &mut String, extra: usize) {
        match self {
            Self::Text(letter) => out.push(*letter),
            Self::Sequence(nodes) => nodes.iter().for_each(|node| node.write_to(out, extra)),
            Self::Repeat { node, least, most } => {
                for _ in 0..least.saturating_add(extra).min(*most) {
                    let before = out.len();
                    if before >= LONGEST {
                        return;
                    }
                    node.write_to(out, extra);
                    if out.len() == before {
                        return;
                    }
                }
            }
        }
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    depth: usize,
}

impl Parser<'_> {
    /// `a|b|c`: the first is as good as any.
    fn alternatives(&mut self) -> Option<Node> {
        let first = self.sequence()?;
        while self.rest.next_if_eq(&'|').is_some() {
            self.sequence()?;
        }
        Some(first)
    }

    fn sequence(&mut self) -> Option<Node> {
        let mut nodes = Vec::new();
        while let Some(letter) = self.rest.next_if(|letter| !matches!(letter, '|' | ')')) {
            let node = match letter {
                '^' | '$' => continue,
                '(' => self.group()?,
                '[' => Node::Text(self.class()?),
                '.' => Node::Text('a'),
                '\\' => match self.rest.next()? {
                    'b' | 'A' | 'z' | 'Z' => continue,
                    escaped => Node::Text(escape(escaped)?),
                },
                '*' | '+' | '?' => return None,
                plain => Node::Text(plain),
            };
            nodes.push(self.quantified(node)?);
        }
        Some(Node::Sequence(nodes))
    }

    fn group(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > DEPTH {
            return None;
        }
        if self.rest.next_if_eq(&'?').is_some() {
            match self.rest.next()? {
                ':' => {}
                '<' if !matches!(self.rest.peek(), Some('=' | '!')) => while self.rest.next()? != '>' {},
                _ => return None,
            }
        }
        let node = self.alternatives()?;
        self.rest.next_if_eq(&')')?;
        self.depth -= 1;
        Some(node)
    }

    fn quantified(&mut self, node: Node) -> Option<Node> {
        let (least, most) = match self.rest.peek() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            Some('{') => {
                self.rest.next();
                return self.counted(node);
            }
            _ => return Some(node),
        };
        self.rest.next();
        self.rest.next_if_eq(&'?');
        Some(Node::Repeat { node: Box::new(node), least, most })
    }

    /// What follows `{`: `3}`, `3,}` or `3,5}`.
    fn counted(&mut self, node: Node) -> Option<Node> {
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '}' => break,
                letter => text.push(letter),
            }
        }
        self.rest.next_if_eq(&'?');
        let (least, most) = match text.split_once(',') {
            None => (text.parse().ok()?, text.parse().ok()?),
            Some((least, "")) => (least.parse().ok()?, usize::MAX),
            Some((least, most)) => (least.parse().ok()?, most.parse().ok()?),
        };
        Some(Node::Repeat { node: Box::new(node), least, most })
    }

    /// What follows `[`: a letter of the class.
    fn class(&mut self) -> Option<char> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut ranges: Vec<(char, char)> = Vec::new();
        loop {
            let first = match self.rest.next()? {
                ']' if !ranges.is_empty() => break,
                '\\' => {
                    let name = self.rest.next()?;
                    if let Some(known) = shorthand(name) {
                        ranges.extend(known);
                        continue;
                    }
                    escape(name)?
                }
                letter => letter,
            };
            let mut ahead = self.rest.clone();
            if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
                self.rest = ahead;
                let last = match self.rest.next()? {
                    '\\' => escape(self.rest.next()?)?,
                    letter => letter,
                };
                ranges.push((first, last));
            } else {
                ranges.push((first, first));
            }
        }
        if negated {
            let free = |letter: &char| !ranges.iter().any(|(first, last)| (first..=last).contains(&letter));
            ('a'..='z').chain('0'..='9').chain('A'..='Z').chain(' '..='~').find(free)
        } else {
            ranges.first().map(|(first, _)| *first)
        }
    }
}

/// A letter that an escape stands for.
fn escape(name: char) -> Option<char> {
    match name {
        'd' => Some('0'),
        'w' | 'D' | 'S' => Some('a'),
        's' | 'W' => Some(' '),
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        letter if letter.is_ascii_alphanumeric() => None,
        letter => Some(letter),
    }
}

/// The ranges of an escape inside a class.
fn shorthand(name: char) -> Option<Vec<(char, char)>> {
    match name {
        'd' => Some(vec![('0', '9')]),
        'w' => Some(vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')]),
        's' => Some(vec![(' ', ' '), ('\t', '\r')]),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
