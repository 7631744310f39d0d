use super::*;
use crate::samples::{decision, outcome};

#[test]
fn a_decision_gives_its_row() {
    assert_eq!(
        check(&text(&decision(1))),
        "select anonymous [\"echo/hello\"] echo/hello echo/hello config=c0ffee attempt=true"
    );
}

#[test]
fn an_outcome_gives_its_columns() {
    assert_eq!(check(&text(&outcome(1))), "ok input=7 output=3 cost=None first=10 total=20");
}

#[test]
fn members_in_another_order_give_the_same_row() {
    for record in [decision(1), outcome(1)] {
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text(&record)).unwrap();
        let turned = serde_json::Value::Object(members.into_iter().rev().collect()).to_string();
        assert!(!turned.starts_with(DECISION) && !turned.starts_with(OUTCOME), "{turned}");
        assert_eq!(check(&turned), check(&text(&record)));
    }
}

#[test]
fn a_table_that_this_version_cannot_read_does_not_hide_the_decision() {
    let newer = text(&decision(1)).replace(r#""planner":1"#, r#""planner":9,"table":"of a later version""#);
    assert_eq!(check(&newer), check(&text(&decision(1))));
}

#[test]
fn a_kind_that_this_version_does_not_know_has_no_row() {
    assert_eq!(check(&text(&decision(1)).replace(r#""kind":"select""#, r#""kind":"wish""#)), "");
    assert_eq!(check(r#"{"record":"wish","at_ms":1}"#), "");
}

#[test]
fn bytes_that_are_no_text_have_no_row() {
    let mut derived = Derived::new(BootId::from_parts(1, [2; 10]));
    derived.add(1, b"{\"record\":\"decision\",\xff}");
    assert_eq!((derived.decisions, derived.outcomes), (Vec::new(), Vec::new()));
}

#[test]
fn the_rule_that_decided_is_named() {
    let rule = |code: &str, said: &str| {
        let mut record: serde_json::Value = serde_json::from_str(&text(&decision(1))).unwrap();
        record["reason"]["code"] = code.into();
        record["reason"]["text"] = said.into();
        let mut derived = Derived::new(BootId::from_parts(1, [2; 10]));
        derived.add(1, record.to_string().as_bytes());
        derived.decisions.pop().and_then(|row| row.rule)
    };
    for (code, said) in [
        ("chosen_by_rule", "a/b is chosen by rule `here`: c/d is not among the models of the rule"),
        ("refused_by_rule", "rule `here` refuses the request: not on a Sunday"),
        ("stopped_by_rule", "rule `here` ends the run"),
        ("handoff_by_rule", "a/b takes over, by rule `here`"),
    ] {
        assert_eq!(rule(code, said).as_deref(), Some("here"), "{said}");
    }
    // A name that a client gave is not taken for a rule's.
    assert_eq!(rule("only_model", "rule `here` was the only model named"), None);
}

fn text(record: &Record) -> String {
    serde_json::to_string(record).unwrap()
}

/// Derives the row of one entry: the columns that come from its text.
#[track_caller]
fn check(entry: &str) -> String {
    let boot = BootId::from_parts(1, [2; 10]);
    let mut derived = Derived::new(boot);
    derived.add(7, entry.as_bytes());
    if let [row] = derived.decisions.as_slice() {
        assert_eq!((row.boot, row.seq, &row.outcome), (boot, 7, &None));
        let [model, target] = [&row.to_model, &row.to_target].map(|name| name.as_deref().unwrap_or("-"));
        let DecisionRow { kind, principal, requested, config, attempt, .. } = row;
        return format!("{kind} {principal} {requested} {model} {target} config={config} attempt={attempt}");
    }
    let [row] = derived.outcomes.as_slice() else { return String::new() };
    assert_eq!((row.boot, row.seq), (boot, 7));
    let [input, output, first] =
        [row.input_tokens, row.output_tokens, row.first_content_us].map(Option::unwrap_or_default);
    let (status, cost, total) = (&row.status, row.cost_nano, row.total_us);
    format!("{status} input={input} output={output} cost={cost:?} first={first} total={total}")
}
