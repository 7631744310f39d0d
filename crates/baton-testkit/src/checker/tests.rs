use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::client::Verdict;

#[test]
fn a_run_in_which_all_is_written_is_clean() {
    assert_eq!(report("a>d1 b>d2", "a b", "d1:a d2:b"), "[] [] []");
}

#[test]
fn an_acknowledged_answer_without_a_row_is_found() {
    assert_eq!(report("a>d1 b>d2", "a b", "d1:a d3:b"), r#"["b"] [] []"#);
}

#[test]
fn an_acknowledged_answer_without_an_id_is_found() {
    assert_eq!(report("a>", "a", "d1:a"), r#"["a"] [] []"#);
}

#[test]
fn a_request_that_was_not_acknowledged_may_have_no_row() {
    assert_eq!(report("a?", "", ""), "[] [] []");
}

#[test]
fn a_call_without_a_decision_is_found() {
    assert_eq!(report("a?", "a", ""), r#"[] ["a"] []"#);
}

#[test]
fn a_call_without_a_marker_is_found() {
    assert_eq!(report("", "-", "d1:a"), r#"[] ["call 0 to /v1/chat/completions without a marker"] []"#);
}

#[test]
fn a_second_call_needs_a_second_decision() {
    assert_eq!(report("a>d1", "a a", "d1:a"), r#"[] ["a"] []"#);
    assert_eq!(report("a>d1", "a a", "d1:a d2:a"), "[] [] []");
}

#[test]
fn a_row_that_stands_twice_is_found() {
    assert_eq!(
        report("a>d1", "a", "d1:a d1:a"),
        r#"[] [] ["decision d1", "the first choice of run run-d1"]"#
    );
}

/// Client: `marker>decision` was acknowledged, `marker?` was not. Upstream: markers. Store:
/// `decision:marker`.
fn report(client: &str, upstream: &str, store: &str) -> String {
    let client = client.split_whitespace().map(entry).collect::<Vec<_>>();
    let upstream = upstream.split_whitespace().map(seen).collect::<Vec<_>>();
    let store = store.split_whitespace().enumerate().map(row).collect::<Vec<_>>();
    let found = check(&client, &upstream, &store);
    assert_eq!(
        found.is_clean(),
        found.acknowledged_without_decision.len()
            + found.upstream_without_decision.len()
            + found.duplicates.len()
            == 0
    );
    format!(
        "{:?} {:?} {:?}",
        found.acknowledged_without_decision, found.upstream_without_decision, found.duplicates
    )
}

fn entry(text: &str) -> Entry {
    let (marker, decision) = text.split_once(['>', '?']).unwrap();
    let acknowledged = text.contains('>');
    Entry {
        marker: marker.to_owned(),
        verdict: if acknowledged { Verdict::Ok } else { Verdict::Unknown },
        acknowledged,
        status: None,
        request_id: None,
        decision_id: Some(decision.to_owned()).filter(|id| !id.is_empty()),
        retry_after: None,
        body: Bytes::new(),
        due: Duration::ZERO,
        took: Duration::ZERO,
    }
}

fn seen(marker: &str) -> Seen {
    Seen {
        number: 0,
        at: Duration::ZERO,
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        headers: Vec::new(),
        credential: None,
        body: if marker == "-" { "{}".into() } else { format!(r#"{{"user":"{marker}"}}"#).into() },
        status: Some(200),
        sent: 0,
        ended: None,
    }
}

fn row((at, text): (usize, &str)) -> DecisionRow {
    let (id, marker) = text.split_once(':').unwrap();
    DecisionRow {
        id: id.to_owned(),
        run: format!("run-{id}"),
        boot: "boot".to_owned(),
        seq: i64::try_from(at).unwrap(),
        kind: "select".to_owned(),
        end_user: Some(marker.to_owned()),
        attempt: true,
        status: None,
    }
}
