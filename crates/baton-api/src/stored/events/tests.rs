use super::*;

const STREAM: &str = "event: response.created\ndata: 1\n\nevent: response.output_text.delta\ndata: event: response.completed\n\n: event\nevent: response.completed_\ndata: 2\n\nevent: response.completed\ndata: 3\n\nevent: error\n\nevent: resp";

#[test]
fn only_what_tells_how_a_response_stands_is_taken_out() {
    let (events, all) = check(&[STREAM]);
    assert_eq!(events, ["event: response.created\ndata: 1\n\n", "event: response.completed\ndata: 3\n\n"]);
    assert_eq!(all, STREAM);
}

#[test]
fn it_does_not_matter_where_the_stream_is_cut() {
    for at in 0..=STREAM.len() {
        let (before, after) = STREAM.split_at(at);
        assert_eq!(check(&[before, after]), check(&[STREAM]), "cut at {at}");
    }
    let bytes: Vec<&str> = STREAM.split_inclusive(|_| true).collect();
    assert_eq!(check(&bytes), check(&[STREAM]));
}

#[test]
fn what_cannot_become_such_an_event_is_not_held_back() {
    let mut events = Events::default();
    let mut pieces = VecDeque::new();
    events.split(Bytes::from_static(b"event: response.o"), &mut pieces);
    assert_eq!(pieces, [Piece::Passing(Bytes::from_static(b"event: response.o"))]);
}

#[test]
fn once_stopped_everything_passes() {
    let mut events = Events::default();
    let mut pieces = VecDeque::new();
    events.stop();
    events.split(Bytes::from_static(STREAM.as_bytes()), &mut pieces);
    assert_eq!(pieces, [Piece::Passing(Bytes::from_static(STREAM.as_bytes()))]);
}

/// The events that were taken out, and all that came out in its order.
fn check(parts: &[&'static str]) -> (Vec<String>, String) {
    let mut events = Events::default();
    let mut pieces = VecDeque::new();
    for part in parts {
        events.split(Bytes::from_static(part.as_bytes()), &mut pieces);
    }
    pieces.extend(events.rest());
    let (mut taken, mut all) = (Vec::new(), String::new());
    for piece in pieces {
        match piece {
            Piece::Passing(bytes) => all.push_str(str::from_utf8(&bytes).unwrap()),
            Piece::Event(event) => {
                let event = String::from_utf8(event).unwrap();
                all.push_str(&event);
                taken.push(event);
            }
        }
    }
    (taken, all)
}
