use super::*;

#[test]
fn a_base_is_kept_as_given_but_for_its_last_slash() {
    check("https://api.example/v1/", Ok("https://api.example/v1"));
    check("http://127.0.0.1:8000", Ok("http://127.0.0.1:8000"));
    check("http://[::1]:8000/a/b", Ok("http://[::1]:8000/a/b"));
}

#[test]
fn a_password_in_the_url_is_refused() {
    check("https://user:secret@api.example/v1", Err(BaseUrlError::UserInfo));
    check("https://user@api.example/v1", Err(BaseUrlError::UserInfo));
}

#[test]
fn a_query_or_fragment_is_refused() {
    check("https://api.example/v1?key=1", Err(BaseUrlError::Query));
    check("https://api.example/v1#x", Err(BaseUrlError::Query));
}

#[test]
fn only_http_is_a_scheme() {
    check("ftp://api.example", Err(BaseUrlError::Scheme));
    check("api.example/v1", Err(BaseUrlError::Scheme));
    check("localhost:8000", Err(BaseUrlError::Scheme));
}

#[test]
fn what_has_no_host_is_no_url() {
    check("https://", Err(BaseUrlError::Syntax));
    check("https://:80/v1", Err(BaseUrlError::Syntax));
    check("https://a b/", Err(BaseUrlError::Syntax));
    check("https://a:99999/", Err(BaseUrlError::Syntax));
}

#[test]
fn dots_are_refused_in_the_base() {
    check("https://a.example/v1/../admin", Err(BaseUrlError::Dots));
    check("https://a.example/%2e%2E/admin", Err(BaseUrlError::Dots));
}

#[test]
fn the_version_is_the_last_segment() {
    let ends = |text: &str| text.parse::<BaseUrl>().unwrap().ends_in_v1();
    assert!(ends("https://a.example/v1") && ends("https://a.example/x/v1/"));
    assert!(!ends("https://a.example") && !ends("https://a.example/v1beta") && !ends("https://v1"));
}

#[test]
fn a_clients_path_may_not_climb() {
    for path in [
        "",
        "files",
        "/../admin",
        "/files/..",
        "/%2e%2e/admin",
        "/files/%2E./x",
        "/files/..%2fx",
        "/files/..;/x",
        "/files/..%3Ba=b/x",
        "/a//b",
        "//evil.example/x",
        "/a\\b",
        "/a?b",
        "/a#b",
        "/a b",
        "/a\nb",
    ] {
        assert_eq!(check_path(path), Err(JoinError), "{path:?}");
    }
    for path in ["/files", "/files/", "/models/a%2Fb", "/files/file-1.jsonl/content", "/a..b"] {
        assert_eq!(check_path(path), Ok(()), "{path:?}");
    }
}

#[track_caller]
fn check(text: &str, expected: Result<&str, BaseUrlError>) {
    let made = text.parse::<BaseUrl>().map(|url| url.to_string());
    assert_eq!(made.as_deref().map_err(|error| *error), expected);
}
