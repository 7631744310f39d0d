use super::*;

#[test]
fn the_first_moment_is_that_of_1970() {
    assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
}

#[test]
fn a_leap_day_is_told() {
    assert_eq!(utc(951_825_599_999), "2000-02-29T11:59:59.999Z");
}

#[test]
fn a_century_that_is_no_leap_year_has_no_leap_day() {
    assert_eq!(utc(4_107_542_400_000 - 1), "2100-02-28T23:59:59.999Z");
    assert_eq!(utc(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
}

#[test]
fn a_year_ends_with_december() {
    assert_eq!(utc(1_798_761_599_999), "2026-12-31T23:59:59.999Z");
}
