//! Members of a request that mean the same in both of OpenAI's dialects, and are of no other.
//!
//! - [`LOGPROBS`] is what Responses call the wish for log probabilities.
//! - **Never here:** members that the model has a place for.

use baton_model::RawJson;

/// The same name and meaning in both.
pub(crate) const SHARED: [&str; 7] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
];

/// What stands in `include` of Responses where chat completions say `logprobs`.
pub(crate) const LOGPROBS: &str = "message.output_text.logprobs";

/// How many alternatives a client wants to see of every token, if it asks for log probabilities.
pub(crate) fn wanted_logprobs(extra: &[(String, RawJson)]) -> Option<u64> {
    let member = |name: &str| extra.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let by_flag = member("logprobs").is_some_and(|flag| flag.get() == "true");
    let by_include = member("include")
        .and_then(|list| list.read::<Vec<String>>().ok())
        .is_some_and(|list| list.iter().any(|entry| entry == LOGPROBS));
    let top = member("top_logprobs").and_then(|top| top.read().ok());
    (by_flag || by_include).then(|| top.unwrap_or(0))
}

/// Whether a member is part of that wish alone.
pub(crate) fn is_of_logprobs(key: &str, value: &RawJson) -> bool {
    match key {
        "logprobs" | "top_logprobs" => true,
        "include" => value.read::<Vec<String>>().is_ok_and(|list| list.iter().all(|entry| entry == LOGPROBS)),
        _ => false,
    }
}
