use super::*;

#[test]
fn every_property_is_filled() {
    check(
        r#"{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}}}"#,
        r#"{"city":"Paris","days":3}"#,
    );
}

#[test]
fn the_first_word_of_an_enum_is_taken() {
    check(r#"{"type":"string","enum":["c","f"]}"#, r#""c""#);
}

#[test]
fn a_union_with_null_takes_the_other_side() {
    check(r#"{"anyOf":[{"type":"null"},{"type":"integer","minimum":7}]}"#, "7");
    check(r#"{"type":["null","boolean"]}"#, "true");
}

#[test]
fn local_references_are_followed() {
    check(
        r##"{"type":"array","minItems":2,"items":{"$ref":"#/$defs/step"},"$defs":{"step":{"const":"go"}}}"##,
        r#"["go","go"]"#,
    );
}

#[test]
fn a_schema_that_contains_itself_ends() {
    let tree = r##"{"type":"object","properties":{"left":{"$ref":"#"}}}"##;
    assert!(instance(&serde_json::from_str(tree).unwrap()).is_object());
}

#[track_caller]
fn check(schema: &str, expected: &str) {
    assert_eq!(instance(&serde_json::from_str(schema).unwrap()).to_string(), expected);
}
