use super::*;

/// The value, or what is wrong with it.
#[track_caller]
fn check<T: std::fmt::Debug>(read: Result<T, Wrong>) -> String {
    match read {
        Ok(value) => format!("{value:?}"),
        Err(Wrong { message, hint: None }) => format!("wrong: {message}"),
        Err(Wrong { message, hint: Some(hint) }) => format!("wrong: {message}; {hint}"),
    }
}

#[test]
fn durations_have_a_unit() {
    for (text, expected) in
        [("500ms", "500ms"), ("2s", "2s"), ("10m", "600s"), ("24h", "86400s"), ("2 s", "2s")]
    {
        assert_eq!(check(duration(text)), expected, "{text}");
    }
    assert_eq!(check(duration("60")), "wrong: the duration has no unit; did you mean `60s`?");
    assert_eq!(check(duration("60d")), "wrong: unknown unit of time; the units are `ms`, `s`, `m` and `h`");
    assert_eq!(check(duration("0s")), "wrong: the duration is zero");
    assert_eq!(check(duration("25h")), "wrong: the duration is longer than a day; the longest is `24h`");
    assert_eq!(
        check(duration("18446744073709551615h")),
        "wrong: the duration is longer than a day; the longest is `24h`"
    );
    for text in ["", "s", "1.5s", "-1s", "99999999999999999999s", "1e3s"] {
        let expected =
            "wrong: expected a duration; write a whole number and a unit, such as `500ms`, `60s` or `10m`";
        let unit = "wrong: unknown unit of time; the units are `ms`, `s`, `m` and `h`";
        assert_eq!(check(duration(text)), if text == "1e3s" { unit } else { expected }, "{text}");
    }
}

#[test]
fn sizes_count_in_tens_or_in_twos() {
    for (text, expected) in [
        ("1048576", "1048576"),
        ("1kB", "1000"),
        ("1KiB", "1024"),
        ("32 MiB", "33554432"),
        ("8GiB", "8589934592"),
    ] {
        assert_eq!(check(size(text)), expected, "{text}");
    }
    assert_eq!(
        check(size("1M")),
        "wrong: unknown unit of size; the units are `B`, `kB`, `MB`, `GB`, `KiB`, `MiB` and `GiB`"
    );
    assert_eq!(check(size("1.5MB")), "wrong: expected a size; write whole bytes, or a unit such as `32MiB`");
    assert_eq!(check(size("18446744073709551615GiB")), "wrong: the size is too large");
}

#[test]
fn money_is_exact_to_the_nano_dollar() {
    for (text, nano) in [
        ("0", 0),
        ("0.1", 100_000_000),
        ("0.15", 150_000_000),
        ("0.075", 75_000_000),
        ("0.30", 300_000_000),
        ("2.50", 2_500_000_000),
        ("15", 15_000_000_000),
        ("0.000000001", 1),
        ("0.0000000010000", 1),
        ("123456.123456789", 123_456_123_456_789),
        ("1000000", 1_000_000_000_000_000),
    ] {
        assert_eq!(dollars(text), Ok(nano), "{text}");
    }
}

#[test]
fn money_that_cannot_be_exact_or_meant_is_refused() {
    let hint = "write US dollars per million tokens as a decimal, such as `0.15`";
    for text in ["", "$1", "-1", "+1", "1e3", ".5", "5.", "1,5", "0.1.2", "1_000", "NaN", "0x1", "１"] {
        assert_eq!(check(dollars(text)), format!("wrong: expected a decimal number; {hint}"), "{text}");
    }
    assert_eq!(check(dollars("0.0000000001")), format!("wrong: more than 9 digits after the point; {hint}"));
    assert_eq!(
        check(dollars("1000000.01")),
        format!("wrong: more than a million dollars per million tokens; {hint}")
    );
    assert_eq!(check(dollars("99999999999999")), format!("wrong: the number is too large; {hint}"));
}

