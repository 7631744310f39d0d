use std::sync::Mutex;

use baton_model::PartKind;

use super::*;

#[derive(Debug, Default)]
struct Taken(Mutex<Vec<Captured>>);

impl Capture for Taken {
    fn wants(&self, _ask: &Ask, _policy: &str) -> Option<Bounds> {
        None
    }

    fn take(&self, captured: Captured) {
        self.0.lock().unwrap().push(captured);
    }
}

fn ask() -> Arc<Ask> {
    let body = serde_json::json!({"model": "a/b", "messages": []});
    Arc::new(crate::own::ask_for_tests(&body))
}

/// What is handed in of a stream of these deltas, with room for so many bytes, and how much room is left
/// while it is held and after.
fn check(deltas: &[&str], room: usize, expected: &str, is_cut: bool) {
    let taken = Arc::new(Taken::default());
    let room_left = Arc::new(Room::new(room));
    let bounds = Bounds { most: room, room: Arc::clone(&room_left) };
    let wanted = Wanted { to: Arc::clone(&taken) as _, bounds };
    let mut capturing = wanted.begin(DecisionId::from_parts(1, [0; 10]), &ask(), Dialect::OpenaiChat, false);
    for delta in deltas {
        let data = serde_json::json!({"choices": [{"index": 0, "delta": {"content": delta}}]}).to_string();
        capturing.event("", data.as_bytes());
    }
    capturing.end(OutcomeStatus::ClientCancelled);
    let captured = taken.0.lock().unwrap().pop().unwrap();
    let SaidContent::Answer(answered) = &captured.said else { panic!("{captured:?}") };
    let text: String = answered
        .parts()
        .iter()
        .map(|part| match &part.kind {
            PartKind::Text(text) => text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        (text.as_str(), answered.cut, answered.status),
        (expected, is_cut, OutcomeStatus::ClientCancelled)
    );
    drop(captured);
    assert_eq!(room_left.0.load(Ordering::Relaxed), room, "what was held is given back");
}

#[test]
fn a_text_is_put_together_from_its_pieces() {
    check(&["4111 11", "11 1111", " 1111"], 10_000, "4111 1111 1111 1111", false);
}

#[test]
fn what_is_beyond_the_bound_is_left_out_to_the_end() {
    check(&["one", &"x".repeat(500), "two"], 400, "one", true);
}

#[test]
fn an_attempt_without_an_answer_hands_in_nothing() {
    let taken = Arc::new(Taken::default());
    let bounds = Bounds { most: 10, room: Arc::new(Room::new(10)) };
    let wanted = Wanted { to: Arc::clone(&taken) as _, bounds };
    wanted
        .begin(DecisionId::from_parts(1, [0; 10]), &ask(), Dialect::OpenaiChat, false)
        .end(OutcomeStatus::Failed);
    assert!(taken.0.lock().unwrap().is_empty());
}
