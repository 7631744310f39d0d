use super::*;

#[test]
fn dollars_are_read_digit_by_digit() {
    assert_eq!(nano_usd("0.02"), Some(20_000_000));
    assert_eq!(nano_usd("1"), Some(1_000_000_000));
    assert_eq!(nano_usd("0.000000001"), Some(1));
}

#[test]
fn what_is_no_amount_is_refused() {
    for text in ["", ".5", "1e3", "-1", "0.0000000001", "$1", "99999999999999"] {
        assert_eq!(nano_usd(text), None, "{text}");
    }
}

#[test]
fn a_range_that_is_upside_down_is_refused() {
    check(
        Filters { since: Some("1h".into()), until: Some("2h".into()), ..Filters::default() },
        "`--since` is not before `--until`",
    );
}

#[test]
fn a_word_that_is_none_is_named() {
    check(Filters { kinds: vec!["selct".into()], ..Filters::default() }, "`selct` is no kind of decision");
    check(Filters { run: Some("x".into()), ..Filters::default() }, "`x` is no run (`run_…`)");
}

#[track_caller]
fn check(filters: Filters, why: &str) {
    let ask = Ask { filters, after: None, before: None, limit: 1 };
    assert_eq!(ask.query(1_795_000_000_000), Err(why.to_owned()));
}
