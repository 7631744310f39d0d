use serde_json::json;

use super::*;

#[test]
fn texts_are_joined() {
    check(
        json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
        "a\nb",
        "\"a\\nb\"",
    );
}

#[test]
fn structured_content_is_kept_and_read_where_there_is_no_text() {
    check(json!({"content": [], "structuredContent": {"x": 1}}), "{\"x\":1}", "{\"x\":1}");
    check(
        json!({"content": [{"type": "text", "text": "one"}], "structuredContent": {"x": 1}}),
        "one",
        "{\"x\":1}",
    );
}

#[test]
fn what_is_no_text_is_named() {
    check(
        json!({"content": [{"type": "image", "data": "AAAA", "mimeType": "image/png"}]}),
        "[image: image/png, 3 bytes, not shown]",
        "[{\"data\":\"AAAA\",\"mimeType\":\"image/png\",\"type\":\"image\"}]",
    );
    check(
        json!({"content": [{"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}]}),
        "[audio: audio/wav, 3 bytes, not shown]",
        "[{\"data\":\"AAAA\",\"mimeType\":\"audio/wav\",\"type\":\"audio\"}]",
    );
    check(
        json!({"content": [{"type": "resource_link", "uri": "file:///a\u{202e}", "name": "a"}]}),
        "[link: file:///a\\u{202e}]",
        "[{\"name\":\"a\",\"type\":\"resource_link\",\"uri\":\"file:///a\u{202e}\"}]",
    );
}

#[test]
fn an_embedded_text_is_read_and_an_embedded_file_is_named() {
    check(
        json!({"content": [{"type": "resource", "resource": {"uri": "a", "text": "inside"}}]}),
        "inside",
        "[{\"resource\":{\"text\":\"inside\",\"uri\":\"a\"},\"type\":\"resource\"}]",
    );
    check(
        json!({"content": [{"type": "resource", "resource": {"uri": "a", "blob": "AAAA"}}]}),
        "[file: a, 3 bytes, not shown]",
        "[{\"resource\":{\"blob\":\"AAAA\",\"uri\":\"a\"},\"type\":\"resource\"}]",
    );
}

#[test]
fn nothing_is_nothing() {
    check(json!({"content": []}), "", "\"\"");
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = "é".repeat(1_000);
    let outcome = of(json!({"content": [{"type": "text", "text": text}]}));
    let expected =
        format!("{}\n[cut here: the result has 2000 bytes, the first 998 are shown]", "é".repeat(499));
    assert_eq!((outcome.text.as_str(), outcome.bytes, outcome.is_error), (expected.as_str(), 2_000, false));
    assert_eq!(outcome.result, Value::from(expected));
}

#[test]
fn a_long_record_is_replaced_by_the_text() {
    let data = "A".repeat(4_000);
    let outcome = of(json!({"content": [{"type": "image", "data": data, "mimeType": "image/png"}]}));
    assert_eq!(outcome.result, Value::from("[image: image/png, 3000 bytes, not shown]"));
    assert!(outcome.bytes > 4_000);
}

#[test]
fn the_servers_word_of_an_error_counts() {
    let outcome = of(json!({"content": [{"type": "text", "text": "no"}], "isError": true}));
    assert_eq!((outcome.is_error, outcome.code), (true, None));
}

#[track_caller]
fn check(result: Value, text: &str, record: &str) {
    let outcome = of(result);
    assert_eq!((outcome.text.as_str(), sorted(&outcome.result).as_str()), (text, record));
}

/// The limit is an odd one for text of two-byte characters.
fn of(result: Value) -> Outcome {
    Outcome::of(serde_json::from_value(result).unwrap(), 999)
}

/// As JSON with the keys in order, whatever map the build uses.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<String> =
                members.iter().map(|(key, value)| format!("\"{key}\":{}", sorted(value))).collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}
