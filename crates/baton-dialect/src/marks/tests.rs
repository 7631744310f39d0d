use Dialect::{AnthropicMessages, OpenaiChat};
use bytes::Bytes;

use super::*;

fn body(messages: &str) -> RawObject {
    RawObject::parse(Bytes::from(format!(r#"{{"max_tokens":9,"messages":{messages}}}"#))).unwrap()
}

fn chat(messages: &str) -> Marks {
    conversation_marks(OpenaiChat, &body(messages)).unwrap()
}

fn messages(messages: &str) -> Marks {
    conversation_marks(AnthropicMessages, &body(messages)).unwrap()
}

/// `to` of each transfer, with the call and the tool.
fn transfers(dialect: Dialect, messages: &str) -> Vec<String> {
    let observed = observed_transfers(dialect, &body(messages)).unwrap();
    let show = |transfer: ObservedTransfer| {
        format!("{} {} -> {}", transfer.call_id, transfer.tool, transfer.to.as_deref().unwrap_or("?"))
    };
    observed.into_iter().map(show).collect()
}

const QUESTION: &str = r#"{"role":"system","content":"You bill."},{"role":"user","content":"My card"}"#;

/// A chat round: the assistant calls these tools, given as id, name and arguments, and each is answered.
fn round(calls: &[(&str, &str, &str)]) -> String {
    let calls_json: Vec<String> = calls
        .iter()
        .map(|(id, name, arguments)| {
            format!(r#"{{"id":"{id}","type":"function","function":{{"name":"{name}","arguments":{arguments:?}}}}}"#)
        })
        .collect();
    let results: Vec<String> = calls
        .iter()
        .map(|(id, _, _)| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"ok"}}"#))
        .collect();
    format!(
        r#"{{"role":"assistant","content":null,"tool_calls":[{}]}},{}"#,
        calls_json.join(","),
        results.join(",")
    )
}

#[test]
fn the_mark_of_a_request_is_found_before_the_answer_of_the_next() {
    let first = chat(&format!("[{QUESTION}]"));
    assert_eq!(first.before, None);
    let later = chat(&format!(
        r#"[{QUESTION},{{"role":"assistant","content":"Yes"}},{{"role":"user","content":"?"}}]"#
    ));
    assert_eq!(later.before, first.now);
    let called = chat(&format!("[{QUESTION},{}]", round(&[("c1", "lookup", "{}")])));
    assert_eq!((called.before, called.answered), (first.now, vec!["c1".to_owned()]));
}

#[test]
fn an_assistant_turn_in_several_messages_is_one_turn() {
    let split = chat(&format!(
        r#"[{QUESTION},{{"role":"assistant","content":"I look."}},{}]"#,
        round(&[("c1", "lookup", "{}")])
    ));
    assert_eq!(split.before, chat(&format!("[{QUESTION}]")).now);
}

#[test]
fn the_spelling_of_the_json_does_not_count() {
    let plain = chat(r#"[{"role":"user","content":"Caf\u00e9"}]"#);
    assert_eq!(
        plain,
        chat("[ { \"content\" : [{\"text\":\"Café\",\"type\":\"text\"}], \"role\":\"user\" } ]")
    );
    let blocks = messages(r#"[{"role":"user","content":[{"type":"text","text":"Café"}]}]"#);
    assert_eq!(plain, blocks, "nor does the dialect, where it says the same");
}

#[test]
fn what_is_said_and_who_says_it_counts() {
    let marks = [
        r#"[{"role":"user","content":"a"}]"#,
        r#"[{"role":"user","content":"b"}]"#,
        r#"[{"role":"assistant","content":"a"}]"#,
        r#"[{"role":"user","content":"a"},{"role":"user","content":""}]"#,
        r#"[{"role":"user","content":"a\u0000"}]"#,
        r#"[{"role":"user","content":"12345678"}]"#,
        r#"[{"role":"user","content":"1234567812345678"}]"#,
        r#"[{"role":"user","content":"a"},{"role":"user","content":"b"}]"#,
        r#"[{"role":"user","content":"ab"}]"#,
    ];
    let hashes: std::collections::HashSet<u128> = marks.iter().map(|list| chat(list).now.unwrap()).collect();
    assert_eq!(hashes.len(), marks.len());
}

#[test]
fn a_mark_is_the_same_in_every_version() {
    // Marks outlive a release: a change here loses every conversation that is under way.
    assert_eq!(chat(&format!("[{QUESTION}]")).now.unwrap(), MARK);
}

const MARK: u128 = 229_285_101_207_494_124_281_486_674_865_182_017_549;

#[test]
fn only_results_at_the_end_are_answers() {
    let round = round(&[("c1", "lookup", "{}"), ("c2", "lookup", "{}")]);
    assert_eq!(chat(&format!("[{QUESTION},{round}]")).answered, ["c1", "c2"]);
    assert!(chat(&format!(r#"[{QUESTION},{round},{{"role":"user","content":"?"}}]"#)).answered.is_empty());
    let results = r#"[{"role":"user","content":"q"},{"role":"assistant","content":[
        {"type":"tool_use","id":"t1","name":"a","input":{}},{"type":"tool_use","id":"t2","name":"a","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1"},{"type":"tool_result","tool_use_id":"t2"},
        {"type":"text","text":"and?"}]}]"#;
    assert_eq!(messages(results).answered, ["t1", "t2"]);
}

#[test]
fn an_orphan_result_is_an_answer_too() {
    let orphan = r#"[{"role":"user","content":"q"},{"role":"tool","tool_call_id":"c9","content":"x"}]"#;
    let marks = chat(orphan);
    assert_eq!(marks.answered, ["c9"]);
    assert_eq!(marks.before, chat(r#"[{"role":"user","content":"q"}]"#).now);
}

#[test]
fn a_transfer_of_the_clients_own_loop_is_seen() {
    let round = round(&[("call_1", "transfer_to_billing_agent", "{}")]);
    assert_eq!(
        transfers(OpenaiChat, &format!("[{QUESTION},{round}]")),
        ["call_1 transfer_to_billing_agent -> billing_agent"]
    );
}

#[test]
fn a_handoff_names_its_agent_in_the_arguments() {
    let round = round(&[
        ("c1", "handoff", r#"{"agent":"writer"}"#),
        ("c2", "transfer_task", r#"{"agent":"coder","task":"t"}"#),
        ("c3", "handoff", "broken"),
        ("c4", "lookup", r#"{"agent":"x"}"#),
    ]);
    assert_eq!(
        transfers(OpenaiChat, &format!("[{QUESTION},{round}]")),
        ["c1 handoff -> writer", "c2 transfer_task -> coder", "c3 handoff -> ?"]
    );
}

#[test]
fn a_transfer_is_seen_in_messages_too() {
    let list = r#"[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"t1",
        "name":"transfer_to_b","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1"}]}]"#;
    assert_eq!(transfers(AnthropicMessages, list), ["t1 transfer_to_b -> b"]);
}

#[test]
fn a_transfer_of_an_earlier_round_is_old_news() {
    let transfer = round(&[("c1", "transfer_to_b", "{}")]);
    let lookup = round(&[("c2", "lookup", "{}")]);
    assert!(transfers(OpenaiChat, &format!("[{QUESTION},{transfer},{lookup}]")).is_empty());
    assert!(
        transfers(OpenaiChat, &format!(r#"[{QUESTION},{transfer},{{"role":"user","content":"?"}}]"#))
            .is_empty()
    );
}

#[test]
fn requests_without_the_words_are_not_read() {
    // These messages could not be decoded.
    assert!(transfers(OpenaiChat, r#"[{"role":7}]"#).is_empty());
    assert!(observed_transfers(OpenaiChat, &body(r#"[{"role":"handoff"},"handoff"]"#)).is_err());
}
