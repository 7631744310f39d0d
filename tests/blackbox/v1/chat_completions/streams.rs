//! What can go wrong in a stream, event by event, and how its client learns of it.

use baton_testkit::fake::{End, FakeUpstream, Raw, Script, Seen, Step};
use serde_json::{Value, json};

use super::{BOTH, story, story_of};
use crate::blackbox::support::{Baton, Fixture, PATIENCE, chat_text, events, run, unique};
use crate::blackbox::v1::answers::greeting;

#[test]
fn a_failure_after_content_is_an_error_event_and_no_second_call() {
    run(async {
        let fixture = Fixture::start("routes: { stalls: { pool: [oai/fault-stall, ant/fake], policy: impatient }, stalls-too: { pool: [ant/fault-stall, oai/fake], policy: impatient } }").await;
        let mut cases = Vec::new();
        for provider in BOTH {
            for (fault, kind) in [
                ("fault-after-content", None),
                ("fault-reset", Some("truncated")),
                ("fault-no-finish", Some("truncated")),
                ("fault-garbage", Some("malformed_answer")),
            ] {
                let first = format!("{provider}/{fault}");
                cases.push((json!([first, "ant/fake"]), first, kind));
            }
        }
        cases.push((json!("stalls"), "oai/fault-stall".to_owned(), Some("timeout")));
        cases.push((json!("stalls-too"), "ant/fault-stall".to_owned(), Some("timeout")));
        for (model, first, kind) in cases {
            let answer = fixture
                .baton
                .chat(&json!({"model": model, "messages": "hi", "stream": true}))
                .await
                .expect(200);
            let all = events(answer.text());
            let (last, before) = all.split_last().expect("events");
            assert_eq!(last.name, "error", "{first}: {}", answer.text());
            let error = last.json()["error"].clone();
            assert!(error["message"].is_string() && error["type"].is_string(), "{first}: {error}");
            assert!(
                before.iter().all(|event| event.name.is_empty() && event.data != "[DONE]"),
                "{first}: {}",
                answer.text()
            );
            let came = chat_text(answer.text());
            assert!(!came.is_empty() && greeting("hi").starts_with(&came), "{first}: {came}");
            let story = story_of(&fixture, &answer).await;
            assert_eq!(story.len(), 1, "{first}: {story:?}");
            assert!(story[0].starts_with(&format!("select first_in_order -->{first} failed ")), "{story:?}");
            if let Some(kind) = kind {
                assert!(story[0].ends_with(kind), "{story:?}");
            }
        }
        assert!(
            fixture.anthropic_saw("fake").is_empty() && fixture.openai_saw("fake").is_empty(),
            "a second call after content"
        );
    });
}

#[test]
fn a_stream_without_its_end_mark_is_whole_and_gets_one() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in BOTH {
            let target = format!("{provider}/{}/fault-no-end", unique());
            let answer = fixture
                .baton
                .chat(&json!({"model": target, "messages": "hi", "stream": true}))
                .await
                .expect(200);
            assert_eq!(chat_text(answer.text()), greeting("hi"));
            assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
            let run = fixture.baton.run_of(&answer).await;
            let outcome = &run["decisions"][0]["outcome"];
            assert_eq!(
                (&outcome["status"], &outcome["upstream_done"]),
                (&json!("ok"), &json!(false)),
                "{outcome}"
            );
        }
    });
}

#[test]
fn what_comes_after_the_end_mark_is_not_passed_on() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in BOTH {
            let target = format!("{provider}/{}/fault-after-end", unique());
            let answer = fixture
                .baton
                .chat(&json!({"model": target, "messages": "hi", "stream": true}))
                .await
                .expect(200);
            assert_eq!(chat_text(answer.text()), greeting("hi"));
            assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
            assert_eq!(answer.text().matches("[DONE]").count(), 1);
        }
    });
}

#[test]
fn bytes_that_are_no_text_end_in_an_error_and_not_in_garbage() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in BOTH {
            let target = format!("{provider}/{}/fault-utf8", unique());
            let answer = fixture
                .baton
                .chat(&json!({"model": [target, "ant/fake"], "messages": "hi", "stream": true}))
                .await
                .expect(200);
            assert!(
                std::str::from_utf8(&answer.body).is_ok(),
                "{provider}: bytes that are no UTF-8 were passed on"
            );
            assert!(!answer.text().contains('\u{fffd}'), "{provider}: {}", answer.text());
            assert_eq!(chat_text(answer.text()), greeting("hi"), "{provider}");
        }
    });
}

