//! Responses, as OpenAI's reference describes them.
//! <https://platform.openai.com/docs/api-reference/responses>

mod client;
mod sdk;
mod upstream;

use baton_model::FaultKind;
use serde_json::{Value, json};

use super::conversation::{Ask, Finish, Reply};
use super::facet::{Facet, Order, Row};
use super::speaker::{Known, Speaker};
use crate::Feature as F;

pub(super) struct Responses;

/// Members of a request that the suite uses, beside those that have a feature of their own.
const MEMBERS: [&str; 8] = [
    "metadata",
    "service_tier",
    "store",
    "verbosity",
    "prompt_cache_key",
    "truncation",
    "include",
    "max_tool_calls",
];

const OWN: &str = "openai_responses";

impl Speaker for Responses {
    fn says(&self, row: &Row) -> bool {
        match row.feature {
            F::SpeakerName
            | F::Audio
            | F::FailedResult
            | F::TopK
            | F::Stop
            | F::Seed
            | F::Penalties
            | F::ThinkingBudget => false,
            F::CacheMark => row.of.is_empty(),
            // Another vendor's thinking comes back as Baton gave it out.
            F::PastThinking => row.of != "openai_chat",
            F::PastVendorItem | F::VendorTool => row.of == OWN,
            F::OtherMember => MEMBERS.contains(&row.of.as_str()),
            _ => true,
        }
    }

    fn takes(&self, row: &Row) -> bool {
        match row.feature {
            F::PastThinking => row.of == OWN,
            F::CacheMark => false,
            _ => self.says(row),
        }
    }

    fn refuses(&self, ask: &Ask) -> bool {
        ask.limit.is_some_and(|limit| limit < 16)
    }

    fn shows(&self, row: &Row) -> bool {
        // Baton gives other vendors' proofs to its clients under a mark of its own.
        row.feature == F::ThinkingProof || self.provides(row)
    }

    fn provides(&self, row: &Row) -> bool {
        match row.feature {
            F::VendorItem | F::ThinkingProof => row.of == OWN,
            F::StopSequence | F::SpokenAudio => false,
            _ => true,
        }
    }

    fn order(&self) -> Order {
        Order::Kept
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
            Finish::ToolCalls if !reply.calls(OWN) => Finish::Stop,
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
            Finish::Stop => ("completed", Known::Exactly),
            Finish::StopSequence | Finish::Pause => ("completed", Known::Nearly),
            Finish::Length => ("max_output_tokens", Known::Exactly),
            Finish::ToolCalls => ("completed, with a call", Known::Exactly),
            Finish::ContentFilter => ("content_filter", Known::Exactly),
            Finish::Refusal => ("completed, with a refusal", Known::Exactly),
        }
    }

    fn failure(&self, kind: FaultKind, message: &str) -> (u16, Value) {
        upstream::failure(kind, message)
    }

    fn failed_frame(&self, kind: FaultKind, message: &str) -> String {
        let (_, body) = upstream::failure(kind, message);
        let code = body["error"]["code"].as_str().or(body["error"]["type"].as_str());
        let event = json!({
            "type": "error", "sequence_number": 9, "code": code, "message": message, "param": null,
        });
        format!("event: error\ndata: {event}\n\n")
    }

    fn error(&self, body: &Value) -> (String, String) {
        let text = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
        (text("type"), text("message"))
    }
}
