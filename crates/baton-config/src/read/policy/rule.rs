//! Reads a policy's `rules`: an expression each, and what is done when it holds.
//!
//! The expressions are compiled with the whole policy; what is wrong inside them is told there, by the
//! places that are kept here.

use std::collections::HashMap;

use baton_model::ModelName;
use baton_policy::{Actions, Rule};

use super::setting;
use crate::read::names::Names;
use crate::reader::{At, Reader, Section};
use crate::tree::Span;
use crate::value::Wrong;

/// How long the name of a rule may be, in bytes.
const NAME_LEN: usize = 64;

/// How long the sentence of a refusal may be, in bytes.
const SENTENCE_LEN: usize = 1_000;

/// How long a text that is put into a conversation may be, in bytes.
const TEXT_LEN: usize = 64 << 10;

/// The rules that could be read, and where the expression of each is; of one without, where the rule is.
#[derive(Default)]
pub(super) struct Rules<'t> {
    pub(super) rules: Vec<Rule>,
    pub(super) whens: Vec<At<'t>>,
}

pub(super) fn rules<'t>(reader: &mut Reader<'_>, at: &At<'t>, names: &Names<'_>) -> Rules<'t> {
    let mut read = Rules::default();
    let mut taken: HashMap<String, Span> = HashMap::new();
    for (number, item) in reader.list(at).unwrap_or_default().iter().enumerate() {
        let Some(mut section) = reader.section(item) else { continue };
        let name_at = reader.take(&mut section, "name");
        let name = match &name_at {
            Some(at) => reader.read(at, name),
            None => Some(format!("rule {}", number + 1)),
        };
        if let Some(name) = &name {
            let at = name_at.as_ref().unwrap_or(item);
            match taken.get(name) {
                Some(first) => {
                    let wrong = format!("`{name}` is the name of a rule already, on line {}", first.line);
                    reader.wrong(at, Wrong::new(wrong));
                }
                None => drop(taken.insert(name.clone(), at.node.span)),
            }
        }
        let when_at = reader.take(&mut section, "when");
        let when = match &when_at {
            Some(at) => reader.read(at, |text| Ok(text.to_owned())),
            None => Some(String::new()),
        };
        let then = read_actions(reader, &mut section, names);
        reader.finish(section);
        if let Some(when) = when {
            read.rules.push(Rule { name: name.unwrap_or_default(), when, then });
            read.whens.push(when_at.unwrap_or_else(|| item.clone()));
        }
    }
    read
}

fn name(text: &str) -> Result<String, Wrong> {
    if text.chars().any(char::is_control) {
        return Err(Wrong::new("a rule's name is one line of text"));
    }
    at_most(NAME_LEN, text)
}

fn sentence(text: &str) -> Result<String, Wrong> {
    at_most(SENTENCE_LEN, text)
}

fn text(text: &str) -> Result<String, Wrong> {
    at_most(TEXT_LEN, text)
}

fn at_most(most: usize, text: &str) -> Result<String, Wrong> {
    match text.len() {
        len if len > most => Err(Wrong::new(format!("the text has {len} bytes, at most {most} are taken"))),
        _ => Ok(text.to_owned()),
    }
}

/// The most turns that a rule may allow.
const MOST_TURNS: u64 = 1_000;

