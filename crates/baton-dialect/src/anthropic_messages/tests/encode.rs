use baton_model::{
    CacheControl, Dialect, ImageSource, Message, Origin, OutputFormat, Part, PartKind, RawJson, Reasoning,
    Role, Sampling, Tool, ToolChoice,
};
use insta::assert_snapshot;

use super::*;
use crate::Encoded;

#[test]
fn instructions_at_the_start_are_the_system_prompt() {
    assert_snapshot!(check(&foreign([
        said(Role::System, "Be brief."),
        said(Role::Developer, "Use metric units."),
        said(Role::User, "How high is the Zugspitze?"),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    system: [{"type":"text","text":"Be brief."},{"type":"text","text":"Use metric units."}]
    messages: [
      {"role":"user","content":[{"type":"text","text":"How high is the Zugspitze?"}]}]
    dropped:
    "#);
}

#[test]
fn later_instructions_are_told_by_the_user() {
    assert_snapshot!(check(&foreign([
        said(Role::User, "Hello."),
        said(Role::Assistant, "Hello!"),
        said(Role::System, "Answer in French."),
        said(Role::User, "How are you?"),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Hello."}]},
      {"role":"assistant","content":[{"type":"text","text":"Hello!"}]},
      {"role":"user","content":[{"type":"text","text":"System instruction: Answer in French."},{"type":"text","text":"How are you?"}]}]
    dropped:
    "#);
}

#[test]
fn neighbours_of_one_role_are_one_turn() {
    assert_snapshot!(check(&foreign([
        said(Role::User, "One."),
        said(Role::User, "Two."),
        said(Role::Assistant, "Three."),
        said(Role::Assistant, "Four."),
        said(Role::User, "Five."),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"One."},{"type":"text","text":"Two."}]},
      {"role":"assistant","content":[{"type":"text","text":"Three."},{"type":"text","text":"Four."}]},
      {"role":"user","content":[{"type":"text","text":"Five."}]}]
    dropped:
    "#);
}

#[test]
fn a_conversation_without_a_user_gets_one() {
    let history = "For context, here is the conversation so far between the user and the previous agent: ...";
    assert_snapshot!(check(&foreign([said(Role::System, "You bill."), said(Role::Assistant, history)])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    system: [{"type":"text","text":"You bill."}]
    messages: [
      {"role":"user","content":[{"type":"text","text":"Continue."}]},
      {"role":"assistant","content":[{"type":"text","text":"For context, here is the conversation so far between the user and the previous agent: ..."}]},
      {"role":"user","content":[{"type":"text","text":"Continue."}]}]
    dropped:
    "#);
    assert_snapshot!(check(&foreign([said(Role::System, "Say hello.")])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    system: [{"type":"text","text":"Say hello."}]
    messages: [
      {"role":"user","content":[{"type":"text","text":"Continue."}]}]
    dropped:
    "#);
}

#[test]
fn blank_texts_are_left_out() {
    assert_snapshot!(check(&foreign([
        said(Role::System, " "),
        said(Role::User, "Hello."),
        said(Role::Assistant, ""),
        said(Role::User, "\n"),
        said(Role::User, "Still there?"),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Hello."},{"type":"text","text":"Still there?"}]}]
    dropped:
    "#);
}

#[test]
fn results_of_a_parallel_round_stand_together_and_first() {
    assert_snapshot!(check(&foreign([
        said(Role::User, "Compare Paris and Rome."),
        message(Role::Assistant, [text("I look."), call("call_a", "get_weather", r#"{"city":"Paris"}"#), call("call_b", "get_weather", r#"{"city":"Rome"}"#)]),
        said(Role::System, "Hurry."),
        message(Role::Tool, [result("call_b", "20")]),
        message(Role::Tool, [result("call_a", "18")]),
        said(Role::User, "Well?"),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Compare Paris and Rome."}]},
      {"role":"assistant","content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"call_a","name":"get_weather","input":{"city":"Paris"}},{"type":"tool_use","id":"call_b","name":"get_weather","input":{"city":"Rome"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_a","content":[{"type":"text","text":"18"}]},{"type":"tool_result","tool_use_id":"call_b","content":[{"type":"text","text":"20"}]},{"type":"text","text":"System instruction: Hurry."},{"type":"text","text":"Well?"}]}]
    tools: [{"name":"get_weather","input_schema":{"type":"object","properties":{}}}]
    tool_choice: {"type":"none"}
    dropped:
    "#);
}

#[test]
fn a_call_without_a_result_gets_one_that_says_so() {
    assert_snapshot!(check(&foreign([
        said(Role::User, "Go."),
        message(Role::Assistant, [call("call_a", "run", "{}"), call("call_b", "run", "{}")]),
        message(Role::Tool, [result("call_b", "done")]),
        message(Role::Assistant, [call("call_c", "run", "{}")]),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"call_a","name":"run","input":{}},{"type":"tool_use","id":"call_b","name":"run","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_a","content":[{"type":"text","text":"no result was recorded"}],"is_error":true},{"type":"tool_result","tool_use_id":"call_b","content":[{"type":"text","text":"done"}]}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"call_c","name":"run","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_c","content":[{"type":"text","text":"no result was recorded"}],"is_error":true}]}]
    tools: [{"name":"run","input_schema":{"type":"object","properties":{}}}]
    tool_choice: {"type":"none"}
    dropped:
    "#);
}

#[test]
fn calls_of_two_messages_are_answered_in_between() {
    assert_snapshot!(check(&foreign([
        said(Role::User, "Go."),
        message(Role::Assistant, [call("call_a", "run", "{}")]),
        message(Role::Assistant, [call("call_b", "run", "{}")]),
        message(Role::Tool, [result("call_a", "first")]),
        message(Role::Tool, [result("call_b", "second")]),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"call_a","name":"run","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_a","content":[{"type":"text","text":"first"}]}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"call_b","name":"run","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_b","content":[{"type":"text","text":"second"}]}]}]
    tools: [{"name":"run","input_schema":{"type":"object","properties":{}}}]
    tool_choice: {"type":"none"}
    dropped:
    "#);
}

#[test]
fn a_result_without_its_call_is_told_in_words() {
    assert_snapshot!(check(&foreign([
        message(Role::Tool, [result("call_x", "42")]),
        said(Role::User, "What was it?"),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Result of the earlier tool call `call_x`:"},{"type":"text","text":"42"},{"type":"text","text":"What was it?"}]}]
    dropped:
    "#);
}

#[test]
fn ids_are_made_plain_and_unique_and_the_same_each_time() {
    let request = foreign([
        said(Role::User, "Go."),
        message(Role::Assistant, [call("functions.run:0", "run", "{}")]),
        message(Role::Tool, [result("functions.run:0", "first")]),
        message(Role::Assistant, [call("functions.run:0", "run", "{}"), call("", "run", "{}")]),
        message(Role::Tool, [result("functions.run:0", "second")]),
        message(Role::Tool, [result("", "third")]),
    ]);
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"toolu_a383f7c36da7d56f00c88141b1ce3277","name":"run","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_a383f7c36da7d56f00c88141b1ce3277","content":[{"type":"text","text":"first"}]}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"toolu_e4fcf26c0af55d86933b900dfa51265a","name":"run","input":{}},{"type":"tool_use","id":"toolu_6c62272e07bb014262b821756295c58d","name":"run","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_e4fcf26c0af55d86933b900dfa51265a","content":[{"type":"text","text":"second"}]},{"type":"tool_result","tool_use_id":"toolu_6c62272e07bb014262b821756295c58d","content":[{"type":"text","text":"third"}]}]}]
    tools: [{"name":"run","input_schema":{"type":"object","properties":{}}}]
    tool_choice: {"type":"none"}
    dropped:
    "#);
    assert_eq!(encode_request(&request, &TARGET), encode_request(&request, &TARGET));
}

#[test]
fn results_of_one_id_are_given_out_in_order() {
    assert_snapshot!(check(&foreign([
        said(Role::User, "Go."),
        message(Role::Assistant, [call("call_0", "run", "{}")]),
        message(Role::Assistant, [call("call_0", "run", "{}"), call("call_0", "run", "{}")]),
        message(Role::Tool, [result("call_0", "second"), result("call_0", "third"), result("call_0", "first, late")]),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"call_0","name":"run","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_0","content":[{"type":"text","text":"first, late"}]}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"toolu_e2e004384b659b591b18e68e1a927a37","name":"run","input":{}},{"type":"tool_use","id":"toolu_e2e004384a659b591b18e68e1a9278fc","name":"run","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_e2e004384b659b591b18e68e1a927a37","content":[{"type":"text","text":"second"}]},{"type":"tool_result","tool_use_id":"toolu_e2e004384a659b591b18e68e1a9278fc","content":[{"type":"text","text":"third"}]}]}]
    tools: [{"name":"run","input_schema":{"type":"object","properties":{}}}]
    tool_choice: {"type":"none"}
    dropped:
    "#);
}

#[test]
fn arguments_become_an_object_and_lose_nothing() {
    assert_snapshot!(check(&foreign([
        said(Role::User, "Go."),
        message(Role::Assistant, [
            call("a", "run", r#"{ "n": 1.0, "n": 2 }"#),
            call("b", "run", ""),
            call("c", "run", "[1,2]"),
            call("d", "run", r#"{"city": "Par"#),
            call("e", "run", r#""text""#),
        ]),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"a","name":"run","input":{ "n":1.0, "n":2 }},{"type":"tool_use","id":"b","name":"run","input":{}},{"type":"tool_use","id":"c","name":"run","input":{"arguments":[1,2]}},{"type":"tool_use","id":"d","name":"run","input":{"arguments":"{\"city\":\"Par"}},{"type":"tool_use","id":"e","name":"run","input":{"arguments":"text"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"no result was recorded"}],"is_error":true},{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"no result was recorded"}],"is_error":true},{"type":"tool_result","tool_use_id":"c","content":[{"type":"text","text":"no result was recorded"}],"is_error":true},{"type":"tool_result","tool_use_id":"d","content":[{"type":"text","text":"no result was recorded"}],"is_error":true},{"type":"tool_result","tool_use_id":"e","content":[{"type":"text","text":"no result was recorded"}],"is_error":true}]}]
    tools: [{"name":"run","input_schema":{"type":"object","properties":{}}}]
    tool_choice: {"type":"none"}
    dropped:
    "#);
}

#[test]
fn a_result_keeps_its_images_and_an_error_says_something() {
    let image = Part::new(
        PartKind::Image {
            source: ImageSource::Url("data:image/jpg;base64,AAAA".to_owned()),
            detail: Some("low".to_owned()),
        },
        Dialect::OpenaiChat,
    );
    assert_snapshot!(check(&foreign([
        said(Role::User, "Go."),
        message(Role::Assistant, [call("a", "look", "{}"), call("b", "look", "{}")]),
        message(Role::Tool, [
            part(PartKind::ToolResult { call_id: "a".to_owned(), parts: vec![text("seen"), image], is_error: false }),
            part(PartKind::ToolResult { call_id: "b".to_owned(), parts: vec![], is_error: true }),
        ]),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"a","name":"look","input":{}},{"type":"tool_use","id":"b","name":"look","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"seen"},{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"AAAA"}}]},{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"the tool failed"}],"is_error":true}]}]
    tools: [{"name":"look","input_schema":{"type":"object","properties":{}}}]
    tool_choice: {"type":"none"}
    dropped: detail
    "#);
}

#[test]
fn images_are_carried_by_address_or_bytes() {
    let image = |source| part(PartKind::Image { source, detail: None });
    assert_snapshot!(check(&foreign([message(Role::User, [
        image(ImageSource::Url("https://example.com/cat.jpg".to_owned())),
        image(ImageSource::Url("data:image/png;base64,AAAA".to_owned())),
        image(ImageSource::Base64 { media_type: "image/webp".to_owned(), data: "BBBB".to_owned() }),
    ])])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://example.com/cat.jpg"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},{"type":"image","source":{"type":"base64","media_type":"image/webp","data":"BBBB"}}]}]
    dropped:
    "#);
}

#[test]
fn what_only_another_vendor_reads_is_left_out() {
    assert_snapshot!(check(&foreign([
        message(Role::User, [text("Listen."), part(PartKind::Other(raw(r#"{"type":"input_audio","input_audio":{}}"#)))]),
        message(Role::Assistant, [
            part(PartKind::Reasoning { text: "Hm.".to_owned(), signature: Some("s".to_owned()) }),
            part(PartKind::RedactedReasoning { data: "d".to_owned() }),
            part(PartKind::Refusal("I cannot.".to_owned())),
        ]),
        said(Role::User, "Why?"),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Listen."}]},
      {"role":"assistant","content":[{"type":"text","text":"I cannot."}]},
      {"role":"user","content":[{"type":"text","text":"Why?"}]}]
    dropped: messages[0].content[1] (input_audio)
    "#);
}

#[test]
fn a_cache_mark_is_carried_if_it_is_written_in_the_same_way() {
    let marked = |json: &str| Part { cache: Some(CacheControl(raw(json))), ..text("Hello.") };
    assert_snapshot!(check(&foreign([message(Role::User, [
        marked(r#"{"type":"ephemeral","ttl":"1h"}"#),
        marked(r#"{"type":"durable"}"#),
        marked(r#"{"type":"ephemeral","key":"k"}"#),
    ])])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Hello.","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"Hello."},{"type":"text","text":"Hello."}]}]
    dropped: cache_control
    "#);
}

#[test]
fn a_tool_without_a_schema_takes_any_object() {
    let mut request = foreign([said(Role::User, "Go.")]);
    request.tools = vec![
        function("bare", None),
        function("untyped", Some(r#"{"properties":{"a":{}}}"#)),
        function("open", Some(r#"{"type":"object","properties":{},"additionalProperties":true}"#)),
    ];
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]}]
    tools: [{"name":"bare","input_schema":{"type":"object","properties":{}}},{"name":"untyped","input_schema":{"properties":{"a":{}},"type":"object"}},{"name":"open","input_schema":{"type":"object","properties":{},"additionalProperties":true}}]
    dropped:
    "#);
}

#[test]
fn tools_of_the_history_are_declared_again_but_not_offered() {
    assert_snapshot!(check(&foreign([
        said(Role::User, "Card?"),
        message(Role::Assistant, [call("call_1", "transfer_to_billing_agent", "{}")]),
        message(Role::Tool, [result("call_1", r#"{"assistant": "Billing Agent"}"#)]),
    ])), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Card?"}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"transfer_to_billing_agent","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"{\"assistant\":\"Billing Agent\"}"}]}]}]
    tools: [{"name":"transfer_to_billing_agent","input_schema":{"type":"object","properties":{}}}]
    tool_choice: {"type":"none"}
    dropped:
    "#);
}

#[test]
fn the_choice_of_tools_is_carried() {
    let named = Some(ToolChoice::Tool("a".to_owned()));
    assert_snapshot!(check_choice(Some(ToolChoice::Auto), None), @r#"{"type":"auto"}"#);
    assert_snapshot!(check_choice(Some(ToolChoice::None), Some(false)), @r#"{"type":"none"}"#);
    assert_snapshot!(check_choice(Some(ToolChoice::Required), Some(true)), @r#"{"type":"any"}"#);
    assert_snapshot!(check_choice(named, Some(false)), @r#"{"type":"tool","name":"a","disable_parallel_tool_use":true}"#);
    assert_snapshot!(check_choice(None, Some(false)), @r#"{"type":"auto","disable_parallel_tool_use":true}"#);
    assert_snapshot!(check_choice(None, Some(true)), @"");
}

#[test]
fn a_choice_without_tools_is_left_out() {
    let mut request = foreign([said(Role::User, "Go.")]);
    (request.tool_choice, request.parallel_tool_calls) = (Some(ToolChoice::Required), Some(false));
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]}]
    dropped: tool_choice
    "#);
}

#[test]
fn another_vendors_tool_is_named_as_dropped() {
    let mut request = foreign([said(Role::User, "Go.")]);
    let origin = Origin { dialect: Dialect::OpenaiChat };
    request.tools = vec![
        Tool::Vendor { name: "web_search".to_owned(), raw: raw(r#"{"type":"web_search"}"#), origin },
        function("a", None),
    ];
    request.tool_choice = Some(ToolChoice::Tool("web_search".to_owned()));
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]}]
    tools: [{"name":"a","input_schema":{"type":"object","properties":{}}}]
    dropped: tools[0] (web_search), tool_choice
    "#);
}

#[test]
fn a_schema_is_carried_and_some_json_is_asked_for_in_words() {
    let mut request = foreign([said(Role::System, "Be brief."), said(Role::User, "Ada is 36.")]);
    request.output = OutputFormat::JsonObject;
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    system: [{"type":"text","text":"Be brief."},{"type":"text","text":"Answer with exactly one JSON object and nothing else: no code fence, no text around it."}]
    messages: [
      {"role":"user","content":[{"type":"text","text":"Ada is 36."}]}]
    dropped:
    "#);
    request.output = OutputFormat::JsonSchema {
        name: "person".to_owned(),
        description: None,
        schema: raw(
            r#"{"type":"object","properties":{"age":{"type":"integer"}},"additionalProperties":false}"#,
        ),
        strict: Some(true),
    };
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    system: [{"type":"text","text":"Be brief."}]
    messages: [
      {"role":"user","content":[{"type":"text","text":"Ada is 36."}]}]
    output_config: {"format":{"type":"json_schema","schema":{"type":"object","properties":{"age":{"type":"integer"}},"additionalProperties":false}}}
    dropped:
    "#);
    request.output = OutputFormat::JsonSchema {
        name: "ages".to_owned(),
        description: None,
        schema: raw(r#"{"type":"object","additionalProperties":{"type":"integer"}}"#),
        strict: None,
    };
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    system: [{"type":"text","text":"Be brief."},{"type":"text","text":"Answer with exactly one JSON object and nothing else: no code fence, no text around it. It must follow this JSON schema: {\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}"}]
    messages: [
      {"role":"user","content":[{"type":"text","text":"Ada is 36."}]}]
    dropped:
    "#);
}

#[test]
fn a_strict_tool_has_a_schema_that_can_be_enforced() {
    let mut request = foreign([said(Role::User, "Go.")]);
    let function = |strict, parameters| Tool::Function {
        name: "run".to_owned(),
        description: None,
        parameters: Some(raw(parameters)),
        strict,
        cache: None,
    };
    request.tools = vec![
        function(Some(true), r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}"#),
        function(None, r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}"#),
        function(Some(true), r#"{"type":"object","additionalProperties":{}}"#),
    ];
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]}]
    tools: [{"name":"run","input_schema":{"type":"object","properties":{"n":{"type":"integer","description":"{minimum: 1}"}},"additionalProperties":false},"strict":true},{"name":"run","input_schema":{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}},{"name":"run","input_schema":{"type":"object","additionalProperties":{}}}]
    dropped: tools[2].strict
    "#);
}

#[test]
fn sampling_is_cut_to_what_is_accepted_and_the_rest_is_named() {
    let mut request = foreign([said(Role::User, "Go.")]);
    request.sampling = Sampling {
        temperature: Some(1.7),
        top_p: Some(0.5),
        top_k: Some(40),
        max_output_tokens: Some(99),
        stop: vec!["END".to_owned(), "\n".to_owned()],
        seed: Some(1),
        frequency_penalty: Some(0.5),
        presence_penalty: Some(0.0),
    };
    request.user = Some("u-1".to_owned());
    let extra = |(key, value): (&str, &str)| (key.to_owned(), raw(value));
    request.extra = [
        ("logit_bias", "{}"),
        ("logprobs", "true"),
        ("n", "1"),
        ("store", "false"),
        ("verbosity", "\"low\""),
    ]
    .map(extra)
    .into();
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 99
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]}]
    temperature: 1.0
    top_k: 40
    stop_sequences: ["END"]
    metadata: {"user_id":"u-1"}
    dropped: temperature>1, top_p, stop, seed, frequency_penalty, logprobs, verbosity
    "#);
    request.extra = vec![extra(("n", "2"))];
    request.user = Some("u".repeat(513));
    request.sampling = Sampling { top_p: Some(1.0), temperature: Some(0.5), ..Sampling::default() };
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]}]
    temperature: 0.5
    dropped: user, n
    "#);
}

#[test]
fn effort_is_a_budget_for_models_that_take_one() {
    assert_snapshot!(check_effort("high", "claude-sonnet-4-5", Some(64_000)), @r#"{"type":"enabled","budget_tokens":16384}"#);
    assert_snapshot!(check_effort("high", "claude-sonnet-4-5", None), @r#"{"type":"enabled","budget_tokens":2048}"#);
    assert_snapshot!(check_effort("low", "anthropic/claude-opus-4.1", Some(2_000)), @r#"{"type":"enabled","budget_tokens":1024}"#);
    assert_snapshot!(check_effort("minimal", "claude-3-7-sonnet-latest", Some(1_024)), @"reasoning_effort");
    assert_snapshot!(check_effort("medium", "claude-opus-4-6", Some(2_000)), @r#"{"type":"adaptive"} {"effort":"medium"}"#);
    assert_snapshot!(check_effort("minimal", "claude-haiku-5", Some(2_000)), @r#"{"type":"adaptive"} {"effort":"low"}"#);
    assert_snapshot!(check_effort("none", "claude-haiku-5", Some(2_000)), @r#"{"type":"disabled"}"#);
    assert_snapshot!(check_effort("xhigh", "minimax-m3", Some(64_000)), @r#"{"type":"enabled","budget_tokens":32000}"#);
}

#[test]
fn an_effort_that_nobody_knows_is_named_as_dropped() {
    assert_snapshot!(check_effort("heroic", "claude-opus-5", None), @"reasoning_effort");
}

#[test]
fn effort_and_budget_mean_the_same_in_both_directions() {
    for effort in ["low", "medium", "high"] {
        assert_eq!(crate::convert::effort_of_budget(reasoning::budget_of_effort(effort)), effort);
    }
}

#[test]
fn beside_thinking_sampling_is_left_out() {
    let mut request = foreign([said(Role::User, "Go.")]);
    request.reasoning = Some(Reasoning { effort: Some("low".to_owned()), ..Reasoning::default() });
    request.sampling = Sampling { temperature: Some(0.5), top_k: Some(5), ..Sampling::default() };
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]}]
    thinking: {"type":"enabled","budget_tokens":1024}
    dropped: temperature, top_k
    "#);
}

#[test]
fn a_budget_gives_way_to_a_forced_call_and_to_an_open_round() {
    let mut request = foreign([said(Role::User, "Go.")]);
    request.reasoning = Some(Reasoning { budget_tokens: Some(2_000), ..Reasoning::default() });
    request.tools = vec![function("run", None)];
    request.tool_choice = Some(ToolChoice::Required);
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]}]
    tools: [{"name":"run","input_schema":{"type":"object","properties":{}}}]
    tool_choice: {"type":"any"}
    dropped: reasoning_effort
    "#);
    request.tool_choice = None;
    request.messages.push(message(Role::Assistant, [call("a", "run", "{}")]));
    request.messages.push(message(Role::Tool, [result("a", "done")]));
    assert_snapshot!(check(&request), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 4096
    messages: [
      {"role":"user","content":[{"type":"text","text":"Go."}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"a","name":"run","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"done"}]}]}]
    tools: [{"name":"run","input_schema":{"type":"object","properties":{}}}]
    dropped: reasoning_effort
    "#);
}

#[test]
fn a_client_of_this_dialect_gets_back_what_it_sent() {
    assert_snapshot!(check(&decode(fixture!("request/thinking_enabled_history.json"))), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 16000
    messages: [
      {"role":"user","content":[{"type":"text","text":"Weather in Paris?"}]},
      {"role":"assistant","content":[{"type":"thinking","thinking":"I need the tool.","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk"},{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyI"},{"type":"tool_use","id":"toolu_01A","name":"get_weather","input":{"city":"Paris"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_01A","content":[{"type":"text","text":"18 degrees"}]}]}]
    tools: [{"name":"get_weather","description":"Current weather of a city.","input_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}]
    thinking: {"type":"enabled","budget_tokens":8000}
    dropped:
    "#);
    assert_snapshot!(check(&decode(fixture!("request/server_tools.json"))), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 1024
    messages: [
      {"role":"user","content":[{"type":"text","text":"News?"}]},
      {"role":"assistant","content":[{"type":"server_tool_use","id":"srvtoolu_01","name":"web_search","input":{"query":"news"}},{"type":"web_search_tool_result","tool_use_id":"srvtoolu_01","content":[{"type":"web_search_result","url":"https://example.com","title":"News","encrypted_content":"EqgfCioIARgB","page_age":null}]},{"type":"text","text":"Nothing happened."}]},
      {"role":"user","content":[{"type":"text","text":"Sure?"}]}]
    tools: [{"type":"web_search_20250305","name":"web_search","max_uses":3},{"name":"get_weather","description":"Current weather of a city.","input_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}]
    dropped:
    "#);
    assert_snapshot!(check(&decode(fixture!("request/thinking_adaptive_effort_max.json"))), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 32000
    messages: [
      {"role":"user","content":[{"type":"text","text":"Prove it."}]}]
    thinking: {"type":"adaptive","display":"omitted"}
    output_config: {"effort":"max"}
    dropped:
    "#);
    assert_snapshot!(check(&decode(fixture!("request/extra_members.json"))), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 1024
    messages: [
      {"role":"user","content":[{"type":"text","text":"Hello."}]}]
    service_tier: "auto"
    context_management: {"edits":[{"type":"clear_tool_uses_20250919"}]}
    inference_geo: "eu"
    dropped:
    "#);
    assert_snapshot!(check(&decode(fixture!("request/system_blocks_cached.json"))), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 1024
    system: [{"type":"text","text":"You are a careful assistant."},{"type":"text","text":"The handbook, long.","cache_control":{"type":"ephemeral","ttl":"1h"}}]
    messages: [
      {"role":"user","content":[{"type":"text","text":"Hello.","cache_control":{"type":"ephemeral"}}]}]
    dropped:
    "#);
    assert_snapshot!(check(&decode(fixture!("request/system_between_turns.json"))), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 1024
    messages: [
      {"role":"user","content":[{"type":"text","text":"Hello."}]},
      {"role":"assistant","content":[{"type":"text","text":"Hello!"}]},
      {"role":"system","content":[{"type":"text","text":"From now on answer in French."}]},
      {"role":"user","content":[{"type":"text","text":"How are you?"}]}]
    dropped:
    "#);
}

#[test]
fn a_started_answer_is_written_on_but_not_from_white_space() {
    assert_snapshot!(check(&decode(fixture!("request/prefill.json"))), @r#"
    model: "claude-sonnet-4-5"
    max_tokens: 1024
    messages: [
      {"role":"user","content":[{"type":"text","text":"Name a colour as JSON."}]},
      {"role":"assistant","content":[{"type":"text","text":"{\"colour\":"}]}]
    dropped:
    "#);
}

/// Encodes and shows one line for each member, one for each message.
#[track_caller]
fn check(request: &Request) -> String {
    show_encoded(&encode_request(request, &TARGET))
}

/// Encodes a choice among one tool and shows it.
fn check_choice(choice: Option<ToolChoice>, parallel: Option<bool>) -> String {
    let mut request = foreign([said(Role::User, "Go.")]);
    request.tools = vec![function("a", None)];
    (request.tool_choice, request.parallel_tool_calls) = (choice, parallel);
    show_members(&encode_request(&request, &TARGET), &["tool_choice"])
}

fn check_effort(effort: &str, model: &str, max_tokens: Option<u64>) -> String {
    let mut request = foreign([said(Role::User, "Go.")]);
    request.sampling.max_output_tokens = max_tokens;
    request.reasoning = Some(Reasoning { effort: Some(effort.to_owned()), ..Reasoning::default() });
    let encoded = encode_request(&request, &EncodeTarget { model, ..TARGET });
    show_members(&encoded, &["thinking", "output_config"])
}

fn show_members(encoded: &Encoded, keys: &[&str]) -> String {
    let body = object(std::str::from_utf8(&encoded.body).unwrap());
    let shown = keys.iter().filter_map(|key| std::str::from_utf8(body.get(key)?).ok());
    let dropped = encoded.dropped.iter().map(String::as_str);
    shown.chain(dropped).collect::<Vec<_>>().join(" ")
}

fn show_encoded(encoded: &Encoded) -> String {
    let body = object(std::str::from_utf8(&encoded.body).unwrap());
    let mut out = String::new();
    for member in body.members() {
        let value = one_line(std::str::from_utf8(member.value).unwrap());
        let value = value.replace("{\"role\"", "\n  {\"role\"");
        out.push_str(&format!("{}: {value}\n", member.key));
    }
    out + &format!("dropped: {}\n", encoded.dropped.join(", "))
}

/// A request from elsewhere.
fn foreign(messages: impl Into<Vec<Message>>) -> Request {
    Request {
        origin: Dialect::OpenaiChat,
        messages: messages.into(),
        tools: vec![],
        tool_choice: None,
        parallel_tool_calls: None,
        output: OutputFormat::Text,
        sampling: Sampling::default(),
        reasoning: None,
        stream: false,
        stream_usage: false,
        user: None,
        extra: vec![],
    }
}

fn message(role: Role, parts: impl Into<Vec<Part>>) -> Message {
    Message { role, name: None, parts: parts.into() }
}

fn said(role: Role, words: &str) -> Message {
    message(role, [text(words)])
}

fn part(kind: PartKind) -> Part {
    Part::new(kind, Dialect::OpenaiChat)
}

fn text(words: &str) -> Part {
    Part::text(words, Dialect::OpenaiChat)
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    part(PartKind::ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() })
}

fn result(id: &str, words: &str) -> Part {
    part(PartKind::ToolResult { call_id: id.to_owned(), parts: vec![text(words)], is_error: false })
}

fn function(name: &str, parameters: Option<&str>) -> Tool {
    Tool::Function {
        name: name.to_owned(),
        description: None,
        parameters: parameters.map(raw),
        strict: None,
        cache: None,
    }
}

#[track_caller]
fn raw(json: &str) -> RawJson {
    RawJson::parse(json).unwrap()
}
