//! Puts chunks together as `openai-python` does (`ChatCompletionStreamState` and `accumulate_delta`).

use serde_json::{Value, json};

pub(super) fn accumulate(events: &[(String, Vec<u8>)]) -> Result<Value, Value> {
    let mut snapshot: Option<Value> = None;
    for (name, data) in events {
        if data.starts_with(b"[DONE]") {
            return Ok(snapshot.expect("a stream without a chunk"));
        }
        let chunk: Value = serde_json::from_slice(data).unwrap();
        if name == "error" || chunk["error"].is_object() {
            return Err(chunk);
        }
        assert_eq!(name, "", "an event has a name");
        assert_eq!(chunk["object"], "chat.completion.chunk");
        add_chunk(&mut snapshot, chunk);
    }
    panic!("a stream without its end mark")
}

fn add_chunk(snapshot: &mut Option<Value>, chunk: Value) {
    let Some(whole) = snapshot else {
        let mut first = chunk;
        first["object"] = json!("chat.completion");
        for choice in first["choices"].as_array_mut().unwrap() {
            let mut message = json!({});
            add(&mut message, &choice["delta"]);
            let choice = choice.as_object_mut().unwrap();
            choice.remove("delta");
            choice.insert("message".to_owned(), message);
        }
        *snapshot = Some(first);
        return;
    };
    for choice in chunk["choices"].as_array().unwrap() {
        let known = &mut whole["choices"][0];
        assert_eq!(choice["index"], 0);
        add(&mut known["message"], &choice["delta"]);
        if !choice["finish_reason"].is_null() {
            known["finish_reason"] = choice["finish_reason"].clone();
        }
        for key in ["content", "refusal"] {
            let more = choice["logprobs"][key].as_array().cloned().unwrap_or_default();
            if !more.is_empty() {
                if known["logprobs"].is_null() {
                    known["logprobs"] = json!({});
                }
                let mut tokens = known["logprobs"][key].as_array().cloned().unwrap_or_default();
                tokens.extend(more);
                known["logprobs"][key] = tokens.into();
            }
        }
    }
    // Whatever stands in the last chunk counts, be it nothing.
    for key in ["usage", "system_fingerprint"] {
        whole[key] = chunk[key].clone();
    }
}

fn add(whole: &mut Value, delta: &Value) {
    for (key, value) in delta.as_object().into_iter().flatten() {
        let known = &mut whole[key.as_str()];
        if known.is_null() {
            if !has_numbers(value) {
                *known = value.clone();
                continue;
            }
            *known = json!([]);
        }
        match (known, value) {
            (known, value) if key == "index" || key == "type" => *known = value.clone(),
            (Value::String(known), Value::String(more)) => known.push_str(more),
            (known @ Value::Object(_), value @ Value::Object(_)) => add(known, value),
            (Value::Array(known), Value::Array(more)) => add_entries(known, more),
            (Value::Number(_), Value::Number(_)) => panic!("numbers are added up: {key}"),
            _ => {}
        }
    }
}

fn has_numbers(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().any(|entry| entry.get("index").is_some()))
}

fn add_entries(known: &mut Vec<Value>, more: &[Value]) {
    for entry in more {
        let index = entry["index"].as_u64().expect("an entry of a list without its `index`");
        let index = usize::try_from(index).unwrap();
        match known.get_mut(index) {
            Some(known) => add(known, entry),
            None => known.insert(index, entry.clone()),
        }
    }
}
