use super::*;

#[test]
fn an_item_of_ours_is_named() {
    let id = "msg_01a20186cac374a7988d9d1f36e752da0003";
    check(
        r#"{"type":"item_reference","id":"msg_01a20186cac374a7988d9d1f36e752da0003"}"#,
        Some(("resp_01a20186cac374a7988d9d1f36e752da", id)),
    );
}

#[test]
fn an_item_of_a_provider_is_not_ours() {
    check(r#"{"type":"item_reference","id":"msg_67ccd2bf17f0819081ff3bb2cf6508e6"}"#, None);
    check(r#"{"type":"item_reference","id":5}"#, None);
}

#[test]
fn an_item_itself_is_no_name() {
    check(r#"{"type":"message","id":"msg_01a20186cac374a7988d9d1f36e752da0003","role":"assistant"}"#, None);
    check(r#""item_reference""#, None);
}

#[test]
fn digits_that_no_request_has_are_not_ours() {
    check(r#"{"type":"item_reference","id":"msg_ffffffffffffffffffffffffffffffff0000"}"#, None);
}

#[test]
fn an_input_without_names_is_not_read() {
    assert!(names_something(br#"[{"type":"item_reference"}]"#));
    assert!(!names_something(br#"[{"role":"user"}]"#));
    assert!(!names_something(br#""item_reference""#));
}

#[track_caller]
fn check(item: &str, expected: Option<(&str, &str)>) {
    let raw: &RawValue = serde_json::from_str(item).unwrap();
    let found = named(raw).map(|(response, id)| (response.to_string(), id.into_owned()));
    let expected = expected.map(|(response, id)| (response.to_owned(), id.to_owned()));
    assert_eq!(found, expected, "{item}");
}
