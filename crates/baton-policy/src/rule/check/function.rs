//! Checks the calls of functions and macros: which there are, and what they take.

use cel::common::ast::{Expr, IdedExpr};
use regex::Regex;

use super::{Checker, Node, Shape};
use crate::rule::domain::Constant;
use crate::rule::evaluate::pattern;
use crate::rule::vocabulary::{Kind, ROOTS, RUN, nearest};

/// The macros that look at each entry of a list.
pub(super) const MACROS: [&str; 5] = ["exists", "all", "exists_one", "map", "filter"];

/// The functions that are called on a value.
const METHODS: [&str; 5] = ["startsWith", "endsWith", "contains", "matches", "size"];

/// The functions that are called with a value.
const FUNCTIONS: [&str; 4] = ["has", "size", "int", "double"];

impl<'e> Checker<'e> {
    pub(super) fn function(&mut self, name: &str, args: &'e [IdedExpr], bracket: usize) -> Node {
        let start = self.name_at(bracket, name);
        match (name, args) {
            ("has", [one]) => self.has(one, start),
            ("size", [one]) => {
                let one = self.node(one);
                self.size(&one, start)
            }
            ("int" | "double", [one]) => {
                let one = self.node(one);
                if !one.kind.is_number() {
                    return self.mistake(
                        one.start,
                        format!("`{name}` needs a number, this is {}", one.kind),
                        None,
                    );
                }
                Node::other(start, if name == "int" { Kind::Int } else { Kind::Double })
            }
            _ if FUNCTIONS.contains(&name) => self.mistake(start, format!("`{name}` takes one value"), None),
            _ => self.unknown_function(name, start),
        }
    }

    fn unknown_function(&mut self, name: &str, at: usize) -> Node {
        let methods = METHODS.into_iter().chain(MACROS);
        let hint = match nearest(name, FUNCTIONS) {
            Some(known) => format!("write `{known}(…)`"),
            None => match nearest(name, methods.clone()) {
                Some(known) => format!("write `value.{known}(…)`"),
                None => format!(
                    "there are {}",
                    FUNCTIONS.into_iter().chain(methods).collect::<Vec<_>>().join(", ")
                ),
            },
        };
        self.mistake(at, format!("unknown function `{name}`"), Some(hint))
    }

    fn has(&mut self, one: &'e IdedExpr, start: usize) -> Node {
        if !matches!(one.expr, Expr::Select(_)) {
            let at = self.at(one);
            return self.mistake(at, "`has` needs a member", Some("write `has(context.name)`".to_owned()));
        }
        let one = self.node(one);
        let shape = Shape::Has(Box::new(one));
        Node { shape, may_fail: false, ..Node::other(start, Kind::Bool) }
    }

    fn size(&mut self, one: &Node, start: usize) -> Node {
        if !one.kind.is_text() && !matches!(one.kind, Kind::List(_)) {
            let message = format!("`size` needs a text or a list, this is {}", one.kind);
            return self.mistake(one.start, message, None);
        }
        Node { may_fail: one.may_fail || one.may_lack_its_kind(), ..Node::other(start, Kind::Int) }
    }

    pub(super) fn method(
        &mut self,
        name: &str,
        target: &'e IdedExpr,
        args: &'e [IdedExpr],
        bracket: usize,
    ) -> Node {
        let at = self.name_at(bracket, name);
        if !METHODS.contains(&name) {
            return self.unknown_function(name, at);
        }
        let target = self.node(target);
        let arg = match (name, args) {
            ("size", []) => return self.size(&target, target.start),
            ("size", _) => return self.mistake(at, "`size` takes no value in its brackets", None),
            (_, [one]) => self.node(one),
            _ => return self.mistake(at, format!("`{name}` takes one text"), None),
        };
        if let Some(wrong) = [&target, &arg].into_iter().find(|part| !part.kind.is_text()) {
            return self.mistake(wrong.start, format!("`{name}` needs texts, this is {}", wrong.kind), None);
        }
        if name == "matches"
            && let Err((message, hint)) = written_pattern(&arg)
        {
            return self.mistake(arg.start, message, hint);
        }
        let may_fail = [&target, &arg].iter().any(|part| part.may_fail || part.may_lack_its_kind());
        Node { may_fail, ..Node::other(target.start, Kind::Bool) }
    }

    pub(super) fn each(
        &mut self,
        name: &str,
        target: &'e IdedExpr,
        args: &'e [IdedExpr],
        bracket: usize,
    ) -> Node {
        let at = self.name_at(bracket, name);
        if self.bound.is_some() || has_macro(target) {
            return self.mistake(
                at,
                format!("`{name}` cannot stand within or behind another such call"),
                None,
            );
        }
        let list = self.node(target);
        let [entry, body] = args else {
            let hint = Some(format!("write `list.{name}(entry, …)`"));
            return self.mistake(at, format!("`{name}` takes a name and an expression"), hint);
        };
        let Expr::Ident(bound) = &entry.expr else {
            return self.mistake(
                self.at(entry),
                format!("the first in the brackets of `{name}` is a name"),
                None,
            );
        };
        if ROOTS.contains(&bound.as_str()) && bound != RUN {
            let message = format!("`{bound}` has a meaning already");
            return self.mistake(self.at(entry), message, Some("take another name".to_owned()));
        }
        let Kind::List(of) = &list.kind else {
            return self.mistake(list.start, format!("`{name}` needs a list, this is {}", list.kind), None);
        };
        self.bound = Some((bound, (**of).clone()));
        let body = self.node(body);
        self.bound = None;
        if name != "map" && !body.kind.is_bool() {
            let message = format!("`{name}` needs true or false, this is {}", body.kind);
            return self.mistake(body.start, message, None);
        }
        let kind = match name {
            "map" => Kind::list(body.kind.clone()),
            "filter" => list.kind.clone(),
            _ => Kind::Bool,
        };
        let may_fail = list.may_fail || body.may_fail || (name != "map" && body.kind == Kind::Any);
        Node { may_fail, ..Node::other(list.start, kind) }
    }

    /// Where the name of a function stands: its place is that of the bracket behind it.
    fn name_at(&self, bracket: usize, name: &str) -> usize {
        self.places.source.get(..bracket).and_then(|before| before.rfind(name)).unwrap_or(bracket)
    }
}

fn has_macro(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Call(call) => {
            MACROS.contains(&call.func_name.as_str())
                || call.target.iter().map(|target| &**target).chain(&call.args).any(has_macro)
        }
        Expr::Select(select) => has_macro(&select.operand),
        Expr::List(list) => list.elements.iter().any(has_macro),
        _ => false,
    }
}

/// The pattern that stands in an expression.
fn written_pattern(arg: &Node) -> Result<Regex, (String, Option<String>)> {
    let Shape::Constant(Constant::Text(text)) = &arg.shape else {
        let hint = "write the pattern in quotes".to_owned();
        return Err(("the pattern of `matches` is fixed when the policy is loaded".to_owned(), Some(hint)));
    };
    pattern(text).map_err(|error| (error, None))
}
