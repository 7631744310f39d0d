use serde_json::json;

use super::*;

#[test]
fn an_offered_tool_is_called() {
    assert_eq!(check(|_| ()), r#"weather{"city":"Paris"} Calls"#);
}

#[test]
fn after_a_tool_result_the_answer_is_text() {
    assert_eq!(
        check(|ask| ask.after_tool_result = true),
        "The tool says: it is mild in Paris, 18 °C, with a light wind from the west. End"
    );
}

#[test]
fn a_required_tool_is_called_even_after_a_result() {
    assert_eq!(
        check(|ask| {
            ask.after_tool_result = true;
            ask.choice = Choice::Required;
        }),
        r#"weather{"city":"Paris"} Calls"#
    );
}

#[test]
fn a_named_tool_is_called() {
    assert_eq!(check(|ask| ask.choice = Choice::Named("time".to_owned())), "time{} Calls");
}

#[test]
fn parallel_calls_come_when_asked_for() {
    assert_eq!(
        check(|ask| ask.last_text = "in parallel, please".to_owned()),
        r#"weather{"city":"Paris"} time{} Calls"#
    );
}

#[test]
fn a_schema_is_satisfied() {
    assert_eq!(
        check(|ask| {
            ask.tools.clear();
            ask.shape = Shape::Schema(json!({"type": "object", "properties": {"n": {"type": "integer"}}}));
        }),
        r#"{"n":3} End"#
    );
}

#[test]
fn a_token_limit_cuts_the_text() {
    assert_eq!(
        check(|ask| {
            ask.tools.clear();
            ask.most_tokens = Some(2);
        }),
        "Hello from  Length"
    );
}

#[test]
fn a_stop_sequence_ends_the_text() {
    assert_eq!(
        check(|ask| {
            ask.tools.clear();
            ask.stops = vec![" fake".to_owned()];
        }),
        r#"Hello from the Stop(" fake")"#
    );
}

#[test]
fn the_parts_of_a_stream_join_to_the_whole() {
    for pieces in 0..12 {
        assert_eq!(split("café 🦀!", pieces).concat(), "café 🦀!");
    }
}

fn check(change: impl FnOnce(&mut Ask)) -> String {
    let weather = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tool = |name: &str, schema| Tool { name: name.to_owned(), description: String::new(), schema };
    let tools = vec![tool("weather", weather), tool("time", json!({"type": "object", "properties": {}}))];
    let mut ask = Ask { tools, last_text: "hello".to_owned(), ..Ask::default() };
    change(&mut ask);
    let reply = answer(&ask, None);
    let calls = reply.calls.iter().map(|call| format!("{}{} ", call.name, call.arguments));
    let text = if reply.text.is_empty() { String::new() } else { format!("{} ", reply.text) };
    format!("{}{text}{:?}", calls.collect::<String>(), reply.finish)
}
