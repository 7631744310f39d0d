//! Chat completions, as OpenAI's reference describes them.
//! <https://platform.openai.com/docs/api-reference/chat>

mod client;
mod sdk;
mod upstream;

use baton_model::FaultKind;
use serde_json::Value;

use super::conversation::{Ask, BY_ADDRESS, Finish, Reply};
use super::facet::{Facet, Order, Row};
use super::speaker::{Known, Speaker};
use crate::Feature as F;

pub(super) struct Chat;

/// Members of a request that the suite uses, beside those that have a feature of their own.
const MEMBERS: [&str; 11] = [
    "logit_bias",
    "metadata",
    "service_tier",
    "store",
    "verbosity",
    "prompt_cache_key",
    "n",
    "prediction",
    "web_search_options",
    "modalities",
    "audio",
];

impl Speaker for Chat {
    fn says(&self, row: &Row) -> bool {
        match row.feature {
            F::FailedResult | F::ImageInResult | F::DocumentInResult | F::ThinkingBudget => false,
            F::Document => row.of != BY_ADDRESS,
            // OpenRouter's form, which Baton takes from clients; OpenAI's own API has no thinking in a history.
            F::PastThinking => row.of != "openai_responses",
            F::PastVendorItem | F::VendorTool => row.of == "openai_chat",
            F::OtherMember => MEMBERS.contains(&row.of.as_str()),
            _ => true,
        }
    }

    fn takes(&self, row: &Row) -> bool {
        match row.feature {
            F::PastThinking => row.of == "openai_chat",
            F::CacheMark | F::TopK => false,
            F::DocumentInResult => row.of != BY_ADDRESS,
            _ => self.says(row),
        }
    }

    fn refuses(&self, ask: &Ask) -> bool {
        ask.stop.len() > 4
    }

    fn provides(&self, row: &Row) -> bool {
        match row.feature {
            F::VendorItem => row.of == "openai_chat",
            // As OpenRouter tells it.
            F::ThinkingProof => row.of == "anthropic_messages",
            F::StopSequence => false,
            _ => true,
        }
    }

    fn shows(&self, row: &Row) -> bool {
        self.provides(row)
    }

    fn order(&self) -> Order {
        Order::Sorted
    }

    fn ask(&self, ask: &Ask) -> Value {
        client::ask(ask)
    }

    fn hear(&self, body: &Value) -> Vec<Facet> {
        upstream::hear(body)
    }

    fn reply(&self, reply: &Reply) -> Value {
        upstream::reply(reply)
    }

    fn stream(&self, reply: &Reply) -> Vec<String> {
        upstream::stream(reply)
    }

    fn tells(&self, reply: &Reply) -> Finish {
        match reply.finish {
            Finish::StopSequence | Finish::Pause => Finish::Stop,
            // A refusal is told by its words alone.
            Finish::Refusal if !reply.refuses() => Finish::Stop,
            Finish::ToolCalls if !reply.calls("openai_chat") => Finish::Stop,
            finish => finish,
        }
    }

    fn accumulate(&self, events: &[(String, Vec<u8>)]) -> Result<Value, Value> {
        sdk::accumulate(events)
    }

    fn understand(&self, answer: &Value) -> (String, Vec<Facet>) {
        client::understand(answer)
    }

    fn word(&self, finish: Finish) -> (&'static str, Known) {
        match finish {
            Finish::Stop => ("stop", Known::Exactly),
            Finish::StopSequence | Finish::Pause => ("stop", Known::Nearly),
            Finish::Length => ("length", Known::Exactly),
            Finish::ToolCalls => ("tool_calls", Known::Exactly),
            Finish::ContentFilter => ("content_filter", Known::Exactly),
            Finish::Refusal => ("refusal", Known::Exactly),
        }
    }

    fn failure(&self, kind: FaultKind, message: &str) -> (u16, Value) {
        upstream::failure(kind, message)
    }

    fn failed_frame(&self, kind: FaultKind, message: &str) -> String {
        format!("data: {}\n\n", upstream::failure(kind, message).1)
    }

    fn error(&self, body: &Value) -> (String, String) {
        let text = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
        (text("type"), text("message"))
    }
}
