//! Lets another process say what a fake does next, and ask what it saw.
//!
//! `POST /__script` takes a list of steps, which replace the queue; what was seen before is
//! forgotten. `GET /__seen` answers with every request since, and with how many steps are left.
//!
//! - Start with [`steps`] and [`seen`].
//! - **Invariant:** only a fake whose script is [`controlled`](super::Script::controlled) hears them.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Value, json};

use super::model::Usage;
use super::script::{Fault, Said, Step};
use super::seen::Seen;

/// Where steps are given.
pub(crate) const SCRIPT: &str = "/__script";

/// Where what was seen is asked for.
pub(crate) const SEEN: &str = "/__seen";

/// A step as JSON says it: a text, calls or both, with what they cost if it is to be told; or the name of a fault.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    say: Option<String>,
    #[serde(default)]
    call: Vec<(String, Value)>,
    usage: Option<Usage>,
    fault: Option<String>,
}

/// Reads a list of steps.
pub(crate) fn steps(body: &[u8]) -> Result<VecDeque<Step>, String> {
    let written: Vec<Written> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    written.into_iter().map(step).collect()
}

fn step(written: Written) -> Result<Step, String> {
    let said = match written {
        Written { say: None, call, usage: None, fault: Some(fault) } if call.is_empty() => {
            let named = Fault::named(&fault).map(Step::Fault);
            return named.ok_or_else(|| format!("there is no fault `{fault}`"));
        }
        Written { say: Some(text), ref call, fault: None, .. } if call.is_empty() => Said::Text(text),
        Written { say: Some(text), call, fault: None, .. } => Said::TextAndCalls(text, call),
        Written { say: None, call, fault: None, .. } if !call.is_empty() => Said::Calls(call),
        other => return Err(format!("a step has `say`, `call` or both, or `fault` alone: {other:?}")),
    };
    Ok(match written.usage {
        Some(usage) => Step::Counted(said, usage),
        None => Step::Say(said),
    })
}

/// Tells what was seen.
pub(crate) fn seen(seen: &[Seen], left: usize) -> Value {
    let told = |seen: &Seen| {
        let headers: serde_json::Map<String, Value> =
            seen.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        json!({ "path": seen.path, "headers": headers, "body": seen.json(), "status": seen.status })
    };
    let asked = seen.iter().filter(|seen| seen.path != SEEN);
    json!({ "seen": asked.map(told).collect::<Vec<_>>(), "left": left })
}

#[cfg(test)]
mod tests;
