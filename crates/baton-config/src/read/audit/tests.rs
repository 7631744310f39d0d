use super::*;

#[test]
fn months_count_31_days_so_that_nothing_goes_early() {
    check("13 months", Ok(Some(13 * 31)));
    check("1 month", Ok(Some(31)));
}

#[test]
fn days_and_years_are_counted() {
    check("400 days", Ok(Some(400)));
    check("400d", Ok(Some(400)));
    check("2 years", Ok(Some(732)));
}

#[test]
fn zero_and_off_keep_everything() {
    check("0", Ok(None));
    check("off", Ok(None));
}

#[test]
fn a_number_without_a_unit_is_not_guessed() {
    check("13", Err("expected a number of days, months or years"));
    check("months", Err("expected a number of days, months or years"));
    check("-1 days", Err("expected a number of days, months or years"));
    check("1.5 years", Err("expected a number of days, months or years"));
}

#[test]
fn what_would_keep_nothing_is_refused() {
    check("0 days", Err("nothing would be kept"));
}

#[test]
fn what_is_meant_as_for_ever_is_refused() {
    check("99999999999999999999 days", Err("expected a number of days, months or years"));
    check("18446744073709551615 years", Err("longer than a hundred years"));
}

#[track_caller]
fn check(text: &str, days: Result<Option<u64>, &str>) {
    let expected = days.map(|days| days.map(|days| Duration::from_secs(days * DAY)));
    assert_eq!(retention(text).map_err(|wrong| wrong.message), expected.map_err(ToOwned::to_owned));
}

#[track_caller]
fn check_pattern(text: &str, expected: Result<(), &str>) {
    let wrong = pattern(text).map(drop).map_err(|wrong| wrong.message);
    match expected {
        Ok(()) => assert_eq!(wrong, Ok(())),
        Err(part) => assert!(wrong.clone().is_err_and(|message| message.contains(part)), "{wrong:?}"),
    }
}

#[test]
fn a_pattern_is_tried_when_it_is_read() {
    check_pattern("EMP-[0-9]{6}", Ok(()));
    check_pattern("[0-9", Err("is no pattern"));
    check_pattern("x*", Err("matches the empty text"));
}

#[test]
fn what_is_captured_is_bounded() {
    assert_eq!(captured_bytes("64KiB").unwrap(), 64 << 10);
    assert!(captured_bytes("2MiB").is_err());
    assert!(captured_bytes("0").is_err());
}
