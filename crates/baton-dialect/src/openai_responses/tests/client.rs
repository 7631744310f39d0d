//! Puts a stream together as `openai-python` does, and checks what clients rely on.

use serde_json::{Value, json};

/// The answer that a client makes of the events of a stream: the last event's, which must be what the pieces say.
pub(crate) fn accumulate_response(events: &[(String, Vec<u8>)]) -> Value {
    let mut client = Client::default();
    for (number, (name, data)) in events.iter().enumerate() {
        let event: Value = serde_json::from_slice(data).unwrap();
        assert_eq!(event["type"], *name);
        assert_eq!(event["sequence_number"], number, "a gap in the numbers");
        client.take(&event);
    }
    let whole = client.whole.expect("no end");
    assert_eq!(whole["id"], client.id);
    assert_eq!(whole["output"], Value::Array(client.done), "the last event says what the items said");
    whole
}

#[derive(Default)]
struct Client {
    id: Value,
    /// Items as they grow.
    items: Vec<Value>,
    /// The same when they are done; `null` before.
    done: Vec<Value>,
    whole: Option<Value>,
}

impl Client {
    fn take(&mut self, event: &Value) {
        assert!(self.whole.is_none(), "an event after the end");
        let kind = event["type"].as_str().unwrap();
        match kind {
            "response.created" => {
                assert!(self.id.is_null(), "two starts");
                self.id = event["response"]["id"].clone();
                assert_eq!(event["response"]["output"], json!([]));
            }
            "response.in_progress" => assert_eq!(event["response"]["id"], self.id),
            "response.output_item.added" => {
                assert!(!self.id.is_null(), "an item before the start");
                assert_eq!(event["output_index"], self.items.len(), "a gap in the places");
                self.items.push(event["item"].clone());
                self.done.push(Value::Null);
            }
            "response.output_item.done" => {
                let at = index(event, "output_index");
                assert!(self.done[at].is_null(), "an item is done twice");
                let item = &event["item"];
                assert_eq!(item["id"], self.items[at]["id"]);
                self.compare(at, item);
                self.done[at] = item.clone();
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                assert_eq!(event["response"]["status"], kind.strip_prefix("response.").unwrap());
                self.whole = Some(event["response"].clone());
            }
            _ => {
                let at = index(event, "output_index");
                assert!(self.done[at].is_null(), "{kind} after the end of its item");
                assert_eq!(event["item_id"], self.items[at]["id"]);
                self.piece(at, kind, event);
            }
        }
    }

    fn piece(&mut self, at: usize, kind: &str, event: &Value) {
        let item = &mut self.items[at];
        match kind {
            "response.content_part.added" => {
                let content = item["content"].as_array_mut().unwrap();
                assert_eq!(event["content_index"], content.len());
                content.push(event["part"].clone());
            }
            "response.output_text.delta" => {
                append(&mut item["content"][index(event, "content_index")]["text"], event);
            }
            "response.refusal.delta" => {
                append(&mut item["content"][index(event, "content_index")]["refusal"], event);
            }
            "response.output_text.annotation.added" => {
                let part = &mut item["content"][index(event, "content_index")];
                let annotations = part["annotations"].as_array_mut().unwrap();
                assert_eq!(event["annotation_index"], annotations.len());
                annotations.push(event["annotation"].clone());
            }
            "response.output_text.done" => {
                assert_eq!(item["content"][index(event, "content_index")]["text"], event["text"]);
            }
            "response.refusal.done" => {
                assert_eq!(item["content"][index(event, "content_index")]["refusal"], event["refusal"]);
            }
            "response.content_part.done" => {
                let part = &item["content"][index(event, "content_index")];
                for key in ["type", "text", "refusal", "annotations"] {
                    assert_eq!(part[key], event["part"][key]);
                }
            }
            "response.function_call_arguments.delta" => append(&mut item["arguments"], event),
            "response.function_call_arguments.done" => {
                assert_eq!((&item["arguments"], &item["name"]), (&event["arguments"], &event["name"]));
            }
            "response.reasoning_summary_part.added" => {
                let summary = item["summary"].as_array_mut().unwrap();
                assert_eq!(event["summary_index"], summary.len());
                summary.push(event["part"].clone());
            }
            "response.reasoning_summary_text.delta" => {
                append(&mut item["summary"][index(event, "summary_index")]["text"], event);
            }
            "response.reasoning_summary_text.done" => {
                assert_eq!(item["summary"][index(event, "summary_index")]["text"], event["text"]);
            }
            "response.reasoning_summary_part.done" => {
                assert_eq!(item["summary"][index(event, "summary_index")], event["part"]);
            }
            other => panic!("{other}"),
        }
    }

    /// What the pieces made is what the item says at its end.
    fn compare(&self, at: usize, item: &Value) {
        let grown = &self.items[at];
        match item["type"].as_str().unwrap() {
            "message" => {
                let text = |item: &Value| -> Vec<Value> {
                    let parts = item["content"].as_array().unwrap();
                    parts
                        .iter()
                        .map(|part| json!([part["text"], part["refusal"], part["annotations"]]))
                        .collect()
                };
                assert_eq!(text(grown), text(item));
            }
            "function_call" => {
                assert_eq!(grown["arguments"], item["arguments"]);
            }
            "reasoning" => {
                let text = |item: &Value| -> String {
                    let parts = item["summary"].as_array().unwrap();
                    let texts: Vec<&str> = parts.iter().map(|part| part["text"].as_str().unwrap()).collect();
                    texts.join("\n\n")
                };
                // Thinking that is told in the content is shown as a summary while it comes.
                if item["content"].is_null() {
                    assert_eq!(text(grown), text(item));
                }
            }
            _ => assert_eq!(grown, item),
        }
    }
}

fn index(event: &Value, key: &str) -> usize {
    usize::try_from(event[key].as_u64().unwrap()).unwrap()
}

fn append(text: &mut Value, event: &Value) {
    let more = format!("{}{}", text.as_str().unwrap(), event["delta"].as_str().unwrap());
    *text = json!(more);
}
