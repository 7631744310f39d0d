//! Every fixture of every dialect through every encoder, with a snapshot beside each.
//!
//! `fixtures/<dialect>/{request,answer,stream,error}/NAME.json` (`.sse` for streams) is the input and
//! `NAME.snap` what became of it. The name of an error fixture begins with its status.

mod fidelity;
mod fixtures;
mod play;

use std::fmt::Write as _;

use baton_model::{Dialect, Fault, PartKind, RawObject, StreamEvent, Tool, Usage};
pub(crate) use fixtures::each_fixture;
use fixtures::{each, fixtures, pretty};
pub(crate) use play::assert_grammar;
use play::play;
pub(crate) use play::{Said, Sse};

use super::*;

const CONTEXT: AnswerContext<'_> =
    AnswerContext { model: "provider/model", created: 1_700_000_000, request: None };

#[test]
fn every_request_is_written_for_every_dialect() {
    each("request", |dialect, _, body| {
        let mut text = String::new();
        let decoded = RawObject::parse(body.to_vec().into())
            .map_err(DecodeError::from)
            .and_then(|object| decode_request(dialect, &object));
        let request = match decoded {
            Ok(request) => request,
            Err(error) => return format!("refused at {}: {error}\n", error.param.as_deref().unwrap_or("-")),
        };
        for target in Dialect::ALL {
            let encoded = encode_request(
                target,
                &request,
                &EncodeTarget {
                    model: "upstream-model",
                    stream: request.stream,
                    default_max_tokens: 4096,
                    shared_members: false,
                },
            );
            section(&mut text, target, &pretty(&encoded.body));
            if !encoded.dropped.is_empty() {
                writeln!(text, "dropped: {}", encoded.dropped.join(", ")).unwrap();
            }
            let again = decode_request(target, &RawObject::parse(encoded.body.into()).unwrap()).unwrap();
            let after = functions(&again.tools);
            let lost = functions(&request.tools).into_iter().find(|name| !after.contains(name));
            assert_eq!(lost, None, "a function tool was lost");
        }
        text
    });
}

#[test]
fn every_answer_is_written_in_every_dialect() {
    each("answer", |dialect, _, body| {
        let answer = match decode_answer(dialect, body) {
            Ok(answer) => answer,
            Err(fault) => {
                assert!(
                    observe_answer(dialect, body).is_err(),
                    "an observer takes for an answer what is none"
                );
                return describe(&fault);
            }
        };
        let seen = observe_answer(dialect, body).unwrap();
        assert_eq!(seen.usage, answer.usage);
        let mut text = String::new();
        for target in Dialect::ALL {
            let written = encode_answer(target, &answer, &CONTEXT);
            section(&mut text, target, &pretty(&written));
            let again = decode_answer(target, &written).unwrap();
            assert_eq!(calls(&again), calls(&answer), "a call was lost or changed");
            assert_eq!(again.usage.unwrap_or_default(), answer.usage.unwrap_or_default());
        }
        text
    });
}

#[test]
fn every_stream_is_written_in_every_dialect() {
    each("stream", |dialect, _, body| {
        let whole = play(dialect, &[body]);
        let mut text = String::from("# events\n");
        for event in &whole.events {
            writeln!(text, "{event:?}").unwrap();
        }
        if let Some(fault) = &whole.fault {
            writeln!(text, "fault: {}: {fault}", fault.kind).unwrap();
        }
        for (target, output) in Dialect::ALL.iter().zip(&whole.outputs) {
            section(&mut text, *target, &String::from_utf8_lossy(output));
        }
        text
    });
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_bytes() {
    each_fixture("stream", |dialect, _, body| {
        let whole = play(dialect, &[body]);
        assert_grammar(&whole.events);
        for cut in 1..body.len() {
            assert_eq!(play(dialect, &[&body[..cut], &body[cut..]]), whole, "cut at byte {cut}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(play(dialect, &bytes), whole, "one byte at a time");
    });
}

#[test]
fn a_written_stream_reads_the_same() {
    each_fixture("stream", |dialect, name, body| {
        let whole = play(dialect, &[body]);
        for (target, output) in Dialect::ALL.into_iter().zip(&whole.outputs) {
            let again = play(target, &[output]);
            assert_eq!(Said::of(&again.events), Said::of(&whole.events), "{name} in {target}");
            assert_eq!(again.fault.is_some(), whole.fault.is_some(), "{name} in {target}");
        }
    });
}

#[test]
fn an_observer_of_a_stream_sees_what_a_decoder_reads() {
    each_fixture("stream", |dialect, name, body| {
        let mut decoder = stream_decoder(dialect);
        let mut seen_usage: Option<Usage> = None;
        let mut read_usage: Option<Usage> = None;
        for (event, data) in Sse::default().push(body) {
            let mut events = Vec::new();
            let decoded = decoder.decode(&event, &data, &mut events);
            let has_error = events.iter().any(|event| matches!(event, StreamEvent::Error(_)));
            let observed = observe_event(dialect, &event, &data);
            assert!(observed.is_err() || !has_error, "{name}: {}", String::from_utf8_lossy(&data));
            let (Ok(seen), Ok(())) = (observed, decoded) else { return };
            seen_usage = join(seen_usage, seen.usage);
            for event in &events {
                if let StreamEvent::Usage(usage) = event {
                    read_usage = join(read_usage, Some(*usage));
                }
            }
            let ends = events.iter().any(|event| matches!(event, StreamEvent::End));
            assert_eq!(seen.end, ends, "{name}");
            if ends {
                break;
            }
        }
        assert_eq!(seen_usage, read_usage, "{name}");
    });
}

#[test]
fn every_error_has_its_kind() {
    each("error", |dialect, name, body| {
        let status = name.split('_').next().unwrap().parse().unwrap();
        describe(&decode_error(dialect, status, body))
    });
}

#[test]
fn every_dialect_has_fixtures_of_every_sort() {
    for dialect in Dialect::ALL {
        for sort in ["request", "answer", "stream", "error"] {
            assert!(fixtures(dialect, sort).len() >= 10, "{dialect}/{sort}");
        }
    }
}

fn section(text: &mut String, dialect: Dialect, body: &str) {
    writeln!(text, "\n# {dialect}\n{body}").unwrap();
}

fn describe(fault: &Fault) -> String {
    let Fault { kind, status, message, code, param, retry_after } = fault;
    assert_eq!(*retry_after, None, "headers are not the dialect's");
    format!("{kind}\nstatus: {status:?}\ncode: {code:?}\nparam: {param:?}\nmessage: {message}\n")
}

fn functions(tools: &[Tool]) -> Vec<&str> {
    let names = tools.iter().filter_map(|tool| match tool {
        Tool::Function { name, .. } => Some(name.as_str()),
        Tool::Vendor { .. } => None,
    });
    names.collect()
}

fn calls(answer: &Answer) -> Vec<(&str, &str)> {
    let calls = answer.parts.iter().filter_map(|part| match &part.kind {
        PartKind::ToolCall { name, arguments, .. } => Some((name.as_str(), arguments.as_str())),
        _ => None,
    });
    calls.collect()
}

fn join(so_far: Option<Usage>, later: Option<Usage>) -> Option<Usage> {
    let Some(later) = later else { return so_far };
    let mut usage = so_far.unwrap_or_default();
    usage.absorb(&later);
    Some(usage)
}
