//! Evaluates an expression over the inputs of a decision.
//!
//! Nothing is built beforehand: a name gets its value when the expression comes to it, borrowed where
//! it is a text. Patterns are compiled once, when the policy is loaded.
//!
//! - Start with [`Scope`].
//! - **Invariant:** what is said of a failure holds no value of a request.

use std::sync::{Arc, LazyLock};

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::traits::Container;
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelNull, CelString, DYN_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Value};
use regex::{Regex, RegexBuilder};

use super::vocabulary::{CONTEXT, Member, UNKNOWN};
use crate::{Complexity, DeclaredTask, Inputs, TaskKind, Variable};

/// The most entries of a list that an expression sees.
pub(super) const MAX_ENTRIES: usize = 256;

/// The most memory that a compiled pattern may take, in bytes.
const MAX_PATTERN: usize = 1 << 18;

/// What names of patterns begin with; no name in an expression can.
const PATTERN: &str = "@pattern";

/// An expression that can be evaluated.
#[derive(Debug)]
pub(super) struct Expression {
    root: IdedExpr,
}

impl Expression {
    /// Takes over an expression that has been checked, its macros expanded.
    pub(super) fn new(mut root: IdedExpr, patterns: &mut Vec<Pattern>) -> Self {
        lower(&mut root, patterns);
        Self { root }
    }
}

/// Writes each member as one name, and each pattern as the name of a compiled one.
fn lower(part: &mut IdedExpr, patterns: &mut Vec<Pattern>) {
    match &mut part.expr {
        Expr::Select(select) => match &mut select.operand.expr {
            Expr::Ident(root) => {
                let name = format!("{root}.{}", select.field);
                let is_test = select.test;
                part.expr = Expr::Ident(name);
                if is_test {
                    let member = std::mem::take(part);
                    let null = IdedExpr { id: member.id, expr: Expr::Literal(LiteralValue::Null) };
                    part.id = member.id;
                    part.expr = call(operators::NOT_EQUALS, vec![member, null]);
                }
            }
            _ => lower(&mut select.operand, patterns),
        },
        Expr::Call(found) => {
            found.target.iter_mut().map(|target| &mut **target).chain(&mut found.args).for_each(|part| {
                lower(part, patterns);
            });
            if let Some(lowered) = lower_call(found, patterns) {
                part.expr = lowered;
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(|entry| lower(entry, patterns)),
        Expr::Comprehension(each) => {
            let each = &mut **each;
            for part in [
                &mut each.iter_range,
                &mut each.accu_init,
                &mut each.loop_cond,
                &mut each.loop_step,
                &mut each.result,
            ] {
                lower(part, patterns);
            }
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

/// `context["name"]` as a name, and `text.matches("…")` as `text in @pattern`.
fn lower_call(found: &mut CallExpr, patterns: &mut Vec<Pattern>) -> Option<Expr> {
    match (found.func_name.as_str(), found.args.as_slice()) {
        (operators::INDEX, [root, name]) => match (&root.expr, &name.expr) {
            (Expr::Ident(root), Expr::Literal(LiteralValue::String(name))) if root == CONTEXT => {
                Some(Expr::Ident(format!("{CONTEXT}.{}", name.inner())))
            }
            _ => None,
        },
        ("matches", [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), id }]) => {
            let compiled = Pattern(pattern(text.inner()).ok()?);
            let target = found.target.take()?;
            let name = IdedExpr { id: *id, expr: Expr::Ident(format!("{PATTERN}{}", patterns.len())) };
            patterns.push(compiled);
            Some(call(operators::IN, vec![*target, name]))
        }
        _ => None,
    }
}

fn call(operator: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: operator.to_owned(), target: None, args })
}

/// A compiled pattern, as something that texts can be in.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

/// Compiles a pattern of `matches`.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(MAX_PATTERN).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
        error => {
            let said = error.to_string();
            let why = said.lines().last().unwrap_or_default();
            format!("the pattern cannot be read: {}", why.trim_start_matches("error: "))
        }
    })
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        Self::cel_type()
    }

    fn cel_type() -> &'static Type {
        &DYN_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn std::any::Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

