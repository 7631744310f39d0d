use insta::assert_snapshot;

use super::*;

#[test]
fn a_clean_body_needs_nothing() {
    assert_snapshot!(check(r#"{"model":"c","max_tokens":1,"messages":[{"role":"user","content":"\"signature\":\"\""}],"tools":[{}]}"#), @"");
}

#[test]
fn null_members_go() {
    assert_snapshot!(check(r#"{"temperature":null,"messages":[],"system":null}"#), @r"
    temperature: removed
    system: removed
    ");
}

#[test]
fn no_tools_are_no_list() {
    assert_snapshot!(check(r#"{"tools":[ ],"tool_choice":{"type":"auto"},"messages":[]}"#), @r"
    tools: removed
    tool_choice: removed
    ");
}

#[test]
fn thinking_of_others_goes() {
    assert_snapshot!(check(r#"{"messages":[{"role":"user","content":"Hi"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"x"},{"type":"thinking","thinking":"b","signature": ""},{"type":"text","text":"c"}], "x":1},
        {"role":"assistant","content":[{"type":"thinking","signature":"","thinking":"d"}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"a","name":"sign","input":{"signature":""}}]}]}"#), @r#"messages: [{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"x"},{"type":"text","text":"c"}],"x":1},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"sign","input":{"signature":""}}]}]"#);
}

#[test]
fn what_no_server_takes_is_refused() {
    assert_snapshot!(check(r#"{"messages":"Hi"}"#), @"refused: `messages` must be a list");
    assert_snapshot!(check(r#"{"messages":[],"tools":{}}"#), @"refused: `tools` must be a list");
}

/// Shows the edits, a line for each.
#[track_caller]
fn check(body: &str) -> String {
    let body = object(body);
    let edits = match repair_request(&body) {
        Ok(edits) => edits,
        Err(error) => return format!("refused: {error}"),
    };
    let show = |value: Option<Bytes>| {
        value.map_or("removed".to_owned(), |value| String::from_utf8(value.to_vec()).unwrap())
    };
    edits.into_iter().map(|(key, value)| format!("{key}: {}", show(value))).collect::<Vec<_>>().join("\n")
}
