//! Checks an expression: every name, function and word is known, and the kinds of values fit.
//!
//! What comes out is a tree of our own words, for [`super::reach`]. It is not evaluated.
//!
//! - Start with [`check`].
//! - **Never here:** values of a request.

mod function;

use cel::common::ast::{CallExpr, Expr, IdedExpr, ListExpr, LiteralValue, SelectExpr, SourceInfo, operators};
use cel::{Context, Value};

use self::function::MACROS;
use super::domain::{Comparison, Constant};
use super::evaluate::{environment, explain};
use super::vocabulary::{CONTEXT, Kind, MEMBERS, Member, ROOTS, nearest};
use crate::TaskKind;

/// The most parts that an expression may have.
const MAX_PARTS: usize = 200;

/// The most parts within each other.
const MAX_DEPTH: usize = 40;

/// A mistake, and the byte that it begins at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// A part of an expression.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The byte that it begins at.
    pub(super) start: usize,
    pub(super) shape: Shape,
    pub(super) kind: Kind,
    /// Whether it may have no value for some request.
    pub(super) may_fail: bool,
    /// Whether its value may be `null`, beside what the kind says.
    is_optional: bool,
}

/// What a part of an expression is.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Constant(Constant),
    Member(Member),
    /// A variable that the client names.
    Variable(String),
    Not(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Choose(Box<[Node; 3]>),
    Compare(Comparison, Box<[Node; 2]>),
    Within(Box<Node>, Vec<Constant>),
    Has(Box<Node>),
    /// Something that only an evaluation tells.
    Other,
}

/// An expression that is in order, and the members that it reads.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) node: Node,
    pub(super) members: Vec<Member>,
}

/// Checks an expression whose macros are still calls.
pub(super) fn check(expression: &IdedExpr, places: &SourceInfo) -> Result<Checked, Vec<Found>> {
    let (parts, depth) = measure(expression);
    let too_large = |what: String| Err(vec![Found { at: 0, message: what, hint: None }]);
    if parts > MAX_PARTS {
        return too_large(format!("the expression has {parts} parts, the limit is {MAX_PARTS}"));
    }
    if depth > MAX_DEPTH {
        return too_large(format!("the expression is nested {depth} deep, the limit is {MAX_DEPTH}"));
    }
    let mut checker = Checker { places, members: Vec::new(), bound: None, found: Vec::new() };
    let mut node = checker.node(expression);
    node.may_fail |= node.kind == Kind::Any;
    if !node.kind.is_bool() {
        let message = format!("a rule is true or false, this is {}", node.kind);
        checker.mistake(node.start, message, None);
    }
    if checker.found.is_empty() { Ok(Checked { node, members: checker.members }) } else { Err(checker.found) }
}

/// How many parts there are, and how many within each other.
fn measure(expression: &IdedExpr) -> (usize, usize) {
    let children: Vec<&IdedExpr> = match &expression.expr {
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        _ => Vec::new(),
    };
    children
        .into_iter()
        .map(measure)
        .fold((1, 1), |(parts, depth), (more, deeper)| (parts + more, depth.max(deeper + 1)))
}

struct Checker<'e> {
    places: &'e SourceInfo,
    members: Vec<Member>,
    /// The name that a macro gives to the entries of its list, and their kind.
    bound: Option<(&'e str, Kind)>,
    found: Vec<Found>,
}

impl<'e> Checker<'e> {
    fn mistake(&mut self, at: usize, message: impl Into<String>, hint: Option<String>) -> Node {
        self.found.push(Found { at, message: message.into(), hint });
        Node::other(at, Kind::Any)
    }

    fn at(&self, expression: &IdedExpr) -> usize {
        self.places
            .offset_for(expression.id)
            .and_then(|(start, _)| usize::try_from(start).ok())
            .unwrap_or_default()
    }

    fn node(&mut self, expression: &'e IdedExpr) -> Node {
        let at = self.at(expression);
        match &expression.expr {
            Expr::Literal(literal) => self.literal(literal, at),
            Expr::Ident(name) => self.identifier(name, at),
            Expr::Select(select) => self.select(select, at),
            Expr::List(list) => self.list(list, at),
            Expr::Call(call) => self.call(call, expression, at),
            Expr::Map(_) | Expr::Struct(_) | Expr::Comprehension(_) | Expr::Unspecified => {
                self.mistake(at, "a rule has no use for `{…}`", None)
            }
        }
    }