impl Container for Pattern {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        match value.downcast_ref::<CelString<'_>>() {
            Some(text) => Ok(self.0.is_match(text.inner())),
            None => Err(ExecutionError::function_error("matches", value.get_type().name())),
        }
    }
}

/// The functions that expressions are evaluated with.
pub(super) fn environment() -> Arc<Env> {
    static ENVIRONMENT: LazyLock<Arc<Env>> =
        LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));
    Arc::clone(&ENVIRONMENT)
}

/// The values that names have for one decision.
#[derive(Debug)]
pub(super) struct Scope<'i> {
    inputs: &'i Inputs,
    patterns: &'i [Pattern],
}

impl<'i> Scope<'i> {
    pub(super) const fn new(inputs: &'i Inputs, patterns: &'i [Pattern]) -> Self {
        Self { inputs, patterns }
    }

    /// Whether each of some expressions holds, or why nobody can tell.
    pub(super) fn evaluate<'e, E>(&self, expressions: E) -> impl Iterator<Item = Result<bool, String>>
    where
        E: IntoIterator<Item = &'e Expression>,
    {
        let mut context = Context::with_env(environment());
        context.set_variable_resolver(self);
        expressions.into_iter().map(move |expression| {
            let value = Value::resolve_val(&expression.root, &context).map_err(|error| explain(&error))?;
            value
                .downcast_ref::<CelBool>()
                .map(|is| *is.inner())
                .ok_or_else(|| format!("it gives {}, not true or false", kind(value.get_type().name())))
        })
    }

    fn variable(&self, name: &str) -> CowVal<'i, 'i> {
        let variables = self.inputs.context.as_ref().map(|context| &context.variables);
        match variables.and_then(|variables| variables.get(name)) {
            Some(Variable::Bool(is)) => CowVal::owned(CelBool::from(*is)),
            Some(Variable::Int(number)) => CowVal::owned(CelInt::from(*number)),
            Some(Variable::Float(number)) => CowVal::owned(CelDouble::from(*number)),
            Some(Variable::Text(text)) => CowVal::owned(CelString::from(text.as_str())),
            None => CowVal::owned(CelNull),
        }
    }

    fn member(&self, member: Member) -> CowVal<'i, 'i> {
        let inputs = self.inputs;
        let features = &inputs.features;
        let context = inputs.context.as_deref();
        let reading = features.task.as_deref();
        let run = inputs.run.as_deref();
        let turn = context.map_or(1, |context| context.turn);
        let seconds = context.map_or(0, |context| context.unix_seconds);
        match member {
            Member::Surface => text(context.map_or("", |context| &context.surface)),
            Member::Stream => bool(features.stream),
            Member::InputTokens => number(features.input_tokens),
            Member::MaxOutputTokens => features.max_output_tokens.map_or(CowVal::owned(CelNull), number),
            Member::Tools => number(features.tools.into()),
            Member::Messages => number(features.messages.into()),
            Member::Images => bool(features.images),
            Member::Audio => bool(features.audio),
            Member::StructuredOutput => bool(features.structured_output),
            Member::Logprobs => bool(features.logprobs),
            Member::Reasoning => bool(features.reasoning),
            Member::Tags => texts(context.into_iter().flat_map(|context| &context.tags).map(String::as_str)),
            Member::Candidates => {
                let pool = inputs.candidates.iter().filter(|candidate| !candidate.by_rule);
                texts(pool.map(|candidate| candidate.model.as_str()))
            }
            Member::Kind => text(features.task_kind().map_or(UNKNOWN, TaskKind::as_str)),
            Member::Declared => bool(features.declared_task.is_some()),
            Member::Confidence => share(match features.declared_task {
                Some(DeclaredTask::Kind(_)) => 1000,
                Some(DeclaredTask::Other) => 0,
                None => reading.map_or(0, |reading| reading.confidence),
            }),
            Member::Complexity => text(reading.map_or(UNKNOWN, |reading| match reading.complexity {
                Complexity::Simple => "simple",
                Complexity::Moderate => "moderate",
                Complexity::Complex => "complex",
            })),
            Member::Languages => {
                texts(reading.into_iter().flat_map(|reading| &reading.languages).map(String::as_str))
            }
            Member::Code => share(reading.map_or(0, |reading| reading.code)),
            Member::Math => share(reading.map_or(0, |reading| reading.math)),
            Member::Key => text(context.map_or("", |context| &context.key)),
            Member::Turn => number(turn.max(1).into()),
            Member::RunTurn => number(run.map_or(turn, |run| run.turn).max(1).into()),
            Member::RunHop => number(run.map_or(1, |run| run.hop).max(1).into()),
            Member::RunHandoffs => number(run.map_or(0, |run| run.handoffs).into()),
            Member::RunToolsDone => bool(run.is_some_and(|run| run.tools_done)),
            Member::RunModel => match inputs.holder() {
                Some(target) => CowVal::owned(CelString::from(target.to_string())),
                None => text(""),
            },
            Member::Unix => number(seconds),
            Member::Hour => number(seconds / 3600 % 24),
            Member::Minute => number(seconds / 60 % 60),
            // 1970 began on a Thursday, the fourth day from Monday.
            Member::Weekday => number((seconds / 86_400 + 3) % 7 + 1),
        }
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(variable) = name.strip_prefix(CONTEXT).and_then(|rest| rest.strip_prefix('.')) {
            return Some(self.variable(variable));
        }
        if let Some(place) = name.strip_prefix(PATTERN) {
            let pattern: &Pattern = self.patterns.get(place.parse::<usize>().ok()?)?;
            return Some(CowVal::Borrowed(pattern));
        }
        Member::named(name).map(|member| self.member(member))
    }
}

