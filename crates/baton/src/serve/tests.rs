use super::*;

fn check(listens_on: &str, tried_on: &str) {
    assert_eq!(address_to_try(listens_on.parse().unwrap()), tried_on.parse().unwrap(), "{listens_on}");
}

#[test]
fn what_listens_everywhere_is_tried_here() {
    check("0.0.0.0:8080", "127.0.0.1:8080");
    check("[::]:8080", "[::1]:8080");
    check("127.0.0.1:1", "127.0.0.1:1");
    check("192.0.2.7:80", "192.0.2.7:80");
}
