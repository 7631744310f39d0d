use super::*;

use insta::assert_snapshot;

#[test]
fn a_plain_question() {
    assert_snapshot!(check_decode(fixture!("request/text.json")), @r#"
    User
      text "What is the capital of France?"
    at most 1024
    "#);
}

#[test]
fn the_system_prompt_comes_first() {
    assert_snapshot!(check_decode(fixture!("request/system_string.json")), @r#"
    System
      text "Answer in one word."
    User
      text "What is the capital of France?"
    Assistant
      text "Paris."
    User
      text "And of Spain?"
    at most 1024
    "#);
}

#[test]
fn system_blocks_keep_their_cache_marks() {
    assert_snapshot!(check_decode(fixture!("request/system_blocks_cached.json")), @r#"
    System
      text "You are a careful assistant."
      text "The handbook, long." cached {"type":"ephemeral","ttl":"1h"}
    User
      text "Hello." cached {"type":"ephemeral"}
    at most 1024
    "#);
}

#[test]
fn a_system_message_may_stand_between_turns() {
    assert_snapshot!(check_decode(fixture!("request/system_between_turns.json")), @r#"
    User
      text "Hello."
    Assistant
      text "Hello!"
    System
      text "From now on answer in French."
    User
      text "How are you?"
    at most 1024
    "#);
}

#[test]
fn images_come_as_bytes_or_address() {
    assert_snapshot!(check_decode(fixture!("request/image_base64.json")), @r#"
    User
      text "What is this?"
      image image/png, 96 characters cached {"type":"ephemeral"}
    at most 1024
    "#);
    assert_snapshot!(check_decode(fixture!("request/image_url.json")), @r#"
    User
      image https://example.com/cat.jpg
      text "And this?"
    at most 1024
    "#);
}

#[test]
fn a_file_at_the_vendor_stays_raw() {
    assert_snapshot!(check_decode(fixture!("request/image_file.json")), @r#"
    User
      other {"type":"image","source":{"type":"file","file_id":"file_011CNha8iCJcU1wXNR6q4V8w"}}
      text "And this?"
    at most 1024
    "#);
}

#[test]
fn documents_stay_raw() {
    assert_snapshot!(check_decode(fixture!("request/document.json")), @r#"
    User
      other {"type":"document","source":{"type":"text","media_type":"text/plain","data":"The grass is green."},"title":"Colours","citations":{"enabled":true},"cache_control":{"type":"ephemeral"}} cached {"type":"ephemeral"}
      other {"type":"search_result","source":"https://example.com","title":"Sky","content":[{"type":"text","text":"The sky is blue."}]}
      text "Which colour has the grass?"
    at most 1024
    "#);
}

#[test]
fn custom_tools_are_functions() {
    assert_snapshot!(check_decode(fixture!("request/tools_auto.json")), @r#"
    User
      text "What is the weather in Paris?"
    tool get_weather Some("Current weather of a city.") strict None {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}
    tool now None strict Some(true) {"type":"object","properties":{}} {"type":"ephemeral"}
    choice Auto
    at most 1024
    "#);
}

#[test]
fn a_tool_can_be_forced_and_parallel_calls_forbidden() {
    assert_snapshot!(check_decode(fixture!("request/tools_forced_single.json")), @r#"
    User
      text "Paris?"
    tool get_weather Some("Current weather of a city.") strict None {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}
    choice Tool("get_weather")
    parallel false
    at most 1024
    "#);
    assert_snapshot!(check_decode(fixture!("request/tools_any.json")), @r#"
    User
      text "Paris?"
    tool get_weather Some("Current weather of a city.") strict None {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}
    choice Required
    at most 1024
    "#);
    assert_snapshot!(check_decode(fixture!("request/tools_none.json")), @r#"
    User
      text "Paris?"
    tool get_weather Some("Current weather of a city.") strict None {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}
    choice None
    at most 1024
    "#);
}

#[test]
fn results_stay_in_the_user_message_in_order() {
    assert_snapshot!(check_decode(fixture!("request/tool_round_parallel.json")), @r#"
    User
      text "Compare Paris and Rome."
    Assistant
      text "I look both up."
      call toolu_01A get_weather {"city":"Paris"}
      call toolu_01B get_weather {"city":"Rome"}
    User
      result toolu_01A error false [text "18 degrees", image image/png, 96 characters]
      result toolu_01B error true [text "station offline"] cached {"type":"ephemeral"}
      text "Go on."
    tool get_weather Some("Current weather of a city.") strict None {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}
    at most 1024
    "#);
}

#[test]
fn a_result_may_be_empty() {
    assert_snapshot!(check_decode(fixture!("request/tool_result_empty.json")), @r#"
    User
      text "Clear the cache."
    Assistant
      call toolu_01C clear {}
    User
      result toolu_01C error false []
    tool get_weather Some("Current weather of a city.") strict None {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}
    at most 1024
    "#);
}

#[test]
fn thinking_keeps_its_signature() {
    assert_snapshot!(check_decode(fixture!("request/thinking_enabled_history.json")), @r#"
    User
      text "Weather in Paris?"
    Assistant
      reasoning "I need the tool." signed Some("EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk")
      redacted reasoning EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyI
      call toolu_01A get_weather {"city":"Paris"}
    User
      result toolu_01A error false [text "18 degrees"]
    tool get_weather Some("Current weather of a city.") strict None {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}
    at most 16000
    effort None budget Some(8000)
    "#);
}

#[test]
fn the_form_of_thinking_is_kept_where_a_budget_does_not_say_it_all() {
    assert_snapshot!(check_decode(fixture!("request/thinking_summarized.json")), @r#"
    User
      text "What is 15 * 37?"
    at most 4096
    effort None budget Some(2048) {"thinking":{"type":"enabled","budget_tokens":2048,"display":"summarized"}}
    "#);
    assert_snapshot!(check_decode(fixture!("request/thinking_adaptive_effort_max.json")), @r#"
    User
      text "Prove it."
    at most 32000
    effort Some("xhigh") budget None {"thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"max"}}
    "#);
}

#[test]
fn no_thinking_is_an_effort_of_none() {
    assert_snapshot!(check_decode(fixture!("request/thinking_disabled.json")), @r#"
    User
      text "Hello."
    at most 1024
    effort Some("none") budget None
    "#);
}

#[test]
fn an_effort_needs_no_thinking() {
    assert_snapshot!(check_decode(fixture!("request/effort_low.json")), @r#"
    User
      text "Hello."
    at most 1024
    effort Some("low") budget None
    "#);
}

#[test]
fn structured_output_has_an_old_and_a_new_place() {
    assert_snapshot!(check_decode(fixture!("request/structured_output.json")), @r#"
    User
      text "Ada is 36."
    schema output Some(true) {"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false}
    at most 1024
    effort Some("medium") budget None
    "#);
    assert_snapshot!(check_decode(fixture!("request/structured_output_old.json")), @r#"
    User
      text "Ada is 36."
    schema output Some(true) {"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false}
    at most 1024
    "#);
}

#[test]
fn server_tools_and_their_blocks_stay_raw() {
    assert_snapshot!(check_decode(fixture!("request/server_tools.json")), @r#"
    User
      text "News?"
    Assistant
      other {"type":"server_tool_use","id":"srvtoolu_01","name":"web_search","input":{"query":"news"}}
      other {"type":"web_search_tool_result","tool_use_id":"srvtoolu_01","content":[{"type":"web_search_result","url":"https://example.com","title":"News","encrypted_content":"EqgfCioIARgB","page_age":null}]}
      text "Nothing happened."
    User
      text "Sure?"
    vendor tool web_search {"type":"web_search_20250305","name":"web_search","max_uses":3}
    tool get_weather Some("Current weather of a city.") strict None {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}
    at most 1024
    "#);
}

#[test]
fn sampling_stop_and_user_have_their_places() {
    assert_snapshot!(check_decode(fixture!("request/sampling.json")), @r#"
    User
      text "Count."
    at most 1024, temperature 0.2, top_p 0.9, top_k 40, stop ["END", "\n\nHuman:"], stream
    user 13803d75-b4b5-4c3e-b2a2-6f21399b021b
    "#);
}

#[test]
fn other_members_are_kept_and_null_is_absent() {
    assert_snapshot!(check_decode(fixture!("request/extra_members.json")), @r#"
    User
      text "Hello."
    at most 1024
    extra service_tier: "auto"
    extra context_management: {"edits":[{"type":"clear_tool_uses_20250919"}]}
    extra inference_geo: "eu"
    "#);
}

#[test]
fn an_assistant_message_may_have_no_content() {
    assert_snapshot!(check_decode(fixture!("request/assistant_without_content.json")), @r#"
    User
      text "Hello."
    Assistant
    User
      text "Are you there?"
    Assistant
    User
      text "Please."
    at most 1024
    "#);
}

#[test]
fn what_is_wrong_is_named_with_its_path() {
    assert_snapshot!(check_wrong(r#"{"max_tokens":1}"#), @"messages: `messages` is required");
    assert_snapshot!(check_wrong(r#"{"max_tokens":1,"messages":[]}"#), @"messages: `messages` must have at least one message");
    assert_snapshot!(check_wrong(r#"{"max_tokens":1,"messages":"Hi"}"#), @"messages: `messages` must be a list, not a string");
    assert_snapshot!(check_wrong(r#"{"messages":[{"role":"user","content":"Hi"}]}"#), @"max_tokens: `max_tokens` is required");
    assert_snapshot!(check_wrong(&with_message(r#"{"content":"Hi"}"#)), @"messages[0].role: `messages[0].role` is required");
    assert_snapshot!(check_wrong(&with_message(r#"{"role":"tool","content":"Hi"}"#)), @"messages[0].role: `messages[0].role` must be `user`, `assistant` or `system`");
    assert_snapshot!(check_wrong(&with_message(r#"{"role":"user"}"#)), @"messages[0].content: `messages[0].content` is required");
    assert_snapshot!(check_wrong(&with_message(r#"{"role":"user","content":5}"#)), @"messages[0].content: `messages[0].content` must be a string or a list of content blocks");
    assert_snapshot!(check_wrong(&with_message(r#"{"role":"user","content":["Hi"]}"#)), @"messages[0].content[0]: `messages[0].content[0]` must be an object, not a string");
    assert_snapshot!(check_wrong(&with_block(r#"{"text":"Hi"}"#)), @"messages[0].content[0].type: `messages[0].content[0].type` is required");
    assert_snapshot!(check_wrong(&with_block(r#"{"type":"text","text":["Hi"]}"#)), @"messages[0].content[0].text: `messages[0].content[0].text` must be a string, not a list");
    assert_snapshot!(check_wrong(&with_block(r#"{"type":"image"}"#)), @"messages[0].content[0].source: `messages[0].content[0].source` is required");
    assert_snapshot!(check_wrong(&with_block(r#"{"type":"image","source":"x.png"}"#)), @"messages[0].content[0].source: `messages[0].content[0].source` must be an object, not a string");
    assert_snapshot!(check_wrong(&with_block(r#"{"type":"image","source":{"type":"base64","data":"AA"}}"#)), @"messages[0].content[0].source.media_type: `messages[0].content[0].source.media_type` is required");
    assert_snapshot!(check_wrong(&with_block(r#"{"type":"tool_use","id":"a","name":"b","input":"{}"}"#)), @"messages[0].content[0].input: `messages[0].content[0].input` must be an object");
    assert_snapshot!(check_wrong(&with_block(r#"{"type":"tool_result","content":"x"}"#)), @"messages[0].content[0].tool_use_id: `messages[0].content[0].tool_use_id` is required");
    assert_snapshot!(check_wrong(&with_block(r#"{"type":"tool_result","tool_use_id":"a","content":[{"type":"text"}]}"#)), @"messages[0].content[0].content[0].text: `messages[0].content[0].content[0].text` is required");
    assert_snapshot!(check_wrong(&with_member(r#""temperature":"hot""#)), @"temperature: `temperature` must be a number, not a string");
    assert_snapshot!(check_wrong(&with_member(r#""stop_sequences":"END""#)), @"stop_sequences: `stop_sequences` must be a list, not a string");
    assert_snapshot!(check_wrong(&with_member(r#""tools":{}"#)), @"tools: `tools` must be a list, not an object");
    assert_snapshot!(check_wrong(&with_member(r#""tools":[{"name":"a"}]"#)), @"tools[0].input_schema: `tools[0].input_schema` is required");
    assert_snapshot!(check_wrong(&with_member(r#""tool_choice":"auto""#)), @"tool_choice: `tool_choice` must be an object, not a string");
    assert_snapshot!(check_wrong(&with_member(r#""tool_choice":{"type":"tool"}"#)), @"tool_choice.name: `tool_choice.name` is required");
    assert_snapshot!(check_wrong(&with_member(r#""thinking":{"type":"enabled"}"#)), @"thinking.budget_tokens: `thinking.budget_tokens` is required");
    assert_snapshot!(check_wrong(&with_member(r#""output_config":{"format":{"type":"xml"}}"#)), @"output_config.format.type: `output_config.format.type` must be `json_schema`");
    assert_snapshot!(check_wrong(&with_member(r#""metadata":{"user_id":7}"#)), @"metadata.user_id: `metadata.user_id` must be a string, not a number");
}

/// Reads a request and shows what the model makes of it.
#[track_caller]
fn check_decode(json: &str) -> String {
    show(&decode(json))
}

/// Reads a wrong request and shows the complaint.
#[track_caller]
fn check_wrong(json: &str) -> String {
    let error = decode_request(&object(json)).unwrap_err();
    format!("{}: {}", error.param.unwrap_or_default(), error.message)
}

fn with_member(member: &str) -> String {
    format!(r#"{{"max_tokens":1,"messages":[{{"role":"user","content":"Hi"}}],{member}}}"#)
}

fn with_message(message: &str) -> String {
    format!(r#"{{"max_tokens":1,"messages":[{message}]}}"#)
}

fn with_block(block: &str) -> String {
    with_message(&format!(r#"{{"role":"user","content":[{block}]}}"#))
}
