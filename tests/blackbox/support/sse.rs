//! Reads event streams as a client would, strictly: what is no frame fails the test.

use serde_json::Value;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }
}

/// The events of a stream; comments are left out.
#[track_caller]
pub(crate) fn events(stream: &str) -> Vec<Event> {
    assert!(stream.is_empty() || stream.ends_with("\n\n"), "the stream ends within a frame: {stream:?}");
    let mut events = Vec::new();
    for frame in stream.split("\n\n").filter(|frame| !frame.is_empty()) {
        let mut event = Event { name: String::new(), data: String::new() };
        for line in frame.lines() {
            match line.split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("data", data)) => event.data.push_str(data),
                _ => assert!(line.starts_with(':'), "no line of an event stream: {line:?}"),
            }
        }
        if !event.data.is_empty() {
            events.push(event);
        }
    }
    events
}

/// The chunks of a chat stream, which must end with its mark and have no named event.
#[track_caller]
pub(crate) fn chunks(stream: &str) -> Vec<Value> {
    let mut all = events(stream);
    let last = all.pop().expect("a frame");
    assert_eq!(last.data, "[DONE]", "the stream has no end mark: {stream}");
    all.iter()
        .map(|event| {
            assert_eq!(event.name, "", "a named event in a chat stream: {event:?}");
            event.json()
        })
        .collect()
}

/// The text of a chat stream, whether or not it ended well.
#[track_caller]
pub(crate) fn chat_text(stream: &str) -> String {
    let data = events(stream).into_iter().filter(|event| event.data != "[DONE]");
    data.filter_map(|event| event.json()["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect()
}

/// The text of a stream of a message, whether or not it ended well.
#[track_caller]
pub(crate) fn messages_text(stream: &str) -> String {
    events(stream)
        .iter()
        .filter_map(|event| event.json()["delta"]["text"].as_str().map(str::to_owned))
        .collect()
}

/// The text of a stream of a response, whether or not it ended well.
#[track_caller]
pub(crate) fn responses_text(stream: &str) -> String {
    let deltas = events(stream).into_iter().filter(|event| event.name == "response.output_text.delta");
    deltas.filter_map(|event| event.json()["delta"].as_str().map(str::to_owned)).collect()
}