/// A stream as upstreams send it, in ways that the format allows: the client's text is the same.
#[test]
fn every_spelling_of_a_stream_is_read() {
    let chunk = |content: &str| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": null}]}).to_string()
    };
    let last = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let (a, b) = (chunk("Hel"), chunk("lo é🦀"));
    let cases = [
        ("lines end with LF", format!("data: {a}\n\ndata: {b}\n\ndata: {last}\n\ndata: [DONE]\n\n")),
        (
            "lines end with CRLF",
            format!("data: {a}\r\n\r\ndata: {b}\r\n\r\ndata: {last}\r\n\r\ndata: [DONE]\r\n\r\n"),
        ),
        ("lines end with CR", format!("data: {a}\r\rdata: {b}\r\rdata: {last}\r\rdata: [DONE]\r\r")),
        ("no space after the colon", format!("data:{a}\n\ndata:{b}\n\ndata:{last}\n\ndata:[DONE]\n\n")),
        (
            "a mark of the byte order",
            format!("\u{feff}data: {a}\n\ndata: {b}\n\ndata: {last}\n\ndata: [DONE]\n\n"),
        ),
        (
            "comments and other fields",
            format!(
                ": hi\n\nid: 1\nretry: 5\ndata: {a}\n\n: ping\n\ndata: {b}\n\ndata: {last}\n\ndata: [DONE]\n\n"
            ),
        ),
        (
            "data on two lines",
            format!(
                "data: {}\ndata: {}\n\ndata: {b}\n\ndata: {last}\n\ndata: [DONE]\n\n",
                "{",
                a.trim_start_matches('{')
            ),
        ),
        ("no blank line at the end", format!("data: {a}\n\ndata: {b}\n\ndata: {last}\n\ndata: [DONE]")),
    ];
    run(async {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let baton = Baton::start(&Fixture::config(&openai, &other, "")).await;
        for (what, stream) in cases {
            // Whole, and cut into small pieces.
            for size in [stream.len(), 7] {
                let pieces = stream.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
                openai.then(raw_stream(pieces, End::Whole));
                let answer = baton
                    .chat(&json!({"model": "oai/fake", "messages": "hi", "stream": true}))
                    .await
                    .expect(200);
                let text = answer.text().replace("\r\n", "\n").replace('\r', "\n");
                let text = text.trim_start_matches('\u{feff}');
                assert!(text.contains("[DONE]"), "{what} in pieces of {size}: {text}");
                let mut came = String::new();
                for frame in text.split("\n\n") {
                    let data: String = frame
                        .lines()
                        .filter_map(|line| line.strip_prefix("data:"))
                        .map(str::trim_start)
                        .collect();
                    let value: Value = serde_json::from_str(&data).unwrap_or_default();
                    came += value["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
                }
                assert_eq!(came, "Hello é🦀", "{what} in pieces of {size}");
            }
        }
    });
}

#[test]
fn an_event_without_an_end_is_cut_before_it_fills_the_memory() {
    run(async {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let baton = Baton::start(&Fixture::config(&openai, &other, "")).await;
        let mut pieces = vec![b"data: {\"choices\":[{\"delta\":{\"content\":\"".to_vec()];
        pieces.extend(std::iter::repeat_n(vec![b'x'; 1 << 20], 40));
        openai.then(raw_stream(pieces, End::Stall));
        let answer = baton
            .chat(&json!({"model": ["oai/fake", "ant/fake"], "messages": "hi", "stream": true}))
            .await
            .expect(200);
        assert_eq!(chat_text(answer.text()), greeting("hi"));
        let story = story(&baton.run_of(&answer).await);
        assert_eq!(story[0], "select first_in_order -->oai/fake failed malformed_answer");
        assert!(openai.until(PATIENCE, |seen| seen.iter().all(Seen::closed_by_peer)).await);
    });
}

#[test]
fn a_compressed_stream_that_nobody_asked_for_is_refused_before_it_begins() {
    run(async {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let baton = Baton::start(&Fixture::config(&openai, &other, "")).await;
        for encoding in ["gzip", "br", "zstd"] {
            openai.then(Step::Raw(Raw {
                status: 200,
                headers: vec![
                    ("content-type".to_owned(), "text/event-stream".to_owned()),
                    ("content-encoding".to_owned(), encoding.to_owned()),
                ],
                pieces: vec![vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]],
                then: End::Whole,
            }));
            let answer = baton
                .chat(&json!({"model": ["oai/fake", "ant/fake"], "messages": "hi", "stream": true}))
                .await
                .expect(200);
            assert_eq!(chat_text(answer.text()), greeting("hi"), "{encoding}");
        }
    });
}

#[test]
fn odd_times_to_wait_harm_nobody() {
    run(async {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let baton = Baton::start(&Fixture::config(&openai, &other, "")).await;
        for (wait, told) in [
            ("7", "7"),
            ("-5", ""),
            ("315360000", "3600"),
            ("soon", ""),
            ("inf", ""),
            ("Thu, 01 Jan 1970 00:00:00 GMT", ""),
        ] {
            openai.then(Step::Raw(Raw {
                status: 429,
                headers: vec![("content-type".to_owned(), "application/json".to_owned()), ("retry-after".to_owned(), wait.to_owned())],
                pieces: vec![br#"{"error":{"message":"slow down","type":"rate_limit_exceeded","param":null,"code":null}}"#.to_vec()],
                then: End::Whole,
            }));
            let answer = baton.chat(&json!({"model": "oai/fake", "messages": "hi"})).await.expect(429);
            assert_eq!(answer.header("retry-after"), told, "{wait}");
        }
    });
}

fn raw_stream(pieces: Vec<Vec<u8>>, then: End) -> Step {
    let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
    Step::Raw(Raw { status: 200, headers, pieces, then })
}
