use super::*;
use crate::Record;
use crate::samples::{decision, outcome, refusal};

#[test]
fn a_decision_tells_its_time() {
    check(&encoded(&decision(7)), Some(1_000_007));
}

#[test]
fn a_decision_that_follows_another_tells_its_time() {
    let Record::Decision(mut second) = refusal(9) else { panic!("it is a decision") };
    second.parent = Some(second.id);
    check(&encoded(&Record::Decision(second)), Some(1_000_009));
}

#[test]
fn an_outcome_tells_its_time() {
    check(&encoded(&outcome(8)), Some(1_000_008));
}

#[test]
fn another_record_is_read_whole() {
    check(&encoded(&Record::CleanStop { at_ms: 5 }), None);
}

#[test]
fn a_time_in_another_members_text_is_not_taken() {
    check(br#"{"record":"outcome","decision":"x\",\"at_ms\":5","at_ms":6}"#, None);
}

#[test]
fn a_time_with_a_fraction_is_not_taken() {
    check(br#"{"record":"outcome","at_ms":5.5}"#, None);
}

#[test]
fn what_ends_early_is_not_taken() {
    let whole = encoded(&decision(7));
    let time = whole.windows(8).position(|window| window == b"\"at_ms\":").unwrap();
    (0..time + 8).for_each(|end| check(&whole[..end], None));
}

#[test]
fn a_time_beyond_all_numbers_is_not_taken() {
    check(br#"{"record":"outcome","at_ms":99999999999999999999}"#, None);
}

fn encoded(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).unwrap()
}

#[track_caller]
fn check(payload: &[u8], at_ms: Option<u64>) {
    let expected = at_ms.map_or(Sort::Other, |at_ms| Sort::OfRequest { at_ms });
    assert_eq!(glance(payload), expected, "{}", String::from_utf8_lossy(payload));
}
