use super::*;

/// The URL as it is used, or what is wrong with it.
#[track_caller]
fn check(text: &str, wanted: Result<&str, &str>) {
    match (text.parse::<Gateway>(), wanted) {
        (Ok(gateway), Ok(wanted)) => assert_eq!(gateway.as_str(), wanted),
        (Err(why), Err(wanted)) => assert!(why.contains(wanted), "{why}"),
        (found, _) => panic!("{text}: {found:?}"),
    }
}

#[test]
fn a_host_is_enough() {
    check("https://gateway", Ok("https://gateway"));
}

#[test]
fn a_slash_and_the_version_at_the_end_are_left_out() {
    check("https://gateway.example:8443/llm/v1/", Ok("https://gateway.example:8443/llm"));
}

#[test]
fn a_name_alone_is_no_url() {
    check("gateway", Err("begin with `https://`"));
    check("127.0.0.1:8080", Err("https://"));
    check("ftp://gateway", Err("begin with `https://`"));
}

#[test]
fn a_key_is_no_part_of_a_url() {
    check("https://user:secret@gateway", Err("BATON_ADMIN_KEY"));
    check("https://gateway?key=secret", Err("a query"));
}

#[test]
fn what_is_refused_is_not_repeated_where_it_may_hold_a_secret() {
    let why = "https://user:secret@gateway".parse::<Gateway>().unwrap_err();
    assert!(!why.contains("secret"), "{why}");
}

#[test]
fn plain_http_is_safe_on_this_machine_only() {
    let open = |text: &str| text.parse::<Gateway>().unwrap().is_open_to_the_way();
    assert!(open("http://gateway") && open("http://10.0.0.1:8080") && open("http://localhost.example"));
    assert!(!open("https://gateway") && !open("http://127.0.0.1:8080") && !open("http://[::1]:8080"));
    assert!(!open("http://localhost:8080"));
}

#[test]
fn what_has_a_meaning_in_a_url_is_encoded() {
    assert_eq!(encoded("a b&c=d?#%/é"), "a%20b%26c%3Dd%3F%23%25/%C3%A9");
}
