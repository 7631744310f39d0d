use Dialect::{AnthropicMessages, OpenaiChat};
use baton_model::{ImageSource, Part, PartKind, Role};
use insta::assert_snapshot;

use super::*;
use crate::{EncodeTarget, decode_request, encode_request, repair_request};

/// The body after the edits.
fn check(dialect: Dialect, body: &str, additions: &Additions<'_>) -> String {
    let body = RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let edits = extend_request(dialect, &body, additions).unwrap();
    String::from_utf8(body.rewrite(&edits).concat()).unwrap()
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, name: None, parts }
}

fn call(dialect: Dialect, id: &str, name: &str) -> Part {
    let kind = PartKind::ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: r#"{"reason":"x"}"#.to_owned(),
    };
    Part::new(kind, dialect)
}

fn result(dialect: Dialect, id: &str, text: &str, is_error: bool) -> Part {
    let parts = vec![Part::text(text, dialect)];
    Part::new(PartKind::ToolResult { call_id: id.to_owned(), parts, is_error }, dialect)
}

/// A turn that thought, spoke and called two tools, and their results.
fn round(dialect: Dialect) -> Vec<Message> {
    let thinking = PartKind::Reasoning { text: "Let me see.".to_owned(), signature: Some("sig".to_owned()) };
    let picture = ImageSource::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
    let with_picture = PartKind::ToolResult {
        call_id: "toolu_s".to_owned(),
        parts: vec![
            Part::text("found", dialect),
            Part::new(PartKind::Image { source: picture, detail: None }, dialect),
        ],
        is_error: false,
    };
    vec![
        message(
            Role::Assistant,
            vec![
                Part::new(thinking, dialect),
                Part::text("One moment.", dialect),
                call(dialect, "toolu_t", "transfer_to_b"),
                call(dialect, "toolu_s", "server__search"),
            ],
        ),
        message(Role::Tool, vec![result(dialect, "toolu_t", "no such model", true)]),
        message(Role::Tool, vec![Part::new(with_picture, dialect)]),
    ]
}

