use super::*;

/// A tool with this schema, mended; the schema itself where nothing is wrong.
#[track_caller]
fn check(schema: &str, expected: &str) {
    for (before, behind) in [
        (r#"[{"type":"function","function":{"name":"any_of","parameters":"#, "}}]"),
        (r#"[{"type":"function", "name": "one_of", "parameters" : "#, "}]"),
    ] {
        let tools = format!("{before}{schema}{behind}");
        let made = mend_tools(tools.as_bytes());
        assert_eq!(made.is_some(), schema != expected, "{tools}");
        let made = made.map_or(tools, |made| String::from_utf8(made).unwrap());
        assert_eq!(made, format!("{before}{expected}{behind}"));
    }
}

#[test]
fn a_mangled_keyword_gets_its_spelling_back() {
    for (mangled, keyword) in KEYWORDS {
        check(&format!(r#"{{"{mangled}":false}}"#), &format!(r#"{{"{keyword}":false}}"#));
    }
}

#[test]
fn the_list_is_what_the_clients_own_rule_makes_of_the_keywords() {
    for (mangled, keyword) in KEYWORDS {
        let snake: String = keyword
            .chars()
            .flat_map(|c| if c.is_ascii_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
            .collect();
        assert_eq!(snake, mangled);
    }
}

#[test]
fn every_byte_beside_the_key_stays() {
    check(
        r#"{ "type" :"object","x":1.0, "additional_properties" : false ,"title":"\u00e9"}"#,
        r#"{ "type" :"object","x":1.0, "additionalProperties" : false ,"title":"\u00e9"}"#,
    );
}

#[test]
fn names_of_properties_and_of_definitions_are_the_clients() {
    for named in ["properties", "$defs", "definitions"] {
        let same = format!(r#"{{"{named}":{{"any_of":{{"type":"string"}},"min_items":{{}}}}}}"#);
        check(&same, &same);
    }
    check(
        r#"{"properties":{"max_length":{"max_length":3}},"required":["max_length"]}"#,
        r#"{"properties":{"max_length":{"maxLength":3}},"required":["max_length"]}"#,
    );
    check(
        r#"{"pattern_properties":{"one_of":{"one_of":[]}}}"#,
        r#"{"patternProperties":{"one_of":{"oneOf":[]}}}"#,
    );
}

#[test]
fn values_are_the_clients() {
    for same in [
        r#"{"default":{"any_of":1}}"#,
        r#"{"enum":[{"min_items":1},"any_of"]}"#,
        r#"{"const":{"additional_properties":false}}"#,
        r#"{"examples":[{"one_of":[]}]}"#,
        r#"{"description":"\"any_of\":"}"#,
        r#"{"x_vendor":{"any_of":[]}}"#,
    ] {
        check(same, same);
    }
}

#[test]
fn schemas_within_schemas_are_mended() {
    check(
        r#"{"items":[{"min_length":1},{"not":{"multiple_of":2}}],"any_of":[{"additional_properties":{"unique_items":true}}]}"#,
        r#"{"items":[{"minLength":1},{"not":{"multipleOf":2}}],"anyOf":[{"additionalProperties":{"uniqueItems":true}}]}"#,
    );
}

#[test]
fn where_both_spellings_stand_both_stay() {
    let same = r#"{"additional_properties":true,"additionalProperties":false}"#;
    check(same, same);
}

#[test]
fn what_is_no_schema_stays() {
    for same in ["true", "null", "[]", r#""any_of""#, r#"{"a\u006ey_of":[]}"#] {
        check(same, same);
    }
    assert_eq!(mend_tools(br#"[{"type":"custom","custom":{"any_of":1}},3]"#), None);
    assert_eq!(mend_tools(br#"{"any_of":1}"#), None);
}

#[test]
fn a_format_is_mended_in_its_schema_alone() {
    let check = |format: &str, expected: Option<&str>| {
        let made = mend_format(format.as_bytes()).map(|made| String::from_utf8(made).unwrap());
        assert_eq!(made.as_deref(), expected);
    };
    check(
        r#"{"type":"json_schema","json_schema":{"name":"any_of","schema":{"additional_properties":false}}}"#,
        Some(
            r#"{"type":"json_schema","json_schema":{"name":"any_of","schema":{"additionalProperties":false}}}"#,
        ),
    );
    check(r#"{"type":"json_schema","json_schema":{"any_of":1,"schema":{}}}"#, None);
    check(r#"{"type":"json_object","any_of":[]}"#, None);
}
