//! An expression over an answer: whether it is what it should be.
//!
//! Unlike rules, these may come with a request. So what they can cost is bounded by their text: brackets, parts and
//! additions are counted, they see nothing but the answer, and go through a list once at most. What is done for
//! each entry looks at that entry alone, so that one pass costs no more than the answer is long.
//!
//! - **Invariant:** how long an expression takes does not depend on what its author means by it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators};
use cel::{Context, Env, Program, Value};

use crate::rule::{MAX_RECURSION, too_deep};

/// The longest expression.
const LONGEST: usize = 4_096;
/// The longest answer that is looked at.
const LONGEST_OUTPUT: usize = 1 << 20;
/// The most parts of an expression.
const MAX_PARTS: usize = 200;
/// The most parts within each other.
const MAX_DEPTH: usize = 40;
/// The most additions: each of them may make another text.
const MAX_ADDITIONS: usize = 16;
/// What an expression sees.
const SEEN: [&str; 2] = ["output", "json"];
/// What goes through a list.
const LOOPS: [&str; 5] =
    [operators::ALL, operators::EXISTS, operators::EXISTS_ONE, operators::MAP, operators::FILTER];
/// The other functions that there are.
const FUNCTIONS: [&str; 10] =
    ["has", "size", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "string"];

/// A compiled expression (CEL) over `output`, the answer's text, and `json`, what it says if it is JSON.
#[derive(Debug)]
pub struct OutputRule {
    program: Program,
}

/// What is counted while an expression is looked through.
#[derive(Default)]
struct Bounds<'e> {
    parts: usize,
    additions: usize,
    loops: usize,
    /// What the loop calls its entries, while its part of the expression is looked through.
    entry: Option<&'e str>,
}

impl<'e> Bounds<'e> {
    fn look(&mut self, expression: &'e IdedExpr, depth: usize) -> Result<(), String> {
        self.parts += 1;
        if self.parts > MAX_PARTS || depth > MAX_DEPTH {
            return Err(format!(
                "it has more than {MAX_PARTS} parts, or more than {MAX_DEPTH} within each other"
            ));
        }
        match &expression.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.look(&select.operand, depth + 1),
            Expr::List(list) => list.elements.iter().try_for_each(|one| self.look(one, depth + 1)),
            Expr::Call(call) => self.call(call, depth),
            Expr::Map(_) | Expr::Struct(_) | Expr::Comprehension(_) | Expr::Unspecified => {
                Err("it has no use for `{…}`".to_owned())
            }
        }
    }

    fn name(&self, name: &str) -> Result<(), String> {
        match self.entry {
            Some(entry) if name == entry => Ok(()),
            Some(entry) => Err(format!("what is done for each entry sees `{entry}` alone, and not `{name}`")),
            None if SEEN.contains(&name) => Ok(()),
            None => Err(format!("there is no `{name}`; there are `output` and `json`")),
        }
    }

    fn call(&mut self, call: &'e CallExpr, depth: usize) -> Result<(), String> {
        let name = call.func_name.as_str();
        if let (Some(list), true) = (&call.target, LOOPS.contains(&name)) {
            return self.pass(list, &call.args, depth);
        }
        let is_operator =
            name.contains('_') && !name.chars().any(char::is_alphanumeric) || name == operators::IN;
        if !is_operator && !FUNCTIONS.contains(&name) {
            return Err(format!("there is no function `{name}`; there are {}", FUNCTIONS.join(", ")));
        }
        self.additions += usize::from(name == operators::ADD);
        if self.additions > MAX_ADDITIONS {
            return Err(format!("it has more than {MAX_ADDITIONS} additions"));
        }
        if name == "matches" && self.entry.is_some() {
            return Err("`matches` cannot be done for each entry of a list".to_owned());
        }
        call.target
            .iter()
            .map(|target| &**target)
            .chain(&call.args)
            .try_for_each(|part| self.look(part, depth + 1))
    }

    /// A pass through a list.
    fn pass(&mut self, list: &'e IdedExpr, args: &'e [IdedExpr], depth: usize) -> Result<(), String> {
        self.loops += 1;
        if self.loops > 1 {
            return Err("it goes through lists more than once".to_owned());
        }
        let Some((IdedExpr { expr: Expr::Ident(entry), .. }, each)) = args.split_first() else {
            return Err("a pass through a list needs a name for its entries".to_owned());
        };
        self.look(list, depth + 1)?;
        self.entry = Some(entry.as_str());
        let looked = each.iter().try_for_each(|part| self.look(part, depth + 1));
        self.entry = None;
        looked
    }
}

