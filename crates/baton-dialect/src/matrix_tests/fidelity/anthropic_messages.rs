//! Messages, as Anthropic's reference describes them.
//! <https://platform.claude.com/docs/en/api/messages>

mod client;
mod sdk;
mod upstream;

use baton_model::FaultKind;
use serde_json::{Value, json};

use super::conversation::{Ask, Finish, OTHER_FILE, Reply};
use super::facet::{Facet, Order, Row};
use super::speaker::{Known, Speaker};
use crate::Feature as F;

pub(super) struct Messages;

/// Members of a request that the suite uses, beside those that have a feature of their own.
const MEMBERS: [&str; 4] = ["container", "context_management", "inference_geo", "mcp_servers"];

const OWN: &str = "anthropic_messages";

impl Speaker for Messages {
    fn says(&self, row: &Row) -> bool {
        match row.feature {
            F::SpeakerName
            | F::ImageDetail
            | F::Audio
            | F::PastRefusal
            | F::JsonObject
            | F::Seed
            | F::Penalties
            | F::AskedLogprobs => false,
            F::CacheMark => row.of.is_empty(),
            F::Document | F::DocumentInResult => row.of != OTHER_FILE,
            F::PastThinking | F::PastVendorItem | F::VendorTool => row.of == OWN,
            F::OtherMember => MEMBERS.contains(&row.of.as_str()),
            _ => true,
        }
    }

    fn takes(&self, row: &Row) -> bool {
        match row.feature {
            F::CacheMark => row.of.is_empty(),
            F::Document | F::DocumentInResult => row.of != OTHER_FILE,
            _ => self.says(row),
        }
    }

    fn refuses(&self, ask: &Ask) -> bool {
        ask.temperature.is_some_and(|temperature| temperature > 1.0)
            || ask.stop.iter().any(|stop| stop.trim().is_empty())
    }

    fn provides(&self, row: &Row) -> bool {
        match row.feature {
            F::VendorItem | F::ThinkingProof => row.of == OWN,
            F::Logprobs | F::SpokenAudio => false,
            _ => true,
        }
    }

    fn shows(&self, row: &Row) -> bool {
        self.provides(row)
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
        // Its filter is told as a refusal.
        match reply.finish {
            Finish::ContentFilter => Finish::Refusal,
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
            Finish::Stop => ("end_turn", Known::Exactly),
            Finish::StopSequence => ("stop_sequence", Known::Exactly),
            Finish::Length => ("max_tokens", Known::Exactly),
            Finish::ToolCalls => ("tool_use", Known::Exactly),
            Finish::ContentFilter => ("refusal", Known::Nearly),
            Finish::Refusal => ("refusal", Known::Exactly),
            Finish::Pause => ("pause_turn", Known::Exactly),
        }
    }

    fn failure(&self, kind: FaultKind, message: &str) -> (u16, Value) {
        upstream::failure(kind, message)
    }

    fn failed_frame(&self, kind: FaultKind, message: &str) -> String {
        format!("event: error\ndata: {}\n\n", upstream::failure(kind, message).1)
    }

    fn error(&self, body: &Value) -> (String, String) {
        assert_eq!(body["type"], json!("error"));
        let text = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
        (text("type"), text("message"))
    }
}
