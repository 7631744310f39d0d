//! Reads what a client wishes of hand-offs: `handoff_config`, `max_turns`, and what it sets for single models of its list.
//!
//! The clients that send `handoff_config` know it as an object without a schema. So nothing in it is
//! ever refused: what is not understood, or has another form, is named in `ignored`.
//!
//! - Start with [`read`].
//! - **Invariant:** what is set for a model is a member that the client's dialect has, and never one
//!   that would change how the answer is carried.

use std::collections::{BTreeMap, BTreeSet};

use baton_model::{Dialect, RawJson, RawObject};
use baton_policy::{Order, Wishes};
use baton_run::{CallsTold, HandoffMode, HandoffWishes, History, TargetWishes};
use serde_json::Value;

use crate::error::ApiError;
use crate::wishes::{MOST, constraints, dollars, shares, short};

/// How many messages `last_n` keeps where no number is given.
const LAST_N: u32 = 10;
/// The longest text about a target.
const LONGEST_TEXT: usize = 4096;

/// Members of a chat request that a model of the list may have values of its own for.
const CHAT_SETTINGS: [&str; 32] = [
    "audio",
    "frequency_penalty",
    "generation_config",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "safety_settings",
    "search_parameters",
    "seed",
    "service_tier",
    "stop",
    "store",
    "temperature",
    "thinking",
    "tool_choice",
    "tool_config",
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
];

/// The same of a request for a message; `web_search_options` and others have no place there.
const MESSAGES_SETTINGS: [&str; 10] = [
    "max_tokens",
    "metadata",
    "output_config",
    "service_tier",
    "stop_sequences",
    "temperature",
    "thinking",
    "tool_choice",
    "top_k",
    "top_p",
];

