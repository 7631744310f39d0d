//! Plays a stream through its decoder and every encoder.

use baton_model::{Delta, Dialect, Fault, FaultKind, PartStart, StreamEvent};

use crate::{ErrorBody, StreamOptions, stream_decoder, stream_encoder};

/// What came of a stream.
#[derive(Debug, PartialEq)]
pub(super) struct Played {
    pub(super) events: Vec<StreamEvent>,
    /// What ended it, if not its own end.
    pub(super) fault: Option<Fault>,
    pub(super) outputs: Vec<Vec<u8>>,
}

/// What a stream says, however it is cut into events.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// Text and refusal.
    text: String,
    thinking: String,
    /// Name and arguments, without the white space that may stand around JSON.
    calls: Vec<(String, String)>,
}

impl Said {
    pub(crate) fn of(events: &[StreamEvent]) -> Self {
        let mut said = Self::default();
        let mut parts: Vec<&PartStart> = Vec::new();
        let mut numbers = Vec::new();
        for event in events {
            match event {
                StreamEvent::PartStart { index, part } => {
                    parts.push(part);
                    numbers.push((*index, said.calls.len()));
                    if let PartStart::ToolCall { name, .. } = part {
                        said.calls.push((name.clone(), String::new()));
                    }
                }
                StreamEvent::Delta { index, delta } => {
                    let at = numbers.iter().position(|(number, _)| number == index).unwrap();
                    match (delta, parts[at]) {
                        (Delta::Text(text), PartStart::Reasoning) => said.thinking.push_str(text),
                        (Delta::Text(text), _) => said.text.push_str(text),
                        (Delta::Arguments(text), _) => said.calls[numbers[at].1].1.push_str(text),
                        (Delta::Signature(_) | Delta::Attached(_), _) => {}
                    }
                }
                _ => {}
            }
        }
        for (_, arguments) in &mut said.calls {
            *arguments = Some(arguments.trim()).filter(|text| !text.is_empty()).unwrap_or("{}").to_owned();
        }
        said
    }
}

pub(super) fn play(dialect: Dialect, pieces: &[&[u8]]) -> Played {
    let mut decoder = stream_decoder(dialect);
    let mut encoders: Vec<_> =
        Dialect::ALL.iter().map(|target| stream_encoder(*target, options(*target))).collect();
    let mut played = Played { events: Vec::new(), fault: None, outputs: vec![Vec::new(); encoders.len()] };
    let mut sse = Sse::default();
    for (event, data) in pieces.iter().flat_map(|piece| sse.push(piece)) {
        let before = played.events.len();
        let read = decoder.decode(&event, &data, &mut played.events);
        for event in &played.events[before..] {
            for (encoder, output) in encoders.iter_mut().zip(&mut played.outputs) {
                encoder.encode(event, output);
            }
            if let StreamEvent::Error(fault) = event {
                played.fault = Some(fault.clone());
            }
        }
        played.fault = read.err().or(played.fault);
        if played.fault.is_some() {
            break;
        }
    }
    let is_complete = |event: &StreamEvent| matches!(event, StreamEvent::Finish { .. } | StreamEvent::End);
    if played.fault.is_none() && !played.events.iter().any(is_complete) {
        played.fault = Some(Fault::new(FaultKind::Truncated, "the provider's stream ended early"));
    }
    for (encoder, output) in encoders.iter_mut().zip(&mut played.outputs) {
        match &played.fault {
            Some(fault) => encoder.fail(&error(&fault.message), output),
            None => encoder.end(output),
        }
    }
    played
}

const fn error(message: &str) -> ErrorBody<'_> {
    ErrorBody { kind: "server_error", message, param: None, code: None, request_id: Some("req_1") }
}

fn options(dialect: Dialect) -> StreamOptions {
    let id = match dialect {
        Dialect::OpenaiChat => "chatcmpl-1",
        Dialect::AnthropicMessages => "msg_1",
        Dialect::OpenaiResponses => "resp_1",
    };
    StreamOptions {
        model: Some("provider/model".into()),
        id: id.into(),
        created: 1_700_000_000,
        include_usage: true,
        request: None,
    }
}

/// Splits a stream that arrives in pieces into its events: name and data.
#[derive(Default)]
pub(crate) struct Sse {
    line: Vec<u8>,
    name: String,
    data: Vec<u8>,
}

impl Sse {
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut events = Vec::new();
        for byte in piece {
            if *byte == b'\n' {
                events.extend(self.end_line());
            } else {
                self.line.push(*byte);
            }
        }
        events
    }

    fn end_line(&mut self) -> Option<(String, Vec<u8>)> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if let Some(value) = line.strip_prefix(b"data:") {
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        } else if let Some(value) = line.strip_prefix(b"event:") {
            self.name = String::from_utf8_lossy(value).trim().to_owned();
        }
        let event = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if line.is_empty() && !event.1.is_empty() {
            return Some(event);
        }
        if !line.is_empty() {
            (self.name, self.data) = event;
        }
        None
    }
}

/// `Start (PartStart Delta* PartEnd)* Usage* Finish? End`, where parts may overlap and usage may come
/// at any time.
pub(crate) fn assert_grammar(events: &[StreamEvent]) {
    let (mut started, mut finished, mut ended) = (false, false, false);
    let (mut open, mut next) = (Vec::new(), 0);
    for event in events {
        assert!(!ended, "{event:?} after the end");
        match event {
            StreamEvent::Start { .. } => assert!(!std::mem::replace(&mut started, true), "two starts"),
            StreamEvent::PartStart { index, .. } => {
                assert!(started && !finished && *index >= next, "{event:?}");
                next = index + 1;
                open.push(*index);
            }
            StreamEvent::Delta { index, .. } => assert!(open.contains(index), "{event:?} outside its part"),
            StreamEvent::PartEnd { index } => {
                let at = open.iter().position(|part| part == index).expect("an end without a start");
                open.remove(at);
            }
            StreamEvent::Finish { .. } => {
                assert!(open.is_empty(), "finished with open parts {open:?}");
                assert!(!std::mem::replace(&mut finished, true), "two finishes");
            }
            StreamEvent::End => {
                assert!(open.is_empty(), "ended with open parts {open:?}");
                ended = true;
            }
            StreamEvent::Usage(_) | StreamEvent::Error(_) => {}
        }
    }
}
