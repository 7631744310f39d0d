//! An expression over an answer: whether it is what it should be.
//!
//! Unlike rules, these may come with a request. So they are short, see nothing but the answer, and go through a list
//! once at most.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::{Context, Program, Value};

/// The longest expression.
const LONGEST: usize = 4_096;
/// The longest answer that is looked at.
const LONGEST_OUTPUT: usize = 1 << 20;
/// What goes through a list.
const LOOPS: [&str; 5] = ["all", "exists", "exists_one", "map", "filter"];

/// A compiled expression (CEL) over `output`, the answer's text, and `json`, what it says if it is JSON.
#[derive(Debug)]
pub struct OutputRule {
    program: Program,
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
        let loops: usize = LOOPS.iter().map(|name| expression.matches(&format!(".{name}(")).count()).sum();
        if loops > 1 {
            return Err("it goes through lists more than once".to_owned());
        }
        let compiled = catch_unwind(AssertUnwindSafe(|| Program::compile(expression)));
        let program = compiled
            .map_err(|_panic| "it is not CEL".to_owned())?
            .map_err(|error| error.to_string().lines().next().unwrap_or("it is not CEL").to_owned())?;
        let unknown = program
            .references()
            .variables()
            .into_iter()
            .find(|name| !["output", "json"].contains(name) && !name.starts_with('@'))
            .map(ToOwned::to_owned);
        match unknown {
            // What a loop calls its entries is a name of the expression's own.
            Some(name) if loops == 0 => Err(format!("there is no `{name}`; there are `output` and `json`")),
            _ => Ok(Self { program }),
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
}