fn tool(name: &str) -> Tool {
    Tool::Function {
        name: name.to_owned(),
        description: Some("Hands over.".to_owned()),
        parameters: Some(RawJson::parse(r#"{"type":"object","properties":{}}"#).unwrap()),
        strict: None,
        cache: None,
    }
}

fn set_to(key: &str, value: &str) -> (String, RawJson) {
    (key.to_owned(), RawJson::parse(value).unwrap())
}

#[test]
fn additions_stand_behind_what_the_client_sent() {
    let (tools, messages) = ([tool("transfer_to_b")], round(OpenaiChat));
    let settings = [set_to("temperature", "0.2"), set_to("seed", "null"), set_to("top_p", "1")];
    let additions =
        Additions { tools: &tools, messages: &messages, settings: &settings, calls: CallTaste::AsSent };
    let body = r#"{"model":"m", "messages":[ {"role":"user","content":"Hi", "x":1} ],"seed":3,"temperature":1.0,
        "tools":[{"type":"function","function":{"name":"lookup"}}], "other":[1, 2]}"#;
    assert_snapshot!("chat", check(OpenaiChat, body, &additions));
    let messages = round(AnthropicMessages);
    let additions = Additions { messages: &messages, ..additions };
    let body = r#"{"model":"m","max_tokens":9,"seed":3,"temperature":1.0, "messages":[ {"role":"user","content":[
        {"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}} ]} ],
        "tools":[{"name":"lookup","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}]}"#;
    assert_snapshot!("messages", check(AnthropicMessages, body, &additions));
}

#[test]
fn nothing_added_is_nothing_but_the_repair() {
    for (dialect, body) in [
        (OpenaiChat, r#"{"model":"m","messages":"Hi","tools":[],"stop":null}"#),
        (OpenaiChat, r#"{"model":"m","messages":[{"role":"tool","tool_call_id":"c","content":"x"}]}"#),
        (
            AnthropicMessages,
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"Hi"}],"tools":[]}"#,
        ),
    ] {
        let body = RawObject::parse(Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(
            extend_request(dialect, &body, &Additions::default()).unwrap(),
            repair_request(dialect, &body).unwrap()
        );
    }
}

#[test]
fn messages_are_repaired_before_they_go_on() {
    let messages = [message(Role::User, vec![Part::text("And?", OpenaiChat)])];
    let additions = Additions { messages: &messages, ..Additions::default() };
    assert_eq!(
        check(OpenaiChat, r#"{"messages":"Hi"}"#, &additions),
        r#"{"messages":[{"role":"user","content":"Hi"},{"role":"user","content":"And?"}]}"#
    );
    let orphan = r#"{"messages":[{"role":"tool","tool_call_id":"c","content":"x"}]}"#;
    assert_eq!(
        check(OpenaiChat, orphan, &additions),
        concat!(
            r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","#,
            r#""function":{"name":"unknown_tool","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","#,
            r#""content":"x"},{"role":"user","content":"And?"}]}"#
        )
    );
}

#[test]
fn tools_are_added_where_there_are_none() {
    let tools = [tool("t")];
    let additions = Additions { tools: &tools, ..Additions::default() };
    for none in ["", r#","tools":null"#, r#","tools":[ ]"#] {
        let chat = format!(r#"{{"messages":"Hi","parallel_tool_calls":false,"tool_choice":"auto"{none}}}"#);
        let extended = check(OpenaiChat, &chat, &additions);
        let request = decode_request(OpenaiChat, &RawObject::parse(extended.into()).unwrap()).unwrap();
        assert_eq!((request.tools, request.parallel_tool_calls), (vec![tool("t")], Some(false)), "{none}");
        let messages = format!(
            r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}],"tool_choice":{{"type":"auto"}}{none}}}"#
        );
        let extended = check(AnthropicMessages, &messages, &additions);
        let request = decode_request(AnthropicMessages, &RawObject::parse(extended.into()).unwrap()).unwrap();
        assert_eq!(request.tools, [tool("t")], "{none}");
        assert!(request.tool_choice.is_some(), "{none}");
    }
}

#[test]
fn the_same_tools_are_written_the_same() {
    let (short, long) = ([tool("a")], [tool("a"), tool("b")]);
    let body = r#"{"messages":"Hi","tools":[{"type":"function","function":{"name":"lookup"}}]}"#;
    let written = |tools| check(OpenaiChat, body, &Additions { tools, ..Additions::default() });
    let prefix = written(&short);
    assert!(written(&long).starts_with(prefix.strip_suffix("]}").unwrap()));
}

#[test]
fn a_turn_of_the_same_speaker_joins_the_clients_last_message() {
    let user = [message(Role::User, vec![Part::text("[hand-over] go on", AnthropicMessages)])];
    let assistant = [
        message(Role::Assistant, vec![call(AnthropicMessages, "toolu_t", "transfer_to_b")]),
        message(Role::Tool, vec![result(AnthropicMessages, "toolu_t", "ok", false)]),
    ];
    let body = |role: &str, content: &str| {
        format!(
            r#"{{"max_tokens":9,"tools":[{{"name":"t","input_schema":{{"type":"object"}}}}],"messages":[{{"role":"user","content":"q"}},{{"role":"assistant","content":"a"}},{{"role":"{role}","content":{content}}}]}}"#
        )
    };
    let check = |body: &str, messages: &[Message]| {
        let whole = check(AnthropicMessages, body, &Additions { messages, ..Additions::default() });
        whole.split_once(r#"{"role":"assistant","content":"a"},"#).unwrap().1.to_owned()
    };
    assert_eq!(
        check(&body("user", r#""Hi \u00e9""#), &user),
        r#"{"role":"user","content":[{"type":"text","text":"Hi \u00e9"},{"type":"text","text":"[hand-over] go on"}]}]}"#
    );
    assert_eq!(
        check(&body("user", r#"[ {"type":"tool_result","tool_use_id":"x"} ]"#), &user),
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"x"},{"type":"text","text":"[hand-over] go on"}]}]}"#
    );
    assert_eq!(
        check(&body("assistant", r#""""#), &assistant),
        concat!(
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"toolu_t","name":"transfer_to_b","#,
            r#""input":{"reason":"x"}}]},{"role":"user","content":[{"type":"tool_result","#,
            r#""tool_use_id":"toolu_t","content":[{"type":"text","text":"ok"}]}]}]}"#
        )
    );
}

#[test]
fn instructions_for_a_target_go_behind_the_clients_own() {
    let messages = [message(Role::System, vec![Part::text("Be brief.", AnthropicMessages)])];
    let additions = Additions { messages: &messages, ..Additions::default() };
    let body =
        |system: &str| format!(r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}]{system}}}"#);
    for (given, before) in [
        ("", ""),
        (r#","system":"You bill.""#, r#"{"type":"text","text":"You bill."},"#),
        (r#","system":[{"type":"text","text":"You bill."}]"#, r#"{"type":"text","text":"You bill."},"#),
    ] {
        let system = format!(r#","system":[{before}{{"type":"text","text":"Be brief."}}]"#);
        assert_eq!(check(AnthropicMessages, &body(given), &additions), body(&system));
    }
}

#[test]
fn thinking_by_budget_ends_where_the_last_calls_were_made_without_thinking() {
    let transfer = [
        message(Role::Assistant, vec![call(AnthropicMessages, "toolu_t", "transfer_to_b")]),
        message(Role::Tool, vec![result(AnthropicMessages, "toolu_t", "ok", false)]),
    ];
    let thought = round(AnthropicMessages);
    for (thinking, messages, stays) in [
        (r#"{"type":"enabled","budget_tokens":1024}"#, transfer.as_slice(), false),
        (r#"{"type":"enabled","budget_tokens":1024}"#, thought.as_slice(), true),
        (r#"{"type":"adaptive"}"#, transfer.as_slice(), true),
        (r#"{"type":"disabled"}"#, transfer.as_slice(), true),
    ] {
        let body = format!(
            r#"{{"max_tokens":2048,"messages":[{{"role":"user","content":"Hi"}}],"thinking":{thinking}}}"#
        );
        let extended = check(AnthropicMessages, &body, &Additions { messages, ..Additions::default() });
        assert_eq!(extended.contains(r#""thinking":{"#), stays, "{extended}");
        // The model lane does the same.
        let body = RawObject::parse(body.into()).unwrap();
        let mut request = decode_request(AnthropicMessages, &body).unwrap();
        request.messages.extend_from_slice(messages);
        let target =
            EncodeTarget { model: "claude", stream: false, default_max_tokens: 1, shared_members: false };
        let encoded = encode_request(AnthropicMessages, &request, &target);
        let dropped: &[&str] = if stays { &[] } else { &["thinking"] };
        assert_eq!(encoded.dropped, dropped);
        assert_eq!(String::from_utf8(encoded.body).unwrap().contains(r#""thinking":{"#), stays);
    }
}

#[test]
fn calls_in_a_history_without_tools_have_their_tools_declared() {
    let messages = round(AnthropicMessages);
    let body = r#"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    let extended = check(AnthropicMessages, body, &Additions { messages: &messages, ..Additions::default() });
    let request = decode_request(AnthropicMessages, &RawObject::parse(extended.into()).unwrap()).unwrap();
    let names: Vec<&str> = request
        .tools
        .iter()
        .map(|tool| match tool {
            Tool::Function { name, .. } | Tool::Vendor { name, .. } => name.as_str(),
        })
        .collect();
    assert_eq!(names, ["transfer_to_b", "server__search"]);
    assert_eq!(request.tool_choice, Some(baton_model::ToolChoice::None));
}

#[test]
fn what_was_added_reads_back() {
    for (dialect, body) in [
        (OpenaiChat, r#"{"messages":[{"role":"user","content":"Hi"}]}"#),
        (AnthropicMessages, r#"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#),
    ] {
        let messages = [
            message(Role::Assistant, vec![Part::text("I look.", dialect), call(dialect, "toolu_1", "a")]),
            message(
                if dialect == OpenaiChat { Role::Tool } else { Role::User },
                vec![result(dialect, "toolu_1", "found", false)],
            ),
            message(Role::Assistant, vec![Part::text("Found.", dialect)]),
        ];
        let before = decode_request(dialect, &RawObject::parse(body.into()).unwrap()).unwrap().messages;
        let extended = check(dialect, body, &Additions { messages: &messages, ..Additions::default() });
        let after = decode_request(dialect, &RawObject::parse(extended.into()).unwrap()).unwrap().messages;
        assert_eq!(after, [before, messages.to_vec()].concat());
    }
}

#[test]
fn messages_that_are_no_list_are_refused() {
    let messages = round(OpenaiChat);
    let additions = Additions { messages: &messages, ..Additions::default() };
    for dialect in Dialect::ALL {
        let key = if dialect == Dialect::OpenaiResponses { "input" } else { "messages" };
        let body = RawObject::parse(Bytes::from(format!(r#"{{"{key}":7}}"#))).unwrap();
        let error = extend_request(dialect, &body, &additions).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(key));
    }
}
