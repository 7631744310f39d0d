use super::*;

#[test]
fn the_server_stands_in_front() {
    check("files", "read", &[], "files__read");
    check("acme/search", "web.search", &[], "acme-search__web_search");
}

#[test]
fn what_vendors_do_not_take_is_replaced() {
    check("a", "naïve tool", &[], "a__na_ve_tool");
}

#[test]
fn a_long_name_is_cut_and_stays_its_own() {
    let long = "x".repeat(80);
    let one = offered("server", &format!("{long}1"), |_| false).unwrap();
    let two = offered("server", &format!("{long}2"), |_| false).unwrap();
    assert_eq!((one.len(), two.len()), (64, 64));
    assert_ne!(one, two);
}

#[test]
fn two_that_come_out_alike_are_told_apart() {
    check("a.b", "c", &["a_b__c"], "a_b__c_997d915d");
    check("a.b", "c", &["a_b__c", "a_b__c_997d915d"], "none");
}

#[test]
fn a_name_cannot_reach_into_another_servers() {
    check("a", "b__c", &[], "a__b__c");
    check("a__b", "c", &["a__b__c"], "a__b__c_bf3c0c39");
}

#[track_caller]
fn check(server: &str, tool: &str, taken: &[&str], expected: &str) {
    let name = offered(server, tool, |name| taken.contains(&name));
    assert_eq!(name.as_deref().unwrap_or("none"), expected);
}
