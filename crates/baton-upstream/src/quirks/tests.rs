use super::*;

const ALL: Quirks =
    Quirks { stream_options: false, developer_role: false, max_completion_tokens: false, ..Quirks::NONE };

#[test]
fn a_plain_body_is_not_touched() {
    check(ALL, r#"{"model":"m","messages":[{"role":"user","content":"a developer"}]}"#, None);
}

#[test]
fn a_provider_without_quirks_gets_everything() {
    let body = r#"{"stream_options":{},"max_completion_tokens":5,"messages":[{"role":"developer"}]}"#;
    check(Quirks::NONE, body, None);
    assert!(Quirks::NONE.is_none() && !ALL.is_none());
}

#[test]
fn stream_options_go() {
    check(ALL, r#"{"stream":true,"stream_options":{"include_usage":true}}"#, Some(r#"{"stream":true}"#));
}

#[test]
fn the_limit_gets_its_older_name() {
    check(ALL, r#"{"model":"m","max_completion_tokens":5}"#, Some(r#"{"model":"m","max_tokens":5}"#));
}

#[test]
fn of_two_limits_the_newer_counts() {
    check(ALL, r#"{"max_tokens":9,"max_completion_tokens":5}"#, Some(r#"{"max_tokens":5}"#));
}

#[test]
fn a_developer_becomes_system_and_the_rest_survives_byte_for_byte() {
    check(
        ALL,
        r#"{"messages":[{"content":"\u00e9", "role":"developer","x":1.0},{"role":"user" , "content":"developer"}]}"#,
        Some(
            r#"{"messages":[{"content":"\u00e9","role":"system","x":1.0},{"role":"user" , "content":"developer"}]}"#,
        ),
    );
}

#[test]
fn messages_of_another_type_are_an_error() {
    let body = RawObject::parse(Bytes::from_static(br#"{"messages":"developer"}"#)).unwrap();
    assert!(matches!(ALL.edits(&body), Err(JsonError::Member { key, .. }) if key == "messages"));
}

#[track_caller]
fn check(quirks: Quirks, body: &str, expected: Option<&str>) {
    let body = RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let edits = quirks.edits(&body).unwrap();
    let made = (!edits.is_empty()).then(|| String::from_utf8(body.rewrite(&edits).concat()).unwrap());
    assert_eq!(made.as_deref(), expected);
}
