//! Reads a workflow as it is written, with every mistake at its path.
//!
//! - **Invariant:** a template that was read names only what is there when it is filled in.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::template::{BadTemplate, Found, Piece, Template, pieces};
use super::vote::INSTRUCTIONS;
use super::{Around, Asks, Branches, Inquiry, Kind, Node, OnBranchError, Tie, Workflow, WorkflowMistake};
use crate::Validation;

/// What stands between the name of a workflow and that of a step in it.
const WITHIN: char = '/';

/// The most steps that a workflow may have, with those of the workflows it names.
const MOST_STEPS: usize = 100;
/// The deepest that steps may stand in each other.
const MOST_DEPTH: usize = 8;
/// The most variables.
const MOST_VARIABLES: usize = 64;
/// The longest text.
const LONGEST: usize = 64 << 10;
/// The most that run side by side, where nobody says otherwise.
const SIDE_BY_SIDE: usize = 8;
/// The most that may.
const MOST_SIDE_BY_SIDE: usize = 32;

/// The forms of a step: each has exactly one of these keys.
const FORMS: [&str; 7] = ["model", "models", "agent", "workflow", "sequence", "parallel", "consensus"];
/// Members of a request that a step has keys of its own for, or that are the gateway's.
const OWN_MEMBERS: [&str; 9] = [
    "model",
    "models",
    "messages",
    "input",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "mcp_servers",
];

pub(super) fn read(
    name: &str,
    document: &Value,
    around: Around<'_>,
) -> Result<Workflow, Vec<WorkflowMistake>> {
    let mut reader = Reader { around, mistakes: Vec::new(), nodes: Vec::new(), variables: BTreeMap::new() };
    if let Some(context) = around.context {
        reader.variables.extend(context.keys().map(|key| (key.clone(), None)));
    }
    let mut chain = vec![name.to_owned()];
    let mut place =
        Place { chain: &mut chain, prefix: String::new(), parent: None, depth: 0, is_foreign: false };
    reader.whole("", document, &mut place);
    let Reader { mut mistakes, nodes, variables, .. } = reader;
    if nodes.len() > MOST_STEPS {
        mistakes.push(mistake("", format!("it has more than {MOST_STEPS} steps"), None));
    }
    let nodes: Option<Vec<Node>> = nodes.into_iter().collect();
    match nodes {
        Some(nodes) if mistakes.is_empty() && !nodes.is_empty() => {
            Ok(Workflow { name: name.to_owned(), context: variables, nodes })
        }
        _ => Err(mistakes),
    }
}

struct Reader<'a> {
    around: Around<'a>,
    mistakes: Vec<WorkflowMistake>,
    /// In the order of their beginnings; none where one could not be read.
    nodes: Vec<Option<Node>>,
    variables: BTreeMap<String, Option<Value>>,
}

/// Where a step stands.
struct Place<'c> {
    /// The workflows that are read within each other.
    chain: &'c mut Vec<String>,
    /// What its name begins with.
    prefix: String,
    parent: Option<usize>,
    depth: usize,
    /// Whether it is written in another workflow than the one that is read.
    is_foreign: bool,
}

/// A step that holds others: its name, its input, and what the names within begin with.
struct Titled {
    name: String,
    input: Template,
    within: String,
}

/// What a template may name.
#[derive(Clone, Debug, Default)]
struct Scope {
    /// The step whose input `{{input}}` is.
    holder: usize,
    /// Steps that have answered by then, by their names.
    answered: Vec<(String, usize)>,
    /// The step whose branches have.
    branches: Option<usize>,
}