/// Where a rule says what is done.
struct Said<'t> {
    models: [Option<At<'t>>; 3],
    handoff_to: Option<At<'t>>,
    allow_models: Option<At<'t>>,
    refuse: Option<At<'t>>,
    stop: Option<At<'t>>,
    max_turns: Option<At<'t>>,
    mcp_servers: Option<At<'t>>,
    set: Option<At<'t>>,
    texts: [Option<At<'t>>; 2],
}

fn read_actions(reader: &mut Reader<'_>, rule: &mut Section<'_>, names: &Names<'_>) -> Actions {
    let had = reader.mistake_count();
    let said = Said {
        models: ["use", "prefer", "avoid"].map(|key| reader.take(rule, key)),
        handoff_to: reader.take(rule, "handoff_to"),
        allow_models: reader.take(rule, "allow_models"),
        refuse: reader.take(rule, "refuse"),
        stop: reader.take(rule, "stop"),
        max_turns: reader.take(rule, "max_turns"),
        mcp_servers: reader.take(rule, "mcp_servers"),
        set: reader.take(rule, "set"),
        texts: ["prepend", "append"].map(|key| reader.take(rule, key)),
    };
    let [use_models, prefer, avoid] =
        said.models.each_ref().map(|at| read_models(reader, at.as_ref(), names));
    let patterns = said.allow_models.as_ref().and_then(|at| reader.one_or_more(at)).unwrap_or_default();
    let allow_models = patterns.iter().filter_map(|at| reader.read(at, |text| names.pattern(text))).collect();
    let max_turns = said.max_turns.as_ref().and_then(|at| reader.number(at, 1..=MOST_TURNS));
    let [prepend, append] = said.texts.each_ref().map(|at| reader.read(at.as_ref()?, text));
    let actions = Actions {
        use_models,
        prefer,
        avoid,
        handoff_to: said.handoff_to.as_ref().and_then(|at| reader.read(at, |text| names.model(text))),
        allow_models,
        refuse: said.refuse.as_ref().and_then(|at| reader.read(at, sentence)),
        stop: said.stop.as_ref().and_then(|at| reader.boolean(at)).unwrap_or_default(),
        max_turns: max_turns.and_then(|turns| u32::try_from(turns).ok()),
        mcp_servers: read_servers(reader, said.mcp_servers.as_ref(), names),
        set: said.set.as_ref().map(|at| setting::settings(reader, at)).unwrap_or_default(),
        prepend,
        append,
    };
    // What could not be read is no contradiction yet.
    if reader.mistake_count() == had {
        check_actions(reader, rule, &said, &actions);
    }
    actions
}

/// Notes what contradicts itself, and a rule without anything to do.
fn check_actions(reader: &mut Reader<'_>, rule: &Section<'_>, said: &Said<'_>, actions: &Actions) {
    if let Some(at) = said.allow_models.as_ref().filter(|_| !actions.use_models.is_empty()) {
        let wrong = Wrong::new("`use` already says that there are no others");
        reader.wrong(at, wrong.hint("keep one of them"));
    }
    if let [_, _, Some(at)] = &said.models
        && let Some(name) = actions.avoid.iter().find(|name| favoured(actions, name))
    {
        reader.wrong(at, Wrong::new(format!("the rule wants `{name}` too")).hint("keep it in one list"));
    }
    if let (Some(name), Some(at)) = (&actions.handoff_to, &said.handoff_to)
        && actions.avoid.contains(name)
    {
        reader.wrong(at, Wrong::new(format!("the rule avoids `{name}` too")).hint("keep one of them"));
    }
    let end = match (&said.refuse, actions.stop) {
        (Some(_), _) => Some("refuse"),
        (None, true) => Some("stop"),
        (None, false) => None,
    };
    let stop = said.stop.as_ref().filter(|_| end == Some("refuse") && actions.stop);
    let single = [&said.handoff_to, &said.allow_models, &said.max_turns, &said.mcp_servers, &said.set];
    let others = said.models.iter().chain(single).chain(&said.texts).flatten();
    if let Some(end) = end
        && let Some(other) = stop.into_iter().chain(others).next()
    {
        let wrong = Wrong::new(format!("the rule says `{end}` too, and then nothing else is done"));
        reader.wrong(other, wrong.hint("keep one of them, or make it two rules"));
    }
    if *actions == Actions::default() {
        let wrong = Wrong::new("the rule does nothing");
        let hint = "say what is done, such as `use`, `prefer`, `avoid` or `refuse`";
        reader.wrong_section(rule, wrong.hint(hint));
    }
}

/// Whether a model is among those that come first.
fn favoured(actions: &Actions, name: &ModelName) -> bool {
    actions.use_models.contains(name) || actions.prefer.contains(name)
}

fn read_models(reader: &mut Reader<'_>, at: Option<&At<'_>>, names: &Names<'_>) -> Vec<ModelName> {
    let items = at.and_then(|at| reader.one_or_more(at)).unwrap_or_default();
    names.models(reader, &items, "list")
}

/// Tool servers by name, each once.
fn read_servers(reader: &mut Reader<'_>, at: Option<&At<'_>>, names: &Names<'_>) -> Vec<String> {
    let items = at.and_then(|at| reader.one_or_more(at)).unwrap_or_default();
    let mut servers: Vec<String> = Vec::with_capacity(items.len());
    for item in &items {
        let name = reader.read(item, |text| {
            if servers.iter().any(|name| name == text) {
                return Err(Wrong::new(format!("`{text}` is in the list twice")));
            }
            names.server(text)
        });
        servers.extend(name);
    }
    servers
}
