use baton_upstream::Upstream;

use super::*;
use crate::load::tests::load_text;

fn client() -> HttpClient {
    HttpClient::new(ClientOptions::new(Trust::Operator)).unwrap()
}

/// Whether the file may set a header, and whether an upstream takes it so.
fn check(auth: &str, name: &str) -> (bool, bool) {
    let text = |headers: &str| {
        let base = "dialect: openai_chat, base_url: \"http://h/v1\", api_key: k";
        format!("providers: {{own: {{{base}, auth: {auth}, headers: {{{headers}}}}}}}")
    };
    let loaded = load_text(&text(&format!("{name}: x"))).is_ok();
    let mut upstream = load_text(&text("")).unwrap().providers[0].upstream.clone();
    upstream.headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("x"));
    (loaded, Upstream::new(upstream, client()).is_ok())
}

#[test]
fn a_file_may_set_exactly_the_headers_that_an_upstream_takes() {
    for name in OWN_HEADERS {
        assert_eq!(check("bearer", name.as_str()), (false, false), "{name}");
    }
    for name in ["x-team", "user-agent", "cookie", "anthropic-beta", "openai-organization", "x-api-key"] {
        assert_eq!(check("bearer", name), (true, true), "{name}");
    }
    assert_eq!(check("x-api-key", "x-api-key"), (false, false));
    assert_eq!(check("api-key", "api-key"), (false, false));
    assert_eq!(check("api-key", "x-api-key"), (true, true));
}

#[test]
fn what_loads_makes_an_upstream() {
    let text = concat!(
        "providers:\n",
        "  anthropic: { api_keys: [a, b], headers: { anthropic-beta: x } }\n",
        "  azure: { dialect: openai_chat, base_url: \"https://a.example/openai/v1\", api_key: k, auth: api-key }\n",
        "  ollama: {}\n",
    );
    for provider in load_text(text).unwrap().providers {
        Upstream::new(provider.upstream, client()).unwrap();
    }
}

#[test]
fn a_ca_file_without_a_certificate_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let load = |content: &str| {
        std::fs::write(&path, content).unwrap();
        let error =
            load_text(&format!("providers: {{ollama: {{ca_file: \"{}\"}}}}", path.display())).unwrap_err();
        error.mistakes[0].message.clone()
    };
    for content in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert_eq!(load(content), "the extra CA file holds no certificate that can be read");
    }
}

#[test]
fn a_proxy_is_a_plain_http_url() {
    let load = |url: &str| load_text(&format!("providers: {{ollama: {{proxy: \"{url}\"}}}}")).is_ok();
    assert!(load("http://proxy:3128") && load("http://u:p@proxy"));
    assert!(!load("proxy:3128") && !load("socks5://proxy") && !load("http://proxy/path") && !load("http://"));
}