impl OutputRule {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(expression: &str) -> Result<Self, String> {
        if expression.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        if too_deep(expression).is_some() {
            return Err("it has too many brackets within each other".to_owned());
        }
        let compiled = catch_unwind(AssertUnwindSafe(|| {
            // Once as it is written, to look through it, and once with its loops unfolded.
            let written = Env::default().with_optional_support(false);
            let parsed =
                written.parser().max_recursion_depth(MAX_RECURSION).parse_with_source_info(expression);
            let bounds = parsed.map(|(written, _)| Bounds::default().look(&written, 1));
            bounds.map(|bounds| {
                bounds.and_then(|()| Program::compile(expression).map_err(|error| first_line(&error)))
            })
        }));
        match compiled {
            Ok(Ok(program)) => program.map(|program| Self { program }),
            Ok(Err(error)) => Err(first_line(&error)),
            Err(_panic) => Err("it is not CEL".to_owned()),
        }
    }

    /// Whether it holds for an answer.
    ///
    /// # Errors
    /// Why it has no value; nothing of the answer is in it.
    pub fn holds(&self, output: &str) -> Result<bool, &'static str> {
        if output.len() > LONGEST_OUTPUT {
            return Err("the answer is too long to be looked at");
        }
        let mut context = Context::default();
        let json = serde_json::from_str(output).unwrap_or(serde_json::Value::Null);
        let added =
            context.add_variable("output", output).is_ok() && context.add_variable("json", json).is_ok();
        if !added {
            return Err("the answer cannot be looked at");
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err("it comes to something that is neither true nor false"),
            Err(_not_shown) => Err("something in it is not there, or of another kind"),
        }
    }
}

fn first_line(error: &impl ToString) -> String {
    error.to_string().lines().next().unwrap_or("it is not CEL").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expression: &str, output: &str, expected: Result<bool, &str>) {
        let said = OutputRule::compile(expression).expect("an expression").holds(output);
        assert_eq!(said, expected, "{expression} {output}");
    }

    #[test]
    fn an_expression_sees_the_text_and_its_json() {
        check("output.size() < 6", "short", Ok(true));
        check("output.contains('x')", "short", Ok(false));
        check("output.matches('^[a-z]+$')", "short", Ok(true));
        check("json.total > 3 && json.name == 'a'", r#"{"total": 4, "name": "a"}"#, Ok(true));
        check("json.items.all(item, item.ok)", r#"{"items": [{"ok": true}, {"ok": false}]}"#, Ok(false));
        check("json != null", "no json", Ok(false));
    }

    #[test]
    fn what_has_no_value_does_not_hold() {
        check("json.total > 3", "no json", Err("something in it is not there, or of another kind"));
        check("output", "x", Err("it comes to something that is neither true nor false"));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for wrong in ["output.", "", "context.user == 'x'", "json.a.all(x, json.b.all(y, x == y))"] {
            assert!(OutputRule::compile(wrong).is_err(), "{wrong}");
        }
        assert!(OutputRule::compile(&"1 + ".repeat(2_000)).is_err());
    }

    #[track_caller]
    fn refused(expression: &str, why: &str) {
        let said = OutputRule::compile(expression).expect_err(expression);
        assert!(said.contains(why), "{expression}: {said}");
    }

    #[test]
    fn one_pass_is_allowed_however_it_is_written() {
        check("json.all(x, x > 1)", "[2, 3]", Ok(true));
        check("json.filter(x, x > 2).size() == 1 && output.size() > 3", "[2, 3]", Ok(true));
        let twice = "more than once";
        refused("json.a . all (x, true) && json.b\n.all(y, true)", twice);
        refused("json.all(x, x.exists(y, y == 1))", twice);
        refused("json.map(x, x).filter(y, y > 1).size() > 0", twice);
    }

    #[test]
    fn what_is_done_for_each_entry_costs_no_more_than_the_entry() {
        refused("json.all(x, output.contains(x))", "sees `x` alone");
        refused("json.all(x, x in json)", "sees `x` alone");
        refused("json.all(x, x.matches('(a|b)*'))", "cannot be done for each entry");
        refused("json.all(output, output.size() > 1) && user == 1", "there is no `user`");
    }

    #[test]
    fn texts_cannot_be_made_to_grow_without_end() {
        refused(&format!("({}).size() > 0", vec!["output"; 18].join(" + ")), "additions");
        check(&format!("({}).size() > 0", vec!["output"; 17].join(" + ")), "x", Ok(true));
    }

    #[test]
    fn depth_and_parts_are_bounded() {
        refused(&format!("{}1{} == 1", "(".repeat(9), ")".repeat(9)), "brackets");
        refused(&format!("{}output", "-(".repeat(9)), "brackets");
        refused(&vec!["output != ''"; 100].join(" && "), "parts");
        refused(&format!("json{} == 1", ".a".repeat(60)), "within each other");
        refused("{'a': 1}.size() > 0", "no use for");
        refused("timestamp(output) > timestamp('2020-01-01T00:00:00Z')", "no function `timestamp`");
    }
}
