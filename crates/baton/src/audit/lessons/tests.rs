use super::*;

fn check(body: &Value, expected: Option<&str>) {
    assert_eq!(last_asked(body).as_deref(), expected, "{body}");
}

#[test]
fn the_last_message_of_the_user_is_asked() {
    let said = |role: &str, text: &str| json!({"role": role, "content": text});
    check(&json!({"messages": [said("user", "a"), said("user", "b"), said("assistant", "c")]}), Some("b"));
    check(&json!({"messages": "hi"}), Some("hi"));
    check(&json!({"input": "hi"}), Some("hi"));
    check(
        &json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}]}),
        Some("a\nb"),
    );
}

#[test]
fn a_request_without_words_asks_nothing() {
    check(&json!({"messages": []}), None);
    check(&json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}), None);
    check(&json!({"model": "x"}), None);
}
