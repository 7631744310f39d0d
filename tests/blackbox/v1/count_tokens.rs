//! `POST /v1/messages/count_tokens`.

use serde_json::json;

use crate::blackbox::support::{Fixture, run, unique};

#[test]
fn an_upstream_of_the_dialect_counts_itself() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let body = json!({"model": format!("ant/{test}/fake"), "messages": [{"role": "user", "content": "word ".repeat(40)}]});
        for path in ["/v1/messages/count_tokens", "/messages/count_tokens"] {
            let answer = fixture.baton.post(path, &body).await.expect(200);
            assert_eq!(answer.json(), json!({"input_tokens": 50}));
            let run = fixture.baton.run_of(&answer).await;
            assert_eq!(run["decisions"][0]["surface"], "/v1/messages/count_tokens");
        }
        assert_eq!(fixture.anthropic_saw(&format!("{test}/fake"))[0].path, "/v1/messages/count_tokens");
    });
}

#[test]
fn for_another_upstream_the_count_is_an_estimate() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let count = async |words: usize| {
            let body = json!({"model": format!("oai/{test}/fake"), "messages": [{"role": "user", "content": "word ".repeat(words)}]});
            let answer = fixture.baton.post("/v1/messages/count_tokens", &body).await.expect(200);
            answer.json()["input_tokens"].as_u64().expect("a count")
        };
        let (few, many) = (count(10).await, count(1_000).await);
        assert!(few < 100 && (1_000..3_000).contains(&many), "{few} {many}");
        assert!(fixture.openai_saw(&format!("{test}/fake")).is_empty());
    });
}

#[test]
fn what_is_wrong_is_said_in_the_dialect() {
    run(async {
        let fixture = Fixture::shared().await;
        for (body, status, kind) in [
            (json!({"messages": []}), 400, "invalid_request_error"),
            (json!({"model": "nobody/x", "messages": []}), 404, "not_found_error"),
            (json!([]), 400, "invalid_request_error"),
        ] {
            let error = fixture.baton.post("/v1/messages/count_tokens", &body).await.anthropic_error(status);
            assert_eq!(error["type"], kind, "{body}");
        }
        let answer = fixture.baton.get("/v1/messages/count_tokens").await;
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    });
}
