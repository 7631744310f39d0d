use serde_json::{Value, json};

use super::*;
use crate::fake::model::answer;
use crate::fake::openai;

#[test]
fn a_plain_request_is_read_and_nulls_are_nothing() {
    accepts(&json!({}));
    accepts(&json!({"temperature": null, "tools": null, "text": null, "reasoning": null, "include": null}));
    accepts(&json!({"tools": [], "tool_choice": "auto", "include": []}));
}

#[test]
fn what_the_format_does_not_know_is_refused() {
    refuses(&json!({"top_k": 5}), "Unknown parameter: 'top_k'.");
    refuses(&json!({"models": ["a"]}), "Unknown parameter: 'models'.");
    refuses(&json!({"messages": []}), "Unknown parameter: 'messages'.");
    refuses(
        &json!({"max_output_tokens": 5}),
        "Invalid 'max_output_tokens': 5 is not between 16 and 9223372036854775807.",
    );
    refuses(&json!({"input": null}), "Invalid type for 'input': expected an array.");
}

#[test]
fn calls_and_results_belong_together() {
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "1"});
    accepts(&json!({"input": [call, result]}));
    refuses(&json!({"input": [call]}), "Invalid 'input': No tool output found for function call c.");
    refuses(
        &json!({"input": [result]}),
        "Invalid 'input[0]': No tool call found for function call output with call_id c.",
    );
    accepts(&json!({"input": [result], "previous_response_id": "resp_fake1"}));
    refuses(
        &json!({"previous_response_id": "resp_other"}),
        "Invalid 'previous_response_id': Previous response with id 'resp_other' not found.",
    );
}

#[test]
fn thinking_of_others_is_not_taken() {
    let thought =
        |sealed: &str| json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed});
    accepts(&json!({"input": [thought("enc_fake_1")]}));
    refuses(
        &json!({"input": [thought("other")]}),
        "Invalid 'input[0].encrypted_content': the encrypted content could not be verified.",
    );
    refuses(
        &json!({"input": [{"role": "assistant", "id": "x", "content": "a"}]}),
        "Invalid 'input[0].id': 'x'. Expected an ID that begins with 'msg'.",
    );
}

#[test]
fn the_last_event_of_a_stream_has_the_whole_answer() {
    let tool = json!({"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": false});
    for more in [
        json!({}),
        json!({"tools": [tool]}),
        json!({"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}),
        json!({"max_output_tokens": 16, "input": "x ".repeat(60)}),
    ] {
        let asked = read(&request(&more)).unwrap();
        let reply = answer(&asked.ask, None);
        let frames = stream(&asked, &reply, 7, 3);
        let events: Vec<Value> = frames
            .iter()
            .map(|frame| {
                let text = std::str::from_utf8(&frame.bytes).unwrap();
                serde_json::from_str(text.trim_end().split_once("data: ").unwrap().1).unwrap()
            })
            .collect();
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], number, "{event}");
        }
        let last = events.last().unwrap();
        assert_eq!(last["response"], whole(&asked, &reply, 7), "{more}");
        let text: String = events
            .iter()
            .filter(|event| event["type"] == "response.output_text.delta")
            .map(|event| event["delta"].as_str().unwrap())
            .collect();
        assert_eq!(text, reply.text);
    }
}

fn request(more: &Value) -> Value {
    let mut body = json!({"model": "fake", "input": "hi"});
    for (key, value) in more.as_object().unwrap() {
        insert(&mut body, key, value.clone());
    }
    body
}

#[track_caller]
fn accepts(more: &Value) {
    assert!(read(&request(more)).is_ok(), "{more}: {:?}", read(&request(more)).map(|_| ()));
}

#[track_caller]
fn refuses(more: &Value, message: &str) {
    let misfit = read(&request(more)).map(|_| ()).unwrap_err();
    assert_eq!(openai::refusal(&misfit)["error"]["message"], message, "{more}");
}