fn mistake(path: &str, message: impl Into<String>, hint: Option<String>) -> WorkflowMistake {
    WorkflowMistake { path: path.to_owned(), message: message.into(), hint }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl Reader<'_> {
    fn wrong(&mut self, path: &str, message: impl Into<String>) {
        self.mistakes.push(mistake(path, message, None));
    }

    fn wrong_hint(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(mistake(path, message, Some(hint.into())));
    }

    /// A workflow: a step of the three forms that hold others, with variables of its own.
    fn whole(&mut self, path: &str, document: &Value, place: &mut Place<'_>) -> Option<usize> {
        let Some(members) = document.as_object() else {
            self.wrong(path, "expected a map with `sequence`, `parallel` or `consensus`");
            return None;
        };
        if let Some(context) = members.get("context") {
            self.declare(&below(path, "context"), context);
        }
        for key in members.keys() {
            if !["context", "description", "sequence", "parallel", "consensus"].contains(&key.as_str()) {
                let path = below(path, key);
                self.wrong_hint(
                    &path,
                    "unknown key",
                    "the keys here are `sequence`, `parallel`, `consensus`, `context` and `description`",
                );
            }
        }
        let name = place.chain.last().cloned().unwrap_or_default();
        // Nothing outside of a workflow is seen from within.
        let at = self.nodes.len();
        let scope = Scope { holder: at, ..Scope::default() };
        let input = Template(vec![Piece::Input(at)]);
        let within = place.prefix.clone();
        self.held(path, members, &Titled { name, input, within }, &scope, place)
    }

    fn declare(&mut self, path: &str, context: &Value) {
        let declared: Vec<(String, Option<Value>)> = match context {
            Value::Array(names) => {
                names.iter().filter_map(|name| Some((name.as_str()?.to_owned(), None))).collect()
            }
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (name.clone(), (!value.is_null()).then(|| value.clone())))
                .collect(),
            _ => Vec::new(),
        };
        let is_form = matches!(context, Value::Object(_))
            || context.as_array().is_some_and(|names| names.iter().all(Value::is_string));
        if !is_form {
            self.wrong(
                path,
                "expected a list of names, or a map of names and what holds where the run says nothing",
            );
        }
        if declared.len() > MOST_VARIABLES {
            self.wrong(path, format!("at most {MOST_VARIABLES} variables may be declared"));
        }
        for (name, value) in declared {
            let known = self.variables.entry(name).or_insert(None);
            *known = known.take().or(value);
        }
    }

    /// A step of any form.
    fn step(
        &mut self,
        path: &str,
        step: &Value,
        scope: &Scope,
        default: Template,
        place: &mut Place<'_>,
    ) -> Option<usize> {
        let Some(members) = step.as_object() else {
            self.wrong(path, "expected a map");
            return None;
        };
        if place.depth >= MOST_DEPTH {
            self.wrong(path, format!("steps stand in each other more than {MOST_DEPTH} deep"));
            return None;
        }
        // What has too many steps is refused in the end; it need not be read to its end.
        if self.nodes.len() > MOST_STEPS {
            return None;
        }
        let forms: Vec<&str> = FORMS.into_iter().filter(|form| members.contains_key(*form)).collect();
        let [form] = forms.as_slice() else {
            let message =
                if forms.is_empty() { "it does not say whom to ask" } else { "it has several forms" };
            self.wrong_hint(path, message, format!("give it one of `{}`", FORMS.join("`, `")));
            return None;
        };
        let name = self.name(path, members)?;
        let input = match members.get("input") {
            None | Some(Value::Null) => default,
            Some(input) => self.template(&below(path, "input"), input, scope)?,
        };
        match *form {
            "model" | "models" | "agent" => self.inquiry(path, members, form, &name, input, place),
            "workflow" => self.named(path, members, &name, input, place),
            _ => {
                self.check_keys(path, members, &["name", "input", "sequence", "parallel", "consensus"]);
                let within = format!("{}{name}{WITHIN}", place.prefix);
                self.held(path, members, &Titled { name, input, within }, scope, place)
            }
        }
    }

    fn name(&mut self, path: &str, members: &Map<String, Value>) -> Option<String> {
        match members.get("name") {
            Some(Value::String(name)) if is_name(name) => Some(name.clone()),
            Some(_) => {
                let hint = "letters, digits, `-` and `_`, at most 64";
                self.wrong_hint(&below(path, "name"), "this is not a name of a step", hint);
                None
            }
            None => {
                self.wrong(path, "`name` is missing");
                None
            }
        }
    }

    fn check_keys(&mut self, path: &str, members: &Map<String, Value>, known: &[&str]) {
        for key in members.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = match baton_model::nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys here are `{}`", known.join("`, `")),
            };
            self.wrong_hint(&below(path, key), "unknown key", hint);
        }
    }

    /// Takes a place among the steps, before those within are read.
    fn reserve(&mut self) -> usize {
        self.nodes.push(None);
        self.nodes.len() - 1
    }

    fn put(
        &mut self,
        at: usize,
        path: &str,
        place: &Place<'_>,
        named: (&str, Template),
        kind: Kind,
    ) -> Option<usize> {
        let (name, input) = named;
        let name = format!("{}{name}", place.prefix);
        let path = (!place.is_foreign).then(|| path.to_owned());
        *self.nodes.get_mut(at)? = Some(Node { name, path, parent: place.parent, input, kind });
        Some(at)
    }

    fn inquiry(
        &mut self,
        path: &str,
        members: &Map<String, Value>,
        form: &str,
        name: &str,
        input: Template,
        place: &Place<'_>,
    ) -> Option<usize> {
        let known = ["name", "input", form, "instructions", "settings", "mcp_servers", "validation"];
        self.check_keys(path, members, &known);
        let at = self.reserve();
        let asks = self.asks(&below(path, form), form, members.get(form)?);
        let instructions = members.get("instructions").filter(|it| !it.is_null());
        let instructions = match instructions {
            None => None,
            Some(Value::String(text)) if text.len() <= LONGEST => Some(text.clone()),
            Some(_) => {
                self.wrong(
                    &below(path, "instructions"),
                    format!("expected a text of at most {LONGEST} bytes"),
                );
                None
            }
        };
        let settings = self.settings(&below(path, "settings"), members.get("settings"));
        let validation = members.get("validation").filter(|it| !it.is_null());
        let validation = validation.and_then(|it| match Validation::read(it) {
            Ok(validation) => Some(validation),
            Err(wrong) => {
                let at = below(&below(path, "validation"), &wrong.path);
                self.mistakes.push(mistake(at.trim_end_matches('.'), wrong.message, wrong.hint));
                None
            }
        });
        let mcp_servers = members.get("mcp_servers").filter(|it| !it.is_null()).cloned();
        let inquiry = Inquiry { asks: asks?, instructions, settings, mcp_servers, validation };
        self.put(at, path, place, (name, input), Kind::Ask(inquiry))
    }

    fn asks(&mut self, path: &str, form: &str, value: &Value) -> Option<Asks> {
        let names = |list: &Vec<Value>| -> Option<Vec<String>> {
            let named =
                |item: &Value| item.as_str().filter(|name| !name.trim().is_empty()).map(ToOwned::to_owned);
            list.iter().map(named).collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
        };
        let asks = match (form, value) {
            ("agent", Value::String(name)) if !name.is_empty() => {
                Some(Asks::Agent(name.strip_prefix("agent/").unwrap_or(name).to_owned()))
            }
            ("model", Value::String(name)) if !name.trim().is_empty() => Some(Asks::Model(name.clone())),
            ("model", Value::Array(list)) => names(list).map(Asks::Pool),
            ("models", Value::Array(list)) => names(list).map(Asks::Models),
            _ => None,
        };
        if asks.is_none() {
            let wanted = match form {
                "agent" => "the name of an agent",
                "model" => "the name of a model, or a list of them",
                _ => "a list of names of models",
            };
            self.wrong(path, format!("expected {wanted}"));
        }
        asks
    }

    fn settings(&mut self, path: &str, settings: Option<&Value>) -> Map<String, Value> {
        match settings {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(members)) => {
                for key in members.keys().filter(|key| OWN_MEMBERS.contains(&key.as_str())) {
                    self.wrong(&below(path, key), "a step cannot set this member of a request");
                }
                members.clone()
            }
            Some(_) => {
                self.wrong(path, "expected a map of members of a request");
                Map::new()
            }
        }
    }

    /// A step that is another workflow. What it names is read from where it is written.
    fn named(
        &mut self,
        path: &str,
        members: &Map<String, Value>,
        name: &str,
        input: Template,
        place: &mut Place<'_>,
    ) -> Option<usize> {
        self.check_keys(path, members, &["name", "input", "workflow"]);
        let path = below(path, "workflow");
        let Some(Value::String(wanted)) = members.get("workflow") else {
            self.wrong(&path, "expected the name of a workflow");
            return None;
        };
        if place.chain.contains(wanted) {
            let round =
                place.chain.iter().chain([wanted]).map(String::as_str).collect::<Vec<_>>().join(" → ");
            self.wrong(&path, format!("a workflow cannot refer to itself: {round}"));
            return None;
        }
        let others = self.around.others;
        let Some((_, document)) = others.iter().find(|(known, _)| known == wanted) else {
            let wrong = format!("there is no workflow `{wanted}`");
            let near = baton_model::nearest(wanted, others.iter().map(|(known, _)| known.as_str()));
            match near {
                Some(near) => self.wrong_hint(&path, wrong, format!("did you mean `{near}`?")),
                None => self.wrong(&path, wrong),
            }
            return None;
        };
        let before = self.mistakes.len();
        place.chain.push(wanted.clone());
        let at = self.nodes.len();
        let mut inner = Place {
            chain: &mut *place.chain,
            prefix: format!("{}{name}{WITHIN}", place.prefix),
            parent: place.parent,
            depth: place.depth + 1,
            is_foreign: true,
        };
        let found = self.whole("", document, &mut inner);
        place.chain.pop();
        // Its mistakes are told where it is written; here it is enough that there are some. A circle has no other
        // place than this one.
        let within: Vec<WorkflowMistake> = self.mistakes.drain(before..).collect();
        if let Some(first) = within.first() {
            let round = within.iter().find(|it| it.message.contains("refer to itself"));
            let message = round.map_or_else(
                || format!("the workflow `{wanted}` has a mistake: {}", first.message),
                |round| round.message.clone(),
            );
            self.wrong(&path, message);
            return None;
        }
        let node = self.nodes.get_mut(at).and_then(Option::as_mut)?;
        node.name = format!("{}{name}", place.prefix);
        node.input = input;
        found
    }

    /// A step that holds others.
    fn held(
        &mut self,
        path: &str,
        members: &Map<String, Value>,
        titled: &Titled,
        scope: &Scope,
        place: &mut Place<'_>,
    ) -> Option<usize> {
        let forms: Vec<&str> = ["sequence", "parallel", "consensus"]
            .into_iter()
            .filter(|form| members.contains_key(*form))
            .collect();
        let [form] = forms.as_slice() else {
            self.wrong(path, "expected one of `sequence`, `parallel` and `consensus`");
            return None;
        };
        let at = self.reserve();
        let scope = Scope { holder: at, branches: None, answered: scope.answered.clone() };
        let mut inner = Place {
            chain: &mut *place.chain,
            prefix: titled.within.clone(),
            parent: Some(at),
            depth: place.depth + 1,
            is_foreign: place.is_foreign,
        };
        let inside = below(path, form);
        let value = members.get(*form)?;
        let kind = match *form {
            "sequence" => self.sequence(&inside, value, scope, &mut inner),
            "parallel" => self.parallel(&inside, value, &scope, &mut inner),
            _ => self.consensus(&inside, value, &scope, &mut inner),
        }?;
        self.put(at, path, place, (&titled.name, titled.input.clone()), kind)
    }

    fn list<'v>(&mut self, path: &str, value: Option<&'v Value>, least: usize) -> Option<&'v [Value]> {
        match value {
            Some(Value::Array(items)) if items.len() >= least => Some(items),
            Some(Value::Array(_)) => {
                self.wrong(path, format!("expected at least {least} of them"));
                None
            }
            Some(_) => {
                self.wrong(path, "expected a list of steps");
                None
            }
            None => {
                self.wrong(path, "this list of steps is missing");
                None
            }
        }
    }

    fn sequence(
        &mut self,
        path: &str,
        value: &Value,
        mut scope: Scope,
        place: &mut Place<'_>,
    ) -> Option<Kind> {
        let items = self.list(path, Some(value), 1)?;
        let mut steps = Vec::with_capacity(items.len());
        let mut is_whole = true;
        for (number, item) in items.iter().enumerate() {
            let path = format!("{path}[{number}]");
            let last = steps.last().copied().map_or(Piece::Input(scope.holder), Piece::Output);
            match self.step(&path, item, &scope, Template(vec![last]), place) {
                Some(at) => {
                    steps.push(at);
                    self.answer_known(&path, item, at, &mut scope);
                }
                None => {
                    is_whole = false;
                    // What follows may name it all the same: that it is wrong is told once.
                    if let Some(name) = item.get("name").and_then(Value::as_str) {
                        scope.answered.push((name.to_owned(), usize::MAX));
                    }
                }
            }
        }
        is_whole.then_some(Kind::Sequence { steps })
    }

    /// From here on, a template may name what the step said.
    fn answer_known(&mut self, path: &str, item: &Value, at: usize, scope: &mut Scope) {
        let Some(name) = item.get("name").and_then(Value::as_str) else { return };
        if scope.answered.iter().any(|(known, _)| known == name) {
            self.wrong(&below(path, "name"), format!("a step before is called `{name}` already"));
        }
        scope.answered.push((name.to_owned(), at));
    }

    /// Steps side by side; none of them sees another.
    fn branches(
        &mut self,
        path: &str,
        members: &Map<String, Value>,
        key: &str,
        scope: &Scope,
        place: &mut Place<'_>,
    ) -> Option<(Branches, Scope)> {
        let list_path = below(path, key);
        let items = self.list(&list_path, members.get(key), 2);
        let mut after = scope.clone();
        let mut steps = Vec::new();
        for (number, item) in items.unwrap_or_default().iter().enumerate() {
            let path = format!("{list_path}[{number}]");
            let whole_input = Template(vec![Piece::Input(scope.holder)]);
            if let Some(at) = self.step(&path, item, scope, whole_input, place) {
                steps.push(at);
                self.answer_known(&path, item, at, &mut after);
            }
        }
        let max_parallel = match members.get("max_parallel") {
            None | Some(Value::Null) => SIDE_BY_SIDE,
            Some(number) => {
                let number = number.as_u64().and_then(|number| usize::try_from(number).ok());
                number.filter(|number| (1..=MOST_SIDE_BY_SIDE).contains(number)).unwrap_or_else(|| {
                    let wanted = format!("expected a whole number from 1 to {MOST_SIDE_BY_SIDE}");
                    self.wrong(&below(path, "max_parallel"), wanted);
                    SIDE_BY_SIDE
                })
            }
        };
        let on_error = self.on_error(path, members, items.map_or(0, <[_]>::len));
        after.branches = place.parent;
        (items.is_some_and(|items| items.len() == steps.len()))
            .then_some((Branches { steps, max_parallel, on_error }, after))
    }

    fn on_error(&mut self, path: &str, members: &Map<String, Value>, branches: usize) -> OnBranchError {
        let word = members.get("on_branch_error").filter(|it| !it.is_null());
        let quorum = members.get("quorum").filter(|it| !it.is_null());
        let wants_quorum = word.and_then(Value::as_str) == Some("quorum");
        if let Some(quorum) = quorum {
            let path = below(path, "quorum");
            let number = quorum.as_u64().and_then(|number| usize::try_from(number).ok());
            match number.filter(|number| (1..=branches.max(1)).contains(number)) {
                _ if !wants_quorum => {
                    self.wrong_hint(&path, "nobody asks for a quorum", "set `on_branch_error: quorum`");
                }
                Some(number) => return OnBranchError::Quorum(number),
                None => self
                    .wrong(&path, format!("expected a whole number from 1 to {branches}, which are there")),
            }
            return OnBranchError::Fail;
        }
        match word {
            None => OnBranchError::Fail,
            Some(Value::String(word)) if word == "fail" => OnBranchError::Fail,
            Some(Value::String(word)) if word == "skip" => OnBranchError::Skip,
            // More than half.
            Some(Value::String(word)) if word == "quorum" => OnBranchError::Quorum(branches / 2 + 1),
            Some(_) => {
                self.wrong(&below(path, "on_branch_error"), "expected `fail`, `skip` or `quorum`");
                OnBranchError::Fail
            }
        }
    }

    fn parallel(&mut self, path: &str, value: &Value, scope: &Scope, place: &mut Place<'_>) -> Option<Kind> {
        let Some(members) = value.as_object() else {
            self.wrong(path, "expected a map with `branches`");
            return None;
        };
        self.check_keys(
            path,
            members,
            &["branches", "max_parallel", "on_branch_error", "quorum", "synthesis"],
        );
        let branches = self.branches(path, members, "branches", scope, place);
        let synthesis = members.get("synthesis").filter(|it| !it.is_null());
        let (branches, after) = branches?;
        let synthesis = match synthesis {
            None => None,
            Some(step) => {
                let default = vec![
                    Piece::Input(after.holder),
                    Piece::Text("\n\n".to_owned()),
                    Piece::Branches(after.holder),
                ];
                Some(self.step(&below(path, "synthesis"), step, &after, Template(default), place)?)
            }
        };
        Some(Kind::Parallel { branches, synthesis })
    }

    fn consensus(&mut self, path: &str, value: &Value, scope: &Scope, place: &mut Place<'_>) -> Option<Kind> {
        let Some(members) = value.as_object() else {
            self.wrong(path, "expected a map with `voters`, `judge` and `tie`");
            return None;
        };
        let known = ["voters", "judge", "tie", "max_parallel", "on_branch_error", "quorum"];
        self.check_keys(path, members, &known);
        let voters = self.branches(path, members, "voters", scope, place);
        let tie = match members.get("tie").and_then(Value::as_str) {
            Some("first") => Some(Tie::First),
            Some("majority") => Some(Tie::Majority),
            Some("fail") => Some(Tie::Fail),
            _ => {
                let hint = "which vote counts where the judge names none: `first`, `majority` or `fail`";
                self.wrong_hint(&below(path, "tie"), "the rule for a tie is missing", hint);
                None
            }
        };
        let Some(judge) = members.get("judge").filter(|it| !it.is_null()) else {
            self.wrong(path, "`judge` is missing");
            return None;
        };
        let (voters, after) = voters?;
        let default =
            vec![Piece::Input(after.holder), Piece::Text("\n\n".to_owned()), Piece::Branches(after.holder)];
        let judge = self.step(&below(path, "judge"), judge, &after, Template(default), place)?;
        match self.nodes.get_mut(judge).and_then(Option::as_mut) {
            Some(Node { kind: Kind::Ask(inquiry), .. }) => {
                let own = inquiry.instructions.take().map(|own| format!("{own}\n\n")).unwrap_or_default();
                inquiry.instructions = Some(format!("{own}{INSTRUCTIONS}"));
            }
            _ => {
                self.wrong(&below(path, "judge"), "a judge is one model or agent");
                return None;
            }
        }
        Some(Kind::Consensus { voters, judge, tie: tie? })
    }

    fn template(&mut self, path: &str, input: &Value, scope: &Scope) -> Option<Template> {
        let Value::String(text) = input else {
            self.wrong(path, "expected a text");
            return None;
        };
        if text.len() > LONGEST {
            self.wrong(path, format!("the text is longer than {LONGEST} bytes"));
            return None;
        }
        let found = match pieces(text) {
            Ok(found) => found,
            Err(BadTemplate::Open) => {
                self.wrong(path, "`{{` is not closed by `}}`");
                return None;
            }
            Err(BadTemplate::Empty) => {
                self.wrong(path, "there is no name between `{{` and `}}`");
                return None;
            }
        };
        let before = self.mistakes.len();
        let pieces: Vec<Piece> = found
            .into_iter()
            .filter_map(|piece| match piece {
                Found::Text(text) => Some(Piece::Text(text.to_owned())),
                Found::Name(name) => self.variable(path, name, scope),
            })
            .collect();
        (self.mistakes.len() == before).then_some(Template(pieces))
    }

    fn variable(&mut self, path: &str, name: &str, scope: &Scope) -> Option<Piece> {
        let parts: Vec<&str> = name.split('.').collect();
        match parts.as_slice() {
            ["input"] => Some(Piece::Input(scope.holder)),
            ["branches" | "votes"] if scope.branches.is_some() => scope.branches.map(Piece::Branches),
            ["steps", step, "output"] => match scope.answered.iter().rev().find(|(known, _)| known == step) {
                Some((_, at)) => Some(Piece::Output(*at)),
                None => {
                    let message = format!("no step `{step}` has answered by then");
                    let near =
                        baton_model::nearest(step, scope.answered.iter().map(|(known, _)| known.as_str()));
                    match near {
                        Some(near) => {
                            self.wrong_hint(path, message, format!("did you mean `steps.{near}.output`?"));
                        }
                        None => self.wrong(path, message),
                    }
                    None
                }
            },
            ["context", first, rest @ ..] => {
                if !self.variables.contains_key(*first) {
                    let hint = "declare it under `context` of the workflow";
                    self.wrong_hint(path, format!("there is no variable `context.{first}`"), hint);
                    return None;
                }
                Some(Piece::Context([first].into_iter().chain(rest).map(|part| (*part).to_owned()).collect()))
            }
            _ => {
                let shown: String = name.chars().take(64).collect();
                let hint = "there are `input`, `steps.<name>.output` and `context.<name>`";
                self.wrong_hint(path, format!("there is no variable `{shown}`"), hint);
                None
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(allowed)
}
