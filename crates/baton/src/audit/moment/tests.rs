use super::*;

const NOW: u64 = 1_795_000_000_000;

#[test]
fn a_stretch_counts_back_from_now() {
    assert_eq!(moment("30s", NOW), Ok(NOW - 30_000));
    assert_eq!(moment("2h", NOW), Ok(NOW - 7_200_000));
    assert_eq!(moment("7d", NOW), Ok(NOW - 7 * 86_400_000));
}

#[test]
fn a_day_begins_at_midnight() {
    check("2026-11-21", "2026-11-21T00:00:00.000Z");
    check("2000-02-29", "2000-02-29T00:00:00.000Z");
    check("1970-01-01", "1970-01-01T00:00:00.000Z");
}

#[test]
fn a_time_is_read_to_the_millisecond() {
    check("2026-11-21T20:36:29Z", "2026-11-21T20:36:29.000Z");
    check("2026-11-21T20:36:29.5Z", "2026-11-21T20:36:29.500Z");
    check("2026-11-21T20:36:29.123456", "2026-11-21T20:36:29.123Z");
}

#[test]
fn what_is_no_moment_is_refused() {
    for text in
        ["", "h", "2w", "-2h", "2026", "2026-13-01", "2025-02-29", "2026-11-21T24:00:00", "1969-12-31", "é"]
    {
        assert_eq!(moment(text, NOW), Err(MomentError), "{text}");
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(baton_audit::utc(moment(text, NOW).unwrap()), expected);
}
