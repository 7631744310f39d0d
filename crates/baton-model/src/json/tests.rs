use super::*;

#[test]
fn members_keep_their_bytes_and_order() {
    assert_eq!(
        check(r#" { "b" : 1e2 , "mod\u0065l":"a" ,"n":12345678901234567890123} "#),
        r#"b=1e2 model="a" n=12345678901234567890123"#
    );
}

#[test]
fn a_replaced_member_leaves_the_rest_byte_for_byte() {
    assert_eq!(
        rewritten(r#"{ "a": [1, 2],  "model" : "x", "z":  1.50 }"#, &[("model", Some("\"y\""))]),
        r#"{"a": [1, 2],"model" : "y","z":  1.50}"#
    );
}

#[test]
fn members_can_be_removed_and_appended() {
    assert_eq!(
        rewritten(r#"{"models":["a"],"x":1}"#, &[("models", None), ("n", Some("2"))]),
        r#"{"x":1,"n":2}"#
    );
    assert_eq!(rewritten(r#"{"x":1}"#, &[("x", None)]), "{}");
    assert_eq!(rewritten("{}", &[("x", Some("1"))]), r#"{"x":1}"#);
}

#[test]
fn what_is_not_an_object_is_refused_with_a_reason() {
    assert_eq!(check("[1]"), "the body must be a JSON object");
    assert_eq!(check(r#"{"a":1,"a":2}"#), "the key `a` stands twice in the body");
    assert_eq!(check(r#"{"a":1,"\u0061":2}"#), "the key `a` stands twice in the body");
    assert!(check(r#"{"a":1} x"#).starts_with("the body is not valid JSON: trailing characters"));
    assert!(check("").starts_with("the body is not valid JSON: EOF"));
    assert_eq!(
        check(&format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200))),
        JsonError::TooDeep.to_string()
    );
    assert_eq!(check(r#"{"a":"\ud800"}"#), JsonError::LoneSurrogate(6).to_string());
    assert_eq!(check(r#"{"a":"\udc00 x"}"#), JsonError::LoneSurrogate(6).to_string());
    assert_eq!(check(r#"{"a":"\ud83d\ude00 \\ud800"}"#), r#"a="\ud83d\ude00 \\ud800""#);
    assert!(RawObject::parse(Bytes::from_static(b"{\"a\":\"\xff\"}")).is_err());
}

#[test]
fn null_and_absent_are_the_same() {
    let object = RawObject::parse(Bytes::from_static(br#"{"a":null,"b":3}"#)).unwrap();
    assert_eq!(object.read::<u8>("a"), Ok(None));
    assert_eq!(object.read::<u8>("b"), Ok(Some(3)));
    assert_eq!(object.read::<u8>("c"), Ok(None));
    assert!(
        object.read::<String>("b").unwrap_err().to_string().starts_with("`b` is not valid: invalid type")
    );
}

#[test]
fn more_keys_than_any_request_has_are_refused_before_they_are_compared() {
    let body = |count: usize| {
        format!("{{{}}}", (0..count).map(|at| format!("\"k{at}\":1")).collect::<Vec<_>>().join(","))
    };
    assert!(check(&body(1_024)).starts_with("k0=1 k1=1"));
    assert_eq!(check(&body(1_025)), "the body has more than 1024 keys at the top");
    assert_eq!(check(&body(300_000)), "the body has more than 1024 keys at the top");
}

proptest::proptest! {
    /// Whatever is edited, the result parses, and what was not edited is unchanged.
    #[test]
    fn rewriting_changes_only_what_it_names(keys in proptest::collection::btree_set("[a-f\\\\\"\u{e9}]{1,3}", 0..6), cut in 0_usize..6) {
        let source = serde_json::to_string(&keys.iter().map(|key| (key.clone(), 1)).collect::<std::collections::BTreeMap<_, _>>()).unwrap();
        let object = RawObject::parse(Bytes::from(source)).unwrap();
        let gone = keys.iter().nth(cut).cloned().unwrap_or_else(|| "new".to_owned());
        let joined = object.rewrite(&[(&gone, None)]).concat();
        let after = RawObject::parse(Bytes::from(joined)).unwrap();
        let left: Vec<String> = after.members().map(|member| member.key.to_owned()).collect();
        let wanted: Vec<String> = keys.iter().filter(|key| **key != gone).cloned().collect();
        proptest::prop_assert_eq!(left, wanted);
    }
}

fn check(body: &str) -> String {
    match RawObject::parse(Bytes::copy_from_slice(body.as_bytes())) {
        Ok(object) => object
            .members()
            .map(|member| format!("{}={}", member.key, std::str::from_utf8(member.value).unwrap()))
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.to_string(),
    }
}

fn rewritten(body: &str, edits: &[(&str, Option<&str>)]) -> String {
    let object = RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let edits: Vec<_> = edits
        .iter()
        .map(|(key, value)| (*key, value.map(|text| Bytes::copy_from_slice(text.as_bytes()))))
        .collect();
    let whole = object.rewritten(&edits);
    assert_eq!(object.rewrite(&edits).concat(), whole);
    String::from_utf8(whole).unwrap()
}