/// The same of a request for a response.
const RESPONSES_SETTINGS: [&str; 18] = [
    "include",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Reads all of it. Limits on candidates, orders and attributes go to `wishes`.
pub(crate) fn read(
    dialect: Dialect,
    body: &RawObject,
    settings: Vec<(String, RawJson)>,
    wishes: &mut Wishes,
    ignored: &mut Vec<String>,
) -> Result<HandoffWishes, ApiError> {
    let mut reader = Reader { dialect, wishes, ignored: BTreeSet::new(), read: HandoffWishes::default() };
    reader.read.max_turns = max_turns(body)?;
    match body.read::<bool>("handoff_mode") {
        // A turn with calls for both sides is gone over again by the model: that is what `false` asks for.
        Ok(Some(true)) => reader.read.calls = CallsTold::Apart,
        Ok(Some(false) | None) => {}
        Err(_other) => reader.ignore("handoff_mode"),
    }
    for (model, settings) in settings {
        reader.settings(&model, &settings, "model[].settings");
    }
    if let Some(config) = body.get("handoff_config") {
        match serde_json::from_slice(config) {
            Ok(config) => reader.config(&config),
            Err(_no_object) => reader.ignore("handoff_config"),
        }
    }
    let Reader { read, ignored: unread, .. } = reader;
    ignored.extend(unread);
    Ok(read)
}

/// Gives `model_attributes` the spelling of the models that the request names.
///
/// A client library that turns every key to `snake_case` sends `meta-llama/Llama-3` as
/// `meta-llama/_llama-3` there, and as it is in `model`.
pub(crate) fn respell(names: &[String], wishes: &mut Wishes) {
    for name in names {
        if wishes.model_attributes.contains_key(name) {
            continue;
        }
        let plain = plain(name);
        let mangled =
            wishes.model_attributes.keys().find(|key| !names.contains(key) && self::plain(key) == plain);
        if let Some(mangled) = mangled.cloned()
            && let Some(offers) = wishes.model_attributes.remove(&mangled)
        {
            wishes.model_attributes.insert(name.clone(), offers);
        }
    }
}

/// A name as far as it survives a change between camel and snake case.
fn plain(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

fn max_turns(body: &RawObject) -> Result<Option<u32>, ApiError> {
    let wrong = || ApiError::invalid("`max_turns` must be a whole number from 1", Some("max_turns"));
    match body.read::<u32>("max_turns") {
        Ok(Some(0)) | Err(_) => Err(wrong()),
        Ok(turns) => Ok(turns),
    }
}

struct Reader<'a> {
    dialect: Dialect,
    wishes: &'a mut Wishes,
    /// What is not followed, each once.
    ignored: BTreeSet<String>,
    read: HandoffWishes,
}

impl Reader<'_> {
    fn ignore(&mut self, path: impl Into<String>) {
        if self.ignored.len() < MOST {
            self.ignored.insert(path.into());
        }
    }

    fn config(&mut self, members: &BTreeMap<String, RawJson>) {
        for (key, raw) in members {
            let Ok(value) = raw.read::<Value>() else { continue };
            let taken = match key.as_str() {
                _ if value.is_null() => true,
                "strategy" => value.as_str().is_some_and(|word| self.strategy(word)),
                "max_handoffs" => taken(&mut self.read.max_handoffs, count(&value)),
                "allow_return" | "allow_cycles" => {
                    value.as_bool().map(|allowed| self.read.no_return |= !allowed).is_some()
                }
                "history" => taken(&mut self.read.history, history(&value, members.get("last_n"))),
                // Read with `history`.
                "last_n" => count(&value).is_some_and(|n| n > 0),
                "require_reason" => value.as_bool().map(|is| self.read.require_reason = is).is_some(),
                "package" => value.as_bool().map(|is| self.read.package = is).is_some(),
                "targets" => {
                    let targets = raw.read::<Vec<RawJson>>();
                    targets.map(|targets| targets.iter().take(MOST).for_each(|it| self.target(it))).is_ok()
                }
                "constraints" => {
                    let limits = raw.read::<BTreeMap<String, Value>>();
                    limits.map(|limits| self.constraints(limits)).is_ok()
                }
                // What happens anyway.
                "follow" => value == Value::Bool(true),
                "sticky" => value == "conversation",
                _ => false,
            };
            if !taken {
                self.ignore(format!("handoff_config.{}", short(key)));
            }
        }
    }

    fn strategy(&mut self, word: &str) -> bool {
        let mode = match word {
            // Whatever the gateway does by itself.
            "auto" => return true,
            "first" => HandoffMode::Off,
            "rules" => HandoffMode::Rules,
            "llm" => HandoffMode::Model,
            "hybrid" => HandoffMode::Both,
            "attributes" => {
                if self.wishes.order.is_empty() {
                    self.wishes.order = vec![Order::Attributes];
                }
                HandoffMode::Off
            }
            _ => return false,
        };
        self.read.mode = Some(mode);
        true
    }

    fn constraints(&mut self, limits: BTreeMap<String, Value>) {
        for (key, value) in limits {
            let path = format!("handoff_config.constraints.{}", short(&key));
            if matches!(key.as_str(), "max_cost" | "max_cost_usd") {
                // A run is what the limit is on; a single candidate has `baton.constraints`.
                if !value.is_null() && !taken(&mut self.read.budget, dollars(&value)) {
                    self.ignore(path);
                }
                continue;
            }
            let mut unknown = Vec::new();
            match constraints(std::iter::once((key, value)).collect(), &mut unknown) {
                Ok(limit) if unknown.is_empty() => {
                    self.wishes.constraints = self.wishes.constraints.and(&limit);
                }
                _ => self.ignore(path),
            }
        }
    }

    fn target(&mut self, raw: &RawJson) {
        let Ok(mut members) = raw.read::<BTreeMap<String, RawJson>>() else {
            return self.ignore("handoff_config.targets[]");
        };
        let Some(model) = members.remove("model").and_then(|model| model.read::<String>().ok()) else {
            return self.ignore("handoff_config.targets[].model");
        };
        let (mut description, mut when) = (None, None);
        for (key, raw) in members {
            let path = format!("handoff_config.targets[].{}", short(&key));
            let Ok(value) = raw.read::<Value>() else { continue };
            let said = || value.as_str().map(text);
            let taken = match key.as_str() {
                _ if value.is_null() => true,
                "description" => taken(&mut description, said()),
                "when" => taken(&mut when, said()),
                "additional_instructions" => {
                    taken(&mut self.wishes_of(&model).additional_instructions, said())
                }
                "settings" => {
                    self.settings(&model, &raw, &path);
                    true
                }
                "enabled_if" => value == Value::Bool(true),
                _ => false,
            };
            if !taken {
                self.ignore(path);
            }
        }
        let when = when.map(|when| format!("To be chosen when: {when}"));
        let said: Vec<String> = [description, when].into_iter().flatten().collect();
        if !said.is_empty() {
            self.wishes_of(&model).description = Some(said.join(" "));
        }
    }

    /// Reads the members that shall have another value while a model answers. A later value counts.
    fn settings(&mut self, model: &str, raw: &RawJson, path: &str) {
        let Ok(members) = raw.read::<BTreeMap<String, RawJson>>() else { return self.ignore(path) };
        let known: &[&str] = match self.dialect {
            Dialect::OpenaiChat => &CHAT_SETTINGS,
            Dialect::AnthropicMessages => &MESSAGES_SETTINGS,
            Dialect::OpenaiResponses => &RESPONSES_SETTINGS,
        };
        for (key, value) in members {
            if value.get() == "null" {
                continue;
            }
            if known.contains(&key.as_str()) {
                let settings = &mut self.wishes_of(model).settings;
                settings.retain(|(name, _)| *name != key);
                settings.push((key, value));
                continue;
            }
            let attributes = || value.read().ok().and_then(|given| shares(given, path).ok());
            match (key.as_str(), (key == "attributes").then(attributes).flatten()) {
                ("attributes", Some(offers)) => {
                    // What `model_attributes` says of the model stands.
                    let known = self.wishes.model_attributes.entry(short(model).to_owned()).or_default();
                    offers.into_iter().for_each(|(name, share)| _ = known.entry(name).or_insert(share));
                }
                _ => self.ignore(format!("{path}.{}", short(&key))),
            }
        }
    }

    fn wishes_of(&mut self, model: &str) -> &mut TargetWishes {
        self.read.targets.entry(model.to_owned()).or_default()
    }
}

/// Puts a value in its place if there is one.
fn taken<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let is_there = value.is_some();
    if is_there {
        *place = value;
    }
    is_there
}

fn count(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|count| u32::try_from(count).ok())
}

/// `full`, `last_n` (how many in the object, or beside it), `summary` or `none`.
fn history(value: &Value, beside: Option<&RawJson>) -> Option<History> {
    let last = |n: u32| (n > 0).then_some(History::LastN(n));
    match value {
        Value::String(word) => match word.as_str() {
            "full" => Some(History::Full),
            "summary" => Some(History::Summary),
            "none" => Some(History::None),
            "last_n" => last(beside.and_then(|raw| raw.read().ok()).unwrap_or(LAST_N)),
            _ => None,
        },
        Value::Object(members) if members.len() == 1 => last(count(members.get("last_n")?)?),
        _ => None,
    }
}

/// A client's text, no longer than it need be.
fn text(text: &str) -> String {
    text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