fn bool<'v>(is: bool) -> CowVal<'v, 'v> {
    CowVal::owned(CelBool::from(is))
}

fn text<'v>(text: &'v str) -> CowVal<'v, 'v> {
    CowVal::owned(CelString::from(text))
}

fn number<'v>(number: u64) -> CowVal<'v, 'v> {
    CowVal::owned(CelInt::from(i64::try_from(number).unwrap_or(i64::MAX)))
}

/// Thousandths as a part of one.
fn share<'v>(thousandths: u32) -> CowVal<'v, 'v> {
    CowVal::owned(CelDouble::from(f64::from(thousandths.min(1000)) / 1000.0))
}

fn texts<'v>(texts: impl Iterator<Item = &'v str>) -> CowVal<'v, 'v> {
    let entries: Vec<Box<dyn Val + 'v>> =
        texts.take(MAX_ENTRIES).map(|text| Box::new(CelString::from(text)) as Box<dyn Val + 'v>).collect();
    CowVal::owned(CelList::from(entries))
}

/// Says why an expression has no value, in words that hold none of the request's.
pub(super) fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchOverload(overload) => {
            let kinds: Vec<&str> = overload.argument_types().iter().map(|name| kind(name)).collect();
            format!("`{}` cannot take {}", sign(overload.function()), kinds.join(" and "))
        }
        ExecutionError::UnsupportedBinaryOperator(name, left, right) => {
            let kinds = [left, right].map(|value| value.type_of().to_string());
            let [left, right] = [kind(&kinds[0]), kind(&kinds[1])];
            format!("`{name}` cannot take {left} and {right}")
        }
        ExecutionError::FunctionError { function, message } if function == "matches" => {
            format!("`{function}` cannot take {}", kind(message))
        }
        ExecutionError::UnexpectedType { got, .. } => format!("{} has no place here", kind(got)),
        ExecutionError::ValuesNotComparable(..) => "the values cannot be put in order".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "a number is divided by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number becomes too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "a list has no entry at this place".to_owned(),
        _ => "it cannot be evaluated".to_owned(),
    }
}

/// An operator as it is written.
fn sign(name: &str) -> &str {
    match name {
        operators::IN => "in",
        operators::INDEX => "[]",
        operators::CONDITIONAL => "?",
        _ => name.trim_matches('_'),
    }
}

/// The kind of a value, as a reader knows it.
fn kind(name: &str) -> &str {
    match name {
        "null_type" | "null" => "null",
        "bool" => "true or false",
        "int" | "double" | "float" => "a number",
        "string" => "a text",
        "list" => "a list",
        _ => "a value",
    }
}
