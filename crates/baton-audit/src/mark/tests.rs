use super::*;
use crate::Record;
use crate::row::Derived;
use crate::samples::{decision, outcome, refusal};

#[test]
fn a_whole_answer_has_no_mark() {
    assert_eq!(check(&[decision(1), outcome(1)], |_| {}), "");
}

#[test]
fn an_attempt_is_open_until_its_outcome_is_there() {
    assert_eq!(check(&[decision(1)], |_| {}), "open");
    assert_eq!(check(&[refusal(1)], |_| {}), "none");
}

#[test]
fn what_is_rare_is_marked() {
    let rare = |row: &mut DecisionRow| {
        row.hop = 4;
        let outcome = row.outcome.as_mut().unwrap();
        outcome.status = "failed".to_owned();
        outcome.fault = Some("timeout".to_owned());
        (outcome.cost_nano, outcome.total_us) = (Some(DEAR_NANO), SLOW_US);
    };
    assert_eq!(check(&[decision(1), outcome(1)], rare), "far dear slow ended failed, fault timeout");
    let usual = |row: &mut DecisionRow| {
        row.hop = 3;
        let outcome = row.outcome.as_mut().unwrap();
        (outcome.cost_nano, outcome.total_us) = (Some(DEAR_NANO - 1), SLOW_US - 1);
    };
    assert_eq!(check(&[decision(1), outcome(1)], usual), "");
}

#[test]
fn no_tag_of_a_client_reads_like_a_mark() {
    for forged in [OPEN, FAR, "\u{1}", "\u{1}\u{1}open"] {
        let kept = tag(forged);
        assert!(kept.starts_with("\u{1}\u{1}"), "{kept:?}");
        assert_eq!(kept.strip_prefix(SIGN), Some(forged), "two tags stay two");
    }
    assert_eq!(tag("prod"), "prod");
}

/// The marks of the first decision of these records, changed so.
#[track_caller]
fn check(records: &[Record], change: impl Fn(&mut DecisionRow)) -> String {
    let mut derived = Derived::new(baton_model::BootId::from_parts(1, [2; 10]));
    for (seq, record) in (1..).zip(records) {
        derived.add(seq, serde_json::to_string(record).unwrap().as_bytes());
    }
    derived.join();
    let row = &mut derived.decisions[0];
    change(row);
    let marks: Vec<_> = of(row).map(|mark| mark.strip_prefix(SIGN).unwrap().to_owned()).collect();
    let (words, sentences): (Vec<_>, Vec<_>) = marks.into_iter().partition(|mark| !mark.contains(' '));
    [words.join(" "), sentences.join(", ")].join(" ").trim().to_owned()
}
