use super::*;

#[track_caller]
fn check(host: &str, origin: Option<&str>) -> &'static str {
    match HostPolicy::new(["https://app.example.com".to_owned()]).check(Some(host), origin) {
        Ok(()) => "allowed",
        Err(HostError::Missing) => "no host",
        Err(HostError::ForeignHost(_)) => "foreign host",
        Err(HostError::ForeignOrigin(_)) => "foreign origin",
    }
}

#[test]
fn hosts_of_this_machine_are_allowed_in_every_spelling() {
    for host in [
        "localhost",
        "localhost:8080",
        "LocalHost:1",
        "localhost.",
        "localhost.:8080",
        "127.0.0.1",
        "127.0.0.1:65535",
        "127.8.9.10:80",
        "[::1]",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]:8080",
    ] {
        assert_eq!(check(host, None), "allowed", "{host}");
    }
}

#[test]
fn every_other_host_is_foreign() {
    for host in [
        "",
        " localhost",
        "localhost ",
        "example.com",
        "localhost.evil.example",
        "evil-localhost",
        "app.localhost",
        "localhost..",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:+80",
        "localhost:80:80",
        "localhost:80@evil.example",
        "user@localhost",
        "localhost/",
        "127.0.0.1.nip.io",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0.0.0.0",
        "128.0.0.1",
        "10.0.0.1:8080",
        "::1",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[::ffff:127.0.0.1]",
        "[::2]",
        "[::1%lo]",
        "l\u{f6}calhost",
        "\u{24d1}ocalhost",
    ] {
        assert_eq!(check(host, None), "foreign host", "{host}");
    }
}

#[test]
fn pages_of_this_machine_and_listed_origins_are_allowed() {
    for origin in [
        "http://localhost",
        "http://localhost:3000",
        "https://127.0.0.1:8443",
        "HTTP://LOCALHOST:3000",
        "http://[::1]:3000",
        "https://app.example.com",
        "https://APP.example.com",
    ] {
        assert_eq!(check("localhost:8080", Some(origin)), "allowed", "{origin}");
    }
}

#[test]
fn every_other_origin_is_foreign() {
    for origin in [
        "",
        "null",
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "http://localhost/",
        "http:localhost",
        "//localhost",
        "localhost",
        "ftp://localhost",
        "file://",
        "chrome-extension://abcdefgh",
        "http://localhost, http://evil.example",
        "http://127.1",
        "http://0.0.0.0:8080",
    ] {
        assert_eq!(check("localhost:8080", Some(origin)), "foreign origin", "{origin}");
    }
}

#[test]
fn a_listed_origin_does_not_excuse_a_foreign_host() {
    assert_eq!(check("rebound.example", Some("https://app.example.com")), "foreign host");
}

#[test]
fn a_request_without_a_host_is_refused() {
    assert_eq!(HostPolicy::default().check(None, None), Err(HostError::Missing));
}

#[test]
fn a_message_shows_a_hostile_header_short_and_without_control_characters() {
    let host = format!("evil\u{1b}[2J{}", "x".repeat(500));
    let error = HostPolicy::default().check(Some(&host), None).unwrap_err().to_string();
    assert!(error.len() < 200 && !error.contains('\u{1b}'), "{error}");
}
