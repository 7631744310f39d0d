use http::{HeaderName, HeaderValue};

use super::*;

/// 2026-03-01T12:00:00Z.
const NOW_MS: u64 = 1_772_366_400_000;

/// What is left in thousandths, and for how many milliseconds nothing is.
#[track_caller]
fn check(headers: &[(&'static str, &'static str)], expected: Option<(u32, Option<u64>)>) {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    let found = limits(&headers, NOW_MS).map(|limits| {
        let millis = limits.exhausted_for.map(|time| u64::try_from(time.as_millis()).unwrap());
        (limits.remaining_thousandths, millis)
    });
    assert_eq!(found, expected, "{headers:?}");
}

/// For how many milliseconds a window is shut that is reset then.
#[track_caller]
fn check_reset(reset: &'static str, expected_ms: Option<u64>) {
    let headers = [("ratelimit-limit", "10"), ("ratelimit-remaining", "0"), ("ratelimit-reset", reset)];
    check(&headers, Some((0, expected_ms)));
}

#[test]
fn an_answer_that_says_nothing_of_limits_says_nothing() {
    check(&[], None);
    check(&[("content-type", "application/json"), ("retry-after", "7")], None);
}

#[test]
fn the_scarcest_of_requests_and_tokens_counts() {
    check(
        &[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "30000"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ],
        Some((200, None)),
    );
}

#[test]
fn anthropic_counts_input_and_output_apart() {
    check(
        &[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-input-tokens-limit", "40000"),
            ("anthropic-ratelimit-input-tokens-remaining", "30000"),
            ("anthropic-ratelimit-output-tokens-limit", "8000"),
            ("anthropic-ratelimit-output-tokens-remaining", "2000"),
        ],
        Some((250, None)),
    );
}

#[test]
fn an_empty_bucket_is_shut_until_a_hundredth_is_back() {
    let bucket = |limit, reset| {
        [
            ("x-ratelimit-limit-requests", limit),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", reset),
        ]
    };
    check(&bucket("60", "1m0s"), Some((0, Some(1_000))));
    check(&bucket("10000", "24h0m0s"), Some((0, Some(864_000))));
}

#[test]
fn an_empty_bucket_of_anthropic_names_a_date() {
    check(
        &[
            ("anthropic-ratelimit-tokens-limit", "100"),
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2026-03-01T12:01:40Z"),
        ],
        Some((0, Some(1_000))),
    );
}

#[test]
fn an_empty_window_is_shut_until_it_is_reset() {
    check_reset("30", Some(30_000));
    check_reset("1.5", Some(1_500));
}

#[test]
fn the_longest_of_several_exhausted_limits_counts() {
    check(
        &[
            ("ratelimit-limit", "10"),
            ("ratelimit-remaining", "0"),
            ("ratelimit-reset", "5"),
            ("x-ratelimit-limit", "10"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "9"),
        ],
        Some((0, Some(9_000))),
    );
}

#[test]
fn times_are_read_as_providers_write_them() {
    check_reset("6m0s", Some(360_000));
    check_reset("120ms", Some(120));
    check_reset("2m59.56s", Some(179_560));
    check_reset("1h2m3s", Some(3_723_000));
    check_reset("2026-03-01T12:00:10Z", Some(10_000));
    check_reset("2026-03-01T12:00:10.250Z", Some(10_250));
    check_reset("2026-03-01T14:00:10+02:00", Some(10_000));
    check_reset("2026-03-01T07:30:10-04:30", Some(10_000));
    check_reset("1772366410", Some(10_000));
    check_reset("1772366410000", Some(10_000));
}

#[test]
fn a_reset_in_the_past_is_none() {
    check_reset("2026-03-01T11:59:59Z", None);
    check_reset("1772366399", None);
}

#[test]
fn a_reset_that_is_junk_is_none() {
    for junk in [
        "",
        "soon",
        "-5",
        "1e9",
        "5 minutes",
        "5q",
        "s",
        "99999999999999999999",
        "2026-03-01",
        "2026-13-01T12:00:10Z",
        "2026-03-01T12:00:10",
        "2026-03-01T12:00:10.Z",
        "2026-03-01T12:00:10+2",
        "9999999999999999999d",
        "1.2.3s",
    ] {
        check_reset(junk, None);
    }
}

#[test]
fn retry_after_helps_out_where_the_reset_is_missing() {
    check(
        &[("ratelimit-limit", "10"), ("ratelimit-remaining", "0"), ("retry-after", "7")],
        Some((0, Some(7_000))),
    );
    check(
        &[("ratelimit-limit", "10"), ("ratelimit-remaining", "0"), ("retry-after-ms", "70")],
        Some((0, Some(70))),
    );
    check(
        &[("ratelimit-limit", "10"), ("ratelimit-remaining", "5"), ("retry-after", "7")],
        Some((500, None)),
    );
}

#[test]
fn a_policy_behind_the_limit_is_left_out() {
    check(&[("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "25")], Some((250, None)));
}

#[test]
fn a_little_of_much_is_not_nothing() {
    check(&[("ratelimit-limit", "1000000"), ("ratelimit-remaining", "1")], Some((1, None)));
}

#[test]
fn more_than_the_limit_is_all_of_it() {
    check(&[("ratelimit-limit", "10"), ("ratelimit-remaining", "12")], Some((1_000, None)));
}

#[test]
fn a_limit_that_cannot_be_read_counts_as_none() {
    check(&[("ratelimit-limit", "10"), ("ratelimit-remaining", "-1")], None);
    check(&[("ratelimit-limit", "0"), ("ratelimit-remaining", "0")], None);
    check(&[("ratelimit-limit", "many"), ("ratelimit-remaining", "5")], None);
    check(&[("ratelimit-remaining", "5")], None);
    check(&[("x-ratelimit-limit-requests", "60"), ("x-ratelimit-reset-requests", "1s")], None);
}

#[test]
fn of_an_exhausted_limit_the_time_is_enough() {
    check(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "3")], Some((0, Some(3_000))));
}
