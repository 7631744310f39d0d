use super::*;

#[test]
fn a_url_has_one_spelling() {
    assert_eq!(url("HTTPS://MCP.Example.com:443/a?b=C"), "https://mcp.example.com/a?b=C");
    assert_eq!(url("http://[::1]:8080/mcp"), "http://[::1]:8080/mcp");
    assert_eq!(url("https://mcp.example.com"), "https://mcp.example.com/");
}

#[test]
fn what_two_parsers_read_differently_is_refused() {
    assert_eq!(url("https://mcp.example.com@evil.test/"), UrlError::UserInfo.to_string());
    assert_eq!(url("https://evil.test\\@mcp.example.com/"), UrlError::Syntax.to_string());
    assert_eq!(url("https://mcp.example.com/a/../b"), UrlError::DotSegment.to_string());
    assert_eq!(url("https://mcp.example.com/a/%2E%2e/b"), UrlError::DotSegment.to_string());
    assert_eq!(url("https://mcp.example.com/#x"), UrlError::Fragment.to_string());
    assert_eq!(url("https://mcp.exa\u{200b}mple.com/"), UrlError::Syntax.to_string());
}

#[test]
fn only_the_schemes_of_the_web_are_taken() {
    assert_eq!(url("file:///etc/passwd"), UrlError::Syntax.to_string());
    assert_eq!(url("ftp://mcp.example.com/"), UrlError::Scheme.to_string());
    assert_eq!(url("mcp.example.com/mcp"), UrlError::Syntax.to_string());
}

#[test]
fn a_pattern_without_a_star_is_one_url() {
    check("https://mcp.example.com/mcp", "https://mcp.example.com/mcp", true);
    check("https://mcp.example.com/mcp", "https://MCP.example.com:443/mcp", true);
    check("https://mcp.example.com/mcp", "http://mcp.example.com/mcp", false);
    check("https://mcp.example.com/mcp", "https://mcp.example.com:8443/mcp", false);
    check("https://mcp.example.com/mcp", "https://mcp.example.com/mcp/x", false);
    check("https://mcp.example.com/mcp", "https://mcp.example.com/mcp?x", false);
}

#[test]
fn a_star_at_the_end_of_the_path_is_anything_behind_it() {
    check("https://mcp.example.com/a/*", "https://mcp.example.com/a/b?c", true);
    check("https://mcp.example.com/a/*", "https://mcp.example.com/b", false);
}

#[test]
fn a_star_before_the_host_is_a_name_below_it() {
    check("https://*.example.com/*", "https://a.example.com/", true);
    check("https://*.example.com/*", "https://a.b.example.com/", true);
    check("https://*.example.com/*", "https://example.com/", false);
    check("https://*.example.com/*", "https://evilexample.com/", false);
    check("https://*.example.com/*", "https://a.example.com.evil.test/", false);
}

#[test]
fn a_star_as_the_host_is_any() {
    check("https://*/mcp", "https://anything.test/mcp", true);
    check("http://*:8080/*", "http://anything.test:8080/x", true);
    check("http://*:8080/*", "http://anything.test/x", false);
}

#[test]
fn a_star_elsewhere_is_refused() {
    assert_eq!("https://a.*.com/".parse::<UrlPattern>(), Err(UrlError::Star));
    assert_eq!("https://example.com/*/b".parse::<UrlPattern>(), Err(UrlError::Star));
    assert_eq!("*".parse::<UrlPattern>(), Err(UrlError::Scheme));
}

fn url(text: &str) -> String {
    text.parse::<ServerUrl>().map_or_else(|error| error.to_string(), |url| url.to_string())
}

#[track_caller]
fn check(pattern: &str, url: &str, expected: bool) {
    let pattern: UrlPattern = pattern.parse().unwrap();
    assert_eq!(pattern.matches(&url.parse().unwrap()), expected);
}