    fn literal(&mut self, literal: &LiteralValue, at: usize) -> Node {
        let constant = match literal {
            LiteralValue::Boolean(is) => Constant::Bool(*is.inner()),
            LiteralValue::Int(number) => Constant::Int(*number.inner()),
            LiteralValue::Double(number) => Constant::Double(*number.inner()),
            LiteralValue::String(text) => Constant::Text(text.inner().to_owned()),
            LiteralValue::Null => Constant::Null,
            LiteralValue::UInt(number) => {
                let hint = format!("write `{}`", number.inner());
                return self.mistake(at, "numbers are written without `u`", Some(hint));
            }
            LiteralValue::Bytes(_) => {
                return self.mistake(at, "texts are written without `b`", None);
            }
        };
        Node::constant(at, constant)
    }

    fn identifier(&mut self, name: &str, at: usize) -> Node {
        if let Some((_, kind)) = self.bound.as_ref().filter(|(bound, _)| *bound == name) {
            return Node::other(at, kind.clone());
        }
        if ROOTS.contains(&name) {
            let hint = MEMBERS.into_iter().map(|(known, _)| known).find(|known| root_of(known) == name);
            let hint = format!("write `{}`", hint.unwrap_or("context.name"));
            return self.mistake(at, format!("`{name}` is no value, its members are"), Some(hint));
        }
        let member = MEMBERS.into_iter().map(|(known, _)| known).find(|known| last_of(known) == name);
        let hint = member.or_else(|| nearest(name, ROOTS)).map(|known| format!("write `{known}`"));
        self.mistake(at, format!("unknown variable `{name}`"), hint)
    }

    fn select(&mut self, select: &'e SelectExpr, dot: usize) -> Node {
        let field = select.field.as_str();
        let Expr::Ident(root) = &select.operand.expr else {
            let before = self.found.len();
            let value = self.node(&select.operand);
            if self.found.len() > before {
                return value;
            }
            let message = format!("{} has no member `{field}`", value.kind);
            return self.mistake(self.field_at(dot, field), message, None);
        };
        let start = self.at(&select.operand);
        if self.bound.as_ref().is_some_and(|(bound, _)| bound == root) {
            return self.mistake(self.field_at(dot, field), format!("`{root}` has no members"), None);
        }
        if root == CONTEXT {
            let shape = Shape::Variable(field.to_owned());
            return Node { shape, may_fail: false, ..Node::other(start, Kind::Any) };
        }
        let name = format!("{root}.{field}");
        if let Some(member) = Member::named(&name) {
            self.members.push(member);
            return Node {
                shape: Shape::Member(member),
                is_optional: member.is_optional(),
                may_fail: false,
                ..Node::other(start, member.kind())
            };
        }
        if !ROOTS.contains(&root.as_str()) {
            return self.identifier(root, start);
        }
        let members = MEMBERS.into_iter().map(|(known, _)| known).filter(|known| root_of(known) == root);
        let near = nearest(field, members.clone().map(last_of));
        let elsewhere = MEMBERS.into_iter().map(|(known, _)| known).find(|known| last_of(known) == field);
        let hint = match (near, elsewhere) {
            (Some(near), _) => format!("write `{root}.{near}`"),
            (None, Some(known)) => format!("write `{known}`"),
            (None, None) => format!("there are {}", members.map(last_of).collect::<Vec<_>>().join(", ")),
        };
        self.mistake(self.field_at(dot, field), format!("`{root}` has no member `{field}`"), Some(hint))
    }

    /// Where a member's name stands: behind its dot.
    fn field_at(&self, dot: usize, field: &str) -> usize {
        self.places.source.get(dot..).and_then(|after| after.find(field)).map_or(dot, |at| dot + at)
    }

