use insta::assert_snapshot;

use super::*;
use crate::ErrorBody;

#[test]
fn a_wrong_request_is_wrong_everywhere() {
    assert_snapshot!(check(400, fixture!("error/400_invalid.json")), @"invalid_request [invalid_request_error] messages.0.content: Field required");
}

#[test]
fn too_long_a_prompt_is_told_from_other_wrongs() {
    assert_snapshot!(check(400, fixture!("error/400_prompt_too_long.json")), @"context_too_long [invalid_request_error] prompt is too long: 208310 tokens > 200000 maximum");
    assert_snapshot!(check(400, fixture!("error/400_max_tokens_over_window.json")), @"context_too_long [invalid_request_error] input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000");
}

#[test]
fn used_up_credit_has_many_forms() {
    assert_snapshot!(check(400, fixture!("error/400_credit.json")), @"quota_exhausted [invalid_request_error] Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.");
    assert_snapshot!(check(402, fixture!("error/402_billing.json")), @"quota_exhausted [billing_error] Your organization has unpaid invoices.");
    assert_snapshot!(check(429, fixture!("error/429_spend.json")), @"quota_exhausted [contract_spend_limit_reached] Your organization has reached its limit.");
}

#[test]
fn a_model_that_cannot_do_it_is_no_wrong_request() {
    assert_snapshot!(check(400, fixture!("error/400_no_thinking.json")), @"unsupported_feature [invalid_request_error] `claude-3-haiku-20240307` does not support thinking");
    assert_snapshot!(check(400, fixture!("error/400_filtered.json")), @"content_filtered [invalid_request_error] Output blocked by content filtering policy");
}

#[test]
fn a_refused_key() {
    assert_snapshot!(check(401, fixture!("error/401_key.json")), @"unauthorized [authentication_error] invalid x-api-key");
    assert_snapshot!(check(403, fixture!("error/403_permission.json")), @"unauthorized [permission_error] Your API key does not have permission to use the specified resource.");
}

#[test]
fn a_missing_model_is_told_from_a_missing_file() {
    assert_snapshot!(check(404, fixture!("error/404_model.json")), @"model_unavailable [not_found_error] model: claude-sonnet-9");
    assert_snapshot!(check(404, fixture!("error/404_file.json")), @"invalid_request [not_found_error] File not found: file_011");
}

#[test]
fn limits_and_failures_of_the_provider() {
    assert_snapshot!(check(413, fixture!("error/413_too_large.json")), @"too_large [request_too_large] Request exceeds the maximum size");
    assert_snapshot!(check(429, fixture!("error/429_rate.json")), @"rate_limited [rate_limit_error] Number of request tokens has exceeded your per-minute rate limit");
    assert_snapshot!(check(500, fixture!("error/500_api.json")), @"server_error [api_error] Internal server error");
    assert_snapshot!(check(504, fixture!("error/504_timeout.json")), @"server_error [timeout_error] Request timed out");
    assert_snapshot!(check(529, fixture!("error/529_overloaded.json")), @"overloaded [overloaded_error] Overloaded");
}

#[test]
fn a_status_says_more_than_the_type_of_every_failure() {
    let body = br#"{"type":"error","error":{"type":"api_error","message":"no"}}"#;
    assert_eq!(decode_error(503, body).kind.as_str(), "overloaded");
    assert_eq!(decode_error(500, body).kind.as_str(), "server_error");
}

#[test]
fn without_a_known_type_the_status_decides() {
    for (status, word) in [
        (400, "invalid_request"),
        (401, "unauthorized"),
        (402, "quota_exhausted"),
        (404, "model_unavailable"),
        (408, "server_error"),
        (413, "too_large"),
        (422, "invalid_request"),
        (429, "rate_limited"),
        (502, "server_error"),
        (503, "overloaded"),
        (529, "overloaded"),
        (302, "malformed_answer"),
    ] {
        assert_eq!(decode_error(status, b"<html>").kind.as_str(), word, "{status}");
        assert_eq!(
            decode_error(status, br#"{"error":{"type":"new_error"}}"#).kind.as_str(),
            word,
            "{status}"
        );
    }
}

#[test]
fn a_page_is_not_passed_on() {
    assert_snapshot!(check(502, "<html><h1>Bad gateway</h1></html>"), @"server_error [] the provider answered with status 502");
    assert_snapshot!(check(500, r#"{"error":"something"}"#), @"server_error [] the provider answered with status 500");
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let body = format!(r#"{{"error":{{"type":"api_error","message":"{}"}}}}"#, "é".repeat(600));
    assert_eq!(decode_error(500, body.as_bytes()).message, "é".repeat(500));
}

#[test]
fn our_errors_have_the_form_of_the_dialect() {
    let error = ErrorBody {
        kind: "invalid_request_error",
        message: "`max_tokens` is required",
        param: Some("max_tokens"),
        code: Some("missing"),
        request_id: Some("req_1"),
    };
    assert_snapshot!(check_encode(&error), @r#"{"type":"error","error":{"type":"invalid_request_error","message":"`max_tokens` is required"},"request_id":"req_1","message":"`max_tokens` is required","code":"missing","param":"max_tokens"}"#);
    assert_snapshot!(check_encode(&ErrorBody { param: None, code: None, request_id: None, ..error }), @r#"{"type":"error","error":{"type":"invalid_request_error","message":"`max_tokens` is required"},"request_id":null,"message":"`max_tokens` is required"}"#);
}

#[test]
fn a_refused_thread_is_told_so_that_clients_go_on_without() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"thread":{"type":"create"}}"#;
    let refused = refuse_what_is_kept(&object(body)).unwrap_err();
    let error = ErrorBody {
        kind: "invalid_request_error",
        message: &refused.message,
        param: refused.param.as_deref(),
        code: None,
        request_id: Some("req_1"),
    };
    let told: serde_json::Value = serde_json::from_str(&check_encode(&error)).unwrap();
    assert_snapshot!(told["error"]["details"], @r#"{"error_code":"thread_unsupported_request","unsupported":[]}"#);
}

#[test]
fn without_a_thread_nothing_is_kept_elsewhere() {
    for body in [r#"{"messages":[]}"#, r#"{"messages":[],"thread":null}"#] {
        assert!(refuse_what_is_kept(&object(body)).is_ok(), "{body}");
    }
}

/// Reads an error and shows what is made of it.
fn check(status: u16, body: &str) -> String {
    let fault = decode_error(status, body.as_bytes());
    assert_eq!(fault.status, Some(status));
    format!("{} [{}] {}", fault.kind, fault.code.unwrap_or_default(), fault.message)
}

#[track_caller]
fn check_encode(error: &ErrorBody<'_>) -> String {
    String::from_utf8(encode_error(error)).unwrap()
}
