use std::time::UNIX_EPOCH;

use http::{HeaderName, HeaderValue};

use super::*;

/// 1994-11-06 08:49:37, the example of RFC 9110.
const NOW: u64 = 784_111_777;

#[test]
fn seconds_are_seconds() {
    check(&[("retry-after", "7")], Some(7_000));
    check(&[("retry-after", " 1.5 ")], Some(1_500));
    check(&[("retry-after", "0")], Some(0));
}

#[test]
fn milliseconds_come_first() {
    check(&[("retry-after", "7"), ("retry-after-ms", "250")], Some(250));
}

#[test]
fn junk_milliseconds_leave_the_seconds() {
    check(&[("retry-after", "7"), ("retry-after-ms", "soon")], Some(7_000));
}

#[test]
fn a_date_is_counted_from_now() {
    check(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")], Some(10_000));
}

#[test]
fn a_date_is_counted_from_the_providers_own_clock() {
    let headers =
        [("retry-after", "Mon, 07 Nov 1994 00:00:30 GMT"), ("date", "Mon, 07 Nov 1994 00:00:00 GMT")];
    check(&headers, Some(30_000));
}

#[test]
fn no_wait_is_longer_than_an_hour() {
    check(&[("retry-after", "315360000")], Some(3_600_000));
    check(&[("retry-after", "1e300")], Some(3_600_000));
    check(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], Some(3_600_000));
}

#[test]
fn the_past_and_the_negative_are_ignored() {
    check(&[("retry-after", "-5")], None);
    check(&[("retry-after", "Sun, 06 Nov 1994 08:49:27 GMT")], None);
}

#[test]
fn junk_is_ignored() {
    for junk in [
        "",
        "soon",
        "inf",
        "NaN",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37:00 GMT",
    ] {
        check(&[("retry-after", junk)], None);
    }
    check(&[], None);
}

#[test]
fn dates_follow_the_calendar() {
    let seconds = |text| {
        http_date::parse(text).and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|at| at.as_secs())
    };
    assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(NOW));
    assert_eq!(seconds("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
    assert_eq!(seconds("Fri, 01 Mar 2024 00:00:00 GMT"), Some(1_709_251_200));
}

#[test]
fn the_body_gives_the_kind_and_the_headers_the_wait() {
    let headers = headers(&[("retry-after", "2")]);
    let fault = fault_of(Dialect::OpenaiChat, StatusCode::TOO_MANY_REQUESTS, &headers, b"<html>");
    assert_eq!(fault.kind, FaultKind::RateLimited);
    assert_eq!(fault.status, Some(429));
    assert_eq!(fault.retry_after, Some(Duration::from_secs(2)));
}

#[test]
fn the_providers_id_is_found_under_its_names() {
    assert_eq!(request_id(&headers(&[("request-id", "req_1")])), Some("req_1"));
    assert_eq!(request_id(&headers(&[("x-request-id", "a"), ("request-id", "b")])), Some("a"));
    assert_eq!(request_id(&headers(&[])), None);
}

#[track_caller]
fn check(pairs: &[(&'static str, &'static str)], expected_ms: Option<u64>) {
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    assert_eq!(retry_after(&headers(pairs), now), expected_ms.map(Duration::from_millis), "{pairs:?}");
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}
