use serde_json::Value;

use super::*;

#[test]
fn an_answer_keeps_what_its_caller_has_seen() {
    let answer =
        json!({"id": "resp_upstream", "created_at": 9, "status": "completed", "output": [1], "store": false});
    let own = check(&answer, ResponseStatus::Completed);
    assert_eq!(own["id"], "resp_ours");
    assert_eq!((&own["created_at"], &own["previous_response_id"]), (&json!(7), &json!("resp_before")));
    assert_eq!((&own["background"], &own["store"]), (&json!(true), &json!(true)));
    assert_eq!((&own["completed_at"], &own["output"]), (&json!(99), &json!([1])));
}

#[test]
fn every_member_stays_where_there_is_nothing_to_say() {
    let first = json!({"id": "resp_ours", "created_at": 7, "previous_response_id": null});
    let answer = RawObject::parse(Bytes::from_static(b"{\"status\":\"failed\"}")).unwrap();
    let own = owned(&answer, &RawJson::of(&first).unwrap(), ResponseStatus::Failed, 99).unwrap();
    let own: Value = own.read().unwrap();
    assert_eq!(own.get("previous_response_id"), Some(&Value::Null));
}

#[test]
fn only_what_is_whole_was_completed_at_some_time() {
    let own = check(&json!({"status": "incomplete"}), ResponseStatus::Incomplete);
    assert_eq!(own.get("completed_at"), None);
}

#[test]
fn a_response_that_failed_says_why_in_published_words() {
    for (code, word) in [
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("context_length_exceeded", "invalid_prompt"),
        ("outcome_unknown", "server_error"),
    ] {
        let fault = RunFault { code: code.to_owned(), message: "it broke".to_owned(), param: None };
        let item = RawJson::parse("{\"type\":\"message\"}").unwrap();
        let object: Value = failed(&before(), &fault, &[item]).unwrap().read().unwrap();
        assert_eq!(object["error"], json!({"code": word, "message": "it broke"}));
        assert_eq!(object["status"], "failed");
        assert_eq!(object["output"], json!([{"type": "message"}]));
    }
}

#[test]
fn an_event_stands_under_its_own_name() {
    let mut out = Vec::new();
    frame(4, &RawJson::parse("{\"type\":\"response.x\",\"sequence_number\":4}").unwrap(), &mut out);
    let text = "event: response.x\ndata: {\"type\":\"response.x\",\"sequence_number\":4}\n\n";
    assert_eq!(str::from_utf8(&out).unwrap(), text);
}

fn before() -> RawJson {
    let queued = json!({
        "id": "resp_ours", "created_at": 7, "status": "queued", "output": [], "previous_response_id": "resp_before",
    });
    RawJson::of(&queued).unwrap()
}

/// An answer as the response that was queued.
fn check(answer: &Value, status: ResponseStatus) -> Value {
    let answer = RawObject::parse(answer.to_string().into()).unwrap();
    owned(&answer, &before(), status, 99).unwrap().read().unwrap()
}