#[test]
fn shares_go_from_zero_to_one() {
    assert_eq!(
        [share("0"), share("0.65"), share("1"), share("1.0")],
        [Ok(0), Ok(650_000), Ok(1_000_000), Ok(1_000_000)]
    );
    assert_eq!(check(share("1.1")), "wrong: expected a number from 0 to 1");
    assert_eq!(
        check(share("high")),
        "wrong: expected a decimal number; write a number from 0 to 1, such as `0.8`"
    );
}

#[test]
fn an_address_to_listen_on_has_a_port() {
    for (text, expected) in [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("localhost:8080", "127.0.0.1:8080"),
        ("[::]:443", "[::]:443"),
        ("0.0.0.0:0", "0.0.0.0:0"),
    ] {
        assert_eq!(check(listen(text)), expected, "{text}");
    }
    let both = "`127.0.0.1:8080` for this machine only, `0.0.0.0:8080` for all";
    for text in ["8080", ":8080"] {
        assert_eq!(check(listen(text)), format!("wrong: expected an address and a port; {both}"));
    }
    for text in ["127.0.0.1", "example.com:80", "localhost", "127.0.0.1:65536", "http://127.0.0.1:80"] {
        assert_eq!(
            check(listen(text)),
            "wrong: expected an address and a port; such as `127.0.0.1:8080`; a host name is not taken",
            "{text}"
        );
    }
}

#[test]
fn a_home_directory_is_not_guessed() {
    assert_eq!(path("./a b/~c"), Ok(PathBuf::from("./a b/~c")));
    for text in ["~", "~/data"] {
        assert_eq!(check(path(text)), "wrong: `~` is not expanded here; write `${HOME}` in its place");
    }
}

#[test]
fn origins_are_what_browsers_send() {
    for text in ["https://app.example.com", "http://localhost:3000", "http://[::1]:3000", "http://127.0.0.1"]
    {
        assert_eq!(origin(text), Ok(text.to_owned()));
    }
    assert_eq!(origin("HTTPS://App.Example.com"), Ok("https://app.example.com".to_owned()));
    assert_eq!(check(origin("*")), "wrong: every origin cannot be allowed; list the origins that may call");
    assert_eq!(
        check(origin("https://a.example/")),
        "wrong: an origin has no path; did you mean `https://a.example`?"
    );
    for text in [
        "a.example",
        "https://",
        "https://a b",
        "https://a/b",
        "https://u@a",
        "https://a:0",
        "null",
        "ftp://a",
    ] {
        assert_eq!(
            check(origin(text)),
            "wrong: expected an origin; write scheme, host and maybe a port, as in `https://app.example.com`",
            "{text}"
        );
    }
}

#[test]
fn a_share_is_exact_to_its_last_place() {
    for (text, millionths) in [("0", 0), ("1", 1_000_000), ("0.5", 500_000), ("0.000001", 1)] {
        assert_eq!(share(text), Ok(millionths), "{text}");
    }
    for (text, expected) in [("0", 0), ("1.000", 1_000), ("0.25", 250), ("0.001", 1)] {
        assert_eq!(thousandths(text), Ok(expected), "{text}");
    }
    assert_eq!(check(thousandths("1.001")), "wrong: expected a number from 0 to 1");
    assert_eq!(
        check(thousandths("0.0001")),
        "wrong: more than 3 digits after the point; write a number from 0 to 1, such as `0.8`"
    );
}

#[test]
fn a_latency_without_a_unit_is_in_milliseconds() {
    for (text, expected) in [("800", 800), ("2s", 2_000), ("1m", 60_000), ("86400000", 86_400_000)] {
        assert_eq!(millis(text), Ok(expected), "{text}");
    }
    assert_eq!(check(millis("0")), "wrong: the duration is zero");
    assert_eq!(check(millis("86400001")), "wrong: the duration is longer than a day; the longest is `24h`");
    assert_eq!(check(millis("2d")), "wrong: unknown unit of time; the units are `ms`, `s`, `m` and `h`");
    for text in ["", "-1", "1.5"] {
        assert!(check(millis(text)).starts_with("wrong: expected a duration"), "{text}");
    }
}
