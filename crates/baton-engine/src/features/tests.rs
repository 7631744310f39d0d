use baton_model::Dialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};

use super::*;

/// What is read off a body: tokens in, the limit, tools, and the words for what it has or wants.
#[track_caller]
fn check(dialect: Dialect, body: &str) -> String {
    let body = RawObject::parse(body.to_owned().into()).unwrap();
    let read = features(dialect, &body, false, None, Needs { task: true, ..Needs::default() }).unwrap();
    let mut said = vec![format!("{} messages", read.messages)];
    said.extend(read.max_output_tokens.map(|limit| format!("limit {limit}")));
    if read.tools > 0 {
        said.push(format!("{} tools", read.tools));
    }
    let words = [
        ("images", read.images),
        ("audio", read.audio),
        ("structured", read.structured_output),
        ("logprobs", read.logprobs),
        ("reasoning", read.reasoning),
    ];
    said.extend(words.into_iter().filter(|(_, is)| *is).map(|(word, _)| word.to_owned()));
    said.join(", ")
}

#[test]
fn a_text_is_one_message() {
    assert_eq!(check(OpenaiResponses, r#"{"input":"hi"}"#), "1 messages");
    assert_eq!(check(OpenaiChat, r#"{"messages":"hi"}"#), "1 messages");
}

#[test]
fn the_limit_stands_under_the_dialects_own_name() {
    assert_eq!(
        check(OpenaiResponses, r#"{"input":"hi","max_output_tokens":9,"max_tokens":5}"#),
        "1 messages, limit 9"
    );
    assert_eq!(
        check(OpenaiChat, r#"{"messages":[],"max_tokens":5,"max_output_tokens":9}"#),
        "0 messages, limit 5"
    );
    assert_eq!(check(AnthropicMessages, r#"{"messages":[{}],"max_tokens":5}"#), "1 messages, limit 5");
}

#[test]
fn pictures_are_seen_in_each_form() {
    let part = |part: &str| format!(r#"[{{"role":"user","content":[{part}]}}]"#);
    let body = |key: &str, list: &str| format!(r#"{{"{key}":{list}}}"#);
    let image = part(r#"{"type":"input_image","image_url":"https://e"}"#);
    assert_eq!(check(OpenaiResponses, &body("input", &image)), "1 messages, images");
    let image = part(r#"{"type":"image_url","image_url":{"url":"https://e"}}"#);
    assert_eq!(check(OpenaiChat, &body("messages", &image)), "1 messages, images");
    let image = part(r#"{"type":"image","source":{}}"#);
    assert_eq!(check(AnthropicMessages, &body("messages", &image)), "1 messages, images");
    // The member of a part's alone is no picture there.
    let file = part(r#"{"type":"input_file","image_url":null}"#);
    assert_eq!(check(OpenaiResponses, &body("input", &file)), "1 messages");
}

#[test]
fn what_an_answer_should_have_is_read_where_each_dialect_says_it() {
    let wanted = r#"{"input":"hi","text":{"format":{"type":"json_schema"}},"reasoning":{"effort":"low"},"include":["message.output_text.logprobs"]}"#;
    assert_eq!(check(OpenaiResponses, wanted), "1 messages, structured, logprobs, reasoning");
    let nothing = r#"{"input":"hi","text":{"format":{"type":"text"}},"reasoning":{"effort":"none","summary":"auto"},"include":["reasoning.encrypted_content"],"top_logprobs":0}"#;
    assert_eq!(check(OpenaiResponses, nothing), "1 messages");
    let wanted = r#"{"messages":[],"response_format":{"type":"json_schema"},"reasoning_effort":"low","logprobs":true}"#;
    assert_eq!(check(OpenaiChat, wanted), "0 messages, structured, logprobs, reasoning");
}

#[test]
fn instructions_count_as_input_and_the_last_text_of_a_user_is_found() {
    let tokens = |body: &str| {
        let body = RawObject::parse(body.to_owned().into()).unwrap();
        features(OpenaiResponses, &body, false, None, Needs::default()).unwrap().input_tokens
    };
    assert!(
        tokens(r#"{"input":"hi","instructions":"a longer text than that"}"#) > tokens(r#"{"input":"hi"}"#)
    );
    let items = br#"[{"role":"user","content":"one"},{"type":"message","role":"user","content":[{"type":"input_text","text":"two"}]},
        {"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"three"}]"#;
    assert_eq!(last_user_text(items), ("two".to_owned(), 4));
}
