use bytes::Bytes;

use super::*;

const TOOLS: &str = r#""tools":[
    {"type":"function","function":{"name":"search","description":"Finds pages","parameters":{"type":"object","properties":{}}}},
    {"type":"function","function":{"name":"get_weather","description":"Current weather","parameters":
        {"type":"object","properties":{"location":{"type":"string"}},"required":["location"]}}}]"#;
const WEATHER: &str = r#""messages":[{"role":"user","content":"What is the weather in San Francisco?"}]"#;
const AFTER_CALL: &str = r#""messages":[{"role":"user","content":"weather?"},
    {"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},
    {"role":"tool","tool_call_id":"c1","content":"18 degrees"}]"#;
const CALLED: &str = r#"get_weather({"location":"San Francisco"})"#;

#[test]
fn hello_says_the_same_whatever_the_system_prompt() {
    check(
        "hello",
        r#""messages":[{"role":"system","content":"Be rude."},{"role":"user","content":"x"}]"#,
        HELLO,
    );
}

#[test]
fn parrot_repeats_the_last_user_message() {
    check(
        "parrot",
        r#""messages":[{"role":"user","content":"one"},{"role":"assistant","content":"x"},{"role":"user","content":"two"}]"#,
        "two",
    );
    check("parrot", r#""messages":[{"role":"system","content":"x"}]"#, "There is no text to repeat.");
}

#[test]
fn who_was_handed_the_conversation_answers_the_user() {
    let handed = AFTER_CALL.replace("get_weather", "transfer_to_parrot");
    check("parrot", &handed, "weather?");
    check("hello", &handed, HELLO);
}

#[test]
fn tool_calls_a_fitting_tool_of_its_own_accord() {
    check("tool", &format!("{WEATHER},{TOOLS}"), CALLED);
}

#[test]
fn other_models_do_not() {
    check("hello", &format!("{WEATHER},{TOOLS}"), HELLO);
}

#[test]
fn every_model_calls_when_it_must() {
    for model in ["hello", "parrot", "json", "slow", "tool"] {
        check(model, &format!(r#"{WEATHER},{TOOLS},"tool_choice":"required""#), CALLED);
    }
}

#[test]
fn a_named_tool_is_called_whether_it_fits_or_not() {
    let choice = r#""tool_choice":{"type":"function","function":{"name":"search"}}"#;
    check("hello", &format!("{WEATHER},{TOOLS},{choice}"), "search({})");
}

#[test]
fn none_means_none() {
    check("tool", &format!(r#"{WEATHER},{TOOLS},"tool_choice":"none""#), NO_TOOL);
}

#[test]
fn a_tool_result_is_used_and_not_called_for_again() {
    for model in ["hello", "parrot", "slow", "tool"] {
        check(model, &format!("{AFTER_CALL},{TOOLS}"), "The tool `get_weather` answered: 18 degrees");
    }
}

#[test]
fn json_uses_a_tool_result_too() {
    check(
        "json",
        AFTER_CALL,
        r#"{"model":"json","tool_results":[{"result":"18 degrees","tool":"get_weather"}],"you_said":"weather?"}"#,
    );
}

#[test]
fn every_model_follows_a_schema() {
    let format = r#""response_format":{"type":"json_schema","json_schema":{"name":"x","schema":
        {"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":2}}}}}"#;
    for model in ["hello", "tool", "json", "parrot"] {
        check(model, &format!("{WEATHER},{format}"), r#"{"city":"San Francisco","days":2}"#);
    }
}

#[test]
fn a_schema_after_a_tool_result_tells_the_result() {
    let format = r#""response_format":{"type":"json_schema","json_schema":{"name":"x","schema":
        {"type":"object","properties":{"weather":{"type":"string"}}}}}"#;
    check("tool", &format!("{AFTER_CALL},{TOOLS},{format}"), r#"{"weather":"18 degrees"}"#);
}

#[test]
fn a_json_object_is_one() {
    let format = r#""response_format":{"type":"json_object"}"#;
    check(
        "hello",
        &format!(r#""messages":[{{"role":"user","content":"x"}}],{format}"#),
        r#"{"model":"json","you_said":"x"}"#,
    );
}

#[test]
fn images_are_mentioned() {
    let image = r#""messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},
        {"type":"image_url","image_url":{"url":"data:image/jpeg;base64,AAAA"}},
        {"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]"#;
    let seen = "I was shown a JPEG image of 3 bytes and an image at an address.";
    check("hello", image, &format!("{HELLO} {seen}"));
    check("parrot", image, &format!("What is this? {seen}"));
}

#[test]
fn the_earliest_stop_sequence_ends_the_answer() {
    let body = r#""messages":[{"role":"user","content":"one two three"}],"stop":["three"," two"]"#;
    assert_eq!(answered("parrot", body), ("one".to_owned(), Finish::Stop));
}

#[test]
fn the_limit_cuts_between_letters_and_says_so() {
    let body = r#""messages":[{"role":"user","content":"abcééé"}],"max_tokens":1"#;
    assert_eq!(answered("parrot", body), ("abc".to_owned(), Finish::Length));
    let body = r#""messages":[{"role":"user","content":"abcd"}],"max_tokens":1"#;
    assert_eq!(answered("parrot", body), ("abcd".to_owned(), Finish::Stop));
}

#[test]
fn a_tool_without_parameters_gets_an_empty_object() {
    let tools = r#""tools":[{"type":"function","function":{"name":"now"}}]"#;
    check("tool", &format!("{WEATHER},{tools}"), "now({})");
}

#[track_caller]
fn check(model: &str, body: &str, expected: &str) {
    assert_eq!(answered(model, body).0, expected, "{model}");
}

#[track_caller]
fn answered(model: &str, body: &str) -> (String, Finish) {
    let request = Request::parse(Bytes::from(format!(r#"{{"model":"{model}",{body}}}"#))).unwrap();
    let answer = answer(&request, &model.parse().unwrap());
    match answer.content {
        Content::Text(text) => (text, answer.finish),
        Content::Call { name, arguments } => {
            assert_eq!(answer.finish, Finish::ToolCalls);
            (format!("{name}({arguments})"), answer.finish)
        }
    }
}
