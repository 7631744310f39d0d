use super::*;

#[test]
fn a_text_goes_on_as_a_message() {
    check(r#" "go \"on\"" "#, r#"[{"role":"user","content":"go \"on\""}]"#);
}

#[test]
fn items_go_on_as_they_were_sent() {
    check(r#"[ {"type":"x"} , {"type": "y"} ]"#, r#"[ {"type":"x"} , {"type": "y"} ]"#);
    check("[ ]", "[]");
}

#[test]
fn what_is_no_input_stays() {
    check("5", "5");
    check("", "");
}

#[test]
fn a_path_is_told_as_the_client_sent_it() {
    for (sent, before, told) in [
        ("input[7].role", 5, "input[2].role"),
        ("input[4].role", 5, "previous_response_id"),
        ("input[4].role", 0, "input[4].role"),
        ("temperature", 5, "temperature"),
    ] {
        let error = ApiError::invalid(format!("`{sent}` is wrong"), Some(sent)).behind(before);
        assert_eq!(error.message(), format!("`{told}` is wrong"));
    }
}

#[track_caller]
fn check(own: &'static str, input: &str) {
    let (before, continued) = continued(&[], &Bytes::from_static(own.as_bytes())).unwrap();
    assert_eq!((before, str::from_utf8(&continued).unwrap()), (0, input));
}
