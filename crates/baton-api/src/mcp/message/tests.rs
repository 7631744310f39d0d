use axum::http::{HeaderName, HeaderValue};
use serde_json::json;

use super::*;

/// How a request is taken that comes with these headers and this `_meta`, or the error's code.
#[track_caller]
fn check(method: &str, headers: &[(&'static str, &str)], meta: &Value, expected: Result<Era, i64>) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let params = json!({ "name": "prepare_handoff", "_meta": meta });
    let Value::Object(params) = params else { unreachable!() };
    let message = Message { id: Some(json!(1)), method: Some(method.to_owned()), params };
    let code = |error: RpcError| error.body(&Value::Null)["error"]["code"].as_i64().unwrap();
    assert_eq!(era(&map, &message).map_err(code), expected);
}

fn whole() -> Value {
    json!({ VERSION_MEMBER: EACH_REQUEST, CAPABILITIES_MEMBER: {} })
}

const NOW: (&str, &str) = (VERSION_HEADER, EACH_REQUEST);

#[test]
fn a_client_that_says_nothing_or_an_older_version_has_made_a_handshake() {
    for headers in [&[][..], &[(VERSION_HEADER, "2025-11-25")], &[(VERSION_HEADER, "2024-11-05")]] {
        check("tools/list", headers, &json!({}), Ok(Era::Handshake));
    }
    check("initialize", &[NOW], &whole(), Ok(Era::Handshake));
}

#[test]
fn the_newest_version_says_everything_with_each_request() {
    check("tools/list", &[NOW, (METHOD_HEADER, "tools/list")], &whole(), Ok(Era::EachRequest));
    let named = [NOW, (METHOD_HEADER, "tools/call"), (NAME_HEADER, "prepare_handoff")];
    check("tools/call", &named, &whole(), Ok(Era::EachRequest));
    let wrapped = [NOW, (METHOD_HEADER, "tools/call"), (NAME_HEADER, "=?base64?cHJlcGFyZV9oYW5kb2Zm?=")];
    check("tools/call", &wrapped, &whole(), Ok(Era::EachRequest));
}

#[test]
fn a_header_that_does_not_say_what_the_body_says_is_refused() {
    check("tools/list", &[NOW], &whole(), Err(-32_020));
    check("tools/list", &[NOW, (METHOD_HEADER, "tools/call")], &whole(), Err(-32_020));
    check("tools/list", &[(METHOD_HEADER, "tools/list")], &whole(), Err(-32_020));
    check("tools/list", &[(VERSION_HEADER, "2025-11-25")], &whole(), Err(-32_020));
    let twice = [NOW, (METHOD_HEADER, "tools/list"), (METHOD_HEADER, "tools/list")];
    check("tools/list", &twice, &whole(), Err(-32_020));
    let other = [NOW, (METHOD_HEADER, "tools/call"), (NAME_HEADER, "select_optimal_model")];
    check("tools/call", &other, &whole(), Err(-32_020));
}

#[test]
fn what_the_newest_version_demands_has_to_be_there() {
    check("tools/list", &[NOW], &json!({}), Err(-32_602));
    check("tools/list", &[NOW], &json!({ VERSION_MEMBER: EACH_REQUEST }), Err(-32_602));
    check("server/discover", &[], &json!({}), Err(-32_602));
}

#[test]
fn a_version_that_is_not_spoken_is_named_with_those_that_are() {
    check("tools/list", &[(VERSION_HEADER, "2031-01-01")], &json!({}), Err(-32_022));
    let later = json!({ VERSION_MEMBER: "2031-01-01", CAPABILITIES_MEMBER: {} });
    check("tools/list", &[(VERSION_HEADER, "2031-01-01")], &later, Err(-32_022));
}

#[test]
fn a_handshake_ends_with_the_version_that_was_asked_for_or_the_newest_that_has_one() {
    for (asked, given) in [
        (json!("2025-06-18"), "2025-06-18"),
        (json!("2024-11-05"), "2024-11-05"),
        (json!("2025-11-25"), "2025-11-25"),
        (json!("2026-07-28"), "2025-11-25"),
        (json!(7), "2025-11-25"),
    ] {
        let Value::Object(params) = json!({ "protocolVersion": asked }) else { unreachable!() };
        assert_eq!(handshake_version(&params), given);
    }
}

#[test]
fn what_is_no_message_is_refused() {
    for body in [
        "",
        "{",
        "3",
        "[]",
        r#"{"id":1}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
    ] {
        assert!(read(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn only_what_has_an_id_and_a_method_is_answered() {
    for (body, awaits) in [
        (r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#, Some(json!("a"))),
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, None),
        (r#"{"jsonrpc":"2.0","id":4,"result":{}}"#, None),
    ] {
        let Ok(Incoming::One(message)) = read(body.as_bytes()) else { panic!("{body}") };
        assert_eq!(message.awaits(), awaits, "{body}");
    }
}