    fn list(&mut self, list: &'e ListExpr, at: usize) -> Node {
        let entries: Vec<Node> = list.elements.iter().map(|entry| self.node(entry)).collect();
        let kind = entries.iter().map(|entry| entry.kind.clone()).reduce(|all, one| all.join(&one));
        let may_fail = entries.iter().any(|entry| entry.may_fail);
        let constants: Option<Vec<Constant>> = entries.into_iter().map(Node::into_constant).collect();
        Node {
            shape: constants.map_or(Shape::Other, |entries| Shape::Constant(Constant::List(entries))),
            may_fail,
            ..Node::other(at, Kind::list(kind.unwrap_or(Kind::Any)))
        }
    }

    fn call(&mut self, call: &'e CallExpr, expression: &'e IdedExpr, at: usize) -> Node {
        let name = call.func_name.as_str();
        let before = self.found.len();
        let node = match (&call.target, call.args.as_slice()) {
            (None, [one]) if name == operators::LOGICAL_NOT => self.not(one, at),
            (None, [one]) if name == operators::NEGATE => self.negate(one, at),
            (None, [left, right]) if name == operators::INDEX && is_context(left) => {
                self.variable(left, right)
            }
            (None, [left, right]) if name.starts_with('_') || name == operators::IN => {
                self.binary(name, left, right)
            }
            (None, [which, one, other]) if name == operators::CONDITIONAL => self.choose(which, one, other),
            (None, args) => self.function(name, args, at),
            (Some(target), args) if MACROS.contains(&name) => self.each(name, target, args, at),
            (Some(target), args) => self.method(name, target, args, at),
        };
        if self.found.len() == before && is_constant(expression) { self.fold(expression, node) } else { node }
    }

    /// The value of a part without variables.
    fn fold(&mut self, expression: &IdedExpr, node: Node) -> Node {
        let value = Value::resolve(expression, &Context::with_env(environment()));
        let constant = match value {
            Ok(Value::Bool(is)) => Constant::Bool(is),
            Ok(Value::Int(number)) => Constant::Int(number),
            Ok(Value::Float(number)) => Constant::Double(number),
            Ok(_) => return node,
            Err(error) => {
                let message = format!("this has no value: {}", explain(&error));
                return self.mistake(node.start, message, None);
            }
        };
        Node::constant(node.start, constant)
    }

    fn not(&mut self, one: &'e IdedExpr, at: usize) -> Node {
        let one = self.node(one);
        if !one.kind.is_bool() {
            return self.mistake(at, format!("`!` needs true or false, this is {}", one.kind), None);
        }
        let may_fail = one.may_fail || one.kind == Kind::Any;
        Node { shape: Shape::Not(Box::new(one)), may_fail, ..Node::other(at, Kind::Bool) }
    }

    fn negate(&mut self, one: &'e IdedExpr, at: usize) -> Node {
        let one = self.node(one);
        if !one.kind.is_number() {
            return self.mistake(at, format!("`-` needs a number, this is {}", one.kind), None);
        }
        Node::other(at, one.kind)
    }

    fn binary(&mut self, name: &str, left: &'e IdedExpr, right: &'e IdedExpr) -> Node {
        let (left, right) = (self.node(left), self.node(right));
        match name {
            operators::LOGICAL_AND => self.logic("&&", Shape::And, left, right),
            operators::LOGICAL_OR => self.logic("||", Shape::Or, left, right),
            operators::EQUALS => self.compare(Comparison::Equal, left, right),
            operators::NOT_EQUALS => self.compare(Comparison::NotEqual, left, right),
            operators::LESS => self.compare(Comparison::Less, left, right),
            operators::LESS_EQUALS => self.compare(Comparison::LessOrEqual, left, right),
            operators::GREATER => self.compare(Comparison::Greater, left, right),
            operators::GREATER_EQUALS => self.compare(Comparison::GreaterOrEqual, left, right),
            operators::IN => self.within(left, right),
            operators::INDEX => self.index(&left, &right),
            _ => self.arithmetic(name, &left, &right),
        }
    }

    fn logic(&mut self, sign: &str, shape: fn(Box<[Node; 2]>) -> Shape, left: Node, right: Node) -> Node {
        if let Some(wrong) = [&left, &right].into_iter().find(|side| !side.kind.is_bool()) {
            let message = format!("`{sign}` needs true or false, this is {}", wrong.kind);
            return self.mistake(wrong.start, message, None);
        }
        let may_fail = [&left, &right].iter().any(|side| side.may_fail || side.kind == Kind::Any);
        let start = left.start;
        Node { shape: shape(Box::new([left, right])), may_fail, ..Node::other(start, Kind::Bool) }
    }

