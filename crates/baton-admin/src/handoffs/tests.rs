use baton_audit::HandoffCell;

use super::HandoffBody;

fn cell() -> HandoffCell {
    HandoffCell {
        from: "a/x".to_owned(),
        to: "b/y".to_owned(),
        reason_code: "handoff_by_model".to_owned(),
        count: 10,
        succeeded: 6,
        failed: 1,
        cancelled: 1,
        first_content_us: 5_000,
        with_content: 4,
        cost_nano: 1_500_000_000,
        cost_before_nano: 2_000_000_001,
        priced: 7,
        right: 3,
        wrong: 1,
    }
}

#[test]
fn rates_are_of_those_that_ended() {
    let body = HandoffBody::from(cell());
    assert_eq!((body.success_rate, body.added_ms, body.accuracy), (Some(0.75), Some(1.25), Some(0.75)));
    assert_eq!(body.cost_difference_usd, "-0.500000001");
    assert_eq!((body.cost_usd.as_str(), body.cost_before_usd.as_str()), ("1.500000000", "2.000000001"));
}

#[test]
fn nothing_is_divided_by_nothing() {
    let body = HandoffBody::from(HandoffCell { count: 1, ..HandoffCell::default() });
    assert_eq!((body.success_rate, body.added_ms, body.accuracy), (None, None, None));
    assert_eq!(body.cost_difference_usd, "0.000000000");
}
