use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[expect(dead_code, reason = "only whether it can be read matters")]
struct Sample {
    name: Option<String>,
    size: Option<u64>,
    list: Option<Vec<Self>>,
    inner: Option<Box<Self>>,
    flag: Option<bool>,
}

#[test]
fn a_wrong_scalar_is_named_with_its_path() {
    assert_eq!(check(r#"{"name":5}"#), "x.name: `x.name` must be a string, not a number");
    assert_eq!(check(r#"{"flag":"secret"}"#), "x.flag: `x.flag` must be a boolean, not a string");
    assert_eq!(
        check(r#"{"list":[{},{"name":true}]}"#),
        "x.list[1].name: `x.list[1].name` must be a string, not a boolean"
    );
}

#[test]
fn a_wrong_container_is_named_with_its_path() {
    assert_eq!(check(r#"{"list":{"a":1}}"#), "x.list: `x.list` must be a list, not an object");
    assert_eq!(
        check(r#"{"list":[{"a":[1,{"b":2}]}, "text"]}"#),
        "x.list[1]: `x.list[1]` must be an object, not a string"
    );
    assert_eq!(
        check("{\"list\": [ {},\n {\"inner\":\n {\"name\": [1]}}]}"),
        "x.list[1].inner.name: `x.list[1].inner.name` must be a string, not a list"
    );
}

#[test]
fn a_number_out_of_range_is_named() {
    assert_eq!(check(r#"{"size":-1}"#), "x.size: `x.size` must be a whole number from 0 up");
    assert_eq!(check(r#"{"size":1.5}"#), "x.size: `x.size` must be a whole number from 0 up");
}

#[test]
fn a_key_given_twice_is_named() {
    assert_eq!(check(r#"{"inner":{"name":"a","name":"b"}}"#), "x.inner.name: `x.inner.name` stands twice");
}

#[test]
fn escaped_keys_and_strings_do_not_mislead() {
    assert_eq!(
        check(r#"{"z\"[{":"\\\"}","in\u006eer":{"name":{}}}"#),
        "x.inner.name: `x.inner.name` must be a string, not an object"
    );
}

fn check(json: &str) -> String {
    match read::<Sample>(json.as_bytes(), format_args!("x")) {
        Ok(_) => "read".to_owned(),
        Err(error) => format!("{}: {}", error.param.as_deref().unwrap_or("-"), error.message),
    }
}