    fn compare(&mut self, comparison: Comparison, left: Node, right: Node) -> Node {
        let sign = comparison.sign();
        let sides = [&left, &right];
        if comparison.is_order() {
            let are_numbers = sides.iter().all(|side| side.kind.is_number());
            if !are_numbers && !sides.iter().all(|side| side.kind.is_text()) {
                let message = format!("`{sign}` cannot put {} and {} in order", left.kind, right.kind);
                return self.mistake(left.start, message, None);
            }
        } else if let Some(message) = never_equal(&left, &right).or_else(|| never_equal(&right, &left)) {
            return self.mistake(left.start, message, None);
        }
        self.words(&left, &right);
        self.words(&right, &left);
        let may_fail =
            sides.iter().any(|side| side.may_fail || (comparison.is_order() && side.may_lack_its_kind()));
        let start = left.start;
        Node {
            shape: Shape::Compare(comparison, Box::new([left, right])),
            may_fail,
            ..Node::other(start, Kind::Bool)
        }
    }

    /// Refuses a word that the other side can never be.
    fn words(&mut self, side: &Node, other: &Node) {
        let Shape::Member(member) = side.shape else { return };
        let Some(words) = member.words() else { return };
        let constants = match &other.shape {
            Shape::Constant(Constant::List(entries)) => entries.as_slice(),
            Shape::Constant(constant) => std::slice::from_ref(constant),
            _ => return,
        };
        for constant in constants {
            let Constant::Text(text) = constant else { continue };
            if words.contains(&text.as_str()) {
                continue;
            }
            let lower = text.to_ascii_lowercase();
            let alias = (member == Member::Kind).then(|| lower.parse::<TaskKind>().ok()).flatten();
            let hint = match alias.map(TaskKind::as_str).or_else(|| nearest(&lower, words.iter().copied())) {
                Some(word) => format!("write `{word}`"),
                None => format!("there are {}", words.join(", ")),
            };
            let at = self.text_at(other.start, text);
            self.mistake(at, format!("`{}` is never `{text}`", member.name()), Some(hint));
        }
    }

    /// Where a text stands that is part of something.
    fn text_at(&self, start: usize, text: &str) -> usize {
        let found = ['"', '\'']
            .into_iter()
            .find_map(|quote| self.places.source.get(start..)?.find(&format!("{quote}{text}{quote}")));
        found.map_or(start, |at| start + at)
    }

    fn within(&mut self, one: Node, list: Node) -> Node {
        let Kind::List(entry) = &list.kind else {
            if list.kind != Kind::Any || matches!(list.shape, Shape::Variable(_)) {
                return self.mistake(list.start, format!("`in` needs a list, this is {}", list.kind), None);
            }
            return Node::other(one.start, Kind::Bool);
        };
        let may_be_in = one.kind.meets(entry) || (one.is_optional && **entry == Kind::Null);
        if !may_be_in {
            let message = format!("{} is never in this list, its entries are {entry}", one.kind);
            return self.mistake(one.start, message, None);
        }
        self.words(&one, &list);
        let start = one.start;
        let may_fail = one.may_fail || list.may_fail;
        let shape = match list.shape {
            Shape::Constant(Constant::List(entries)) => Shape::Within(Box::new(one), entries),
            _ => Shape::Other,
        };
        Node { shape, may_fail, ..Node::other(start, Kind::Bool) }
    }

    /// `context["name"]`, for names that cannot stand behind a dot.
    fn variable(&mut self, context: &'e IdedExpr, name: &'e IdedExpr) -> Node {
        let start = self.at(context);
        match &name.expr {
            Expr::Literal(LiteralValue::String(name)) => {
                let shape = Shape::Variable(name.inner().to_owned());
                Node { shape, may_fail: false, ..Node::other(start, Kind::Any) }
            }
            _ => {
                self.mistake(self.at(name), "the name of a variable of `context` is written in quotes", None)
            }
        }
    }

