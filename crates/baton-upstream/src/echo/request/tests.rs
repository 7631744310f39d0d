use super::*;

#[test]
fn a_small_request_is_read() {
    let request = parse(r#"{"model":"hello","messages":[{"role":"user","content":"hi"}]}"#).unwrap();
    assert_eq!((request.model.as_str(), request.choices, request.stream), ("hello", 1, false));
    assert_eq!(request.last_user().map(|user| user.text.as_str()), Some("hi"));
    assert_eq!(request.input_tokens, 5);
}

#[test]
fn null_is_the_same_as_absent() {
    let request = parse(
        r#"{"model":"hello","messages":[{"role":"user","content":null}],"tools":null,"tool_choice":null,
            "stream":null,"stream_options":null,"stop":null,"n":null,"max_tokens":null,"response_format":null}"#,
    )
    .unwrap();
    assert_eq!((request.tool_choice, request.format), (ToolChoice::Auto, Format::Text));
}

#[test]
fn text_parts_are_joined_and_images_counted() {
    let request = parse(
        r#"{"model":"m","messages":[{"role":"user","content":[
            {"type":"text","text":"a"},{"type":"text","text":"b"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAA==","detail":"low"}},
            {"type":"image_url","image_url":{"url":"https://example.com/x.jpg"}},
            {"type":"input_audio","input_audio":{"data":"","format":"wav"}}]}]}"#,
    )
    .unwrap();
    let user = request.last_user().unwrap();
    assert_eq!(user.text, "a\nb");
    assert_eq!(user.images, [Image::Inline { format: "PNG".to_owned(), bytes: 4 }, Image::Remote]);
}

#[test]
fn tool_results_know_the_tool_they_are_of() {
    let request = parse(
        r#"{"model":"m","messages":[{"role":"user","content":"x"},
            {"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},
                                              {"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"c2","content":"two"},
            {"role":"tool","tool_call_id":"lost","content":"three"}]}"#,
    )
    .unwrap();
    assert_eq!(request.tool_results(), [(Some("g"), "two"), (None, "three")]);
}

#[test]
fn a_result_before_a_user_message_is_history() {
    let request = parse(
        r#"{"model":"m","messages":[{"role":"tool","tool_call_id":"c","content":"old"},{"role":"user","content":"x"}]}"#,
    );
    assert!(request.unwrap().tool_results().is_empty());
}

#[test]
fn allowed_tools_narrow_the_offer() {
    let request = parse(
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],
            "tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}},
                     {"type":"custom","custom":{"name":"c"}}],
            "tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required",
                "tools":[{"type":"function","function":{"name":"b"}}]}}}"#,
    )
    .unwrap();
    assert_eq!(request.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(request.tool_choice, ToolChoice::Required);
}

#[test]
fn the_newer_limit_counts() {
    let request =
        parse(r#"{"model":"m","messages":[{"role":"user"}],"max_tokens":9,"max_completion_tokens":5}"#);
    assert_eq!(request.unwrap().max_tokens, Some(5));
}

#[test]
fn missing_members_are_named() {
    refused(r#"{"messages":[]}"#, "model", "Missing required parameter: `model`.");
    refused(r#"{"model":"m"}"#, "messages", "Missing required parameter: `messages`.");
}

#[test]
fn wrong_types_are_named() {
    refused_at(r#"{"model":7,"messages":[]}"#, "model");
    refused_at(r#"{"model":"m","messages":"hi"}"#, "messages");
    refused_at(r#"{"model":"m","messages":[{"role":"user"}],"stream":"yes"}"#, "stream");
    refused_at(r#"{"model":"m","messages":[{"role":"user"}],"n":-1}"#, "n");
    refused_at(r#"{"model":"m","messages":[{"role":"user"}],"tools":[{"type":"function"}]}"#, "tools");
    refused_at(
        r#"{"model":"m","messages":[{"role":"user"}],"response_format":{"type":"xml"}}"#,
        "response_format",
    );
}

#[test]
fn a_bad_message_is_named_by_its_place() {
    refused_at(r#"{"model":"m","messages":[{"role":"user"},{"role":"wizard"}]}"#, "messages[1]");
    refused_at(r#"{"model":"m","messages":[{"content":"x"}]}"#, "messages[0]");
    refused_at(r#"{"model":"m","messages":[{"role":"user","content":7}]}"#, "messages[0]");
}

#[test]
fn a_bad_image_is_named_by_its_place() {
    for url in
        ["data:text/plain;base64,AA==", "data:image/png,AA", "file:///etc/passwd", "data:image/;base64,"]
    {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}]}}"#
        );
        refused_at(&body, "messages[0].content[0].image_url.url");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let with = |more: &str| format!(r#"{{"model":"m","messages":[{{"role":"user"}}],{more}}}"#);
    refused_at(&with(r#""tool_choice":"auto""#), "tool_choice");
    refused_at(&with(r#""stream_options":{}"#), "stream_options");
    refused_at(&with(r#""n":0"#), "n");
    refused_at(&with(r#""n":129"#), "n");
    refused_at(&with(r#""max_tokens":0"#), "max_tokens");
    let tools = r#""tools":[{"type":"function","function":{"name":"a"}}]"#;
    refused_at(
        &with(&format!(r#"{tools},"tool_choice":{{"type":"function","function":{{"name":"b"}}}}"#)),
        "tool_choice",
    );
    refused_at(&with(r#""tools":[{"type":"custom"}],"tool_choice":"required""#), "tool_choice");
    refused_at(r#"{"model":"m","messages":[]}"#, "messages");
}

#[test]
fn what_is_no_json_object_is_refused() {
    for body in ["", "{", "[]", "\"x\"", r#"{"model":"m","model":"n"}"#] {
        assert!(parse(body).is_err(), "{body}");
    }
}

fn parse(body: &str) -> Result<Request, Refusal> {
    Request::parse(Bytes::copy_from_slice(body.as_bytes()))
}

#[track_caller]
fn refused(body: &str, param: &str, message: &str) {
    let refusal = parse(body).unwrap_err();
    assert_eq!((refusal.param.as_deref(), refusal.message.as_str()), (Some(param), message));
}

#[track_caller]
fn refused_at(body: &str, param: &str) {
    let refusal = parse(body).unwrap_err();
    assert_eq!(refusal.param.as_deref(), Some(param), "{refusal:?}");
}
