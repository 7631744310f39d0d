use super::*;

#[test]
fn a_url_names_host_port_and_credentials() {
    let proxy = ProxyConfig::new("http://user:p%40ss@proxy.test:3128").unwrap();
    assert_eq!((proxy.host(), proxy.port()), ("proxy.test", 3128));
    // base64 of `user:p@ss`
    assert_eq!(proxy.authorization().unwrap(), "Basic dXNlcjpwQHNz");
    let plain = ProxyConfig::new("http://proxy.test/").unwrap();
    assert_eq!((plain.port(), plain.authorization()), (80, None));
}

#[test]
fn what_is_no_plain_proxy_url_is_refused_without_repeating_it() {
    for url in [
        "",
        "proxy.test:3128",
        "https://u:secret@proxy.test",
        "socks5://proxy.test",
        "http://u:secret@proxy.test/path",
        "http://u:%zz-secret@proxy.test",
        "http://u:secret\n@proxy.test",
    ] {
        let error = ProxyConfig::new(url).unwrap_err();
        assert_eq!(format!("{error} {error:?}"), format!("{} ProxyUrl", ClientError::ProxyUrl), "{url}");
    }
}

#[test]
fn credentials_do_not_show() {
    let proxy = ProxyConfig::new("http://user:secret@proxy.test").unwrap();
    let shown = format!("{proxy:?}");
    assert!(!shown.contains("secret") && !shown.contains("dXNlcjpzZWNyZXQ"), "{shown}");
}

#[test]
fn loopback_and_named_hosts_go_around() {
    let proxy = ProxyConfig::new("http://proxy.test").unwrap();
    let proxy = proxy.with_bypass(["Corp.test".to_owned(), ".local".to_owned()]);
    for host in
        ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "[::1]", "corp.test", "a.corp.test.", "x.local"]
    {
        assert!(!proxy.serves(host), "{host}");
    }
    for host in ["example.com", "notcorp.test", "corp.test.example.com", "10.0.0.1", "[::2]"] {
        assert!(proxy.serves(host), "{host}");
    }
}

#[test]
fn only_the_status_of_http_1_is_read() {
    assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
    assert_eq!(status(b"HTTP/1.0 407 Auth\r\n\r\n"), Some(407));
    for answer in [&b"HTTP/2 200\r\n\r\n"[..], b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2\r\n\r\n", b""] {
        assert_eq!(status(answer), None);
    }
}