    fn index(&mut self, list: &Node, place: &Node) -> Node {
        match &list.kind {
            Kind::List(entry) if matches!(place.kind, Kind::Int | Kind::Any) => {
                Node::other(list.start, (**entry).clone())
            }
            Kind::List(_) => self.mistake(
                place.start,
                format!("the place in a list is a number, this is {}", place.kind),
                None,
            ),
            kind => self.mistake(list.start, format!("`[]` needs a list, this is {kind}"), None),
        }
    }

    fn arithmetic(&mut self, name: &str, left: &Node, right: &Node) -> Node {
        let sign = name.trim_matches('_');
        if let Some(wrong) = [left, right].into_iter().find(|side| !side.kind.is_number()) {
            let message = format!("`{sign}` needs numbers, this is {}", wrong.kind);
            return self.mistake(wrong.start, message, None);
        }
        let kind = match (&left.kind, &right.kind) {
            (Kind::Int, Kind::Double) | (Kind::Double, Kind::Int) => {
                let message =
                    format!("`{sign}` needs two numbers of one kind, not {} and {}", left.kind, right.kind);
                return self.mistake(
                    left.start,
                    message,
                    Some("write `double(…)` around the whole number".to_owned()),
                );
            }
            (Kind::Any, kind) | (kind, _) => kind.clone(),
        };
        Node::other(left.start, kind)
    }

    fn choose(&mut self, which: &'e IdedExpr, one: &'e IdedExpr, other: &'e IdedExpr) -> Node {
        let [which, one, other] = [which, one, other].map(|part| self.node(part));
        if !which.kind.is_bool() {
            let message = format!("`?` needs true or false before it, this is {}", which.kind);
            return self.mistake(which.start, message, None);
        }
        let start = which.start;
        let may_fail = which.kind == Kind::Any || [&which, &one, &other].iter().any(|part| part.may_fail);
        let is_optional = one.is_optional || other.is_optional;
        let kind = one.kind.clone().join(&other.kind);
        let shape = Shape::Choose(Box::new([which, one, other]));
        Node { start, shape, kind, may_fail, is_optional }
    }
}

impl Node {
    /// A part of which no more is known; it may fail until it is shown that it does not.
    const fn other(start: usize, kind: Kind) -> Self {
        Self { start, shape: Shape::Other, kind, may_fail: true, is_optional: false }
    }

    fn constant(start: usize, constant: Constant) -> Self {
        let kind = match &constant {
            Constant::Null => Kind::Null,
            Constant::Bool(_) => Kind::Bool,
            Constant::Int(_) => Kind::Int,
            Constant::Double(_) => Kind::Double,
            Constant::Text(_) => Kind::Text,
            Constant::List(_) => Kind::list(Kind::Any),
        };
        Self { shape: Shape::Constant(constant), may_fail: false, ..Self::other(start, kind) }
    }

    fn into_constant(self) -> Option<Constant> {
        match self.shape {
            Shape::Constant(constant) => Some(constant),
            _ => None,
        }
    }

    /// Whether its value may turn out to be of another kind than is needed.
    fn may_lack_its_kind(&self) -> bool {
        self.is_optional || self.kind == Kind::Any
    }
}

fn root_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(root, _)| root)
}

fn last_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

/// Why two sides are never equal, where their kinds show it.
fn never_equal(left: &Node, right: &Node) -> Option<String> {
    if right.kind == Kind::Null && left.kind != Kind::Null {
        let is_never_null = !left.is_optional && left.kind != Kind::Any;
        return is_never_null.then(|| format!("{} is never null", left.kind));
    }
    if left.kind == Kind::Null {
        return None;
    }
    (!left.kind.meets(&right.kind)).then(|| format!("{} is never {}", left.kind, right.kind))
}

/// Whether a part has neither variables nor calls that others expand.
fn is_constant(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Literal(_) => true,
        Expr::List(list) => list.elements.iter().all(is_constant),
        Expr::Call(call) => {
            let is_plain = !MACROS.contains(&call.func_name.as_str())
                && !["has", "matches"].contains(&call.func_name.as_str());
            is_plain && call.target.iter().map(|target| &**target).chain(&call.args).all(is_constant)
        }
        _ => false,
    }
}

fn is_context(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == CONTEXT)
}
