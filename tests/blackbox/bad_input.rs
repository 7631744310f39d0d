//! What no client should send: always a clear 4xx in the caller's dialect, and the server lives on.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, Baton, Fixture, PATIENCE, Raw, exchange, run, sent, status_of};
use super::v1::text;

/// A conversation that is fine, for what stands around it.
const FINE: &str = r#""messages":[{"role":"user","content":"hi"}],"max_tokens":9"#;

#[test]
fn a_body_that_is_no_object_is_refused() {
    for body in [
        "",
        " ",
        "null",
        "true",
        "1",
        "\"text\"",
        "[]",
        "{",
        "{]",
        "{\"model\"",
        "{\"model\":}",
        "{\"model\":\"oai/fake\",}",
        "{'model':'oai/fake'}",
        "model=oai/fake",
        "<html>",
        "{\"model\":\"oai/fake\"} trailing",
        "{\"model\":\"oai/fake\"}{}",
        "\u{feff}{\"model\":\"oai/fake\"}",
        "{\"model\":NaN}",
        "{\"model\":\"a\nb\"}",
        "\0",
    ] {
        refused(body.as_bytes(), &[400]);
    }
}

#[test]
fn a_member_of_the_wrong_type_is_named() {
    for (member, param) in [
        (r#""model":1"#, "model"),
        (r#""model":true"#, "model"),
        (r#""model":[1]"#, "model"),
        (r#""model":[["oai/fake"]]"#, "model"),
        (r#""model":{}"#, "model"),
        (r#""model":"oai/fake","models":"oai/fake""#, "models"),
        (r#""model":"oai/fake","models":[1]"#, "models"),
        (r#""model":"oai/fake","fallbacks":{}"#, "fallbacks"),
        (r#""model":"oai/fake","stream":"yes""#, "stream"),
        (r#""model":"oai/fake","stream":1"#, "stream"),
        (r#""model":"oai/fake","provider":"oai""#, "provider"),
        (r#""model":"oai/fake","baton":1"#, "baton"),
        (r#""model":"oai/fake","tools":"f""#, "tools"),
    ] {
        for error in refused(format!("{{{member},{FINE}}}").as_bytes(), &[400]) {
            let said = text(&error["message"]) + &text(&error["param"]);
            assert!(said.contains(param), "{member}: {error}");
        }
    }
}

#[test]
fn a_model_must_be_named() {
    for model in [
        "",
        r#""model":null,"#,
        r#""model":"","#,
        r#""model":"  ","#,
        r#""model":[],"#,
        r#""models":[],"#,
        r#""model":[""],"#,
    ] {
        for error in refused(format!("{{{model}{FINE}}}").as_bytes(), &[400]) {
            assert!(text(&error["message"]).contains("model"), "{model}: {error}");
        }
    }
}

#[test]
fn odd_names_of_models_are_unknown_and_nothing_worse() {
    let long = "x".repeat(100_000);
    for model in [
        "../../etc/passwd",
        "oai/../ant",
        "oai/",
        "/fake",
        "/",
        "a\\u0000b",
        "\\ud83e\\udd80",
        "oai/fake\\n",
        "' or 1=1 --",
        "*",
        "oai/*",
        "echo/*",
        "baton/auto",
        &long,
    ] {
        refused(format!(r#"{{"model":"{model}",{FINE}}}"#).as_bytes(), &[400, 404]);
    }
}

#[test]
fn depth_is_no_danger() {
    for depth in [200, 10_000, 1_000_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let objects = "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        for body in [
            format!("{open}{close}"),
            open.clone(),
            format!(r#"{{"model":{open}{close},{FINE}}}"#),
            format!(r#"{{"model":"oai/fake","messages":{open}{close}}}"#),
            format!(r#"{{"model":"oai/fake","messages":[{{"role":"user","content":{objects}}}]}}"#),
            format!(r#"{{"model":"oai/fake",{FINE},"metadata":{objects}}}"#),
            objects.clone(),
        ] {
            never_a_server_error(&body);
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for inside in [&b"\xff"[..], b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x9f\x92", b"\xc0\x80"] {
        let mut body =
            br#"{"model":"oai/fake","max_tokens":9,"messages":[{"role":"user","content":""#.to_vec();
        body.extend_from_slice(inside);
        body.extend_from_slice(br#""}]}"#);
        refused(&body, &[400]);
    }
    let utf_16: Vec<u8> =
        format!(r#"{{"model":"oai/fake",{FINE}}}"#).encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused(&utf_16, &[400]);
}

#[test]
fn a_lone_surrogate_is_refused_or_passed_and_never_breaks_anything() {
    for inside in [r"\ud800", r"\udc00", r"\ud800x", r"\ud83e\ud83e", r"\u"] {
        for provider in ["oai", "ant"] {
            never_a_server_error(&format!(
                r#"{{"model":"{provider}/fake","max_tokens":9,"messages":[{{"role":"user","content":"{inside}"}}]}}"#
            ));
            never_a_server_error(&format!(r#"{{"model":"{inside}",{FINE}}}"#));
            never_a_server_error(&format!(r#"{{"{inside}":1,"model":"{provider}/fake",{FINE}}}"#));
        }
    }
}

#[test]
fn numbers_of_any_size_are_no_danger() {
    for number in ["1e400", "-1e400", "1e-400", "99999999999999999999999999", "-1", "1.5", "-0"] {
        for member in ["max_tokens", "max_completion_tokens", "temperature", "seed", "n", "top_logprobs"] {
            for provider in ["oai", "ant"] {
                never_a_server_error(&format!(
                    r#"{{"model":"{provider}/fake","messages":[{{"role":"user","content":"hi"}}],"{member}":{number}}}"#
                ));
            }
        }
    }
}

#[test]
fn conversations_of_any_shape_are_no_danger() {
    for messages in [
        "[]",
        "{}",
        "1",
        "[1]",
        "[null]",
        "[[]]",
        "[{}]",
        r#"[{"role":1}]"#,
        r#"[{"role":"user"}]"#,
        r#"[{"role":"user","content":[]}]"#,
        r#"[{"role":"user","content":[1]}]"#,
        r#"[{"role":"user","content":{}}]"#,
        r#"[{"role":"user","content":[{"type":"image_url"}]}]"#,
        r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:;base64,"}}]}]"#,
        r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://169.254.169.254/"}}]}]"#,
        r#"[{"role":"tool"}]"#,
        r#"[{"role":"tool","tool_call_id":1,"content":"x"}]"#,
        r#"[{"role":"assistant","tool_calls":[{}]}]"#,
        r#"[{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"not json"}}]}]"#,
        r#"[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":"x"}]}]"#,
        r#"[{"role":"owl","content":"x"}]"#,
        r#"[{"role":"assistant","content":"only me"}]"#,
    ] {
        for provider in ["oai", "ant"] {
            never_a_server_error(&format!(
                r#"{{"model":"{provider}/fake","max_tokens":9,"messages":{messages}}}"#
            ));
        }
    }
}

#[test]
fn a_large_body_is_refused_before_it_is_read() {
    run(async {
        let fixture = Fixture::shared().await;
        // Announced: refused by its length alone.
        for path in ["/v1/chat/completions", "/v1/embeddings"] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 104857600\r\n\r\n{{\"model\":\""
            );
            let answer = exchange(fixture.baton.address(), head.as_bytes()).await;
            assert_eq!(status_of(&answer), 413, "{path}: {answer}");
            assert!(answer.contains("x-request-id: req_"), "{answer}");
        }
        // Not announced: refused at the limit.
        let mut client = Raw::open(fixture.baton.address()).await;
        client
            .say(b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .expect("a head");
        let mut chunk = b"100000\r\n".to_vec();
        chunk.extend(std::iter::repeat_n(b' ', 0x10_0000));
        chunk.extend_from_slice(b"\r\n");
        let mut taken = 0;
        while taken < 100 && client.say(&chunk).await.is_ok() {
            taken += 1;
        }
        assert!(taken < 60, "{taken} MiB were taken");
        let answer = client.head().await;
        // The refusal may be lost with the connection, when more was on its way.
        assert!(answer.is_empty() || status_of(&answer) == 413, "{answer}");
        // A length that no machine has.
        let head =
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10995116277760\r\n\r\n";
        let answer = exchange(fixture.baton.address(), head.as_bytes()).await;
        assert_eq!(status_of(&answer), 413, "{answer}");
    });
}

#[test]
fn a_client_that_asks_first_is_told_at_once_that_its_body_is_too_large() {
    run(async {
        let fixture = Fixture::shared().await;
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 104857600\r\n\r\n";
        let answer = exchange(fixture.baton.address(), head.as_bytes()).await;
        assert_eq!(status_of(&answer), 413, "{answer}");
    });
}

#[test]
fn header_floods_are_refused() {
    run(async {
        let fixture = Fixture::shared().await;
        let many: String = (0..10_000).map(|at| format!("x-h{at}: 1\r\n")).collect();
        let long = format!("x-long: {}\r\n", "a".repeat(1 << 20));
        let path = format!("/{}", "a".repeat(1 << 20));
        for (what, request) in [
            ("many", format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")),
            ("long", format!("GET / HTTP/1.1\r\nhost: localhost\r\n{long}\r\n")),
            ("a long path", format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")),
        ] {
            let answer = exchange(fixture.baton.address(), request.as_bytes()).await;
            let status = status_of(&answer);
            assert!(status == 0 || (400..500).contains(&status), "{what}: {answer}");
            alive(&fixture.baton).await;
        }
        // What fits into one read is answered in words, in the dialect of the path.
        let many: String = (0..200).map(|at| format!("x-h{at}: 1\r\n")).collect();
        for (path, expected) in
            [("/v1/messages", "{\"type\":\"error\",\"error\":{"), ("/v1/chat/completions", "{\"error\":{")]
        {
            let request = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{many}\r\n");
            let answer = exchange(fixture.baton.address(), request.as_bytes()).await;
            assert_eq!(status_of(&answer), 431, "{answer}");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.contains("x-request-id: req_"), "{answer}");
            assert!(body.starts_with(expected) && body.contains("too many headers"), "{answer}");
        }
    });
}

#[test]
fn half_a_head_holds_up_nobody() {
    run(async {
        let baton = Baton::start("limits: { header_timeout: 1s }").await;
        let mut waiting = Vec::new();
        for half in ["", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: localhost\r\nx-a: b"] {
            let mut client = Raw::open(baton.address()).await;
            client.say(half.as_bytes()).await.expect("half a head");
            waiting.push(client);
        }
        alive(&baton).await;
        // The server ends them by itself.
        for mut client in waiting {
            let answer = tokio::time::timeout(PATIENCE, client.read_until(|_| false)).await.expect("an end");
            assert!(answer.is_empty() || status_of(&answer) == 408 || status_of(&answer) == 400, "{answer}");
        }
    });
}

#[test]
fn heads_that_are_no_http_are_refused() {
    run(async {
        let fixture = Fixture::shared().await;
        let body = r#"{"model":"echo/hello","messages":"hi"}"#;
        for (what, request) in [
            ("no HTTP", "hello\r\n\r\n".to_owned()),
            ("TLS", "\x16\x03\x01\x02\x00\x01\x00".to_owned()),
            ("no method", " / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned()),
            ("another version", "GET / HTTP/7.3\r\nhost: localhost\r\n\r\n".to_owned()),
            ("a line break in a value", "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx-a: b\rc\r\n\r\n".to_owned()),
            ("a zero in a value", "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx-a: b\0c\r\n\r\n".to_owned()),
            ("a folded line", "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx-a: b\r\n c\r\n\r\n".to_owned()),
            ("two lengths", format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\ncontent-length: 5\r\n\r\n{body}", body.len())),
            ("a negative length", format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n{body}")),
            ("an odd coding", format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: xchunked\r\n\r\n{body}")),
            ("a chunk that is none", "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned()),
        ] {
            let mut client = Raw::open(fixture.baton.address()).await;
            drop(client.say(request.as_bytes()).await);
            client.stop_sending().await;
            let answer = client.head().await;
            let status = status_of(&answer);
            assert!(status == 0 || (400..500).contains(&status), "{what}: {answer}");
            alive(&fixture.baton).await;
        }
    });
}

#[test]
fn a_length_and_chunks_together_are_one_request_at_most() {
    run(async {
        let baton = Baton::start("").await;
        let hidden = "GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
            hidden.len() + 5,
        );
        let mut client = Raw::open(baton.address()).await;
        drop(client.say(request.as_bytes()).await);
        client.stop_sending().await;
        let answer = client.read_until(|_| false).await;
        assert!(!answer.contains("\"object\":\"list\""), "a hidden request was answered: {answer}");
    });
}

#[test]
fn two_authorizations_are_refused() {
    run(async {
        let baton = Baton::start("auth: { required: true }").await;
        let key = super::keys::create(&baton, &["k"]).await;
        for (first, second) in
            [(key.secret.as_str(), "other"), ("other", key.secret.as_str()), (&key.secret, &key.secret)]
        {
            let request = baton
                .keyless(Method::GET, "/v1/models")
                .header("authorization", format!("Bearer {first}"))
                .header("authorization", format!("Bearer {second}"));
            sent(request).await.openai_error(400);
        }
    });
}

#[test]
fn who_may_call_does_not_depend_on_how_the_path_is_spelt() {
    run(async {
        let baton = Baton::start("auth: { required: true }").await;
        let leaked =
            |answer: &str| answer.contains("\"object\":\"list\"") || answer.contains("\"object\":\"run\"");
        for path in [
            "/v1/decisions",
            "//v1/decisions",
            "/v1//decisions",
            "/v1/decisions/",
            "/V1/decisions",
            "/v1/Decisions",
            "/./v1/decisions",
            "/x/../v1/decisions",
            "/v1/%64ecisions",
            "/v1%2fdecisions",
            "/v1/decisions;x",
            "/v1/decisions?key=1",
            "/v1/models/..%2fdecisions",
            "http://localhost/v1/decisions",
            "/v1/decisions#x",
            "/v1/decisions%00",
            "/v1/decisions%0a",
            "/healthz/../v1/decisions",
            "/docs/../v1/decisions",
        ] {
            for extra in [
                "",
                "x-original-url: /healthz\r\n",
                "x-rewrite-url: /healthz\r\n",
                "x-forwarded-for: 127.0.0.1\r\n",
                "x-forwarded-host: localhost\r\n",
            ] {
                let answer = exchange(
                    baton.address(),
                    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{extra}\r\n").as_bytes(),
                )
                .await;
                assert!((300..500).contains(&status_of(&answer)), "{path} {extra}: {answer}");
                assert!(!leaked(&answer), "{path} {extra}: {answer}");
            }
        }
        for host in ["localhost/v1/models?x=", "a b", "", "localhost:99999", "[::1"] {
            let answer = exchange(
                baton.address(),
                format!("GET /v1/decisions HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes(),
            )
            .await;
            assert!((400..500).contains(&status_of(&answer)), "{host}: {answer}");
        }
    });
}

#[test]
fn errors_tell_nothing_of_the_inside() {
    run(async {
        let fixture = Fixture::shared().await;
        let mut bodies = Vec::new();
        for model in [
            "oai/fault-500",
            "oai/fault-502",
            "oai/fault-content-type",
            "oai/fault-garbage",
            "down/fake",
            "nowhere/fake",
            "nobody/x",
        ] {
            for stream in [false, true] {
                bodies.push(
                    fixture.baton.chat(&json!({"model": model, "messages": "hi", "stream": stream})).await,
                );
            }
        }
        bodies.push(fixture.baton.get("/v1/decisions/%27%20or%201").await);
        bodies.push(fixture.baton.get("/v1/decisions?starting_after=%27").await);
        for answer in bodies {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            for word in [
                "src/",
                ".rs:",
                "stack backtrace",
                "/root",
                "/home",
                "sqlx",
                "SELECT",
                "127.0.0.1",
                ".invalid",
                "sk-fake",
                "hyper",
                "tokio",
            ] {
                assert!(!body.contains(word), "{word} is in {body}");
            }
        }
    });
}

#[test]
fn a_million_members_and_messages_are_read_or_refused() {
    // Nothing that is done for each pair of them.
    let members: String = (0..200_000).map(|at| format!("\"k{at}\":1,")).collect();
    never_a_server_error(&format!("{{{members}\"model\":\"oai/fake\",{FINE}}}"));
    let messages = r#"{"role":"user","content":"a"},"#.repeat(100_000);
    never_a_server_error(&format!(
        r#"{{"model":"ant/fake","max_tokens":9,"messages":[{messages}{{"role":"user","content":"hi"}}]}}"#
    ));
}

/// Sends this body to each surface, which must refuse it with one of these; the errors.
#[track_caller]
fn refused(body: &[u8], statuses: &[u16]) -> Vec<Value> {
    let answers = run(async {
        let fixture = Fixture::shared().await;
        [
            raw(&fixture.baton, "/v1/chat/completions", body).await,
            raw(&fixture.baton, "/v1/messages", body).await,
        ]
    });
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]);
    for answer in &answers {
        assert!(statuses.contains(&answer.status), "{shown}: {answer:?}");
    }
    vec![answers[0].openai_error(answers[0].status), answers[1].anthropic_error(answers[1].status)]
}

/// Sends this body to each surface: whatever comes, it is an answer or a 4xx in the dialect.
#[track_caller]
fn never_a_server_error(body: &str) {
    run(async {
        let fixture = Fixture::shared().await;
        let shown: String = body.chars().take(200).collect();
        for path in ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings"] {
            let answer = raw(&fixture.baton, path, body.as_bytes()).await;
            assert!(matches!(answer.status, 200 | 400..500), "{path} {shown}: {answer:?}");
            if answer.status >= 400 {
                let body = answer.json();
                assert!(body["error"]["message"].is_string(), "{path} {shown}: {body}");
                let passed = path == "/v1/embeddings" && !answer.header("x-baton-decision-id").is_empty();
                assert!(
                    passed || (body["type"] == "error") == path.starts_with("/v1/messages"),
                    "{path} {shown}: {body}"
                );
            }
        }
    });
}

async fn raw(baton: &Baton, path: &str, body: &[u8]) -> Answer {
    sent(baton.request(Method::POST, path).header("content-type", "application/json").body(body.to_vec()))
        .await
}

/// The server answers others.
async fn alive(baton: &Baton) {
    baton.chat(&json!({"model": "echo/hello", "messages": "hi"})).await.expect(200);
}
