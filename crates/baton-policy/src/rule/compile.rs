//! Compiles the expressions of a policy, and finds every mistake in them.

use std::sync::LazyLock;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::{Env, ParseError};

use super::check::{Checked, Found, check};
use super::evaluate::{Expression, Pattern, environment};
use super::reach::{Facts, Never, both, holds};
use super::vocabulary::Member;
use super::{Rule, RuleMistake};

/// The longest expression, in bytes.
const MAX_BYTES: usize = 2000;

/// The most brackets within each other. The parser descends a dozen calls for each, and what it takes of
/// the stack is not small.
const MAX_BRACKETS: usize = 8;

/// The most expressions within each other, as far as brackets and conditions make them.
pub(crate) const MAX_RECURSION: u16 = 16;

/// Expressions that are in order.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) expressions: Vec<Expression>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) reads_task: bool,
    pub(super) reads_conversation: bool,
}

/// Compiles every expression.
pub(super) fn compile(rules: &[Rule]) -> Result<Compiled, Vec<RuleMistake>> {
    let mut compiled = Compiled::default();
    let mut mistakes = Vec::new();
    let mut earlier = Earlier::default();
    for (at, rule) in rules.iter().enumerate() {
        let source = if rule.when.trim().is_empty() { "true" } else { rule.when.as_str() };
        let found = read(source).and_then(|(checked, expression)| {
            earlier.admit(&checked, &rule.name)?;
            compiled.reads_task |= checked.members.iter().any(|member| member.reads_task());
            compiled.reads_conversation |= checked.members.contains(&Member::RunModel);
            compiled.expressions.push(Expression::new(expression, &mut compiled.patterns));
            Ok(())
        });
        mistakes.extend(found.err().into_iter().flatten().map(|found| mistake(at, source, found)));
    }
    if mistakes.is_empty() { Ok(compiled) } else { Err(mistakes) }
}

/// Reads an expression twice: with its macros as they are written, to check it, and expanded.
pub(super) fn read(source: &str) -> Result<(Checked, IdedExpr), Vec<Found>> {
    static AS_WRITTEN: LazyLock<Env> = LazyLock::new(|| Env::default().with_optional_support(false));
    if source.len() > MAX_BYTES {
        let message = format!("the expression has {} bytes, the limit is {MAX_BYTES}", source.len());
        return Err(vec![Found { at: 0, message, hint: None }]);
    }
    if let Some(at) = too_deep(source) {
        let message = format!("the limit of brackets within each other is {MAX_BRACKETS}");
        return Err(vec![Found { at, message, hint: None }]);
    }
    let (written, places) = parse(&AS_WRITTEN, source)?;
    let checked = check(&written, &places)?;
    let (expanded, _) = parse(&environment(), source)?;
    Ok((checked, expanded))
}

/// The first bracket that stands within too many others, outside of texts and remarks.
pub(crate) fn too_deep(source: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut letters = source.char_indices().peekable();
    let mut quote = None;
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => drop(letters.next()),
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '/') if letters.peek().is_some_and(|(_, next)| *next == '/') => {
                letters.by_ref().find(|(_, letter)| *letter == '\n');
            }
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            return Some(at);
        }
    }
    None
}

fn parse(environment: &Env, source: &str) -> Result<(IdedExpr, SourceInfo), Vec<Found>> {
    environment
        .parser()
        .max_recursion_depth(MAX_RECURSION)
        .parse_with_source_info(source)
        .map_err(|errors| errors.errors.iter().take(1).map(|error| syntax(error, source)).collect())
}

/// What a parser says, in our words.
fn syntax(error: &ParseError, source: &str) -> Found {
    let at = byte_of(source, error.pos);
    let quoted = error.msg.split_once(" expecting ").map_or(error.msg.as_str(), |(before, _)| before);
    let token = quoted.split_once('\'').and_then(|(_, rest)| rest.strip_suffix('\'')).map(str::trim);
    let (message, hint) = match token {
        _ if error.msg.contains("Recursion limit") => {
            return Found { at: 0, message: "the expression is nested too deeply".to_owned(), hint: None };
        }
        Some("<EOF>") => ("the expression ends too early".to_owned(), None),
        Some(token) => (
            format!("`{token}` is not expected here"),
            match token {
                "=" => Some("write `==`"),
                "and" | "&" => Some("write `&&`"),
                "or" | "|" => Some("write `||`"),
                "not" => Some("write `!`"),
                _ => None,
            },
        ),
        None => ("the expression cannot be read".to_owned(), None),
    };
    Found { at, message, hint: hint.map(str::to_owned) }
}

/// The byte at a line and a letter in it, both counted from 1.
fn byte_of(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or_default();
    let column = usize::try_from(column - 1).unwrap_or_default();
    let before: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let letters = source.get(before..).unwrap_or_default().chars();
    before + letters.take(column).map(char::len_utf8).sum::<usize>()
}

fn mistake(rule: usize, source: &str, found: Found) -> RuleMistake {
    let before = source.char_indices().take_while(|(at, _)| *at < found.at).map(|(_, letter)| letter);
    let (line, column) = before.fold((1, 1), |(line, column), letter| match letter {
        '\n' => (line + 1, 1),
        _ => (line, column + 1),
    });
    RuleMistake { rule, line, column, message: found.message, hint: found.hint }
}

/// What the rules before one have left.
#[derive(Default)]
struct Earlier {
    /// For each rule that surely matches or does not: its name, and what is known where it does not.
    unmatched: Vec<(String, Result<Facts, Never>)>,
}

impl Earlier {
    /// Takes in the next rule, unless it can never match or is never reached.
    fn admit(&mut self, rule: &Checked, name: &str) -> Result<(), Vec<Found>> {
        let node = &rule.node;
        let never = |at, message| vec![Found { at, message, hint: None }];
        let facts = holds(node, true)
            .map_err(|found| never(found.at, format!("the rule can never match: {}", found.why)))?;
        let taken = |left: &Result<Facts, Never>| match left {
            Ok(left) => both(left, &facts, 0).is_err(),
            Err(_) => true,
        };
        if let Some((name, _)) = self.unmatched.iter().find(|(_, left)| taken(left)) {
            let message = format!("the rule is never reached: `{name}` before it always matches first");
            return Err(never(node.start, message));
        }
        let left = self
            .unmatched
            .iter()
            .try_fold(facts.clone(), |left, (_, unmatched)| both(&left, unmatched.as_ref().ok()?, 0).ok());
        if left.is_none() {
            let message = "the rule is never reached: those before it always match first".to_owned();
            return Err(never(node.start, message));
        }
        if !node.may_fail {
            self.unmatched.push((name.to_owned(), holds(node, false)));
        }
        Ok(())
    }
}
