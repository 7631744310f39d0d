use insta::assert_snapshot;

use super::*;
use crate::Observation;

#[test]
fn a_whole_answer_tells_all_at_once() {
    assert_snapshot!(check_answer(fixture!("answer/cached_usage.json")), @"id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, content, finish stop, in 1251 (cached 1042, written 188) out 12 (reasoning 0), end");
    assert_snapshot!(check_answer(fixture!("answer/parallel_tools.json")), @"id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, content, finish tool_calls, in 20 (cached 0, written 0) out 7 (reasoning 0), end");
    assert_snapshot!(check_answer(fixture!("answer/empty.json")), @"id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, finish stop, in 20 (cached 0, written 0) out 7 (reasoning 0), end");
}

#[test]
fn an_error_under_a_200_is_a_fault() {
    assert_snapshot!(check_answer(fixture!("error/529_overloaded.json")), @"fault overloaded");
    assert_snapshot!(check_answer("<html>"), @"fault malformed_answer");
}

#[test]
fn text_commits_with_its_first_delta() {
    assert_snapshot!(check_stream(fixture!("stream/text.sse")), @r"
    id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, in 20 (cached 0, written 0) out 1 (reasoning 0)
    -
    -
    content
    content
    -
    finish stop, in 0 (cached 0, written 0) out 7 (reasoning 0)
    end
    ");
}

#[test]
fn a_call_commits_as_soon_as_it_begins() {
    assert_snapshot!(check_stream(fixture!("stream/parallel_tools.sse")), @r"
    id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, in 20 (cached 0, written 0) out 1 (reasoning 0)
    content
    content
    -
    content
    content
    -
    content
    -
    finish tool_calls, in 0 (cached 0, written 0) out 60 (reasoning 0)
    end
    ");
    assert_snapshot!(check_stream(fixture!("stream/redacted_thinking.sse")), @r"
    id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, in 20 (cached 0, written 0) out 1 (reasoning 0)
    content
    -
    -
    content
    -
    finish stop, in 0 (cached 0, written 0) out 7 (reasoning 0)
    end
    ");
}

#[test]
fn thinking_commits_too() {
    assert_snapshot!(check_stream(fixture!("stream/thinking.sse")), @r"
    id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, in 20 (cached 0, written 0) out 1 (reasoning 0)
    -
    content
    content
    content
    -
    -
    content
    -
    finish stop, in 0 (cached 0, written 0) out 40 (reasoning 31)
    end
    ");
}

#[test]
fn usage_may_be_told_twice() {
    assert_snapshot!(check_stream(fixture!("stream/cached_usage.sse")), @r"
    id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, in 1251 (cached 1042, written 188) out 1 (reasoning 0)
    -
    content
    -
    finish stop, in 1251 (cached 1042, written 188) out 12 (reasoning 0)
    end
    ");
}

#[test]
fn an_error_event_is_a_fault() {
    assert_snapshot!(check_stream(fixture!("stream/error_after_content.sse")), @r"
    id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, in 20 (cached 0, written 0) out 1 (reasoning 0)
    -
    content
    fault overloaded: Overloaded
    ");
    assert_snapshot!(check_stream("event: error\ndata: boom\n\n"), @"fault malformed_answer: the provider's answer is not a message");
    assert_snapshot!(check_stream("event: content_block_delta\ndata: {\"type\n\n"), @"fault malformed_answer: the provider's answer is not valid: an event does not have the form of its kind");
}

#[test]
fn unknown_events_and_missing_names_do_not_matter() {
    assert_snapshot!(check_stream(fixture!("stream/unknown_events.sse")), @r"
    id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, in 20 (cached 0, written 0) out 1 (reasoning 0)
    -
    -
    content
    -
    -
    finish stop, in 0 (cached 0, written 0) out 7 (reasoning 0)
    end
    ");
    assert_snapshot!(check_stream(fixture!("stream/without_event_names.sse")), @r"
    id msg_01XFDUDYJgAACzvnptvVoYEL, model claude-sonnet-4-5-20250929, in 20 (cached 0, written 0) out 1 (reasoning 0)
    -
    content
    -
    finish stop, in 0 (cached 0, written 0) out 7 (reasoning 0)
    end
    ");
}

#[test]
fn what_is_observed_agrees_with_what_is_decoded() {
    for stream in [
        fixture!("stream/text.sse"),
        fixture!("stream/tool.sse"),
        fixture!("stream/thinking.sse"),
        fixture!("stream/cached_usage.sse"),
        fixture!("stream/stop_sequence.sse"),
        fixture!("stream/max_tokens.sse"),
    ] {
        let mut decoder = Decoder::default();
        let mut usage = baton_model::Usage::default();
        for (event, data) in events(stream) {
            let mut decoded = Vec::new();
            decoder.decode(event, data.as_bytes(), &mut decoded).unwrap();
            let observed = observe_event(event, data.as_bytes()).unwrap();
            assert_eq!(observed.content, decoded.iter().any(StreamEvent::is_content), "{data}");
            assert_eq!(observed.end, decoded.contains(&StreamEvent::End), "{data}");
            usage.absorb(&observed.usage.unwrap_or_default());
            for event in decoded {
                match event {
                    StreamEvent::Usage(decoded) => assert_eq!(usage, decoded, "{data}"),
                    StreamEvent::Finish { reason, .. } => assert_eq!(observed.finish, Some(reason), "{data}"),
                    StreamEvent::Start { id, model } => {
                        assert_eq!(
                            (observed.id.as_deref(), observed.model.as_deref()),
                            (Some(&*id), Some(&*model))
                        );
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Looks at an answer and shows what is found.
fn check_answer(body: &str) -> String {
    observe_answer(body.as_bytes())
        .map_or_else(|fault| format!("fault {}", fault.kind), |seen| show_seen(&seen))
}

/// Looks at the events of a stream and shows what is found in each.
fn check_stream(stream: &str) -> String {
    let seen = events(stream).map(|(event, data)| match observe_event(event, data.as_bytes()) {
        Ok(seen) => show_seen(&seen),
        Err(fault) => format!("fault {}: {}", fault.kind, fault.message),
    });
    seen.collect::<Vec<_>>().join("\n")
}

fn show_seen(seen: &Observation<'_>) -> String {
    let mut words = Vec::new();
    words.extend(seen.id.as_ref().map(|id| format!("id {id}")));
    words.extend(seen.model.as_ref().map(|model| format!("model {model}")));
    words.extend(seen.content.then(|| "content".to_owned()));
    words.extend(seen.finish.map(|finish| format!("finish {}", finish.as_str())));
    words.extend(seen.usage.map(|usage| show_usage(Some(&usage))));
    words.extend(seen.end.then(|| "end".to_owned()));
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}
